"""Which of two values of a metric is the better one: the higher, the lower, or the one nearer to what was promised."""

from __future__ import annotations

import math
import re

HIGHER = ("spearman", "kendall", "pearson", "accuracy", "auc", "in_order", "error_spread")
LOWER = ("mae", "rmse", "relative_l2", "relative_l2_papers", "nll", "crps", "ece", "risk_area")

_COVERAGE = re.compile(r"coverage_(\d+)")


def arrow(metric: str) -> str:
    """Return ``↑`` or ``↓``, where the better values are; empty for what is no metric, or has a promised value.

    >>> arrow("spearman"), arrow("mae"), arrow("coverage_90"), arrow("width_90")
    ('↑', '↓', '', '')
    """
    return "↑" if metric in HIGHER else "↓" if metric in LOWER else ""


def badness(metric: str, value: object) -> float | None:
    """Return a number that is lowest for the best value of a metric.

    A coverage is best if it is the promised one. None for an unknown value, and for what is no metric of its own: a
    narrow interval is better only among those that hold as many scores.

    >>> badness("spearman", 0.8), badness("mae", 3.0), badness("coverage_90", 1.0), badness("width_90", 3.0)
    (-0.8, 3.0, 0.1, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if promised := _COVERAGE.fullmatch(metric):
        return round(abs(value - float(promised[1]) / 100), 12)
    return -float(value) if metric in HIGHER else float(value) if metric in LOWER else None
