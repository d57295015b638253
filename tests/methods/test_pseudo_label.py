"""Pseudo-labels: the surest rows, with the answers of the base as it was when the last round ended."""

import pytest
import torch

from tests.semi_supervised import assert_same_without_unlabelled_rows, built
from tests.synthetic import batch

MIXED = batch(unlabelled=8)
UNLABELLED = MIXED.select(~MIXED.labelled)


def test_the_surest_half_gets_the_labellers_means():
    method = built("pseudo_label", base="dae:dropout=0")
    answer = method.labeller.predict(UNLABELLED)
    sure = method.label(UNLABELLED)
    rows = sorted(range(8), key=lambda row: float(answer.std[row]))[:4]
    assert sorted(sure.score.tolist()) == pytest.approx(sorted(answer.mean[rows].tolist()))


def test_a_points_confidence_is_how_little_noise_moves_it():
    method = built("pseudo_label", base="regression:dropout=0", confident=0.1)
    quiet = UNLABELLED.replace(
        streams={n: type(s)(s.features * torch.tensor([0.0] + [1.0] * 7)[:, None, None], s.clips)
                 for n, s in UNLABELLED.streams.items()}
    )  # fmt: skip
    sure = method.label(quiet)  # noise is a share of the features, and the first video has none
    assert len(sure) == 1
    assert not sure.features.any()


def test_a_round_learns_from_the_end_of_the_one_before():
    method = built("pseudo_label", base="regression:dropout=0", round_epochs=5, ramp=0)
    method.epoch = 4
    assert set(method.losses(MIXED)) == {"squared_error"}
    method.epoch = 5
    assert float(method.losses(MIXED)["pseudo_label"].detach()) == pytest.approx(0)  # its own answers of this moment
    before = method.labeller.head.value.bias.clone()
    with torch.no_grad():
        method.base.head.value.bias += 1.0
    method.epoch = 9
    assert float(method.losses(MIXED)["pseudo_label"].detach()) == pytest.approx(1.0, rel=1e-4)
    assert torch.equal(method.labeller.head.value.bias, before)
    method.epoch = 10
    method.losses(MIXED)
    assert torch.equal(method.labeller.head.value.bias, method.base.head.value.bias)


def test_without_unlabelled_rows_it_is_its_base():
    scheme = built("pseudo_label", base="usdl:dropout=0.2")
    assert_same_without_unlabelled_rows(scheme, built("usdl", dropout=0.2))
