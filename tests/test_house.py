"""The rules of the house: which packages there are, who imports whom, what is public.

Everything is read from the source with `ast`; only the public names are imported.
"""

from __future__ import annotations

import ast
import configparser
import difflib
import importlib
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PUBLIC_NAMES = ROOT / "tests" / "public_names.txt"

LINKED = ("trainer", "dist")
"""Folders at the root that are packages of matrixslow through a link."""

RANKS = (
    {"errors", "files", "version"},
    {"backend"},
    {"core"},
    {"ops"},
    {"initializers", "schedules"},
    {"layers", "optimizers", "metrics", "compiler", "io", "render"},
    {"function"},
    {"testing"},
    {"dist"},
    {"trainer", "serve"},
    {"matrixslow"},
    {"commands"},
    {"__main__"},
)
"""A part imports only from parts of lower rank. `matrixslow` is the package's own __init__."""

LOOK_UPWARD: set[str] = {
    "core/graph.py Graph.draw",
    "core/graph.py Graph._repr_svg_",
    "core/graph.py Graph.summary",
    "core/graph.py Graph.save",
    "core/graph.py Graph.dump",
    "core/graph.py Graph.to_networkx",
    "core/node.py Node.__getitem__",
    "core/node.py Node._repr_html_",
}
"""The user's methods that may import from above, inside their bodies."""

OUTSIDERS = {
    "numpy": ("", "anywhere"),
    "cupy": ("backend", "inside functions"),
    "llvmlite": ("compiler", "anywhere"),
    "onnx": ("io/onnx", "inside functions"),
    "safetensors": ("io", "inside functions"),
    "networkx": ("render", "inside functions"),
    "graphviz": ("render", "inside functions"),
    "matplotlib": ("render", "inside functions"),
    "tensorboardX": ("trainer", "inside functions"),
    "grpc": ("dist", "inside functions"),
    "grpc_health": ("dist", "inside functions"),
    "google": ("dist", "inside functions"),
    "mpi4py": ("dist", "inside functions"),
    "ray": ("dist", "inside functions"),
}
"""Who may import a package that is not Python's own, and where."""

UNWANTED_AT_IMPORT = ("cupy", "onnx", "grpc", "matplotlib", "networkx", "graphviz", "torch")


class Import(NamedTuple):
    """One name that a file imports."""

    file: str
    line: int
    scope: str
    """The class and function that it stands in, "Graph.draw"; empty at module level."""
    moment: Literal["at once", "when called", "for types"]
    target: str

    @property
    def importer(self) -> str:
        return part_of(self.file)


def part_of(file: str) -> str:
    """The part of the house that a file belongs to, "core" for "core/node.py"."""
    part = file.split("/")[0].removesuffix(".py")
    return "matrixslow" if part == "__init__" else part


@cache
def sources() -> dict[str, ast.Module]:
    """Every file of the package, under its path below matrixslow/, parsed."""
    files = {}
    for base in ("matrixslow", *LINKED):
        for path in sorted((ROOT / base).rglob("*.py")):
            # Before Python 3.13 rglob does not enter links, from then on it may.
            below = path.relative_to(ROOT / base).as_posix()
            if base == "matrixslow" and below.startswith(tuple(f"{link}/" for link in LINKED)):
                continue
            name = below if base == "matrixslow" else f"{base}/{below}"
            files[name] = ast.parse(path.read_text("utf-8"), str(path))
    return files


def imports() -> list[Import]:
    return [found for file, tree in sources().items() for found in imports_below(file, tree)]


