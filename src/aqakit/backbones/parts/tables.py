"""Tables of angles and distances over time: how high, how far, how fast; and what the numbers of tables are called."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from aqakit.backbones.parts.named import Measure
from aqakit.types import Floats

_QUANTILES = (5, 25, 50, 75, 95)
_SMOOTH = 1 / 30
"""Standard deviation of the smoothing in time, in seconds."""

_UNITS = {
    **dict.fromkeys(("path", "volume", "apart", "apart spread", "gripping"), ("√units", "more")),
    **dict.fromkeys(("slow", "fast"), ("√(units/s)", "faster")),
    "jerk": ("√(units/s³)", "jerkier"),
    **dict.fromkeys(("mean", "low", "high", *(f"quantile {q} %" for q in _QUANTILES)), ("units", "higher")),
    **dict.fromkeys(("spread", "range", "whole range"), ("units", "wider")),
    **dict.fromkeys(("mean speed", "high speed"), ("units/s", "faster")),
    **dict.fromkeys(("velocity", "acceleration"), ("units per row", "faster")),
    "smoothness": ("", "smoother"),
    **dict.fromkeys(("unevenness", "correlation", "balance"), ("", "more")),
    **dict.fromkeys(("idle", "gripper idle", "both moving"), ("share of the time", "more of the time")),
    "spectral spread": ("Hz", "more high frequencies"),
    "turning": ("√(rad/s)", "more turning"),
    "duration": ("√s", "longer"),
    "movements": ("√count", "more movements"),
    "turns": ("√count", "more turns"),
    "movement rate": ("Hz", "more movements a second"),
}
"""Unit and what a larger number means; ``units`` are those of the recording."""


def exercise(x: Floats, rate: float) -> dict[str, Floats]:
    """Compute named measures (N,) of each column of windows x (N, L, C) of angles and distances at ``rate`` Hz."""
    x = gaussian_filter1d(x, _SMOOTH * rate, axis=1, mode="nearest")
    speed = np.abs(np.diff(x, axis=1)) * rate
    quantiles = np.quantile(x, [q / 100 for q in _QUANTILES], axis=1)
    mean = speed.mean(1)
    found = {
        "mean": x.mean(1),
        **{f"quantile {q} %": value for q, value in zip(_QUANTILES, quantiles, strict=True)},
        "spread": x.std(1),
        "range": quantiles[-1] - quantiles[0],
        "whole range": np.ptp(x, axis=1),
        "mean speed": mean,
        "high speed": np.quantile(speed, 0.95, axis=1),
        "unevenness": np.divide(speed.std(1), mean, out=np.zeros_like(mean), where=mean > 0),
    }
    table = {f"channel {c}.{name}": value[:, c] for c in range(x.shape[2]) for name, value in found.items()}
    return table | {"duration": np.full(len(x), np.sqrt(x.shape[1] / rate))}


def statistics(x: Floats) -> dict[str, Floats]:
    """Mean, spread and mean absolute first three differences of each column of windows x (N, L, C)."""
    found = {"mean": x.mean(1), "spread": x.std(1)}
    for order, name in enumerate(("velocity", "acceleration", "jerk"), start=1):
        found[name] = np.abs(np.diff(x, n=order, axis=1)).mean(1)
    return {f"{name}.{c}": table[:, c] for name, table in found.items() for c in range(x.shape[2])}


def described(name: str) -> Measure:
    """Return the measure of a name: ``left.path``, ``mean.3``, ``duration``, ``whole channel 2.range``."""
    whole = name.startswith("whole ") and not name.startswith("whole range")
    parts = name.removeprefix("whole ").split(".") if whole else name.split(".")
    statistic = next(part for part in reversed(parts) if part in _UNITS)
    owner = next((part for part in parts if part != statistic), "")
    channel = f"channel {owner}" if owner.isdecimal() else owner or None
    unit, more = _UNITS[statistic]
    smooth = statistic in ("smoothness", "jerk")
    return Measure(name, unit, "smoothness" if smooth else channel or "tempo", more, channel, statistic)
