"""Distribute work to processes, on this machine or on a Ray cluster; any of them may fail.

Ray Data sends items in small batches to actors. Each actor prepares once, for example loads a model, and then processes
its items. The items of an actor that dies are sent to any other actor: Ray itself would reserve them for the same one,
and wait if no machine has room to restart it. So the work must be idempotent.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aqakit.errors import OptionError
from aqakit.system.progress import console

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[Sequence[T]], Iterator[R]]
Prepare = Callable[[], Work[T, R]]

_AT_ONCE = 16
"""Maximum number of items sent to an actor at once."""

_FRUITLESS = 2
"""Number of consecutive rounds without any answer after which the remaining items are given up."""


def map_distributed(
    items: Sequence[T], prepare: Prepare[T, R], *, workers: int = 0, address: str | None = None
) -> Generator[tuple[T, R | None], None, None]:
    """Yield items with their answers as they complete; None if every process that had the item died.

    Exceptions of the work are raised here. Ray is always shut down when this generator ends or is closed.

    Args:
        items: the items to process.
        prepare: called once in each process; returns a function that yields one answer per item, in order.
        workers: number of processes; 0: one per GPU, or per machine if there are no GPUs.
        address: address of a running cluster, host:port or ``auto``; None: processes on this machine.

    Raises:
        OptionError: Ray is not installed, or the cluster cannot be joined or has no processor.
    """
    ray = _library()
    left = dict(enumerate(items))
    at_once, fruitless = _AT_ONCE, 0
    with _joined(ray, address, workers):
        while left and fruitless < _FRUITLESS:
            before = len(left)
            for number, answer in _hand_out(ray, left, prepare, workers, at_once):
                yield left.pop(number), answer
            at_once = 1  # an item that kills its actor must not affect others
            fruitless = fruitless + 1 if len(left) == before else 0
            if left and fruitless < _FRUITLESS:
                console.print(f"{len(left)} items were with a worker that died and are retried")
    yield from ((item, None) for item in left.values())


def _hand_out(
    ray: Any, left: Mapping[int, T], prepare: Prepare[T, R], workers: int, at_once: int
) -> Iterator[tuple[int, R]]:
    """Yield item numbers with their answers; items of a lost actor are omitted."""
    actors, share = shares([node["Resources"] for node in ray.nodes() if node["Alive"]], workers)
    together = max(1, min(at_once, len(left) // (4 * actors)))  # small enough to balance the load at the end
    rows = [{"number": number, "item": item} for number, item in left.items()]
    blocks = len(rows) // together
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`ray_remote_args")  # no other argument controls retries of lost work
        answers = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            _Actor,
            fn_constructor_args=(prepare, Path.cwd(), _settings()),
            batch_size=together,
            compute=ray.data.ActorPoolStrategy(size=min(actors, blocks), max_tasks_in_flight_per_actor=min(at_once, 2)),
            ray_remote_args_fn=lambda: {"max_task_retries": 0},
            **share,
        )
    try:
        for row in answers.iter_rows():
            if row["fault"] is not None:
                raise row["fault"]
            yield row["number"], row["answer"]
    except ray.exceptions.RayError as error:
        raise OptionError(f"the cluster failed: {_first_line(error)}") from error


class _Actor:
    """Processes items after preparing once, in the working directory and with the settings of the calling process."""

    def __init__(self, prepare: Prepare[Any, Any], folder: Path, settings: Mapping[str, str]) -> None:
        self._prepare, self._folder, self._settings = prepare, folder, settings
        self._work: Work[Any, Any] | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return answers, or the exception: raised here, it would be taken for the death of the actor."""
        size = len(batch["item"])
        answers: list[Any] = [None] * size
        fault: Exception | None = None
        try:
            self._work = self._work or self._start()
            answers = list(self._work(list(batch["item"])))
        except Exception as error:
            error.add_note(traceback.format_exc())
            fault = error
        return {"number": batch["number"], "answer": answers, "fault": [fault] * size}

    def _start(self) -> Work[Any, Any]:
        if self._folder.is_dir():  # so that relative paths mean the same
            os.chdir(self._folder)
        os.environ.update(self._settings)
        return self._prepare()


def shares(machines: Sequence[Mapping[str, float]], workers: int = 0) -> tuple[int, dict[str, float]]:
    """Return the number of actors, and the resources of each, such that all fit on the machines.

    Args:
        machines: the resources of each machine according to Ray: ``CPU`` and ``GPU``.
        workers: number of actors, at most one per core without GPUs; 0: one per GPU, or else per machine.

    Raises:
        OptionError: there is no core.

    >>> shares([{"CPU": 8}, {"CPU": 5}, {}])
    (2, {'num_cpus': 5, 'num_gpus': 0})
    >>> shares([{"CPU": 8}, {"CPU": 5}], workers=4)
    (4, {'num_cpus': 2, 'num_gpus': 0})
    >>> shares([{"CPU": 8, "GPU": 2.0}], workers=3)
    (3, {'num_cpus': 0, 'num_gpus': 0.5})
    """
    gpus = int(sum(m.get("GPU", 0) for m in machines))
    if gpus:
        actors = workers or gpus
        return actors, {"num_cpus": 0, "num_gpus": 1 / math.ceil(actors / gpus)}
    cores = [int(m["CPU"]) for m in machines if m.get("CPU", 0) >= 1]
    if not cores:
        raise OptionError("the cluster has no processor left to work on")
    actors = min(workers or len(cores), sum(cores))
    most = max(c for c in range(1, max(cores) + 1) if sum(n // c for n in cores) >= actors)
    return actors, {"num_cpus": most, "num_gpus": 0}


def _library() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise OptionError("Ray is not installed: pip install 'aqakit[scale]'") from None
    return ray


@contextmanager
def _joined(ray: Any, address: str | None, workers: int) -> Iterator[None]:
    """Join or start Ray, with as little output as possible; a Ray started here requires a secret token."""
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32)) if address is None else _check(address)
    cores = {"num_cpus": max(workers, os.cpu_count() or 1), "include_dashboard": False} if address is None else {}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **cores)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address} cannot be joined" if address else "Ray cannot be started"
        hint = "; Python, Ray and RAY_AUTH_TOKEN must be the same everywhere" if address else ""
        raise OptionError(f"{where}: {_first_line(error)}{hint}") from error
    try:
        _silence(ray)
        yield
    finally:
        ray.shutdown()


def _check(address: str) -> None:
    """Check that something answers at host:port; Ray itself would try for two minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    try:
        if port.isdigit():
            socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise OptionError(f"no Ray cluster answers at {address} ({error.strerror or error})") from None


def _silence(ray: Any) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # lost items are retried by :func:`map_distributed`
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AQAKIT_")}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
