"""How the network of a backbone is run: by which engine, in which arithmetic."""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqakit.backbones import Backbone
from aqakit.errors import OptionError

Name = Literal["torch", "openvino"]
Precision = Literal["float32", "bfloat16"]
Clips = NDArray[Any]
Forward = Callable[[Clips], Tensor]


class Engine(ABC):
    """Runs the networks of backbones; each is prepared when it is first needed."""

    name: ClassVar[Name]

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self._prepared: WeakKeyDictionary[Backbone, Forward] = WeakKeyDictionary()

    @torch.inference_mode()
    def embed(self, backbone: Backbone, clips: Clips) -> Tensor:
        """(n, …) clips, stacked as the backbone reads them → (n, *F) float32."""
        if backbone not in self._prepared:
            self._prepared[backbone] = self._prepare(backbone.eval(), clips)
        return self._prepared[backbone](clips)

    @abstractmethod
    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        """The network, ready to be run; ``clips`` are an example of what it will see."""

    def fingerprint(self) -> dict[str, Any]:
        """What sets the features apart from those of the plain network; nothing where there is no difference."""
        return {"engine": self.name, "precision": self.precision}


class Torch(Engine):
    """The network as it is written, on the device where it is."""

    name = "torch"

    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        return partial(self._forward, backbone)

    def _forward(self, backbone: Backbone, clips: Clips) -> Tensor:
        device = next((p.device for p in backbone.parameters()), torch.device("cpu"))
        lower = self.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=lower):
            return backbone(torch.from_numpy(clips).to(device)).float().cpu()

    def fingerprint(self) -> dict[str, Any]:
        """Empty in float32: this is what all others are compared with."""
        return super().fingerprint() if self.precision != "float32" else {}


class OpenVINO(Engine):
    """The network as a graph, its layers fused, by Intel's library for processors of any make."""

    name = "openvino"

    def __init__(self, precision: Precision) -> None:
        super().__init__(precision)
        try:
            import openvino
        except ImportError:
            raise OptionError("the engine openvino is not installed: pip install 'aqakit[fast]'") from None
        self._library = openvino

    def _prepare(self, backbone: Backbone, clips: Clips) -> Forward:
        graph = self._convert(backbone, torch.from_numpy(clips[:1].repeat(2, axis=0)))  # 1 is taken for a constant
        hints = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[self.precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        compiled = self._library.Core().compile_model(graph, "CPU", hints)
        return lambda clips: torch.from_numpy(np.array(compiled(clips)[0], np.float32))

    def _convert(self, backbone: Backbone, example: Tensor) -> Any:
        """Traced, or where sizes are computed on the way, which a trace cannot tell from data, exported: slower."""
        with _tracing():
            try:
                sizes = [-1, *example.shape[1:]]
                return self._library.convert_model(backbone, example_input=example, input=sizes)
            except Exception:  # it raises many kinds for what it cannot convert
                logging.getLogger(__name__).debug("tracing failed", exc_info=True)
            try:
                batches = ({0: torch.export.Dim.DYNAMIC},)
                exported = torch.export.export(backbone, (example,), dynamic_shapes=batches, strict=False)
                return self._library.convert_model(exported)
            except Exception as error:
                kind = type(backbone).__name__
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise OptionError(f"the engine openvino cannot run {kind}; use torch ({reason})") from error

    def fingerprint(self) -> dict[str, Any]:
        """With the version: another one may round differently."""
        return super().fingerprint() | {"version": self._library.__version__}


ENGINES: dict[str, type[Engine]] = {"torch": Torch, "openvino": OpenVINO}


def make(name: str = "torch", precision: str = "float32") -> Engine:
    """An engine by name.

    Raises:
        OptionError: there is no such engine or precision, or it is not installed.
    """
    for given, known, what in ((name, get_args(Name), "engine"), (precision, get_args(Precision), "precision")):
        if given not in known:
            raise OptionError(f"there is no {what} {given!r}; there is: {', '.join(known)}")
    return ENGINES[name](precision)  # type: ignore[arg-type]


@contextmanager
def _tracing() -> Iterator[None]:
    """Sizes of clips are constants of a graph on purpose, which tracing would warn of; inference mode it refuses."""
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        yield
