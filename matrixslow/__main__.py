"""The command line: python -m matrixslow, installed as matrixslow too."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from matrixslow.commands.command import Command
from matrixslow.commands.page import Page
from matrixslow.commands.table import COMMANDS
from matrixslow.errors import MatrixSlowError
from matrixslow.version import __version__

TITLE = "matrixslow: a deep-learning framework on a static computation graph."

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells give it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0 where all is well, 1 where the command failed or found a fault; wrong
        options leave with 2.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not words:
        print(_welcome(parser.prog))
        return 0
    options = parser.parse_args(words)
    if options.command is None:
        parser.error("which command? --help lists them")
    command: Command = options.command
    page = Page(as_json=options.json)
    try:
        page.finish(command.run(options, page))
        return page.status
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MatrixSlowError, OSError) as error:
        if options.debug:
            raise
        page.refuse(error)
        return page.status
    except KeyboardInterrupt:
        if options.debug:
            raise
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_program(), description=TITLE)
    parser.set_defaults(command=None, json=False, debug=False)
    parser.add_argument("--version", action="version", version=f"matrixslow {__version__}")
    places = parser.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        own = places.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=f"example: {parser.prog} {command.example}",
        )
        own.set_defaults(command=command)
        command.options(own)
        own.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
        own.add_argument("--json", action="store_true", help="print one JSON object, for programs")
        own.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _program() -> str:
    """How the command line was called, so that a reader can copy what is printed."""
    name = Path(sys.argv[0]).name
    return name if name == "matrixslow" else f"{sys.orig_argv[0]} -m matrixslow"


def _welcome(program: str) -> str:
    """What a newcomer may try, each with the line to type."""
    steps = (f"  {program} {command.example}\n      {command.help}" for command in COMMANDS)
    return "\n".join((TITLE, "", "Try, one after the other:", *steps, "", f"{program} --help"))


if __name__ == "__main__":
    raise SystemExit(main())
