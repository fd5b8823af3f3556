"""Picture: the boxes, edges and clusters that are drawn for a graph, before they have places."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from heapq import heapify, heappop, heappush

from matrixslow.errors import ArgumentError
from matrixslow.render.item import Category, Item
from matrixslow.render.lettering import shorten, text_width

FOLD = 100
"""How many boxes are drawn at most, where folding scopes can do it."""

TITLE, SMALL = 13.0, 11.0
"""The sizes of a box's first line and of all other text, in pixels."""

LONGEST = 30
"""How many letters of a name are drawn; the tooltip has the whole."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or a folded scope with all that is in it.

    Attributes:
        name: The full name of the node or scope.
        title: The first line, in the box.
        subtitle: The second line; empty for none.
        label: What is written on the edges that leave it.
        detail: The tooltip.
        category: What kind of node it is, for a folded scope that of its kind.
        cluster: The number of the cluster that it stands in; -1 for none.
        folded: Whether it is a folded scope.
    """

    name: str
    title: str
    subtitle: str = ""
    label: str = ""
    detail: str = ""
    category: Category = Category.OPERATOR
    cluster: int = -1
    folded: bool = False

    @property
    def width(self) -> float:
        """The width that its text needs."""
        inner = max(text_width(self.title, TITLE), text_width(self.subtitle, SMALL))
        return inner + (36 if self.category in ROUND else 24)

    @property
    def height(self) -> float:
        """The height that its text needs."""
        if self.category is Category.REFERENCE:
            return 20
        return 42 if self.subtitle else 28


ROUND = (Category.INPUT, Category.OUTPUT, Category.UPDATE)
"""The categories whose outlines cut the corners, so that text needs more room."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """An unfolded scope: a frame around its boxes.

    Attributes:
        name: The scope's full name.
        title: What is written on the frame.
        parent: The number of the cluster around it, always a lower one; -1 for none.
    """

    name: str
    title: str
    parent: int = -1


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn.

    Attributes:
        boxes: Nodes and folded scopes, in the order they were made.
        edges: Pairs of box numbers, from and to, each pair once, none from a box to itself.
        clusters: Unfolded scopes, outer ones before inner ones.
        note: A line below the picture: what was left out.
    """

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...] = ()
    clusters: tuple[Cluster, ...] = ()
    note: str = ""


def make_picture(
    items: Sequence[Item], *, fold: int | Collection[str] = FOLD, gradients: bool = False
) -> Picture:
    """The picture of a graph.

    Args:
        items: The nodes, inputs before users.
        fold: How many boxes there may be before scopes are folded, the innermost and largest
            first; or the names of the scopes to fold.
        gradients: Whether gradient and update nodes are drawn.

    Raises:
        ArgumentError: `fold` is a negative number or names a scope that does not exist.
    """
    shown = items if gradients else _without_auxiliary(items)
    tree = _Tree(shown)
    folded = tree.fold_to(fold) if isinstance(fold, int) else tree.check_names(fold)
    return _Drawer(shown, tree, folded, note=_note(len(items) - len(shown))).picture()


def _without_auxiliary(items: Sequence[Item]) -> Sequence[Item]:
    """The model alone, without what only gradients and updates read."""
    model = [item for item in items if not item.auxiliary]
    read = {name for item in model for name in item.inputs}
    aside = {name for item in items if item.auxiliary for name in item.inputs} - read
    return [item for item in model if item.inputs or item.trainable or item.name not in aside]


def _note(hidden: int) -> str:
    if not hidden:
        return ""
    return f"{hidden:,} nodes of gradients and updates are not drawn: gradients=True draws them"


