"""Report sections that need the data set: floors, pictures, clip contributions, a map of the features, health."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from aqakit import discovery
from aqakit.datasets.parts import health
from aqakit.errors import AqakitError, RunError, VideoError
from aqakit.evaluation import floors
from aqakit.evaluation.results import FoldResult, MethodResult
from aqakit.explanation import measures
from aqakit.explanation.contributions import attribute, clip_frames, names_of, usual_clips
from aqakit.recordings import video
from aqakit.report.content import Case, Embedding, Part, TaskResult
from aqakit.scores.distributions import Point
from aqakit.training.batches import CachedFeatures
from aqakit.training.data import PreparedData, prepare
from aqakit.training.recipe import Recipe
from aqakit.training.run import Run
from aqakit.training.summary import TrainingSummary
from aqakit.types import Batch, Floats, Sample

_FRAMES, _HEIGHT = 5, 96  # number and height of the pictures of a case
_FEWEST = 5  # minimum number of samples for a map
_AT_ONCE = 4  # videos embedded together


def add_data_sections(result: TaskResult, groups: Mapping[str, Sequence[Run]]) -> TaskResult:
    """Add floors, pictures, maps and health; add a note instead if the data are not available.

    Args:
        result: the result of the runs alone.
        groups: the runs of each method.
    """
    all_prepared: dict[str, PreparedData] = {}
    try:
        for group in groups.values():
            for run in group:
                if _reads(run) not in all_prepared:
                    all_prepared[_reads(run)] = prepare(run.recipe)
    except (AqakitError, OSError) as error:
        why = f"The data could not be opened ({error}): no floors, pictures, map of features or health."
        return replace(result, notes=(*result.notes, why))
    first, *others = (group[0] for group in groups.values())
    prepared = all_prepared[_reads(first)]
    embeddings = {_seen(run): found for run in (first, *others) for found in _embedding(all_prepared[_reads(run)], run)}
    runs = {
        (n, str(r.recipe.fold), r.recipe.settings.seed): (r, all_prepared[_reads(r)])
        for n, rs in groups.items()
        for r in rs
    }
    samples = {s.id: s for s in prepared.dataset.samples}
    changed = list(_changed(result, {s.id: s for s in prepared.source.samples}))
    scores = [s.score for s in samples.values() if s.score is not None]
    return replace(
        result,
        protocol=first.recipe.protocol or next(iter(prepared.dataset.splits)),
        span=float(np.ptp(scores)) or result.span,
        methods=(*result.methods, *(() if changed else _floors(result, prepared))),
        cases=tuple(_shown(case, *runs[case.method, case.fold, case.seed]) for case in result.cases),
        embeddings=tuple(embeddings.values()),
        health=health.check(prepared.dataset),
        notes=(*result.notes, *changed),
    )


def _changed(result: TaskResult, samples: Mapping[str, Sample]) -> Iterator[str]:
    """Yield a note if the labels differ from those that the runs were evaluated on."""
    known = {i: t for m in result.methods for f in m.folds for i, t in zip(f.ids, f.true)}
    odd = [name for name, score in known.items() if name not in samples or samples[name].score != score]
    if odd:
        yield (
            f"The data have changed since the runs: {len(odd)} test samples are missing or have another score, "
            f"the first is {odd[0]}; so there are no floors."
        )


def _floors(result: TaskResult, prepared: PreparedData) -> Iterator[MethodResult]:
    """Yield the floors on the folds of the runs, fitted on the samples that the runs were trained on."""
    samples = list(prepared.source.samples)
    source = prepared.source
    features = source.all_rows if isinstance(source, CachedFeatures) and source.in_memory else None
    lengths = np.array(prepared.lengths, dtype=float)
    inputs = floors.Inputs.of(features, samples, lengths, prepared.dataset.labels.rule)
    judged = {(f.fold, f.seed if _differs(f) else 0): f for m in result.methods for f in m.folds}
    where = {s.id: i for i, s in enumerate(samples)}
    score = np.array([np.nan if s.score is None else s.score for s in samples])
    cells = []
    for (_, seed), fold in judged.items():
        learnt = prepared.split(Recipe.from_json(fold.facts["recipe"])).labelled
        train = [where[i] for i in learnt]
        cells.append((replace(fold, seed=seed), np.array(train), np.array([where[i] for i in fold.ids])))
    for label, answer in floors.applicable(inputs).items():
        folds = [
            FoldResult(f.fold, f.seed, f.ids, f.true, Point(torch.from_numpy(predicted)), groups=f.groups)
            for f, train, test in cells
            for predicted in (answer(inputs.rows(train), score[train], inputs.rows(test)),)
        ]
        yield MethodResult(label, tuple(folds), "–", floor=True)


def _differs(judged: FoldResult) -> bool:
    """Whether another seed is trained on other samples of the fold."""
    made = Recipe.from_json(judged.facts["recipe"])
    return bool(made.labels or made.validation)


def _seen(run: Run) -> str:
    """Describe the features in words."""
    name = " + ".join(discovery.format_spec(*backbone) for backbone in run.recipe.backbones)
    return f"{name}, as {run.recipe.method} trained it" if run.recipe.finetune else name


def _reads(run: Run) -> str:
    """What a run reads of the data, as text; runs that read the same share what was prepared."""
    read = ("backbones", "summarise", "engine", "precision", "calibration", "finetune", "frame_storage")
    augmented = ("shift", "flip", "jitter")
    return json.dumps([run.recipe.to_json()[name] for name in read + augmented])


def _shown(case: Case, run: Run, prepared: PreparedData) -> Case:
    """Add pictures, the contributions of the clips and similar training samples."""
    found = prepared.subset([case.id])
    if not len(found):
        return case
    (sample,) = found.samples
    case = replace(case, frames=_frames(sample), about=sample.caption or "")
    try:
        remembered = TrainingSummary.load(run.folder)
    except RunError:  # made before runs stored what an explanation needs
        return case
    with torch.inference_mode():
        clips = run.assessor.embed(found.batch(torch.tensor([0])))
        points = attribute(run.assessor.predict_embedded, clips, usual_clips(run, sample)).values
    spans = clip_frames(run, sample, len(points))
    names = names_of(run, sample, spans)
    parts = tuple(Part(a, b, float(one), name) for (a, b), one, name in zip(spans.tolist(), points, names))
    similar = tuple((e.id, e.score) for e in remembered.nearest(clips))
    doubts = tuple(run.provenance(sample, clips).sentences())
    said = measures.findings(run, sample, clips)
    words = tuple(said.sentences) if said else ()
    return replace(case, timeline=parts if len(parts) > 1 else (), similar=similar, doubts=doubts, words=words)


def _frames(sample: Sample) -> tuple[np.ndarray, ...]:
    """Return a few small frames from first to last; none without a readable video."""
    path = sample.sources.get("video")
    if path is None:
        return ()
    try:
        first, last = sample.window or (0, video.probe(path, sample.rate).frames - 1)
        numbers = np.linspace(first, last, _FRAMES).astype(int)
        return tuple(video.frames(path, numbers, size=_small, interpolation="area", rate=sample.rate))
    except VideoError:
        return ()


def _small(height: int, width: int) -> tuple[int, int]:
    return _HEIGHT, max(1, round(width * _HEIGHT / height))


def _embedding(prepared: PreparedData, run: Run) -> Iterator[Embedding]:
    """Map the scored samples: t-SNE of standardised mean features over clips. For live pixels, test samples only."""
    source = prepared.source if isinstance(prepared.source, CachedFeatures) else prepared.subset(run.ids("test"))
    scored = [i for i, s in enumerate(source.samples) if s.score is not None]
    if len(scored) < _FEWEST:
        return
    with torch.inference_mode():
        parts = [_vectors(run.assessor.embed(source.batch(index))) for index in torch.tensor(scored).split(_AT_ONCE)]
    score = np.array([source.samples[i].score for i in scored], dtype=float)
    yield Embedding(_seen(run), tsne(torch.cat(parts), init="random"), score)


def tsne(vectors: torch.Tensor, *, init: Literal["random", "pca"]) -> Floats:
    """Map vectors (n, D) to (n, 2) by t-SNE after standardisation; the axes have no meaning."""
    scaled = StandardScaler().fit_transform(vectors.double().numpy())
    plane = TSNE(perplexity=min(30.0, (len(scaled) - 1) / 3), init=init, random_state=0)
    return np.asarray(plane.fit_transform(scaled), dtype=float)


def _vectors(batch: Batch) -> torch.Tensor:
    """Means over clips of all streams, concatenated: (B, D)."""
    flat = [(s.features.flatten(2), s.clips[..., None]) for s in batch.streams.values()]
    return torch.cat([(f * c).sum(1) / c.sum(1) for f, c in flat], 1)
