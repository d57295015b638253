"""How smooth a movement is, from its speed over time.

Both measures are of one profile and do not depend on how fast or how large the movement is. Balasubramanian et al., On
the analysis of movement smoothness, JNER 2015, https://doi.org/10.1186/s12984-015-0090-9.
"""

from __future__ import annotations

import numpy as np

from aqakit.backbones.parts.movement.posture import Array

_PADDED = 16
"""The spectrum is computed at this many times the length, rounded up to a power of 2."""
_CUT_OFF, _FAINT = 10.0, 0.05
"""Highest frequency in Hz, and the share of the largest magnitude below which a spectrum has ended: as published."""


def spectral_arc_length(speed: Array, rate: float) -> Array:
    """SPARC of speed profiles (T, C) → (C,): minus the length of the curve of the normalised magnitude spectrum.

    The magnitude is divided by that at 0 Hz, the frequency by the highest one that counts: up to 10 Hz and up to the
    last magnitude of at least 5 %. Smoother is nearer to 0; no movement at all is 0.
    """
    length = 2 ** int(np.ceil(np.log2(len(speed) * _PADDED)))
    magnitude = np.abs(np.fft.rfft(speed, length, axis=0))  # (F, C)
    frequency = np.fft.rfftfreq(length, 1 / rate)
    inside = frequency <= _CUT_OFF
    magnitude, frequency = magnitude[inside], frequency[inside]
    peak = magnitude[0]
    magnitude = np.divide(magnitude, peak, out=np.zeros_like(magnitude), where=peak > 0)
    last = len(magnitude) - 1 - np.argmax(magnitude[::-1] >= _FAINT, axis=0)  # (C,)
    kept = np.arange(1, len(magnitude))[:, None] <= last
    step = np.divide(frequency[1], frequency[last], out=np.zeros_like(peak), where=last > 0)
    pieces = np.hypot(step, np.diff(magnitude, axis=0))
    return np.asarray(-np.where(kept & (peak > 0), pieces, 0).sum(0))


def log_dimensionless_jerk(speed: Array, rate: float) -> Array:
    """LDLJ of speed profiles (T, C) → (C,): −ln(1 + D³ / v² ∫ v̈² dt), with duration D and highest speed v.

    The published measure has no 1, and is infinite for a perfectly even motion; this one is 0. Smoother is nearer to 0.
    """
    duration = (len(speed) - 1) / rate
    jerk = np.square(np.diff(speed, n=2, axis=0)).sum(0) * rate**3
    peak = np.square(speed).max(0)
    return -np.log1p(np.divide(duration**3 * jerk, peak, out=np.zeros_like(peak), where=peak > 0))
