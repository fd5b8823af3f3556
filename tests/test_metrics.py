"""Metrics against scikit-learn, over any split of the data into batches and workers."""

import io
import tracemalloc
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixslow import metrics
from matrixslow.errors import ArgumentError, DTypeError, FeedError, ShapeError

# Metrics hold nodes and never look into them, so any object will do here.
NODES = ("prediction node", "target node")
WEIGHT = "weight node"

EVERY = {
    "accuracy": lambda **options: metrics.Accuracy(*NODES, **options),
    "top_k_accuracy": lambda **options: metrics.TopKAccuracy(*NODES, k=2, **options),
    "precision": lambda **options: metrics.Precision(*NODES, **options),
    "recall": lambda **options: metrics.Recall(*NODES, **options),
    "f1": lambda **options: metrics.F1(*NODES, **options),
    "confusion_matrix": lambda **options: metrics.ConfusionMatrix(*NODES, **options),
    "roc_curve": lambda **options: metrics.RocCurve(*NODES, **options),
    "auc": lambda **options: metrics.AUC(*NODES, **options),
    "precision_recall_auc": lambda **options: metrics.PrecisionRecallAUC(*NODES, **options),
    "mean_squared_error": lambda **options: metrics.MeanSquaredError(*NODES, **options),
    "root_mean_squared_error": lambda **options: metrics.RootMeanSquaredError(*NODES, **options),
    "mean_absolute_error": lambda **options: metrics.MeanAbsoluteError(*NODES, **options),
    "r2": lambda **options: metrics.R2(*NODES, **options),
    "mean": lambda **options: metrics.Mean(NODES[0], **options),
}


def batch(name, size=12, seed=0):
    """A batch that the metric of this name takes."""
    draw = np.random.default_rng(seed)
    if name == "top_k_accuracy":
        return draw.normal(size=(size, 4)), draw.integers(0, 4, size)
    if name == "mean":
        return (draw.normal(size=size),)
    if name in ("mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2"):
        return draw.normal(size=size), draw.normal(size=size)
    return draw.integers(0, 5, size) / 4, draw.integers(0, 2, size)


def equal(left, right):
    """Compare results of any kind: numbers, arrays, mappings of arrays."""
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            equal(left[key], right[key])
    else:
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


@dataclass
class Split:
    """How samples are cut into batches, and who sees each batch."""

    size: int
    seed: int
    cuts: list[int]
    workers: list[int]
    weighted: bool

    @property
    def draw(self):
        return np.random.default_rng(self.seed)

    def weights(self):
        return self.draw.integers(1, 5, self.size) / 2 if self.weighted else None

    def gather(self, make, *arrays):
        """The result of one metric for each worker, fed its batches, merged in the end."""
        weights = self.weights()
        if weights is not None:
            arrays = (*arrays, weights)
        team = [make(weight=WEIGHT if self.weighted else None) for _ in range(3)]
        edges = [0, *self.cuts, self.size]
        for worker, start, stop in zip(self.workers, edges[:-1], edges[1:], strict=True):
            team[worker].update(*(array[start:stop] for array in arrays))
        team[0].merge(team[1])
        team[0].merge(team[2].state())
        return team[0].result()


@st.composite
def splits(draw, least=1):
    size = draw(st.integers(least, 30))
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=6)))
    workers = draw(st.lists(st.integers(0, 2), min_size=len(cuts) + 1, max_size=len(cuts) + 1))
    return Split(size, draw(st.integers(0, 2**32)), cuts, workers, draw(st.booleans()))


quick = settings(max_examples=60, deadline=None)


@quick
@given(splits(), st.sampled_from(["scores", "one-hot", "numbers", "column", "logits", "truth"]))
def test_accuracy_agrees(split, form):
    classes = 4 if form in ("scores", "one-hot", "numbers") else 2
    scores = split.draw.integers(0, 3, (split.size, classes)).astype(np.float32)
    target = split.draw.integers(0, classes, split.size)
    predicted = scores.argmax(axis=1)
    options = {}
    fed, labels = scores, target
    if form == "one-hot":
        labels = np.eye(classes, dtype=np.float32)[target]
    elif form == "numbers":
        fed = predicted
    elif form == "column":
        fed, labels = scores[:, :1] / 4, target[:, None].astype(np.float32)
        predicted = fed[:, 0] > 0.5
    elif form == "logits":
        options = {"threshold": 1.0}
        fed, labels = scores[:, 0], 2 * target - 1
        predicted = fed > 1
    elif form == "truth":
        fed = predicted.astype(bool)
    result = split.gather(lambda **more: metrics.Accuracy(*NODES, **options, **more), fed, labels)
    equal(result, sk.accuracy_score(target, predicted, sample_weight=split.weights()))


