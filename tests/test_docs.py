"""The guide is true: its blocks run, print what is printed below them, and exist in both languages.

    python tests/test_docs.py

runs every page and writes what is printed now into the `text` blocks that follow `python` blocks.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.core.context import CURRENT

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

RUNNING = ("start", "graph", "errors", "coming_from")
"""The pages whose blocks are one program, from top to bottom."""

LINES = r"((?:(?!```).*\n)*)"
BLOCK = re.compile(rf"^```(python|sh)\n{LINES}```$(?:\n\n^```text\n{LINES}```$)?", re.M)

INSTALLING = ("git", "cd", "make", "pip", "python3")
"""Commands that set up the machine; the tests of packaging run them."""


def pages() -> list[str]:
    """The names of the pages, without their endings."""
    return sorted(
        path.name.removesuffix(".md")
        for path in DOCS.glob("*.md")
        if not path.name.endswith(".zh-CN.md")
    )


def source(page: str, language: str = "") -> str:
    return (DOCS / f"{page}{language}.md").read_text("utf-8")


def follow(page: str) -> list[tuple[str, str]]:
    """Do all that a page says; what it prints below a block, and what is printed."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = []
    for kind, code, printed in BLOCK.findall(source(page)):
        if kind == "sh":
            for line in code.splitlines():
                in_shell(line)
            continue
        said = in_python(code, namespace)
        if printed or said:
            found.append((printed, said))
    return found


def in_python(code: str, namespace: dict[str, object]) -> str:
    """What a block prints, the error that ends it included."""
    file = "page.py"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    token = CURRENT.set(None)
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(code, file, "exec"), namespace)
    except ms.errors.MatrixSlowError as error:
        out.write(f"{type(error).__name__}: {error}\n")
    finally:
        CURRENT.reset(token)
    return re.sub(r" +$", "", out.getvalue(), flags=re.M)


def in_shell(line: str) -> None:
    """Run a command of matrixslow as it is printed, in this folder."""
    words = shlex.split(line, comments=True)
    if not words or words[0] in INSTALLING:
        return
    assert words[0] in (".venv/bin/python", ".venv/bin/matrixslow"), line
    program = [sys.executable, *(["-m", "matrixslow"] if words[0].endswith("slow") else [])]
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
    result = subprocess.run(
        [*program, *words[1:]],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"


@pytest.mark.parametrize("page", RUNNING)
def test_a_page_does_what_it_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for printed, said in follow(page):
        assert printed == said


@pytest.mark.parametrize("page", pages())
def test_both_languages_have_the_same_headings_and_blocks(page: str) -> None:
    fence = re.compile(rf"^```(\w*)\n{LINES}```$", re.M)
    english, chinese = source(page), source(page, ".zh-CN")
    headings = [
        [len(marks) for marks in re.findall(r"^(#+) ", fence.sub("", text), flags=re.M)]
        for text in (english, chinese)
    ]
    assert headings[0] == headings[1]
    assert [m.groups() for m in fence.finditer(english)] == [
        m.groups() for m in fence.finditer(chinese)
    ]


@pytest.mark.parametrize(
    "path",
    [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("README*.md"))],
    ids=lambda path: path.name,
)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8"))
    missing = [x for x in links if "://" not in x and not (path.parent / x).exists()]
    assert missing == []


def test_the_index_names_every_page() -> None:
    for language in ("", ".zh-CN"):
        index = source("README", language)
        named = [page for page in pages() if page not in ("README", "benchmarks")]
        missing = [page for page in named if f"({page}{language}.md)" not in index]
        assert missing == []


def test_the_tree_of_errors_is_the_real_one() -> None:
    assert str(ms.errors.__doc__).split("\n\n")[1] in source("errors").replace("\n", "\n    ")


# ---- what scripts write --------------------------------------------------------------------------


def test_the_reference_has_every_public_name(tmp_path: Path) -> None:
    reference = runpy.run_path(str(DOCS / "reference.py"))
    reference["write"](tmp_path)
    public = (ROOT / "tests" / "public_names.txt").read_text("utf-8").split()
    missing = []
    for name in public:
        _, *package, last = name.split(".")
        page = tmp_path / f"{package[0] if package else 'matrixslow'}.md"
        if page.exists() and f"\n## {last}\n" not in page.read_text("utf-8"):
            missing.append(name)
    # Packages have pages of their own; the rest are values, not things to call.
    assert [name for name in missing if callable(value(name))] == []
    text = (tmp_path / "layers.md").read_text("utf-8")
    assert "- `units`: The size of the last axis of y." in text
    assert "padding: Padding = 'valid'" in text


