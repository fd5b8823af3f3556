"""The pictures of the page about distributed training: python docs/cluster_pictures.py."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("cluster")

INK, GREY = "#1f2933", "#7b8794"
WORKER, SERVER, DISK, BAD = "#d9e8fb", "#fbe3c8", "#e4e7eb", "#c0392b"
FONT = "font-family='Helvetica, Arial, sans-serif'"


class Sheet:
    """Shapes and words on a white page."""

    def __init__(self, width: int, height: int) -> None:
        self._lines = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' {FONT}>",
            "<defs><marker id='tip' markerWidth='9' markerHeight='7' refX='8' refY='3.5' "
            f"orient='auto'><path d='M0,0 L9,3.5 L0,7 z' fill='{INK}'/></marker></defs>",
            f"<rect width='{width}' height='{height}' fill='white'/>",
        ]

    def box(self, x: float, y: float, w: float, h: float, fill: str, *words: str) -> None:
        """A rounded box with lines of words in its middle."""
        self._lines.append(
            f"<rect x='{x}' y='{y}' width='{w}' height='{h}' rx='6' fill='{fill}' "
            f"stroke='{INK}' stroke-width='1'/>"
        )
        for number, line in enumerate(words):
            below = y + h / 2 + 5 + 17 * (number - (len(words) - 1) / 2)
            self.text(x + w / 2, below, line, size=14 if number == 0 else 12, anchor="middle")

    def text(
        self, x: float, y: float, words: str, *, size: int = 13, anchor: str = "start",
        color: str = INK,
    ) -> None:  # fmt: skip
        """A line of words."""
        self._lines.append(
            f"<text x='{x}' y='{y}' font-size='{size}' text-anchor='{anchor}' fill='{color}'>"
            f"{words}</text>"
        )

    def arrow(self, x: float, y: float, to_x: float, to_y: float, *, dashed: bool = False) -> None:
        """An arrow from point to point."""
        dash = "stroke-dasharray='5,4' " if dashed else ""
        self._lines.append(
            f"<line x1='{x}' y1='{y}' x2='{to_x}' y2='{to_y}' stroke='{INK}' stroke-width='1.3' "
            f"{dash}marker-end='url(#tip)'/>"
        )

    def line(self, x: float, y: float, to_x: float, to_y: float, color: str = GREY) -> None:
        """A thin line."""
        self._lines.append(
            f"<line x1='{x}' y1='{y}' x2='{to_x}' y2='{to_y}' stroke='{color}' stroke-width='1.5'/>"
        )

    def write(self, path: Path) -> None:
        """Write the page."""
        path.write_text("\n".join([*self._lines, "</svg>"]) + "\n", "utf-8")


def parts() -> Sheet:
    """Who talks to whom."""
    sheet = Sheet(760, 330)
    for number in range(3):
        x = 40 + 240 * number
        sheet.box(x, 20, 200, 64, WORKER, f"worker {number}", "graph, its share of the batches")
    for number in range(2):
        x = 120 + 280 * number
        sheet.box(x, 190, 240, 64, SERVER, f"server {number}", "weights, optimizer, place in data")
        sheet.box(x + 30, 284, 180, 32, DISK, "log and snapshots")
        sheet.arrow(x + 120, 254, x + 120, 282)
        for worker in range(3):
            from_x = 140 + 240 * worker
            sheet.arrow(from_x - 12, 84, x + 100 + 20 * worker - 6, 188)
            sheet.arrow(x + 120 + 20 * worker - 6, 190, from_x + 12, 86, dashed=True)
    sheet.arrow(670, 220, 710, 220)
    sheet.text(668, 208, "push: slopes", size=12)
    sheet.arrow(710, 256, 670, 256, dashed=True)
    sheet.text(668, 244, "pull: weights", size=12)
    return sheet


TIMES = (3, 4, 6)
"""How long a step of each of three workers takes in the picture of the modes."""


def schedule(mode: str, until: int) -> list[list[tuple[int, int]]]:
    """When each worker's steps begin and end."""
    steps: list[list[tuple[int, int]]] = [[] for _ in TIMES]
    for _ in range(until):
        for worker, seconds in enumerate(TIMES):
            own = steps[worker]
            free = own[-1][1] if own else 0
            allowed = {"sync": 0, "ssp": 2, "async": until}[mode]
            waits_for = len(own) - allowed
            if waits_for > 0:
                ends = [other[waits_for - 1][1] for other in steps if len(other) >= waits_for]
                free = max([free, *ends]) if len(ends) == len(steps) else until
            if free + seconds <= until:
                own.append((free, free + seconds))
    return steps


def modes() -> Sheet:
    """When workers wait, in each mode."""
    sheet = Sheet(760, 420)
    unit, until = 24, 26
    for place, (mode, words) in enumerate(
        (
            ("sync", "sync: every step waits for the slowest; equal to one machine, bit for bit"),
            ("ssp", "ssp, staleness 2: the fast run ahead, by two steps at most"),
            ("async", "async: nobody waits; slopes may be of old weights"),
        )
    ):
        top = 20 + 135 * place
        sheet.text(20, top + 4, words, size=14)
        for worker, own in enumerate(schedule(mode, until)):
            y = top + 16 + 32 * worker
            sheet.text(20, y + 18, f"worker {worker}", size=12, color=GREY)
            sheet.line(90, y + 26, 90 + unit * until, y + 26)
            for number, (begin, end) in enumerate(own, 1):
                sheet.box(90 + unit * begin, y, unit * (end - begin) - 2, 24, WORKER, str(number))
    return sheet


def promise() -> Sheet:
    """A push whose acknowledgement is lost, and what comes of it."""
    sheet = Sheet(760, 330)
    lanes = (("worker", 110), ("server", 400), ("its log on disk", 640))
    for name, x in lanes:
        sheet.text(x, 26, name, size=14, anchor="middle")
        sheet.line(x, 36, x, 316)
    sheet.arrow(110, 60, 398, 74)
    sheet.text(250, 54, "push: worker 1, step 7", size=12, anchor="middle")
    sheet.arrow(400, 84, 638, 98)
    sheet.text(520, 78, "record, then fdatasync", size=12, anchor="middle")
    sheet.box(330, 112, 140, 30, "white", "killed (-9)")
    sheet.text(484, 132, "before the answer went", size=12, color=BAD)
    sheet.arrow(638, 176, 402, 190)
    sheet.text(520, 170, "snapshot, and records since", size=12, anchor="middle")
    sheet.text(412, 212, "step 7 is there again", size=12)
    sheet.arrow(110, 226, 398, 240)
    sheet.text(250, 220, "push: worker 1, step 7, once more", size=12, anchor="middle")
    sheet.text(412, 246, "known: not applied again", size=12)
    sheet.arrow(398, 268, 112, 282)
    sheet.text(250, 264, "acknowledged", size=12, anchor="middle")
    return sheet


def main() -> None:
    """Draw all pictures into the folder beside this file."""
    FOLDER.mkdir(exist_ok=True)
    for name, sheet in (("parts", parts()), ("modes", modes()), ("promise", promise())):
        sheet.write(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
