"""Inference engines that run the networks of backbones, and their numerical precision."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

Name = Literal["torch", "openvino"]
Precision = Literal["float32", "bfloat16", "float16", "int8"]
Clips = NDArray[Any]
Forward = Callable[[Clips], Tensor]

_CALIBRATION_CLIPS = 32


class Engine(ABC):
    """Runs the networks of backbones; each is prepared on first use."""

    name: ClassVar[Name]

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self._prepared: WeakKeyDictionary[Backbone, Forward] = WeakKeyDictionary()

    @torch.inference_mode()
    def embed(self, backbone: Backbone, clips: Clips) -> Tensor:
        """Compute features (n, *F) float32 from stacked clips (n, …), as the backbone reads them."""
        if backbone not in self._prepared:
            self._prepared[backbone] = self._prepare(backbone.eval(), clips)
        return self._prepared[backbone](clips)

    @abstractmethod
    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        """Return a function that runs the network; ``clips`` are an example of its input."""

    def fingerprint(self) -> dict[str, Any]:
        """Return what distinguishes the features from those of PyTorch in float32; empty if nothing does."""
        return {"engine": self.name, "precision": self.precision}


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
                raise OptionError(f"the engine openvino cannot run {kind}; use torch ({reason})") from error

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


def make(name: str = "torch", precision: str = "float32", calibration: Path | None = None) -> Engine:
    """Create an engine by name.

    Args:
        name: ``torch`` or ``openvino``.
        precision: ``float32``; ``bfloat16``; ``float16``, in PyTorch only; or, in OpenVINO only, ``int8``, which
            distorts features: measure first.
        calibration: a representative recording to calibrate the ranges of int8.

    Raises:
        OptionError: the engine or precision is unknown, not installed, or the two cannot be combined.
    """
    for given, known, what in ((name, get_args(Name), "engine"), (precision, get_args(Precision), "precision")):
        if given not in known:
            raise OptionError(f"there is no {what} {given!r}; choose from: {', '.join(known)}")
    if (precision == "int8") != (calibration is not None):
        raise OptionError("precision int8 and a calibration recording, --calibration FILE, belong together")
    if calibration is not None and not calibration.is_file():
        raise OptionError(f"{calibration}: the calibration file for int8 is not there")
    if name == "openvino" and precision == "float16":
        raise OptionError("the engine openvino has no float16 on processors; give bfloat16, or --engine torch")
    if name == "openvino":
        return OpenVINO(precision, calibration)  # type: ignore[arg-type]
    if precision == "int8":
        raise OptionError("the engine torch has no int8; give --engine openvino")
    return Torch(precision)  # type: ignore[arg-type]


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
