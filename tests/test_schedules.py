"""Learning-rate schedules beside PyTorch's and beside their formulas."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import matrixslow as ms
from matrixslow.errors import ArgumentError
from matrixslow.optimizers import (
    SGD,
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstant,
    Schedule,
    StepDecay,
    WarmUp,
)

STEPS = 60

TORCH: dict[str, tuple[Schedule, Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]]] = {
    "StepDecay": (
        StepDecay(0.5, every=7, factor=0.3),
        lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.3),
    ),
    "ExponentialDecay": (
        ExponentialDecay(0.5, every=10, factor=0.2),
        lambda o: lr_scheduler.ExponentialLR(o, gamma=0.2 ** (1 / 10)),
    ),
    "CosineDecay": (
        CosineDecay(0.5, total=STEPS, final=0.01),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.01),
    ),
    "PiecewiseConstant": (
        PiecewiseConstant([10, 25], [0.5, 0.05, 0.005]),
        lambda o: lr_scheduler.MultiStepLR(o, milestones=[10, 25], gamma=0.1),
    ),
    "WarmUp": (
        WarmUp(0.5, steps=8),
        lambda o: lr_scheduler.LinearLR(o, start_factor=1 / 8, total_iters=7),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_values_beside_torch(name: str) -> None:
    schedule, peer = TORCH[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.5)
    theirs = peer(optimizer)
    wanted = []
    for _ in range(STEPS):
        wanted.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    found = schedule.values(range(STEPS))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_warm_up_leads_into_another_schedule() -> None:
    found = WarmUp(CosineDecay(1.0, total=10, final=0.1), steps=5).values(range(20))
    rise = [0.2, 0.4, 0.6, 0.8, 1.0]
    fall = [0.1 + 0.45 * (1 + np.cos(np.pi * min(k, 10) / 10)) for k in range(15)]
    np.testing.assert_allclose(found, rise + fall, rtol=1e-14)


def test_the_cosine_stays_at_its_end() -> None:
    found = CosineDecay(1.0, total=10, final=0.1).values([10, 11, 15, 1000])
    np.testing.assert_allclose(found, 0.1, rtol=1e-14)


def test_a_constant_alone_is_piecewise_too() -> None:
    assert PiecewiseConstant([], [0.3]).values([0, 5]).tolist() == [0.3, 0.3]


def test_the_first_step_takes_the_first_rate(graph: ms.Graph) -> None:
    w = ms.Variable([0.0], dtype="float64", name="w")
    schedule = PiecewiseConstant([1, 3], [1.0, 0.5, 0.25])
    updates = SGD(schedule).updates([(w, ms.Constant([-1.0], dtype="float64"))])
    step = ms.function([], [], updates=updates)
    path = []
    for _ in range(5):
        step()
        path.append(w.value[0])
    assert path == [1.0, 1.5, 2.0, 2.25, 2.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepDecay(0.1, every=0), "StepDecay: every=0\n  hint   give 1 or more"),
        (lambda: ExponentialDecay(1, every=-1), "ExponentialDecay: every=-1\n  hint   give 1 or"),
        (lambda: CosineDecay(0.1, total=0), "CosineDecay: total=0\n  hint   give 1 or more"),
        (lambda: WarmUp(0.1, steps=0), "WarmUp: steps=0\n  hint   give 1 or more"),
        (
            lambda: PiecewiseConstant([5], [0.1]),
            "PiecewiseConstant: 1 boundaries and 1 rates\n"
            "  hint   give one rate more than boundaries",
        ),
        (
            lambda: PiecewiseConstant([5, 5], [0.1, 0.2, 0.3]),
            "PiecewiseConstant: boundaries=[5, 5]\n  hint   give them in ascending order",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()
