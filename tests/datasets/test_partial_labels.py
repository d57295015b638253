"""Few labels: drawn evenly over the scores, the same for every method, and hidden ones are seen by nothing."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import aqakit
from aqakit.datasets.parts import partial_labels
from aqakit.errors import OptionError
from aqakit.evaluation.benchmark import benchmark
from aqakit.training.batches import PartlyLabelled
from aqakit.training.data import prepare
from aqakit.training.recipe import make_recipe
from aqakit.types import LabelSpec, Sample, ScoreScale
from tests.training.test_loop import source
from tests.training.test_run import BACKBONE, make_manifest


def scored(scores) -> list[Sample]:
    return [Sample(id=str(i), sources={}, score=float(s)) for i, s in enumerate(scores)]


@settings(deadline=None)
@given(st.permutations(range(64)), st.integers(1, 64), st.integers(0, 5))
def test_each_half_quarter_and_so_on_of_the_scores_has_its_part_of_a_share(scores, count, seed):
    kept = partial_labels.choose_labelled(scored(scores), f"{count}", seed)
    ranks = [scores[int(i)] for i in kept]
    assert len(set(kept)) == len(kept) == count
    for parts in (2, 4, 8, 16, 32, 64):
        found = np.bincount(np.array(ranks) * parts // 64, minlength=parts)
        assert set(found) <= {count // parts, -(-count // parts)}


@settings(deadline=None)
@given(st.integers(1, 90), st.integers(1, 100), st.integers(0, 5))
def test_a_share_of_any_number_is_spread_over_the_scores(total, percent, seed):
    """As evenly as a van der Corput sequence, whose discrepancy of c points is at most (1 + log2(c) / 3) / c."""
    kept = partial_labels.choose_labelled(scored(range(total)), f"{percent}%", seed)
    count = max(1, round(percent / 100 * total))
    below = np.searchsorted(np.sort([int(i) for i in kept]), np.arange(total + 1))
    assert len(set(kept)) == len(kept) == count
    assert abs(below - count * np.arange(total + 1) / total).max() <= 1.5 + math.log2(count) / 3


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(0, 5), st.sampled_from(["", "random:"]))
def test_a_smaller_share_is_part_of_every_larger_one(scores, seed, how):
    kept = [set(partial_labels.choose_labelled(scored(scores), f"{how}{p}%", seed)) for p in (5, 10, 20, 40, 80, 100)]
    assert all(smaller <= larger for smaller, larger in pairwise(kept))
    assert len(kept[-1]) == len(scores)


@pytest.mark.parametrize("how", ["", "random:"])
def test_every_sample_is_as_likely_to_keep_its_label(how):
    draws = [partial_labels.choose_labelled(scored(range(16)), f"{how}4", seed) for seed in range(1600)]
    counts = np.bincount([int(i) for kept in draws for i in kept])
    assert abs(counts - 400).max() < 4 * math.sqrt(1600 * 0.25 * 0.75)


def test_a_random_share_does_not_look_at_the_scores():
    ascending, shuffled = scored(range(50)), scored(np.random.default_rng(0).permutation(50))
    by_chance = [partial_labels.choose_labelled(s, "random:20%", 0) for s in (ascending, shuffled)]
    assert by_chance[0] == by_chance[1]
    assert len(by_chance[0]) == 10
    by_score = [partial_labels.choose_labelled(s, "20%", 0) for s in (ascending, shuffled)]
    assert by_score[0] != by_score[1]


def test_the_subset_depends_on_the_seed_and_on_nothing_else():
    samples = scored(range(100))
    assert partial_labels.choose_labelled(samples, "10%", 0) == partial_labels.choose_labelled(samples, "10", 0)
    assert partial_labels.choose_labelled(samples, "10%", 0) != partial_labels.choose_labelled(samples, "10%", 1)
    unlabelled = [Sample(id="new", sources={})]
    assert partial_labels.choose_labelled([*samples, *unlabelled], "10%", 0) == partial_labels.choose_labelled(
        samples, "10%", 0
    )


def test_a_column_says_who_is_labelled_and_is_no_attribute():
    samples = [Sample(id=str(i), sources={}, score=1.0, attributes={"jury": i % 2, "twists": 1}) for i in range(4)]
    assert partial_labels.choose_labelled(samples, "column:jury", 0) == ["1", "3"]
    labels = LabelSpec(ScoreScale(0, 1), attributes={"jury": 2, "twists": 3})
    assert partial_labels.without_column(labels, "column:jury").attributes == {"twists": 3}
    assert partial_labels.without_column(labels, "50%") == labels
    with pytest.raises(ValueError, match="no scored training sample has a column"):
        partial_labels.choose_labelled(samples, "column:judges", 0)


@pytest.mark.parametrize(
    "wrong", ["0%", "101%", "0", "-3", "some", "column:", "10 %", "", "random:", "random:0%", "random:column:a"]
)
def test_a_share_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="should be"):
        partial_labels.check_share(wrong)


def test_hidden_rows_have_no_label_of_any_kind():
    whole = source(0)
    known = torch.arange(24) % 3 == 0
    partly = PartlyLabelled(whole, known)
    batch = partly.batch(torch.arange(24))
    assert torch.equal(batch.labelled, known)
    assert batch.judges[~known].isnan().all()
    assert (batch.caption[~known] == -1).all()
    assert all((value[~known] == -1).all() for value in batch.attributes.values())
    assert torch.equal(batch.judges[known], whole.batch(torch.arange(24)).judges[known])
    assert [s.score is None for s in partly.samples] == (~known).tolist()
    assert torch.equal(partly.subset(torch.tensor([3, 4])).batch(torch.arange(2)).labelled, torch.tensor([True, False]))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_manifest(tmp_path_factory.mktemp("labels"))


def split_of(manifest, **options):
    recipe = make_recipe("regression", data="manifest", backbone=BACKBONE, root=manifest, **options)
    prepared = prepare(recipe, manifest.parent / "cache")
    return prepared, prepared.split(recipe)


def test_a_run_learns_from_few_labels_and_the_other_videos(manifest):
    prepared, whole = split_of(manifest)
    _, few = split_of(manifest, labels="50%")
    assert few.train == whole.train
    assert few.test == whole.test
    assert len(few.labelled) == round(len(whole.labelled) / 2)
    train = prepared.training_set(few)
    assert {s.id for s in train.samples if s.score is not None} == set(few.labelled)
    assert not set(few.train) & set(few.test)
    assert not isinstance(prepared.training_set(whole), PartlyLabelled)


def test_validation_is_carved_from_the_labelled(manifest):
    _, split = split_of(manifest, labels="50%", validation=0.3)
    _, without = split_of(manifest, labels="50%")
    assert set(split.validation) | set(split.labelled) == set(without.labelled)
    assert split.validation
    assert not set(split.validation) & set(split.train)


def test_the_test_samples_are_learnt_from_only_on_demand_and_without_labels(manifest):
    prepared, split = split_of(manifest, transductive=True)
    assert set(split.test) < set(split.train)
    assert all(s.score is None for s in prepared.training_set(split).samples if s.id in split.test)


def test_more_labels_than_there_are_is_a_sentence(manifest):
    with pytest.raises(OptionError, match="only"):
        split_of(manifest, labels="1000")
    with pytest.raises(OptionError, match="labels random:1000: there are only"):
        split_of(manifest, labels="random:1000")
    with pytest.raises(OptionError, match="should be a percentage"):
        split_of(manifest, labels="many")


def test_the_subset_is_part_of_the_fingerprint_and_the_table_names_what_was_seen(manifest, tmp_path):
    more = {"data": "manifest", "root": manifest, "backbone": BACKBONE, "cache": manifest.parent / "cache", "epochs": 1}
    found = set()
    for labels in (None, "50%", "60%"):
        run = aqakit.train("regression", out=tmp_path / str(labels), labels=labels, **more)
        found.add(json.loads((run.folder / "run.json").read_text())["fingerprint"])
    assert len(found) == 3
    options = {"root": manifest, "backbones": [BACKBONE], "cache": more["cache"], "epochs": 1}
    table = benchmark("manifest", methods=["regression"], labels="50%", transductive=True, **options)
    assert table.rows[0]["method"] == "regression (transductive)"
    assert "50%" in table.notes[0]
    assert "transductive" in table.notes[1]


@pytest.mark.slow
def test_floors_see_the_same_labels(manifest):
    options = {"root": manifest, "backbones": [BACKBONE], "cache": manifest.parent / "cache", "epochs": 1}
    few, all_of_them = (
        benchmark("manifest", methods=["regression"], labels=labels, seeds=2, **options).rows
        for labels in ("40%", None)
    )
    floor = {row["method"]: row for row in few}["floor: SVR on mean features"]
    assert len(floor["spearman_by_fold_and_seed"]) == 2
    whole = {row["method"]: row for row in all_of_them}["floor: SVR on mean features"]
    assert math.isfinite(floor["spearman"])
    assert floor["spearman"] != whole["spearman"]
