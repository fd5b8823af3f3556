"""The lessons in examples/ run in their short form, and teach the right numbers."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
LESSONS = sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.py"))


class Course:
    """Runs lessons as a reader does, with the pictures in a folder of the test's own."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.syspath_prepend(FOLDER)
        monkeypatch.chdir(FOLDER.parent)  # data is looked for from there

    def run(self, lesson: str) -> dict[str, Any]:
        """The names that the lesson has defined by its end; skips where it lacks data."""
        words = [f"{lesson}.py", "--smoke", "--folder", str(self.folder)]
        self._monkeypatch.setattr(sys, "argv", words)
        code, found = 0, {}
        try:
            found = runpy.run_path(str(FOLDER / f"{lesson}.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code
        printed = self._capsys.readouterr().out
        assert code == 0, printed
        if not found:
            pytest.skip(printed[printed.index("skipped:") :].splitlines()[0])
        found["printed"] = printed
        for path in self.folder.glob("*.svg"):
            ElementTree.parse(path)
            assert str(path) in found["printed"]
        return found


@pytest.fixture
def course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Course:
    return Course(tmp_path, monkeypatch, capsys)


def test_both_tables_of_contents_name_every_lesson() -> None:
    assert LESSONS
    for name in ("README.md", "README.zh-CN.md"):
        text = (FOLDER / name).read_text("utf-8")
        contents = text[: text.index("mnist.py")]
        places = [contents.index(f"({lesson}.py)") for lesson in LESSONS]
        assert places == sorted(places)


def test_every_lesson_has_a_test_of_what_it_teaches() -> None:
    here = Path(__file__).read_text("utf-8")
    assert [lesson for lesson in LESSONS if f'course.run("{lesson}")' not in here] == []


def test_tickets(course: Course) -> None:
    found = course.run("01_tickets")["found"]
    for method in ("elimination", "inverse", "Solve", "Jacobi", "Gauss-Seidel", "with momentum"):
        np.testing.assert_allclose(found[method], [16, 22], atol=1e-6, err_msg=method)
    assert np.abs(found["Jacobi, as given"]).max() > 900
    assert abs(found["descent"][0] - 16) > 10


def test_the_party_as_a_row_and_vectors(course: Course) -> None:
    found = course.run("01_tickets")
    np.testing.assert_allclose(found["as_row"], [16, 22])
    assert found["sides"][0] == pytest.approx(found["sides"][1])
    for outcome in ("one solution", "none", "as many as one likes"):
        assert found["printed"].count(f": {outcome}\n") == 1


def test_large_systems(course: Course) -> None:
    curves = course.run("02_large_systems")["curves"]
    steps = {name: len(errors) - 1 for name, errors in curves.items()}
    assert all(errors[-1] < 1e-8 for errors in curves.values())
    assert steps["Jacobi"] == steps["Jacobi, graph"]
    assert steps["Gauss-Seidel"] == pytest.approx(steps["Jacobi"] / 2, rel=0.05)
    assert steps["Gauss-Seidel, graph"] == pytest.approx(steps["Gauss-Seidel"], rel=0.05)
    assert steps["ILU"] < 10 > steps["BiCGSTAB with ILU (SciPy)"]


def test_arrays(course: Course) -> None:
    found = course.run("03_arrays")
    shown = {name: value.tolist() for name, value in found["shown"].items()}
    assert shown["b[0,1]"] == 2
    assert shown["b[:,1]"] == [2, 5, 8, 11]
    assert shown["b[1,:]"] == [4, 5, 6]
    assert shown["b[1,1:]"] == [5, 6]
    assert shown["b[1,:2]"] == [4, 5]
    assert shown == {name: array.tolist() for name, (array, _) in found["access"].items()}


def test_tensors(course: Course) -> None:
    found = course.run("04_tensors")
    assert [tensor.ndim for tensor in found["tensors"].values()] == [0, 1, 2, 3, 4, 5]
    assert found["w"].gradient.tolist() == [1.0, 2.0]
    assert found["y"].value == 12.0
    assert {node.shape for node in found["made"].values()} == {(2, 2)}


def test_operations(course: Course) -> None:
    found = course.run("05_operations")
    np.testing.assert_allclose(found["at_once"], found["by_loops"], atol=1e-4)
    results = found["results"]
    assert results["Where(Greater(y, 0), x, y)"].tolist() == [1.0, -3.0, 9.0]
    assert results["m @ n"].tolist() == [[4.0, 7.0], [10.0, 16.0]]
    np.testing.assert_array_equal(
        results["Conv(image, kernel)"].ravel(), results["  the same: kernel row @ patches"].ravel()
    )
    assert len(results) > 35


def test_chain_rule(course: Course) -> None:
    found = course.run("06_chain_rule")
    assert found["first"] * found["second"] == found["whole"] == 15.0
    np.testing.assert_allclose(found["slopes"], 2 * found["values"], rtol=1e-6)
    assert found["right_angle"] == pytest.approx(0)
    for name, gradient in found["layers"].items():
        np.testing.assert_allclose(gradient, found["by_hand"][name], rtol=1e-6, err_msg=name)
    x = found["x"]
    np.testing.assert_allclose(x.gradient, 2 / 3 * (x.value + 1), rtol=1e-12)


def test_linear_regression(course: Course) -> None:
    found = course.run("07_linear_regression")
    for way in ("by graph", "ready parts"):
        for mine, its in zip(found["rows"]["by hand"], found["rows"][way], strict=True):
            np.testing.assert_allclose(its, mine, rtol=1e-4, err_msg=way)
    np.testing.assert_allclose(found["ready"][0], found["true_w"], atol=1e-3)


def test_perceptron_and_adaline(course: Course, data_folder: Path) -> None:
    found = course.run("08_perceptron_adaline")
    for rule, (by_hand, by_framework) in found["weights"].items():
        for mine, its in zip(by_hand, by_framework, strict=True):
            np.testing.assert_allclose(its.ravel(), mine.ravel(), rtol=1e-4, err_msg=rule)
    assert min(found["accuracies"].values()) > 0.95


def test_classification(course: Course, data_folder: Path) -> None:
    found = course.run("09_classification")
    np.testing.assert_allclose(found["scores"].gradient, found["slope_by_hand"], atol=1e-6)
    np.testing.assert_allclose(found["ready_w"], found["w"], atol=1e-4)
    np.testing.assert_allclose(found["logistic_w"], found["logistic_hand"], atol=1e-4)
    assert found["logistic_accuracy"] > 0.9
    assert np.mean(found["iris_accuracies"]) >= 0.96


def test_multilayer_perceptron(course: Course) -> None:
    found = course.run("10_multilayer_perceptron")
    np.testing.assert_allclose(found["once"], found["twice"], rtol=1e-6)
    np.testing.assert_allclose(found["hand_losses"], found["ready"]["loss"], rtol=1e-3)
    assert found["count"] == found["epochs"] * found["iterations"] == 800
    assert found["linear_accuracy"] < 0.8 < 0.97 < found["ready_accuracy"]


def test_optimizers(course: Course) -> None:
    found = course.run("11_optimizers")
    assert found["in_valley"]["SGD"][-1] == pytest.approx(found["hand_loss"], rel=1e-3)
    assert all(losses[-1] < 1.0 for losses in found["in_valley"].values())
    assert min(found["accuracies"].values()) > 0.8


def test_factorization_machines(course: Course) -> None:
    found = course.run("12_factorization_machines")
    np.testing.assert_allclose(found["by_squares"], found["by_pairs"], rtol=1e-5)
    np.testing.assert_allclose(found["by_layer"], found["by_pairs"], rtol=1e-5)
    assert found["logistic_accuracy"] < 0.6 < 0.85 < found["machine_accuracy"]
    opposite = [found["cosines"][0, 2], found["cosines"][1, 3]]
    np.testing.assert_allclose(opposite, -1, atol=0.1)


def test_wide_and_deep(course: Course, data_folder: Path) -> None:
    found = course.run("13_wide_and_deep")
    assert sorted(row for _, test in found["folds"] for row in test) == [*range(891)]
    assert found["matrix"].result().sum() == 891
    assert min(found["found"][model] for model in ("FM", "wide & deep", "DeepFM")) >= 0.79


def test_recurrent(course: Course) -> None:
    found = course.run("14_recurrent")
    np.testing.assert_allclose(found["by_operator"], sum(found["each"]), atol=1e-6)
    np.testing.assert_allclose(found["whole"], sum(found["each"]), atol=1e-6)
    np.testing.assert_allclose(found["told"], found["alone"], atol=1e-6)
    assert np.abs(found["read_on"] - found["alone"]).max() > 0.1
    assert found["padded_accuracy"] < 0.93 < 0.97 < found["told_accuracy"]
    h = np.zeros(3)
    for step in found["sequence"]:
        h = np.tanh(found["W"] @ step + found["R"] @ h + found["bias"])
    np.testing.assert_allclose(found["by_layer"], h, atol=1e-6)


def test_spoken_words(course: Course, data_folder: Path) -> None:
    found = course.run("15_spoken_words")
    assert found["accuracies"]["LSTM both ways"] >= 0.96
    assert found["matrix"].sum() == 300


def test_sobel(course: Course) -> None:
    found = course.run("16_sobel")
    signal = pytest.importorskip("scipy.signal")
    theirs = signal.correlate2d(found["picture"], found["sobel"], mode="valid")
    np.testing.assert_allclose(found["to_right"][0, 0], theirs, atol=1e-5)
    assert found["by_hand"] == pytest.approx(found["to_right"][0, 0, found["i"], found["j"]])
    assert found["losses"][-1] < 0.1 * found["losses"][0]
    correlation = np.corrcoef(found["learnt"].ravel(), found["sobel"].ravel())[0, 1]
    assert correlation > 0.95


def test_convolutional_network(course: Course, data_folder: Path) -> None:
    found = course.run("17_convolutional_network")
    maps, place, row, column = (found[name] for name in ("maps", "place", "row", "column"))
    assert found["by_hand"] == pytest.approx(maps[place, row, column], rel=1e-5)
    assert found["judged"]["accuracy"] > 0.8


def test_training_tricks(course: Course) -> None:
    found = course.run("18_training_tricks")
    np.testing.assert_allclose(found["w"].value, found["decayed"], rtol=1e-6)
    assert found["while_judging"] == 1.0
    assert 0 < abs(found["while_training"] - 1) < 0.05
    assert len(found["curves"]["early stopping"]) < len(found["curves"]["plain"])
    assert min(found["accuracies"].values()) > 0.8
    assert "loss/mul" in str(found["caught"])
    assert found["outcomes"]["scaled, rate 0.1"][-1] < 1 < found["outcomes"]["clip_norm=1"][-1]


def test_save_load_resume(course: Course) -> None:
    found = course.run("19_save_load_resume")
    assert found["equal"]
    assert found["whole"]["loss"] == found["resumed"]["loss"]
    np.testing.assert_array_equal(found["before"], found["after"])
    np.testing.assert_allclose(found["same"], found["before"][:1], rtol=1e-6)
    assert "fc1/W" in str(found["refused"])
    assert found["found_damage"]
    assert not found["folder"].exists()


def test_draw(course: Course) -> None:
    found = course.run("20_draw")
    np.testing.assert_allclose(found["found"], found["expected"], atol=1e-6)
    assert "<svg" in (course.folder / "20_model.html").read_text("utf-8")
    assert len(found["network"]) > 20


def test_data_parallel(course: Course) -> None:
    found = course.run("21_data_parallel")
    np.testing.assert_allclose(found["joined"], found["whole"], rtol=1e-4, atol=1e-6)
    assert found["right"]
    assert found["sent"] == 2 * 3 * found["size"] // 4
    assert found["curves"]["8 steps late"][-1] < 0.02 < found["curves"]["14 steps late"][-1]
