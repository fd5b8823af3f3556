"""Scopes: the tree of a graph's name scopes, and which of them are folded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from heapq import heapify, heappop, heappush

from matrixslow.errors import ArgumentError
from matrixslow.render.item import Item


class Scopes:
    """What is in each scope: nodes and scopes directly, and parameters in all.

    Args:
        items: The nodes of the graph.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.parameters: Counter[str] = Counter()
        self._direct: Counter[str] = Counter()
        self._inner: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._model: set[str] = set()
        for item in items:
            self._direct[item.scope] += 1
            for scope in _around(item.scope):
                self._inner[scope.rpartition("/")[0]][scope] = None
                if not item.auxiliary:
                    self._model.add(scope)
                    self.parameters[scope] += item.parameters

    def growth(self, scope: str) -> int:
        """How many more boxes there are when a scope is unfolded."""
        return self._direct[scope] + len(self._inner[scope]) - 1

    def fold_to(self, limit: int) -> frozenset[str]:
        """The scopes to fold: all that cannot be opened within a limit of boxes.

        Outer scopes are opened before inner ones, small before large, and scopes of one depth and
        size together, so that the blocks of a model look alike. What training adds to a model is
        opened last, when all of the model is.

        Raises:
            ArgumentError: The limit is negative.
        """
        if limit < 0:
            raise ArgumentError(
                f"draw: fold={limit} is no number of boxes",
                hint="give a limit >= 0, or the names of the scopes to fold",
            )
        folded: set[str] = set()
        boxes = self.growth("") + 1
        closed = [self._turn(scope) for scope in self._inner[""]]
        heapify(closed)
        while closed:
            *turn, scope = heappop(closed)
            alike = [scope]
            while closed and [*closed[0][:-1]] == turn:
                alike.append(heappop(closed)[-1])
            auxiliary, _, growth = turn
            more = growth * len(alike)
            if more and (boxes + more > limit or (auxiliary and folded)):
                folded.update(alike)
            else:
                boxes += more
                for inner in (inner for scope in alike for inner in self._inner[scope]):
                    heappush(closed, self._turn(inner))
        return frozenset(folded)

    def fold_named(self, names: Collection[str]) -> frozenset[str]:
        """The scopes of these names.

        Raises:
            ArgumentError: There is no such scope.
        """
        names = frozenset([names] if isinstance(names, str) else names)
        scopes = sorted(scope for inner in self._inner.values() for scope in inner)
        for name in sorted(names.difference(scopes)):
            near = get_close_matches(name, scopes, n=1) or scopes[:3]
            known = f"did you mean {' or '.join(map(repr, near))}?"
            raise ArgumentError(
                f"draw: fold names {name!r}, which is no scope of what is drawn",
                hint=known if near else "the graph has no scopes: leave fold out",
            )
        return names

    def _turn(self, scope: str) -> tuple[bool, int, int, str]:
        """When a scope is opened: by training or model, depth and size."""
        return scope not in self._model, scope.count("/"), self.growth(scope), scope


def _around(scope: str) -> Iterator[str]:
    """A scope and those around it, from the inside."""
    while scope:
        yield scope
        scope = scope.rpartition("/")[0]