@quick
@given(splits(), st.integers(1, 4))
def test_top_k_accuracy_agrees_on_ties_too(split, k):
    scores = split.draw.integers(0, 4, (split.size, 5))
    target = split.draw.integers(0, 5, split.size)
    result = split.gather(lambda **more: metrics.TopKAccuracy(*NODES, k=k, **more), scores, target)
    expected = sk.top_k_accuracy_score(
        target, scores, k=k, labels=range(5), sample_weight=split.weights()
    )
    equal(result, expected)


@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
@pytest.mark.parametrize("average", ["binary", "macro", "micro", "weighted", None])
@quick
@given(split=splits(), classes=st.integers(2, 6))
def test_class_scores_agree(split, classes, average, zero_division):
    classes = 2 if average == "binary" else classes
    scores = split.draw.normal(size=(split.size, classes))
    # The square root makes late classes rare, so that some have no target or no prediction.
    target = split.draw.integers(0, classes**2, split.size)
    target = classes - 1 - np.sqrt(target).astype(int)
    for kind, reference in (
        (metrics.Precision, sk.precision_score),
        (metrics.Recall, sk.recall_score),
        (metrics.F1, sk.f1_score),
    ):
        result = split.gather(
            lambda kind=kind, **more: kind(
                *NODES, average=average, zero_division=zero_division, **more
            ),
            scores,
            target,
        )
        expected = reference(
            target,
            scores.argmax(axis=1),
            average=average,
            labels=range(classes) if average is None else None,
            zero_division=zero_division,
            sample_weight=split.weights(),
        )
        equal(result, expected)


@quick
@given(splits())
def test_confusion_matrix_agrees(split):
    predicted = split.draw.integers(0, 4, split.size)
    target = split.draw.integers(0, 3, split.size)
    result = split.gather(
        lambda **more: metrics.ConfusionMatrix(*NODES, classes=4, **more), predicted, target
    )
    expected = sk.confusion_matrix(
        target, predicted, labels=range(4), sample_weight=split.weights()
    )
    equal(result, expected)


@quick
@given(splits(least=2), st.sampled_from([3, 1000]))
def test_rankings_agree_on_ties_too(split, distinct):
    scores = split.draw.integers(0, distinct, split.size).astype(np.float32)
    target = split.draw.integers(0, 2, split.size)
    target[:2] = 0, 1
    weights = split.weights()
    area = split.gather(EVERY["auc"], scores, target)
    equal(area, sk.roc_auc_score(target, scores, sample_weight=weights))
    precision = split.gather(EVERY["precision_recall_auc"], scores, target)
    equal(precision, sk.average_precision_score(target, scores, sample_weight=weights))
    curve = split.gather(EVERY["roc_curve"], scores[:, None], 2 * target - 1)
    keys = ("false_positive_rate", "true_positive_rate", "thresholds")
    expected = sk.roc_curve(target, scores, sample_weight=weights, drop_intermediate=False)
    equal(curve, dict(zip(keys, expected, strict=True)))


@quick
@given(splits(least=2), st.sampled_from([(), (1,), (3,)]))
def test_regressions_agree(split, outputs):
    target = split.draw.normal(size=(split.size, *outputs)).astype(np.float32)
    prediction = target + split.draw.normal(size=target.shape)
    weights = split.weights()
    equal(
        split.gather(EVERY["mean_squared_error"], prediction, target),
        sk.mean_squared_error(target, prediction, sample_weight=weights),
    )
    equal(
        split.gather(EVERY["mean_absolute_error"], prediction, target),
        sk.mean_absolute_error(target, prediction, sample_weight=weights),
    )
    equal(
        split.gather(EVERY["r2"], prediction, target),
        sk.r2_score(target, prediction, sample_weight=weights),
    )
    if outputs != (3,):
        equal(
            split.gather(EVERY["root_mean_squared_error"], prediction, target),
            sk.root_mean_squared_error(target, prediction, sample_weight=weights),
        )


