"""The wheel, built from the sdist and used from elsewhere in an environment with nothing else."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow

TRAINING = """
import numpy as np
import matrixslow as ms

rng = np.random.default_rng(0)
features = rng.normal(size=(256, 4)).astype("float32")
labels = (features[:, 0] > features[:, 1]).astype("int64")
with ms.Graph(seed=0):
    x = ms.Input((None, 4), name="x")
    label = ms.Input((None,), dtype="int64", name="label")
    logits = ms.layers.dense(ms.layers.dense(x, 16, activation="relu"), 2)
    loss = ms.ops.SoftmaxCrossEntropy(logits, label)
accuracy = ms.metrics.Accuracy(logits, label)
trainer = ms.trainer.Trainer(loss, ms.optimizers.Adam(1e-2), metrics=[accuracy])
trainer.fit({x: features, label: labels}, epochs=10, batch_size=32)
predicted = trainer.predict(logits, {x: features}).argmax(axis=-1)
assert (predicted == labels).mean() > 0.9, (predicted == labels).mean()
"""


def run(*command: object, cwd: Path) -> str:
    """Run a command as a stranger's shell would; its output, which is shown when it fails."""
    environment = {key: word for key, word in os.environ.items() if not key.startswith("PYTHON")}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}"
    return result.stdout


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was built from it.

    They are built from a copy, so that nothing left over from earlier builds gets in.
    """
    copy, built = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("built")
    leftovers = shutil.ignore_patterns(
        ".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, copy, symlinks=True, ignore=leftovers)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", built, copy, cwd=built)
    return built


@pytest.fixture(scope="module")
def python(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds the wheel and what it needs, no more."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    (wheel,) = artifacts.glob("*.whl")
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return python


def package_files() -> set[str]:
    """What the wheel must hold of the package: every module, the marker of types, the data."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    return {
        path.relative_to(ROOT).as_posix()
        for package in config["options"]["packages"].split()
        for pattern in ("*.py", "*.npz", "*.css", "*.html", "*.js", "py.typed")
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }


def test_wheel_holds_the_package_and_nothing_else(artifacts: Path) -> None:
    (wheel,) = artifacts.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {"matrixslow/trainer/__init__.py", "matrixslow/py.typed"} <= names
    assert [name for name in names if name.endswith("/digits.npz")]
    assert names == package_files()


def test_wheel_carries_the_licence(artifacts: Path) -> None:
    (wheel,) = artifacts.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    (licence,) = [name for name in archive.namelist() if name.endswith("/LICENSE")]
    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_sdist_holds_the_real_folders(artifacts: Path) -> None:
    (sdist,) = artifacts.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.cfg", "README.md", "LICENSE", "trainer/__init__.py"} <= names


def test_wheel_is_what_gets_imported(python: Path, tmp_path: Path) -> None:
    program = "import matrixslow as ms, matrixslow.trainer as t; print(ms.__file__, t.__file__)"
    for file in run(python, "-c", program, cwd=tmp_path).split():
        assert Path(file).is_relative_to(python.parents[1])


def test_wheel_trains(python: Path, tmp_path: Path) -> None:
    run(python, "-W", "error", "-c", TRAINING, cwd=tmp_path)


def test_wheel_has_the_command_line(python: Path, tmp_path: Path) -> None:
    assert "demo" in run(python, "-m", "matrixslow", "--help", cwd=tmp_path)
