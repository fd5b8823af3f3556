"""Draw: the right file for each suffix, graphviz held at arm's length, and networks."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import networkx
import pytest

import matrixslow as ms
from matrixslow.errors import ArgumentError, MissingExtra
from matrixslow.render import dot as dot_module
from matrixslow.render import draw, to_networkx
from matrixslow.render.layout import arrange

draw_module = sys.modules["matrixslow.render.draw"]  # the package has a function of that name

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")


@pytest.fixture
def model() -> ms.Graph:
    with ms.Graph() as graph:
        x = ms.Input((None, 2), name="x")
        with graph.scope("dense"):
            w = ms.Variable([1.0, 2.0], name="w")
            h = ms.ops.Tanh(x * w)
        ms.ops.Mul(h, h, name='a "quoted" <name> \\N')
    return graph


def fake_dot(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called dot on the PATH, and nothing else."""
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def labels(path: Path) -> set[str]:
    root = ElementTree.parse(path).getroot()
    return {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}


def test_svg_by_our_own_layout(
    model: ms.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    model.draw(tmp_path / "model.svg")
    assert {"x", "w", "Mul", "Tanh", "dense · 2 parameters", "(None, 2) float32"} <= labels(
        tmp_path / "model.svg"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model.svg"]


def test_options_reach_the_picture(model: ms.Graph, tmp_path: Path) -> None:
    draw(model["dense/tanh"], str(tmp_path / "part.SVG"), fold="dense", engine="own")
    found = labels(tmp_path / "part.SVG")
    assert "4 nodes · 2 parameters" not in found
    assert "3 nodes · 2 parameters" in found
    assert "Tanh" not in found


def test_a_large_model_fits_on_a_screen(tmp_path: Path) -> None:
    with ms.Graph() as graph:
        h = ms.Input((None, 8), name="x")
        for _ in range(3):
            with graph.scope("stage", unique=True):
                for _ in range(6):
                    h = ms.layers.dense(h, 8, activation="relu")
        for _ in range(4):
            h = ms.layers.dense(h, 8)
        loss = ms.ops.ReduceSum(h, keepdims=False, name="loss")
        ms.optimizers.SGD(0.1).minimize(loss)
    graph.draw(tmp_path / "large.svg", gradients=True)
    root = ElementTree.parse(tmp_path / "large.svg").getroot()
    assert float(root.get("height")) < 1080
    assert {"stage", "stage_1", "stage_2", "dense", "dense_3", "gradients"} <= labels(
        tmp_path / "large.svg"
    )
    graph.draw(tmp_path / "opened.svg", gradients=True, fold=60)
    assert "stage · 432 parameters" in labels(tmp_path / "opened.svg")


def test_what_cannot_be_folded_is_laid_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ms.Graph() as graph:
        h = ms.Input((None, 4), name="x")
        for _ in range(10):
            h = ms.layers.dense(h, 4)
        for _ in range(120):
            h = ms.ops.Tanh(h)
    calls = []
    monkeypatch.setattr(draw_module, "arrange", lambda picture: calls.append(1) or arrange(picture))
    graph.draw(tmp_path / "long.svg")
    assert len(calls) == 1
    assert {"dense", "dense_9", "tanh_119"} <= labels(tmp_path / "long.svg")


def test_dot_text_needs_no_program(
    model: ms.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    draw(model, tmp_path / "model.dot")
    text = (tmp_path / "model.dot").read_text()
    assert text.startswith("digraph model {")
    assert "subgraph cluster_0 {" in text
    assert text.count("->") == 4
    assert 'label="(None, 2) float32"' in text


@needs_dot
def test_graphviz_reads_the_dot_text_as_it_is_meant(model: ms.Graph, tmp_path: Path) -> None:
    draw(model, tmp_path / "model.dot")
    done = subprocess.run(
        ["dot", "-Tjson", tmp_path / "model.dot"], capture_output=True, check=True, timeout=60
    )
    found = json.loads(done.stdout)
    names = {thing["name"]: thing for thing in found["objects"]}
    assert {"n0", "n1", "n2", "n3", "n4", "cluster_0"} == set(names)
    text = names["n4"]["_ldraw_"]
    assert [part["text"] for part in text if part["op"] == "T"] == [
        "Mul",
        'a "quoted" <name> \\N',
    ]


@needs_dot
@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_graphviz_draws(model: ms.Graph, tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    draw(model, path, engine="graphviz")
    assert path.read_bytes().startswith(start)


# ---- graphviz fails ---------------------------------------------------------------------------


def test_png_without_graphviz_is_refused_and_leaves_the_old_file(
    model: ms.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.png"
    path.write_text("old")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra) as caught:
        draw(model, path)
    assert str(caught.value) == (
        "draw: .png needs graphviz, but the program dot is not on the PATH\n"
        "  hint   install graphviz (apt install graphviz, brew install graphviz) or matplotlib "
        "(pip install 'matrixslow[pictures]'), or draw an .svg or .html, which need nothing"
    )
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "import sys; sys.exit('first line\\nout of memory')",
            "dot ended with exit code 1: out of memory",
        ),
        ("import time; time.sleep(60)", "dot took more than 0.2 seconds"),
    ],
)
def test_svg_falls_back_with_a_warning(
    model: ms.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    fake_dot(tmp_path, monkeypatch, script)
    monkeypatch.setattr(dot_module, "SECONDS", 0.2)
    with pytest.warns(RuntimeWarning) as caught:
        draw(model, tmp_path / "model.svg", engine="graphviz")
    assert str(caught[0].message) == (
        f"draw: {reason}; the picture is drawn by our own layout instead"
    )
    assert caught[0].filename == __file__
    assert "Tanh" in labels(tmp_path / "model.svg")


def test_a_dot_that_cannot_start(
    model: ms.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dot").write_text("#!/no/such/interpreter\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingExtra, match=r"^draw: \.pdf needs graphviz, but dot does not start: "
    ):
        draw(model, tmp_path / "model.pdf")


@pytest.mark.parametrize("package", ["graphviz", "networkx"])
def test_packages_that_are_not_installed(
    model: ms.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra) as caught:
        draw(model, tmp_path / "model.dot") if package == "graphviz" else to_networkx(model)
    what = {"graphviz": "DOT text is made by", "networkx": "to_networkx needs"}[package]
    assert str(caught.value) == (
        f"{what} the package {package}, which is not installed\n  hint   pip install {package}"
    )


# ---- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "model.jpg",
            {},
            "draw: no picture format is known for 'model.jpg'\n"
            "  hint   end the name in .svg, .html, .dot, .png or .pdf",
        ),
        (
            "model.svg",
            {"engine": "neato"},
            "draw: engine='neato'\n  hint   give 'own', 'graphviz'",
        ),
    ],
)
def test_refusals(model: ms.Graph, name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        draw(model, name, **options)
    assert str(caught.value) == message
    assert not Path(name).exists()


def test_missing_folders_are_made(model: ms.Graph, tmp_path: Path) -> None:
    draw(model, tmp_path / "new" / "deep" / "model.svg")
    assert "Tanh" in labels(tmp_path / "new" / "deep" / "model.svg")


def test_a_folder_that_cannot_be_made_is_named(model: ms.Graph, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(FileExistsError, match=r"/file'$"):
        draw(model, tmp_path / "file" / "model.svg")
    assert (tmp_path / "file").read_text() == "kept"


# ---- networks -----------------------------------------------------------------------------------


def test_a_network(model: ms.Graph) -> None:
    network = model.to_networkx()
    assert isinstance(network, networkx.DiGraph)
    assert list(network) == [node.name for node in model.nodes]
    assert networkx.is_directed_acyclic_graph(network)
    last = model.nodes[-1]
    assert network.edges["dense/tanh", last.name] == {"positions": (0, 1)}
    assert network.edges["x", "dense/mul"] == {"positions": (0,)}
    assert network.edges["dense/w", "dense/mul"] == {"positions": (1,)}
    assert network.nodes["dense/w"] == {
        "operator": "Variable",
        "options": (),
        "category": "variable",
        "scope": "dense",
        "shape": (2,),
        "dtype": "float32",
        "parameters": 2,
        "trainable": True,
        "built": str(model["dense/w"].site),
    }


def test_importing_render_loads_neither_package() -> None:
    code = "import sys, matrixslow.render; print({'networkx', 'graphviz'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