@quick
@given(splits(least=2), st.booleans())
def test_r2_of_a_target_that_never_varies(split, hit):
    # scikit-learn keeps its promise for 0.5 only: the mean of three 0.1 is not quite 0.1.
    for level in (0.5, 0.1):
        target = np.full(split.size, level)
        prediction = target if hit else target + 1
        assert split.gather(EVERY["r2"], prediction, target) == float(hit)
        if level == 0.5:
            assert sk.r2_score(target, prediction) == float(hit)


@quick
@given(splits())
def test_mean_agrees(split):
    values = split.draw.normal(size=(split.size, 3))
    expected = np.average(values.mean(axis=1), weights=split.weights())
    equal(split.gather(EVERY["mean"], values), expected)


def test_r2_keeps_its_digits_far_from_zero():
    draw = np.random.default_rng(0)
    target = 1e8 + draw.normal(size=1000)
    prediction = target + draw.normal(size=1000)
    r2 = metrics.R2(*NODES)
    for start in range(0, 1000, 10):
        r2.update(prediction[start : start + 10], target[start : start + 10])
    assert r2.result() == pytest.approx(sk.r2_score(target, prediction), rel=1e-7)


def test_a_root_mean_squared_error_of_several_outputs_takes_one_root():
    root = metrics.RootMeanSquaredError(*NODES)
    root.update(np.array([[1.0, 7.0]]), np.zeros((1, 2)))
    assert root.result() == 5.0


def test_a_mean_of_values_without_axes():
    plain = metrics.Mean(NODES[0])
    plain.update(np.float32(2.0))
    plain.update(np.float32(4.0))
    assert plain.result() == 3.0
    weighted = metrics.Mean(NODES[0], weight=WEIGHT)
    assert weighted.nodes == (NODES[0], WEIGHT)
    weighted.update(np.float32(2.0), np.ones(3))
    weighted.update(np.float32(4.0), np.ones(1))
    assert weighted.result() == 2.5


@pytest.mark.parametrize("name", EVERY)
def test_name_nodes_and_reset(name):
    metric = EVERY[name]()
    assert metric.name == name
    assert metric.nodes == NODES[: len(batch(name))]
    assert EVERY[name](weight=WEIGHT, name="mine").name == "mine"
    assert EVERY[name](weight=WEIGHT).nodes[-1] == WEIGHT
    metric.update(*batch(name, seed=7))
    other = metric.result()
    metric.update(*batch(name, seed=1))
    metric.reset()
    metric.update(*batch(name, seed=2))
    fresh = EVERY[name]()
    fresh.update(*batch(name, seed=2))
    equal(metric.result(), fresh.result())
    with pytest.raises(AssertionError):
        equal(metric.result(), other)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_seen_is_nan(name):
    metric = EVERY[name]()
    empty = metric.result()
    metric.update(*(array[:0] for array in batch(name)))
    if name == "confusion_matrix":
        assert empty.shape == (0, 0)
        assert not metric.result().any()
    elif name == "roc_curve":
        for curve in (empty, metric.result()):
            assert np.isnan(curve["true_positive_rate"]).all()
            assert np.isnan(curve["false_positive_rate"]).all()
            assert curve["thresholds"].tolist() == [np.inf]
    else:
        assert np.isnan(empty)
        assert np.isnan(metric.result())


def test_nothing_seen_of_each_class():
    assert metrics.ConfusionMatrix(*NODES, classes=3).result().tolist() == [[0.0] * 3] * 3
    score = metrics.F1(*NODES, average=None, zero_division=1)
    assert score.result().shape == (0,)
    score.update(np.zeros((0, 3)), np.zeros(0))
    assert np.isnan(score.result()).tolist() == [True] * 3


def test_one_sample_has_no_r2():
    r2 = metrics.R2(*NODES)
    r2.update(np.ones(1), np.ones(1))
    assert np.isnan(r2.result())


