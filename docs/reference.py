"""The reference, written from the docstrings: python docs/reference.py [FOLDER].

A page of Markdown for each public package, and an index. Every example on them runs as a test.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import matrixslow as ms

PACKAGES = (
    *("matrixslow", "ops", "layers", "optimizers", "initializers", "metrics", "trainer", "io"),
    *("render", "testing", "errors", "dist"),
)

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Shapes|Source|Example):\s*(.*)", re.S)

ENTRY = re.compile(r"^(\*{0,2}[\w, *]+): ", re.M)


def markdown(docstring: str) -> str:
    """A docstring as Markdown: its sections as lists, its examples as code."""
    return "\n\n".join(map(_paragraph, re.split(r"\n\s*\n", inspect.cleandoc(docstring))))


def _paragraph(text: str) -> str:
    if text.lstrip().startswith((">>>", "+--")):
        return f"```python\n{textwrap.dedent(text)}\n```"
    if found := SECTION.match(text):
        title, rest = found.groups()
        if title in ("Args", "Attributes", "Raises"):
            entries = ENTRY.split(textwrap.dedent(text.partition("\n")[2]))[1:]
            pairs = zip(entries[::2], entries[1::2], strict=True)
            body = "\n".join(f"- `{name}`: {' '.join(words.split())}" for name, words in pairs)
            return f"**{title}**\n\n{body}"
        return f"**{title}:** {' '.join(rest.split())}"
    if text.startswith("    "):
        return f"```text\n{textwrap.dedent(text)}\n```"
    return text


def entry(name: str, thing: object) -> str:
    """A class, function or value with its signature and docstring."""
    words = inspect.getdoc(thing) or ""
    try:
        signature = str(inspect.signature(thing)) if callable(thing) else ""  # type: ignore[arg-type]
    except ValueError:
        signature = ""
    head = f"## {name}\n\n"
    if signature:
        signature = re.sub(r"(: |-> )'(.*?)'", r"\1\2", signature)
        head += f"```python\n{name}{signature}\n```\n\n"
    text = head + markdown(words)
    for method, found in _methods(thing):
        text += f"\n\n### {name}.{method}\n\n{markdown(inspect.getdoc(found) or '')}"
    return text


def _methods(thing: object) -> Iterator[tuple[str, object]]:
    """The public methods and properties that a class itself defines."""
    if isinstance(thing, type) and not issubclass(thing, ms.Node | Exception):
        for name, found in vars(thing).items():
            documented = isinstance(found, property | classmethod) or inspect.isfunction(found)
            if documented and not name.startswith("_"):
                yield name, getattr(thing, name)


def page(package: str) -> str:
    """The page of a package: what it is, and everything in it by name."""
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None)
    if names is None:
        names = [n for n, x in vars(module).items() if getattr(x, "__module__", "") == package]
    things = {name: getattr(module, name) for name in names}
    entries = [
        entry(name, thing)
        for name, thing in things.items()
        if not inspect.ismodule(thing) and (callable(thing) or isinstance(thing, type))
    ]
    return "\n\n".join([f"# {package}", markdown(module.__doc__ or ""), *entries]) + "\n"


def write(folder: Path) -> list[Path]:
    """Write all pages and the index; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    index = ["# Reference", "", f"matrixslow {ms.__version__}", ""]
    paths = []
    for name in PACKAGES:
        package = name if name == "matrixslow" else f"matrixslow.{name}"
        text = page(package)
        paths.append(folder / f"{name}.md")
        paths[-1].write_text(text, "utf-8")
        first = text.split("\n\n")[1].replace("\n", " ")
        index.append(f"- [{package}]({name}.md): {first}")
    (folder / "README.md").write_text("\n".join(index) + "\n", "utf-8")
    return paths


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs")
    print(f"wrote {len(write(target))} pages to {target}")