def imports_below(
    file: str, node: ast.AST, scope: str = "", moment: str = "at once"
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                targets = [alias.name for alias in names]
            case ast.ImportFrom(names=names):
                targets = [f"{absolute(file, child)}.{alias.name}" for alias in names]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield from imports_below(file, child, f"{scope}.{name}".lstrip("."), "when called")
                continue
            case ast.ClassDef(name=name):
                yield from imports_below(file, child, f"{scope}.{name}".lstrip("."), moment)
                continue
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imports_below(file, child, scope, "for types")
                continue
            case _:
                yield from imports_below(file, child, scope, moment)
                continue
        for target in targets:
            yield Import(file, child.lineno, scope, moment, target)


def absolute(file: str, node: ast.ImportFrom) -> str:
    """The module that is named after `from`, dots at its beginning resolved."""
    if node.level == 0:
        return node.module or ""
    package = ["matrixslow", *file.split("/")[:-1]]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, node.module] if node.module else package)


def part_imported(target: str) -> str:
    """The part that a dotted name belongs to: "core" for "matrixslow.core.Node"."""
    part = target.split(".")[1] if "." in target else "matrixslow"
    known = {part_of(file) for file in sources()}
    return part if part in known else "matrixslow"


def hold(rule: str, complaints: Iterable[str]) -> None:
    """Fail with the rule and everything that breaks it, one a line."""
    lines = [line.rstrip("\n") for line in complaints]
    if lines:
        pytest.fail("\n  ".join([rule, *lines]), pytrace=False)


# ---- packages ---------------------------------------------------------------------------------


def declared_packages() -> list[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    return config["options"]["packages"].split()


def packages_on_disk() -> list[str]:
    folders = (Path(file).parent.parts for file in sources() if file.endswith("__init__.py"))
    return sorted(".".join(["matrixslow", *parts]) for parts in folders)


def test_setup_cfg_lists_every_package() -> None:
    declared, found = declared_packages(), packages_on_disk()
    difference = difflib.unified_diff(declared, found, "packages in setup.cfg", "on disk", n=0)
    hold("packages in setup.cfg must be the folders on disk, in order:", difference)


def test_every_folder_with_python_is_a_package() -> None:
    folders = {file.rpartition("/")[0] for file in sources()}
    bare = [f for f in folders if (f"{f}/__init__.py" if f else "__init__.py") not in sources()]
    hold("these folders hold Python files and no __init__.py:", bare)


@pytest.mark.parametrize("name", [name for name in LINKED if (ROOT / name).exists()])
def test_the_root_folder_is_the_package(name: str) -> None:
    link = ROOT / "matrixslow" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..", name)
    assert link.resolve() == ROOT / name


def test_type_hints_are_announced() -> None:
    assert (ROOT / "matrixslow" / "py.typed").read_bytes() == b""


# ---- imports ----------------------------------------------------------------------------------


def test_every_part_has_a_rank() -> None:
    ranked = set().union(*RANKS)
    unranked = {part_of(file) for file in sources()} - ranked
    hold("give these parts a rank in RANKS:", sorted(unranked))


def test_imports_go_one_way() -> None:
    rank = {part: i for i, parts in enumerate(RANKS) for part in parts}
    complaints = []
    for found in imports():
        if not found.target.startswith("matrixslow"):
            continue
        part = part_imported(found.target)
        if part == found.importer or rank[part] < rank[found.importer]:
            continue
        if f"{found.file} {found.scope}" in LOOK_UPWARD:
            continue
        where = f" in {found.scope}" if found.scope else ""
        complaints.append(f"{found.file}:{found.line}{where}: {found.importer} imports {part}")
    order = " <- ".join(", ".join(sorted(parts)) for parts in RANKS)
    hold(f"imports go one way: {order}", complaints)


def test_methods_that_look_upward_still_do() -> None:
    importing = {f"{found.file} {found.scope}" for found in imports()}
    hold("these import nothing: take them out of LOOK_UPWARD", sorted(LOOK_UPWARD - importing))


def test_other_packages_are_imported_in_their_place_only() -> None:
    complaints = []
    for found in imports():
        top = found.target.split(".")[0]
        if top == "matrixslow" or top in sys.stdlib_module_names or found.moment == "for types":
            continue
        place = f"{found.file}:{found.line}"
        if top not in OUTSIDERS:
            complaints.append(f"{place}: {top} is none of our dependencies")
            continue
        home, where = OUTSIDERS[top]
        if not found.file.startswith(home):
            complaints.append(f"{place}: only {home} imports {top}")
        elif where == "inside functions" and found.moment == "at once":
            complaints.append(f"{place}: {top} must be imported inside a function")
    hold("misplaced imports:", complaints)


def test_import_loads_nothing_optional() -> None:
    program = f"import sys, matrixslow; print(*sorted(sys.modules.keys() & {UNWANTED_AT_IMPORT}))"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


# ---- code -------------------------------------------------------------------------------------


def test_every_operator_says_what_it_does() -> None:
    silent = [
        f"{file}:{node.lineno}: {node.name}"
        for file, tree in sources().items()
        for node in ast.walk(tree)
        if file.startswith("ops/") and isinstance(node, ast.ClassDef)
        if not ast.get_docstring(node)
    ]
    hold("operators without a docstring:", silent)


MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MAKERS = {"list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque"}
CHANGERS = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem"} | {
    "remove", "discard", "clear",
}  # fmt: skip


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        name = value.func
        return (name.id if isinstance(name, ast.Name) else getattr(name, "attr", "")) in MAKERS
    return isinstance(value, MUTABLE)