@pytest.mark.parametrize("label", [0, 1])
def test_rankings_of_one_class(label):
    scores, target = np.array([0.1, 0.7]), np.full(2, label)
    results = {}
    for name in ("auc", "precision_recall_auc", "roc_curve"):
        metric = EVERY[name]()
        metric.update(scores, target)
        results[name] = metric.result()
    assert np.isnan(results["auc"])
    equal(results["precision_recall_auc"], 1.0 if label else np.nan)
    there, missing = "true_positive_rate", "false_positive_rate"
    if not label:
        there, missing = missing, there
    assert results["roc_curve"][there].tolist() == [0.0, 0.5, 1.0]
    assert np.isnan(results["roc_curve"][missing]).all()


@pytest.mark.parametrize("name", EVERY)
def test_weight_zero_is_as_if_the_sample_had_not_come(name):
    arrays = [array.astype(np.float64) for array in batch(name)]
    for array in arrays:
        array[3] = np.nan
    weights = np.ones(12)
    weights[3] = 0
    masked = EVERY[name](weight=WEIGHT)
    masked.update(*arrays, weights)
    without = EVERY[name]()
    without.update(*(np.delete(array, 3, axis=0) for array in arrays))
    equal(masked.result(), without.result())


def test_sequences_are_samples_too_and_weights_repeat_along_them():
    draw = np.random.default_rng(0)
    logits, labels = draw.normal(size=(4, 5, 3)), draw.integers(0, 3, (4, 5))
    weights = draw.random(4)
    hits = logits.argmax(axis=2) == labels
    for weight in (weights, weights[:, None], np.repeat(weights[:, None], 5, axis=1)):
        accuracy = metrics.Accuracy(*NODES, weight=WEIGHT)
        accuracy.update(logits, labels, weight)
        assert accuracy.result() == pytest.approx(np.average(hits.mean(axis=1), weights=weights))
    one_each = metrics.AUC(*NODES)
    one_each.update(logits[:, :, :1], labels > 0)
    equal(one_each.result(), sk.roc_auc_score(labels.ravel() > 0, logits[:, :, 0].ravel()))


@pytest.mark.parametrize("name", EVERY)
def test_states_travel_as_plain_arrays(name):
    sent = EVERY[name]()
    sent.update(*batch(name, seed=1))
    wire = io.BytesIO()
    np.savez(wire, **sent.state())
    wire.seek(0)
    state = dict(np.load(wire))
    assert all(array.dtype == np.float64 for array in state.values())
    loaded, merged = EVERY[name](), EVERY[name]()
    loaded.update(*batch(name, seed=3))
    loaded.load_state(state)
    equal(loaded.result(), sent.result())
    merged.result()
    merged.merge(state)
    for array in state.values():
        array[...] = 0
    equal(merged.result(), sent.result())
    before = sent.state()
    for array in sent.state().values():
        array[...] = 0
    equal(sent.state(), before)


def test_rankings_keep_each_distinct_score_once():
    draw = np.random.default_rng(0)
    scores, target = draw.integers(0, 50, (20, 10_000)), draw.integers(0, 2, (20, 10_000))
    auc = metrics.AUC(*NODES)
    for some, labels in zip(scores, target, strict=True):
        auc.update(some, labels)
    assert len(auc.state()["scores"]) == 50
    equal(auc.result(), sk.roc_auc_score(target.ravel(), scores.ravel()))


def test_repeated_scores_take_no_memory():
    scores, target = np.arange(10_000) % 50, np.arange(10_000) % 2
    auc = metrics.AUC(*NODES)
    tracemalloc.start()
    for _ in range(50):
        auc.update(scores, target)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3e6  # All 500,000 samples would take 12 MB.


