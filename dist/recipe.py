"""Recipes: optimizers as JSON, so that a server builds the very class that a worker named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from matrixslow import optimizers
from matrixslow.core.leaf import Variable
from matrixslow.errors import ArgumentError, FormatError
from matrixslow.optimizers import Optimizer, ParameterGroups, Schedule

Recipe = dict[str, Any]


def describe(optimizer: Optimizer | ParameterGroups) -> Recipe:
    """What a server needs to build an optimizer.

    Raises:
        ArgumentError: A class is not one of `matrixslow.optimizers`.

    >>> from matrixslow.dist.recipe import describe
    >>> describe(ms.optimizers.SGD(0.1))["class"]
    'SGD'
    """
    if isinstance(optimizer, ParameterGroups):
        return {
            "class": "ParameterGroups",
            "groups": [[describe(x), [v.name for v in names]] for x, names in optimizer.groups],
            "rest": None if optimizer.rest is None else describe(optimizer.rest),
        }
    recipe: Recipe = _describe(optimizer)
    return recipe


def build(recipe: Recipe, variables: Sequence[Variable]) -> Optimizer | ParameterGroups:
    """The optimizer of a recipe, for variables of the names that it speaks of.

    Raises:
        FormatError: There is no such optimizer, or it has no such options.
    """
    if not isinstance(recipe, Mapping):
        raise FormatError(f"optimizer: {recipe!r} is no recipe")
    if recipe.get("class") != "ParameterGroups":
        return _optimizer(recipe)
    named = {variable.name: variable for variable in variables}
    groups = [
        (_optimizer(inner), [named[name] for name in names if name in named])
        for inner, names in recipe["groups"]
    ]
    rest = recipe["rest"]
    return ParameterGroups(
        [group for group in groups if group[1]], rest=None if rest is None else _optimizer(rest)
    )


def clips_norm(recipe: Recipe) -> bool:
    """Whether the step of one variable depends on the slopes of all."""
    if recipe["class"] == "ParameterGroups":
        inner = [group[0] for group in recipe["groups"]]
        return any(clips_norm(x) for x in [*inner, recipe["rest"]] if x is not None)
    return recipe["options"].get("clip_norm") is not None


def _describe(value: Any) -> Any:
    if not isinstance(value, Optimizer | Schedule):
        return list(value) if isinstance(value, tuple | range) else value
    kind = type(value)
    if getattr(optimizers, kind.__name__, None) is not kind:
        raise ArgumentError(
            f"{kind.__name__}: a parameter server does not know this class",
            hint="use one of matrixslow.optimizers, or train on one machine",
        )
    options = {x.name: _describe(getattr(value, x.name)) for x in fields(value) if x.init}  # type: ignore[arg-type]
    return {"class": kind.__name__, "options": options}


def _optimizer(recipe: Any) -> Optimizer:
    found = _build(recipe)
    if not isinstance(found, Optimizer):
        raise FormatError(f"optimizer: {recipe!r} is no recipe")
    return found


def _build(value: Any) -> Any:
    match value:
        case {"class": str(name), "options": dict(options)}:
            kind = getattr(optimizers, name, None) if name in optimizers.__all__ else None
            known = isinstance(kind, type) and issubclass(kind, Optimizer | Schedule)
            if not known or kind in (Optimizer, Schedule):
                raise FormatError(f"optimizer: {name!r} is not one of matrixslow.optimizers")
            try:
                return kind(**{key: _build(x) for key, x in options.items()})  # type: ignore[misc]
            except TypeError as error:
                raise FormatError(f"optimizer: {error}") from None
        case list(items):
            return tuple(map(_build, items))
    return value
