"""Download published weights, with progress, resuming after interruptions, and verification.

Only https is used, also after a redirect. Never more bytes are received than the catalogue or, if it does not know the
size, the server states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from aqakit.backbones.weights import bundles
from aqakit.backbones.weights.loading import identify
from aqakit.backbones.weights.published import CATALOGUE, Published, entry
from aqakit.errors import WeightsError
from aqakit.system.files import default_cache

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes received and the total."""

_CHUNK = 1 << 18
_AGAIN = "delete it and download it again"
_TIMEOUT = 30.0
"""Seconds without data before the connection is closed."""

_SCHEMES = ("https",)
_MARGIN = 1.2
"""A file of which the catalogue knows only approximate megabytes may be larger by this factor."""


def default_folder() -> Path:
    """Return the folder ``weights`` in ``$AQAKIT_CACHE``, or in ``~/.cache/aqakit``."""
    return default_cache() / "weights"


def locate(path: Path) -> Path:
    """Return the path of a weights file, given its path, or its published name if it was downloaded before.

    Raises:
        WeightsError: there is no such file.
    """
    if path.exists():
        return path
    fetched = default_folder() / path
    if len(path.parts) == 1 and fetched.is_file():
        return fetched
    known = next((e for e in CATALOGUE if path.name in (e.name, *e.also)), None)
    hint = f"; {_how(known)}" if known else ""
    raise WeightsError(f"{path}: no such file{hint}")


def get(name: str, folder: Path | None = None, progress: Progress | None = None) -> Path:
    """Download a file of the catalogue, unless it exists already.

    Args:
        name: a name in :func:`aqakit.backbones.weights.published.catalogue`.
        folder: target folder; :func:`default_folder` if None.
        progress: callback for progress.

    Raises:
        OptionError: there is no file of that name.
        WeightsError: the file can only be downloaded by hand, the connection failed, or the content is not that file.
    """
    return fetch(entry(name), folder or default_folder(), progress)


def fetch(wanted: Published, folder: Path, progress: Progress | None = None) -> Path:
    """Download one entry of a catalogue; raises the same errors as :func:`get`."""
    target = folder / wanted.name
    if target.is_file():
        check(target, wanted)
        return target
    if wanted.url is None:
        raise WeightsError(f"{wanted.name} cannot be downloaded by a program: {_how(wanted)}")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{wanted.name}.part"
    try:
        _download(wanted, wanted.url, part, progress or (lambda done, total: None))
    except HTTPError as error:
        raise WeightsError(
            f"{wanted.url}: the server responded with {error.code} {error.reason}; {_by_hand(wanted)}"
        ) from error
    except (OSError, HTTPException) as error:  # such as an unknown host, a lost connection or a full disk
        there = part.stat().st_size if part.exists() else 0
        raise WeightsError(f"{wanted.url}: {_reason(error)}; {there} bytes are kept, run it again to resume") from error
    except WeightsError:
        _forget(part)
        raise
    try:
        check(part, wanted)
    except WeightsError:
        _forget(part)
        raise
    part.replace(target)
    _forget(part)
    return target


def check(path: Path, wanted: Published) -> None:
    """Verify a file against its catalogue entry: size and hash, if known, and tensors.

    Raises:
        WeightsError: the file does not match.
    """
    size = path.stat().st_size
    if wanted.size not in (None, size):
        raise WeightsError(f"{path} has {size} bytes, not the {wanted.size} of {wanted.name}; {_AGAIN}")
    if wanted.sha256:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != wanted.sha256:
            raise WeightsError(f"{path} is not {wanted.name}: its SHA-256 is {found}; {_AGAIN}")
    if wanted.form == "task":
        bundles.of_bundle(path)
        return
    held = identify(path, wanted.backbone).published
    if held is None or (held.style, held.classes, held.channels) != (
        wanted.style,
        wanted.classes,
        wanted.channels,
    ):
        raise WeightsError(f"{path} is not {wanted.name}; it looks like {held.name if held else 'something else'}")


def _download(wanted: Published, url: str, part: Path, progress: Progress) -> None:
    version = _read(_version_file(part))
    done = part.stat().st_size if part.exists() and version else 0
    resume = {"Range": f"bytes={done}-", "If-Range": version} if done else {}
    _check_scheme(url)
    request = Request(url, headers={"User-Agent": "aqakit", **resume})
    try:
        with build_opener(_Redirects).open(request, timeout=_TIMEOUT) as answer:
            start = done if answer.status == 206 else 0
            length = answer.headers.get("Content-Length", "")
            total = _total(wanted, url, start + int(length) if length.isdecimal() else None)
            with part.open("ab" if start else "wb") as file:
                _version_file(part).write_text(_version(answer.headers), encoding="utf-8")
                _copy(answer, file, start, total, progress)
    except HTTPError as error:
        if error.code != 416 or error.headers.get("Content-Range") != f"bytes */{done}":
            raise  # 416 at the end of the file means that it was already complete


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not to an address that anybody on the way could answer for."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        """Return the request of the new address.

        Raises:
            WeightsError: it is not https.
        """
        _check_scheme(newurl, f"{req.full_url} redirects to ")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, before: str = "") -> None:
    if urlsplit(url).scheme.lower() not in _SCHEMES:
        raise WeightsError(f"{before}{url}: weights are only downloaded by https; get the file by hand")


def _total(wanted: Published, url: str, announced: int | None) -> int:
    """Return how many bytes the file has: as the catalogue says, or else as the server does.

    Raises:
        WeightsError: they contradict each other, or neither knows.
    """
    if wanted.size is not None:
        if announced not in (None, wanted.size):
            raise WeightsError(f"{url} sends {announced} bytes, not the {wanted.size} of {wanted.name}")
        return wanted.size
    if announced is None:
        raise WeightsError(f"{url}: the server does not say how large the file is; {_by_hand(wanted)}")
    if wanted.megabytes is not None and announced > wanted.megabytes * _MARGIN * 1e6:
        raise WeightsError(
            f"{url} sends {announced} bytes, not about {wanted.megabytes} MB as {wanted.name} has; nothing is kept"
        )
    return announced


def _copy(answer: Any, file: IO[bytes], done: int, total: int, progress: Progress) -> None:
    progress(done, total)
    while chunk := answer.read(min(_CHUNK, total - done + 1)):
        done += len(chunk)
        if done > total:
            raise WeightsError(f"{answer.geturl()} sends more than the {total} bytes of the file; nothing is kept")
        file.write(chunk)
        progress(done, total)
    if done < total:
        raise ConnectionError(f"the connection was lost after {done} of {total} bytes")


def _version(headers: Message) -> str:
    """Return the version of a file, so that parts of two versions are never joined; empty if the server has none."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _how(wanted: Published) -> str:
    if wanted.url:
        return f"download it with: aqakit weights get {wanted.name}"
    return _by_hand(wanted)


def _by_hand(wanted: Published) -> str:
    note = f" ({wanted.note})" if wanted.note else ""
    return f"get it from {wanted.origin}{note}"


def _reason(error: Exception) -> str:
    return str(error.reason if isinstance(error, URLError) else error)
