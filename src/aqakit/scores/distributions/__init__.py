"""What every method answers with: a distribution over scores, one for each video of a batch.

The batch shape is usually (B,) and may be anything. Three conventions hold for every kind:

- ``cdf``, ``icdf``, ``log_prob`` and ``crps`` work element by element: their argument broadcasts with the
  batch shape from the right, so (Q, B) asks Q questions of each of B distributions;
- ``quantile(level)`` asks the same of all rows: a number gives (*batch), levels (Q,) give (*batch, Q);
- a distribution is frozen and holds tensors only, so ``kind`` and ``tensors()`` are all there is to store.

``mean``, ``std``, ``cdf``, ``log_prob`` and ``crps`` carry gradients to what a distribution was made of.

>>> import torch
>>> dives = Normal(torch.tensor([60.0, 85.5]), torch.tensor([4.0, 8.0]))
>>> low, high = dives.interval(0.9)
>>> [round(end, 1) for end in high.tolist()]
[66.6, 98.7]
>>> restore(dives.kind, dives.tensors()).mean.tolist()
[60.0, 85.5]
"""

from aqakit.scores.distributions.base import Affine, ScoreDistribution
from aqakit.scores.distributions.derived import Mixture, Recalibrated
from aqakit.scores.distributions.plain import Binned, Normal, Point
from aqakit.scores.distributions.quantiles import Quantiles
from aqakit.scores.distributions.stored import restore

__all__ = [
    "Affine",
    "Binned",
    "Mixture",
    "Normal",
    "Point",
    "Quantiles",
    "Recalibrated",
    "ScoreDistribution",
    "restore",
]
