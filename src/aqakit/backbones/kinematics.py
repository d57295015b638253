"""Recorded motion as named measures, without learning.

Every feature has a name.

The recording is divided into consecutive windows of equal length, or as a clip plan says: with ``plan=gestures``, each
named segment of the recording is one window, however long it is. Each window becomes one vector of

- ``invariants``: measures of surgical motion analysis that do not depend on position and orientation. For each
  trajectory: path length, speed, jerk, smoothness, idle share, spectral spread, working volume, turning and use of the
  gripper; then the coordination of two arms, and the duration;
- ``movements``: these, and for each trajectory the number of movements and turns and the rate of movements, and the
  distance between two arms;
- ``statistics``: mean and spread of each column and the mean absolute value of its first three differences;
- ``exercise``: for tables of angles and distances, mean, quantiles, range and speed of each column, and the duration.

Lengths, speeds, jerks and times are given as square roots. This shortens the long tails, is defined for no motion, and
keeps a change of units a change of scale, which standardisation removes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.motion import angular_speed_of, is_idle, peaks, ratio, smoothness, spectral_spread, speed_of
from aqakit.backbones.parts.named import Measure
from aqakit.backbones.parts.tables import described, exercise, statistics
from aqakit.errors import DataError, OptionError
from aqakit.recordings import clips as plans
from aqakit.recordings import signals
from aqakit.recordings.clips import ClipPlan, Uniform

PAPER = (
    "Fard et al., Automated robot-assisted surgical skill evaluation: Predictive analytics approach, IJMRCAS 2018. "
    "https://doi.org/10.1002/rcs.1850; smoothness: Balasubramanian et al., On the analysis of movement smoothness, "
    "JNER 2015. https://doi.org/10.1186/s12984-015-0090-9; number of movements: Datta et al., The use of "
    "electromagnetic motion tracking analysis to objectively measure open surgical skill in the laboratory-based "
    "model, JACS 2001. https://doi.org/10.1016/S1072-7515(01)01041-9"
)

Layout = Literal["auto", "jigsaws", "channels"]
Group = Literal["invariants", "movements", "statistics", "both", "exercise"]
Array = NDArray[np.float64]

_SHORTEST = 4
"""Rows of the shortest window; the third difference needs four."""


@dataclass(frozen=True)
class Trajectory:
    """Columns of one moving object; rotation is a 3×3 matrix in nine columns, row by row."""

    name: str
    position: slice
    rotation: slice | None = None
    gripper: int | None = None


JIGSAWS_COLUMNS = 76
JIGSAWS = (
    Trajectory("left", slice(38, 41), slice(41, 50), 56),
    Trajectory("right", slice(57, 60), slice(60, 69), 75),
)
"""The two tools ("slaves"). Columns 0–37, the surgeon's hands, are left out: they move like the tools at another scale
(speeds correlate above 0.99 in every trial), so their invariants would be redundant."""


class Kinematics(Backbone):
    """Windows of a signal → vectors of D ``measures``, each with name, unit and group; ``names`` are their names."""

    reads = "signal"
    standardise = True

    def __init__(
        self,
        *,
        windows: int,
        plan: ClipPlan | None = None,
        whole: bool,
        features: Group,
        layout: Literal["jigsaws", "channels"],
        channels: int,
        rate: float,
    ) -> None:
        super().__init__()
        self.windows, self.plan, self.whole, self.features, self.layout = windows, plan, whole, features, layout
        self.channels, self.rate = channels, rate
        names = tuple(self._measure(np.zeros((1, _SHORTEST, channels))))
        self.names = names + tuple(f"whole {name}" for name in names if whole)
        self.measures = tuple(map(described, self.names))
        self.shape = (len(self.names),)

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[NDArray[np.float32]]:
        """Yield one (D,) vector per window of the recording.

        Raises:
            DataError: the recording cannot be read, is shorter than four rows or has another number of columns.
        """
        signal = self._rows(path)
        inside = signals.cut(signal, window, path)
        if len(inside) < _SHORTEST:
            raise DataError(f"{path}: {len(inside)} rows are too few to measure motion; at least {_SHORTEST}")
        found = self._windows(inside) if self.plan is None else self._planned(signal, window, self.plan)
        if self.whole:
            found = np.hstack([found, self._vectors(inside[None]).repeat(len(found), axis=0)])
        yield from found

    def forward(self, clips: Tensor) -> Tensor:
        """Return the vectors (n, D) unchanged: there is nothing to learn."""
        return clips.float()

    def fingerprint(self) -> dict[str, Any]:
        """Return windows or plan, groups, layout and rate; ``whole`` only if set, so that older caches stay valid."""
        keys = ["features", "layout", "channels", "rate"] + ["whole"] * self.whole
        clips = {"windows": self.windows} if self.plan is None else {"plan": self.plan.fingerprint()}
        return {"version": 1} | clips | {key: getattr(self, key) for key in keys}

    def second(self, path: Path, measure: Measure, window: tuple[int, int] | None = None) -> float | None:
        """Return None: no measure is of one moment."""
        return None

    def sides(self, path: Path, window: tuple[int, int] | None = None) -> dict[str, str]:
        """Return nothing: sides are left and right."""
        return {}

    def _windows(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, C) → (N, D), of windows of equal length."""
        return self._vectors(
            signal[Uniform(self.windows, max(len(signal) // self.windows, _SHORTEST)).clips(len(signal))]
        )

    def _planned(
        self, signal: NDArray[np.float32], window: tuple[int, int] | None, plan: ClipPlan
    ) -> NDArray[np.float32]:
        """(T, C) → (N, D), of all rows from the first to the last of each clip, and at least four."""
        spans = plan.spans(window or (0, len(signal) - 1), len(signal))
        first = np.minimum(spans[:, 0], max(len(signal) - _SHORTEST, 0))
        last = np.maximum(spans[:, 1], first + _SHORTEST - 1)
        return np.concatenate([self._vectors(signal[None, a : b + 1]) for a, b in zip(first, last, strict=True)])

    def _vectors(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, L, C) windows → (N, D)."""
        return np.stack(list(self._measure(x.astype(np.float64)).values()), axis=1).astype(np.float32)

    def _rows(self, path: Path) -> NDArray[np.float32]:
        signal = signals.kinematics(path)  # (T, C)
        if signal.shape[1] != self.channels:
            raise DataError(
                f"{path} has {signal.shape[1]} columns, but the backbone kinematics expects {self.channels}; "
                f"give it channels={signal.shape[1]}"
            )
        return signal

    def _measure(self, x: Array) -> dict[str, Array]:
        """(N, L, C) windows → named (N,) measures."""
        found: dict[str, Array] = {}
        trajectories = _trajectories(self.layout, self.channels)
        if self.features == "exercise":
            return exercise(x, self.rate)
        if self.features != "statistics":
            found |= invariants(x, trajectories, self.rate)
        if self.features == "movements":
            found |= movements(x, trajectories, self.rate)
        if self.features in ("statistics", "both"):
            found |= statistics(x)
        return found


def invariants(x: Array, trajectories: tuple[Trajectory, ...], rate: float) -> dict[str, Array]:
    """Compute named measures of motion, (N,) each, of windows x (N, L, C) sampled at ``rate`` Hz."""
    found: dict[str, Array] = {}
    for one in trajectories:
        for name, value in _trajectory(x, one, rate).items():
            found[f"{one.name}.{name}"] = value
    if len(trajectories) == 2:
        found |= _together(*(speed_of(x[..., one.position], rate) for one in trajectories))
    return found | {"duration": np.full(len(x), np.sqrt(x.shape[1] / rate))}


def movements(x: Array, trajectories: tuple[Trajectory, ...], rate: float) -> dict[str, Array]:
    """Compute named measures (N,) of the movements in windows x (N, L, C) sampled at ``rate`` Hz.

    Counts and distances are given as square roots, the rate of movements in Hz.
    """
    found: dict[str, Array] = {}
    for one in trajectories:
        count = peaks(speed_of(x[..., one.position], rate), rate)
        found[f"{one.name}.movements"] = np.sqrt(count)
        found[f"{one.name}.movement rate"] = count * rate / x.shape[1]
        if one.rotation is not None:
            found[f"{one.name}.turns"] = np.sqrt(peaks(angular_speed_of(x[..., one.rotation], rate), rate))
    if len(trajectories) == 2:
        left, right = (x[..., one.position] for one in trajectories)
        apart = np.linalg.norm(left - right, axis=-1)  # (N, L)
        found |= {"apart": np.sqrt(apart.mean(1)), "apart spread": np.sqrt(apart.std(1))}
    return found


def _trajectory(x: Array, one: Trajectory, rate: float) -> dict[str, Array]:
    position = x[..., one.position]  # (N, L, k)
    speed = speed_of(position, rate)
    slow, fast = np.quantile(speed, [0.25, 0.95], axis=1)
    jerk = np.linalg.norm(np.diff(position, n=3, axis=1), axis=-1).mean(1) * rate**3
    found = {
        "path": np.sqrt(speed.sum(1) / rate),
        "slow": np.sqrt(slow),
        "fast": np.sqrt(fast),
        "unevenness": ratio(speed.std(1), speed.mean(1)),
        "jerk": np.sqrt(jerk),
        "smoothness": smoothness(speed, rate),
        "idle": is_idle(speed).mean(1),
        "spectral spread": spectral_spread(speed, rate),
        "volume": np.sqrt(np.sqrt(position.var(1).sum(-1))),
    }
    if one.rotation is not None:
        found["turning"] = np.sqrt(angular_speed_of(x[..., one.rotation], rate).mean(1))
    if one.gripper is not None:
        grip = np.abs(np.diff(x[..., one.gripper], axis=1))
        found |= {"gripping": np.sqrt(grip.sum(1)), "gripper idle": is_idle(grip).mean(1)}
    return found


def _together(left: Array, right: Array) -> Mapping[str, Array]:
    a, b = (v - v.mean(1, keepdims=True) for v in (left, right))
    return {
        "correlation": ratio((a * b).sum(1), np.sqrt(np.square(a).sum(1) * np.square(b).sum(1))),
        "balance": ratio(left.mean(1) - right.mean(1), left.mean(1) + right.mean(1)),
        "both moving": (~is_idle(left) & ~is_idle(right)).mean(1),
    }


def _trajectories(layout: str, channels: int) -> tuple[Trajectory, ...]:
    if layout == "jigsaws":
        return JIGSAWS
    return tuple(Trajectory(f"channel {c}", slice(c, c + 1)) for c in range(channels))


def build(
    *,
    windows: Annotated[
        int | None, Field(gt=0, description="number of equal windows; 1 for the whole recording (5)")
    ] = None,
    plan: Annotated[
        str | None,
        Field(description="clip plan instead of equal windows: gestures, or such as sliding/frames=60/step=30"),
    ] = None,
    whole: Annotated[
        bool, Field(description="append the measures of the whole recording to those of each window")
    ] = False,
    features: Annotated[
        Group, Field(description="which measures; both: invariants and statistics; exercise: for tables of angles")
    ] = "invariants",
    layout: Annotated[
        Layout,
        Field(description="columns; channels: each is one trajectory; auto: jigsaws if there are 76"),
    ] = "auto",
    channels: Annotated[int, Field(gt=0, description="columns of the signal")] = JIGSAWS_COLUMNS,
    rate: Annotated[float, Field(gt=0, description="rows per second")] = 30.0,
) -> Kinematics:
    """Build the backbone.

    Raises:
        OptionError: the layout is jigsaws, and the number of columns is not 76; or there are both windows and a plan.
    """
    if plan is not None and windows is not None:
        raise OptionError(f"kinematics: plan={plan} divides the recording; leave out windows={windows}")
    if layout == "auto":
        layout = "jigsaws" if channels == JIGSAWS_COLUMNS else "channels"
    if layout == "jigsaws" and channels != JIGSAWS_COLUMNS:
        raise OptionError(f"kinematics: the jigsaws layout has {JIGSAWS_COLUMNS} columns, but channels is {channels}")
    return Kinematics(
        windows=windows or 5,
        plan=plans.parse(plan) if plan else None,
        whole=whole,
        features=features,
        layout=layout,
        channels=channels,
        rate=rate,
    )
