"""Matrix products: every size and layout, beside NumPy's."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from matrixslow.compiler.llvm import load_module
from matrixslow.compiler.matmul import DEPTH, HEIGHT, MANY, product, source

Array = np.ndarray[Any, Any]

SIZES = (1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 63, 64, 65, 70)

LAYOUTS = ("plain", "transposed", "apart")


def laid(values: Array, layout: str) -> Array:
    """The same values with other strides."""
    if layout == "transposed":
        return np.ascontiguousarray(values.T).T
    if layout == "apart":
        wide = np.full((2 * values.shape[0], 3 * values.shape[1]), np.nan, values.dtype)
        wide[::2, ::3] = values
        return wide[::2, ::3]
    return values


def multiplied(address: int, a: Array, b: Array, c: Array, *, add: bool) -> None:
    """Call the native function."""
    size = ctypes.c_int64
    matrix = (ctypes.c_void_p, size, size)
    call = ctypes.CFUNCTYPE(None, size, size, size, *matrix, *matrix, *matrix, ctypes.c_bool)
    given: list[Any] = []
    for x in (a, b, c):
        given += [x.ctypes.data, *(stride // x.itemsize for stride in x.strides)]
    call(address)(*c.shape, a.shape[1], *given, add)


def compare(address: int, sizes: tuple[int, int, int], dtype: str, layouts: Any, add: bool) -> None:
    """One product beside NumPy's; what lies around the result stays as it was."""
    rng = np.random.default_rng(sizes)
    m, n, k = sizes
    a, b = (
        laid(rng.standard_normal(shape).astype(dtype), layout)
        for shape, layout in zip(((m, k), (k, n)), layouts, strict=True)
    )
    around = np.full((m + 2, n + 5), 7.0, dtype)
    c = around[1:-1, 2 : n + 2]
    start = rng.standard_normal((m, n)).astype(dtype)
    c[...] = start if add else np.nan
    multiplied(address, a, b, c, add=add)
    expected = a.astype("float64") @ b.astype("float64") + (start if add else 0.0)
    allowed = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(c, expected, rtol=0, atol=allowed * np.abs(expected).max())
    c[...] = 7.0
    assert (around == 7.0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("b_layout", LAYOUTS)
@pytest.mark.parametrize("a_layout", LAYOUTS)
def test_products_of_all_layouts_agree_with_numpy(a_layout: str, b_layout: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for turn in range(40):
        m, n, k = (int(size) for size in rng.choice(SIZES, 3))
        compare(product(np.dtype(dtype)), (m, n, k), dtype, (a_layout, b_layout), turn % 2 == 1)


@pytest.mark.parametrize("b_layout", ["plain", "transposed"])
def test_products_beyond_every_block_agree_with_numpy(b_layout: str) -> None:
    sizes = (HEIGHT + 5, 70, 2 * DEPTH + 9)
    compare(product(np.dtype("float32")), sizes, "float32", ("plain", b_layout), False)


@pytest.mark.parametrize(
    ("lanes", "rows", "vectors"), [(16, (4, 1), 4), (8, (6, 2, 1), 2), (4, (4, 1), 4)]
)
def test_tiles_of_other_processors_agree_with_numpy(
    lanes: int, rows: tuple[int, ...], vectors: int
) -> None:
    module = load_module(source("float", lanes, rows, vectors))
    for m in (1, 5, 6, 8, MANY + 3):
        for layout in LAYOUTS:
            for n in (3, 40, 130):
                sizes = (m, n, 33)
                compare(module.address("product"), sizes, "float32", ("plain", layout), False)


def test_a_row_is_summed_in_one_order_however_many_there_are() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((100, 700), np.float32), rng.standard_normal((700, 90), np.float32)
    whole, parts = np.empty((100, 90), np.float32), np.empty((100, 90), np.float32)
    address = product(np.dtype("float32"))
    multiplied(address, a, b, whole, add=False)

    for rows in (slice(0, 37), slice(37, 74), slice(74, 100)):
        multiplied(address, a[rows], b, parts[rows], add=False)
    np.testing.assert_array_equal(whole, parts)
