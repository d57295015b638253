"""Prepare the data of a run: features of every sample, and the training, validation and test samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import torch

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.building import build_backbones
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.datasets.parts import pairs as pairs_of
from aqakit.datasets.parts.loading import Dataset
from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.datasets.parts.pairs import among
from aqakit.datasets.parts.partial_labels import choose_labelled, without_column, without_labels
from aqakit.datasets.parts.splits import train_validation_split
from aqakit.errors import DataError, OptionError
from aqakit.features import extract, keys, packed
from aqakit.features.engines import Engine
from aqakit.features.extract import Extraction
from aqakit.system.files import default_cache, user_path
from aqakit.system.wording import option
from aqakit.training import batches, comparisons, live_pixels
from aqakit.training.batches import BatchSource, CachedFeatures, PartlyLabelled, rescored
from aqakit.training.collating import collate
from aqakit.training.folds import RunSplit, choose_fold
from aqakit.training.members import held_out_parts, members_for, straddles
from aqakit.training.recipe import Recipe, assemble_run, make_engine
from aqakit.types import LabelSpec, Sample, Split


@dataclass(frozen=True)
class PreparedData:
    """Data shared by all runs on the same data set and backbones, so that nothing is read twice.

    Attributes:
        dataset: the data set, of one task. Its ``labels`` describe all samples until :meth:`with_labels` replaces them.
        source: every sample that could be read.
        lengths: number of frames of each sample's recording, in the order of ``source``; NaN if unknown.
        failures: id → error message, for samples that could not be read.
        fingerprint: hash of the labels and of everything that determines the features.
        doubts: id → what must be said of samples that could be read only in part.
        names: id → names of the clips of each stream whose clips have names.
    """

    dataset: Dataset
    source: BatchSource
    lengths: Sequence[float]
    failures: Mapping[str, str]
    fingerprint: str
    doubts: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def subset(self, ids: Sequence[str]) -> BatchSource:
        """Return the readable samples among ``ids``, in that order."""
        where = {s.id: i for i, s in enumerate(self.source.samples)}
        return self.source.subset(torch.tensor([where[i] for i in ids if i in where], dtype=torch.int64))

    def summarised(self, windows: int) -> PreparedData:
        """Return the same data with every video summarised in that many windows; cached features only."""
        return replace(self, source=cast(CachedFeatures, self.source).summarised(windows), names={})

    def labels_of(self, recipe: Recipe, split: RunSplit) -> LabelSpec:
        """Return the label description of a run: what the labels that it is trained with say, and nothing else."""
        labelled = set(split.labelled)
        found = _labels_of(self.dataset, recipe, [s for s in self.source.samples if s.id in labelled])
        return comparisons.rated_labels(found) if split.rated else found

    def with_labels(self, labels: LabelSpec) -> PreparedData:
        """Return the same data, described by other labels, such as those of :meth:`labels_of`."""
        return replace(self, dataset=replace(self.dataset, labels=labels), source=self.source.with_labels(labels))

    def rated(self, split: RunSplit) -> PreparedData:
        """Return the same data; if no training sample has a score, those that were compared have one from the pairs.

        Held-out answers are judged by these scores, since they come from all pairs of the fold.
        """
        if not split.rated:
            return self
        pairs = among(self.dataset.pairs, [*split.labelled, *split.validation])
        return replace(self, source=self.source.with_scores(comparisons.ratings(pairs)))

    def training_set(self, split: RunSplit) -> BatchSource:
        """Return the training samples; only the labelled ones keep their labels."""
        source, labelled = self.subset(split.train), set(split.labelled)
        if split.rated:
            source = source.with_scores(comparisons.ratings(split.pairs))
        kept = [s.id in labelled for s in source.samples]
        if any(s.score is not None and not k for s, k in zip(source.samples, kept, strict=True)):
            return PartlyLabelled(source, torch.tensor(kept))
        return source

    def split(self, recipe: Recipe) -> RunSplit:
        """Split the samples of a run; validation samples are those of the fold, or taken from the labelled ones.

        Raises:
            OptionError: the fold does not exist or has validation samples that the options do not fit, too many labels
                are requested, or none is left to train on.
            DataError: no training sample can be read that has a score or was compared with another.
        """
        fold = choose_fold(self.dataset, recipe)
        own = {s.id: s for s in self.source.samples}
        learnt = [own[i] for i in (*fold.train, *fold.validation) if i in own]
        scores = comparisons.scores_of(learnt, self.dataset.pairs, recipe.labels)
        readable = own | {s.id: s for s in rescored(learnt, scores)}
        kept = [readable[i] for i in fold.train if i in readable]
        if not any(s.score is not None for s in kept):
            raise DataError(f"fold {fold.name}: no training sample has a score and can be read")
        labelled = set(_labelled(kept, recipe))
        shown = [s if s.id in labelled else without_labels(s) for s in kept]
        train, drawn = train_validation_split(shown, recipe.validation, recipe.settings.seed)
        pairs = among(self.dataset.pairs, train)
        if scores:  # a sample all of whose pairs are with validation samples has none
            known = comparisons.compared(pairs)
            train = [i for i in train if i not in scores or i in known]
        if not labelled & set(train):
            raise OptionError(f"validation {recipe.validation:g} leaves no scored sample to train on; hold out fewer")
        judged = comparisons.compared(among(self.dataset.pairs, fold.test))
        test = [i for i in fold.test if i in readable and (readable[i].score is not None or i in judged)]
        return RunSplit(
            fold=fold.name,
            train=[*train, *test] if recipe.transductive else train,
            labelled=[i for i in train if i in labelled],
            validation=[*drawn, *(i for i in fold.validation if i in readable and readable[i].score is not None)],
            test=test,
            parts=_parts(recipe, fold, [readable[i] for i in train if i in labelled], [readable[i] for i in test]),
            pairs=pairs,
            rated=bool(scores),
        )


def _parts(recipe: Recipe, fold: Split, labelled: Sequence[Sample], test: Sequence[Sample]) -> list[list[str]]:
    shared = recipe.parts == "sample" or (recipe.parts == "auto" and straddles(labelled, test))
    count = recipe.members or (1 if fold.validation else members_for(len(labelled)))
    return held_out_parts(labelled, count, recipe.settings.seed, whole_groups=not shared)


def _labels_of(dataset: Dataset, recipe: Recipe, samples: Sequence[Sample]) -> LabelSpec:
    return without_column(dataset.labels_of(samples), recipe.labels)


def prepare(
    recipe: Recipe, cache: Path | None = None, dataset: Dataset | None = None, others: Sequence[Recipe] = ()
) -> PreparedData:
    """Load the data set, and read or compute the features of all its samples once.

    Args:
        recipe: the recipe of the run.
        cache: folder of the feature cache.
        dataset: the data set, if it is already loaded.
        others: recipes that use the same data and differ from ``recipe`` only in the method.

    Raises:
        AqakitError: data set, backbone and options do not fit together, or no sample can be read.
    """
    cache = cache or default_cache()
    whole = dataset or load_dataset(recipe.data, recipe.root, **recipe.data_options)
    dataset = one_task(_with_pairs(whole, recipe), recipe.task)
    fold = choose_fold(dataset, recipe)  # what does not exist or fit is refused before hours of reading videos
    backbones = build_backbones(recipe.backbones, recipe.settings.seed)
    training = set(fold.train)
    labels = _labels_of(dataset, recipe, [s for s in dataset.samples if s.id in training])
    for one in (recipe, *others):
        assemble_run(one, labels, backbones)
    dataset = replace(dataset, labels=without_column(dataset.labels, recipe.labels))
    engine = make_engine(recipe)
    source, done = (_live if recipe.finetune else _cached)(recipe, dataset, backbones, cache, engine)
    made: dict[str, object] = {name: backbone.fingerprint() for name, backbone in backbones.items()}
    facts = [{**asdict(s), "sources": sorted(s.sources)} for s in done.samples]  # kinds of recordings, not their paths
    made |= {"engine": engine.fingerprint(), "features": keys.FEATURE_VERSION}
    fingerprint = keys.digest([facts, made, done.contents, *([list(map(asdict, dataset.pairs))] * bool(dataset.pairs))])
    names = {} if recipe.windows else {s.id: _clip_names(s, backbones) for s in done.samples}
    return PreparedData(dataset, source, done.lengths, done.failures, fingerprint, done.doubts, names)


def _clip_names(sample: Sample, backbones: Mapping[str, Backbone]) -> dict[str, Sequence[str]]:
    return {stream: names for stream, one in backbones.items() if (names := one.clip_names(sample))}


def _with_pairs(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The data set with the comparisons of a recipe, if it names any."""
    if recipe.pairs is not None:
        if dataset.pairs:
            raise OptionError(f"{dataset.name} has pairs of its own; leave out {option('pairs')}")
        ids = [s.id for s in dataset.samples]
        dataset = replace(dataset, pairs=tuple(pairs_of.read(user_path(recipe.pairs), ids=ids)))
    if dataset.pairs and recipe.target == "total":
        raise OptionError(
            f"pairs say which score is higher, and target total learns score ÷ difficulty; omit {option('target')}"
        )
    return dataset


