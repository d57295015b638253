"""Safe reading of the pickles and object arrays of released data sets, without executing code.

A pickle is a program. Here it can call only stand-ins that build Python's containers and NumPy's arrays and scalars;
any other name ends the reading before it is called. NumPy's own ``ndarray`` and ``dtype`` are not allowed: a pickle
could make them interpret arbitrary bytes as pointers.

A pickle can also be a small program that takes much memory, or that crashes the interpreter. It is run by the
unpickler in Python, which counts its steps: their number and the size of the file are limited, what the stand-ins copy
is not much more than the file holds, and tuples are not nested so deeply that hashing them would overflow the stack.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import AqakitError, DataError
from aqakit.recordings.stand_ins import STAND_INS, Array, Dtype, ForbiddenError
from aqakit.system import npy
from aqakit.system.files import check_size, largest
from aqakit.system.tensors import reason

_SHARE = 1 / 4
"""Of the largest recording that a file may be: 64 MiB, unless the user allows more."""

_STEPS = 1 / 128
"""Steps of a pickle that are allowed for each byte of the largest recording: an empty set takes 200 bytes."""

_DEEPEST = 100
"""Tuples within tuples; Python hashes them recursively, without a check of its own."""

_COPIES = 4
"""How often the content of a file may be copied; old protocols encode the bytes of an array, and then set them."""

_SIZED = (bytes, bytearray, str, list, tuple, dict)


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
        shape, dtype = npy.header(data)
        if not dtype.hasobject:
            if math.prod(shape) * dtype.itemsize > len(data.getbuffer()):
                raise DataError(f"{path} does not hold the array that its header describes")
            return np.asarray(npy.load(data))
    except AqakitError:
        raise
    except Exception as error:  # NumPy raises many kinds for damaged files
        raise DataError(f"{path} is not a .npy file, or is damaged: {reason(error)}") from error
    array = _unpickle(path, data.read())
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise DataError(f"{path} does not hold the array that its header describes")
    return array.view(np.ndarray)


def rehearse(path: Path, file: IO[bytes], size: int, count: int = 1) -> None:
    """Go through pickles that another library will read, without building what they ask for.

    Args:
        path: the file, for messages.
        file: starts with the pickles.
        size: number of bytes of the file.
        count: how many pickles follow one another.

    Raises:
        DataError: one of them has too many steps, copies too much, or nests tuples too deeply. That it is damaged is
            left to the library to say.
    """
    try:
        for _ in range(count):
            _Rehearsal(path, file, size).load()
    except ForbiddenError as error:
        raise DataError(f"{path} asks for {error}, which is not plain data; nothing was executed") from error
    except AqakitError:
        raise
    except Exception:  # the library will meet it too
        return


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        check_size(path, path.stat().st_size, _SHARE)
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _unpickle(path: Path, data: bytes) -> Any:
    unpickler = _Unpickler(path, io.BytesIO(data), len(data))
    try:
        return unpickler.load()
    except ForbiddenError as error:
        raise DataError(
            f"{path} asks for {error}, which is not plain data; nothing was executed, and the file was not read"
        ) from error
    except AqakitError:
        raise
    except Exception as error:  # whatever a damaged pickle makes of its steps
        raise DataError(f"{path} is not a pickle, or is damaged: {reason(error)}") from error


Step = Callable[[Any], None]


class _Unpickler(pickle._Unpickler):
    """The unpickler in Python, with stand-ins for every name and limits for everything that grows."""

    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    def __init__(self, path: Path, file: IO[bytes], size: int) -> None:
        super().__init__(file, encoding="latin1")
        self._path, self._size, self._steps, self._copied = path, size, 0, 0
        self._most = int(largest() * _STEPS)
        self._nested: dict[int, tuple[Any, ...]] = {}  # depth and size of tuples, which are kept with their ids

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name."""
        try:
            return STAND_INS[module.replace("__builtin__", "builtins").replace("._core.", ".core."), name]
        except KeyError:
            raise ForbiddenError(f"{module}.{name}") from None

    def count(self) -> None:
        """Count a step.

        Raises:
            DataError: there have been too many.
        """
        self._steps += 1
        if self._steps > self._most:
            check_size(self._path, self._steps, _STEPS, "objects")

    def check_copy(self) -> None:
        """Refuse to copy much more into the arguments of calls, altogether, than the file holds.

        Raises:
            ForbiddenError: an object is copied again and again.
        """
        given = self.stack[-1]
        parts = [given, *given] if isinstance(given, tuple) else [given]
        self._copied += sum(len(part) for part in parts if isinstance(part, _SIZED))
        if self._copied > _COPIES * self._size:
            raise ForbiddenError("more memory than its size explains")

    def check_state(self) -> None:
        """Refuse to set the state of anything but our stand-ins, such as the attributes of a function."""
        self.check_copy()
        if not isinstance(self.stack[-2], Array | Dtype):
            raise ForbiddenError(f"setting the state of a {type(self.stack[-2]).__name__}")

    def check_depth(self) -> None:
        """Measure the tuple that was made last.

        Raises:
            ForbiddenError: it is nested too deeply.
        """
        made = self.stack[-1]
        inside = [self._nested.get(id(part), (1, 1)) for part in made if isinstance(part, tuple)]
        if inside:
            depth, size = 1 + max(deep for deep, *_ in inside), 1 + sum(size for _, size, *_ in inside)
            if depth > _DEEPEST or size > self._size:  # the same one in many places is hashed in each of them
                raise ForbiddenError("tuples within tuples without end")
            self._nested[id(made)] = depth, size, made

    def read_bytearray(self) -> None:
        """Read a ``bytearray``; the original allocates what the file claims before it looks."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))


class _Rehearsal(_Unpickler):
    """Accepts every name and makes nothing of it."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the same for every name."""
        return _Nothing

    def persistent_load(self, pid: Any) -> Any:
        """Return what stands for a part that is stored elsewhere."""
        return _Nothing()

    def check_state(self) -> None:
        """Nothing has a state."""
        self.check_copy()


class _Nothing:
    """Takes whatever it is given, and keeps nothing."""

    def __new__(cls, *args: object) -> Self:
        """Make one from any arguments."""
        return super().__new__(cls)

    def __init__(self, *args: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def extend(self, items: object) -> None:
        """Take items of a list or a set."""

    append = add = update = extend


def _steps(*refused: bytes) -> dict[int, Step]:
    """Return the steps of the unpickler by the byte that stands for each, counted and checked."""
    own = {key: step for key, step in pickle._Unpickler.dispatch.items() if bytes([key]) not in refused}
    before: dict[int, Step] = {code[0]: _Unpickler.check_copy for code in (pickle.REDUCE, pickle.NEWOBJ)}
    before[pickle.BUILD[0]] = lambda unpickler: unpickler.check_state()
    tuples = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
    after = {code[0]: _Unpickler.check_depth for code in tuples}
    made = {key: _checked(step, before.get(key), after.get(key)) for key, step in own.items()}
    return made | {pickle.BYTEARRAY8[0]: _checked(_Unpickler.read_bytearray)}


def _checked(step: Step, before: Step | None = None, after: Step | None = None) -> Step:
    def checked(unpickler: _Unpickler) -> None:
        unpickler.count()
        if before:
            before(unpickler)
        step(unpickler)
        if after:
            after(unpickler)

    return checked


_CLASSES = (pickle.NEWOBJ_EX, pickle.OBJ, pickle.INST)  # of no use for plain data
_Unpickler.dispatch = _steps(*_CLASSES, pickle.PERSID, pickle.BINPERSID)
_Rehearsal.dispatch = _steps(*_CLASSES)
