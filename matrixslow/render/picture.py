"""Picture: the boxes, edges and clusters that are drawn for a graph, before they have places."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot

from matrixslow.render.heat import LEAST, Heat, duration, percent
from matrixslow.render.item import Category, Item
from matrixslow.render.lettering import shorten, text_width
from matrixslow.render.scopes import Scopes

WHOLE, SCREEN = 100, 20
"""A graph of more nodes than the first is folded, to at most as many boxes as the second if that
can be done."""

TITLE, SMALL = 13.0, 11.0
"""The sizes of a box's first line and of all other text, in pixels."""

LINE = 14.0
"""The height of a line in small letters, in pixels."""

SHEET = 4.0
"""How far the second sheet of a folded scope looks out below the first, in pixels."""

LONGEST = 30
"""How many letters of a name are drawn; the tooltip has the whole."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or a folded scope with all that is in it.

    Attributes:
        name: The full name of the node or scope.
        title: The first line, in the box.
        lines: The lines below it, in smaller letters.
        label: What is written on the edges that leave it.
        detail: The tooltip.
        category: What kind of node it is, for a folded scope that of its kind.
        cluster: The number of the cluster that it stands in; -1 for none.
        folded: Whether it is a folded scope.
        degree: How warm it is by a profile; None where it takes no time.
    """

    name: str
    title: str
    lines: tuple[str, ...] = ()
    label: str = ""
    detail: str = ""
    category: Category = Category.OPERATOR
    cluster: int = -1
    folded: bool = False
    degree: int | None = None

    @property
    def width(self) -> float:
        """The width that its text needs."""
        inner = max(text_width(self.title, TITLE), *(text_width(x, SMALL) for x in self.lines), 0)
        return inner + (36 if self.category in ROUND else 24) + (SHEET if self.folded else 0)

    @property
    def face(self) -> float:
        """How much of the upper side is straight, so that lines may end on it."""
        if self.category in (Category.OUTPUT, Category.LOSS):
            return self.width - 2 / 3 * self.height
        return self.width - (18 if self.category is Category.UPDATE else 14)

    @property
    def height(self) -> float:
        """The height that its text needs."""
        if self.category is Category.REFERENCE:
            return 20
        return 28 + LINE * len(self.lines) + (SHEET if self.folded else 0)


ROUND = (Category.INPUT, Category.OUTPUT, Category.LOSS, Category.UPDATE)
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


