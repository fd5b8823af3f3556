"""Compiled programs agree with the interpreter, whatever is fed, updated, shared or interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.compiler import native
from matrixslow.compiler.program import Program
from matrixslow.core.interpreter import Interpreter


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let even small steps run on two threads."""
    before = ms.get_threads()
    ms.set_threads(2)
    monkeypatch.setattr(native, "SMALL", 0)
    yield
    ms.set_threads(before)


def mlp(dtype: str, optimizer: Any) -> Any:
    with ms.Graph(seed=0) as graph:
        x = ms.Input((None, 6), dtype=dtype, name="x")
        y = ms.Input((None,), dtype="int64", name="y")
        hidden = ms.layers.dense(x, 5, activation="relu")
        logits = ms.layers.dense(hidden, 3)
        loss = ms.ops.SoftmaxCrossEntropy(logits, y)
        return graph, [x, y], [loss, logits], optimizer.minimize(loss)


def cnn(dtype: str, optimizer: Any) -> Any:
    with ms.Graph(seed=0) as graph:
        x = ms.Input((None, 2, 8, 8), dtype=dtype, name="x")
        y = ms.Input((None,), dtype="int64", name="y")
        h = ms.layers.conv(x, 3, kernel=3, padding="same", bias=False)
        h = ms.ops.Relu(ms.layers.batch_norm(h))
        h = ms.layers.max_pool(h, 2)
        h = ms.layers.conv(h, 4, kernel=3, strides=2, padding="same", activation="relu")
        logits = ms.layers.dense(ms.layers.flatten(h), 3)
        loss = ms.ops.SoftmaxCrossEntropy(logits, y)
        return graph, [x, y], [loss, logits], optimizer.minimize(loss)


def data(shape: tuple[int, ...], dtype: str) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape).astype(dtype), rng.integers(0, 3, shape[0])]


def distance(a: Any, b: Any) -> float:
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        (mlp, ms.optimizers.Momentum(0.1)),
        (mlp, ms.optimizers.Adam(0.01, clip_norm=1.0)),
        (mlp, ms.optimizers.RMSProp(0.01, momentum=0.5, centered=True)),
        (mlp, ms.optimizers.Nadam(0.01)),
        (mlp, ms.optimizers.Lion(0.01)),
        (cnn, ms.optimizers.Adam(0.01)),
    ],
    ids=lambda part: getattr(part, "__name__", type(part).__name__),
)
def test_training_agrees_with_the_interpreter(
    model: Callable[..., Any], optimizer: Any, dtype: str
) -> None:
    graph, inputs, outputs, updates = model(dtype, optimizer)
    program = Program(inputs, outputs, updates=updates, training=True)
    other, inputs, outputs, updates = model(dtype, optimizer)
    reference = Interpreter(inputs, outputs, updates=updates, training=True)
    for batch in (8, 5):
        feeds = data((batch, 6) if model is mlp else (batch, 2, 8, 8), dtype)
        for _ in range(3):
            for a, b in zip(program.run(feeds), reference.run(feeds), strict=True):
                assert a.dtype == b.dtype
                assert a.shape == b.shape
                assert distance(a, b) < (1e-10 if dtype == "float64" else 1e-4)
    for a, b in zip(graph.variables, other.variables, strict=True):
        assert distance(a.value, b.value) < (1e-9 if dtype == "float64" else 1e-3), a.name
    assert "by compute" not in program.explain()


def test_two_runs_are_equal_bit_for_bit() -> None:
    results = []
    for _ in range(2):
        graph, inputs, outputs, updates = cnn("float32", ms.optimizers.Adam(0.01))
        program = Program(inputs, outputs, updates=updates, training=True)
        for _ in range(5):
            program.run(data((8, 2, 8, 8), "float32"))
        results.append([variable.value.tobytes() for variable in graph.variables])
    assert results[0] == results[1]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_number_of_threads_computes_the_same(count: int) -> None:
    ms.set_threads(count)
    _, inputs, outputs, updates = cnn("float64", ms.optimizers.SGD(0.1))
    program = Program(inputs, outputs, updates=updates, training=True)
    _, inputs, outputs, updates = cnn("float64", ms.optimizers.SGD(0.1))
    reference = Interpreter(inputs, outputs, updates=updates, training=True)
    for _ in range(3):
        feeds = data((7, 2, 8, 8), "float64")
        assert distance(program.run(feeds)[1], reference.run(feeds)[1]) < 1e-10


