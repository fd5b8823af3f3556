"""The page: what is in the file, and what a real browser makes of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, open_browser
from test_render_svg import HOSTILE

import matrixslow as ms
from matrixslow.errors import ArgumentError
from matrixslow.render import draw
from matrixslow.render.item import read_items
from matrixslow.render.page import to_html
from matrixslow.render.picture import make_picture


def facts(path: Path) -> dict:
    """The graph that is in a page."""
    found = re.search(r'<script id="graph"[^>]*>(.*?)</script>', path.read_text("utf-8"), re.S)
    return json.loads(found[1])


@pytest.fixture(scope="module")
def model() -> ms.Graph:
    """Two dense layers in a scope, a loss, what has run, and an optimizer."""
    with ms.Graph(seed=0) as graph:
        x = ms.Input((None, 3), name="x")
        label = ms.Input((None,), dtype="int64", name="label")
        with graph.scope("tower"):
            h = ms.layers.dense(x, 4, activation="tanh", name="lower")
            h = ms.layers.dense(h, 2, name="upper")
        loss = ms.ops.SoftmaxCrossEntropy(h, label, name="loss")
        ms.optimizers.SGD(0.1).minimize(loss)
    graph.forward(loss, {x: np.ones((5, 3)), label: [0, 1, 0, 1, 1]})
    graph.backward(loss)
    return graph


@pytest.fixture(scope="module")
def page(model: ms.Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "model.html"
    model.draw(path, fold="tower")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, page: Path) -> Iterator[Browser]:
    """The browser with the page; whatever a test does, nothing fails in it or is fetched."""
    chromium.errors.clear()
    chromium.requests.clear()
    chromium.open(page)
    yield chromium
    chromium.run("0")
    assert chromium.errors == []
    assert {url.partition(":")[0] for url in chromium.requests} <= {"file", "about"}


def shown(browser: Browser) -> set[str]:
    """The names of all boxes."""
    return set(browser.run("[...document.querySelectorAll('.box')].map(b => b.dataset.name)"))


def panel(browser: Browser) -> str:
    return browser.run("document.getElementById('panel').innerText")


# ---- the file ---------------------------------------------------------------------------------


def test_it_is_one_file_that_asks_for_nothing(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not re.search(r"""(src|href)=["']?(?!#)|@import|url\(|fetch\(|{{""", text)
    assert set(re.findall(r"https?://[^\"'\s]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text
    assert text.count("<title>") == 1
    assert "<title>model</title>" in text


def test_it_tells_all_about_each_node(page: Path, model: ms.Graph) -> None:
    found = facts(page)
    nodes = {node["name"]: node for node in found["nodes"]}
    assert list(nodes) == [node.name for node in model.nodes]
    tanh = nodes["tower/lower/tanh"]
    assert tanh["operator"] == "Tanh"
    assert tanh["spec"] == "(None, 4) float32"
    assert [found["nodes"][x]["name"] for x in tanh["inputs"]] == ["tower/lower/add"]
    assert found["formulas"]["Tanh"]["formula"].startswith("y = tanh(x)")
    assert found["formulas"]["Tanh"]["shapes"].startswith("x (any)")
    assert 'ms.layers.dense(x, 4, activation="tanh"' in tanh["source"]
    value = np.asarray(model["tower/lower/tanh"].value, "float64")
    assert dict(tanh["value"]) == {
        "shape": "(5, 4)",
        "minimum": f"{value.min():.4g}",
        "mean": f"{value.mean():.4g}",
        "deviation": f"{value.std():.4g}",
        "maximum": f"{value.max():.4g}",
        "norm": f"{np.linalg.norm(value):.4g}",
        "zeros": "0",
    }
    slope = np.asarray(model["tower/lower/W"].gradient, "float64")
    assert dict(nodes["tower/lower/W"]["gradient"])["norm"] == f"{np.linalg.norm(slope):.4g}"
    assert nodes["tower/lower/W"]["parameters"] == "12"
    assert nodes["loss"]["value"] == [["value", f"{float(model['loss'].value):.6g}"]]
    assert "reduction='mean'" in nodes["loss"]["options"]
    scopes = {scope["name"]: scope for scope in found["scopes"]}
    assert scopes["tower"]["lines"][0].endswith(" nodes · 26 parameters")
    assert ["MatMul", 2] in scopes["tower"]["operators"]


def test_what_is_not_finite_is_counted(tmp_path: Path) -> None:
    with ms.Graph() as graph:
        y = ms.ops.Log(ms.Constant([1.0, 0.0]), name="y")
    with np.errstate(divide="ignore"):
        graph.forward(y)
    draw(graph, tmp_path / "log.html")
    assert facts(tmp_path / "log.html")["nodes"][-1]["value"][-1] == ["not finite", "1"]


def test_graphviz_draws_no_page(model: ms.Graph, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        draw(model, tmp_path / "model.html", engine="graphviz")
    assert str(caught.value) == (
        'draw: engine="graphviz" draws no .html\n  hint   leave engine out'
    )
    draw(model, tmp_path / "model.html", engine="own")
    assert [path.name for path in tmp_path.iterdir()] == ["model.html"]


def test_an_empty_graph_has_a_page(tmp_path: Path) -> None:
    draw(ms.Graph(), tmp_path / "empty.html")
    assert facts(tmp_path / "empty.html")["nodes"] == []


# ---- in a browser -------------------------------------------------------------------------------


def test_it_shows_what_the_picture_shows(browser: Browser, model: ms.Graph) -> None:
    picture = make_picture(read_items(model), fold=["tower"])
    assert shown(browser) == {box.name for box in picture.boxes} == {"x", "label", "tower", "loss"}
    words = browser.run("document.getElementById('world').textContent")
    assert all(word in words for word in ("(None, 2) float32", "26 parameters", "SoftmaxCross"))
    assert "for training" in browser.run("document.getElementById('note').textContent")
    assert browser.run("document.getElementById('legend').innerText").split() >= ["input", "loss"]


def test_a_click_unfolds_a_scope_and_another_folds_it(browser: Browser) -> None:
    before = browser.middle('.box[data-name="tower"] path')
    browser.click('.box[data-name="tower"]')
    assert {"tower/lower", "tower/upper"} <= shown(browser)
    assert "tower" not in shown(browser)
    browser.click('.frame[data-name="tower"] .strip')
    assert shown(browser) == {"x", "label", "tower", "loss"}
    assert browser.middle('.box[data-name="tower"] path') == pytest.approx(before, abs=1)
    browser.click("#unfold")
    assert {"tower/lower/W", "tower/upper/matmul"} <= shown(browser)
    browser.click("#fold")
    assert shown(browser) == {"x", "label", "tower", "loss"}


def test_a_click_explains_a_node(browser: Browser, model: ms.Graph) -> None:
    browser.click('.box[data-name="loss"]')
    text = panel(browser)
    for part in (
        "SoftmaxCrossEntropy", "loss = -sum_c t_c log(softmax(scores)_c)", "() float32",
        f"{float(model['loss'].value):.6g}", "tower/upper/add", "reduction='mean'",
        "test_render_page.py:", "ms.ops.SoftmaxCrossEntropy(h, label",
    ):  # fmt: skip
        assert part in text
    assert browser.run("document.querySelectorAll('.chosen').length") == 1
    assert browser.run("document.querySelectorAll('.edge.near').length") == 2
    browser.run(
        "[...document.querySelectorAll('#panel li button')].find("
        "b => b.innerText === 'tower/upper/add').click()"
    )
    assert "tower/upper/add" in shown(browser)
    assert panel(browser).splitlines()[1:2] == ["tower/upper/add"]
    browser.click("#panel .close")
    assert browser.run("document.getElementById('panel').hidden")


def test_search_finds_what_is_folded(browser: Browser) -> None:
    browser.press("/", *"lower tanh")
    found = browser.run("document.getElementById('found').innerText").splitlines()
    assert found[0] == "tower/lower/tanh Tanh"
    assert all("lower" in line and "tanh" in line for line in found)
    browser.press("Enter")
    assert "tower/lower/tanh" in shown(browser)
    assert "y = tanh(x)" in panel(browser)
    assert browser.run("document.activeElement.dataset.name") == "tower/lower/tanh"
    browser.press("/")
    browser.run("search.value = ''")
    browser.press(*"no such thing")
    assert browser.run("document.getElementById('found').innerText") == "nothing found"
    browser.press("Escape")
    assert browser.run("document.getElementById('found').hidden")


def test_all_is_reached_by_keys(browser: Browser) -> None:
    for _ in range(12):
        browser.press("Tab")
        if browser.run("document.activeElement.classList.contains('box')"):
            break
    focus = "document.activeElement.dataset.name"
    assert browser.run(focus) == "x"
    browser.press("ArrowDown")
    assert browser.run(focus) == "tower"
    browser.press("Enter")
    assert "tower/lower" in shown(browser)
    assert browser.run(focus) == "tower"
    browser.press("Enter")
    assert "tower" in shown(browser)
    browser.press("ArrowDown", "Enter")
    assert browser.run(focus) == "loss"
    assert "SoftmaxCrossEntropy" in panel(browser)
    browser.press("Escape")
    assert browser.run("document.getElementById('panel').hidden")
    browser.press("ArrowUp")
    assert browser.run(focus) in ("tower", "label")
    scale = browser.run("view.scale")
    browser.press("+")
    assert browser.run("view.scale") == pytest.approx(1.25 * scale)
    browser.press("0")
    assert browser.run("view.scale") == pytest.approx(scale)


def test_f_folds_the_scope_around(browser: Browser) -> None:
    browser.run("location.hash = 'tower/lower/tanh'")
    browser.wait("document.querySelector('[data-name=\"tower/lower/tanh\"]') !== null")
    browser.press("f")
    assert "tower/lower" in shown(browser)
    assert browser.run("document.activeElement.dataset.name") == "tower/lower"


def test_the_address_names_what_is_chosen(browser: Browser, page: Path) -> None:
    browser.open(page, part="#tower/upper/W")
    assert "tower/upper/W" in shown(browser)
    assert "8\n" in panel(browser).partition("parameters")[2]
    assert browser.run("location.hash") == "#tower%2Fupper%2FW"
    browser.open(page, part="#%E0%A4")
    assert shown(browser) == {"x", "label", "tower", "loss"}


def test_gradients_are_shown_on_request(browser: Browser) -> None:
    browser.click("#gradients")
    assert {"gradients", "sgd"} <= shown(browser)
    browser.press("/", *"gradients loss", "Enter")
    browser.click("#gradients")
    assert not any(name.startswith("gradients") for name in shown(browser))


def test_the_wheel_zooms_at_the_pointer_and_a_drag_moves(browser: Browser) -> None:
    x, y = browser.middle('.box[data-name="loss"]')
    browser.wheel((x, y), -200)
    assert browser.run("view.scale") > 1.3
    assert browser.middle('.box[data-name="loss"]') == pytest.approx((x, y), abs=2)
    browser.drag((x, y), (-60, 25))
    assert browser.middle('.box[data-name="loss"]') == pytest.approx((x - 60, y + 25), abs=2)
    assert browser.run("document.getElementById('panel').hidden")


def test_on_paper_all_of_it_is_seen(browser: Browser) -> None:
    width, height = browser.run("[drawn.places.width, drawn.places.height]")
    browser.run("zoom(3)")
    seen = "[canvas.getAttribute('viewBox'), world.getAttribute('transform')]"
    before = browser.run(seen)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    box, transform = browser.run(seen)
    assert [float(word) for word in box.split()] == [-20, -20, width + 40, height + 40]
    assert transform is None
    assert browser.call("Page.printToPDF")["data"].startswith("JVBER")  # %PDF
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(seen) == before


def test_it_is_dark_where_the_screen_is(browser: Browser) -> None:
    colour = (
        "getComputedStyle(document.querySelector('.operator path')).fill"
        " + getComputedStyle(document.body).backgroundColor"
    )
    light = browser.run(colour)
    media = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", features=media)
    assert browser.run(colour) != light
    assert "rgb(21, 24, 28)" in browser.run(colour)
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert browser.run(colour) == light


def test_a_profile_colours_the_page(
    chromium: Browser, browser: Browser, model: ms.Graph, tmp_path: Path
) -> None:
    path = tmp_path / "heat.html"
    model.draw(path, profile={"tower/lower/tanh": 0.003, "loss": 0.001}, fold=["tower"])
    chromium.open(path)
    kinds = chromium.run("[...document.querySelectorAll('.box')].map(b => b.getAttribute('class'))")
    assert set(kinds) == {"box input", "box operator h4", "box loss h4"}
    assert "3 ms · 75 %" in chromium.run("document.getElementById('world').textContent")
    assert "from 25 %" in chromium.run("document.getElementById('legend').innerText")
    chromium.press("/", *"tanh", "Enter")
    assert "3 ms · 75 %" in panel(chromium)


def test_hostile_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    name = HOSTILE.replace("\x00", "").replace("\x1b", "").replace("\ud800", "").replace("/", "|")
    with ms.Graph() as graph:
        x = ms.Input((2,), name=name.strip())
        ms.ops.Tanh(x)
    path = tmp_path / "hostile.html"
    items = read_items(graph)
    path.write_text(to_html(graph.nodes, items, make_picture(items), title=HOSTILE), "utf-8",
                    errors="replace")  # fmt: skip
    browser.open(path)
    assert name.strip() in shown(browser)
    browser.click(".box.input")
    assert name.strip()[:20] in panel(browser)
    assert browser.run("document.scripts.length") == 2


CLASHES = """(() => {
  const { things, frames, places, edges } = drawn;
  const rects = things.map((t, i) => ({ ...places.boxes[i], width: t.width, height: t.height }));
  const apart = (a, b) => a.x + a.width <= b.x || b.x + b.width <= a.x
    || a.y + a.height <= b.y || b.y + b.height <= a.y;
  const within = (a, b) => a.x >= b.x && a.y >= b.y
    && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height;
  const found = [];
  rects.forEach((a, i) => rects.slice(i + 1).forEach((b, j) => {
    if (!apart(a, b)) found.push(['overlap', things[i].name, things[i + 1 + j].name]);
  }));
  things.forEach((thing, i) => frames.forEach((frame, f) => {
    const inside = thing.name.startsWith(frame.name + '/');
    if (inside ? !within(rects[i], places.frames[f]) : !apart(rects[i], places.frames[f])) {
      found.push(['frame', thing.name, frame.name]);
    }
  }));
  const all = [...places.routes.values()].map(route => route.tips).join('');
  const tips = all.split('M').length - 1;
  if (tips !== edges.length) found.push(['tips', tips, edges.length]);
  if (!rects.every(r => r.x > -0.01 && r.y > -0.01)) found.push(['nowhere']);
  return found;
})()"""


@pytest.mark.parametrize("name", ["cnn", "resnet", "lstm", "deepfm", "gpt"])
def test_nothing_overlaps_however_much_is_unfolded(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    model = ms.testing.REFERENCE_MODELS[name]()
    ms.gradients(model.loss, [w for w in model.graph.variables if w.trainable])
    model.graph.draw(tmp_path / "model.html")
    browser.open(tmp_path / "model.html")
    assert browser.run(CLASHES) == []
    browser.run("foldAll(true)")
    assert browser.run(CLASHES) == []
    browser.click("#gradients")
    assert browser.run("drawn.things.length") == len(model.graph)
    assert browser.run(CLASHES) == []
    browser.run("foldAll(false)")
    assert browser.run(CLASHES) == []


def test_folding_may_close_a_cycle(browser: Browser, tmp_path: Path) -> None:
    with ms.Graph() as graph:
        with graph.scope("a"):
            x = ms.Input((2,), name="x")
            ms.ops.Exp(x)
        with graph.scope("b"):
            y = ms.ops.Tanh(ms.ops.Neg(x))
        with graph.scope("a"):
            ms.ops.Mul(y, y)
    graph.draw(tmp_path / "cycle.html", fold=0)
    browser.open(tmp_path / "cycle.html")
    assert shown(browser) == {"a", "b"}
    assert browser.run("drawn.edges.length") == 2
    assert browser.run(CLASHES) == []


CROOKED = """((picture) => {
  const { boxes, frames, edges } = picture;
  const places = arrange(picture);
  const label = (box) => box.label ? 16 : 0;
  const rects = boxes.map((box, i) => {
    const width = Math.max(box.width, box.room), { x, y } = places.boxes[i];
    return { x: x - (width - box.width) / 2, y, width, height: box.height + label(box) };
  });
  const eps = 0.01, found = [];
  const apart = (a, b) => a.x + a.width <= b.x + eps || b.x + b.width <= a.x + eps
    || a.y + a.height <= b.y + eps || b.y + b.height <= a.y + eps;
  const within = (a, b) => a.x >= b.x - eps && a.y >= b.y - eps
    && a.x + a.width <= b.x + b.width + eps && a.y + a.height <= b.y + b.height + eps;
  const around = (frame) => {
    const chain = [];
    for (; frame >= 0; frame = frames[frame].parent) chain.push(frame);
    return chain;
  };
  const paper = { x: 0, y: 0, width: places.width, height: places.height };
  const things = [...rects.map((rect, i) => [rect, around(boxes[i].frame)]),
    ...places.frames.map((rect, f) => [rect, around(frames[f].parent), f])];
  things.forEach(([rect, chain, own], i) => {
    if (!within(rect, paper)) found.push(["paper", i]);
    for (const frame of chain) {
      if (!within(rect, places.frames[frame])) found.push(["frame", i, frame]);
    }
    things.slice(i + 1).forEach(([other, outside, f], j) => {
      if (outside.includes(own) || chain.includes(f)) return;
      if (!apart(rect, other)) found.push(["overlap", i, i + 1 + j]);
    });
  });
  const all = [...places.routes.values()].map((route) => route.lines + route.tips).join("");
  if (/NaN|Infinity|undefined/.test(all)) found.push(["numbers"]);
  edges.forEach(([tail, head]) => {
    const { x, y } = places.boxes[head], { width } = boxes[head];
    const ends = [...places.routes.get(tail).tips.matchAll(/L(\\S+) (\\S+)z/g)];
    const hit = ([, ex, ey]) => Math.abs(ey - y) < 0.1 && ex >= x - 0.1 && ex <= x + width + 0.1;
    if (!ends.some(hit)) found.push(["end", tail, head]);
  });
  return found;
})"""


def random_picture(rng: np.random.Generator) -> dict:
    """Boxes in nested frames, with edges of which some lead back."""
    frames = [
        {"title": float(rng.integers(40, 300)), "parent": int(rng.integers(-1, number))}
        for number in range(rng.integers(0, 6))
    ]
    count = int(rng.integers(1, 25))
    boxes = [
        {
            "width": (width := float(rng.integers(20, 160))),
            "face": width - 14,
            "height": float(rng.choice([28, 42, 60])),
            "room": max(width, float(rng.choice([0, 90, 140]))),
            "label": bool(rng.integers(2)),
            "frame": int(rng.integers(-1, len(frames))),
        }
        for _ in range(count)
    ]
    inside = {box["frame"] for box in boxes} | {frame["parent"] for frame in frames}
    empty = [number for number in range(len(frames)) if number not in inside]
    plain = {"width": 40.0, "face": 26.0, "height": 28.0, "room": 40.0, "label": False}
    boxes += [{**plain, "frame": frame} for frame in empty]
    pairs = rng.integers(0, len(boxes), (2 * count, 2))
    if rng.random() < 0.7:
        pairs.sort(axis=1)
    edges = sorted({(int(tail), int(head)) for tail, head in pairs if tail != head})
    return {"boxes": boxes, "frames": frames, "edges": edges}


def test_any_picture_is_arranged_without_overlap(
    browser: Browser, rng: np.random.Generator
) -> None:
    for _ in range(150):
        picture = random_picture(rng)
        assert browser.run(f"{CROOKED}({json.dumps(picture)})") == [], picture