Fold = int | Collection[str] | None


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn.

    Attributes:
        boxes: Nodes and folded scopes, in the order they were made.
        edges: Pairs of box numbers, from and to, each pair once, none from a box to itself.
        clusters: Unfolded scopes, outer ones before inner ones.
        note: A line below the picture: what was left out.
        heat: The profile that its colours show.
    """

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...] = ()
    clusters: tuple[Cluster, ...] = ()
    note: str = ""
    heat: Heat | None = None


def make_picture(
    items: Sequence[Item],
    *,
    fold: Fold = None,
    gradients: bool = False,
    heat: Heat | None = None,
) -> Picture:
    """The picture of a graph.

    Args:
        items: The nodes, inputs before users.
        fold: How many boxes there may be before scopes are folded, inner and large ones first; or
            the names of the scopes to fold. None folds a graph of more than 100 nodes, to a screen.
        gradients: Whether what is there for training only is drawn.
        heat: How long nodes take, which colours boxes.

    Raises:
        ArgumentError: `fold` is negative, or names a scope that does not exist.
    """
    shown = items if gradients else [item for item in items if not item.auxiliary]
    scopes = Scopes(shown)
    if fold is None:
        fold = SCREEN if len(shown) > WHOLE else WHOLE
    folded = scopes.fold_to(fold) if isinstance(fold, int) else scopes.fold_named(fold)
    groups: defaultdict[str, list[Item]] = defaultdict(list)
    for item in shown:
        groups[_box_of(item, folded)].append(item)
    edges, specs, dropped = _edges(groups)
    frames = _Frames(scopes)
    boxes = []
    for name, group in groups.items():
        if name.endswith("/"):
            box = _scope_box(name.rstrip("/"), group, specs[name], frames)
        else:
            box = _node_box(group[0], specs[name], frames)
        boxes.append(_heated(box, group, heat) if heat else box)
    note = _note(len(items) - len(shown), dropped, heat, shown)
    return Picture(tuple(boxes), tuple(edges), tuple(frames.clusters), note, heat)


def unfold(items: Sequence[Item], *, heat: Heat | None = None) -> tuple[Picture, tuple[Box, ...]]:
    """The picture with a box for each node, in their order, and for each cluster its folded box."""
    picture = make_picture(items, fold=(), gradients=True, heat=heat)
    inside: defaultdict[int, list[Item]] = defaultdict(list)
    for item, box in zip(items, picture.boxes, strict=True):
        around = box.cluster
        while around >= 0:
            inside[around].append(item)
            around = picture.clusters[around].parent
    frames = _Frames(Scopes(items))
    folded = []
    for number, cluster in enumerate(picture.clusters):
        box = _scope_box(cluster.name, inside[number], {}, frames)
        box = replace(box, cluster=cluster.parent)
        folded.append(_heated(box, inside[number], heat) if heat else box)
    return picture, tuple(folded)


def _heated(box: Box, group: Sequence[Item], heat: Heat) -> Box:
    """The box with the time that its nodes take."""
    seconds = sum(heat.seconds.get(item.name, 0.0) for item in group)
    if not seconds:
        return box
    return replace(box, lines=(*box.lines, heat.text(seconds)), degree=heat.degree(seconds))


def _note(hidden: int, dropped: int, heat: Heat | None, shown: Sequence[Item]) -> str:
    rest = 0.0
    if heat:
        rest = 1 - sum(heat.seconds.get(item.name, 0.0) for item in shown) / heat.total
    if heat and rest >= LEAST:
        time = f"not drawn: {percent(rest)} of the {duration(heat.total)}"
        return f"{time}, in gradients and updates (gradients=True draws them)" if hidden else time
    if hidden:
        count = "1 node" if hidden == 1 else f"{hidden:,} nodes"
        return f"not drawn: {count} for training only (gradients=True draws them)"
    if dropped:
        count = "1 edge" if dropped == 1 else f"{dropped:,} edges"
        return f"not drawn: {count} from the model into folded scopes of training"
    return ""


def _box_of(item: Item, folded: Collection[str]) -> str:
    """The name of the box for a node: its own, or that of the outermost folded scope and "/"."""
    end = item.name.find("/")
    while end != -1:
        if item.name[:end] in folded:
            return item.name[: end + 1]
        end = item.name.find("/", end + 1)
    return item.name


Edges = dict[tuple[int, int], None]


def _edges(
    groups: Mapping[str, Sequence[Item]],
) -> tuple[Edges, defaultdict[str, dict[str, str]], int]:
    """The edges between boxes, and what leaves each box: specs by the names of its nodes.

    Edges from the model into a folded scope of training, which reads nearly all of it, are counted
    instead of drawn.
    """
    owner = {item.name: box for box, group in groups.items() for item in group}
    number = {box: index for index, box in enumerate(groups)}
    known = {item.name: item for group in groups.values() for item in group}
    edges: Edges = {}
    dropped: Edges = {}
    specs: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for head, item in ((head, item) for head, group in groups.items() for item in group):
        for x in (known[name] for name in item.inputs if name in known):
            tail = owner[x.name]
            if tail == head:
                continue
            model = not x.auxiliary and x.category not in (Category.OUTPUT, Category.LOSS)
            if model and item.auxiliary and head.endswith("/"):
                dropped[number[tail], number[head]] = None
            else:
                edges[number[tail], number[head]] = None
                specs[tail][x.name] = x.spec
    return edges, specs, len(dropped)


class _Frames:
    """The clusters of a picture, made as boxes are put into them."""

    def __init__(self, scopes: Scopes) -> None:
        self.clusters: list[Cluster] = []
        self._scopes = scopes
        self._numbers = {"": -1}

    def place(self, name: str) -> tuple[int, str]:
        """The number of the cluster for a box, and the rest of the box's name inside it.

        A scope with a single thing in it gets no frame: its name goes to that thing.
        """
        scope = name.rpartition("/")[0]
        pending = []
        while scope not in self._numbers:
            if self._scopes.growth(scope):
                pending.append(scope)
            scope = scope.rpartition("/")[0]
        for inner in reversed(pending):
            title = shorten(_within(inner, scope), LONGEST)
            if parameters := self._scopes.parameters[inner]:
                title += f" · {parameters:,} parameters"
            self.clusters.append(Cluster(inner, title, self._numbers[scope]))
            self._numbers[inner] = len(self.clusters) - 1
            scope = inner
        return self._numbers[scope], _within(name, scope)


def _within(name: str, scope: str) -> str:
    return name[len(scope) + 1 :] if scope else name


def _node_box(item: Item, specs: Mapping[str, str], frames: _Frames) -> Box:
    cluster, local = frames.place(item.name)
    leaf = item.category in (Category.INPUT, Category.VARIABLE, Category.CONSTANT)
    title = (item.value or local) if leaf else item.operator
    subtitle = "" if leaf else _unlike(item.operator, local)
    detail = [
        item.name,
        f"{item.operator} {item.spec}",
        *item.options,
        *(f"from {name}" for name in item.inputs),
        *([f"built {item.built}"] if item.built else []),
    ]
    return Box(
        item.name,
        shorten(title, LONGEST),
        _lines(shorten(subtitle, LONGEST), _figures(item)),
        _label(specs),
        "\n".join(detail),
        item.category,
        cluster,
    )


def _lines(*lines: str) -> tuple[str, ...]:
    return tuple(line for line in lines if line)


def _figures(item: Item) -> str:
    """Value and gradient in a line; empty where neither was read."""
    value = str(item.kept) if item.kept and not item.value else ""
    return " · ".join(_lines(value, _steepness([item])))


def _steepness(group: Sequence[Item]) -> str:
    """The norm of all gradients together."""
    norms = [item.slope.norm for item in group if item.slope]
    return f"∇ {hypot(*norms):.3g}" if norms else ""


def _unlike(operator: str, name: str) -> str:
    """What a name says beyond the operator's: "pool" for Relu "pool/relu", nothing for "relu"."""
    scope, _, own = name.rpartition("/")
    said = scope if own == operator.lower() else name
    return "" if said.replace("_", "").lower() == operator.lower() else said


def _scope_box(name: str, group: Sequence[Item], specs: Mapping[str, str], frames: _Frames) -> Box:
    cluster, local = frames.place(name)
    operators = Counter(item.operator for item in group).most_common(8)
    parameters = sum(item.parameters for item in group if not item.auxiliary)
    size = f"{len(group):,} nodes" if len(group) > 1 else "1 node"
    size += f" · {parameters:,} parameters" if parameters else ""
    categories = {item.category for item in group} & {Category.GRADIENT, Category.UPDATE}
    return Box(
        name,
        shorten(local, LONGEST),
        _lines(size, _steepness([item for item in group if item.category is Category.VARIABLE])),
        _label(specs),
        "\n".join((name, size, *(f"{count} × {operator}" for operator, count in operators))),
        max(categories, default=Category.OPERATOR),
        cluster,
        folded=True,
    )


def _label(specs: Mapping[str, str]) -> str:
    different = set(specs.values())
    return different.pop() if len(different) == 1 else f"{len(specs)} tensors" if specs else ""
