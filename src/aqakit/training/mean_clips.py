"""Mean clips of many videos, a few videos at a time: at each position, and of each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from aqakit.types import Batch, Stream


class Mean:
    """Running mean clip of many videos: one per position while all videos have the same number of clips, else one."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.count: Tensor = torch.empty(0)
        self.even = True

    def add(self, stream: Stream) -> None:
        """Add the clips of some videos."""
        mask = stream.clips.reshape(*stream.clips.shape, *[1] * (stream.features.ndim - 2))
        total = torch.where(mask, stream.features, 0.0).double().sum(0).cpu()  # (N, *F)
        count = stream.clips.double().sum(0).cpu()
        self.even &= bool(stream.clips.all()) and (self.total is None or len(total) == len(self.total))
        if not self.even:
            total, count = total.sum(0, keepdim=True), count.sum(0, keepdim=True)
            if self.total is not None:
                self.total, self.count = self.total.sum(0, keepdim=True), self.count.sum(0, keepdim=True)
        self.total = total if self.total is None else self.total + total
        self.count = count if not len(self.count) else self.count + count

    def value(self) -> Tensor:
        """Return (N, *F), or (1, *F) if videos differ in their number of clips."""
        assert self.total is not None, "there is no training video"
        return (self.total / self.count.reshape(-1, *[1] * (self.total.ndim - 1))).float()


class NamedMeans:
    """Running mean clip of each name, for each stream whose clips have names; videos come in order.

    Args:
        names: for each video, the names of the clips of these streams.
    """

    def __init__(self, names: Sequence[Mapping[str, Sequence[str]]]) -> None:
        self.names, self.seen = names, 0
        self.totals: dict[str, dict[str, list[Tensor]]] = {}

    def add(self, batch: Batch) -> None:
        """Add the clips of the next videos."""
        for row, names in enumerate(self.names[self.seen : self.seen + len(batch)]):
            for stream, listed in names.items():
                totals = self.totals.setdefault(stream, {})
                for name, clip in zip(listed, batch.streams[stream].features[row].double().cpu()):
                    total = totals.setdefault(name, [torch.zeros_like(clip), torch.zeros(())])
                    total[0] += clip
                    total[1] += 1
        self.seen += len(batch)

    def value(self) -> dict[str, dict[str, Tensor]]:
        """Return the mean clip (*F) of each name, by stream."""
        return {
            stream: {name: (total / count).float() for name, (total, count) in totals.items()}
            for stream, totals in self.totals.items()
        }
