"""Measures of a motion over time: speeds, idleness, movements, smoothness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

Array = NDArray[np.float64]

_IDLE = 0.1
"""Idle means slower than this share of the window's 95 % quantile of speed."""

_TREMOR, _RISE = 0.2, 0.02
"""Smoothing of the speed in seconds, and the least prominence of a movement's peak as a share of the highest speed."""


def smoothness(speed: Array, rate: float) -> Array:
    """Log dimensionless jerk of speed profiles (N, L): −ln(1 + D³/v² ∫ v̈² dt), with duration D and peak v.

    The published measure does not add 1 and is infinite for perfectly even motion; this one is then 0.
    """
    duration = speed.shape[1] / rate
    jerk = np.square(np.diff(speed, n=2, axis=1)).sum(1) * rate**3
    return -np.log1p(ratio(duration**3 * jerk, speed.max(1) ** 2))


def spectral_spread(speed: Array, rate: float) -> Array:
    """Standard deviation, in Hz, of the power spectrum of speed profiles (N, L) without their means."""
    power = np.square(np.abs(np.fft.rfft(speed - speed.mean(1, keepdims=True))))  # (N, L // 2 + 1)
    frequency = np.fft.rfftfreq(speed.shape[1], 1 / rate)
    centre = ratio(power @ frequency, power.sum(1))
    return np.sqrt(ratio((power * np.square(frequency - centre[:, None])).sum(1), power.sum(1)))


def speed_of(position: Array, rate: float) -> Array:
    """Speeds (N, L − 1) of positions (N, L, k)."""
    found: Array = np.linalg.norm(np.diff(position, axis=1), axis=-1) * rate
    return found


def is_idle(speed: Array) -> NDArray[np.bool_]:
    """Whether the motion is slow, in each row (N, L)."""
    return speed <= _IDLE * np.quantile(speed, 0.95, axis=1, keepdims=True)


def angular_speed_of(rotation: Array, rate: float) -> Array:
    """(N, L, 9) rotation matrices → (N, L − 1) rad/s: the trace of RᵢᵀRᵢ₊₁ is 1 + 2 cos of the angle."""
    trace = (rotation[:, :-1] * rotation[:, 1:]).sum(-1)
    found: Array = np.arccos(np.clip((trace - 1) / 2, -1, 1)) * rate
    return found


def peaks(speed: Array, rate: float) -> Array:
    """Count movements, (N, L) → (N,), after smoothing away tremor and noise with a Gaussian kernel."""
    smooth = gaussian_filter1d(speed, _TREMOR * rate, axis=1)
    counts = [len(find_peaks(row, prominence=_RISE * row.max())[0]) for row in smooth]
    return np.array(counts, dtype=np.float64)


def ratio(above: Array, below: Array) -> Array:
    """Divide; the result is 0 where the divisor is not positive, which means no motion."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
