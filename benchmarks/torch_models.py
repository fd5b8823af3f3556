"""The workloads once more, in PyTorch, each in the form in which PyTorch is fastest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import data
import numpy as np
import torch
from torch import nn

Step = Callable[[], Any]
Arrays = list[np.ndarray[Any, Any]]


def step_of(
    name: str,
    arrays: Arrays,
    weights: Arrays,
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
) -> Step:
    """One training step of a workload, or one inference, on the data that ours is fed.

    Args:
        name: Of the workload.
        arrays: The data.
        weights: Those that ours has, in order.
        wrap: What is done to the model: torch.compile, for one.
    """
    torch.manual_seed(0)
    x, *y = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    model, loss, optimizer = MODELS[name[:2].replace("i", "w")]()
    load(model, arranged(name, weights))
    if name in ("w3", "w6", "i3_64"):
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    if name.startswith("i"):
        model = wrap(model.eval())

        def infer() -> Any:
            with torch.inference_mode():
                return model(x)

        return infer
    update = [make(list(chosen)) for make, chosen in optimizer(model)]
    model = wrap(model)

    def step() -> Any:
        for each in update:
            each.zero_grad()
        value = loss(model(x), *y)
        value.backward()
        for each in update:
            each.step()
        return value

    return step


def load(model: nn.Module, arrays: Arrays) -> None:
    """Give a model's parameters the values of arrays, in order."""
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def arranged(name: str, weights: Arrays) -> Arrays:
    """Our weights in the order and the layout of torch's parameters."""
    turned = {"w4": 3, "w5": 3, "w7": 2}.get(name, 0)  # those before have layouts of their own
    first, rest = weights[:turned], weights[turned:]
    if name == "w8":
        places, table, *rest = weights
        first, blocks = [places, table], []
        for start in range(0, 64, 16):
            norm, mix, others = (
                rest[start : start + 2],
                rest[start + 2 : start + 8],
                rest[start + 8 : start + 16],
            )
            out, norm2, dense = others[:2], others[2:4], others[4:]
            joined = [np.concatenate(mix[::2], axis=1), np.concatenate(mix[1::2])]
            blocks += [*norm, *norm2, *joined, *out, *dense]
        rest = [*blocks, *rest[64:]]
    if name in ("w4", "w5"):
        w, r, b = (x[0] for x in first)
        gates = 4 if name == "w5" else 1
        order = [0, 2, 3, 1] if gates == 4 else [0]  # ours are i, o, f, g
        kernels = [np.concatenate([np.split(x, gates)[k] for k in order]) for x in (w, r)]
        biases = [np.concatenate([np.split(x, gates)[k] for k in order]) for x in np.split(b, 2)]
        first = [*kernels, *biases]
    return [*first, *(x.T if x.ndim == 2 else x for x in rest)]


def adam(model: nn.Module) -> Any:
    """Adam, in one kernel for all parameters."""
    return [(lambda p: torch.optim.Adam(p, 1e-3, fused=True), model.parameters())]


def momentum(model: nn.Module) -> Any:
    """SGD with momentum, in one kernel for all parameters."""
    return [(lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9, fused=True), model.parameters())]


def mlp(*widths: int) -> nn.Module:
    """Dense layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn(kernels: tuple[int, ...], filters: tuple[int, ...], dense: int) -> nn.Module:
    """Convolutions with ReLU and pooling, then two dense layers."""
    layers: list[nn.Module] = []
    channels = 1
    for kernel, count in zip(kernels, filters, strict=True):
        layers += [
            nn.Conv2d(channels, count, kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels = count
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(channels * 49, dense),
        nn.ReLU(),
        nn.Linear(dense, 10),
    )


class Recurrent(nn.Module):
    """A recurrence, and a head on its last state."""

    def __init__(self, cell: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.cell, self.head = cell, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of the classes."""
        states, _ = self.cell(x)
        return self.head(states[:, -1])


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, filters: int, strides: int) -> None:
        super().__init__()
        self.first = normal_conv(channels, filters, 3, strides)
        self.second = normal_conv(filters, filters, 3, 1)
        self.short = nn.Identity() if strides == 1 else normal_conv(channels, filters, 1, strides)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's value."""
        y = self.second(torch.relu(self.first(x)))
        return torch.relu(y + self.short(x))


def normal_conv(channels: int, filters: int, kernel: int, strides: int) -> nn.Module:
    """A convolution with batch normalization."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, strides, kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
    )


def resnet() -> nn.Module:
    """ResNet-20."""
    layers: list[nn.Module] = [normal_conv(3, 16, 3, 1), nn.ReLU()]
    channels = 16
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if filters > 16 and block == 0 else 1
            layers.append(Block(channels, filters, strides))
            channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class DeepFM(nn.Module):
    """First order, factorization machine and dense layers over one table."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 16, sparse=True)
        self.weights = nn.Embedding(rows, 1, sparse=True)
        self.dense = mlp(26 * 16, 400, 400, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The score of a click."""
        rows = self.table(ids)
        total = rows.sum(1)
        second = 0.5 * (total * total - (rows * rows).sum(1)).sum(1, keepdim=True)
        return self.dense(rows.flatten(1)) + second + self.weights(ids).sum(1)


def sparse_adam(model: nn.Module) -> Any:
    """Adam, which leaves the rows of tables alone that a step does not read."""
    tables = [p for name, p in model.named_parameters() if not name.startswith("dense")]
    rest = [p for name, p in model.named_parameters() if name.startswith("dense")]
    return [
        (lambda p: torch.optim.SparseAdam(p, 1e-3), tables),
        (lambda p: torch.optim.Adam(p, 1e-3, fused=True), rest),
    ]


class Transformer(nn.Module):
    """A small GPT with attention in torch's fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(65, 128), nn.Parameter(torch.randn(64, 128) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock() for _ in range(4))
        self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 65)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Scores of the next character."""
        h = self.tokens(ids) + self.places
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h)).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Attention, then dense layers, each with a way around it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(128), nn.LayerNorm(128)
        self.mix, self.out = nn.Linear(128, 384), nn.Linear(128, 128)
        self.dense = nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's value."""
        batch, length, width = x.shape
        parts = self.mix(self.norm1(x)).view(batch, length, 3, 4, width // 4)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.dense(self.norm2(x))


CLASSES, CLICKS = nn.CrossEntropyLoss, nn.BCEWithLogitsLoss

MODELS: dict[str, Callable[[], tuple[nn.Module, nn.Module, Callable[[nn.Module], Any]]]] = {
    "w1": lambda: (mlp(784, 128, 10), CLASSES(), adam),
    "w2": lambda: (mlp(784, 1024, 1024, 10), CLASSES(), adam),
    "w3": lambda: (cnn((3, 3), (32, 64), 128), CLASSES(), momentum),
    "w4": lambda: (
        Recurrent(nn.RNN(9, 20, batch_first=True), mlp(20, 40, 25)),
        CLASSES(),
        adam,
    ),
    "w5": lambda: (
        Recurrent(nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)),
        CLASSES(),
        adam,
    ),
    "w6": lambda: (resnet(), CLASSES(), momentum),
    "w7": lambda: (DeepFM(26 * data.ROWS), CLICKS(), sparse_adam),
    "w8": lambda: (Transformer(), CLASSES(), adam),
    "w9": lambda: (cnn((5, 3), (3, 3), 120), CLASSES(), adam),
}
