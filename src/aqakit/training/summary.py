"""Summary of a run's training videos: mean features, to find the videos most similar to a new one, and the mean clip.

The distance of two videos is computed from the features that the method reads. The features of each stream are averaged
over clips (and over joints or positions, if any), and every channel is scaled by its standard deviation over the
training videos. The distance is the root mean square difference over channels, with equal weight for all streams. If
the run trained its backbone, these are the trained features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from aqakit.errors import RunError
from aqakit.features.appearance import appearance
from aqakit.methods.parts.declared import design
from aqakit.system import tensors as storage
from aqakit.system.tensors import DamagedError
from aqakit.training.assessor import Assessor
from aqakit.training.batches import BatchSource, has_score, read_batches
from aqakit.training.ensemble import Ensemble
from aqakit.training.familiarity import Familiarity, familiar
from aqakit.training.mean_clips import Mean, NamedMeans
from aqakit.types import Batch, LabelSpec, Stream

FILE = "exemplars.safetensors"
_VIDEOS_AT_ONCE = 8
_LISTS = ("ids", "groups", "scenes", "names")
_FEWEST = 3  # training videos, or groups of them, that can be compared with each other
_MOST = 10_000  # scored training videos that are kept; of more, a random choice


@dataclass(frozen=True)
class Exemplar:
    """A training video: its score, and its distance from the query video, in standard deviations of a channel."""

    id: str
    score: float
    distance: float


@dataclass(frozen=True)
class TrainingSummary:
    """Summary of the training videos of a run.

    Attributes:
        ids: ids of the n videos that have a score; of more than 10,000 such videos, n = 10,000 at random.
        score: (n,) their scores.
        mean_features: for each stream, the features of these videos, averaged over clips: (n, D).
        mean_clip: for each stream, the mean clip of all training videos: (N, *F), one for each position, if all have N
            clips; else (1, *F).
        profiles: for each stream, mean, first and last clip of these videos: (n, 3 D); empty in older runs, and for
            backbones trained in the run without validation videos.
        groups: group of each video, if whole groups were held out.
        held: the same as ``profiles`` for validation videos, (m, 3 D), if the backbones were trained in the run.
        pixels: for each such backbone, the appearance of the training videos: (n, S).
        scenes: group of each video, if all have one: the videos of a group look alike.
        difficulty: (n,) their declared difficulty, if all have one.
        declared: (n, P) the design of what was declared of them; P is 0 if nothing was, and in older runs.
        named_clips: for each stream whose clips have names, the mean clip (*F) of each name.
    """

    ids: Sequence[str]
    score: Tensor
    mean_features: Mapping[str, Tensor]
    mean_clip: Mapping[str, Tensor]
    profiles: Mapping[str, Tensor] = field(default_factory=dict)
    groups: Sequence[str] | None = None
    held: Mapping[str, Tensor] = field(default_factory=dict)
    pixels: Mapping[str, Tensor] = field(default_factory=dict)
    scenes: Sequence[str] | None = None
    difficulty: Tensor | None = None
    declared: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    named_clips: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        assessor: Assessor | Ensemble,
        train: BatchSource,
        device: torch.device,
        labels: LabelSpec,
        *,
        whole_groups: bool = False,
        validation: BatchSource | None = None,
        names: Sequence[Mapping[str, Sequence[str]]] = (),
    ) -> TrainingSummary:
        """Compute the summary by embedding the training set once more, a few videos at a time.

        Args:
            assessor: the trained model.
            train: its training set.
            device: where it is computed.
            labels: describes the labels.
            whole_groups: whether the members of the run did not see whole groups.
            validation: videos that were not trained on; they are used if the backbones were trained in the run.
            names: for each video of the training set, the names of the clips of each stream whose clips have names.
        """
        kept = _drawn(has_score(train))
        usual: dict[str, Mean] = {}
        pooled, profiles, pixels, kinds = (_Rows(int(kept.sum())) for _ in range(4))
        named = NamedMeans(names)
        for chosen, (seen, batch) in zip(
            kept.split(_VIDEOS_AT_ONCE), _embedded(assessor.eval(), train, device), strict=True
        ):
            for name, stream in batch.streams.items():
                pooled.add(name, pool(stream), chosen)
                profiles.add(name, profile(stream), chosen)
                usual.setdefault(name, Mean()).add(stream)
            named.add(batch)
            kinds.add("declared", design(batch, labels), chosen)
            for name in assessor.live:
                pixels.add(name, pool(looks(seen.streams[name])), chosen)
        held = _Rows(len(validation) if validation is not None else 0)
        if assessor.live and validation is not None and len(validation) >= _FEWEST:
            for _, batch in _embedded(assessor, validation, device):
                for name, stream in batch.streams.items():
                    held.add(name, profile(stream))
        scored = [train.samples[row] for row in kept.nonzero().squeeze(1).tolist()]
        groups = [str(s.group) for s in scored]
        degrees = [s.difficulty for s in scored if s.difficulty]
        return cls(
            [s.id for s in scored],
            torch.tensor([s.score for s in scored]),
            dict(pooled),
            {name: mean.value() for name, mean in usual.items()},
            {} if assessor.live and not held else dict(profiles),
            groups if whole_groups else None,
            dict(held),
            dict(pixels),
            groups if all(s.group for s in scored) else None,
            torch.tensor(degrees) if len(degrees) == len(scored) else None,
            kinds["declared"],
            named.value(),
        )

    def save(self, folder: Path) -> None:
        """Save the summary in a run folder."""
        tensors = {"score": self.score}
        tensors |= {f"pooled/{name}": t.contiguous() for name, t in self.mean_features.items()}
        tensors |= {f"usual/{name}": t.contiguous() for name, t in self.mean_clip.items()}
        tensors |= {f"profile/{name}": t.contiguous() for name, t in self.profiles.items()}
        tensors |= {f"held/{name}": t.contiguous() for name, t in self.held.items()}
        tensors |= {f"pixels/{name}": t.contiguous() for name, t in self.pixels.items()}
        tensors |= {} if self.difficulty is None else {"difficulty": self.difficulty}
        tensors |= {"declared": self.declared} if self.declared.shape[1] else {}
        about = {"ids": json.dumps(list(self.ids)), "groups": json.dumps(self.groups)}
        about["scenes"] = json.dumps(self.scenes)
        if self.named_clips:
            tensors |= {f"named/{stream}": torch.stack([*one.values()]) for stream, one in self.named_clips.items()}
            about["names"] = json.dumps({stream: list(one) for stream, one in self.named_clips.items()})
        storage.save(folder / FILE, tensors, about)

    @classmethod
    def load(cls, folder: Path) -> TrainingSummary:
        """Load the summary of a run folder.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            tensors, header = storage.load(folder / FILE)
            about = {name: json.loads(header[name]) for name in _LISTS if name in header}
            pooled, usual, profiles, held, pixels = (
                storage.below(part, tensors) for part in ("pooled", "usual", "profile", "held", "pixels")
            )
            degrees = tensors.get("difficulty")
            of_videos = [tensors["score"], *pooled.values(), *profiles.values(), *pixels.values()]
            of_videos += [] if degrees is None else [degrees]
            declared = tensors.get("declared", torch.empty(len(tensors["score"]), 0))
            of_videos.append(declared)
            if {len(about["ids"])} != set(map(len, of_videos)) or not pooled.keys() == usual.keys():
                raise ValueError("its parts do not fit together")
            groups, scenes = about.get("groups"), about.get("scenes")
            named = {
                stream: dict(zip(about["names"][stream], clips, strict=True))
                for stream, clips in storage.below("named", tensors).items()
            }
            return cls(
                about["ids"],
                tensors["score"],
                pooled,
                usual,
                profiles,
                groups,
                held,
                pixels,
                scenes,
                degrees,
                declared,
                named,
            )
        except FileNotFoundError:
            raise RunError(f"{folder}: has no {FILE}, so nothing can be explained; train the run again") from None
        except (OSError, DamagedError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / FILE}: is damaged ({storage.reason(error)}); train the run again") from None

    def usual(self, names: Mapping[str, Sequence[str]]) -> Mapping[str, Tensor]:
        """Return the mean clip of each stream; for clips with names, that of each name in turn: (N, *F).

        Args:
            names: of the clips of a video, for each stream whose clips have names.
        """
        found = dict(self.mean_clip)
        for stream, known in self.named_clips.items():
            if names.get(stream):
                other = self.mean_clip[stream].mean(0)
                found[stream] = torch.stack([known.get(name, other) for name in names[stream]])
        return found

    def nearest(self, video: Batch, count: int = 3) -> list[Exemplar]:
        """Return the training videos most similar to one video (B = 1), nearest first."""
        squares = [_squares(self.mean_features[name], pool(stream).cpu()) for name, stream in video.streams.items()]
        distance = torch.stack(squares).mean(0).sqrt()
        order = distance.argsort(stable=True)[:count].tolist()
        return [Exemplar(self.ids[k], float(self.score[k]), float(distance[k])) for k in order]

    @cached_property
    def familiarity(self) -> Mapping[str, Familiarity]:
        """Tests of being like the training videos, by stream, and by ``pixels/stream``; empty if these are too few."""
        if len(self.ids) < _FEWEST:
            return {}
        groups, scenes = (one if one and len(set(one)) >= _FEWEST else None for one in (self.groups, self.scenes))
        tests = {name: Familiarity(vectors, groups, self.held.get(name)) for name, vectors in self.profiles.items()}
        return tests | {f"pixels/{name}": Familiarity(vectors, scenes) for name, vectors in self.pixels.items()}

    def familiar(self, videos: Batch, pixels: Mapping[str, Tensor]) -> tuple[list[float], list[bool]] | None:
        """Return the p-values of videos (B,) and whether each is unlike training; None if there is no test.

        Args:
            videos: their features.
            pixels: their appearance (B, S), for each of ``pixels``.
        """
        vectors = {name: profile(stream).cpu() for name, stream in videos.streams.items()}
        vectors |= {f"pixels/{name}": vector for name, vector in pixels.items()}
        return familiar(self.familiarity, vectors) if self.familiarity else None


