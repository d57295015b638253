"""Kinds, steps and boundaries on their way from samples to batches."""

import pytest
import torch

from aqakit.datasets.parts.declared import declared, shares
from aqakit.datasets.parts.partial_labels import without_labels
from aqakit.errors import DataError
from aqakit.methods import rica2, tsa
from aqakit.training import run_files
from aqakit.training.assessor import Assessor, Standardise, check_steps
from aqakit.training.collating import collate
from aqakit.training.ensemble import Ensemble
from aqakit.types import Batch, Description, LabelSpec, Sample, ScoreScale
from tests import synthetic

DIVES = [
    Sample("a", {}, score=50.0, kind="107B", steps=("forward", "pike", "entry"), boundaries=(0.25, 0.75)),
    Sample("b", {}, score=60.0, kind="205C", steps=("back", "entry")),
    Sample("c", {}, score=70.0),
]


def batch(known=DIVES, shown=DIVES):
    return collate(shown, LabelSpec(ScoreScale(0, 100), **declared(known)), {})


def test_names_become_numbers_and_what_is_missing_is_unknown():
    found = batch()
    assert found.kind.tolist() == [0, 1, -1]
    assert found.steps.tolist() == [[2, 3, 1], [0, 1, -1], [-1, -1, -1]]
    assert found.boundaries[0].tolist() == [0.25, 0.75]
    assert found.boundaries[1:].isnan().all()


def test_what_training_has_not_seen_is_told_from_padding():
    found = batch(known=DIVES[:1])
    assert found.kind.tolist() == [0, -1, -1]
    assert found.steps.tolist() == [[1, 2, 0], [3, 0, -1], [-1, -1, -1]]


def test_declared_things_stay_without_labels_and_boundaries_go():
    found, hidden = batch().unlabelled(), batch(shown=[without_labels(s) for s in DIVES])
    for one in (found, hidden):
        assert one.kind.equal(batch().kind)
        assert one.steps.equal(batch().steps)
        assert one.boundaries.isnan().all()


def test_rows_stay_together():
    found = batch()
    again = Batch.cat([found.select(torch.tensor([2, 0])), found.select(found.kind == 1)])
    assert again.kind.tolist() == [-1, 0, 1]
    assert again.steps.equal(found.steps[[2, 0, 1]])


def test_a_batch_may_be_made_without_them():
    bare = Batch({}, torch.zeros(2), torch.zeros(2, 0), torch.zeros(2), {}, torch.zeros(2, 0), torch.zeros(2))
    assert bare.kind.tolist() == [-1, -1]
    assert bare.steps.shape == bare.boundaries.shape == (2, 0)


def test_predicted_boundaries_are_written_as_a_manifest_has_them():
    said = Description(boundaries=torch.tensor([[0.31, 0.78], [0.2, 0.4]]))
    rows = list(run_files.decode_descriptions(said, synthetic.LABELS))
    assert [shares(row["boundaries"]) for row in rows] == [(0.31, 0.78), (0.2, 0.4)]


def test_members_agree_on_the_mean_of_their_boundaries():
    built = [tsa.build(synthetic.FEATURES, synthetic.LABELS, moments=8, layers=1) for _ in range(2)]
    members = [Assessor(method, Standardise({}), {}, target="score", fuse="none") for method in built]
    test = synthetic.batch(videos=4)
    apart = [member.describe(test).boundaries for member in members]
    assert torch.equal(Ensemble(members).describe(test).boundaries, (apart[0] + apart[1]) / 2)


def test_a_method_that_reads_steps_is_not_given_recordings_without():
    reader = rica2.build(synthetic.FEATURES, synthetic.LABELS, width=16)
    other = tsa.build(synthetic.FEATURES, synthetic.LABELS, moments=8, layers=1)
    check_steps(DIVES[:2], reader)
    check_steps(DIVES, other)
    with pytest.raises(DataError, match="there are none for c; give a column step_list in the manifest"):
        check_steps(DIVES, reader)
