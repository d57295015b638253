"""Arrays and tensors in the files of NumPy and PyTorch, read without executing code.

A small file can describe much more than it holds: compressed members, a stride of zero, a header that claims anything.
What a file says of its sizes is checked before anything is allocated, against the file and against
:func:`aqakit.system.files.largest`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from aqakit.errors import AqakitError, DataError
from aqakit.recordings.pickles import rehearse
from aqakit.recordings.stand_ins import NUMPY_NUMBERS
from aqakit.system import npy
from aqakit.system.files import check_size
from aqakit.system.tensors import reason

_HEADER = 1 / 64
"""Of the largest recording that the description of tensors may take: 4 MiB, since each entry becomes an object."""


def numpy_array(path: Path, key: str) -> NDArray[np.generic]:
    """Load the array of a ``.npy`` file, or the only array or the one named ``key`` of a ``.npz`` file; no pickles.

    Raises:
        DataError: the file is damaged or too large, or has no such array.
    """
    try:
        loaded = npy.load(path, mapped=True)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            name = _member(path, archive.files, key)
            check_size(path, max(e.file_size for e in archive.zip.infolist() if e.filename in (name, f"{name}.npy")))
            return np.asarray(npy.undisturbed(lambda: archive[name]))
    except AqakitError:
        raise
    except Exception as error:  # NumPy raises many kinds for damaged files
        # it takes what is no array for a pickle, and advises to load that
        about_objects = any(word in str(error) for word in ("pickle", "Python objects"))
        why = "it is no array, or holds objects" if about_objects else reason(error)
        raise DataError(f"{path} cannot be read as an array of numbers: {why}") from error


def named_arrays(path: Path, names: Sequence[str]) -> list[NDArray[np.generic]]:
    """Load the arrays of an ``.npz`` file with these names, in their order; no pickles.

    Raises:
        DataError: the file is damaged or too large, or lacks one of them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as an archive of arrays: {reason(error)}") from error
    if missing := [name for name in names if name not in there]:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DataError(f"{path} has no array named {', '.join(map(repr, missing[:5]))}{more}")
    return [numpy_array(path, name) for name in names]


def tensor(path: Path, key: str) -> NDArray[np.generic]:
    """Load the only tensor, or the one named ``key``, of a ``.pt`` or ``.safetensors`` file.

    Raises:
        DataError: the file is damaged or too large, or has no such tensor.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            check_header(path)
            with safe_open(path, framework="pt") as stored:
                found = stored.get_tensor(_member(path, list(stored.keys()), key))
        else:
            check_size(path, path.stat().st_size)
            found = load_torch(path)
    except AqakitError:
        raise
    except Exception as error:  # so does PyTorch
        raise DataError(f"{path} cannot be read as a tensor of numbers: {reason(error)}") from error
    if isinstance(found, Mapping):
        found = found[_member(path, list(found), key)]
    if not isinstance(found, Tensor):
        raise DataError(f"{path} needs one tensor, or one named {key!r}")
    check_size(path, found.numel() * 4)
    return np.asarray(found.detach().to(torch.float64 if found.dtype == torch.float64 else torch.float32))


def load_torch(path: Path) -> Any:
    """Load a file of ``torch.save`` without executing code.

    Raises:
        DataError: it would take more memory than the file, and more than is allowed; it claims more values than it
            has; or its description would crash the interpreter.
        pickle.UnpicklingError: it holds objects that are not data.
        Exception: of many kinds, if it is damaged.
    """
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        size = max(size, sum(entry.file_size for entry in entries))
        if size > path.stat().st_size:  # compressed, which torch.save never does
            check_size(path, size)
        programs = [entry for entry in entries if entry.filename.endswith(".pkl")]
        check_size(path, sum(entry.file_size for entry in programs), _HEADER, "bytes of header")
        for entry in programs:
            with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                rehearse(path, file, entry.file_size)
    else:  # the format before 2020: five pickles, then the values
        with path.open("rb") as file:
            rehearse(path, file, size, 5)
    with torch.serialization.safe_globals(NUMPY_NUMBERS):  # checkpoints store their best score as a NumPy number
        found = torch.load(path, map_location="cpu", weights_only=True)
    _check_tensors(path, _tensors(found), size)
    return found


def check_header(path: Path) -> None:
    """Refuse a ``.safetensors`` file whose header alone is too large.

    Raises:
        DataError: it is.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size <= path.stat().st_size:  # otherwise the file is damaged, which the library says
        check_size(path, size, _HEADER, "bytes of header")


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield all tensors in nested containers, each container once: a file can hold one in itself."""
    waiting, seen = [value], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, Mapping | list | tuple | set) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(one.values() if isinstance(one, Mapping) else one)


def _check_tensors(path: Path, tensors: Iterable[Tensor], size: int) -> None:
    """Refuse tensors that are not plain, or that take more memory than the ``size`` bytes of a file explain."""
    stored: dict[int, int] = {}
    for one in tensors:
        if one.layout != torch.strided or one.device.type != "cpu" or one.is_quantized:
            raise DataError(f"{path} holds a tensor that is not a plain array of numbers; save it as a dense one")
        storage, needed = one.untyped_storage(), one.numel() * one.element_size()
        stored[storage.data_ptr()] = storage.nbytes()
        if needed > storage.nbytes():  # a stride of 0 repeats values; they take memory when the tensor is used
            check_size(path, needed)
    if sum(stored.values()) > size:
        raise DataError(f"{path} claims to hold more values than it has bytes, so it is damaged")


def _member(path: Path, names: list[Any], key: str) -> Any:
    if key in names:
        return key
    if len(names) != 1:
        shown = ", ".join(str(name)[:40] for name in names[:10])
        raise DataError(f"{path} needs one array, or one named {key!r}; it has {shown or 'none'}")
    return names[0]
