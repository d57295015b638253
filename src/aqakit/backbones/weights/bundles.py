"""Networks as TensorFlow Lite has them: single ``.tflite`` files, or two in a ``.task`` file of MediaPipe."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

from aqakit.errors import WeightsError

Network = Literal["full", "lite", "heavy"]

LARGEST = 100 << 20
"""Bytes of the largest network that is read; the published ones have at most 30 MB."""

_DETECTORS = ("pose_detector.tflite", "pose_detection.tflite")
_IN_BUNDLE = ("pose_detector.tflite", "pose_landmarks_detector.tflite")


class Files(NamedTuple):
    """The bytes of both networks, and where they are from."""

    source: Path
    detector: bytes
    landmarks: bytes

    @property
    def digest(self) -> str:
        """A hash of both."""
        found = hashlib.blake2b(self.detector, digest_size=16)
        found.update(self.landmarks)
        return found.hexdigest()


def read(source: Path, network: Network) -> Files:
    """Read both networks.

    Args:
        source: a folder with ``pose_detection.tflite`` (or ``pose_detector.tflite``) and
            ``pose_landmark_<network>.tflite``; or a ``.task`` file, which holds one pair.
        network: which of the networks for joints, if it is a folder.

    Raises:
        WeightsError: a file is missing, too large or damaged.
    """
    if source.is_dir():
        detectors = [source / name for name in _DETECTORS if (source / name).is_file()]
        wanted = source / f"pose_landmark_{network}.tflite"
        if bundle := next(iter(sorted(source.glob(f"pose_landmarker_{network}.task"))), None):
            return of_bundle(bundle)
        for file, name in ((next(iter(detectors), None), _DETECTORS[1]), (wanted, wanted.name)):
            if file is None or not file.is_file():
                raise WeightsError(f"{source} has no {name}; {how(network)}")
        return Files(source, _bytes(detectors[0]), _bytes(wanted))
    if not source.is_file():
        raise WeightsError(f"{source}: no such file or folder; {how(network)}")
    return of_bundle(source)


def how(network: str) -> str:
    """Return the sentence that says how to get the networks."""
    return f"get them with `aqakit weights get blazepose-{network}`, or give a folder or .task file as weights"


def of_bundle(path: Path) -> Files:
    """Read both networks of a ``.task`` file.

    Raises:
        WeightsError: it is damaged, or something else.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            held = {Path(one.filename).name: one for one in bundle.infolist()}
            for name in _IN_BUNDLE:
                if name not in held:
                    raise WeightsError(
                        f"{path} has no {name}; it is not a bundle of BlazePose (pose_landmarker_*.task)"
                    )
            return Files(path, *(_member(path, bundle, held[name]) for name in _IN_BUNDLE))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path} is damaged, or not a .task file: {reason}; download it again") from error


def _member(path: Path, bundle: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read one file of a bundle; its stated size may lie, so that never more than the limit is unpacked."""
    with bundle.open(member) as file:
        return _checked(file.read(LARGEST + 1), f"{path}: {member.filename}")


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return _checked(file.read(LARGEST + 1), str(path))


def _checked(content: bytes, name: str) -> bytes:
    if len(content) > LARGEST:
        raise WeightsError(f"{name} has more than {LARGEST >> 20} MiB; it is not a published network")
    if content[4:8] != b"TFL3":
        raise WeightsError(f"{name} is damaged, or not a .tflite file; download it again")
    return content
