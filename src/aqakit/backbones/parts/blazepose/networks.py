"""The two networks of BlazePose, computed by OpenVINO."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from aqakit.backbones import weights
from aqakit.backbones.parts.blazepose import detection
from aqakit.backbones.parts.blazepose.detection import Candidate
from aqakit.backbones.parts.blazepose.regions import Array, Image, Region, cut, letterbox
from aqakit.backbones.weights import bundles
from aqakit.backbones.weights.bundles import Files, Network
from aqakit.errors import OptionError, WeightsError

SIZE = 256
"""Pixels of a side of the region that the second network sees."""

JOINTS, GUIDES = 33, (33, 34)
"""Number of joints; the two points after them that tell the region of the next frame."""

_ROWS, _VALUES = 39, 5


class Seen(NamedTuple):
    """What the second network sees in a region.

    Attributes:
        points: (39, 3) x, y in pixels of the picture, and depth in the same scale; the first 33 are joints.
        visibility: (39,) in [0, 1].
        presence: whether there is a body at all, in [0, 1].
    """

    points: Array
    visibility: Array
    presence: float

    def scaled(self, factor: float) -> Seen:
        """Return the same in pixels of a picture resized by a factor."""
        return self._replace(points=self.points * np.float32(factor))

    @property
    def next(self) -> Region:
        """The region of the same body, as the auxiliary points tell it."""
        middle, top = self.points[GUIDES[0], :2], self.points[GUIDES[1], :2]
        return Region.of_guides(middle, top)


def locate(source: Path | None, network: Network) -> Files:
    """Read both networks from where the user says, else from the file that ``aqakit weights get`` downloads.

    Raises:
        WeightsError: they are not there, or damaged.
    """
    if source is not None:
        return bundles.read(source, network)
    file = weights.default_folder() / f"pose_landmarker_{network}.task"
    if not file.is_file():
        raise WeightsError(f"the networks of BlazePose are not there; {bundles.how(network)}")
    return bundles.read(file, network)


class Networks:
    """Both networks, compiled for this machine's processor.

    They may be called from several threads; each call computes in one thread.

    Args:
        files: their bytes.
        threads: how many calls may be computed at the same time.

    Raises:
        OptionError: OpenVINO is not installed.
        WeightsError: a file is no network of BlazePose.
    """

    def __init__(self, files: Files, threads: int = 1) -> None:
        self.digest = files.digest
        self._detector = _compiled(files, files.detector, (1, detection.SIZE, detection.SIZE, 3), _DETECTOR, threads)
        self._landmarks = _compiled(files, files.landmarks, (1, SIZE, SIZE, 3), _LANDMARKS, threads)

    def candidates(self, picture: Image, least: float) -> list[Candidate]:
        """Return the bodies in an upright picture (H, W, 3), most confident first, in its pixels.

        A picture larger than the detector's square should be resized to fit it before: then nothing is lost.
        """
        height, width = picture.shape[:2]
        inside, scale, (left, upper) = letterbox(height, width, detection.SIZE)
        square = np.zeros((detection.SIZE, detection.SIZE, 3), np.float32)
        if inside == (height, width):
            square[upper : upper + height, left : left + width] = picture * np.float32(1 / 255)
        else:
            side = detection.SIZE / scale
            whole = Region(width / 2, height / 2, side, 0.0)
            square = cut(picture, whole, detection.SIZE)
            left, upper = (detection.SIZE - width * scale) / 2, (detection.SIZE - height * scale) / 2
        rows, logits = self._detector(2 * square - 1)
        found = detection.candidates(rows, logits[:, 0], least)
        return [Candidate(one.region.moved(-left, -upper).scaled(1 / scale), one.confidence) for one in found]

    def candidates_in(self, picture: Image, region: Region, least: float) -> list[Candidate]:
        """Return the bodies in a turned region of a picture, in pixels of the picture."""
        shown = cut(picture, region, detection.SIZE)
        rows, logits = self._detector(2 * shown - 1)
        found = detection.candidates(rows, logits[:, 0], least)
        return [Candidate(_placed(one.region, region), one.confidence) for one in found]

    def joints(self, picture: Image, region: Region) -> Seen:
        """Return the joints of the body in a region of an upright picture (H, W, 3)."""
        values, presence = self._landmarks(cut(picture, region, SIZE))
        table = values.reshape(_ROWS, _VALUES)
        points = np.empty((_ROWS, 3), np.float32)
        points[:, :2] = region.to_picture(table[:, :2] / SIZE)
        points[:, 2] = table[:, 2] * region.side / SIZE
        visibility = 1 / (1 + np.exp(-np.clip(table[:, 3], -50, 50)))
        return Seen(points, visibility.astype(np.float32), float(presence.ravel()[0]))


def _placed(inner: Region, outer: Region) -> Region:
    """Return a region, found in pixels of the square that shows another one, in pixels of the picture."""
    x, y = outer.to_picture(np.array([inner.x, inner.y]) / detection.SIZE)
    turn = math.remainder(inner.turn + outer.turn, math.tau)
    return Region(float(x), float(y), inner.side * outer.side / detection.SIZE, turn)


_DETECTOR = ((1, 2254, 12), (1, 2254, 1))
_LANDMARKS = ((1, _ROWS * _VALUES), (1, 1))
"""Shapes of the outputs that are used; a mask and the like are cut off before the network is compiled."""


class _Compiled:
    """A network whose calls each take a request that no other thread uses."""

    def __init__(self, model: Any, outputs: int, threads: int) -> None:
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._outputs = outputs
        for _ in range(threads):
            self._free.put(model.create_infer_request())

    def __call__(self, picture: Array) -> tuple[Array, ...]:
        request = self._free.get()
        try:
            # Not infer: computed in the caller's threads, two calls have been seen to wait for each other forever.
            request.start_async([np.ascontiguousarray(picture[None], np.float32)])
            request.wait()
            return tuple(np.array(request.get_output_tensor(k).data[0]) for k in range(self._outputs))
        finally:
            self._free.put(request)


def _compiled(
    files: Files, content: bytes, shape: tuple[int, ...], outputs: Sequence[tuple[int, ...]], threads: int
) -> _Compiled:
    try:
        import openvino
    except ImportError as error:
        raise OptionError("BlazePose needs OpenVINO: pip install 'aqakit[fast]'") from error
    core = openvino.Core()
    try:
        model = _read_model(core, content)
        found = {tuple(out.shape): out for out in reversed(model.outputs)}
        if [tuple(one.shape) for one in model.inputs] != [shape] or not set(outputs) <= set(found):
            raise WeightsError(f"{files.source}: one of its networks is not of BlazePose, by the shapes of its inputs")
        slim = openvino.Model([found[one] for one in outputs], model.get_parameters())
        # Exact floats: fewer bits are faster on processors that have them, and joints would depend on the machine.
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads}
        return _Compiled(core.compile_model(slim, "CPU", options), len(outputs), threads)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise WeightsError(f"{files.source}: OpenVINO cannot read one of its networks: {reason}") from None


def _read_model(core: Any, content: bytes) -> Any:
    """OpenVINO reads this format only from files."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.tflite"
        file.write_bytes(content)
        return core.read_model(file)
