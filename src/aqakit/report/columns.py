"""Columns of result tables: their titles in print, which ends of intervals belong to which, and what matters most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TITLES: dict[str, str] = {
    "spearman": "Spearman ρ",
    "kendall": "Kendall τ",
    "pearson": "Pearson r",
    "mae": "MAE",
    "rmse": "RMSE",
    "relative_l2": "R-ℓ2×100",
    "relative_l2_papers": "R-ℓ2×100 (papers)",
    "accuracy": "accuracy",
    "auc": "AUC",
    "in_order": "pairs in order",
    "crps": "CRPS",
    "nll": "NLL",
    "coverage_90": "90 % coverage",
    "width_90": "90 % width",
    "ece": "ECE",
    "error_spread": "error–spread ρ",
}
"""In print; every other column has its name."""

ENDS: Mapping[str, tuple[str, str]] = {
    "spearman": ("low", "high"),
    "ours": ("low", "high"),
    "in_order": ("in_order_low", "in_order_high"),
    "score": ("low_90", "high_90"),
    "difference": ("from", "to"),
}
"""Ends of the interval of a column, which are printed in brackets behind it."""

SETTINGS = ("protocol", "rule", "seeds", "members")
"""How the numbers were made: what is the same for all methods is said in the caption."""

ORDER: Sequence[Sequence[str]] = (
    ("spearman",), ("ours",), ("score",), ("in_order",), ("published",), ("difference",), ("mean",), ("largest",),
    ("task",), ("rule",), ("split",), ("intervals",), ("module",), ("labels",), ("low", "high"), ("low_90", "high_90"),
    ("in_order_low", "in_order_high"), ("from", "to"), ("std",), ("group",), ("mae",), ("relative_l2",), ("crps",),
    ("coverage_90", "width_90"), ("accuracy", "auc"), ("kendall",), ("seeds",), ("samples",), ("nll",), ("ece",),
    ("unit",),
)  # fmt: skip
"""The columns that stay longest in a narrow terminal, after the first one of a table; others go first, from the right.

Columns of one entry go together."""