def looks(stream: Stream) -> Stream:
    """Replace the pixels (B, N, T, H, W, 3) of a stream by their appearance (B, N, S)."""
    found = torch.cat([appearance(clip) for clip in stream.shown().split(1)])  # in little memory
    vectors = found.new_zeros(*stream.clips.shape, found.shape[1])
    vectors[stream.clips] = found
    return Stream(vectors, stream.clips)


def pool(stream: Stream) -> Tensor:
    """Average features (B, N, *F) → (B, D) over clips, and over joints (J, D) or positions (D, T, H, W)."""
    mask = stream.clips[..., None]
    return torch.where(mask, _vectors(stream), 0.0).sum(1) / mask.sum(1)


def profile(stream: Stream) -> Tensor:
    """Mean, first and last clip of each video, (B, N, *F) → (B, 3 D), each averaged as by :func:`pool`."""
    vectors, last = _vectors(stream), stream.clips.sum(1) - 1
    rows = torch.arange(len(vectors), device=vectors.device)
    return torch.cat([pool(stream), vectors[:, 0], vectors[rows, last]], dim=1)


def _vectors(stream: Stream) -> Tensor:
    """(B, N, *F) → (B, N, D)."""
    features = stream.features
    if features.ndim > 4:
        return features.flatten(3).mean(3)
    return features.mean(2) if features.ndim == 4 else features