def module_containers(tree: ast.Module) -> dict[str, int]:
    """The names at module level that hold something which can change, with their lines."""
    return {
        target.id: node.lineno
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_mutable(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def changed_name(node: ast.AST) -> str:
    """The name whose contents a statement or call changes: `X[...] = `, `del X[...]`, `X.add()`."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        holder = node.value
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CHANGERS
    ):
        holder = node.func.value
    else:
        return ""
    return holder.id if isinstance(holder, ast.Name) else ""


def test_modules_keep_no_state() -> None:
    complaints = []
    for file, tree in sources().items():
        containers = module_containers(tree)
        complaints += [
            f"{file}:{line}: {name} may change; constants are UPPER_CASE"
            for name, line in containers.items()
            if not re.fullmatch(r"_?[A-Z][A-Z0-9_]*|__all__", name)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                complaints.append(f"{file}:{node.lineno}: global {', '.join(node.names)}")
            elif (name := changed_name(node)) in containers:
                complaints.append(f"{file}:{node.lineno}: {name} is a constant, and is changed")
    hold("state at module level:", complaints)


def test_what_is_left_to_do_has_an_issue() -> None:
    left = re.compile(r"\b(TODO|FIXME|XXX)\b(?!.*#\d)")
    folders = ("matrixslow", *LINKED, "examples", "benchmarks", "tests")
    complaints = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if left.search(line)
    ]
    hold("name the issue, as in: TODO #12", complaints)


# ---- public names -----------------------------------------------------------------------------


def public_names() -> list[str]:
    """Every name in the `__all__` of a package, "matrixslow.ops.MatMul", sorted by package.

    A package without `__all__` is internal.
    """
    names = []
    for package in packages_on_disk():
        module = importlib.import_module(package)
        for name in sorted(getattr(module, "__all__", ())):
            assert hasattr(module, name), f"{package}.__all__ lists {name!r}, which is not there"
            names.append(f"{package}.{name}")
    return names


def test_public_names_are_pinned() -> None:
    pinned, found = PUBLIC_NAMES.read_text("utf-8").splitlines(), public_names()
    difference = difflib.unified_diff(pinned, found, PUBLIC_NAMES.name, "found", n=0)
    update = "if this is meant, say so in CHANGELOG.md and run: python tests/test_house.py"
    hold(f"the public names changed; {update}", difference)


# ---- the two READMEs ----------------------------------------------------------------------------


def heading_levels(name: str) -> list[int]:
    text = re.sub(r"^```.*?^```$", "", (ROOT / name).read_text("utf-8"), flags=re.M | re.S)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.M)]


def test_both_readmes_have_the_same_headings() -> None:
    english, chinese = heading_levels("README.md"), heading_levels("README.zh-CN.md")
    assert english
    assert chinese == english


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PUBLIC_NAMES.write_text("\n".join(public_names()) + "\n", "utf-8")
