"""Einsum: products summed over named axes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from string import ascii_letters
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape, Spec
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.comparison import Equal, Where
from matrixslow.ops.elementwise import numeric_dtype
from matrixslow.ops.like import OnesLike, SumLike
from matrixslow.ops.reduction import CumSum
from matrixslow.ops.shaping import Unsqueeze

TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")


class Einsum(Node):
    """Products of elements, summed over every index that the result does not have.

    An index is a letter for each axis: "ij,jk->ik" is the matrix product. A letter that stands
    twice in one term takes the diagonal. "..." stands for further axes, which broadcast. Without
    "->", the result has the axes of "..." first, then every letter that stands only once, in
    alphabetical order. An axis of size 1 is stretched where its letter has another size elsewhere.

    Args:
        xs: Numbers, all of one dtype.
        equation: The letters of each operand, and after "->" those of the result.

    Raises:
        ArgumentError: The equation is not of this form.
        ShapeError: An operand has another number of axes, or a letter stands for two sizes.

    >>> with ms.Graph() as graph:
    ...     x = ms.Constant([[1.0, 2.0], [3.0, 4.0]])
    ...     graph.forward(ms.ops.Einsum(x, x, equation="ij,kj->ik"))
    array([[ 5., 11.],
           [11., 25.]], dtype=float32)
    """

    def __init__(self, *xs: Operand, equation: str, name: str | None = None) -> None:
        self.equation = _checked(equation, len(xs))
        super().__init__(*xs, name=name)

    def infer(self, *xs: Spec) -> Spec:
        dtype = numeric_dtype(*xs)
        terms, result = _spelled_out(self.equation, [x.shape for x in xs])
        sizes: dict[str, int | None] = {}
        for term, x in zip(terms, xs, strict=True):
            _check_diagonals(term, x.shape)
            for letter, size in zip(term, x.shape, strict=True):
                sizes[letter] = _common_size(letter, sizes.get(letter, size), size)
        return Spec((sizes[letter] for letter in result), dtype)

    def compute(self, xp: ModuleType, *xs: Array) -> Array:
        return xp.einsum(self.equation, *xs, optimize=True)

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        terms, result = _spelled_out(self.equation, [x.shape for x in self.inputs])
        slopes = []
        for place, (x, term) in enumerate(zip(self.inputs, terms, strict=True)):
            factors, letters = list(self.inputs), list(terms)
            factors[place], letters[place] = upstream, result
            slopes.append(_slope(x, term, factors, letters))
        return tuple(slopes)


def _slope(x: Node, own: str, factors: list[Node], terms: list[str]) -> Node:
    """The gradient with respect to x: einsum again, with the upstream gradient in the place of x.

    Args:
        x: The operand.
        own: Its letters.
        factors: The operands, with the upstream gradient in the place of x.
        terms: Their letters.
    """
    letters = "".join(dict.fromkeys(own))
    if _stands_alone(x, own, factors, terms):
        factors, terms = [*factors, OnesLike(x)], [*terms, own]
    slope: Node = Einsum(*factors, equation=f"{','.join(terms)}->{letters}")
    # Off the diagonal that a letter takes by standing twice, the slope is zero.
    repeats = [axis for axis, letter in enumerate(own) if own.index(letter) < axis]
    if repeats:
        slope = Unsqueeze(slope, axes=repeats)
    for axis in repeats:
        places = [CumSum(OnesLike(x), axis=i) for i in (axis, own.index(own[axis]))]
        slope = Where(Equal(*places), slope, 0.0)
    return SumLike(slope, x) if None in x.shape else slope


def _stands_alone(x: Node, own: str, factors: Sequence[Node], terms: Sequence[str]) -> bool:
    """Whether x has an axis that no factor has, or that all of them have with size 1."""
    axes = [
        pair
        for y, term in zip(factors, terms, strict=True)
        for pair in zip(term, y.shape, strict=True)
    ]
    present = {letter for letter, _ in axes}
    stretched = {letter for letter, size in axes if size != 1}
    return any(
        letter not in present or (letter not in stretched and size != 1)
        for letter, size in zip(own, x.shape, strict=True)
    )


def _checked(equation: str, operands: int) -> str:
    """The equation without blanks.

    Raises:
        ArgumentError: It is not of the form that `Einsum` describes.
    """
    compact = "".join(equation.split())
    left, arrow, result = compact.partition("->")
    terms = left.split(",")
    known = set(left) - {".", ","}
    if not all(TERM.fullmatch(term) for term in (*terms, result)):
        rule, hint = "is not made of letters, ',', '...' and '->'", 'write it like "ij,jk->ik"'
    elif len(terms) != operands:
        rule = f"has {len(terms)} terms, {operands} operands came"
        hint = "give the letters of each operand, with commas between them"
    elif unknown := sorted(set(result) - known - {"."}):
        rule = f"has {unknown[0]!r} in the result only"
        hint = "every letter of the result stands for an axis of an operand"
    elif twice := [letter for letter in known if result.count(letter) > 1]:
        rule, hint = f"has {min(twice)!r} twice in the result", "name each axis of the result once"
    elif arrow and ("..." in left) != ("..." in result):
        rule = "has '...' on one side only"
        hint = 'write it on both sides: "...ij->...ji"'
    else:
        return compact
    raise ArgumentError(f"Einsum: equation={equation!r} {rule}", hint=hint)


def _spelled_out(equation: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with letters for the axes of "..." as well.

    Raises:
        ShapeError: An operand has another number of axes.
    """
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        counts = Counter(left)
        alone = sorted(letter for letter in counts if letter.isalpha() and counts[letter] == 1)
        result = ("..." if "..." in left else "") + "".join(alone)
    unused = "".join(letter for letter in ascii_letters if letter not in equation)
    further = []
    for term, shape in zip(terms, shapes, strict=True):
        named = len(term.replace("...", ""))
        if len(shape) < named or (len(shape) > named and "..." not in term):
            raise ShapeError(
                f"{term!r} names {named} axes, the operand has shape {shape}",
                hint="give a letter for each axis, or '...' for those that are not named",
            )
        further.append(len(shape) - named)
    most = max(further)
    spelled = [
        term.replace("...", unused[most - count : most])
        for term, count in zip(terms, further, strict=True)
    ]
    return spelled, result.replace("...", unused[:most])


def _check_diagonals(term: str, shape: Shape) -> None:
    sizes: dict[str, int] = {}
    for letter, size in zip(term, shape, strict=True):
        if size is not None and sizes.setdefault(letter, size) != size:
            raise ShapeError(
                f"{letter!r} stands for sizes {sizes[letter]} and {size} of one operand",
                hint="a diagonal needs equal sizes",
            )


def _common_size(letter: str, size: int | None, other: int | None) -> int | None:
    if size == other or other == 1 or (other is None and size != 1):
        return size
    if size in (1, None):
        return other
    raise ShapeError(
        f"{letter!r} stands for sizes {size} and {other}", hint="make them equal, or one of them 1"
    )
