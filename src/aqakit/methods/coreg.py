"""COREG: co-training of two nearest-neighbour regressors.

The two use different metrics and label unlabelled videos for each other.

Each regressor searches a pool of unlabelled videos for the one that, added to its memory with its own estimate, would
reduce its error on the labelled neighbours of that video most. That video is added, with the estimate, to the other
regressor (Zhou and Li 2005, Table 1). A video that would not reduce the error is never added. The prediction is the
mean of the two. There are no weights and no epochs: :meth:`~aqakit.methods.Method.remember` does all the training.

The defaults are the published settings: 3 neighbours, Minkowski orders 2 and 5, a pool of 100 and up to 100 rounds.
Videos are compared by their mean clip features, with each channel scaled to unit standard deviation over the training
set.
"""

from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from aqakit.errors import DataError
from aqakit.methods.parts import pooling as poolings
from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Zhou and Li, Semi-Supervised Regression with Co-Training, IJCAI 2005. "
    "https://www.ijcai.org/Proceedings/05/Papers/0689.pdf"
)
FEATURES = FeatureSpec({"i3d": (1024,)})


class COREG(Method):
    """Predict a point for each video: the mean of two nearest-neighbour regressors.

    Args:
        features: Spec of the input features, which must be vectors.
        neighbours: Number of neighbours k.
        orders: Orders of the two Minkowski distances.
        pool: Number of unlabelled videos examined in a round.
        rounds: Maximum number of rounds.
        pooling: How the clips of a video are pooled into one vector.

    Attributes:
        centre: (D',) mean of the training videos.
        spread: (D',) standard deviation by which vectors are divided.
        vectors_0, vectors_1: (M, D') vectors stored by each regressor.
        scores_0, scores_1: (M,) their scores.
    """

    remembers_unlabelled = True
    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        features: FeatureSpec,
        *,
        neighbours: int,
        orders: tuple[float, float],
        pool: int,
        rounds: int,
        pooling: Literal["average", "statistics"],
    ) -> None:
        super().__init__()
        self.embed = poolings.build(pooling, features.width)
        self.neighbours, self.orders, self.pool, self.rounds = neighbours, orders, pool, rounds
        for name in ("centre", "spread", "vectors_0", "vectors_1", "scores_0", "scores_1"):
            self.register_memory(name)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: :meth:`remember` does all the training."""
        return {}

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Start from the labelled videos and run the co-training.

        Raises:
            DataError: If no video is labelled.
        """
        if not bool(train.labelled.any()):
            raise DataError("coreg needs at least one labelled training video")
        x = self.embed(train.features, train.clips)  # (n, D')
        spread = x.std(0, correction=0)
        self.centre, self.spread = x.mean(0), torch.where(spread > 1e-8, spread, 1.0)
        x, known = (x - self.centre) / self.spread, train.labelled
        for j in range(2):
            self._keep(j, x[known], train.score[known])
        waiting = x[~known]
        waiting = waiting[torch.randperm(len(waiting)).to(x.device)]
        for _ in range(self.rounds):
            used = self._teach(waiting[: self.pool])
            if not used:
                break
            kept = [i for i in range(len(waiting)) if i not in used]
            waiting = waiting[kept]

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        x = (self.embed(batch.features, batch.clips) - self.centre) / self.spread
        return Point((self.estimate(0, x) + self.estimate(1, x)) / 2)

    def memory(self, j: int) -> tuple[Tensor, Tensor]:
        """Return the vectors (M, D') and scores (M,) of regressor j."""
        return getattr(self, f"vectors_{j}"), getattr(self, f"scores_{j}")

    def estimate(self, j: int, x: Tensor) -> Tensor:
        """Return the mean score (B,) of the nearest neighbours of x (B, D') in the memory of regressor j."""
        vectors, scores = self.memory(j)
        return scores[self._nearest(j, x, vectors)].mean(1)

    def gains(self, j: int, x: Tensor) -> Tensor:
        """Return how much adding each video of x (B, D') with its estimate reduces the error of regressor j, as (B,).

        The error is the sum of squares over the video's nearest neighbours in the memory (Zhou and Li 2005, eq. 3).
        """
        vectors, scores = self.memory(j)
        guess = self.estimate(j, x)
        near = self._nearest(j, x, vectors)  # (B, k)
        before = (scores[near] - self.estimate(j, vectors)[near]).square().sum(1)
        after = [
            (scores[rows] - _mean_of(self._nearest(j, vectors[rows], torch.cat([vectors, one[None]])), scores, g))
            for rows, one, g in zip(near, x, guess, strict=True)
        ]
        return before - torch.stack(after).square().sum(1)

    def _teach(self, pool: Tensor) -> set[int]:
        """Run one round: each regressor gives the other its best video. Return the indices of these videos."""
        given: dict[int, tuple[int, Tensor]] = {}
        for j in range(2):
            free = [i for i in range(len(pool)) if i not in {place for place, _ in given.values()}]
            if not free:
                break
            gain, at = self.gains(j, pool[free]).max(0)
            if float(gain) > 0:
                place = free[int(at)]
                given[j] = place, self.estimate(j, pool[place][None])
        for j, (place, guess) in given.items():
            vectors, scores = self.memory(1 - j)
            self._keep(1 - j, torch.cat([vectors, pool[place][None]]), torch.cat([scores, guess]))
        return {place for place, _ in given.values()}

    def _keep(self, j: int, vectors: Tensor, scores: Tensor) -> None:
        setattr(self, f"vectors_{j}", vectors)
        setattr(self, f"scores_{j}", scores)

    def _nearest(self, j: int, x: Tensor, vectors: Tensor) -> Tensor:
        """Return the indices (B, k) of the nearest vectors (M, D') to x (B, D'); k is at most M."""
        k = min(self.neighbours, len(vectors))
        return torch.cdist(x, vectors, p=self.orders[j]).topk(k, largest=False).indices


def _mean_of(rows: Tensor, scores: Tensor, last: Tensor) -> Tensor:
    """Return the mean scores (k,) of the rows (k, k), with ``last`` appended to the scores."""
    return torch.cat([scores, last[None]])[rows].mean(1)


def _orders(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    neighbours: Annotated[int, Field(gt=0, description="number of neighbours whose scores are averaged")] = 3,
    orders: Annotated[
        tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]],
        BeforeValidator(_orders),
        Field(description="orders of the two Minkowski distances, as 2,5"),
    ] = (2.0, 5.0),
    pool: Annotated[int, Field(gt=0, description="number of unlabelled videos examined in a round")] = 100,
    rounds: Annotated[int, Field(gt=0, description="maximum number of rounds; each adds at most two videos")] = 100,
    pooling: Annotated[
        Literal["average", "statistics"], Field(description="how the clips of a video are pooled into one vector")
    ] = "average",
) -> COREG:
    """Build COREG for these features and labels."""
    return COREG(features, neighbours=neighbours, orders=orders, pool=pool, rounds=rounds, pooling=pooling)
