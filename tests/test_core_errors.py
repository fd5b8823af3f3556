"""The errors: one tree, standard bases beside it, and a text that ends with the remedy."""

from __future__ import annotations

import pickle

import pytest

from matrixslow import errors
from matrixslow.errors import MatrixSlowError

TREE = {
    "GraphError": ("MatrixSlowError", ValueError),
    "ShapeError": ("GraphError", ValueError),
    "GradientError": ("GraphError", ValueError),
    "ArgumentError": ("MatrixSlowError", ValueError),
    "DTypeError": ("MatrixSlowError", TypeError),
    "FeedError": ("MatrixSlowError", ValueError),
    "RunError": ("MatrixSlowError", ArithmeticError),
    "NonFiniteError": ("RunError", ArithmeticError),
    "DeviceError": ("MatrixSlowError", RuntimeError),
    "FormatError": ("MatrixSlowError", ValueError),
    "DatasetMissing": ("MatrixSlowError", FileNotFoundError),
    "MissingExtra": ("MatrixSlowError", ImportError),
}


def test_the_tree_is_the_one_that_is_drawn() -> None:
    classes = {
        name: cls
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, MatrixSlowError) and cls is not MatrixSlowError
    }
    assert {name: cls.__bases__[0].__name__ for name, cls in classes.items()} == {
        name: base for name, (base, _) in TREE.items()
    }
    for name, (_, standard) in TREE.items():
        assert issubclass(classes[name], standard)
        assert f"+-- {name} " in str(errors.__doc__)


@pytest.mark.parametrize("name", TREE)
def test_a_message_reads_from_rule_to_remedy(name: str) -> None:
    error = getattr(errors, name)("a rule", rows=("one", "two"), hint="a remedy")
    assert str(error) == "a rule\n  one\n  two\n  hint   a remedy"
    assert str(getattr(errors, name)("a rule")) == "a rule"
    assert (error.rule, error.rows, error.hint) == ("a rule", ("one", "two"), "a remedy")


def test_errors_travel_between_processes() -> None:
    error = errors.ShapeError("a rule", rows=("one",), hint="a remedy")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
