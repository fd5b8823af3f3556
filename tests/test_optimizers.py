"""Optimizers beside PyTorch's on a small model whose data changes at every step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import matrixslow as ms
from matrixslow.errors import ArgumentError, GradientError, GraphError
from matrixslow.optimizers import (
    SGD,
    Adadelta,
    AdaGrad,
    Adam,
    AdamW,
    ExponentialDecay,
    Lion,
    Momentum,
    Nadam,
    Nesterov,
    Optimizer,
    ParameterGroups,
    RMSProp,
    StepDecay,
)

STEPS = 100

TORCH: dict[str, tuple[Callable[[], Optimizer], Callable[[Any], torch.optim.Optimizer]]] = {
    "SGD": (lambda: SGD(0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "SGD, decay": (
        lambda: SGD(0.05, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.05, weight_decay=0.1),
    ),
    "Momentum": (lambda: Momentum(0.02), lambda p: torch.optim.SGD(p, 0.02, momentum=0.9)),
    "Momentum, decay": (
        lambda: Momentum(0.02, momentum=0.5, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.02, momentum=0.5, weight_decay=0.1),
    ),
    "Nesterov": (
        lambda: Nesterov(0.02, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, 0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    "AdaGrad": (
        lambda: AdaGrad(0.1, weight_decay=0.01),
        lambda p: torch.optim.Adagrad(p, 0.1, weight_decay=0.01),
    ),
    "RMSProp": (lambda: RMSProp(), lambda p: torch.optim.RMSprop(p)),
    "RMSProp, momentum": (
        lambda: RMSProp(0.01, rho=0.9, momentum=0.8, weight_decay=0.01),
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, momentum=0.8, weight_decay=0.01),
    ),
    "RMSProp, centered": (
        lambda: RMSProp(0.01, centered=True, epsilon=1e-6),
        lambda p: torch.optim.RMSprop(p, 0.01, centered=True, eps=1e-6),
    ),
    "RMSProp, centered, momentum": (
        lambda: RMSProp(0.01, centered=True, momentum=0.9),
        lambda p: torch.optim.RMSprop(p, 0.01, centered=True, momentum=0.9),
    ),
    "Adam": (lambda: Adam(0.02), lambda p: torch.optim.Adam(p, 0.02)),
    "Adam, all options": (
        lambda: Adam(0.02, betas=(0.8, 0.95), epsilon=1e-4, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
    ),
    "AdamW": (lambda: AdamW(0.02), lambda p: torch.optim.AdamW(p, 0.02)),
    "AdamW, all options": (
        lambda: AdamW(0.02, betas=(0.8, 0.95), epsilon=1e-4, weight_decay=0.3),
        lambda p: torch.optim.AdamW(p, 0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.3),
    ),
    "Adadelta": (lambda: Adadelta(), lambda p: torch.optim.Adadelta(p)),
    "Adadelta, all options": (
        lambda: Adadelta(0.5, rho=0.8, epsilon=1e-4, weight_decay=0.1),
        lambda p: torch.optim.Adadelta(p, 0.5, rho=0.8, eps=1e-4, weight_decay=0.1),
    ),
    "Nadam": (lambda: Nadam(), lambda p: torch.optim.NAdam(p)),
    "Nadam, all options": (
        lambda: Nadam(0.01, betas=(0.8, 0.95), momentum_decay=0.02, epsilon=1e-4, weight_decay=0.1),
        lambda p: torch.optim.NAdam(
            p, 0.01, betas=(0.8, 0.95), momentum_decay=0.02, eps=1e-4, weight_decay=0.1
        ),
    ),
}
"""Ours and theirs, with the same options."""

W = np.random.default_rng(1).normal(size=(3, 4))
B = np.random.default_rng(2).normal(size=4)


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    for _ in range(STEPS):
        yield rng.normal(size=(5, 3)), rng.normal(size=(5, 4))


class Model:
    """loss = mean((tanh(x w) + b - y)**2)."""

    def __init__(self, dtype: str) -> None:
        with ms.Graph() as self.graph:
            self.x = ms.Input((None, 3), dtype=dtype, name="x")
            self.y = ms.Input((None, 4), dtype=dtype, name="y")
            self.w = ms.Variable(W, dtype=dtype, name="w")
            self.b = ms.Variable(B, dtype=dtype, name="b")
            columns = ms.ops.Reshape(self.x, shape=(-1, 3, 1))
            products = ms.ops.ReduceSum(columns * self.w, axes=(1,), keepdims=False)
            error = ms.ops.Tanh(products) + self.b - self.y
            self.loss = ms.ops.ReduceMean(error * error, keepdims=False)

    def train(
        self, optimizer: Optimizer | ParameterGroups, before_step: Callable[[int], None] = id
    ) -> None:
        updates = optimizer.minimize(self.loss)
        step = ms.function([self.x, self.y], self.loss, updates=updates)
        for number, (x, y) in enumerate(batches()):
            before_step(number)
            step(x.astype(self.w.dtype), y.astype(self.w.dtype))


class TorchModel:
    """The same in torch."""

    def __init__(self, dtype: str) -> None:
        self.dtype = getattr(torch, dtype)
        self.w = torch.tensor(W, dtype=self.dtype, requires_grad=True)
        self.b = torch.tensor(B, dtype=self.dtype, requires_grad=True)

    def train(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        clip: Callable[[list[torch.Tensor]], object] = id,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        for x, y in batches():
            optimizer.zero_grad()
            error = torch.tanh(torch.tensor(x, dtype=self.dtype) @ self.w) + self.b
            ((error - torch.tensor(y, dtype=self.dtype)) ** 2).mean().backward()
            clip([self.w, self.b])
            optimizer.step()
            after_step()

    def assert_equal(self, model: Model, tolerance: float = 1e-10) -> None:
        for ours, theirs in ((model.w, self.w), (model.b, self.b)):
            wanted = theirs.detach().numpy()
            assert ours.value.dtype == wanted.dtype
            np.testing.assert_allclose(ours.value, wanted, rtol=tolerance, atol=tolerance)
        assert np.abs(model.w.value - W).max() > 0.01  # it has moved at all


@pytest.fixture(autouse=True)
def float64_in_torch() -> Iterator[None]:
    """NAdam keeps a product of numbers in torch's default dtype, which has too few digits."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", TORCH)
