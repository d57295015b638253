"""What a check of a data set finds: kinds of problems, each with the samples or files that have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

_SHOWN = 4


@dataclass(frozen=True)
class Finding:
    """One kind of problem.

    Attributes:
        severity: ``error``: results would be wrong or missing; ``warning``: look at it; ``note``: good to know.
        check: what was checked, in one or two words.
        sentence: what is wrong, and where.
        subjects: all affected sample ids or recording paths.
    """

    severity: Severity
    check: str
    sentence: str
    subjects: tuple[str, ...] = ()


def finding(
    severity: Severity, check: str, what: str, subjects: Iterable[str], shown: Iterable[str] | None = None
) -> Iterator[Finding]:
    """Yield one finding, or none if there are no subjects; ``shown`` describes the subjects in more detail."""
    subjects = sorted(subjects)
    shown = sorted(shown or subjects)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    if subjects:
        sentence = f"{what} ({len(subjects)}): {'; '.join(shown[:_SHOWN])}{more}"
        yield Finding(severity, check, sentence, tuple(subjects))