class _Tree:
    """The scopes of a graph: how many nodes and scopes are directly in each."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.direct: Counter[str] = Counter()
        self.children: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for item in items:
            self.direct[item.scope] += 1
            scope = item.scope
            while scope:
                parent = scope.rpartition("/")[0]
                self.children[parent][scope] = None
                scope = parent
        self.scopes = {scope for inner in self.children.values() for scope in inner}

    def growth(self, scope: str) -> int:
        """How many more boxes there are when a scope is unfolded."""
        return self.direct[scope] + len(self.children[scope]) - 1

    def fold_to(self, limit: int) -> frozenset[str]:
        """The scopes to fold: all that cannot be opened within the limit.

        Outer scopes are opened before inner ones, small before large, and scopes of one depth and
        size together, so that the blocks of a model look alike.
        """
        if limit < 0:
            raise ArgumentError(
                f"draw: fold={limit} is no number of boxes",
                hint="give a limit >= 0, or the names of the scopes to fold",
            )
        visible = self.growth("") + 1
        folded = set()
        frontier = self._keys(self.children[""])
        while frontier:
            depth, growth, scope = heappop(frontier)
            group = [scope]
            while frontier and frontier[0][:2] == (depth, growth):
                group.append(heappop(frontier)[2])
            if visible + growth * len(group) > limit:
                folded.update(group)
                continue
            visible += growth * len(group)
            for key in self._keys(inner for scope in group for inner in self.children[scope]):
                heappush(frontier, key)
        return frozenset(folded)

    def check_names(self, names: Collection[str]) -> frozenset[str]:
        """The names, all of which are scopes."""
        for name in [names] if isinstance(names, str) else names:
            if name not in self.scopes:
                near = get_close_matches(str(name), self.scopes, n=1) or sorted(self.scopes)[:3]
                raise ArgumentError(
                    f"draw: fold names {name!r}, which is no scope that is drawn",
                    hint=f"did you mean {' or '.join(map(repr, near))}?"
                    if near
                    else "the graph has no scopes: leave fold out",
                )
        return frozenset([names] if isinstance(names, str) else names)

    def _keys(self, scopes: Iterable[str]) -> list[tuple[int, int, str]]:
        keys = [(scope.count("/"), self.growth(scope), scope) for scope in scopes]
        heapify(keys)
        return keys


class _Drawer:
    """Makes the boxes, edges and clusters of a picture."""

    def __init__(
        self, items: Sequence[Item], tree: _Tree, folded: Collection[str], *, note: str
    ) -> None:
        self.items, self.tree, self.folded, self.note = items, tree, folded, note
        self.clusters: dict[str, int] = {"": -1}
        self.frames: list[Cluster] = []

    def picture(self) -> Picture:
        owner = {item.name: self._outermost_fold(item.scope) or item.name for item in self.items}
        groups: defaultdict[str, list[Item]] = defaultdict(list)
        for item in self.items:
            groups[owner[item.name]].append(item)
        number = {name: index for index, name in enumerate(groups)}
        edges: dict[tuple[int, int], None] = {}
        sources: defaultdict[str, dict[str, str]] = defaultdict(dict)
        specs = {item.name: item.spec for item in self.items}
        for item in self.items:
            for name in item.inputs:
                tail, head = owner.get(name), owner[item.name]
                if tail is not None and tail != head:
                    edges[number[tail], number[head]] = None
                    sources[tail][name] = specs[name]
        boxes = []
        for name, group in groups.items():
            label = _label(sources[name])
            boxes.append(
                self._scope_box(name, group, label)
                if name in self.folded
                else self._node_box(group[0], label)
            )
        return Picture(tuple(boxes), tuple(edges), tuple(self.frames), self.note)

    def _outermost_fold(self, scope: str) -> str:
        """The outermost folded scope around a node; empty for none."""
        end = scope.find("/")
        while end != -1:
            if scope[:end] in self.folded:
                return scope[:end]
            end = scope.find("/", end + 1)
        return scope if scope in self.folded else ""

    def _node_box(self, item: Item, label: str) -> Box:
        cluster, local = self._cluster(item.scope, item.name)
        leaf = item.category in (Category.INPUT, Category.VARIABLE, Category.CONSTANT)
        title, subtitle = (local, item.operator) if leaf else (item.operator, local)
        detail = [
            item.name,
            f"{item.operator} {item.spec}",
            *(f"from {name}" for name in item.inputs),
            *([f"built {item.built}"] if item.built else []),
        ]
        return Box(
            item.name,
            shorten(title, LONGEST),
            "" if subtitle.lower() == title.lower() else shorten(subtitle, LONGEST),
            label,
            "\n".join(detail),
            item.category,
            cluster,
        )

    def _scope_box(self, name: str, group: Sequence[Item], label: str) -> Box:
        cluster, local = self._cluster(name.rpartition("/")[0], name)
        kinds = Counter(item.operator for item in group).most_common(8)
        size = _size(group)
        categories = {item.category for item in group}
        kind = Category.OPERATOR
        for category in (Category.GRADIENT, Category.UPDATE):
            if category in categories:
                kind = category
        detail = [name, size, *(f"{count} × {operator}" for operator, count in kinds)]
        return Box(name, shorten(local, LONGEST), size, label, "\n".join(detail), kind, cluster, True)

    def _cluster(self, scope: str, name: str) -> tuple[int, str]:
        """The number of the cluster for a scope, and the rest of the name inside it.

        A scope with a single thing in it needs no frame: its name goes to that thing.
        """
        pending = []
        while scope not in self.clusters:
            if self.tree.growth(scope):
                pending.append(scope)
            scope = scope.rpartition("/")[0]
        for inner in reversed(pending):
            title = shorten(inner[len(scope) + 1 if scope else 0 :], LONGEST)
            self.frames.append(Cluster(inner, title, self.clusters[scope]))
            self.clusters[inner] = len(self.frames) - 1
            scope = inner
        return self.clusters[scope], name[len(scope) + 1 if scope else 0 :]


def _label(sources: dict[str, str]) -> str:
    specs = set(sources.values())
    return specs.pop() if len(specs) == 1 else f"{len(sources)} tensors" if specs else ""


def _size(group: Sequence[Item]) -> str:
    parameters = sum(item.parameters for item in group)
    nodes = f"{len(group):,} nodes" if len(group) > 1 else "1 node"
    return f"{nodes} · {parameters:,} parameters" if parameters else nodes