def test_steps_beside_torch(name: str) -> None:
    ours, theirs = TORCH[name]
    model, peer = Model("float64"), TorchModel("float64")
    model.train(ours())
    peer.train(theirs([peer.w, peer.b]))
    peer.assert_equal(model)


@pytest.mark.parametrize("name", TORCH)
def test_steps_beside_torch_in_float32(name: str) -> None:
    ours, theirs = TORCH[name]
    model, peer = Model("float32"), TorchModel("float32")
    model.train(ours())
    peer.train(theirs([peer.w, peer.b]))
    # Steps scaled by a tiny spread of slopes amplify the last digit.
    peer.assert_equal(model, 2e-3 if "centered" in name else 2e-5)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_lion_follows_the_published_algorithm(decay: float) -> None:
    model, peer = Model("float64"), TorchModel("float64")
    model.train(Lion(0.003, weight_decay=decay))
    means = [torch.zeros_like(x) for x in (peer.w, peer.b)]

    def lion() -> None:
        with torch.no_grad():
            for weight, mean in zip((peer.w, peer.b), means, strict=True):
                slope = weight.grad
                direction = torch.sign(0.9 * mean + 0.1 * slope)
                weight -= 0.003 * (direction + decay * weight)
                mean.copy_(0.99 * mean + 0.01 * slope)

    peer.train(torch.optim.SGD([peer.w, peer.b], 0.0), after_step=lion)
    peer.assert_equal(model)


# ---- options of all ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_norm_of_all_slopes_is_clipped(dtype: str) -> None:
    model, peer = Model(dtype), TorchModel(dtype)
    model.train(Momentum(0.05, clip_norm=0.8, weight_decay=0.1))
    sgd = torch.optim.SGD([peer.w, peer.b], 0.05, momentum=0.9, weight_decay=0.1)
    norms: list[float] = []
    peer.train(sgd, clip=lambda p: norms.append(float(torch.nn.utils.clip_grad_norm_(p, 0.8))))
    peer.assert_equal(model, 1e-10 if dtype == "float64" else 2e-5)
    assert min(norms) < 0.8 < max(norms)  # both cases have come


