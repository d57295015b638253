"""What a run measures of itself on samples that it was not trained on: recalibration and trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from aqakit.scores import recalibration
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training import trust
from aqakit.training.batches import BatchSource, has_score, scores_of
from aqakit.training.data import PreparedData
from aqakit.training.folds import RunSplit
from aqakit.training.recipe import Recipe


def recalibrated(
    recipe: Recipe, kept: Mapping[str, ScoreDistribution], watched: Mapping[str, BatchSource], split: RunSplit
) -> recalibration.Recalibration | CrossConformal | None:
    """What is fitted on the samples that were not trained on; None if there are none."""
    name = "held-out" if split.parts else "validation"
    if name not in watched:
        return None
    true = scores_of([watched[name]])
    if not split.parts:
        return recalibration.KINDS[recipe.recalibrate].fit(kept[name], true)
    groups = groups_of(split, watched[name])
    return CrossConformal.fit(
        kept[name], true, _member_of(split), recipe.recalibrate, len(set(groups)) if groups else None
    )


def _member_of(split: RunSplit) -> list[int]:
    """The member that did not see each held-out sample, in the order of the parts."""
    return [k for k, part in enumerate(split.parts) for _ in part]


def groups_of(split: RunSplit, source: BatchSource) -> list[str] | None:
    """The group of each held-out sample, in the order of the parts; None unless whole groups were held out."""
    names = {s.id: s.group for s in source.samples}
    parts = [{names[i] for i in part} for part in split.parts]
    if not parts or None in set.union(*parts) or sum(map(len, parts)) != len(set.union(*parts)):
        return None
    return [str(names[i]) for part in split.parts for i in part]


def measure(
    prepared: PreparedData,
    split: RunSplit,
    kept: Mapping[str, ScoreDistribution],
    watched: Mapping[str, BatchSource],
    fitted: recalibration.Recalibration | CrossConformal | None,
) -> trust.Trust | None:
    """How far the scores of a run can be trusted; None if nothing was held out from training."""
    name = next((n for n in ("held-out", "validation", "test") if n in watched), None)
    if name is None or (name == "test" and split.rated):  # scores of test samples are of another scale
        return None
    known = has_score(watched[name])
    samples = [s for s in watched[name].samples if s.score is not None]
    if len(samples) < 2:
        return None
    score = {s.id: s.score for s in prepared.source.samples if s.score is not None}
    labelled = [i for i in split.labelled if i in score]
    parts = [(set(part), part) for part in split.parts]
    seen = [([i for i in labelled if i not in own], part) for own, part in parts]
    lengths = {s.id: n for s, n in zip(prepared.source.samples, prepared.lengths, strict=True)}
    floors = trust.Floors.of(seen or [(labelled, [s.id for s in samples])], score, lengths)
    answer, true = kept[name].select(known), torch.tensor([score[s.id] for s in samples])
    whole = groups_of(split, watched[name])
    held = trust.held_by(fitted, answer, true, whole)
    groups = [s.group for s in samples]
    found = trust.measure(name, answer, true.double().numpy(), held.numpy(), floors, groups)
    failed = trust.failed(true.numpy(), answer.mean.numpy(), _member_of(split), whole)
    return replace(found, members=len(split.parts), failed=None if failed is None else len(failed))
