"""The command line: python -m matrixslow."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from matrixslow.version import __version__

NEXT = """
Try next:
  .venv/bin/python examples/mnist.py --model cnn     learn MNIST
  .venv/bin/python examples/own_operator.py          add an operator in ten lines
  make test                                          run the whole suite
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m matrixslow",
        description="matrixslow: a deep-learning framework on a static computation graph.",
    )
    parser.add_argument("--version", action="version", version=f"matrixslow {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="train a network on handwritten digits and look at what comes out"
    )
    demo.add_argument("--folder", type=Path, default=Path("demo"), help="where files are written")
    demo.add_argument("--epochs", type=int, default=12, help="how often the data is gone through")
    demo.add_argument("--seed", type=int, default=0, help="from which all random numbers come")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    from matrixslow.demo import run

    run(options.folder, epochs=options.epochs, seed=options.seed)
    print(NEXT, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
