"""Inference engines that run the networks of backbones, and their numerical precision."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.errors import OptionError
from aqakit.system.wording import option

Name = Literal["auto", "torch", "openvino"]
Precision = Literal["float32", "bfloat16", "float16", "int8"]
Clips = NDArray[Any]
Forward = Callable[[Clips], Tensor]

_CALIBRATION_CLIPS = 32

_PATIENCE = 120.0
"""Seconds that a network computes in PyTorch before ``auto`` tries whether OpenVINO is faster, which takes about 10."""

_TRIAL = 20
"""Clips that OpenVINO computes before its rate is compared."""


@dataclass
class Work:
    """What a network has computed: clips, and the seconds they took."""

    clips: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Clips per second."""
        return self.clips / self.seconds if self.seconds else 0.0


class ConversionError(OptionError):
    """OpenVINO cannot run a network."""


class Engine(ABC):
    """Runs the networks of backbones; each is prepared on first use."""

    name: ClassVar[Name]

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self._prepared: WeakKeyDictionary[Backbone, Forward] = WeakKeyDictionary()
        self.work: WeakKeyDictionary[Backbone, Work] = WeakKeyDictionary()

    @torch.inference_mode()
    def embed(self, backbone: Backbone, clips: Clips) -> Tensor:
        """Compute features (n, *F) float32 from stacked clips (n, …), as the backbone reads them."""
        self.prepare(backbone, clips)
        start = time.perf_counter()
        features = self._prepared[backbone](clips)
        work = self.work.setdefault(backbone, Work())
        work.clips, work.seconds = work.clips + len(clips), work.seconds + time.perf_counter() - start
        return features

    @torch.inference_mode()
    def prepare(self, backbone: Backbone, clips: Clips) -> None:
        """Prepare a network to run on such clips, unless it already is."""
        if backbone not in self._prepared:
            self._prepared[backbone] = self._prepare(backbone.eval(), clips)

    @abstractmethod
    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        """Return a function that runs the network; ``clips`` are an example of its input."""

    def fingerprint(self) -> dict[str, Any]:
        """Return what distinguishes the features from those of PyTorch in float32; empty if nothing does."""
        return {"engine": self.name, "precision": self.precision}

    def choose(self, backbone: Backbone, clips: Clips) -> Engine:
        """Return the engine for a recording that begins with these clips; an engine may stand for several."""
        return self

    def choices(self, backbone: Backbone) -> Sequence[Engine]:
        """Return the engines whose features of a backbone are as good as this one's: all that it may choose."""
        return [self]


class Torch(Engine):
    """Runs the network in PyTorch, on its current device."""

    name = "torch"

    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        return partial(self._forward, backbone)

    def _forward(self, backbone: Backbone, clips: Clips) -> Tensor:
        device = next((p.device for p in backbone.parameters()), torch.device("cpu"))
        lower = getattr(torch, self.precision)
        with _exact_float32(), torch.autocast(device.type, lower, enabled=lower != torch.float32):
            return backbone(torch.from_numpy(clips).to(device)).float().cpu()

    def fingerprint(self) -> dict[str, Any]:
        """Return an empty fingerprint for float32, which is the reference."""
        return super().fingerprint() if self.precision != "float32" else {}


class OpenVINO(Engine):
    """Runs the network as a graph with fused layers, in Intel's OpenVINO; works on any make of CPU."""

    name = "openvino"

    def __init__(self, precision: Precision, calibration: Path | None) -> None:
        super().__init__(precision)
        self.calibration = calibration
        self._library = _optional("openvino")
        if precision == "int8":
            os.environ.setdefault("NNCF_CI", "1")  # disables its telemetry
            self._quantiser = _optional("nncf")

    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        graph = self._convert(backbone, torch.from_numpy(clips[:1].repeat(2, axis=0)))  # size 1 would become a constant
        if self.calibration is not None:
            graph = self._quantised(graph, backbone, self.calibration)
        hints = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        compiled = self._library.Core().compile_model(graph, "CPU", hints)
        return lambda clips: torch.from_numpy(np.array(compiled(clips)[0], np.float32))

    def _convert(self, backbone: Backbone, example: Tensor) -> Any:
        """Convert by tracing or, if tracing fails because sizes are computed at run time, by the slower export."""
        with _tracing():
            try:
                sizes = [-1, *example.shape[1:]]
                return self._library.convert_model(backbone, example_input=example, input=sizes)
            except Exception:  # it raises many kinds of exception
                logging.getLogger(__name__).debug("tracing failed", exc_info=True)
            try:
                batches = ({0: torch.export.Dim.DYNAMIC},)
                exported = torch.export.export(backbone, (example,), dynamic_shapes=batches, strict=False)
                return self._library.convert_model(exported)
            except Exception as error:
                kind = type(backbone).__name__
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ConversionError(f"the engine openvino cannot run {kind}; use torch ({reason})") from error

    def _quantised(self, graph: Any, backbone: Backbone, recording: Path) -> Any:
        """Quantise weights and activations to 8 bits; a recording's clips calibrate the activation ranges."""
        clips = [clip[None] for clip in islice(backbone.read(recording), _CALIBRATION_CLIPS)]
        self._quantiser.set_log_level(logging.ERROR)
        return self._quantiser.quantize(graph, self._quantiser.Dataset(clips), subset_size=len(clips))

    def fingerprint(self) -> dict[str, Any]:
        """Include the version, since rounding may differ between versions, and the calibration of int8."""
        more: dict[str, Any] = {"version": self._library.__version__}
        if self.calibration is not None:
            content = hashlib.blake2b(self.calibration.read_bytes(), digest_size=16).hexdigest()
            more |= {"calibration": content, "quantiser": self._quantiser.__version__}
        return super().fingerprint() | more