def prepare_labels(dataset: Dataset) -> PreparedData:
    """Prepare labels only, without opening a recording; lengths are known for samples with windows."""
    windows = [sample.window for sample in dataset.samples]
    lengths = [last - first + 1 for first, last in (window or (0, math.nan) for window in windows)]
    everything = collate(dataset.samples, dataset.labels, {})
    return PreparedData(dataset, CachedFeatures(dataset.samples, everything), lengths, {}, "")


def _labelled(samples: Sequence[Sample], recipe: Recipe) -> list[str]:
    if recipe.labels is None:
        return [s.id for s in samples if s.score is not None]
    try:
        return choose_labelled(samples, recipe.labels, recipe.settings.seed)
    except ValueError as error:
        raise OptionError(str(error)) from None


def _cached(
    recipe: Recipe, dataset: Dataset, backbones: Mapping[str, Backbone], cache: Path, engine: Engine
) -> tuple[BatchSource, Extraction]:
    if recipe.windows and any(len(backbone.shape) != 1 for backbone in backbones.values()):
        raise OptionError(
            f"{option('summarise')} works on vectors, and a backbone outputs maps; omit {option('summarise')}"
        )
    if recipe.augmented:
        raise OptionError(f"shift, flip and jitter augment pixels; give {option('finetune', True)}, or omit them")
    if recipe.frame_storage != "raw":
        raise OptionError(f"{option('frame_storage')} is for pixels; give {option('finetune', True)}, or omit it")
    videos = packed.collected(backbones, cache, batches.summary(recipe.windows))
    done = extract.extract(
        dataset.samples, backbones, cache, engine, keep=lambda name, features: videos[name].append(features)
    )
    _check_any(dataset, done)
    return batches.cached_features(done.samples, dataset.labels, videos), done


