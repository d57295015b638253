"""What every data set must keep to, whoever wrote it."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqakit import datasets, discovery
from aqakit.datasets.parts.loading import Dataset
from aqakit.errors import DataError
from aqakit.scores.rules import RULES
from aqakit.system import configuration
from tests.releases import (
    write_aqa7,
    write_fine_diving,
    write_fis_v,
    write_jigsaws,
    write_kimore,
    write_logo,
    write_manifest,
    write_mtl_aqa,
    write_rhythmic_gymnastics,
    write_skill_pairs,
    write_ui_prmd,
    write_unlv_dive,
)

KINDS = {"video", "signal", "skeleton", "features"}
WRITERS: dict[str, Callable[[Path], Path]] = {
    "aqa7": write_aqa7,
    "fine_diving": write_fine_diving,
    "fis_v": write_fis_v,
    "jigsaws": write_jigsaws,
    "kimore": write_kimore,
    "logo": write_logo,
    "manifest": write_manifest,
    "mtl_aqa": lambda folder: write_mtl_aqa(folder, "dives"),
    "rhythmic_gymnastics": write_rhythmic_gymnastics,
    "skill_pairs": write_skill_pairs,
    "synthetic_dives": lambda folder: folder,
    "ui_prmd": write_ui_prmd,
    "unlv_dive": write_unlv_dive,
}
SMALL = {"synthetic_dives": {"count": 40, "size": 64}}


@pytest.fixture(scope="module", autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=discovery.names("datasets"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data set is: written here where it can be, else among the real data."""
    folder = tmp_path_factory.mktemp(name)
    if name in WRITERS:
        return WRITERS[name](folder)
    real: Path = request.getfixturevalue("shared_data") / name.replace("_", "-")
    return real


@pytest.fixture(scope="module")
def loaded(name: str, root: Path) -> Dataset:
    return datasets.load(name, root, **SMALL.get(name, {}))


def test_says_where_it_comes_from(name: str) -> None:
    module = discovery.find("datasets", name)
    assert len(discovery.summary(module)) > 20
    assert module.LICENCE.strip()
    assert module.CITATION.strip()
    assert hasattr(module, "SCALE")


def test_every_option_has_a_default_and_a_help(name: str) -> None:
    for option in configuration.options(discovery.find("datasets", name).samples):
        assert not option.required, option.name
        assert option.help, option.name


def test_samples_are_named_once_and_have_recordings(loaded: Dataset) -> None:
    assert loaded.samples
    assert len({s.id for s in loaded.samples}) == len(loaded.samples)
    for sample in loaded.samples:
        assert sample.sources, sample.id
        assert set(sample.sources) <= KINDS
        assert all(path.exists() for path in sample.sources.values()), sample.id


def test_loading_again_gives_the_same(loaded: Dataset) -> None:
    again = datasets.load(loaded.name, loaded.root, **loaded.options)
    assert again.samples == loaded.samples
    assert again.splits == loaded.splits
    assert again.labels == loaded.labels


def test_labels_are_what_they_are_said_to_be(loaded: Dataset) -> None:
    labels = loaded.labels
    assert loaded.pairs or any(s.score is not None for s in loaded.samples)
    for sample in loaded.samples:
        assert sample.score is None or labels.scale.low <= sample.score <= labels.scale.high, sample.id
        assert sample.judges is None or (len(sample.judges) == labels.judges and all(map(math.isfinite, sample.judges)))
        assert all(0 <= value < labels.attributes[key] for key, value in sample.attributes.items()), sample.id
        assert set((sample.caption or "").split()) <= set(labels.vocabulary)
        if sample.score is not None and sample.difficulty is not None and labels.total is not None:
            assert labels.total.low <= sample.score / sample.difficulty <= labels.total.high
    assert len(set(labels.vocabulary)) == len(labels.vocabulary)
    assert labels.rule is None or labels.judges in RULES[labels.rule].judges


def test_splits_never_test_on_what_was_trained_on(loaded: Dataset) -> None:
    known = {s.id: s for s in loaded.samples}
    compared = {name for pair in loaded.pairs for name in (pair.better, pair.worse)}
    assert compared <= set(known)
    assert loaded.splits
    for folds in loaded.splits.values():
        assert folds
        assert len({fold.name for fold in folds}) == len(folds)
        for fold in folds:
            assert fold.train
            assert fold.test
            assert not set(fold.train) & set(fold.test), fold.name
            assert {*fold.train, *fold.test} <= set(known)
            assert all(known[i].score is not None or i in compared for i in fold.test), fold.name


def test_a_task_holds_only_its_own(loaded: Dataset) -> None:
    for task in loaded.tasks:
        part = loaded.task(task)
        ids = {s.id for s in part.samples}
        assert {s.action for s in part.samples} == {task}
        assert all({*fold.train, *fold.test} <= ids for folds in part.splits.values() for fold in folds)
        assert part.folds()


def test_a_wrong_root_is_one_sentence(name: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "note.bin"
    in_the_way.write_bytes(b"\x00\xff not a data set")
    for wrong in (in_the_way, in_the_way / "below"):
        with pytest.raises(DataError) as caught:
            datasets.load(name, wrong, **SMALL.get(name, {}))
        assert str(tmp_path) in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
