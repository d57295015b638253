"""Write a run as one network: backbone, standardisation, head, all members and calibration, in ONNX or for OpenVINO.

A backbone that is a network for videos is part of it, and pixels go in. Others, such as measures made by hand, stay
outside, and so does every backbone whose clips are summarised: then features go in, and the file says which.

What is written has been compared with the run: on inputs of other sizes than the one that was traced, mean, standard
deviation and interval differ by at most :data:`TOLERANCE` of the score scale. Otherwise nothing is written.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

import aqakit
from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import AqakitError, OptionError
from aqakit.features import extract
from aqakit.system import tracing
from aqakit.system.files import user_path
from aqakit.training.exported import FORMAT, KEY, OUTPUTS, SUFFIXES, Exported, library
from aqakit.training.network import LEVELS, Network, numbers, unlabelled
from aqakit.training.run import Run
from aqakit.training.run_files import LEVEL
from aqakit.types import Stream

TOLERANCE = 1e-4
"""Largest difference from the run, as a share of the score scale."""

_CLIPS = 3
"""Clips of the example that is traced, where their number is open."""


def export(run: Run, file: Path | str, *, clips: int | None = None) -> Exported:
    """Write a run as one network, and return it.

    Args:
        run: a finished run.
        file: ``.onnx``; or ``.xml`` for OpenVINO, with the weights in a ``.bin`` beside it.
        clips: number of clips of each video; if None, that of the clip plan, or any number if the method allows it.

    Raises:
        OptionError: the run cannot be exported; the message says why.
    """
    file = user_path(file)
    _check(run, file)
    inside = {name: one for name, one in run.backbones.items() if _belongs_inside(run, one)}
    network = Network(run, inside).eval()
    fixed = clips or run.recipe.windows or _planned(inside)
    attempts = [fixed] if clips else [None, fixed] if fixed else [None]
    reasons = []
    for count in attempts:
        try:
            return _written(network, file, count)
        except _CannotError as error:
            reasons.append(str(error))
    hint = "" if fixed else "; --clips N fixes the number of clips, which may help"
    raise OptionError(f"{run.folder}: {run.recipe.method} cannot be exported ({reasons[-1]}){hint}")


class _CannotError(AqakitError):
    """This way of exporting does not work."""


def _check(run: Run, file: Path) -> None:
    """Refuse what cannot be exported, before anything is computed."""
    if file.suffix.lower() not in SUFFIXES:
        raise OptionError(f"{file}: give the file the ending .onnx, or .xml for OpenVINO")
    if not file.parent.is_dir():
        raise OptionError(f"{file.parent}: there is no such folder; make it first")
    if run.recipe.precision != "float32":
        raise OptionError(f"{run.folder}: it computes in {run.recipe.precision}, and a network is exported in float32")
    if run.assessor.method.reads_kind:
        raise OptionError(f"{run.folder}: it compares recordings of one declared kind, which a network cannot be given")
    if run.assessor.method.reads_steps:
        raise OptionError(f"{run.folder}: it reads the declared steps of a recording, which a network cannot be given")
    for name in ("onnx", "onnxscript", "onnxruntime", *(["openvino"] if file.suffix.lower() == ".xml" else [])):
        library(name)


def _belongs_inside(run: Run, backbone: Backbone) -> bool:
    is_network = isinstance(backbone, VideoBackbone) and any(True for _ in backbone.parameters())
    return is_network and not run.recipe.windows


def _planned(inside: dict[str, Backbone]) -> int | None:
    """The number of clips that all plans give for every video; None if it depends on the video."""
    found = {one.plan.number(length) for one in inside.values() for length in (1, 300, 9001)}  # type: ignore[union-attr]
    return found.pop() if len(found) == 1 else None


def _written(network: Network, file: Path, count: int | None) -> Exported:
    """Trace, convert, compare with the run, and only then write."""
    example = _inputs(network, 2, count or _CLIPS, seed=0)
    axes = [[0] if count else [0, 1]] * (len(example) - 1) + [[0]]
    program = _converted(network, example, axes)
    sizes = [(1, count), (3, count)] if count else [(1, _CLIPS + 2), (3, _CLIPS), (2, 2)]
    with TemporaryDirectory(prefix=".", dir=file.parent) as folder:
        temporary = Path(folder, file.name)
        about = _about(network, count, [one.name for one in program.model.graph.inputs])
        _save(program, temporary, about)
        try:
            written = Exported(temporary)
            worst = max(
                _difference(network, written, _inputs(network, *size, seed=k)) for k, size in enumerate(sizes, 1)
            )
        except AqakitError as error:
            raise _CannotError(str(error)) from error
        if not worst <= TOLERANCE:
            raise _CannotError(f"on other recordings it would differ by {worst:.1%} of the scale")
        for part in sorted(Path(folder).iterdir()):  # .bin before .xml
            part.replace(file.parent / part.name)
    return Exported(file)


def _converted(network: Network, example: Sequence[Tensor], axes: Sequence[Sequence[int]]) -> Any:
    """Return the network as a program of ONNX, without the inputs that it does not use."""
    try:
        with _silently():
            traced = tracing.trace(network, example, axes)
            # Heads are left to the runtimes to optimise; convolutions have no bias that they take until that is done.
            optimise = len(network.inside) > 0
            program: Any = torch.onnx.export(
                traced, (), dynamo=True, verbose=False, optimize=optimise, input_names=network.names
            )
    except Exception as error:  # of many kinds, most of them private
        logging.getLogger(__name__).debug("export failed", exc_info=True)
        while error.__cause__ is not None:  # the first reason, of which the others are consequences
            error = error.__cause__  # type: ignore[assignment]
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise _CannotError(reason[:160]) from error
    graph = program.model.graph
    for value in list(graph.inputs):
        if not value.uses():
            graph.inputs.remove(value)
    for value in [value for node in graph for value in node.outputs if value.name in OUTPUTS]:
        value.name += "_before"  # named for its operation, as mean is
    for value, name in zip(graph.outputs, OUTPUTS, strict=True):
        value.name = name
    return program


def _save(program: Any, file: Path, about: dict[str, Any]) -> None:
    said = json.dumps(about)
    program.model.metadata_props[KEY] = said
    plain = file.with_suffix(".onnx")
    program.save(str(plain), external_data=False)
    if file.suffix.lower() == ".xml":
        openvino = library("openvino")
        graph = openvino.Core().read_model(str(plain))
        graph.set_rt_info(said, KEY)
        openvino.save_model(graph, str(file), compress_to_fp16=False)
        plain.unlink()


def _inputs(network: Network, videos: int, clips: int, seed: int) -> list[Tensor]:
    """Draw inputs of some videos, the first of which has fewer clips than the others unless it is the only one."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for name, backbone in network.run.backbones.items():
        mask = torch.ones(videos, clips, dtype=torch.bool)
        if videos > 1 and clips > 1:
            mask[0, -1] = False
        found += [_drawn(network, name, backbone, mask, generator), mask]
    low, high = network.run.description.get("difficulty") or (1.0, 1.0)
    return [*found, low + (high - low) * torch.rand(videos, generator=generator)]