def test_variables_may_swap_their_values() -> None:
    with ms.Graph():
        a, b = ms.Variable([1.0, 2.0], name="a"), ms.Variable([3.0, 4.0], name="b")
        swap = Program([], [a], updates=[(a, b), (b, a)], training=True)
        mix = Program([], [], updates=[(a, a + b), (b, a - b)], training=True)
    (before,) = swap.run([])
    np.testing.assert_array_equal(before, [1.0, 2.0])
    np.testing.assert_array_equal(a.value, [3.0, 4.0])
    np.testing.assert_array_equal(b.value, [1.0, 2.0])
    mix.run([])
    np.testing.assert_array_equal(a.value, [4.0, 6.0])
    np.testing.assert_array_equal(b.value, [2.0, 2.0])


def test_a_new_value_that_needs_the_whole_old_one_is_not_written_too_early() -> None:
    with ms.Graph():
        w = ms.Variable(np.arange(9.0).reshape(3, 3), dtype="float64", name="w")
        program = Program([], [], updates=[(w, w @ w + ms.ops.Transpose(w))], training=True)
    old = w.value.copy()
    program.run([])
    np.testing.assert_allclose(w.value, old @ old + old.T)


def test_an_array_that_was_taken_from_a_variable_never_changes() -> None:
    with ms.Graph():
        w = ms.Variable([1.0, 2.0], name="w")
        program = Program([], [], updates=[(w, w + 1.0)], training=True)
    program.run([])
    taken, view = w.value, w.value[:1]
    program.run([])
    np.testing.assert_array_equal(taken, [2.0, 3.0])
    np.testing.assert_array_equal(view, [2.0])
    np.testing.assert_array_equal(w.value, [3.0, 4.0])
    del taken, view
    place = w.value.ctypes.data
    program.run([])
    assert w.value.ctypes.data == place, "an array that nobody else holds is updated in place"


def test_a_variable_may_be_set_between_runs() -> None:
    with ms.Graph():
        w = ms.Variable(np.zeros((2, 3)), name="w")
        program = Program([], [w * 2.0], training=False)
    program.run([])
    w.value = np.arange(6.0).reshape(3, 2).T  # its rows do not lie together
    np.testing.assert_array_equal(program.run([])[0], 2.0 * w.value)


def test_inputs_may_lie_in_any_order_and_be_a_variable_s_own_array() -> None:
    with ms.Graph():
        x = ms.Input((2, 3), name="x")
        w = ms.Variable(np.ones((2, 3)), name="w")
        program = Program([x], [x * 2.0], updates=[(w, w + x)], training=True)
    array = np.arange(6, dtype=np.float32).reshape(3, 2).T
    np.testing.assert_array_equal(program.run([array])[0], array * 2)
    held = w.value.copy()
    np.testing.assert_array_equal(program.run([w.value])[0], held * 2)
    np.testing.assert_array_equal(w.value, held * 2)


def test_what_has_no_lowering_runs_by_compute_and_is_named() -> None:
    with ms.Graph():
        x = ms.Input((4,), name="x")
        y = ms.ops.CumSum(x * 2.0, axis=0) + 1.0
        program = Program([x], [y], training=False)
    feeds = [np.arange(4, dtype=np.float32)]
    np.testing.assert_array_equal(program.run(feeds)[0], program.reference.run(feeds)[0])
    assert "CumSum 'cumsum' (4,) float32 by compute: no lowering for CumSum" in program.explain()