def test_bins_bound_the_memory():
    draw = np.random.default_rng(0)
    target = draw.integers(0, 2, 20_000)
    scores = np.clip(draw.normal(0.4 + 0.2 * target, 0.2), 0, 1)
    binned = metrics.AUC(*NODES, bins=100)
    binned.update(scores, target)
    assert len(binned.state()["scores"]) == 100
    equal(binned.result(), sk.roc_auc_score(target, np.minimum(scores // 0.01, 99)))
    assert abs(binned.result() - sk.roc_auc_score(target, scores)) < 1e-3


def test_infinite_scores_rank():
    auc = metrics.AUC(*NODES)
    auc.update(np.array([-np.inf, 0.0, np.inf]), np.array([0, 0, 1]))
    assert auc.result() == 1.0


REFUSED = [
    (
        lambda: metrics.Accuracy(*NODES).update(np.ones((2, 3))),
        FeedError,
        "Accuracy 'accuracy': one array is wanted for each of its 2 nodes, 1 came\n"
        "  hint   pass the values of metric.nodes in their order",
    ),
    (
        lambda: metrics.Accuracy(*NODES, name="train/accuracy").update(
            np.ones((3, 10), np.float32), np.ones(4, np.int64)
        ),
        ShapeError,
        "Accuracy 'train/accuracy': one target is wanted for each sample\n"
        "  prediction  (3, 10) float32\n"
        "  target      (4,) int64\n"
        "  hint   give class numbers of shape (3,), or one-hot rows of shape (3, 10)",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.ones((3, 1)), np.ones((3, 2))),
        ShapeError,
        "Accuracy 'accuracy': one target is wanted for each sample\n"
        "  prediction  (3,) float64\n"
        "  target      (3, 2) float64\n"
        "  hint   give class numbers of shape (3,)",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.array(["a", "b"]), np.array([0, 1])),
        DTypeError,
        "Accuracy 'accuracy': real numbers are wanted, the prediction is of <U1\n"
        "  hint   feed integers or floats",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.ones((2, 10)), np.array([3, 12])),
        FeedError,
        "Accuracy 'accuracy': class numbers from 0 to 9 are wanted, the target holds 12\n"
        "  hint   number the classes from 0; give weight 0 to samples that do not count",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.ones((2, 10)), np.array([3, -1])),
        FeedError,
        "Accuracy 'accuracy': class numbers from 0 to 9 are wanted, the target holds -1\n"
        "  hint   number the classes from 0; give weight 0 to samples that do not count",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.ones((2, 10)), np.array([3, 0.5])),
        FeedError,
        "Accuracy 'accuracy': class numbers from 0 to 9 are wanted, the target holds 0.5\n"
        "  hint   number the classes from 0; give weight 0 to samples that do not count",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.array([1, -2]), np.array([1, 2])),
        FeedError,
        "Accuracy 'accuracy': class numbers from 0 are wanted, the prediction holds -2\n"
        "  hint   number the classes from 0; give weight 0 to samples that do not count",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.ones((1, 3)), np.array([[0.1, 0.8, 0.1]])),
        FeedError,
        "Accuracy 'accuracy': one-hot rows hold one 1 and else 0, "
        "the target holds [0.1 0.8 0.1]\n"
        "  hint   give class numbers, such as the ArgMax of soft targets; "
        "for yes-or-no scores, add a last axis of 1 to the prediction",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.ones((2, 3)), np.array([[0, 1, 0], [1, 1, 0]])),
        FeedError,
        "Accuracy 'accuracy': one-hot rows hold one 1 and else 0, the target holds [1 1 0]\n"
        "  hint   give class numbers, such as the ArgMax of soft targets; "
        "for yes-or-no scores, add a last axis of 1 to the prediction",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.array([0.2, 0.7]), np.array([-1, 0])),
        FeedError,
        "Accuracy 'accuracy': targets beside -1 must be -1 or 1, the target holds 0\n"
        "  hint   use 0 and 1 or -1 and 1, not a mixture",
    ),
    (
        lambda: metrics.Accuracy(*NODES).update(np.array([0.2, -1.5]), np.array([0, 1])),
        FeedError,
        "Accuracy 'accuracy': scores from 0 to 1 are wanted, the prediction holds -1.5\n"
        "  hint   give threshold=0.0 if these are logits",
    ),
    (
        lambda: metrics.Accuracy(*NODES, threshold=0.5).update(np.ones((2, 3)), np.ones(2)),
        ArgumentError,
        "Accuracy 'accuracy': a threshold needs one score for each sample, "
        "scores of 3 classes came\n"
        "  hint   leave threshold out, or predict the score of class 1 alone",
    ),
    (
        lambda: metrics.Accuracy(*NODES, threshold=0.5).update(np.ones(2, int), np.ones(2)),
        ArgumentError,
        "Accuracy 'accuracy': a threshold needs one score for each sample, class numbers came\n"
        "  hint   leave threshold out, or predict the score of class 1 alone",
    ),
    (
        lambda: metrics.AUC(*NODES).update(np.array([0.2, np.nan]), np.array([0, 1])),
        FeedError,
        "AUC 'auc': scores must be numbers, the prediction holds nan\n"
        "  hint   find the first node that became nan: check the learning rate and the data",
    ),
    (
        lambda: metrics.AUC(*NODES).update(np.ones((2, 2)), np.array([0, 1])),
        ShapeError,
        "AUC 'auc': one score for each sample is wanted, scores of 2 classes came\n"
        "  hint   predict the score of class 1, such as Softmax(logits)[:, 1]",
    ),
    (
        lambda: metrics.AUC(*NODES, bins=10).update(np.array([0.2, 3.5]), np.array([0, 1])),
        FeedError,
        "AUC 'auc': scores from 0 to 1 are wanted, the prediction holds 3.5\n"
        "  hint   predict the Sigmoid of logits, or leave bins out",
    ),
    (
        lambda: metrics.AUC(*NODES, bins=1),
        ArgumentError,
        "AUC 'auc': bins must be a whole number of at least 2, 1 came\n"
        "  hint   give bins=2 or more",
    ),
    (
        lambda: metrics.TopKAccuracy(*NODES, k=2.5),
        ArgumentError,
        "TopKAccuracy 'top_k_accuracy': k must be a whole number of at least 1, 2.5 came\n"
        "  hint   give k=1 or more",
    ),
    (
        lambda: metrics.TopKAccuracy(*NODES, k=4).update(np.ones((2, 3)), np.ones(2)),
        ArgumentError,
        "TopKAccuracy 'top_k_accuracy': k must not exceed the number of classes, "
        "k=4 and 3 classes came\n"
        "  hint   give k=3 or less",
    ),
    (
        lambda: metrics.TopKAccuracy(*NODES, k=1).update(np.ones(2), np.ones(2)),
        ShapeError,
        "TopKAccuracy 'top_k_accuracy': a score for each class is wanted, "
        "one for each sample came\n"
        "  hint   use Accuracy to judge two classes by one score",
    ),
    (
        lambda: metrics.F1(*NODES, average="mean"),
        ArgumentError,
        "F1 'f1': average must be one of 'binary', 'macro', 'micro', 'weighted', None, "
        "'mean' came\n"
        "  hint   'macro' weighs classes equally, None gives one score for each",
    ),
    (
        lambda: metrics.F1(*NODES, zero_division="warn"),
        ArgumentError,
        "F1 'f1': zero_division must be 0, 1 or nan, 'warn' came\n"
        "  hint   give what a class scores that has nothing to divide by",
    ),
    (
        lambda: metrics.F1(*NODES, classes=3),
        ArgumentError,
        "F1 'f1': average='binary' is for 2 classes, 3 came\n"
        "  hint   give average='macro', 'micro', 'weighted' or None",
    ),
    (
        lambda: metrics.F1(*NODES).update(np.ones((2, 3)), np.ones(2)),
        ShapeError,
        "F1 'f1': scores of 2 classes are wanted, of 3 came\n"
        "  hint   give average='macro', 'micro', 'weighted' or None",
    ),
    (
        lambda: metrics.Recall(*NODES, average="macro", classes=4).update(
            np.ones((2, 3)), np.ones(2)
        ),
        ShapeError,
        "Recall 'recall': scores of 4 classes are wanted, of 3 came\n"
        "  hint   give classes=3, or leave it out",
    ),
    (
        lambda: metrics.ConfusionMatrix(*NODES).update(np.ones(2, int), np.ones(2)),
        ArgumentError,
        "ConfusionMatrix 'confusion_matrix': predicted class numbers do not say "
        "how many classes there are\n"
        "  hint   give classes=, or predict scores",
    ),
    (
        lambda: metrics.MeanSquaredError(*NODES).update(np.ones((3, 3)), np.ones(3)),
        ShapeError,
        "MeanSquaredError 'mean_squared_error': prediction and target must have one shape, "
        "with a batch axis\n"
        "  prediction  (3, 3) float64\n"
        "  target      (3,) float64\n"
        "  hint   reshape one of them: values are compared one by one, never broadcast",
    ),
    (
        lambda: metrics.R2(*NODES).update(np.array([1.0, 2.0]), np.array([1.0, np.inf])),
        FeedError,
        "R2 'r2': values must be finite, the target holds inf\n"
        "  hint   find the first node that became so: check the learning rate and the data",
    ),
    (
        lambda: metrics.Accuracy(*NODES, weight=WEIGHT).update(
            np.ones((3, 5, 2)), np.ones((3, 5)), np.ones(5)
        ),
        ShapeError,
        "Accuracy 'accuracy': one weight is wanted for each sample\n"
        "  samples  (3, 5)\n"
        "  weight   (5,)\n"
        "  hint   give weights of shape (3,) or (3, 5)",
    ),
    (
        lambda: metrics.Mean(NODES[0], weight=WEIGHT).update(np.ones(2), np.array([1.0, -0.5])),
        FeedError,
        "Mean 'mean': weights must be finite and not negative, -0.5 came\n"
        "  hint   give weight 0 to samples that do not count",
    ),
    (
        lambda: metrics.Precision(*NODES).merge(metrics.Recall(*NODES)),
        ArgumentError,
        "Precision 'precision': only a metric of the same class can be merged, "
        "Recall 'recall' came\n"
        "  hint   merge each metric with its own copy from the other worker",
    ),
    (
        lambda: metrics.TopKAccuracy(*NODES, k=1).merge(metrics.TopKAccuracy(*NODES, k=5)),
        ArgumentError,
        "TopKAccuracy 'top_k_accuracy': metrics to merge must agree in k, 1 and 5 came\n"
        "  hint   build both with the same k",
    ),
    (
        lambda: metrics.AUC(*NODES).load_state({"sum": np.ones(())}),
        ArgumentError,
        "AUC 'auc': a state holds scores, positives, negatives; sum came\n"
        "  hint   pass what state() of the same metric gave",
    ),
    (
        lambda: metrics.AUC(*NODES).merge(
            {"scores": np.ones(2), "positives": np.ones(3), "negatives": np.ones(2)}
        ),
        ArgumentError,
        "AUC 'auc': the arrays of a state do not fit each other\n"
        "  scores  (2,)\n"
        "  positives  (3,)\n"
        "  negatives  (2,)\n"
        "  hint   pass what state() of the same metric gave",
    ),
    (
        lambda: metrics.Mean(NODES[0]).load_state({"sum": np.ones(1), "weight": np.ones(())}),
        ArgumentError,
        "Mean 'mean': the arrays of a state do not fit each other\n"
        "  sum  (1,)\n"
        "  weight  ()\n"
        "  hint   pass what state() of the same metric gave",
    ),
]