class _Rows(dict[str, Tensor]):
    """Vectors of ``count`` videos for each stream, filled a few videos at a time.

    They lie in one block from the beginning: small ones between the features of one chunk and the next would keep the
    memory of all chunks in pieces.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self._filled: dict[str, int] = {}

    def add(self, name: str, vectors: Tensor, rows: Tensor | slice = slice(None)) -> None:
        own, at = vectors.cpu()[rows], self._filled.get(name, 0)
        if name not in self:
            self[name] = own.new_zeros(self.count, *own.shape[1:])
        self[name][at : at + len(own)] = own
        self._filled[name] = at + len(own)


def _drawn(known: Tensor) -> Tensor:
    """(n,) bool: the known rows, or some of them if they are too many to be kept."""
    rows = known.nonzero().squeeze(1)
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))][:_MOST]
    return torch.zeros_like(known).index_fill(0, rows, True)


def _squares(known: Tensor, video: Tensor) -> Tensor:
    """Return (n,) mean squared differences of (n, D) from (1, D), in standard deviations of each channel."""
    spread = known.std(0, correction=0)
    usable = spread > 1e-8 * known.abs().amax(0).clamp_min(1e-8)  # a constant channel carries no information
    return ((known - video) / spread)[:, usable].square().mean(1) if bool(usable.any()) else known.new_zeros(len(known))


def _embedded(
    assessor: Assessor | Ensemble, source: BatchSource, device: torch.device
) -> Iterator[tuple[Batch, Batch]]:
    """Yield a few videos at a time, as the source gives them, and their features."""
    chunks = torch.arange(len(source)).split(_VIDEOS_AT_ONCE)
    with closing(read_batches(source, chunks, device)) as batches:
        yield from ((seen, assessor.embed(seen)) for seen in batches)
