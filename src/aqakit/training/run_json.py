"""``run.json``: the recipe of a run and what became of it, with a format version and a digest of its own text.

It also holds the digests of the other text files of the run folder; files of tensors carry their own. Runs of versions
without digests are read too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, NonNegativeInt, TypeAdapter, ValidationError

from aqakit import discovery
from aqakit.errors import RunError
from aqakit.system.files import write_text
from aqakit.training.recipe import Recipe
from aqakit.training.trust import Trust
from aqakit.types import LabelSpec

FILE = "run.json"
FORMAT = 3
"""Version of the run folder; increased when an older aqakit could not read a new run, or would misread it.

Since 2, some published weights choose another convention for their backbone, and ``shift`` may be a range. Since 3,
members whose training failed are counted.
"""

T = TypeVar("T")

_DIGEST = re.compile(r',\n "digest": "([0-9a-f]{32})"\n}\Z')
_AGAIN = "restore it from a copy, or delete the folder and train again"


class _Description(BaseModel):
    """The kinds of values in ``run.json``; what is optional is missing from unfinished runs or from those of old."""

    recipe: dict[str, Any]
    labels: dict[str, Any]
    fingerprint: str
    protocol: str | None = None
    status: Literal["running", "finished"]
    failures: dict[str, str] = {}
    doubts: dict[str, str] = {}
    versions: dict[str, str] = {}
    files: dict[str, str] = {}
    epoch: NonNegativeInt | None = None
    losses: list[dict[str, float]] = []
    difficulty: tuple[float, float] | None = None
    trust: dict[str, Any] | None = None
    notes: list[str] = []
    rated: bool = False


def write(folder: Path, description: Mapping[str, Any], files: Sequence[str] = ()) -> None:
    """Write ``run.json`` atomically.

    Args:
        folder: the run folder.
        description: JSON values.
        files: names of text files in the folder whose digests are stored.
    """
    known = {name: _hash((folder / name).read_bytes()) for name in files}
    values = {name: value for name, value in description.items() if name != "digest"}
    body = json.dumps({**values, "files": known, "format": FORMAT}, indent=1)
    write_text(folder / FILE, f'{body[:-2]},\n "digest": "{_hash(body.encode())}"\n}}')


def read(folder: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises:
        RunError: it is missing, damaged, of a newer version, or was not written by aqakit.
    """
    file = folder / FILE
    try:
        text = file.read_bytes().decode("utf-8")
        stored = json.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder}: not a run folder (it has no {FILE})") from None
    except OSError as error:
        raise RunError(f"{file}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise RunError(f"{file}: is not the JSON of a run; {_AGAIN}") from None
    if not isinstance(stored, dict):
        raise RunError(f"{file}: is not the JSON of a run; {_AGAIN}")
    _check_format(file, stored)
    if "format" in stored or "digest" in stored:  # one flipped bit cannot remove both
        found = _DIGEST.search(text)
        if found is None or _hash(f"{text[: found.start()]}\n}}".encode()) != found[1]:
            raise RunError(f"{file}: is damaged, or was changed after aqakit wrote it; {_AGAIN}")
    _check_kinds(file, stored)
    return stored


def recipe_of(folder: Path, stored: Mapping[str, Any]) -> Recipe:
    """Return the recipe in the result of :func:`read`."""
    found = _made(Recipe, stored["recipe"], folder / FILE, "recipe")
    backbones = found.backbones
    if stored.get("format", 1) < 2:
        backbones = tuple((name, _earlier("backbones", name, options)) for name, options in backbones)
    return replace(found, backbones=backbones, options=_earlier("methods", found.method, found.options))


def _earlier(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options that a run does not say, since it is older than they are, the values that they had."""
    return {**getattr(discovery.find(kind, name), "EARLIER", {}), **options}


def labels_of(folder: Path, stored: Mapping[str, Any]) -> LabelSpec:
    """Return the label description in the result of :func:`read`."""
    return _made(LabelSpec, stored["labels"], folder / FILE, "labels")


def trust_of(folder: Path, stored: Mapping[str, Any]) -> Trust | None:
    """Return what was measured on samples that were not trained on; None if nothing was."""
    return _made(Trust, stored["trust"], folder / FILE, "trust") if stored.get("trust") else None


def read_file(folder: Path, name: str) -> str | None:
    """Read a text file of a run; None if the run has no such file.

    Raises:
        RunError: it is missing, damaged, or was changed after the run.
    """
    file = folder / name
    known = read(folder).get("files", {})
    try:
        content = file.read_bytes()
        text = content.decode("utf-8")
    except FileNotFoundError:
        if name in known:
            raise RunError(f"{file}: is missing; restore it from a copy, or train again") from None
        return None
    except OSError as error:
        raise RunError(f"{file}: {error.strerror or error}") from None
    except ValueError:
        raise RunError(f"{file}: is damaged; restore it from a copy, or train again") from None
    if name in known and known[name] != _hash(content):
        raise RunError(f"{file}: is damaged, or was changed after the run; restore it from a copy, or train again")
    return text


def _check_format(file: Path, stored: Mapping[str, Any]) -> None:
    version = stored.get("format", FORMAT)
    if isinstance(version, int) and version > FORMAT:
        raise RunError(
            f"{file}: was written by a newer aqakit (format {version}; this one reads formats up to {FORMAT}); "
            "update aqakit"
        )


def _check_kinds(file: Path, stored: Mapping[str, Any]) -> None:
    needed = ["recipe", "labels", "fingerprint", "status"] + ["epoch"] * (stored.get("status") == "finished")
    if missing := sorted(name for name in needed if stored.get(name) is None):
        raise RunError(f"{file}: has no {', '.join(missing)}; it was not written by aqakit")
    try:
        _Description.model_validate(stored)
    except ValidationError as error:
        raise RunError(f"{file}: {_first(error)}; {_AGAIN}") from None


def _made(kind: type[T], stored: Mapping[str, Any], file: Path, name: str) -> T:
    """Make a dataclass of JSON values, each of which must be of the annotated kind."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(stored) - known):
        raise RunError(f"{file}: {name} has {', '.join(unknown)}, which this aqakit does not know; {_AGAIN}")
    try:
        return _adapter(kind).validate_python(stored)  # type: ignore[arg-type]
    except ValidationError as error:
        raise RunError(f"{file}: {name}.{_first(error)}; {_AGAIN}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _first(error: ValidationError) -> str:
    item = error.errors()[0]
    return f"{'.'.join(map(str, item['loc']))}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