def test_each_element_of_the_slopes_is_clipped() -> None:
    model, peer = Model("float64"), TorchModel("float64")
    model.train(Adam(0.02, clip_value=0.05))
    adam = torch.optim.Adam([peer.w, peer.b], 0.02)
    peer.train(adam, clip=lambda p: torch.nn.utils.clip_grad_value_(p, 0.05))
    peer.assert_equal(model)


def test_the_learning_rate_changes_between_steps() -> None:
    model, peer = Model("float64"), TorchModel("float64")
    ours, theirs = Momentum(0.1), torch.optim.SGD([peer.w, peer.b], 0.1, momentum=0.9)
    halve = torch.optim.lr_scheduler.StepLR(theirs, step_size=40, gamma=0.5)

    def change(number: int) -> None:
        assert ours.rate is not None
        if number in (40, 80):
            ours.rate.value = ours.rate.value / 2

    model.train(ours, change)
    peer.train(theirs, after_step=halve.step)
    peer.assert_equal(model)


def test_a_schedule_moves_the_learning_rate() -> None:
    model, peer = Model("float64"), TorchModel("float64")
    model.train(Adam(StepDecay(0.1, every=30, factor=0.5)))
    adam = torch.optim.Adam([peer.w, peer.b], 0.1)
    peer.train(adam, after_step=torch.optim.lr_scheduler.StepLR(adam, step_size=30, gamma=0.5).step)
    peer.assert_equal(model)


def test_groups_have_optimizers_of_their_own() -> None:
    model, peer = Model("float64"), TorchModel("float64")
    model.train(ParameterGroups([(Adam(0.02, weight_decay=0.1), [model.w])], rest=Adam(0.1)))
    groups = [{"params": [peer.w], "weight_decay": 0.1}, {"params": [peer.b], "lr": 0.1}]
    peer.train(torch.optim.Adam(groups, 0.02))
    peer.assert_equal(model)


def test_what_no_group_names_stays_without_a_rest() -> None:
    model = Model("float64")
    model.train(ParameterGroups([(Adam(0.02), [model.w])]))
    np.testing.assert_array_equal(model.b.value, B)
    assert np.abs(model.w.value - W).max() > 0.01


def test_only_the_variables_named_are_changed() -> None:
    model = Model("float64")
    step = ms.function(
        [model.x, model.y], model.loss, updates=SGD(0.1).minimize(model.loss, [model.b])
    )
    step(*next(batches()))
    np.testing.assert_array_equal(model.w.value, W)
    assert not np.array_equal(model.b.value, B)


def test_what_is_not_trainable_stays(graph: ms.Graph) -> None:
    frozen = ms.Variable([1.0], trainable=False, name="frozen")
    free = ms.Variable([1.0], name="free")
    ms.function([], [], updates=SGD(0.5).minimize(frozen * free))()
    assert (frozen.value[0], free.value[0]) == (1.0, 0.5)


def test_a_constant_slope_does_not_break_the_centered_form(graph: ms.Graph) -> None:
    w = ms.Variable(np.zeros(50), name="w")
    slopes = np.linspace(0.1, 3.0, 50)
    step = ms.function(
        [], [], updates=RMSProp(1e-6, centered=True, rho=0.5).updates([(w, ms.Constant(slopes))])
    )
    for _ in range(200):
        step()
    assert np.isfinite(w.value).all()


# ---- what it makes of the graph -----------------------------------------------------------------


def test_state_has_the_dtype_of_its_weight_and_names_of_its_own(graph: ms.Graph) -> None:
    w = ms.Variable([1.0], name="fc1/w")
    Nadam(clip_norm=1.0).minimize(w * w)
    Adam(ExponentialDecay(0.1, every=10)).minimize(w * w)
    Adam().minimize(w * w)
    found = {x.name: (str(x.spec), x.trainable) for x in graph.variables if x is not w}
    assert found == {
        "nadam/steps": ("() int64", False),
        "nadam/learning_rate": ("() float64", False),
        "nadam/fc1/w/mean": ("(1,) float32", False),
        "nadam/fc1/w/square": ("(1,) float32", False),
        "nadam/fc1/w/product": ("() float64", False),
        "adam/steps": ("() int64", False),
        "adam/fc1/w/mean": ("(1,) float32", False),
        "adam/fc1/w/square": ("(1,) float32", False),
        "adam_1/steps": ("() int64", False),
        "adam_1/learning_rate": ("() float64", False),
        "adam_1/fc1/w/mean": ("(1,) float32", False),
        "adam_1/fc1/w/square": ("(1,) float32", False),
    }
    assert all(x.derived for x in graph.variables if x is not w)


