"""Distributions over scores, which every method predicts: one for each video of a batch.

The batch shape is usually (B,), but can be any shape. Three conventions hold for every kind:

- ``cdf``, ``icdf``, ``log_prob`` and ``crps`` work element by element: their argument broadcasts with the
  batch shape from the right, so (Q, B) evaluates each of B distributions at Q values;
- ``quantile(level)`` uses the same levels for all rows: a number gives (*batch), levels (Q,) give (*batch, Q);
- a distribution is frozen and holds only tensors, so ``kind`` and ``tensors()`` are enough to store it.

``mean``, ``std``, ``cdf``, ``log_prob`` and ``crps`` propagate gradients to the tensors of a distribution.

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
from aqakit.scores.distributions.location_scale import Laplace, LocationScale, Logistic, Student
from aqakit.scores.distributions.mixing import mixture
from aqakit.scores.distributions.plain import Binned, Normal, Point
from aqakit.scores.distributions.quantiles import Quantiles
from aqakit.scores.distributions.stored import restore

__all__ = [
    "Affine",
    "Binned",
    "Laplace",
    "LocationScale",
    "Logistic",
    "Mixture",
    "Normal",
    "Point",
    "Quantiles",
    "Recalibrated",
    "ScoreDistribution",
    "Student",
    "mixture",
    "restore",
]
