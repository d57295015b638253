"""A run as one file, made by :mod:`aqakit.training.export`: read it, and score recordings with it, without the run."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.building import build_backbones
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import AqakitError, OptionError, RunError
from aqakit.features import extract, keys
from aqakit.recordings.clips import KINDS, ClipPlan, Starts
from aqakit.recordings.listing import expand
from aqakit.recordings.transforms import Convention, PixelRecipe
from aqakit.recordings.video import Report
from aqakit.system.files import user_path
from aqakit.system.progress import track
from aqakit.training import batches, scoring
from aqakit.training.assessor import check_difficulty
from aqakit.training.rows import origin
from aqakit.types import Sample, ScoreScale, Segment

FORMAT = 1
"""Version of what an exported file says about itself."""

KEY = "aqakit"
"""Name of the entry that says it."""

OUTPUTS = ("mean", "std", "low", "high", "quantiles")

SUFFIXES = (".onnx", ".xml")

MISSING = (
    "an exported network does not know its training videos: whether a recording looks like them, and how far such "
    "scores can be trusted, is not said here; the run says it"
)

Arrays = Mapping[str, NDArray[Any]]


def is_exported(path: Path) -> bool:
    """Whether a path names an exported network, by its ending, and not a run folder."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def library(name: str) -> Any:
    """Import a library of the extra ``export``.

    Raises:
        OptionError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise OptionError(f"{name} is not installed: pip install 'aqakit[export]'") from None


class Exported:
    """An exported network.

    Attributes:
        file: the file.
        about: what the file says about itself; see ``docs/export.md``.
        scale: of the scores.
    """

    def __init__(self, file: Path) -> None:
        self.file = user_path(file)
        if not self.file.is_file():
            raise RunError(f"{self.file}: there is no such file; `aqakit export RUN -o {self.file.name}` writes it")
        self._network = (_OpenVINO if self.file.suffix.lower() == ".xml" else _ONNX)(self.file)
        try:
            self.about: dict[str, Any] = json.loads(self._network.about or "")
            version = self.about["format"]
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{self.file}: this network was not exported by aqakit") from None
        if version > FORMAT:
            raise RunError(
                f"{self.file}: exported by a newer aqakit ({self.about['versions']['aqakit']}); update aqakit"
            )
        self.scale = ScoreScale(**self.about["scale"])

    def compute(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return mean, std, low and high (B,), and quantiles (B, Q), of inputs by name; those not used are ignored."""
        return self._network.compute({name: inputs[name] for name in self._network.inputs})

    @cached_property
    def backbones(self) -> dict[str, Backbone]:
        """What reads recordings: the pixels of a network inside the file, or a backbone outside it."""
        outside = build_backbones(self.about["backbones"], self.about["seed"]) if self._has_outside else {}
        return {
            one["name"]: _Reader(one) if one["input"] == "pixels" else outside[one["name"]]
            for one in self.about["streams"]
        }

    @property
    def _has_outside(self) -> bool:
        return any(one["input"] != "pixels" for one in self.about["streams"])

    def read(self, sample: Sample, reports: list[Report] | None = None) -> dict[str, NDArray[Any]]:
        """Return the inputs (1, …) of one sample.

        Args:
            sample: it must be readable.
            reports: extended by how well it could be read.
        """
        check_difficulty(torch.tensor([_number(sample.difficulty)]), [sample.id], self.about["target"])
        found: dict[str, NDArray[Any]] = {"difficulty": np.array([_number(sample.difficulty)], np.float32)}
        read = []
        for name, backbone in self.backbones.items():
            read.append(Report())
            stream = self._stream(sample, name, backbone, read[-1])
            found[name], found[f"{name}_clips"] = stream[None], np.ones((1, len(stream)), bool)
        if reports is not None:
            reports.append(extract.worst(read))
        return found

    def _stream(self, sample: Sample, name: str, backbone: Backbone, report: Report) -> NDArray[Any]:
        if isinstance(backbone, _Reader):
            path, reader = keys.source(sample, name, backbone), backbone.reader(sample)
            return np.stack([*reader.read(path, sample.window, rate=sample.rate, report=report)])
        found = extract.embed(backbone, sample, name, report=report)
        found = extract.compact(found, backbone).float()
        return batches.stack([found], self.about["windows"]).features[0].numpy()

    def samples(self, recordings: Sequence[Path] | Path, faults: list[str] | None = None) -> list[Sample]:
        """Return samples of recordings, or of one manifest; faults are taken as by :func:`expand`.

        Raises:
            OptionError: the network reads several kinds of recordings, and these are not a manifest.
        """
        rate = self.about["rate"]
        if isinstance(recordings, Path):
            return [replace(sample, rate=rate) for sample in load_dataset("manifest", recordings).samples]
        kinds = sorted({one["reads"] for one in self.about["streams"]})
        if len(kinds) > 1:
            raise OptionError(f"{self.file}: this network reads a {' and a '.join(kinds)}; score a manifest with both")
        paths = expand(recordings, kinds[0], faults)
        return [Sample(id=str(path), sources={kinds[0]: path}, rate=rate) for path in paths]

    def score(
        self, recordings: Sequence[Path] | Path, difficulty: float | None = None, segments: Sequence[Segment] = ()
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Return a row for each recording that can be scored, and an error message for each that cannot.

        Args:
            recordings: files, folders of frames or of recordings, and patterns; or one manifest.
            difficulty: declared difficulty of the recordings that state none.
            segments: named parts of the recordings that state none.
        """
        rows: list[dict[str, Any]] = []
        failed: list[str] = []
        samples = self.samples(recordings, failed)
        scoring.check_segments(segments, samples)
        for sample in track(samples, "scoring"):
            if sample.difficulty is None and difficulty is not None:
                sample = replace(sample, difficulty=difficulty)
            if segments and not sample.segments:
                sample = replace(sample, segments=tuple(segments))
            try:
                rows.append(self._row(sample))
            except AqakitError as error:
                failed.append(str(error))
        return rows, failed

    def _row(self, sample: Sample) -> dict[str, Any]:
        reports: list[Report] = []
        found = self.compute(self.read(sample, reports))
        columns = {"score": "mean", "std": "std", "low_90": "low", "high_90": "high"}
        row = {column: float(found[name][0]) for column, name in columns.items()}
        return {"recording": sample.id, **row, **origin(sample, self.file), **scoring.reading(reports[0])}


class _Reader(VideoBackbone):
    """Reads the clips of a network whose weights are inside an exported file."""

    def __init__(self, stream: Mapping[str, Any]) -> None:
        pixels = {name: _tuple(value) for name, value in stream["pixels"].items()}
        super().__init__(_plan(stream["plan"]), PixelRecipe(**pixels), Convention(**stream["colours"]))
        self.shape = tuple(stream["shape"])

    def forward(self, clips: Tensor) -> Tensor:
        """Not here: the network is in the file."""
        raise NotImplementedError


def _plan(stored: Mapping[str, Any]) -> ClipPlan:
    values = {name: _tuple(value) for name, value in stored.items()}
    kinds: dict[str, type[ClipPlan]] = {**KINDS, "starts": Starts}
    return kinds[values.pop("kind")](**values)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


class _ONNX:
    """A network in ONNX Runtime, on the processor."""

    def __init__(self, file: Path) -> None:
        runtime = library("onnxruntime")
        try:
            self._session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except Exception as error:  # it has classes of its own for each reason
            raise RunError(f"{file}: not a network in ONNX: {_first_line(error)}") from error
        self.about = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self.inputs = [one.name for one in self._session.get_inputs()]

    def compute(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        try:
            return dict(zip(OUTPUTS, self._session.run(list(OUTPUTS), dict(inputs)), strict=True))
        except Exception as error:
            raise OptionError(f"the exported network cannot take this recording: {_first_line(error)}") from error


class _OpenVINO:
    """A network in OpenVINO, on the processor, in float32."""

    def __init__(self, file: Path) -> None:
        runtime = library("openvino")
        try:
            model = runtime.Core().read_model(str(file))
            self._compiled = runtime.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:
            raise RunError(f"{file}: not a network of OpenVINO: {_first_line(error)}") from error
        self.about = model.get_rt_info(KEY).astype(str) if model.has_rt_info(KEY) else None
        self.inputs = [one.get_any_name() for one in model.inputs]

    def compute(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        try:
            found = self._compiled(dict(inputs))
        except Exception as error:
            raise OptionError(f"the exported network cannot take this recording: {_first_line(error)}") from error
        return {name: np.array(found[name]) for name in OUTPUTS}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def sentences(about: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences that say what an exported network reads."""
    for one in about["streams"]:
        size = "×".join(map(str, one["shape"]))
        count = f"{one['clips']} clips" if one["clips"] else "any number of clips"
        kind = "pixels" if one["input"] == "pixels" else f"features of the backbone {one['name']}, which stays outside"
        yield f"input {one['name']}: {kind}, {count} of {size}"
