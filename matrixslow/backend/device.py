"""Devices by name: "cpu", "cuda" or "cuda:1"."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.errors import ArgumentError, DeviceError, MissingExtra

Array = Any
"""A NumPy or CuPy array: the two share an interface, not a base class."""


def check_device(device: str) -> str:
    """The device's full name: "cpu", or "cuda:N" for the N-th CUDA device.

    Raises:
        ArgumentError: The name is not of this form.

    >>> check_device("cuda")
    'cuda:0'
    """
    kind, _, number = device.partition(":")
    if device == "cpu" or (kind == "cuda" and (number.isdecimal() or device == "cuda")):
        return device if kind == "cpu" else f"cuda:{number or 0}"
    raise ArgumentError(f"no such device: {device!r}", hint='give "cpu", "cuda" or "cuda:1"')


def array_module(device: str) -> ModuleType:
    """The module that computes on a device: numpy, or cupy for "cuda:N".

    Raises:
        MissingExtra: CuPy is not installed.
        DeviceError: CuPy finds no such device.
    """
    return np if device == "cpu" else _cupy(int(device.partition(":")[2]))


def device_of(array: Array) -> str:
    """The name of the device that holds an array.

    >>> device_of(np.zeros(3))
    'cpu'
    """
    return "cpu" if isinstance(array, np.ndarray | np.generic) else f"cuda:{array.device.id}"


def as_native(value: Any) -> Array:
    """The value as an array, left on the device where it lives.

    >>> as_native([1, 2])
    array([1, 2])
    """
    return value if hasattr(value, "__cuda_array_interface__") else np.asarray(value)


def to_device(array: Array, device: str) -> Array:
    """The array on a device; itself if it lives there already."""
    if device == "cpu":
        return to_host(array)
    number = int(device.partition(":")[2])
    cupy = _cupy(number)
    with cupy.cuda.Device(number):
        return cupy.asarray(array)


def to_host(array: Array) -> np.ndarray[Any, Any]:
    """The array in the host's memory, as NumPy's."""
    if isinstance(array, np.ndarray | np.generic):
        return np.asarray(array)
    host: np.ndarray[Any, Any] = array.get()
    return host


def _cupy(number: int) -> ModuleType:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise MissingExtra(
            "device 'cuda' needs CuPy, which is not installed",
            hint="pip install 'matrixslow[gpu13]' (CUDA 13) or 'matrixslow[gpu12]' (CUDA 12)",
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(f"CUDA does not start: {error}", hint='use device="cpu"') from error
    if number >= count:
        raise DeviceError(
            f"device 'cuda:{number}' is absent, CUDA finds {count}", hint='use device="cpu"'
        )
    return cupy
