"""Safe reading of the pickles and object arrays of released data sets, without executing code.

A pickle is a program. Here it can call only stand-ins that build Python's containers and NumPy's arrays and scalars;
any other name ends the reading before it is called. NumPy's own ``ndarray`` and ``dtype`` are not allowed: a pickle
could make them interpret arbitrary bytes as pointers.
"""

from __future__ import annotations

import collections
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError

_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError)
_TOO_MUCH = (MemoryError, OverflowError, RecursionError)


def load(path: Path | str) -> Any:
    """Load a pickle of containers, numbers, text and NumPy arrays (of a subclass of ``ndarray``).

    Raises:
        DataError: the file is missing or damaged, or asks for anything else, which is then not executed.
    """
    path = Path(path)
    return _unpickle(path, _bytes(path))


def load_npy_objects(path: Path | str) -> NDArray[Any]:
    """Load an array from a ``.npy`` file; if its elements are objects, they are read as by :func:`load`.

    Raises:
        DataError: as :func:`load`.
    """
    path = Path(path)
    data = io.BytesIO(_bytes(path))
    try:
        version = np.lib.format.read_magic(data)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(data)
        if not dtype.hasobject:
            data.seek(0)
            return np.asarray(np.load(data, allow_pickle=False))
    except (*_BROKEN, *_TOO_MUCH) as error:
        raise DataError(f"{path} is not a .npy file, or is damaged: {error}") from error
    array = _unpickle(path, data.read())
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise DataError(f"{path} does not hold the array that its header describes")
    return array.view(np.ndarray)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _unpickle(path: Path, data: bytes) -> Any:
    try:
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except _ForbiddenError as error:
        raise DataError(
            f"{path} asks for {error}, which is not plain data; nothing was executed, and the file was not read"
        ) from error
    except (*_BROKEN, *_TOO_MUCH) as error:
        raise DataError(f"{path} is not a pickle, or is damaged: {' '.join(str(error).split())}") from error


class _ForbiddenError(Exception):
    """Raised with the name that a pickle may not call."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name."""
        try:
            return _STAND_INS[module.replace("__builtin__", "builtins").replace("._core.", ".core."), name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None


class _Dtype:
    """A plain number, text or object dtype; its only state is the byte order."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not re.fullmatch(r"[|<>=]?[?biufcSUO]\d*", code):
            raise _ForbiddenError(f"numpy.dtype({code!r})")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.value = self.value.newbyteorder(state[1] if state[1] in {"<", ">"} else "=")


class _Array(np.ndarray[Any, Any]):
    """An array that can be filled only with bytes of numbers or a list of objects."""

    def __new__(cls, *args: Any) -> Self:
        raise _ForbiddenError("numpy.ndarray()")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype) or dtype.value.hasobject != isinstance(content, list):
            raise _ForbiddenError("a forged numpy.ndarray")
        super().__setstate__((version, shape, dtype.value, fortran, content))


def _reconstruct(kind: type, shape: tuple[int, ...], code: bytes) -> _Array:
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _scalar(dtype: _Dtype, content: bytes | str) -> Any:
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, dtype.value)[0]


def _frombuffer(content: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> Any:
    return np.frombuffer(content, dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in for ``_codecs.encode``, with which old protocols write bytes."""
    if encoding != "latin1":
        raise _ForbiddenError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
    **{("builtins", kind.__name__): kind for kind in (set, frozenset, complex, slice, range)},
}
