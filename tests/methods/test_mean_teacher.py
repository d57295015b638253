"""Mean Teacher: the teacher is the exponential mean of the student, worked by hand."""

import pytest
import torch

from aqakit.methods.parts.semi_supervised import ramp
from tests.semi_supervised import assert_same_without_unlabelled_rows, built
from tests.synthetic import batch

MIXED = batch(unlabelled=8)


def test_the_teacher_is_the_mean_of_what_the_student_was():
    method = built("mean_teacher", decay=0.75)
    weight, taught = (m.trunk.mlp[0].weight for m in (method.base, method.teacher))
    expected = None
    for step in range(1, 7):
        with torch.no_grad():
            weight.fill_(float(step))
        method.losses(MIXED)
        decay = min(0.75, 1 - 1 / step)  # a plain mean until there are four steps
        expected = step if expected is None else decay * expected + (1 - decay) * step
        assert float(taught[0, 0]) == pytest.approx(expected)
        if step <= 4:
            assert expected == pytest.approx((step + 1) / 2)


def test_the_teacher_answers_once_it_has_been_made():
    method = built("mean_teacher").eval()
    test = batch(seed=1)
    assert torch.equal(method.predict(test).mean, method.base.predict(test).mean)
    method.losses(MIXED)
    with torch.no_grad():
        method.base.head.logits.weight.zero_()
    assert torch.equal(method.predict(test).mean, method.teacher.predict(test).mean)
    assert not torch.equal(method.predict(test).mean, method.base.predict(test).mean)


def test_a_student_that_says_the_same_costs_nothing():
    method = built("mean_teacher", base="usdl:dropout=0", noise=0.0)
    assert method.losses(MIXED)["consistency"].item() == pytest.approx(0, abs=1e-6)
    noisy = built("mean_teacher", base="usdl:dropout=0", noise=0.5)
    assert float(noisy.losses(MIXED)["consistency"]) > 1e-6


def test_only_the_student_is_trained():
    method = built("mean_teacher")
    torch.stack(list(method.losses(MIXED).values())).sum().backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert all(p.grad is not None for p in method.base.parameters())


def test_the_ramp_by_hand():
    assert ramp(0, 20) == pytest.approx(0.00673795)  # e⁻⁵
    assert ramp(10, 20) == pytest.approx(0.28650480)  # e^−1.25
    assert ramp(25, 20) == 1


@pytest.mark.parametrize("answer", ["teacher", "student"])
def test_without_unlabelled_rows_it_is_its_base(answer):
    scheme = built("mean_teacher", base="dae:dropout=0.2", answer=answer)
    assert_same_without_unlabelled_rows(scheme, built("dae", dropout=0.2))