def _drawn(network: Network, name: str, backbone: Backbone, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels, or features with mean and spread of the training videos where the run knows them."""
    if name in network.inside:
        size = (*mask.shape, *_clip(backbone))
        return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator) * mask.reshape(
            *mask.shape, 1, 1, 1, 1
        )
    shape = _width(network.run, backbone)
    plain = torch.randn(*mask.shape, *shape, generator=generator)
    scaling = network.assessor.first.scaling
    if name in scaling.names:
        mean, spread = getattr(scaling, f"{name}_mean"), getattr(scaling, f"{name}_spread")
        plain = mean + plain * torch.where(spread.isfinite(), spread, 0.0)
    return torch.where(mask.reshape(*mask.shape, *[1] * len(shape)), plain, 0.0)


def _clip(backbone: Any) -> tuple[int, ...]:
    """(T, H, W, 3) of the pixels of a clip."""
    return (backbone.plan.size, *backbone.pixels.shape, 3)


def _width(run: Run, backbone: Backbone) -> tuple[int, ...]:
    """F of what goes in, where the backbone stays outside."""
    return (3 * backbone.shape[0],) if run.recipe.windows else backbone.shape


def _difference(network: Network, written: Exported, inputs: Sequence[Tensor]) -> float:
    """The largest difference between a written network and its run, as a share of the score scale."""
    expected = expect(network, inputs)
    found = written.compute({name: one.numpy() for name, one in zip(network.names, inputs, strict=True)})
    apart = [np.abs(found[name] - one.numpy()).max() for name, one in zip(OUTPUTS, expected, strict=True)]
    return float(max(apart)) / network.run.labels.scale.span  # NaN if either is


def expect(network: Network, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What the run itself answers to such inputs, video by video, on the way of `aqakit predict`."""
    run, (*parts, difficulty) = network.run, inputs
    streams = {}
    for name, x, mask in zip(network.streams, parts[::2], parts[1::2], strict=True):
        videos = [video[there] for video, there in zip(x, mask, strict=True)]
        if name in network.inside:
            found = [run.engine.embed(run.backbones[name], video.numpy()) for video in videos]
            frozen = not run.assessor.live
            videos = [extract.compact(one, run.backbones[name]).float() if frozen else one for one in found]
        streams[name] = Stream.stack(videos)
    answer = run.answer(unlabelled(streams, difficulty, run.labels))
    return numbers(run, answer)


def _about(network: Network, clips: int | None, inputs: Sequence[str]) -> dict[str, Any]:
    """What the file says about itself, as JSON values."""
    run = network.run
    calibration = run.recalibration
    return {
        "format": FORMAT,
        "method": run.recipe.method,
        "inputs": list(inputs),
        "outputs": list(OUTPUTS),
        "streams": [_stream(network, name, backbone, clips) for name, backbone in run.backbones.items()],
        "backbones": [[name, json.loads(json.dumps(options, default=str))] for name, options in run.recipe.backbones],
        "seed": run.recipe.settings.seed,
        "windows": run.recipe.windows,
        "rate": run.recipe.data_options.get("rate", "stored"),
        "target": run.recipe.target,
        "scale": asdict(run.labels.scale),
        "interval": LEVEL,
        "levels": list(LEVELS),
        "members": len(run.assessor),
        "calibration": calibration.kind if calibration else None,
        "run": run.folder.name,
        "versions": {"aqakit": aqakit.__version__, "torch": str(torch.__version__)},
        "tolerance": TOLERANCE,
    }


def _stream(network: Network, name: str, backbone: Any, clips: int | None) -> dict[str, Any]:
    about = {"name": name, "reads": backbone.reads, "clips": clips, "backbone": backbone.fingerprint()}
    if name not in network.inside:
        return about | {"input": "features", "shape": list(_width(network.run, backbone))}
    own = {"plan": backbone.plan.fingerprint(), "pixels": backbone.pixels.fingerprint()}
    return about | own | {"input": "pixels", "shape": list(_clip(backbone)), "colours": backbone.colours._asdict()}


@contextlib.contextmanager
def _silently() -> Iterator[None]:
    """Keep the exporter from printing its progress and its reports."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
