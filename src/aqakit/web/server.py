"""``aqakit serve``: check the runs, then serve until stopped."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
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
from aqakit.web.app import LOOPBACK, create_app
from aqakit.web.limits import MEGABYTE, Limits
from aqakit.web.models import RunCard


def serve(
    folders: Sequence[Path], *, host: str, port: int, folder: Path, token: str | None, megabytes: int, hours: float
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

    Raises:
        RunError, WeightsError: a run cannot be loaded.
        OptionError: a run does not read videos.
    """
    runs = named(folders)
    cards = {name: card(name, path) for name, path in runs.items()}
    limits = Limits(upload=megabytes * MEGABYTE, keep=hours * 3600)
    loopback = host == "localhost" or _is_loopback(host)
    app = create_app(folder, runs, cards, limits=limits, token=token, hosts={*LOOPBACK, host} if loopback else None)
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    console.print(f"{', '.join(runs)}: {address}  (Ctrl-C to stop)", soft_wrap=True)
    if not loopback and token is None:
        console.print("anyone who can reach this address may use it; set a secret with --token", style="yellow")
    # open event streams must not delay the end
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False, timeout_graceful_shutdown=2)


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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
