"""The doctests of aqakit.scores.rules are the worked examples; these are what has to hold for all marks."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aqakit.errors import DataError
from aqakit.scores.rules import RULES, diving, rhythmic_gymnastics, sum_of_items, synchronised_diving

MARKS = st.integers(0, 20).map(lambda half: half / 2)


@given(st.sampled_from([3, 5, 7]).flatmap(lambda n: st.lists(MARKS, min_size=n, max_size=n)))
def test_diving_sums_the_three_marks_nearest_the_median(marks):
    ordered = sorted(marks)
    while len(ordered) > 3:
        ordered.remove(max(ordered))
        ordered.remove(min(ordered))
    assert diving(marks).item() == sum(ordered)


@given(st.lists(MARKS, min_size=5, max_size=5), st.randoms())
def test_the_order_of_diving_judges_is_nothing(marks, random):
    shuffled = random.sample(marks, 5)
    assert torch.equal(diving(marks, 2.1), diving(shuffled, 2.1))


@pytest.mark.parametrize(("judges", "panels"), [(11, (3, 3, 5)), (9, (4, 5))])
def test_synchronised_diving_drops_the_extremes_of_each_panel(judges, panels):
    marks = np.random.default_rng(judges).integers(0, 21, judges) / 2
    ends = [0, *itertools.accumulate(panels)]
    kept = [mark for a, b in itertools.pairwise(ends) for mark in sorted(marks[a:b])[1:-1]]
    assert len(kept) == 5
    assert synchronised_diving(marks, 3.2).item() == pytest.approx(sum(kept) * 0.6 * 3.2)


def test_equal_marks_give_the_same_total_alone_and_in_pairs():
    totals = [diving([8.0] * n, 3.0).item() for n in (3, 5, 7)]
    totals += [synchronised_diving([8.0] * n, 3.0).item() for n in (9, 11)]
    assert totals == pytest.approx([72.0] * 5)


def test_the_other_sports():
    assert sum_of_items(np.array([[1, 1, 1, 1, 1, 1], [5, 5, 5, 5, 5, 5]])).tolist() == [6, 30]
    assert rhythmic_gymnastics(torch.tensor([[7.7, 8.1, 0.0], [7.7, 8.1, 0.6]])).tolist() == pytest.approx([15.8, 15.2])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_keeps_its_contract(rule):
    for judges in rule.judges:
        marks = torch.rand(4, 2, judges, requires_grad=True)
        score = rule.score(marks, torch.full((4, 2), 2.0))
        assert score.shape == (4, 2)
        assert torch.allclose(score, rule.score(marks, None) * (2 if rule.difficulty else 1))
        score.sum().backward()
        assert marks.grad.abs().sum() > 0
        unknown = marks.detach().clone()
        unknown[0, 0, 1] = torch.nan
        assert rule.score(unknown, None).isnan().tolist() == [[True, False]] + [[False, False]] * 3
    with pytest.raises(DataError, match=f"{rule.name} needs .* marks .* given 2"):
        rule.score(torch.zeros(4, 2), None)
