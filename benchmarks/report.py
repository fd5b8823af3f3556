"""The page that benchmarks make: a table, and a picture of the ratios."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import graph_scale
from peers import PEERS, THREADS

DOCS = Path(__file__).resolve().parents[1] / "docs"

COLUMNS = "| workload | peer | ms, median | ms, least | ratio | first step, s | memory, MiB |"
HEAD = (COLUMNS, "|---|---|---|---|---|---|---|")

TITLES = {
    "w1": "MLP 784-128-10",
    "w2": "MLP 784-1024-1024-10",
    "w3": "CNN, 28x28",
    "w4": "Elman RNN, 144 steps",
    "w5": "LSTM 128, 64 steps",
    "w6": "ResNet-20",
    "w7": "DeepFM, 2.6 M x 16",
    "w8": "small GPT",
    "w9": "small CNN",
    "i1_1": "MLP, inference of 1",
    "i1_64": "MLP, inference of 64",
    "i3_1": "CNN, inference of 1",
    "i3_64": "CNN, inference of 64",
}

TEXTS = {
    "": (
        "# Benchmarks",
        "Whole training steps (forward, backward, update) and inferences in float32, each peer in "
        "a process of its own, in turns; before that, two steps from the same weights agreed. "
        "The ratio is the peer's time over ours in the same round, its median over all rounds. "
        "First step: from the start of the process to its end, with caches warm. Memory: the "
        "largest resident set.",
        "Building, running and differentiating large graphs node by node: the time for a node, and "
        "its memory, stay nearly the same.",
        "Made by `make bench`: measure your own machine.",
    ),
    ".zh-CN": (
        "# 性能测试",
        "完整的训练步(前向、反向、更新)与推理，float32，每个对手在自己的进程里轮流运行；"
        "计时之前，先从同样的权重各走两步，结果一致。比值是同一轮中对手的时间除以我们的时间，"
        "取各轮的中位数。首步：从进程启动到第一步结束，缓存已热。内存：最大常驻集。",
        "逐节点地构建、运行并求导大型计算图：每个节点的时间与内存几乎保持不变。",
        "由 `make bench` 生成：请在自己的机器上测量。",
    ),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one peer on one workload; times in seconds, memory in MiB.

    Attributes:
        ratio: Its time over ours.
    """

    workload: str
    peer: str
    median: float
    least: float
    ratio: float
    first: float
    memory: float


def machine() -> str:
    """Where and with what it was measured."""
    versions = []
    for package in ("torch", "jax", "onnxruntime", "numpy"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return (
        f"{date.today()}, {_processor()}, {os.cpu_count()} cores, {THREADS} threads, "
        f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {', '.join(versions)}"
    )


def line(result: Result) -> str:
    """A line of the table."""
    return (
        f"| {result.workload}: {TITLES[result.workload]} | {result.peer} | "
        f"{result.median * 1e3:.3f} | {result.least * 1e3:.3f} | {result.ratio:.2f} | "
        f"{result.first:.2f} | {result.memory:.0f} |"
    )


def write(results: Sequence[Result], *, graphs: bool) -> None:
    """Write the page in both languages, and the picture.

    Args:
        results: What was measured so far.
        graphs: Whether to measure large graphs and show them below.
    """
    kinds = graph_scale.KINDS.items() if graphs else ()
    scale = ["\n".join(graph_scale.table(*kind)) for kind in kinds]
    for language, (title, text, large, end) in TEXTS.items():
        table = "\n".join([*HEAD, *map(line, results)])
        parts = [
            title,
            machine(),
            text,
            "![](benchmarks.svg)",
            table,
            *([large] if scale else []),
            *scale,
            end,
        ]
        (DOCS / f"benchmarks{language}.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    (DOCS / "benchmarks.svg").write_text(bars(results), "utf-8")


# ---- the picture ---------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 760, 170, 60, 9, 10, 64

INKS = {
    "torch": "#c2410c",
    "torch.compile": "#f59e0b",
    "JAX": "#0f766e",
    "ONNX Runtime": "#6d28d9",
}


def bars(results: Sequence[Result]) -> str:
    """How many times longer each peer takes than ours, on a logarithmic axis, as SVG."""
    peers = [name for name in PEERS if name in INKS and any(x.peer == name for x in results)]
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.peer in peers:
            groups.setdefault(result.workload, []).append(result)
    ratios = [x.ratio for group in groups.values() for x in group]
    low, high = min(0.5, *ratios), max(2.0, *ratios)
    scale = (WIDTH - LEFT - RIGHT) / math.log(high / low)

    def at(ratio: float) -> float:
        return LEFT + scale * math.log(ratio / low)

    heights = [len(group) * BAR + GAP for group in groups.values()]
    bottom = TOP + sum(heights)
    parts = [*_legend(peers), *_grid(low, high, at, bottom)]
    y = TOP + GAP / 2
    for name, group in groups.items():
        middle = y + len(group) * BAR / 2 + 4
        parts.append(_text(LEFT - 8, middle, TITLES.get(name, name), "end"))
        for result in group:
            left, right = sorted((at(1.0), at(result.ratio)))
            parts.append(
                f'<rect x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" '
                f'height="{BAR - 1}" fill="{INKS[result.peer]}"/>'
            )
            parts.append(_text(right + 3, y + BAR - 1.5, f"{result.ratio:.1f}", "start", 8))
            y += BAR
        y += GAP
    style = "<style>text{font:11px sans-serif;fill:#1f2937}</style>"
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 30:.0f}">\n'
        f"<title>Times of the peers over ours</title>\n{style}\n"
        f'<rect width="{WIDTH}" height="{bottom + 30:.0f}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _legend(peers: Sequence[str]) -> Iterator[str]:
    yield _text(LEFT, 18, "How many times longer a step takes than with matrixslow", "start", 13)
    x = float(LEFT)
    for peer in peers:
        yield f'<rect x="{x:.0f}" y="30" width="10" height="10" fill="{INKS[peer]}"/>'
        yield _text(x + 14, 39, peer, "start")
        x += 34 + 7 * len(peer)


def _grid(low: float, high: float, at: object, bottom: float) -> Iterator[str]:
    assert callable(at)
    for ratio in (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if low <= ratio <= high:
            ink = "#111827" if ratio == 1 else "#e5e7eb"
            x = at(ratio)
            yield f'<path d="M{x:.1f} {TOP - 8}V{bottom:.0f}" stroke="{ink}"/>'
            yield _text(x, bottom + 16, f"{ratio:g}x", "middle")


def _text(x: float, y: float, text: str, anchor: str, size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="font-size:{size}px">'
        f"{text}</text>"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
