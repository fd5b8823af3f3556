"""The command line, from its first word to the files that it writes."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.__main__ import main
from matrixslow.commands.columns import Columns
from matrixslow.commands.table import COMMANDS
from matrixslow.commands.task import read_table

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with --json, and gives what it printed and its status."""

    def call(*words: object, status: int = 0) -> dict[str, Any]:
        assert main([*map(str, words), "--json"]) == status
        printed = capsys.readouterr()
        assert printed.err == ""
        found: dict[str, Any] = json.loads(printed.out)
        return found

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of the digits, hardly trained."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    words = ["train", "digits", "--epochs", "2", "--model", "mlp", "--seed", "3"]
    assert main([*words, "--folder", str(folder), "--json"]) == 0
    return folder


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A table with all there may be in one: numbers, texts, gaps, a count of the rows, names."""
    rng = np.random.default_rng(0)
    lines = ["row,name,age,town,likes,height"]
    for row in range(120):
        gap = row % 10 == 4
        age, town = 45 if gap else int(rng.integers(1, 90)), ("Rome", "Oslo", "Lima")[row % 3]
        likes = "tea" if (town == "Oslo") == (age > 40) else "coffee"
        lines.append(f"{row},N{row},{'' if gap else age},{town},{likes},{1.2 + age / 100:.2f}")
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


# ---- the first word ------------------------------------------------------------------------------


def test_without_a_word_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f" {command.example}\n      {command.help}\n" in printed for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help(
    command: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        main([command.name, "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--seed", "--json", "--debug", command.example))


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["train"],
        ["train", "digits", "--epochs", "0"],
        ["train", "digits", "--rate", "-1"],
        ["-x"],
    ],
)
def test_a_wrong_word_leaves_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_an_error_has_no_traceback(capsys: pytest.CaptureFixture[str], run: Run) -> None:
    assert main(["eval", "nowhere.npz"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "ArgumentError: nowhere.npz: there is no such file\n"
        "  hint   train one: `train digits` writes run/model.npz\n"
    )
    found = run("eval", "nowhere.npz", status=1)
    assert found["error"] == "ArgumentError"
    with pytest.raises(ms.errors.ArgumentError):
        main(["eval", "nowhere.npz", "--debug"])


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "no.csv"]) == 1
    assert capsys.readouterr().err == "FileNotFoundError: no.csv: No such file or directory\n"


def test_a_reader_may_leave_early(trained: Path) -> None:
    """As `... | head -1` does; what is piped is plain."""
    words = [sys.executable, "-W", "error", "-m", "matrixslow", "summary", str(trained), "--nodes"]
    program = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    assert program.stderr.read() == b""
    program.stderr.close()
    assert program.wait(timeout=60) in (0, 1)


# ---- a model's way -------------------------------------------------------------------------------


def test_demo_shows_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--epochs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "test accuracy" in printed
    assert "the same predictions" in printed
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        *("model.svg", "loss.svg", "model.npz")
    }


def test_train_shows_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "digits", "--epochs", "1", "--samples", "64", "--model", "linear"]
    assert main([*words, "--folder", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert "64 samples to train on, 360 to test on" in printed
    assert "epoch 1/1  loss" in printed
    assert "\r" not in printed
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("model.npz", "model.svg", "loss.svg", "history.csv", "last.npz")
    }


def test_eval_agrees_with_train(trained: Path, run: Run) -> None:
    found = run("eval", trained)
    with (trained / "history.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert found["loss"] == pytest.approx(float(last["validation_loss"]), rel=1e-5)
    assert found["accuracy"] == pytest.approx(float(last["validation_accuracy"]))
    matrix = np.array(found["confusion"])
    assert matrix.sum() == found["samples"] == 360
    assert found["accuracy"] == pytest.approx(np.trace(matrix) / 360)
    five = found["classes"]["5"]
    assert five["recall"] == pytest.approx(matrix[5, 5] / matrix[5].sum())
    assert five["precision"] == pytest.approx(matrix[5, 5] / matrix[:, 5].sum())
    assert run("eval", trained / "model.npz", "digits") == found


def test_predict_agrees_with_the_model(trained: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    found = run("predict", trained, "--count", "3", "--out", out)
    data = ms.io.digits(seed=3)
    graph = ms.io.load(trained / "model.npz")
    step = ms.function([graph["image"]], graph["probabilities"], training=False)
    expected = step(data.test_x)
    first = found["predictions"][0]
    assert first["prediction"] == str(expected[0].argmax())
    assert first["probability"] == pytest.approx(expected[0].max(), rel=1e-5)
    assert first["truth"] == str(data.test_y[0])
    assert len(found["predictions"]) == 3
    table = ms.io.read_csv(out)
    np.testing.assert_array_equal(table["prediction"], expected.argmax(axis=1))
    np.testing.assert_array_equal(table["truth"], data.test_y)


def test_predict_takes_arrays_and_any_node(trained: Path, run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", image=ms.io.digits().test_x[:2])
    found = run("predict", trained, tmp_path / "one.npz", "--output", "fc3/add")
    assert list(found["predictions"][1]) == ["sample", *(f"fc3/add[{i}]" for i in range(10))]
    np.savez(tmp_path / "wrong.npz", picture=np.zeros(2))
    found = run("predict", trained, tmp_path / "wrong.npz", status=1)
    assert found["error"] == "FeedError"
    assert "there are  picture" in found["message"]


def test_a_model_of_another_program(run: Run, tmp_path: Path) -> None:
    with ms.Graph() as graph:
        x = ms.Input((None, 3), name="x")
        ms.layers.dense(x, 2, activation="tanh", name="fc")
    file = ms.io.save(graph, tmp_path / "mine")
    np.savez(tmp_path / "x.npz", x=np.ones((5, 3)))
    assert len(run("predict", file, tmp_path / "x.npz")["predictions"]) == 5
    assert run("check", file)["fault"] == ""
    assert "the answers are needed" in run("eval", file, tmp_path / "x.npz", status=1)["message"]
    assert "does not say which data" in run("predict", file, status=1)["message"]


def test_summary_and_draw(
    trained: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = ms.io.load(trained / "model.npz")
    assert main(["summary", str(trained)]) == 0
    assert capsys.readouterr().out == graph.summary() + "\n"
    found = run("summary", trained)
    assert found["parameters"] == 64 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10
    assert found["notes"]["task"]["data"] == "digits"
    run("draw", trained, "--out", tmp_path / "plain.svg")
    run("draw", trained, "--out", tmp_path / "slopes.svg", "--gradients")
    run("draw", trained, "--out", tmp_path / "page.html", "--values")
    assert "<html" in (tmp_path / "page.html").read_text("utf-8")
    run("draw", trained, "--out", tmp_path / "values.svg", "--values")
    assert "∇" in (tmp_path / "values.svg").read_text("utf-8")
    plain, slopes = ((tmp_path / f"{name}.svg").read_text() for name in ("plain", "slopes"))
    assert "fc1" in plain
    assert "gradients" in slopes.replace(plain, "")


def test_check_finds_a_wrong_gradient(trained: Path, run: Run, tmp_path: Path) -> None:
    assert run("check", trained)["fault"] == ""

    class Lying(ms.ops.Tanh):
        def gradient(self, upstream: ms.Node) -> tuple[ms.Node]:
            return (upstream * 2.0,)

    with ms.Graph() as graph:
        x = ms.Input((None, 3), name="x")
        ms.ops.ReduceMean(Lying(ms.layers.dense(x, 2, name="fc")), name="loss")
    found = run("check", ms.io.save(graph, tmp_path / "lying"), status=1)
    assert "the gradient of order 1" in found["fault"]


def test_the_same_seed_gives_the_same_model(run: Run, tmp_path: Path) -> None:
    words = ["train", "digits", "--epochs", "1", "--samples", "100", "--model", "mlp", "--folder"]
    first, second = (run(*words, tmp_path / name)["test"] for name in ("a", "b"))
    assert first == second
    assert run(*words, tmp_path / "c", "--seed", "1")["test"] != first


def test_resume_goes_on(trained: Path, run: Run) -> None:
    words = ["train", "digits", "--epochs", "2", "--model", "mlp", "--seed", "3"]
    before = run("eval", trained)
    found = run(*words, "--folder", trained, "--resume")
    assert found["epochs"] == 2
    assert found["test"]["loss"] == before["loss"]
    other = run(*words, "--folder", trained, "--resume", "--batch-size", "7", status=1)
    assert "not the run that was interrupted" in other["message"]


# ---- tables --------------------------------------------------------------------------------------


def test_a_table_of_classes(people: Path, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["--target", "likes", "--ignore", "height", "--folder", folder, "--epochs", "60"]
    found = run("train", people, *words)
    assert found["test"]["accuracy"] > 0.8
    assert run("eval", folder)["accuracy"] == found["test"]["accuracy"]
    new = tmp_path / "new.csv"
    new.write_text("town,age,name,row,height\nOslo,80,A,1,1\nAtlantis,,B,2,1\n")
    first, second = run("predict", folder, new)["predictions"]
    assert first["prediction"] == "tea"
    assert second["prediction"] in ("tea", "coffee")
    assert "truth" not in first


def test_a_table_of_numbers(people: Path, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["--epochs", "200", "--rate", "0.03", "--folder", folder, "--model", "linear"]
    found = run("train", people, *words)
    assert found["test"]["r2"] > 0.95
    assert run("eval", folder, people)["r2"] > 0.95
    first = run("predict", folder, people)["predictions"][0]
    assert set(first) == {"sample", "prediction", "truth"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_what_separates_the_columns_is_seen(people: Path, delimiter: str) -> None:
    names = read_table(str(people)).names
    people.write_text(people.read_text().replace(",", delimiter))
    assert read_table(str(people)).names == names


def test_what_a_column_is(people: Path) -> None:
    table = read_table(str(people))
    columns = Columns.learn(table, "likes", ["height"], np.arange(len(table)))
    assert columns.classes == ("coffee", "tea")
    assert columns.texts == {"town": ("Lima", "Oslo", "Rome")}
    assert columns.left_out == {
        "height": "as you wish",
        "row": "it counts the rows",
        "name": "almost every row has another text",
    }
    arrays = columns.features(table)
    assert arrays["numbers"].shape == (120, 1)
    assert arrays["numbers"][4] == pytest.approx(columns.numbers["age"])
    assert arrays["ids"][:3, 0].tolist() == [3, 2, 1]
    assert Columns.from_dict(json.loads(json.dumps(columns.to_dict()))) == columns


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("a,b\n1,x\n2,y\n", ["--target", "c"], "table: it has no column 'c'"),
        ("a,b\n1,x\n2,y\n", ["--ignore", "c"], "table: it has no column 'c'"),
        ("a,b\n1,x\n2,y\n", [], "table: nothing is left to predict 'b' from"),
        ("a,b\n1,x\n5,\n7,y\n", [], "table: 'b' is missing in row 2"),
        ("a,b\n1,x\n5,x\n7,x\n", [], "table: 'b' is the same in all rows"),
        ("a,b\n1,\n5,\n7,\n", [], "table: 'b' is missing in row 1"),
    ],
)
def test_a_table_that_will_not_do(
    text: str, words: list[str], message: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    found = run("train", path, *words, "--folder", tmp_path / "run", status=1)
    assert found["message"].startswith(message)
    assert not (tmp_path / "run").exists()


def test_data_sets_by_name(run: Run, tmp_path: Path, data_folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MATRIXSLOW_DATA", str(data_folder))
    short = ["--epochs", "1", "--folder", tmp_path, "--samples", "64"]
    for name, model in {"iris": "mlp", "titanic": "mlp", "articulary-words": "cnn"}.items():
        found = run("train", name, *short)
        assert found["model"] == model
        again = run("eval", tmp_path)
        assert again["accuracy"] == found["test"]["accuracy"]
    refused = run("train", "iris", "--model", "gru", *short, status=1)
    assert refused["message"].startswith("train: gru takes one series, the data has numbers")


def test_the_installed_program_is_this_one() -> None:
    setup = (Path(__file__).parents[1] / "setup.cfg").read_text()
    assert re.search(r"^    matrixslow = matrixslow\.__main__:main$", setup, re.M)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_end(tmp_path: Path, run: Run) -> None:
    words = ["train", "digits", "--model", "mlp", "--epochs", "60"]
    program = subprocess.Popen(
        [sys.executable, "-m", "matrixslow", *words, "--folder", str(tmp_path / "one")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert program.stdout is not None
    assert program.stderr is not None
    with program.stdout as out, program.stderr as err:
        for line in out:
            if line.startswith("epoch  2/60"):
                program.send_signal(signal.SIGINT)
                break
        rest, complaint = out.read(), err.read()
    assert program.wait(timeout=60) == 130
    assert rest.endswith("the same command with --resume goes on after the last whole epoch\n")
    assert complaint == "\ninterrupted\n"
    resumed = run(*words, "--folder", tmp_path / "one", "--resume")
    whole = run(*words, "--folder", tmp_path / "other")
    assert resumed["test"] == whole["test"]
    assert resumed["history"]["loss"] == whole["history"]["loss"]