def value(name: str) -> object:
    found: object = ms
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(
    ("script_name", "pictures"), [("pictures.py", "pictures"), ("cluster_pictures.py", "cluster")]
)
def test_every_picture_of_the_guide_is_drawn_by_its_script(
    script_name: str, pictures: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = runpy.run_path(str(DOCS / script_name))
    monkeypatch.setitem(script["main"].__globals__, "FOLDER", tmp_path)
    script["main"]()
    drawn, committed = (
        sorted(path.name for path in folder.iterdir()) for folder in (tmp_path, DOCS / pictures)
    )
    assert drawn == committed


# ---- what is called what -------------------------------------------------------------------------

X = np.float32([[0.5, -2.0, 1.0, 3.0], [-1.5, 0.25, 2.0, -0.5], [1.0, 1.5, -3.0, 0.75]])
W = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(4, 3)
IMAGE = np.linspace(-1.0, 1.0, 3 * 64, dtype=np.float32).reshape(3, 1, 8, 8)
ARRAYS = {
    "x": X,
    "y": X[::-1].copy(),
    "w": W,
    "labels": np.array([2, 0, 1]),
    "image": IMAGE,
    "kernel": np.linspace(0.0, 1.0, 18, dtype=np.float32).reshape(2, 1, 3, 3),
}


def rows(title: str) -> list[tuple[str, str]]:
    """The code in the rows of the table that stands first below a heading."""
    _, _, text = source("coming_from").partition(f" {title}\n")
    table = re.search(r"^\|---.*\n((?:\|.*\n)+)", text, re.M)
    assert table is not None
    return re.findall(r"^\| `(.+?)` \| (?:`(.+?)` )?\|$", table[1], re.M)


@pytest.mark.parametrize("row", rows("Operators"), ids=lambda row: row[1])
def test_an_operator_of_torch_is_ours(row: tuple[str, str]) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = row
    tensors = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    expected = eval(theirs, {"torch": torch, "F": torch.nn.functional, **tensors})
    with ms.Graph() as graph:
        nodes = {name: ms.Constant(array, dtype=array.dtype.name) for name, array in ARRAYS.items()}
        found = graph.forward(eval(ours, {"ms": ms, **nodes}))
    assert found.shape == tuple(expected.shape)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "ours",
    [
        ours
        for title in ("Parts", "From Keras", "From MatrixSlow")
        for _, ours in rows(title)
        if ours
    ],
)
def test_what_ours_is_called_is_there(
    ours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ms.Graph(seed=0) as graph:
        image = ms.Input((None, 1, 8, 8), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        w = ms.Variable(np.zeros((64, 10)), name="weights")
        scores = ms.ops.MatMul(ms.layers.flatten(image), w, name="scores")
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
        trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.1))
        names = {name: ms.Constant(array, dtype=array.dtype.name) for name, array in ARRAYS.items()}
        data = {image: IMAGE, label: ARRAYS["labels"]}
        trainer.fit(data, progress=False)
        graph.forward(loss, data)
        graph.save("model.npz")
        others = {
            "s": ms.Constant(2.0),
            "series": ms.Input((None, 5, 4), name="series"),
            "data_x": IMAGE,
            "data_y": ARRAYS["labels"],
            "trainer": trainer,
            "graph": graph,
            "image": image,
            "label": label,
            "scores": scores,
            "loss": loss,
        }
        threads = ms.get_threads()
        try:
            eval(ours, {"ms": ms, **names, **others})
        finally:
            ms.set_threads(threads)


def rewrite(page: str) -> None:
    """Put what is printed now on a page, in both languages."""
    said = [now for _, now in follow(page)]
    for language in ("", ".zh-CN"):
        left = iter(said)

        def put(match: re.Match[str], left: object = left) -> str:
            kind, code, printed = match.groups()
            if kind == "sh" or printed is None:
                return match[0]
            return f"```python\n{code}```\n\n```text\n{next(left)}```"  # type: ignore[call-overload]

        text = BLOCK.sub(put, source(page, language))
        (DOCS / f"{page}{language}.md").write_text(text, "utf-8")


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    for name in RUNNING:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            rewrite(name)
        print(f"{name}: written")
