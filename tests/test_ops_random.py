"""Random operators: known answers, statistics, streams, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

import matrixslow as ms
from matrixslow.ops.philox import CHUNK, bits, philox

FULL = 2**32 - 1


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((FULL, FULL, FULL, FULL), 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers_of_philox(counter: tuple[int, ...], key: int, expected: str) -> None:
    """The vectors that Random123, the authors' own implementation, is tested with."""
    words = philox(np, key, tuple(np.array([word], np.uint64) for word in counter))
    assert " ".join(f"{int(word[0]):08x}" for word in words) == expected


def test_bits_do_not_depend_on_how_many_are_asked_for() -> None:
    many = bits(np, 7, np.int64(3), 4 * CHUNK + 9)
    assert many.dtype == np.uint32
    np.testing.assert_array_equal(bits(np, 7, np.int64(3), 5), many[:5])
    assert bits(np, 7, np.int64(3), 0).shape == (0,)


def test_bits_differ_by_key_and_counter() -> None:
    draws = [bits(np, key, np.int64(run), 8) for key in (1, 2, 2**32) for run in (0, 1, 2**33)]
    assert len({tuple(draw) for draw in draws}) == 9


def ratio_of_ones(word: np.ndarray) -> np.ndarray:
    return np.unpackbits(word.view(np.uint8)).reshape(-1, 32).mean(axis=0)


def test_every_bit_is_fair() -> None:
    count = 40_000
    share = ratio_of_ones(bits(np, 1, np.int64(0), count))
    assert abs(share - 0.5).max() < 4.5 * 0.5 / count**0.5


COUNT = 20_000

