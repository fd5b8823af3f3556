"""Every operator keeps the contract: the classes are found by walking, the samples by folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import matrixslow as ms
import tests.operators
from matrixslow.testing import Sample, check_operator

ABSTRACT = {
    "AlongAxis",
    "ArgPeak",
    "Averaging",
    "ChannelNormalization",
    "ClassLoss",
    "Comparison",
    "Convolution",
    "Elementwise",
    "Extreme",
    "FixedWindows",
    "FloatingElementwise",
    "FloatingReduction",
    "Logical",
    "NumericElementwise",
    "Peak",
    "Pooling",
    "Random",
    "Recurrence",
    "Reduction",
    "SquareMatrices",
    "Strided",
    "Windowed",
}
"""Bases that are never built themselves."""

WITHOUT_SLOPE = {
    "And",
    "ArgMax",
    "ArgMin",
    "Bernoulli",
    "CausalMask",
    "Ceil",
    "Count",
    "DistinctIds",
    "Equal",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "IdRanks",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "MaxPoolIndices",
    "Not",
    "OneHot",
    "OnesLike",
    "Or",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Round",
    "Sign",
    "Step",
    "StopGradient",
    "TopKIndices",
    "Xor",
    "ZerosLike",
}
"""Operators that say `gradient = None`: their values are whole numbers, constant or random."""


def samples() -> Iterator[Sample]:
    for module in pkgutil.iter_modules(tests.operators.__path__):
        yield from importlib.import_module(f"tests.operators.{module.name}").SAMPLES


SAMPLES = tuple(samples())


def operators() -> set[type[ms.Node]]:
    """The operators that matrixslow defines: subclasses of Node below matrixslow.ops."""
    found: set[type[ms.Node]] = set()
    pending = [ms.Node]
    while pending:
        subclasses = pending.pop().__subclasses__()
        pending += subclasses
        found.update(cls for cls in subclasses if cls.__module__.startswith("matrixslow.ops."))
    return {cls for cls in found if cls.__name__ not in ABSTRACT}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_operator_keeps_the_contract(sample: Sample, device: str) -> None:
    check_operator(sample, device=device)


def test_every_operator_has_a_sample() -> None:
    shown = set()
    for sample in SAMPLES:
        with ms.Graph():
            inputs = [ms.Input(x.shape, dtype=x.dtype) for x in sample.arrays]
            shown.add(type(sample.build(*inputs)))
    missing = sorted(cls.__name__ for cls in operators() - shown)
    assert not missing, f"no sample in tests/operators/ builds these operators: {missing}"


def test_samples_have_names_of_their_own() -> None:
    names = [sample.name for sample in SAMPLES]
    assert sorted(set(names)) == sorted(names)


def test_abstract_bases_are_there_and_are_bases() -> None:
    assert {name for name in ABSTRACT if ms.Node.operators[name].__subclasses__()} == ABSTRACT


def test_operators_without_a_slope_are_those_listed() -> None:
    assert {cls.__name__ for cls in operators() if cls.backpropagate is None} == WITHOUT_SLOPE
