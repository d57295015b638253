"""``aqakit serve``: check the runs, then serve until stopped."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.report.study import command
from aqakit.system.progress import console
from aqakit.training.recipe import Recipe
from aqakit.training.run import Run
from aqakit.web.app import create_app
from aqakit.web.connections import limited
from aqakit.web.hub import Hub
from aqakit.web.limits import MEGABYTE, Limits
from aqakit.web.listening import AT_ONCE, accepted, check_token, closing_all, is_loopback, listen
from aqakit.web.models import RunCard

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
    hours: float,
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
        hours: time after which an uploaded video is removed.
        names: further names under which visitors reach the server.
        workers: number of processes that score videos at the same time.

    Raises:
        RunError, WeightsError: a run cannot be loaded.
        OptionError: a run does not read videos, or token, address or folder cannot be used.
    """
    check_token(token)
    with closing_all(listen(host, port)) as sockets:
        runs = named(folders)
        cards = {name: card(name, path) for name, path in runs.items()}
        limits = Limits(upload=megabytes * MEGABYTE, keep=hours * 3600, workers=workers)
        with Hub.open(folder, runs, cards, limits) as hub:  # before the start, so that a mistake is one sentence
            hosts = accepted(host, names, token)
            app = create_app(folder, runs, cards, limits=limits, token=token, hosts=hosts, opened=hub)
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            console.print(f"{', '.join(runs)}: {address}  (Ctrl-C to stop)", soft_wrap=True)
            if not is_loopback(host) and token is None:
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


def card(name: str, path: Path) -> RunCard:
    """Load a run to check it, and return its public description."""
    run = Run.load(path)
    if run.only_input() != "video":
        raise OptionError(f"{path}: this run reads a {run.only_input()}; the page scores videos")
    recipe, scale = run.recipe, run.labels.scale
    return RunCard(
        name=name,
        method=recipe.method,
        summary=discovery.summary(discovery.find("methods", recipe.method)),
        data=recipe.data,
        unit=scale.unit,
        low=scale.low,
        high=scale.high,
        needs_difficulty=recipe.target == "total",
        recalibrated=run.recalibration is not None,
        command=command(_without_folders(recipe), name),
        versions=run.description["versions"],
        fingerprint=run.description["fingerprint"],
    )


def _without_folders(recipe: Recipe) -> Recipe:
    """Reduce files to their names, so that visitors do not learn where they are on the server."""
    backbones = tuple((name, {key: _name(v) for key, v in given.items()}) for name, given in recipe.backbones)
    return replace(recipe, root=_name(recipe.root), calibration=_name(recipe.calibration), backbones=backbones)


def _name(value: Any) -> Any:
    file = Path(str(value))
    return file.name if file.is_absolute() or file.exists() else value