def test_a_shape_that_does_not_fit_is_refused_as_the_interpreter_does() -> None:
    with ms.Graph():
        x, y = ms.Input((None,), name="x"), ms.Input((None,), name="y")
        program = Program([x, y], [x + y], training=False)
    feeds = [np.zeros(2, np.float32), np.zeros(3, np.float32)]
    with pytest.raises(ms.errors.ShapeError) as compiled:
        program.run(feeds)
    with pytest.raises(ms.errors.ShapeError) as interpreted:
        program.reference.run(feeds)
    assert str(compiled.value) == str(interpreted.value)


def test_empty_arrays_are_interpreted() -> None:
    with ms.Graph():
        x = ms.Input((None, 2), name="x")
        program = Program([x], [ms.ops.ReduceSum(x)], training=False)
    np.testing.assert_array_equal(program.run([np.zeros((0, 2), np.float32)])[0], [[0.0]])


def test_nan_and_infinity_stay() -> None:
    with ms.Graph():
        x = ms.Input((None,), name="x")
        outputs = [x * 2.0, ms.ops.Exp(x), ms.ops.Log(x), ms.ops.Tanh(x), ms.ops.Relu(x)]
        outputs += [ms.ops.ReduceMax(x), ms.ops.ReduceSum(x), ms.ops.Sigmoid(x)]
        program = Program([x], outputs, training=False)
    for special in (np.nan, np.inf, -np.inf):
        feeds = [np.array([1.0, special, 2.0] * 20, np.float32)]
        for a, b in zip(program.run(feeds), program.reference.run(feeds), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_memory_is_shared_by_what_never_lives_together() -> None:
    with ms.Graph():
        x = ms.Input((64, 64), name="x")
        y: Any = x
        for _ in range(10):
            y = ms.ops.Transpose(ms.ops.Softmax(y @ x))
        program = Program([x], [y], training=False)
    program.run([np.eye(64, dtype=np.float32)])
    (made,) = program._made.values()
    assert made is not None
    assert made.arena.size < made.arena.total / 2


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64"])
def test_remainders_of_the_least_and_largest_integers(dtype: str) -> None:
    limits = np.iinfo(dtype)
    values = np.array([limits.min, limits.min + 1, 0, 1, 7, limits.max - 1, limits.max], dtype)
    with ms.Graph():
        a, b = ms.Input((7, 1), dtype=dtype, name="a"), ms.Input((7,), dtype=dtype, name="b")
        program = Program([a, b], [ms.ops.Mod(a, b)], training=False)
    with np.errstate(divide="ignore"):
        wanted = values[:, None] % values
    np.testing.assert_array_equal(program.run([values[:, None], values])[0], wanted)


def test_steps_in_several_python_threads_wait_for_each_other() -> None:
    with ms.Graph():
        w = ms.Variable(np.zeros(100), name="w")
        program = Program([], [], updates=[(w, w + 1.0)], training=True)
    program.run([])
    workers = [
        threading.Thread(target=lambda: [program.run([]) for _ in range(200)]) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(w.value, np.full(100, 801.0))


def test_steps_of_several_shapes_in_several_python_threads_wait_for_each_other() -> None:
    ms.set_threads(1)
    with ms.Graph():
        x = ms.Input((None, 1), name="x")
        w = ms.Variable(np.zeros(1_000_000), name="w")
        new = w + ms.ops.ReduceMax(x, keepdims=False)
        program = Program([x], [], updates=[(w, new)], training=True)

    def run(rows: int) -> None:
        for _ in range(25):
            program.run([np.ones((rows, 1), np.float32)])

    workers = [threading.Thread(target=run, args=(rows,)) for rows in (1, 2, 3, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(program._made) == 3
    np.testing.assert_array_equal(w.value, np.full(1_000_000, 100.0))


FORK = """
import os, numpy as np, matrixslow as ms
from matrixslow.compiler import native
from matrixslow.compiler.program import Program
native.SMALL = 0
ms.set_threads(2)
with ms.Graph():
    w = ms.Variable(np.zeros(1000), name="w")
    program = Program([], [], updates=[(w, w + 1.0)], training=True)
program.run([])
child = os.fork()
ms.set_threads(2)
for _ in range(10):
    program.run([])
assert (w.value == 11).all()
if child:
    assert os.waitpid(child, 0)[1] == 0
    print("both done")
"""


FORK_WHILE_STEPS_RUN = """
import os, threading, numpy as np, matrixslow as ms
from matrixslow.compiler import native
from matrixslow.compiler.program import Program
native.SMALL = 0
ms.set_threads(2)
with ms.Graph():
    a, b = ms.Variable(np.zeros(300_000), name="a"), ms.Variable(np.zeros(300_000), name="b")
    program = Program([], [], updates=[(a, a + 1.0), (b, b + 2.0)], training=True)
program.run([])
done = threading.Event()
worker = threading.Thread(target=lambda: [program.run([]) for _ in iter(done.is_set, True)])
worker.start()
children = []
for _ in range(10):
    child = os.fork()
    if not child:
        assert (a.value == a.value[0]).all() and (b.value == 2 * a.value[0]).all()
        assert ms.get_threads() == 2
        before = a.value[0]
        program.run([])
        assert (a.value == before + 1).all()
        os._exit(0)
    children.append(child)
done.set()
worker.join()
assert not any(os.waitpid(child, 0)[1] for child in children)
print("both done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("program", [FORK, FORK_WHILE_STEPS_RUN])
def test_a_forked_process_has_threads_of_its_own(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "both done\n", done.stderr


WITHOUT_LLVMLITE = """
import sys
sys.modules["llvmlite"] = None
import matrixslow as ms
with ms.Graph():
    w = ms.Variable([2.0], name="w")
    step = ms.function([], w * w, updates=[(w, w + 1.0)])
assert step() == 4.0 and step() == 9.0
print(step.program.explain().splitlines()[0])
"""


def test_without_llvmlite_everything_is_interpreted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LLVMLITE], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "interpreter: 2 steps, 1 updates\n", done.stderr


INTERRUPTED = """
import signal, numpy as np, matrixslow as ms
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
from matrixslow.compiler import native
from matrixslow.compiler.program import Program
native.SMALL = 0
ms.set_threads(2)
with ms.Graph():
    a, b = ms.Variable(np.zeros(100_000), name="a"), ms.Variable(np.zeros(100_000), name="b")
    program = Program([], [], updates=[(a, a + 1.0), (b, b + 2.0)], training=True)
program.run([])
try:
    print("ready", flush=True)
    while True:
        program.run([])
except KeyboardInterrupt:
    assert (a.value == a.value[0]).all() and (b.value == 2 * a.value[0]).all()
    print("whole steps only")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_an_interrupted_program_has_done_whole_steps_only() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        try:
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert out == "whole steps only\n", errors


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 8, 16])
def test_sums_begin_anew_in_every_run(classes: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(25, classes)), rng.integers(classes, size=25)
    with ms.Graph():
        scores = ms.Input((None, classes), dtype="float64", name="scores")
        label = ms.Input((None,), dtype="int64", name="label")
        loss = ms.ops.SoftmaxCrossEntropy(scores, label)
        rows = ms.ops.ReduceSum(scores, axes=1)
        step = ms.function([scores, label], [loss, rows])
    wanted = Interpreter([scores, label], [loss, rows], training=True).run([x, y])
    for _ in range(3):
        for found, expected in zip(step(x, y), wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_number_of_threads_is_positive() -> None:
    with pytest.raises(ms.errors.ArgumentError) as refused:
        ms.set_threads(0)
    assert str(refused.value) == "set_threads: 0 threads\n  hint   give at least 1"


def test_where_an_operator_fails_nothing_has_changed() -> None:
    with ms.Graph():
        place = ms.Input((1,), dtype="int64", name="place")
        w = ms.Variable([1.0, 2.0], name="w")
        count = ms.Variable(0.0, name="count")
        y = ms.ops.Gather(w, place, name="pick")
        updates = [(count, count + 1.0), (w, w + ms.ops.ReduceSum(y))]
        program = Program([place], [y], updates=updates, training=True)
    program.run([np.array([1])])
    for run in (program.run, program.reference.run):
        with pytest.raises(ms.errors.RunError, match="Gather 'pick': IndexError: index 2 is out"):
            run([np.array([2])])
    np.testing.assert_array_equal(w.value, [3.0, 4.0])
    assert count.value == 1.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("channels", "filters", "sizes", "options"),
    [
        (16, 16, (32, 32), {"pads": 1}),
        (3, 16, (20, 32), {"pads": 1}),
        (8, 8, (17, 19), {}),
        (4, 24, (16, 20), {"pads": 2, "dilations": 2}),
        (5, 8, (9, 12), {"pads": (0, 1, 2, 1)}),
        (8, 4, (9, 12), {"strides": 2, "pads": 1}),
        (4, 8, (8, 8), {"group": 2}),
        (1, 32, (14, 14), {"pads": 1}),
        (16, 48, (13, 11), {"pads": 1}),
        (16, 16, (30, 30), {"pads": 1}),
        (32, 16, (6, 5), {"pads": (0, 1, 2, 1)}),
        (16, 32, (12, 9), {"strides": 2, "pads": 1}),
        (37, 16, (13, 11), {"strides": (3, 1), "dilations": 2, "pads": 1}),
        (16, 16, (2, 3), {"pads": 2}),
    ],
)
def test_convolutions_of_many_shapes_agree(
    channels: int, filters: int, sizes: tuple[int, int], options: Any, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    with ms.Graph():
        x = ms.Input((None, channels, *sizes), dtype=dtype, name="x")
        shape = (filters, channels // options.get("group", 1), 3, 3)
        kernel = ms.Variable(rng.standard_normal(shape), dtype=dtype, name="kernel")
        # What is returned lies row by row, what is made of it and between them may lie otherwise.
        y = ms.ops.Relu(ms.ops.Conv(x * 1.5, kernel, **options))
        pooled = ms.ops.GlobalAveragePool(y)
        slopes = ms.gradients(ms.ops.ReduceSum(y * y), [x, kernel])
        program = Program([x], [y, pooled, *[s for s in slopes if s is not None]], training=True)
    for batch in (5, 1):
        feeds = [rng.standard_normal((batch, channels, *sizes)).astype(dtype)]
        for a, b in zip(program.run(feeds), program.reference.run(feeds), strict=True):
            assert distance(a, b) < (1e-12 if dtype == "float64" else 1e-5)


def test_the_variance_of_many_like_numbers_does_not_drift() -> None:
    with ms.Graph():
        x = ms.Input((None, 16, 34, 34), name="x")
        y = ms.ops.Relu(ms.ops.Conv(x, ms.Variable(np.eye(16)[:, :, None, None]), pads=1))
        mean, variance = ms.ops.moments(y, axes=(0, 2, 3), keepdims=False)
        program = Program([x], [mean, variance], training=True)
    images = np.random.default_rng(0).standard_normal((6, 16, 34, 34), dtype=np.float32)
    expected = np.pad(images.clip(0), ((0, 0), (0, 0), (1, 1), (1, 1))).var((0, 2, 3), np.float64)
    assert distance(program.run([images])[1], expected) < 1e-6


def test_the_same_graph_gives_the_same_code_in_another_process() -> None:
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import hashlib, matrixslow as ms, test_compiler_program as t\n"
        "ms.set_threads(2)\n"
        "_, inputs, outputs, updates = t.cnn('float32', ms.optimizers.Adam(0.01))\n"
        "p = t.Program(inputs, outputs, updates=updates, training=True)\n"
        "p.run(t.data((8, 2, 8, 8), 'float32'))\n"
        "print(hashlib.sha256(p.source().encode()).hexdigest())\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1
