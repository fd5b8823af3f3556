"""The errors: one tree, standard bases beside it, and a text that ends with the remedy."""

from __future__ import annotations

import builtins
import pickle
import re

import pytest

from matrixslow import errors
from matrixslow.errors import MatrixSlowError

CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if isinstance(cls, type) and issubclass(cls, MatrixSlowError)
}


def drawn() -> dict[str, tuple[str, str]]:
    """What the docstring draws: the parent of each class, and the standard error it names."""
    branch = re.compile(r"^(.*)\+-- (\w+) +.*?(?:\((\w+)\))?$")
    above = {0: ("MatrixSlowError", "")}
    found = {}
    for line in str(errors.__doc__).splitlines():
        if match := branch.match(line):
            indent, name, standard = match.groups()
            parent, inherited = above[max(depth for depth in above if depth < len(indent))]
            found[name] = (parent, standard or inherited)
            above[len(indent)] = (name, standard or inherited)
    return found


def test_the_tree_is_the_one_that_is_drawn() -> None:
    bases = {name: [base.__name__ for base in cls.__bases__] for name, cls in CLASSES.items()}
    tree = drawn()
    assert {name: parents[0] for name, parents in bases.items() if name != "MatrixSlowError"} == {
        name: parent for name, (parent, _) in tree.items()
    }
    for name, (parent, standard) in tree.items():
        assert issubclass(CLASSES[name], getattr(builtins, standard))
        if parent == "MatrixSlowError":
            assert bases[name] == [parent, standard]


@pytest.mark.parametrize("name", CLASSES)
def test_a_message_reads_from_rule_to_remedy(name: str) -> None:
    error = getattr(errors, name)("a rule", rows=("one", "two"), hint="a remedy")
    assert str(error) == "a rule\n  one\n  two\n  hint   a remedy"
    assert str(getattr(errors, name)("a rule")) == "a rule"
    assert (error.rule, error.rows, error.hint) == ("a rule", ("one", "two"), "a remedy")


def test_errors_travel_between_processes() -> None:
    error = errors.ShapeError("a rule", rows=("one",), hint="a remedy")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