class Fastest(Engine):
    """The faster of PyTorch and OpenVINO in float32, which differ by rounding alone.

    Which one it is depends on network and processor, and OpenVINO takes seconds to convert a network. So PyTorch
    begins, and a network that has computed for two minutes is tried in OpenVINO. The cache tells their features apart.
    """

    name = "auto"

    def __init__(self) -> None:
        super().__init__("float32")
        self._torch, self._openvino = Torch("float32"), OpenVINO("float32", None)
        self._chosen: WeakKeyDictionary[Backbone, Engine] = WeakKeyDictionary()

    def embed(self, backbone: Backbone, clips: Clips) -> Tensor:
        """Compute features (n, *F) float32 from stacked clips (n, …), by the engine that is chosen for them."""
        return self.choose(backbone, clips).embed(backbone, clips)

    def choose(self, backbone: Backbone, clips: Clips) -> Engine:
        """Return PyTorch until the network has computed for long; then OpenVINO; after that, the faster one."""
        if backbone in self._chosen or len(self.choices(backbone)) == 1:  # the cache asks for features of those alone
            return self._chosen.get(backbone, self._torch)
        usual, trial = (engine.work.get(backbone, Work()) for engine in (self._torch, self._openvino))
        if usual.seconds < _PATIENCE:
            return self._torch
        if trial.clips < _TRIAL:
            return self._try(backbone, clips)
        faster = self._openvino if trial.rate > usual.rate else self._torch
        rates = f"{trial.rate:.1f} clips/s in OpenVINO, {usual.rate:.1f} in PyTorch"
        return self._settle(backbone, faster, rates)

    def _try(self, backbone: Backbone, clips: Clips) -> Engine:
        try:
            self._openvino.prepare(backbone, clips)
        except ConversionError as error:
            return self._settle(backbone, self._torch, str(error))
        return self._openvino

    def choices(self, backbone: Backbone) -> Sequence[Engine]:
        """Return both, or PyTorch for measures that have no weights."""
        return [self._torch, self._openvino] if next(backbone.parameters(), None) is not None else [self._torch]

    def fingerprint(self) -> dict[str, Any]:
        """Return an empty fingerprint: the features are those of float32 but for rounding."""
        return {}

    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        raise NotImplementedError("the engines that it chooses from prepare the backbone")

    def _settle(self, backbone: Backbone, engine: Engine, why: str) -> Engine:
        logging.getLogger(__name__).info("%s runs in %s from now on: %s", type(backbone).__name__, engine.name, why)
        self._chosen[backbone] = engine
        return engine


def make(name: str = "torch", precision: str = "float32", calibration: Path | None = None) -> Engine:
    """Create an engine by name.

    Args:
        name: ``torch``; ``openvino``; or ``auto``, the faster of the two where it gives the same features: OpenVINO if
            it is installed, measured to be faster, there is no GPU, and precision is ``float32``.
        precision: ``float32``; ``bfloat16``; ``float16``, in PyTorch only; or, in OpenVINO only, ``int8``, which
            distorts features: measure first.
        calibration: a representative recording to calibrate the ranges of int8.

    Raises:
        OptionError: the engine or precision is unknown, not installed, or the two cannot be combined.
    """
    _check(name, precision, calibration)
    if name == "auto" and precision == "float32" and _has_openvino() and not torch.cuda.is_available():
        return Fastest()
    if name == "openvino" or precision == "int8":
        return OpenVINO(precision, calibration)  # type: ignore[arg-type]
    return Torch(precision)  # type: ignore[arg-type]


def _check(name: str, precision: str, calibration: Path | None) -> None:
    for given, known, what in ((name, get_args(Name), "engine"), (precision, get_args(Precision), "precision")):
        if given not in known:
            raise OptionError(f"there is no {what} {given!r}; choose from: {', '.join(known)}")
    if (precision == "int8") != (calibration is not None):
        raise OptionError(f"precision int8 and a calibration recording, {option('calibration')}, belong together")
    if calibration is not None and not calibration.is_file():
        raise OptionError(f"{calibration}: the calibration file for int8 is not there")
    if name == "openvino" and precision == "float16":
        raise OptionError(f"openvino has no float16 on processors; give bfloat16, or {option('engine', 'torch')}")
    if name == "torch" and precision == "int8":
        raise OptionError(f"the engine torch has no int8; give {option('engine', 'openvino')}")


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _optional(library: str) -> Any:
    """Import a library of the extra ``fast``."""
    try:
        return importlib.import_module(library)
    except ImportError:
        raise OptionError(f"{library} is not installed: pip install 'aqakit[fast]'") from None


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Keep PyTorch from computing float32 in TF32 or bfloat16, so that features are the same on every device."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


@contextmanager
def _tracing() -> Iterator[None]:
    """Disable inference mode, which tracing rejects, and its warnings about constant clip sizes, which are intended."""
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        yield
