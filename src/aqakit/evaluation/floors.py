"""Floors: trivial baselines that use little or no input. A method must beat them to show that it assesses quality.

Each floor is fitted on the training samples of a fold and makes point predictions for its test samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from torch import Tensor

from aqakit.datasets.parts.health import TOLERANCE, by_rule
from aqakit.types import Batch, Sample, Stream


@dataclass(frozen=True)
class Inputs:
    """Inputs of the floors, for n samples.

    Attributes:
        lengths: (n,) frames of each recording, NaN if unknown.
        difficulty: (n,) declared difficulty, NaN if there is none.
        features: (n, D) mean over clips of every stream, as :func:`mean_vectors` makes it; (n, 0) without a cache.
        ruled: (n,) scores computed by the judges' rule; None if unknown, or if the rule gives exactly the scores.
        kinds: (n,) what was declared, such as a dive number; None unless every sample has one.
    """

    lengths: np.ndarray
    difficulty: np.ndarray
    features: np.ndarray
    ruled: np.ndarray | None = None
    kinds: np.ndarray | None = None

    @classmethod
    def of(cls, batch: Batch | None, samples: Sequence[Sample], lengths: np.ndarray, rule: str | None = None) -> Inputs:
        """Make the inputs from samples and, if there is one, the batch of their cached features."""
        difficulty = np.array([np.nan if s.difficulty is None else s.difficulty for s in samples])
        means = [mean_vectors(stream).numpy() for stream in batch.streams.values()] if batch else []
        features = np.concatenate(means, axis=1) if means else np.empty((len(samples), 0))
        kinds = np.array([s.kind for s in samples]) if all(s.kind for s in samples) else None
        return cls(lengths, difficulty, features, _ruled(samples, rule), kinds)

    def rows(self, index: np.ndarray) -> Inputs:
        """Select some of the samples."""
        ruled = None if self.ruled is None else self.ruled[index]
        kinds = None if self.kinds is None else self.kinds[index]
        return Inputs(self.lengths[index], self.difficulty[index], self.features[index], ruled, kinds)


def mean_vectors(stream: Stream) -> Tensor:
    """Return one vector for each of B videos: the mean over its clips.

    Args:
        stream: vectors (B, N, D); joints (B, N, J, D), which are put side by side; or maps (B, N, C, T, H, W), of which
            each channel is averaged over its places.

    Returns:
        (B, D), (B, J D) or (B, C).
    """
    clips = stream.features
    vectors = clips.flatten(3).mean(3) if clips.ndim > 4 else clips.flatten(2)
    mask = stream.clips[..., None]
    return torch.where(mask, vectors, 0.0).sum(1) / mask.sum(1).clamp(min=1)


def constant(train: Inputs, score: np.ndarray, test: Inputs) -> np.ndarray:
    """Predict the mean training score."""
    return np.full(len(test.lengths), score.mean())


def length_only(train: Inputs, score: np.ndarray, test: Inputs) -> np.ndarray:
    """Linear regression on the length of the recording."""
    return _line(train.lengths, score, test.lengths)


def difficulty_only(train: Inputs, score: np.ndarray, test: Inputs) -> np.ndarray:
    """Linear regression on the declared difficulty."""
    return _line(train.difficulty, score, test.difficulty)


def mean_of_kind(train: Inputs, score: np.ndarray, test: Inputs) -> np.ndarray:
    """Predict the mean training score of the declared kind; of all for a kind that is new."""
    assert train.kinds is not None, "applicable only then"
    assert test.kinds is not None, "applicable only then"
    means = {kind: score[train.kinds == kind].mean() for kind in set(train.kinds)}
    return np.array([means.get(kind, score.mean()) for kind in test.kinds])


def svr(train: Inputs, score: np.ndarray, test: Inputs) -> np.ndarray:
    """RBF support vector regression (C = 10) on standardised mean features, untuned."""
    model = make_pipeline(StandardScaler(), SVR(C=10.0))
    answer: np.ndarray = model.fit(train.features, score).predict(test.features)
    return answer


def judges_rule(train: Inputs, score: np.ndarray, test: Inputs) -> np.ndarray:
    """Apply the judges' rule to their own marks: the result of predicting every mark perfectly."""
    assert test.ruled is not None, "applicable only then"
    return test.ruled


def applicable(inputs: Inputs) -> Mapping[str, Callable[[Inputs, np.ndarray, Inputs], np.ndarray]]:
    """Return the floors that can be computed from these inputs, by their name in tables."""
    floors = {"floor: constant": constant}
    if not np.isnan(inputs.lengths).any():
        floors["floor: length only"] = length_only
    if not np.isnan(inputs.difficulty).any():
        floors["floor: difficulty only"] = difficulty_only
    if inputs.kinds is not None:
        floors["floor: mean of the kind"] = mean_of_kind
    if inputs.features.shape[1]:
        floors["floor: SVR on mean features"] = svr
    if inputs.ruled is not None:
        floors["ceiling: judges' rule"] = judges_rule
    return floors


def _ruled(samples: Sequence[Sample], rule: str | None) -> np.ndarray | None:
    ruled = [by_rule(sample, rule) for sample in samples]
    known = [value for value in ruled if value is not None]
    apart = [abs(s.score - r) for s, r in zip(samples, ruled) if s.score is not None and r is not None]
    exact = len(known) < len(samples) or max(apart, default=0.0) <= TOLERANCE
    return None if exact else np.array(known)


def _line(train: np.ndarray, score: np.ndarray, test: np.ndarray) -> np.ndarray:
    answer: np.ndarray = LinearRegression().fit(train[:, None], score).predict(test[:, None])
    return answer