@pytest.mark.parametrize(("act", "error", "message"), REFUSED)
def test_refusals(act, error, message):
    with pytest.raises(error) as refusal:
        act()
    assert type(refusal.value) is error
    assert str(refusal.value) == message


def test_the_number_of_classes_may_not_change():
    matrix = metrics.ConfusionMatrix(*NODES)
    matrix.update(np.eye(3), np.arange(3))
    with pytest.raises(ShapeError) as refusal:
        matrix.update(np.eye(4), np.arange(4))
    assert str(refusal.value) == (
        "ConfusionMatrix 'confusion_matrix': "
        "what is added must have the shape of what came before\n"
        "  before  matrix  (3, 3)\n"
        "  added   matrix  (4, 4)\n"
        "  hint   feed one number of classes or outputs, or reset() in between"
    )
    assert matrix.result().tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("name", EVERY)
def test_a_refused_batch_leaves_no_trace(name):
    metric = EVERY[name]()
    metric.update(*batch(name))
    before = metric.state()
    bad = batch(name, seed=1)
    bad[0][-1] = np.nan
    with pytest.raises(FeedError):
        metric.update(*bad)
    equal(metric.state(), before)


@pytest.mark.parametrize("name", EVERY)
def test_arrays_fed_are_left_as_they_were(name):
    arrays = batch(name)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EVERY[name]().update(*arrays)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_every_metric_is_tested_here():
    classes = {
        getattr(metrics, name) for name in metrics.__all__ if name not in ("Metric", "Average")
    }
    assert {type(make()) for make in EVERY.values()} == classes