def _live(
    recipe: Recipe, dataset: Dataset, backbones: Mapping[str, Backbone], cache: Path, engine: Engine
) -> tuple[BatchSource, Extraction]:
    if engine.name != "torch":
        raise OptionError(
            f"{recipe.engine} runs frozen backbones only; omit {option('engine')} or {option('finetune')}"
        )
    if recipe.summarise:
        raise OptionError(
            f"{option('summarise')} works on cached features; omit {option('summarise')} or {option('finetune')}"
        )
    videos = {name: _video_backbone(name, backbone) for name, backbone in backbones.items()}
    if not recipe.augmented and not any(True for backbone in videos.values() for _ in backbone.parameters()):
        raise OptionError(f"{' and '.join(videos)} without weights cannot be trained; omit {option('finetune')}")
    source, done = live_pixels.live_pixels(
        dataset.samples,
        dataset.labels,
        videos,
        cache,
        shift=recipe.shift,
        flip=recipe.flip,
        jitter=recipe.jitter,
        storage=recipe.frame_storage,
    )
    _check_any(dataset, done)
    return source, done


def _check_any(dataset: Dataset, done: Extraction) -> None:
    if not done.samples:
        first = next(iter(done.failures.values()), "it has no samples")
        raise DataError(f"{dataset.name}: nothing could be read; the first failure: {first}")


def one_task(dataset: Dataset, task: str | None) -> Dataset:
    """Restrict the data set to the task to learn.

    Raises:
        OptionError: there are several tasks and none was chosen.
    """
    if task is not None:
        return dataset.task(task)
    if len(dataset.tasks) > 1:
        raise OptionError(
            f"{dataset.name} has several tasks; choose one with {option('task')}: {', '.join(dataset.tasks)}"
        )
    return dataset


def _video_backbone(name: str, backbone: Backbone) -> VideoBackbone:
    if not isinstance(backbone, VideoBackbone):
        raise OptionError(f"backbone {name} has nothing to train from pixels; omit {option('finetune')}")
    return backbone
