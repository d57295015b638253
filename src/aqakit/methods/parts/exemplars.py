"""Exemplars: training videos with known scores, with which a new video is compared.

Shared by all methods that predict a score difference. The memory holds the labelled training videos, sorted by score:
their mean clip features, their declared kind and difficulty and, for methods that compare clip by clip, their clips. A
new video costs one pass through a backbone; published code passes every exemplar through it again for every video.

Which exemplars a video is compared with, is an option (``match``):

- ``kind``: those of the same declared kind, such as a dive number. Where they are fewer than the voters, or where the
  kind is unknown or has no exemplar, those with the nearest declared difficulty follow;
- ``difficulty``: those with the same declared difficulty, then those with the nearest;
- ``nearest``: those with the nearest mean clip features;
- ``none``: any.

Equally near exemplars are drawn at random in training; at prediction they are spread evenly over their scores, so that
a prediction can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from aqakit.errors import DataError
from aqakit.methods.parts import pooling
from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import Mixture, Normal
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

Match = Literal["kind", "difficulty", "nearest", "none"]

VotersOption = Annotated[int, Field(gt=0, description="exemplars that each video is compared with")]
MatchOption = Annotated[
    Match, Field(description="exemplars of the same kind, same or nearest difficulty, nearest features, or any")
]
MemoryOption = Annotated[
    int | None, Field(gt=1, description="training videos kept as exemplars, evenly over their scores (all)")
]

UNKNOWN = 1e9
"""Stands for an unknown difficulty: equal to other unknown ones, and equally far from all known ones."""
SHARPEST = 1 / 200
"""Smallest standard deviation of a component of an answer, as a share of the score scale."""


class ExemplarMethod(Method):
    """A method with a memory of exemplars.

    Args:
        features: Spec of the input features, which must be vectors.
        labels: Labels, of which only the scale is used.
        voters: Exemplars for each video.
        match: Which exemplars.
        keep: ``means``, or ``clips`` for methods that need the clips of the exemplars too.
        memory: Maximum number of exemplars; None for all labelled training videos.

    Attributes:
        exemplars: (M, D) mean clip features.
        scores: (M,) ascending.
        difficulties: (M,) declared, or 1e9 if unknown.
        kinds: (M,) int64 declared, or −1 if unknown.
        moments: (M, N, D) clip features; empty unless clips are kept.
        shown: (M, N) bool, False where padded; empty unless clips are kept.
    """

    exemplars: Tensor
    scores: Tensor
    difficulties: Tensor
    kinds: Tensor
    moments: Tensor
    shown: Tensor

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        voters: int,
        match: Match,
        keep: Literal["means", "clips"] = "means",
        memory: int | None = None,
    ) -> None:
        super().__init__()
        self.pool = pooling.build("average", features.width)
        self.scale, self.voters, self.match, self.keep, self.memory = labels.scale, voters, match, keep, memory
        self.reads_kind = match == "kind"
        for name in ("exemplars", "scores", "difficulties"):
            self.register_memory(name)
        self.register_memory("kinds", torch.int64)
        if keep == "clips":
            self.register_memory("moments")
            self.register_memory("shown", torch.bool)

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Store the exemplars, sorted by score.

        Raises:
            DataError: If no video is labelled.
        """
        if len(train) == 0:
            raise DataError("contrastive regression needs labelled videos to compare with, but there are none")
        self.store(self._sorted(train))

    def store(self, train: Batch) -> None:
        """Store exemplars that are sorted by score; methods that keep more of them extend this."""
        self.exemplars = self.pool(train.features, train.clips)
        self.scores, self.difficulties = train.score, train.difficulty.nan_to_num(nan=UNKNOWN)
        self.kinds = train.kind
        if self.keep == "clips":
            self.moments, self.shown = train.features, train.clips

    @torch.no_grad()
    def partners(self, known: Batch, features: Tensor) -> Tensor:
        """Draw a random exemplar (B,) for each video, not itself, from those as near as its voters.

        A video is identified with the exemplar that has its score and the nearest mean features (B, D). A single
        exemplar is paired with itself.
        """
        distance = torch.cdist(features, self.exemplars).masked_fill(known.score[:, None] != self.scores, torch.inf)
        itself = distance.isfinite() & (distance == distance.amin(1, keepdim=True))
        apart = self.apart(known, features).masked_fill(itself, torch.inf)
        count = max(1, min(self.voters, len(self.scores) - 1))
        near = apart <= apart.kthvalue(count, dim=1, keepdim=True).values
        return torch.rand_like(apart).masked_fill(~near, -1).argmax(1)

    @torch.no_grad()
    def voters_of(self, batch: Batch, features: Tensor) -> Tensor:
        """Return the V nearest exemplars (B, V) of B videos with these mean features (B, D).

        Ties are taken evenly over their scores.
        """
        apart = self.apart(batch, features)
        count = min(self.voters, len(self.scores))
        farthest = apart.kthvalue(count, dim=1, keepdim=True).values
        nearer, tied = apart < farthest, apart == farthest
        missing, candidates = count - nearer.sum(1, keepdim=True), tied.sum(1, keepdim=True)
        reached = (tied.cumsum(1) * missing + candidates // 2) // candidates
        before = ((tied.cumsum(1) - 1) * missing + candidates // 2) // candidates
        chosen = nearer | (
            tied & (reached > before)
        )  # `count` of them in each row, whose numbers come first when sorted
        place = torch.arange(chosen.shape[1], device=chosen.device)
        return torch.where(chosen, place, chosen.shape[1]).sort(1).values[:, :count]

    def apart(self, batch: Batch, features: Tensor) -> Tensor:
        """Return how far B videos with these mean features (B, D) are from all exemplars, (B, M)."""
        if self.match == "none":
            return features.new_zeros(features.shape[0], self.scores.shape[0])
        if self.match == "nearest":
            return torch.cdist(features, self.exemplars)
        harder = (batch.difficulty.nan_to_num(nan=UNKNOWN)[:, None] - self.difficulties).abs()
        if self.match == "difficulty":
            return harder
        alike = (batch.kind[:, None] == self.kinds) & (self.kinds >= 0)
        return torch.where(alike, 0.0, 1 + harder)

    def clips_of(self, chosen: Tensor) -> Stream:
        """Return the clips of exemplars (…) as one stream of as many rows, which must have been kept."""
        flat = chosen.flatten()
        return Stream(self.moments[flat], self.shown[flat])

    def of_voters(self, chosen: Tensor, represent: Callable[[Stream], Tensor]) -> Tensor:
        """Represent the clips of the voters (B, V) of B videos: → (B · V, …).

        Videos share most of their voters, so each exemplar is represented once. Not in training, where dropout differs
        for every pair, nor in a compiled or exported network, where no shape may depend on a value.

        Args:
            chosen: Their numbers.
            represent: Maps a stream of R rows to (R, …).
        """
        if self.training or torch.compiler.is_compiling():
            return represent(self.clips_of(chosen))
        each, place = chosen.unique(return_inverse=True)
        return represent(self.clips_of(each))[place.flatten()]

    def _sorted(self, train: Batch) -> Batch:
        """Sort by score; keep no more than the memory holds, evenly over the scores of each kind or difficulty."""
        train = train.select(train.score.argsort(stable=True))
        if self.memory is None or len(train) <= self.memory:
            return train
        like = {"kind": train.kind, "difficulty": train.difficulty.nan_to_num(nan=UNKNOWN)}
        order = like.get(self.match, train.score).argsort(stable=True)
        even = torch.linspace(0, len(train) - 1, self.memory, device=order.device).round().long()
        return train.select(order[even].sort().values)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:  # type: ignore[no-untyped-def]
        if prefix + "scores" in state_dict:  # checkpoints of earlier versions have no kinds
            unknown = torch.full_like(state_dict[prefix + "scores"], -1, dtype=torch.int64)
            state_dict.setdefault(prefix + "kinds", unknown)
        super()._load_from_state_dict(state_dict, prefix, *args)


def mixture(log_probability: Tensor, mean: Tensor, std: Tensor) -> Mixture:
    """Build B mixtures from the leaves of all voters, (B, V, L) each; every voter has the same weight."""
    return Mixture(log_probability.flatten(1), Normal(mean.flatten(1), std.flatten(1)))


def kernel_density(votes: Tensor, sharpest: float) -> Mixture:
    """Return the kernel density of the votes (B, V): a normal around each, as wide as Scott's rule says.

    The width is the standard deviation of a row's votes × V^(−1/5), as in ``scipy.stats.gaussian_kde``.

    Args:
        votes: One score for each exemplar.
        sharpest: Smallest width, for votes that agree and for a single one.
    """
    count = votes.shape[1]
    spread = votes.std(1, correction=1) if count > 1 else votes.new_zeros(len(votes))
    width = (spread * count**-0.2).clamp(min=sharpest)
    return Mixture(torch.zeros_like(votes), Normal(votes, width[:, None].expand_as(votes)))
