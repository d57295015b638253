"""FineDiving: counts of the release, and what is read of a small one made here."""

import pickle

import numpy as np
import pytest

from aqakit import datasets, evaluation
from aqakit.datasets import fine_diving
from aqakit.errors import DataError
from tests.releases import write_fine_diving


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_fine_diving(tmp_path_factory.mktemp("fine_diving"))


@pytest.fixture
def real(shared_data):
    return shared_data / "finediving"


def test_a_dive_is_read_whole(root):
    first = datasets.load("fine_diving", root).samples[9]
    assert (first.id, first.group, first.kind) == ("Event1_final_1", "Event1_final", "5253B")
    assert first.steps == ("back", "1.5 twists", "2.5 somersaults pike", "entry head first")
    assert first.boundaries == (5 / 20, 12 / 20)
    assert first.judges is None
    assert first.sources["video"].name == "1"


def test_one_panel_has_its_marks_and_its_rule(root):
    for panel, rule in (("7", "diving"), ("5", "synchronised_diving"), ("3", "diving")):
        found = datasets.load("fine_diving", root, panel=panel)
        assert (found.labels.judges, found.labels.rule) == (int(panel), rule)
        assert {len(s.judges) for s in found.samples} == {int(panel)}


def test_boundaries_are_where_the_flight_begins_and_ends(root):
    for sample in datasets.load("fine_diving", root).samples:
        assert sample.boundaries == (0.25, 0.6)


def test_scores_that_fit_no_rule_are_named(root):
    said = {sentence: list(ids) for _, sentence, ids in fine_diving.known_errors(fine_diving.samples(root), root)}
    assert said["of 8 dives with 7 listed marks, scores that do not follow from them"] == ["Event0_final_0"]
    assert said["of 8 dives with 5 listed marks, scores that do not follow from them"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"judge_scores": [5.0, 6.0]}, "does not have 7, 5 or 3 marks"),
        ({"action_type": "somersault"}, "has no dive number, but 'somersault'"),
        ({"dive_score": "high"}, "has no number dive_score"),
    ],
)
def test_damaged_annotations_are_sentences(tmp_path, change, said):
    file = write_fine_diving(tmp_path, dives=1) / "Annotations" / "FineDiving_coarse_annotation.pkl"
    dives = pickle.loads(file.read_bytes())
    dives["Event2_final", 0] |= change
    file.write_bytes(pickle.dumps(dives))
    with pytest.raises(DataError, match=said):
        fine_diving.samples(tmp_path)


def test_the_counts_of_the_release(real):
    found = datasets.load("fine_diving", real)
    (official,) = found.splits["official"]
    assert (len(found.samples), len(official.train), len(official.test)) == (3000, 2251, 749)
    assert len({s.kind for s in found.samples}) == 52
    events = [{s.group for s in found.samples if s.id in set(side)} for side in (official.train, official.test)]
    assert (len(events[0] | events[1]), len(events[0] & events[1])) == (135, 131)
    assert sum(len(s.boundaries) == 2 for s in found.samples) == 2996  # four have a transition at frame -1
    odd = [list(ids) for _, sentence, ids in fine_diving.known_errors(found.samples, real) if "listed" in sentence]
    assert list(map(len, odd)) == [1369 - 1270, 1024 - 1011, 607 - 600]


def test_the_floors_of_the_release(real):
    rows = evaluation.benchmark.benchmark("fine_diving", methods=[], backbones=[], root=real).rows
    found = {row["method"]: row for row in rows}
    assert found["floor: difficulty only"]["spearman"] == pytest.approx(0.560, abs=5e-4)
    assert found["floor: mean of the kind"]["spearman"] == pytest.approx(0.588, abs=5e-4)
    assert found["floor: mean of the kind"]["relative_l2_papers"] == pytest.approx(1.335, abs=2e-3)
    assert found["floor: constant"]["relative_l2_papers"] == pytest.approx(2.076, abs=2e-3)


def test_the_mean_of_a_kind_is_that_of_its_training_scores():
    floors = evaluation.floors
    empty = np.empty((3, 0))
    train = floors.Inputs(np.zeros(3), np.zeros(3), empty, kinds=np.array(["a", "a", "b"]))
    test = floors.Inputs(np.zeros(3), np.zeros(3), empty, kinds=np.array(["b", "a", "new"]))
    assert floors.mean_of_kind(train, np.array([1.0, 3, 8]), test).tolist() == [8, 2, 4]
