"""exp, log, tanh and their like, as LLVM functions that vectorise.

Each float32 function is a polynomial after a reduction of its range, without branches or calls.
Their error is at most 2 units in the last place over the whole range (tested against float64).
Float64 uses the C library's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LIBRARY = (
    *("sin", "cos", "tan", "sinh", "cosh", "arcsin", "arccos", "arctan"),
    *("arcsinh", "arccosh", "arctanh", "log1p", "expm1", "exp", "log", "tanh", "log2", "exp2"),
)
"""NumPy functions of one number that the C library has, under its own name."""


def float32(value: float) -> str:
    """A float32 number as LLVM writes it: the bits of the equal double."""
    return f"0x{np.float64(np.float32(value)).view(np.uint64):016X}"


def float64(value: float) -> str:
    """A float64 number as LLVM writes it."""
    return f"0x{np.float64(value).view(np.uint64):016X}"


def c_name(function: str) -> str:
    """The C library's name of a NumPy function."""
    return function.replace("arc", "a")


def _polynomial(variable: str, coefficients: Sequence[float], prefix: str) -> tuple[str, str]:
    """Lines that evaluate a polynomial, highest power first, and the name of the result."""
    lines = []
    result = float32(coefficients[0])
    for number, coefficient in enumerate(coefficients[1:]):
        name = f"%{prefix}{number}"
        lines.append(
            f"  {name} = call float @llvm.fma.f32(float {result}, float {variable}, "
            f"float {float32(coefficient)})"
        )
        result = name
    return "\n".join(lines), result


def _exp() -> str:
    """exp(x) = 2**n exp(r), |r| <= ln(2) / 2.

    The power is applied in two halves, so that results below the normal range are right.
    """
    lines, p = _polynomial(
        "%r",
        (
            *(1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3),
            *(4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1),
        ),
        "p",
    )
    magic = float32(12582912.0)  # adding it rounds to an integer, in the lowest bits
    return f"""
define internal float @ms_exp(float %x) alwaysinline {{
  %above = fcmp ogt float %x, {float32(89.0)}
  %x1 = select i1 %above, float {float32(89.0)}, float %x
  %below = fcmp olt float %x1, {float32(-104.0)}
  %x2 = select i1 %below, float {float32(-104.0)}, float %x1
  %t = call float @llvm.fma.f32(float %x2, float {float32(1.4426950409)}, float {magic})
  %n = fsub float %t, {magic}
  %m = fneg float %n
  %r1 = call float @llvm.fma.f32(float %m, float {float32(0.693359375)}, float %x2)
  %r = call float @llvm.fma.f32(float %m, float {float32(-2.12194440e-4)}, float %r1)
{lines}
  %rr = fmul float %r, %r
  %q = call float @llvm.fma.f32(float {p}, float %rr, float %r)
  %y = fadd float %q, 1.0
  %bits = bitcast float %t to i32
  %k = sub i32 %bits, {0x4B400000}
  %k1 = ashr i32 %k, 1
  %k2 = sub i32 %k, %k1
  %e1 = add i32 %k1, 127
  %e2 = add i32 %k2, 127
  %s1 = shl i32 %e1, 23
  %s2 = shl i32 %e2, 23
  %f1 = bitcast i32 %s1 to float
  %f2 = bitcast i32 %s2 to float
  %z = fmul float %y, %f1
  %result = fmul float %z, %f2
  ret float %result
}}
"""


def _log() -> str:
    """log(x) = e ln(2) + log(m), m in [sqrt(1/2), sqrt(2))."""
    lines, p = _polynomial(
        "%f",
        (
            *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1),
            *(-1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
            *(2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
        ),
        "p",
    )
    return f"""
define internal float @ms_log(float %x) alwaysinline {{
  %small = fcmp olt float %x, {float32(1.17549435e-38)}
  %large = fmul float %x, {float32(33554432.0)}
  %x1 = select i1 %small, float %large, float %x
  %e0 = select i1 %small, i32 -25, i32 0
  %bits = bitcast float %x1 to i32
  %shifted = sub i32 %bits, {0x3F3504F3}
  %e1 = ashr i32 %shifted, 23
  %ebits = shl i32 %e1, 23
  %mbits = sub i32 %bits, %ebits
  %m = bitcast i32 %mbits to float
  %e2 = add i32 %e1, %e0
  %e = sitofp i32 %e2 to float
  %f = fsub float %m, 1.0
{lines}
  %z = fmul float %f, %f
  %fz = fmul float %f, %z
  %y1 = fmul float %fz, {p}
  %y2 = call float @llvm.fma.f32(float %e, float {float32(-2.12194440e-4)}, float %y1)
  %y3 = call float @llvm.fma.f32(float %z, float -0.5, float %y2)
  %y4 = fadd float %f, %y3
  %y = call float @llvm.fma.f32(float %e, float {float32(0.693359375)}, float %y4)
  %zero = fcmp oeq float %x, 0.0
  %y5 = select i1 %zero, float 0xFFF0000000000000, float %y
  %finite = fcmp olt float %x, 0x7FF0000000000000
  %y6 = select i1 %finite, float %y5, float %x
  %negative = fcmp olt float %x, 0.0
  %result = select i1 %negative, float 0x7FF8000000000000, float %y6
  ret float %result
}}
"""


def _tanh() -> str:
    """tanh(x) = x + x**3 p(x**2) near zero, else 1 - 2 / (exp(2 |x|) + 1) with the sign of x."""
    lines, p = _polynomial(
        "%z",
        (
            *(-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2),
            *(1.33314422036e-1, -3.33332819422e-1),
        ),
        "p",
    )
    return f"""
define internal float @ms_tanh(float %x) alwaysinline {{
  %a = call float @llvm.fabs.f32(float %x)
  %z = fmul float %x, %x
{lines}
  %xz = fmul float %x, %z
  %near = call float @llvm.fma.f32(float %xz, float {p}, float %x)
  %a2 = fadd float %a, %a
  %e = call float @ms_exp(float %a2)
  %e1 = fadd float %e, 1.0
  %d = fdiv float 2.0, %e1
  %far1 = fsub float 1.0, %d
  %far = call float @llvm.copysign.f32(float %far1, float %x)
  %small = fcmp olt float %a, 0.625
  %result = select i1 %small, float %near, float %far
  ret float %result
}}
"""


def declarations() -> dict[str, str]:
    """Lines that declare what these functions call."""
    return {
        "llvm.fma.f32": "declare float @llvm.fma.f32(float, float, float)",
        "llvm.fabs.f32": "declare float @llvm.fabs.f32(float)",
        "llvm.copysign.f32": "declare float @llvm.copysign.f32(float, float)",
    }


def functions() -> str:
    """The LLVM text of all functions; what is not called is dropped."""
    return "\n".join((_exp(), _log(), _tanh()))


VECTORISED = {"exp": "ms_exp", "log": "ms_log", "tanh": "ms_tanh"}
"""NumPy functions with a float32 version here."""
