"""BlazePose on video: 33 joints of the subject.

The subject is found, chosen over the whole clip among all who are in the picture, and followed by the two networks of
BlazePose (``aqakit weights get blazepose-full``), which OpenVINO computes. A recording in whose frames the body is
rarely found is refused, and the share of frames with the body stands beside every score. Positions are relative to the
centre of the body over the clip and divided by the body size in the window, as of the backbone ``skeleton``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.blazepose import filling, finding, networks
from aqakit.backbones.parts.blazepose.filling import Smooth
from aqakit.backbones.parts.blazepose.finding import Person
from aqakit.backbones.parts.blazepose.following import Sees
from aqakit.backbones.parts.blazepose.networks import JOINTS
from aqakit.backbones.parts.blazepose.tracks import Subject
from aqakit.backbones.skeleton import body_size, centred
from aqakit.backbones.weights.bundles import Network
from aqakit.errors import DataError
from aqakit.recordings import clips as plans
from aqakit.recordings import video
from aqakit.recordings.clips import ClipPlan
from aqakit.system import processes

PAPER = (
    "Bazarevsky et al., BlazePose: On-device Real-time Body Pose tracking, CVPR Workshop 2020. "
    "https://arxiv.org/abs/2006.10204"
)

Layout = Literal["vector", "joints"]

_VERSION = 1
"""Raised when the same video gives other joints."""


class BlazePose(Backbone):
    """Clips (T, 33, 2) of joints → (33, 2 T), or the same as one vector.

    Args:
        nets: both networks.
        content: a hash of them.
        plan: clip plan.
        subject: which body is meant.
        share: least share of frames in which the body is found.
        gap: seconds of the longest gap that is filled; what is beyond counts as not found.
        smooth: how trembling is smoothed away.
        layout: ``vector`` or ``joints``.
        threads: how much is computed at the same time, which changes nothing else.
    """

    reads = "video"
    plan: ClipPlan

    def __init__(
        self,
        nets: Sees,
        content: str,
        *,
        plan: ClipPlan,
        subject: str,
        share: float,
        gap: float,
        smooth: Smooth,
        layout: Layout,
        threads: int = 1,
    ) -> None:
        super().__init__()
        self._nets, self.content, self.threads = nets, content, threads
        self.plan, self.subject, self.share = plan, subject, share
        self.gap, self.smooth, self.layout = gap, smooth, layout
        self._who = Subject.parse(subject)
        width = 2 * plan.size
        self.shape = (JOINTS, width) if layout == "joints" else (JOINTS * width,)

    def read(
        self,
        path: Path,
        window: tuple[int, int] | None = None,
        *,
        rate: video.Rate = "stored",
        report: video.Report | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield clips (T, 33, 2) in the order of the plan, centred and scaled.

        Args:
            path: a video file or a folder of numbered pictures.
            window: first and last frame of the action; None for the whole video.
            rate: what frame numbers count.
            report: counts the missing and damaged frames, and those in which the body was found.

        Raises:
            VideoError: the video cannot be used, or the window is not inside it.
            DataError: nobody is in it, or the body is found in too few of its frames.
        """
        person, joints = self.follow(path, window, rate=rate, report=report)
        found, frames = int(np.isfinite(joints[:, 0, 0]).sum()), len(joints)
        if report is not None:
            report.searched += frames
            report.found += found
        if found < self.share * frames:
            raise DataError(
                f"{path}: the body is in view in {found} of {frames} frames ({found / frames:.0%}), and a score needs "
                f"{self.share:.0%}; film the whole person, give the window of the action, or choose the subject"
            )
        joints = filling.everywhere(joints, person.times)
        scale = body_size(joints)
        first = int(person.numbers[0])
        table = self.plan.within((first, first + frames - 1), first + frames) - first
        for clip in joints[table.clip(0, frames - 1)]:
            yield (centred(clip, "clip") / scale).astype(np.float32)

    def follow(
        self,
        path: Path,
        window: tuple[int, int] | None = None,
        *,
        rate: video.Rate = "stored",
        report: video.Report | None = None,
    ) -> tuple[Person, NDArray[np.float32]]:
        """Return the subject, and its joints (T, 33, 2) in pixels: filled and smoothed, NaN where it is not found.

        Arguments and errors are those of :meth:`read`, which also refuses those who are rarely found.
        """
        person = finding.find(
            path, self._nets, subject=self._who, window=window, rate=rate, report=report, threads=self.threads
        )
        joints = filling.filled(person.joints[..., :2], person.times, self.gap)
        return person, filling.smoothed(joints, person.times, self.smooth)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, 33, 2) → (n, *shape)."""
        x = clips.float().transpose(1, 2).flatten(2)
        return x if self.layout == "joints" else x.flatten(1)

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, options and a hash of the networks."""
        keys = ("subject", "share", "gap", "smooth", "layout", "content")
        own = {key: getattr(self, key) for key in keys}
        return {"version": _VERSION, "plan": self.plan.fingerprint()} | own


def build(
    *,
    plan: Annotated[
        str, Field(description="clip plan: a name, or a kind with its numbers such as sliding/frames=16/step=8")
    ] = "uniform:count=10:frames=16",
    network: Annotated[Network, Field(description="network for the joints; heavier is slower and better")] = "full",
    weights: Annotated[
        Path | None,
        Field(description="a folder of .tflite files or a .task file; none: as downloaded by `aqakit weights get`"),
    ] = None,
    subject: Annotated[
        str, Field(description="who is meant: largest, central, moving, or a place x,y or x,y@seconds in pixels")
    ] = "largest",
    share: Annotated[
        float, Field(ge=0, le=1, description="least share of frames with the body in view; below, it is refused")
    ] = 0.3,
    gap: Annotated[float, Field(ge=0, description="longest gap that is filled, in seconds")] = filling.GAP,
    smooth: Annotated[Smooth, Field(description="smoothing of the joints over time")] = "none",
    layout: Annotated[Layout, Field(description="one vector; or one per joint, for graph methods")] = "vector",
) -> BlazePose:
    """Build the backbone from both networks.

    Raises:
        OptionError: OpenVINO is not installed, there is no such plan, or the subject is no place.
        WeightsError: the networks are not there, or damaged.
    """
    table = plans.parse(plan)
    Subject.parse(subject)
    files = networks.locate(weights, network)
    threads = processes.cores()
    return BlazePose(
        networks.Networks(files, threads),
        files.digest,
        plan=table,
        subject=subject,
        share=share,
        gap=gap,
        smooth=smooth,
        layout=layout,
        threads=threads,
    )
