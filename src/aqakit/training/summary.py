"""What a run keeps of its training videos: mean features, to find those most like a new one, and the mean clip.

Likeness is nearness of the features that the method reads: of each stream the mean over the clips of a video (and over
joints or places, where there are any), every channel scaled by its spread over the training videos; then the root mean
square difference over channels, all streams counting alike. For a run that trained its backbone these are the features
it learnt, for any other those of the backbone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aqakit.errors import RunError
from aqakit.system.files import replacing
from aqakit.training.assessor import Assessor
from aqakit.training.batches import BatchSource, has_score
from aqakit.types import Batch, Stream

FILE = "exemplars.safetensors"
_VIDEOS_AT_ONCE = 8


@dataclass(frozen=True)
class Exemplar:
    """A training video: its score, and its distance from the one in question, in spreads of a channel."""

    id: str
    score: float
    distance: float


@dataclass(frozen=True)
class TrainingSummary:
    """The training videos of a run.

    Attributes:
        ids: of the n that have a score.
        score: (n,).
        mean_features: for each stream, the features of these videos, averaged over clips: (n, D).
        mean_clip: for each stream, the mean clip of all training videos: (N, *F), one for each position, if all have N
            clips; else (1, *F).
    """

    ids: Sequence[str]
    score: Tensor
    mean_features: Mapping[str, Tensor]
    mean_clip: Mapping[str, Tensor]

    @classmethod
    @torch.no_grad()
    def of(cls, assessor: Assessor, train: BatchSource, device: torch.device) -> TrainingSummary:
        """Embed the training set once more, a few videos at a time."""
        pooled: dict[str, list[Tensor]] = {}
        usual: dict[str, _Mean] = {}
        for batch in _embedded(assessor.eval(), train, device):
            for name, stream in batch.streams.items():
                pooled.setdefault(name, []).append(pool(stream).cpu())
                usual.setdefault(name, _Mean()).add(stream)
        known = has_score(train)
        scored = [s for s in train.samples if s.score is not None]
        return cls(
            [s.id for s in scored],
            torch.tensor([s.score for s in scored]),
            {name: torch.cat(parts)[known] for name, parts in pooled.items()},
            {name: mean.value() for name, mean in usual.items()},
        )

    def save(self, folder: Path) -> None:
        """Write them into a run folder."""
        tensors = {"score": self.score}
        tensors |= {f"pooled/{name}": t.contiguous() for name, t in self.mean_features.items()}
        tensors |= {f"usual/{name}": t.contiguous() for name, t in self.mean_clip.items()}
        with replacing(folder / FILE) as temporary:
            save_file(tensors, temporary, {"ids": json.dumps(list(self.ids))})

    @classmethod
    def load(cls, folder: Path) -> TrainingSummary:
        """Read them from a run folder.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            with safe_open(folder / FILE, framework="pt") as stored:
                ids = json.loads(stored.metadata()["ids"])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            pooled, usual = (
                {n.removeprefix(f"{part}/"): t for n, t in tensors.items() if n.startswith(f"{part}/")}
                for part in ("pooled", "usual")
            )
            return cls(ids, tensors["score"], pooled, usual)
        except FileNotFoundError:
            raise RunError(f"{folder}: has no {FILE}, so nothing can be explained; train the run again") from None
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / FILE}: is damaged ({type(error).__name__}); train the run again") from None

    def nearest(self, video: Batch, count: int = 3) -> list[Exemplar]:
        """The training videos most like one (B = 1), the most alike first."""
        squares = [_squares(self.mean_features[name], pool(stream).cpu()) for name, stream in video.streams.items()]
        distance = torch.stack(squares).mean(0).sqrt()
        order = distance.argsort(stable=True)[:count].tolist()
        return [Exemplar(self.ids[k], float(self.score[k]), float(distance[k])) for k in order]


def pool(stream: Stream) -> Tensor:
    """(B, N, *F) → (B, D): the mean over clips, and over joints (J, D) or places (D, T, H, W)."""
    features = stream.features
    if features.ndim > 4:
        features = features.flatten(3).mean(3)
    elif features.ndim == 4:
        features = features.mean(2)
    mask = stream.clips[..., None]
    return torch.where(mask, features, 0.0).sum(1) / mask.sum(1)


class _Mean:
    """The mean clip over many videos, at each place as long as all videos have as many clips."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.count: Tensor = torch.empty(0)
        self.even = True

    def add(self, stream: Stream) -> None:
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
        assert self.total is not None, "there is no training video"
        return (self.total / self.count.reshape(-1, *[1] * (self.total.ndim - 1))).float()


def _squares(known: Tensor, video: Tensor) -> Tensor:
    """(n,) mean squared differences of (n, D) from (1, D) in units of each channel's spread."""
    spread = known.std(0, correction=0)
    usable = spread > 1e-8 * known.abs().amax(0).clamp_min(1e-8)  # a channel that never changes tells nothing
    return ((known - video) / spread)[:, usable].square().mean(1) if bool(usable.any()) else known.new_zeros(len(known))


def _embedded(assessor: Assessor, source: BatchSource, device: torch.device) -> Iterator[Batch]:
    for index in torch.arange(len(source)).split(_VIDEOS_AT_ONCE):
        yield assessor.embed(source.batch(index).to(device))