DISTRIBUTIONS: list[tuple[str, Callable[[str], ms.Node], object]] = [
    (
        "uniform",
        lambda dtype: ms.ops.RandomUniform(shape=(COUNT,), low=-2, high=3, dtype=dtype),
        scipy.stats.uniform(-2, 5),
    ),
    (
        "uniform like",
        lambda dtype: ms.ops.RandomUniformLike(ms.Constant(np.zeros((10, COUNT // 10), dtype))),
        scipy.stats.uniform(0, 1),
    ),
    (
        "normal",
        lambda dtype: ms.ops.RandomNormal(shape=(COUNT,), mean=1, scale=2, dtype=dtype),
        scipy.stats.norm(1, 2),
    ),
    (
        "normal like",
        lambda dtype: ms.ops.RandomNormalLike(ms.Constant(np.zeros((10, COUNT // 10), dtype))),
        scipy.stats.norm(0, 1),
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("build", "distribution"),
    [case[1:] for case in DISTRIBUTIONS],
    ids=[c[0] for c in DISTRIBUTIONS],
)
def test_distribution(
    graph: ms.Graph,
    build: Callable[[str], ms.Node],
    distribution: scipy.stats.rv_frozen,
    dtype: str,
) -> None:
    values = graph.forward(build(dtype)).ravel().astype(float)
    assert scipy.stats.kstest(values, distribution.cdf).pvalue > 0.01
    # Neighbours, and the two numbers that Box and Muller's method makes of one pair, do not know
    # of each other.
    for lag in (1, values.size // 2):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4 / (values.size - lag) ** 0.5


def test_uniform_stays_below_high(graph: ms.Graph) -> None:
    node = ms.ops.RandomUniform(shape=(200_000,), low=1, high=2, dtype="float16")
    values = graph.forward(node)
    assert values.dtype == np.float16
    assert values.min() == 1
    assert values.max() < 2


def test_bernoulli_follows_its_probabilities(graph: ms.Graph) -> None:
    chances = np.repeat(np.array([0.0, 0.1, 0.5, 0.75, 1.0]), COUNT).reshape(5, COUNT)
    y = graph.forward(ms.ops.Bernoulli(ms.Constant(chances), dtype="int32"))
    assert y.dtype == np.int32
    assert set(np.unique(y)) == {0, 1}
    np.testing.assert_allclose(y.mean(axis=1), chances[:, 0], atol=4 * 0.5 / COUNT**0.5)
    assert y[0].max() == 0
    assert y[-1].min() == 1


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(graph: ms.Graph, ratio: float) -> None:
    y = graph.forward(ms.ops.Dropout(ms.Constant(np.ones(COUNT)), ratio=ratio))
    share = 1 - ratio
    np.testing.assert_allclose(np.unique(y)[-1], 1 / share, rtol=1e-6)
    assert set(np.unique(y)[:-1]) <= {0.0}
    assert (y != 0).mean() == pytest.approx(share, abs=4 * 0.5 / COUNT**0.5)


def test_dropped_infinities_are_gone(graph: ms.Graph) -> None:
    y = graph.forward(ms.ops.Dropout(ms.Constant(np.full(100, np.inf)), ratio=0.5))
    assert set(np.unique(y)) == {0.0, np.inf}


def test_dropout_and_its_gradients_share_one_mask(graph: ms.Graph) -> None:
    x = ms.Variable(np.ones(50), name="x")
    y = ms.ops.Dropout(x * x, ratio=0.5)
    (slope,) = ms.gradients(y, [x], upstream=ms.Constant(np.ones(50)))
    (curvature,) = ms.gradients(slope, [x], upstream=ms.Constant(np.ones(50)))
    masks = []
    for _ in range(2):
        values = graph.forward([y, slope, curvature])
        np.testing.assert_array_equal(values[1], 2 * values[0])
        np.testing.assert_array_equal(values[2], 2 * values[0])
        masks.append(values[0])
    assert (masks[0] != masks[1]).any()


def test_backward_after_forward_uses_the_mask_that_forward_drew(graph: ms.Graph) -> None:
    x = ms.Variable(np.ones(50), name="x")
    y = ms.ops.Dropout(x, ratio=0.5)
    first = ms.ops.SumLike(y, 0.0)
    for run in range(3):
        graph.forward(first)
        graph.backward(first)
        np.testing.assert_array_equal(x.gradient, y.value)
        assert graph.counter.value == run + 1


def test_inference_takes_dropout_out(graph: ms.Graph) -> None:
    x = ms.Variable(np.arange(50.0), name="x")
    y = ms.ops.Dropout(ms.ops.Dropout(x, ratio=0.5), ratio=0.5)
    (slope,) = ms.gradients(y, [x], upstream=ms.Constant(np.ones(50)))
    value, gradient = graph.forward([y, slope], training=False)
    np.testing.assert_array_equal(value, np.arange(50.0))
    np.testing.assert_array_equal(gradient, np.ones(50))
    assert graph.counter.value == 0


def test_every_run_draws_anew_and_a_seed_repeats_them() -> None:
    def runs(seed: int) -> list[np.ndarray]:
        with ms.Graph(seed=seed):
            nodes = [ms.ops.RandomNormal(shape=(4,)) for _ in range(2)]
            draw = ms.function([], nodes)
        return [value for _ in range(3) for value in draw()]

    values = runs(0)
    assert len({tuple(value) for value in values}) == 6
    np.testing.assert_array_equal(values, runs(0))
    assert (np.array(values) != runs(1)).all()


def test_a_restored_counter_continues_the_numbers() -> None:
    def program() -> tuple[ms.Graph, ms.Function]:
        with ms.Graph(seed=3) as graph:
            return graph, ms.function([], ms.ops.RandomUniform(shape=(4,)))

    graph, draw = program()
    uninterrupted = [draw() for _ in range(4)]
    graph, draw = program()
    for _ in range(2):
        draw()
    state = graph.state_dict()
    resumed_graph, resumed = program()
    resumed_graph.load_state_dict(state)
    np.testing.assert_array_equal([resumed(), resumed()], uninterrupted[2:])


def test_all_random_nodes_of_a_graph_share_one_successor_of_the_counter(graph: ms.Graph) -> None:
    a = ms.ops.RandomUniform(shape=(2,))
    b = ms.ops.Dropout(a)
    assert a.updates() == b.updates()
    ((counter, successor),) = a.updates()
    assert counter is graph.counter
    assert successor.name == "updates/random/counter/next"
    graph.forward([a, b])
    assert graph.counter.value == 1


def test_a_constant_counter_repeats_the_numbers(graph: ms.Graph) -> None:
    node = ms.ops.RandomUniform(ms.Constant(4), shape=(3,))
    np.testing.assert_array_equal(graph.forward(node), graph.forward(node))
    assert node.updates() == ()


def test_nodes_of_one_stream_draw_the_same(graph: ms.Graph) -> None:
    x, y = np.arange(20.0), np.arange(20)
    samples = ms.ops.Shuffle(ms.Constant(x), stream="order")
    labels = ms.ops.Shuffle(ms.Constant(y), stream="order")
    other = ms.ops.Shuffle(ms.Constant(y))
    a, b, c = graph.forward([samples, labels, other])
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.sort(c), y)
    assert (b != c).any()


def test_every_order_is_as_likely(graph: ms.Graph) -> None:
    draw = ms.function([], ms.ops.Shuffle(ms.Constant([0, 1, 2])), updates=[])
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(1200):
        seen = tuple(draw().tolist())
        counts[seen] = counts.get(seen, 0) + 1
    assert len(counts) == 6
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 0.01


def test_a_node_is_rebuilt_from_its_inputs_and_attributes(graph: ms.Graph) -> None:
    nodes = [
        ms.ops.RandomUniform(shape=(3,), low=2, high=4, dtype="float64"),
        ms.ops.RandomNormal(shape=(3,), mean=2, scale=4),
        ms.ops.RandomNormalLike(ms.Constant(np.ones(3))),
        ms.ops.Bernoulli(ms.Constant(np.full(50, 0.5)), dtype="bool"),
        ms.ops.Dropout(ms.Constant(np.ones(50)), ratio=0.25),
        ms.ops.Shuffle(ms.Constant(np.arange(9)), axis=-1, inverse=True),
    ]
    for node in nodes:
        again = type(node)(*node.inputs, **node.attributes, name=f"{node.name}_again")
        assert again.attributes == node.attributes
        np.testing.assert_array_equal(*graph.forward([node, again]))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (1,), ()])
def test_odd_shapes(graph: ms.Graph, shape: tuple[int, ...]) -> None:
    x = ms.Constant(np.ones(shape))
    nodes = [
        ms.ops.RandomUniform(shape=shape),
        ms.ops.RandomNormal(shape=shape, dtype="float64"),
        ms.ops.RandomNormalLike(x),
        ms.ops.Bernoulli(x),
        ms.ops.Dropout(x),
        *([ms.ops.Shuffle(x)] if shape else []),
    ]
    assert [value.shape for value in graph.forward(nodes)] == [shape] * len(nodes)


X = "Constant 'constant' (2,) float32"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda x: ms.ops.Dropout(x, 0.3),
            ms.errors.ArgumentError,
            "Dropout: 0.3 is no counter of runs\n"
            "  hint   options are given by name; the graph's own counter is taken by itself",
        ),
        (
            lambda x: ms.ops.Dropout(x, x),
            ms.errors.ArgumentError,
            f"Dropout: {X} is no counter of runs\n"
            "  hint   options are given by name; the graph's own counter is taken by itself",
        ),
        (
            lambda x: ms.ops.Dropout(x, ratio=1.0),
            ms.errors.ArgumentError,
            "Dropout: ratio=1.0\n  hint   give the share that is dropped, 0 <= ratio < 1",
        ),
        (
            lambda x: ms.ops.RandomUniform(shape=(2,), low=1, high=1),
            ms.errors.ArgumentError,
            "RandomUniform: low=1 is not below high=1\n  hint   give low < high",
        ),
        (
            lambda x: ms.ops.RandomNormalLike(x, scale=-1),
            ms.errors.ArgumentError,
            "RandomNormalLike: scale=-1\n"
            "  hint   scale is the standard deviation: give a number from 0 up",
        ),
        (
            lambda x: ms.ops.RandomNormal(shape=(None, 2)),
            ms.errors.ArgumentError,
            "RandomNormal: shape (None, 2) has an axis of unknown size\n"
            "  hint   give every size, or ms.ops.RandomNormalLike(x) to take the shape of x",
        ),
    ],
)
def test_refused_options(
    graph: ms.Graph, call: Callable[[ms.Node], ms.Node], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        call(ms.Constant(np.ones(2)))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("call", "kind", "rule", "hint"),
    [
        (
            lambda x: ms.ops.RandomUniformLike(x),
            ms.errors.DTypeError,
            "RandomUniformLike 'randomuniformlike': random numbers are floating-point, int64 was "
            "asked for",
            'give dtype="float32"',
        ),
        (
            lambda x: ms.ops.Dropout(x),
            ms.errors.DTypeError,
            "Dropout 'dropout': floating-point values are needed, int64 came",
            'convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda x: ms.ops.Bernoulli(x, dtype="bool"),
            ms.errors.DTypeError,
            "Bernoulli 'bernoulli': floating-point values are needed, int64 came",
            'convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda x: ms.ops.Shuffle(x, axis=1),
            ms.errors.ShapeError,
            "Shuffle 'shuffle': axis 1 does not exist in 1 dimensions",
            "give -1 <= axis < 1",
        ),
    ],
)
def test_refused_inputs(
    graph: ms.Graph,
    call: Callable[[ms.Node], ms.Node],
    kind: type[ms.errors.MatrixSlowError],
    rule: str,
    hint: str,
) -> None:
    x = ms.Constant([1, 2], name="x")
    with pytest.raises(kind) as caught:
        call(x)
    error = caught.value
    assert (error.rule, error.hint) == (rule, hint)
    assert error.rows[0].startswith("x")
    assert "test_ops_random.py" in error.rows[-1]
