"""What a pickle may call instead of the names that it asks for: Python's containers, NumPy's arrays and scalars.

Every stand-in checks its arguments, since a pickle can hold anything; NumPy itself would believe them.
"""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Callable
from typing import Any, Self

import numpy as np

_DIMENSIONS = 32


class ForbiddenError(Exception):
    """Raised with what a pickle may not do."""


class Dtype:
    """A plain number, text or object dtype; its only state is the byte order."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not re.fullmatch(r"[|<>=]?[?biufcSUO]\d*", code):
            raise ForbiddenError(f"numpy.dtype({code!r})")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.value = self.value.newbyteorder(state[1] if state[1] in ("<", ">") else "=")


class Array(np.ndarray[Any, Any]):
    """An array that can be filled only with bytes of numbers or a list of objects."""

    def __new__(cls, *args: Any) -> Self:
        """Refuse; only :func:`_reconstruct` makes one."""
        raise ForbiddenError("numpy.ndarray()")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, dtype, fortran, content = state
        content = content.encode("latin1") if isinstance(content, str) else content
        if version != 1 or not isinstance(fortran, int) or not _fits(content, dtype, shape):
            raise ForbiddenError("a forged numpy.ndarray")
        super().__setstate__((version, shape, dtype.value, bool(fortran), content))  # type: ignore[arg-type]


def _fits(content: object, dtype: object, shape: object) -> bool:
    """Whether a content is exactly what an array of that shape holds; NumPy would believe what a pickle says."""
    if not isinstance(dtype, Dtype) or not isinstance(shape, tuple):
        return False
    if not all(type(n) is int and n >= 0 for n in shape) or len(shape) > _DIMENSIONS:
        return False
    count = math.prod(shape)
    if dtype.value.hasobject:
        return isinstance(content, list) and len(content) == count
    return (
        isinstance(content, bytes | bytearray)
        and dtype.value.itemsize > 0
        and len(content) == count * dtype.value.itemsize
    )


def _reconstruct(kind: type, shape: tuple[int, ...], code: bytes) -> Array:
    return np.ndarray.__new__(Array, (0,), np.int8)


def _scalar(dtype: Dtype, content: bytes | str) -> Any:
    raw = content.encode("latin1") if isinstance(content, str) else content
    if isinstance(dtype, Dtype) and dtype.value.itemsize == 0 and raw == b"":
        return dtype.value.type()  # the empty text
    if not _fits(raw, dtype, ()) or dtype.value.hasobject:
        raise ForbiddenError("a forged NumPy scalar")
    return np.frombuffer(raw, dtype.value)[0]


def _frombuffer(content: Any, dtype: Dtype, shape: tuple[int, ...], order: str) -> Any:
    if not _fits(content, dtype, shape) or dtype.value.hasobject:
        raise ForbiddenError("a forged numpy.ndarray")
    return np.frombuffer(content, dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _no_bytes() -> bytes:
    """Stand-in for ``bytes()``, with which old protocols write empty ones."""
    return b""


def _set(items: list[Any]) -> set[Any]:
    return set(_listed(items))


def _frozenset(items: list[Any]) -> frozenset[Any]:
    return frozenset(_listed(items))


def _ordered(items: list[Any] | tuple[()] = ()) -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict(_listed(items))


def _listed(items: Any) -> Any:
    """Refuse what is not in the file, such as a range of a billion numbers."""
    if not isinstance(items, list | tuple):
        raise ForbiddenError(f"a container of a {type(items).__name__}")
    return items


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in for ``_codecs.encode``, with which old protocols write bytes."""
    if encoding != "latin1":
        raise ForbiddenError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered,
    ("builtins", "bytes"): _no_bytes,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): _frozenset,
    **{("builtins", kind.__name__): kind for kind in (complex, slice, range)},
}

NUMPY_NUMBERS: list[Any] = [
    (Dtype, "numpy.dtype"),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Stand-ins for NumPy's numbers in files of PyTorch, as ``torch.serialization.safe_globals`` takes them."""
