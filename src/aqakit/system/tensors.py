"""Files of tensors (safetensors) that carry a digest of their content, which is verified whenever they are read.

The header of a file holds ``format`` and ``digest`` beside what the caller stores there. One flipped bit cannot remove
both, so a file that has neither was written before files had digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from aqakit.system.files import atomic_path

FORMAT = "aqakit 1"

Tensors = dict[str, Tensor]

_KINDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.bool: "BOOL",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
}  # fmt: skip


class DamagedError(ValueError):
    """A file of tensors that is not what was written."""


def save(file: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors atomically, with ``about`` and the digest in the header.

    Raises:
        OSError: the file cannot be written; the error names it.
    """
    header = {**(about or {}), "format": FORMAT}
    write(file, tensors, {**header, "digest": digest(tensors, header)})


def write(file: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors atomically with a header, without adding a digest.

    The same content always gives the same bytes. The library's own writer orders the header at random, makes files that
    only their owner can read, and does not say which error the system gave.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))  # keeps values aligned
    index: dict[str, Any] = {"__metadata__": dict(sorted(header.items()))}
    place = 0
    for name, tensor in ordered:
        shape, end = list(tensor.shape), place + tensor.numel() * tensor.element_size()
        index[name] = {"dtype": _KINDS[tensor.dtype], "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(index, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in ordered:
            stream.write(_bytes(tensor))


def load(file: Path, *, required: bool = False) -> tuple[Tensors, dict[str, str]]:
    """Read the tensors and the header of a file.

    Args:
        file: written by :func:`save`, or before files had digests.
        required: whether a file without a digest is refused.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it may not be read.
        DamagedError: it is damaged, or not a file of tensors; the message does not name the file.
    """
    file.open("rb").close()  # the library calls a file that may not be read missing
    try:
        with safe_open(file, framework="pt") as stored:
            header = dict(stored.metadata() or {})
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        raise DamagedError(reason(error)) from None
    verify(tensors, header, required=required)
    return tensors, header


def verify(tensors: Mapping[str, Tensor], header: Mapping[str, str], *, required: bool = False) -> None:
    """Check tensors against the digest in their header.

    Raises:
        DamagedError: they are not what was written.
    """
    if not required and "format" not in header and "digest" not in header:
        return
    rest = {name: text for name, text in header.items() if name != "digest"}
    if header.get("digest") != digest(tensors, rest):
        raise DamagedError("its content does not have the digest that is stored in it")


def digest(tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> str:
    """Hash names, types, shapes and values of tensors, and a header; independent of how they are stored."""
    found = hashlib.blake2b(digest_size=16)
    for name, text in sorted((header or {}).items()):
        _add(found, [name.encode(), text.encode()])
    for name, tensor in sorted(tensors.items()):
        _add(found, [name.encode(), f"{tensor.dtype} {list(tensor.shape)}".encode(), _bytes(tensor)])
    return found.hexdigest()


def flatten(value: Any, tensors: list[Tensor]) -> Any:
    """Turn nested containers of tensors and plain values into JSON values; the tensors are appended to a list.

    Raises:
        TypeError: something else is inside.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if isinstance(value, Mapping):
        return {"dict": [[key, flatten(inner, tensors)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [flatten(inner, tensors) for inner in value]}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} cannot be stored")


def unflatten(value: Any, tensors: Sequence[Tensor]) -> Any:
    """Restore the argument of :func:`flatten`."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {key: unflatten(one, tensors) for key, one in inner}
    return {"list": list, "tuple": tuple}[kind](unflatten(one, tensors) for one in inner)


def below(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors whose names begin with ``prefix/``, by the rest of their names."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def reason(error: Exception) -> str:
    """Return the first line of an error, or its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def _add(found: Any, parts: Iterable[Any]) -> None:
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))  # so that parts cannot run into each other
        found.update(part)


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
