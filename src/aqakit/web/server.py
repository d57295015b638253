"""``aqakit serve``: check the runs, then serve until stopped."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

from aqakit.errors import OptionError
from aqakit.system.progress import console
from aqakit.web.app import create_app
from aqakit.web.cards import card
from aqakit.web.connections import limited
from aqakit.web.hub import Hub
from aqakit.web.limits import MEGABYTE, Limits
from aqakit.web.listening import AT_ONCE, accepted, check_token, closing_all, is_loopback, listen

SWITCH = 0.0005
"""Seconds for which a busy thread keeps the interpreter; the loop, which waits for it at each of its many calls of the
system, would otherwise be ten times slower while a score is stored or sent."""

OPEN_TO_ALL = (
    "WARNING: no token is set. Anyone who can reach this address can send videos and use this machine; "
    "set a secret with --token or AQAKIT_TOKEN"
)


def serve(
    folders: Sequence[Path],
    *,
    host: str,
    port: int,
    folder: Path,
    token: str | None,
    megabytes: int,
    hours: float | None,
    names: Sequence[str] = (),
    workers: int = 1,
) -> None:
    """Serve finished runs that read videos, until the process is stopped.

    Args:
        folders: run folders.
        host: address to listen on.
        port: port to listen on.
        folder: folder for the queue, the videos and the scores.
        token: secret for the API; None if anyone may use it.
        megabytes: size of the largest video accepted.
        hours: time after which an uploaded video is removed; None for 24 hours, or for ever if the scores are listed,
            since their owner then deletes what is not needed.
        names: further names under which visitors reach the server.
        workers: number of processes that score videos at the same time.

    Raises:
        RunError, WeightsError: a run cannot be loaded.
        OptionError: a run does not read videos, or token, address or folder cannot be used.
    """
    check_token(token)
    local = is_loopback(host)
    with closing_all(listen(host, port)) as sockets:
        runs = named(folders)
        cards = {name: card(name, path) for name, path in runs.items()}
        keep, forget = retention(hours, owned=local or token is not None)
        limits = Limits(upload=megabytes * MEGABYTE, keep=keep, forget=forget, workers=workers)
        with Hub.open(folder, runs, cards, limits) as hub:  # before the start, so that a mistake is one sentence
            hosts = accepted(host, names, token)
            app = create_app(folder, runs, cards, limits=limits, token=token, hosts=hosts, local=local, opened=hub)
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            console.print(f"{', '.join(runs)}: {address}  (Ctrl-C to stop)", soft_wrap=True)
            if not local and token is None:
                console.print(OPEN_TO_ALL, style="bold red", soft_wrap=True)
            words: dict[str, Any] = {
                "http": limited(),
                "ws": "none",
                "log_level": "warning",
                "server_header": False,
                "backlog": AT_ONCE,
            }
            # open event streams must not delay the end
            server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=2, **words))
            gc.collect()
            gc.freeze()  # PyTorch's many objects, through which every full collection would go
            sys.setswitchinterval(SWITCH)
            with suppress(KeyboardInterrupt):
                server.run(sockets=sockets)


def retention(hours: float | None, *, owned: bool) -> tuple[float, float]:
    """Return the seconds after which videos and scores are removed; an owner deletes scores that are not needed.

    >>> retention(None, owned=True), retention(2, owned=False)
    ((inf, inf), (7200, 2592000.0))
    """
    usual = math.inf if owned else Limits.keep
    return usual if hours is None else hours * 3600, math.inf if owned else Limits.forget


def named(folders: Sequence[Path]) -> dict[str, Path]:
    """Name runs by the last part of their path, or by the last two if needed to distinguish them.

    >>> list(named([Path("/a/run"), Path("/b/run")]))
    ['a/run', 'b/run']
    """
    paths = list(dict.fromkeys(path.resolve() for path in folders))
    short = [path.name for path in paths]
    names = [name if short.count(name) == 1 else "/".join(path.parts[-2:]) for name, path in zip(short, paths)]
    if len(set(names)) < len(names):
        raise OptionError("two of these runs have the same names of folder and parent folder; rename one")
    return dict(zip(names, paths))