def test_one_optimizer_serves_two_graphs() -> None:
    shared, alone = Momentum(0.05), [Momentum(0.05), Momentum(0.05)]
    first, second, third, fourth = (Model("float64") for _ in range(4))
    first.train(shared)
    second.train(shared)
    third.train(alone[0])
    fourth.train(alone[1])
    np.testing.assert_array_equal(first.w.value, third.w.value)
    np.testing.assert_array_equal(second.w.value, fourth.w.value)


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-0.1), "SGD: learning_rate=-0.1\n  hint   give 0 or more"),
        (
            lambda: SGD("0.1"),  # type: ignore[arg-type]
            "SGD: learning_rate='0.1'\n"
            "  hint   give a number, or a schedule such as ms.optimizers.StepDecay",
        ),
        (lambda: SGD(float("nan")), "SGD: learning_rate=nan\n  hint   give 0 or more"),
        (lambda: SGD(np.float32(-1)), "SGD: learning_rate=np.float32(-1.0)\n  hint   give 0 or mo"),
        (lambda: Adam(clip_norm=-1), "Adam: clip_norm=-1\n  hint   give 0 or more"),
        (lambda: Adam(weight_decay=-1), "Adam: weight_decay=-1\n  hint   give 0 or more"),
        (lambda: Momentum(1, momentum=1), "Momentum: momentum=1\n  hint   give 0 <= value < 1"),
        (lambda: Adam(betas=(0.9, 1.0)), "Adam: betas=(0.9, 1.0)\n  hint   give 0 <= value < 1"),
        (lambda: RMSProp(rho=2.0), "RMSProp: rho=2.0\n  hint   give 0 <= value < 1"),
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], Optimizer], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("make", [lambda: SGD(0.1, momentum=0.9), lambda: Lion(epsilon=1e-8)])
def test_unknown_options_are_refused(make: Callable[[], Optimizer]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        make()


def test_nothing_to_train(graph: ms.Graph) -> None:
    x = ms.Input((), name="x")
    with pytest.raises(GraphError) as caught:
        SGD(0.1).minimize(x * x)
    assert str(caught.value) == (
        "minimize: Mul 'mul' () float32 depends on no trainable variable\n"
        "  hint   build the model from layers, or from ms.Variable"
    )


def test_a_variable_without_a_slope(graph: ms.Graph) -> None:
    w, other = ms.Variable(1.0, name="w"), ms.Variable(1.0, name="other")
    with pytest.raises(GradientError) as caught:
        SGD(0.1).minimize(w * w, [w, other])
    assert str(caught.value) == (
        "minimize: Mul 'mul' () float32 has no slope with respect to Variable 'other' () float32\n"
        "  hint   name only variables that the loss depends on, or set trainable=False"
    )


def test_a_group_with_a_variable_without_a_slope(graph: ms.Graph) -> None:
    w, other = ms.Variable(1.0, name="w"), ms.Variable(1.0, name="other")
    with pytest.raises(GradientError) as caught:
        ParameterGroups([(SGD(0.1), [other])], rest=SGD(0.1)).minimize(w * w)
    assert str(caught.value) == (
        "ParameterGroups: Variable 'other' () float32 is in a group and has no slope\n"
        "  hint   group only trainable variables that the loss depends on"
    )


def test_a_variable_in_two_groups(graph: ms.Graph) -> None:
    w = ms.Variable(1.0, name="w")
    with pytest.raises(GraphError) as caught:
        ParameterGroups([(SGD(0.1), [w]), (Adam(), [w])])
    assert str(caught.value) == (
        "ParameterGroups: Variable 'w' () float32 is in two groups\n"
        "  hint   put each variable into one group"
    )
