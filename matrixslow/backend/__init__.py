"""Where arrays live: NumPy on the host, CuPy on a CUDA device, behind one small seam.

Everything else in matrixslow is handed an array module (`xp`) and never imports one for the device.
"""

from matrixslow.backend.device import (
    Array,
    array_module,
    as_native,
    check_device,
    device_of,
    to_device,
    to_host,
)
from matrixslow.backend.zeros import mapped_zeros

__all__ = [
    "Array",
    "array_module",
    "as_native",
    "check_device",
    "device_of",
    "mapped_zeros",
    "to_device",
    "to_host",
]
