"""Features that came with a data set, extracted by others: one file for each sample, or one dictionary for all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aqakit.errors import DataError
from aqakit.recordings import pickles
from aqakit.system.files import atomic_path, default_cache

ENDINGS = ("npy", "npz", "safetensors", "pt")


def find(
    folder: Path, given: Path | None, names: Sequence[str], others: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Return the file of features of each sample that has one, to be read by the backbone ``precomputed``.

    Args:
        folder: of the data set, whose folder ``features`` is searched by default.
        given: another folder of files ``<name>.npy``; or one ``.pkl``, a dictionary of arrays (clips, width) by name,
            each of which is written to a file of its own in the cache. Names of several parts, such as an event and a
            number, are joined by ``_``.
        names: of the samples.
        others: other paths, without their endings, that the files of samples may have in the folder.

    Raises:
        DataError: what is given does not exist, holds none of the samples, or is no such dictionary.
    """
    place = given or folder / "features"
    if given is not None and not given.exists():
        raise DataError(f"{given} does not exist; features should be a folder of .npy files, or one .pkl")
    if place.is_file():
        found = _split(place, _dictionary(place), names)
    else:
        also = others or {}
        paths = {n: [place / f"{path}.{ending}" for path in (n, also.get(n, n)) for ending in ENDINGS] for n in names}
        found = {name: path for name, options in paths.items() for path in options if path.is_file()}
    if given is not None and not found:
        raise DataError(f"{given} has features of none of the samples, such as {names[0]}")
    return found


def _dictionary(file: Path) -> Mapping[str, Any]:
    loaded = pickles.load(file)
    if not isinstance(loaded, dict) or not all(isinstance(value, np.ndarray) for value in loaded.values()):
        raise DataError(f"{file} should hold a dictionary of arrays (clips, width) by name")
    return {_name(key): value for key, value in loaded.items()}


def _name(key: object) -> str:
    return "_".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _split(file: Path, arrays: Mapping[str, Any], names: Sequence[str]) -> dict[str, Path]:
    """Write the arrays of the samples, in a folder named after the content of the file."""
    with file.open("rb") as stream:
        folder = default_cache() / "features_of" / hashlib.file_digest(stream, "blake2b").hexdigest()[:16]
    found = {name: folder / f"{name}.npy" for name in names if name in arrays}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in found.items():
            if not path.exists():
                with atomic_path(path) as temporary, temporary.open("wb") as stream:
                    np.save(stream, np.asarray(arrays[name], np.float32))
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}; set AQAKIT_CACHE to a writable folder") from error
    except (TypeError, ValueError):
        raise DataError(f"{file}: its arrays should hold numbers, (clips, width) each") from None
    return found
