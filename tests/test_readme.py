"""What both READMEs say is true: their Python blocks run, and the commands they name exist."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.zh-CN.md")

HARMLESS = {"cd", "git", "ls", "export"}
"""Commands of the shell that are taken on trust."""


def blocks(name: str, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, with the line they begin at."""
    text = (ROOT / name).read_text("utf-8")
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.M | re.S)
    return [(text.count("\n", 0, m.start(1)) + 1, m[1]) for m in fence.finditer(text)]


def commands(name: str) -> list[list[str]]:
    """The words of every command in the shell blocks, without prompts and comments."""
    lines = [
        command.strip().removeprefix("$ ")
        for _, block in blocks(name, "sh")
        for command in re.split(r"\n|&&", block)
    ]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def extras() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    return set(config["options.extras_require"])


@pytest.mark.parametrize("name", READMES)
def test_python_blocks_run_in_order(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(name, "python")
    assert found
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, block in found:
        # The line numbers of a failure, and of errors that name a node's line, are the README's.
        exec(compile("\n" * (line - 1) + block, str(ROOT / name), "exec"), namespace)


@pytest.mark.parametrize("name", READMES)
def test_commands_exist(name: str) -> None:
    found = commands(name)
    assert {"make demo", "make test"} <= {" ".join(command) for command in found}
    for command in found:
        complaint = missing(command)
        assert not complaint, f"{name}: `{shlex.join(command)}`: {complaint}"


def test_both_readmes_name_the_same_commands() -> None:
    assert commands(READMES[0]) == commands(READMES[1])


def missing(command: list[str]) -> str:
    """What a command needs and this project does not have; empty where all is there."""
    match command:
        case ["make", *words]:
            absent = {word for word in words if "=" not in word} - make_targets()
            return f"the Makefile has no {', '.join(sorted(absent))}" if absent else ""
        case [("python" | ".venv/bin/python"), "-m", module, *arguments]:
            return missing_in_module(module, arguments)
        case [("python" | ".venv/bin/python"), script, *_]:
            return "" if (ROOT / script).is_file() else "there is no such file"
        case [("pip" | ".venv/bin/pip"), "install", *words]:
            named = {extra for word in words for extra in re.findall(r"\[(.*)\]", word)}
            absent = {e for group in named for e in group.split(",")} - extras()
            return f"setup.cfg has no extra {', '.join(sorted(absent))}" if absent else ""
        case [program, *_] if program in HARMLESS:
            return ""
    return "no rule here says how to check it"


def missing_in_module(module: str, arguments: list[str]) -> str:
    """What the help of `python -m module subcommand` complains of."""
    subcommand = [word for word in arguments[:1] if not word.startswith("-")]
    result = subprocess.run(
        [sys.executable, "-m", module, *subcommand, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        return f"its --help fails: {result.stderr}"
    options = {word.split("=")[0] for word in arguments if word.startswith("--")}
    absent = {option for option in options if option not in result.stdout}
    return f"its --help does not know {', '.join(sorted(absent))}" if absent else ""
