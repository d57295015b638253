"""The fold of a run: which samples and pairs it is trained on, which it holds out, and which it is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aqakit import discovery
from aqakit.datasets.parts.loading import Dataset
from aqakit.datasets.parts.pairs import Pair, among
from aqakit.errors import OptionError
from aqakit.system.wording import option
from aqakit.training import comparisons
from aqakit.training.recipe import Recipe
from aqakit.types import Split


@dataclass(frozen=True)
class RunSplit:
    """Ids of the training, validation and test samples of one run.

    Attributes:
        fold: name of the fold.
        train: training samples, labelled or not.
        labelled: the training samples that keep their labels.
        validation: samples held out from training, all of them with a score.
        test: samples on which the run is evaluated.
        parts: labelled samples that each member does not see; empty for a single member.
        pairs: those of two training samples, neither of which is a test sample.
        rated: whether the scores of training and validation samples come from pairs, since they have no others.
    """

    fold: str
    train: Sequence[str]
    labelled: Sequence[str]
    validation: Sequence[str]
    test: Sequence[str]
    parts: Sequence[Sequence[str]] = ()
    pairs: Sequence[Pair] = ()
    rated: bool = False

    def without(self, part: Sequence[str]) -> RunSplit:
        """The split of the member that does not see a part, nor any pair with one of its samples.

        Raises:
            OptionError: no pair is left.
        """
        out = set(part)
        pairs = among(self.pairs, [i for i in self.train if i not in out])
        if self.pairs and not pairs:
            raise OptionError(f"{len(self.pairs)} pairs are too few for these members; give {option('members', 1)}")
        if self.rated:  # a sample all of whose pairs are held out has no score
            out |= set(self.labelled) - comparisons.compared(pairs)
        train, labelled = ([i for i in ids if i not in out] for ids in (self.train, self.labelled))
        return replace(self, train=train, labelled=labelled, parts=(), pairs=pairs)


def choose_fold(dataset: Dataset, recipe: Recipe) -> Split:
    """Return the fold of a run; protocol ``all`` has one, with every sample to train on.

    Raises:
        OptionError: protocol or fold do not exist, or the fold has validation samples that the options do not fit.
    """
    if recipe.protocol == "all":
        return Split("all", tuple(s.id for s in dataset.samples), ())
    folds = {f.name: f for f in dataset.folds(recipe.protocol)}
    name = recipe.fold or next(iter(folds))
    if name not in folds:
        raise OptionError(f"no fold {name!r}{discovery.nearest(name, folds)}")
    if folds[name].validation and recipe.validation > 0:
        raise OptionError(f"fold {name} has validation samples of its own; omit {option('validation')}")
    if folds[name].validation and recipe.members > 1:
        raise OptionError(
            f"fold {name} has validation samples of its own, for a single model; omit {option('members')}, or list "
            "these samples as train: several members hold out training samples themselves"
        )
    return folds[name]
