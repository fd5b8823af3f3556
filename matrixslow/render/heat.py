"""Heat: how long each node takes, and the warmth that it is drawn in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matrixslow.core import Node
from matrixslow.errors import ArgumentError

Profile = Mapping[Node, float] | Mapping[str, float] | Sequence[tuple[str, float]]
"""Seconds by node, by name, or as `program.profile` gives them."""

LEAST = 0.001
"""The smallest share that is told from none."""

SHARES = (0.01, 0.03, 0.1, 0.25)
"""From which share of all time on a box is warmer by a degree."""


@dataclass(frozen=True, slots=True)
class Warmth:
    """How a degree of heat is drawn: fill and text, on light and dark paper."""

    fill: str
    text: str
    dark_fill: str
    dark_text: str


# Each step is darker than the last on light paper and lighter on dark paper, so that the order
# shows without colour.
WARMTHS = (
    Warmth("#fffbe8", "#1c2126", "#2b2719", "#eef1f4"),
    Warmth("#fee8a4", "#1c2126", "#4d3d0c", "#eef1f4"),
    Warmth("#fdbd66", "#1c2126", "#7d5000", "#ffffff"),
    Warmth("#f0824a", "#1c2126", "#b55400", "#ffffff"),
    Warmth("#a81e22", "#ffffff", "#ffb27a", "#1c2126"),
)


@dataclass(frozen=True, slots=True)
class Heat:
    """Where the time of a run goes.

    Attributes:
        seconds: By the name of a node.
        total: Of the whole run, with what could not be given to any node.
    """

    seconds: Mapping[str, float]
    total: float

    def degree(self, seconds: float) -> int:
        """From 0, which is cold, to the number of shares: how warm a box of so many seconds is."""
        return sum(seconds >= share * self.total for share in SHARES)

    def text(self, seconds: float) -> str:
        """The time and its share of the whole, "1.2 ms · 34 %"."""
        return f"{duration(seconds)} · {percent(seconds / self.total)}"


def read_profile(profile: Profile, names: Iterable[str]) -> Heat | None:
    """The heat of a profile; None where it has no time in it.

    Args:
        profile: Seconds by node or by name, or pairs of a name and seconds. Names may be joined by
            "+", as those of nodes that run as one are: then each takes an equal part.
        names: The names of all nodes.

    Raises:
        ArgumentError: It is no profile, a time is negative, or no name in it is that of a node.
    """
    pairs = _pairs(profile)
    known = frozenset(names)
    seconds: defaultdict[str, float] = defaultdict(float)
    total = 0.0
    for name, time in pairs:
        parts = [name] if name in known else [part for part in name.split("+") if part in known]
        for part in parts:
            seconds[part] += time / len(parts)
        total += time
    if total and not seconds:
        raise ArgumentError(
            f"draw: none of the {len(pairs):,} names in the profile is that of a node in the graph",
            hint="give the profile of a function made from this graph",
        )
    return Heat(seconds, total) if total else None


def duration(seconds: float) -> str:
    """The time in the unit that suits it.

    >>> duration(0.0123), duration(4.2e-7)
    ('12.3 ms', '0.42 µs')
    """
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"


def percent(share: float) -> str:
    """The share as a percentage, with one decimal where it is small.

    >>> percent(0.342), percent(0.0042), percent(1e-6)
    ('34 %', '0.4 %', '< 0.1 %')
    """
    if share < LEAST:
        return f"< {100 * LEAST:g} %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def _pairs(profile: Profile) -> list[tuple[str, float]]:
    """The profile as pairs of a name and seconds, checked."""
    try:
        pairs = list(profile.items() if isinstance(profile, Mapping) else profile)
        found = [(_name(key), float(time)) for key, time in pairs]
    except (TypeError, ValueError):
        found = [("", -1.0)]
    if not all(time >= 0 for _, time in found):
        raise ArgumentError(
            f"draw: profile={profile!r:.60} is no profile",
            hint="give seconds by node, as program.profile(feeds) does",
        )
    return found


def _name(key: object) -> str:
    if isinstance(key, Node):
        return key.name
    if isinstance(key, str):
        return key
    raise TypeError(key)
