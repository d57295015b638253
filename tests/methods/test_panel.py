import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from aqakit.errors import DataError, OptionError
from aqakit.methods.parts.panel import Panel, middle_total, panel_of
from aqakit.scores.distributions import Binned, Normal
from aqakit.scores.rules import RULES
from aqakit.types import LabelSpec, ScoreScale
from tests.synthetic import LABELS, batch

SUMS = (RULES["diving"], RULES["synchronised_diving"], RULES["sum_of_items"])
PANELS = [(rule.name, judges) for rule in SUMS for judges in rule.judges]
BATCH = batch(videos=3)


def labels_of(rule: str, judges: int) -> LabelSpec:
    return replace(LABELS, rule=rule, judges=judges)


def binned(probabilities: torch.Tensor, low: float, step: float) -> Binned:
    return Binned(probabilities.log(), low + step * (torch.arange(probabilities.shape[-1] + 1) - 0.5).double())


def every_mark(probabilities: torch.Tensor, rule: str, step: float) -> dict[float, float]:
    """The probability of each score of one panel, from all that its judges may give: (J, K) → {score: probability}."""
    found: dict[float, float] = {}
    for marks in itertools.product(range(probabilities.shape[1]), repeat=len(probabilities)):
        chance = math.prod(float(p[mark]) for p, mark in zip(probabilities, marks, strict=True))
        score = round(float(RULES[rule].score([step * mark for mark in marks], None)), 6)
        found[score] = found.get(score, 0.0) + chance
    return found


def test_the_middle_of_three_coins_by_hand():
    coins = torch.tensor([[[0.5, 0.5]] * 3, [[0.9, 0.1]] * 3])  # the middle one is 1 where two or three are
    torch.testing.assert_close(middle_total(coins, 1)[:, 1], torch.tensor([0.5, 3 * 0.01 * 0.9 + 0.001]))


@pytest.mark.parametrize(("rule", "judges"), PANELS)
def test_histograms_give_what_enumeration_gives(rule, judges):
    marks = torch.rand(1, judges, 2 if judges > 7 else 3, dtype=torch.float64).softmax(-1)
    answer = panel_of("m", replace(labels_of(rule, judges), total=None)).binned(binned(marks, 0.0, 0.5), BATCH)
    expected = every_mark(marks[0], rule, 0.5)
    assert isinstance(answer, Binned)
    assert [round(centre, 6) for centre in answer.centres.tolist()] == sorted(expected)
    assert answer.probabilities[0].tolist() == pytest.approx([expected[score] for score in sorted(expected)])


@pytest.mark.parametrize(("rule", "judges"), PANELS)
def test_judges_who_are_sure_give_the_score_of_the_rule(rule, judges):
    marks = torch.randint(0, 21, (3, judges))
    panel = panel_of("m", labels_of(rule, judges))
    sure = torch.nn.functional.one_hot(marks, 21).double()
    score = RULES[rule].score(marks / 2, BATCH.difficulty)
    torch.testing.assert_close(panel.binned(binned(sure + 1e-30, 0.0, 0.5), BATCH).mean.float(), score)
    torch.testing.assert_close(panel.point(marks / 2, BATCH), score)
    rounded = 10 / 63 / 2 * panel.kept * panel.factor * float(BATCH.difficulty.max())  # half a step of each mark
    nearly = panel.normal(Normal(marks / 2, torch.full(marks.shape, 1e-4)), BATCH).mean
    torch.testing.assert_close(nearly, score, atol=rounded, rtol=0)


def test_who_sits_where_in_a_panel_is_nothing():
    marks = torch.rand(3, 7, 6, dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(middle_total(marks[:, torch.randperm(7)], 2), middle_total(marks, 2))


def test_high_and_low_are_treated_alike():
    marks = torch.rand(3, 5, 6, dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(middle_total(marks.flip(-1), 1), middle_total(marks, 1).flip(-1))


def test_the_total_carries_gradients():
    marks = torch.rand(2, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: middle_total(m, 1), marks)


@pytest.mark.parametrize(("rule", "judges"), PANELS)
def test_normals_give_what_a_million_draws_give(rule, judges):
    generator = np.random.default_rng(judges)
    mean, std = generator.uniform(5, 8, judges), generator.uniform(0.2, 0.8, judges)
    draws = RULES[rule].score(mean + std * generator.standard_normal((1_000_000, judges)), 3.0).numpy()
    one = batch(videos=1).replace(difficulty=torch.tensor([3.0]))
    marks = Normal(torch.tensor(mean)[None], torch.tensor(std)[None])
    answer = panel_of("m", labels_of(rule, judges)).normal(marks, one)
    assert float(answer.mean) == pytest.approx(draws.mean(), abs=0.01 * draws.std())
    assert float(answer.std) == pytest.approx(draws.std(), rel=0.01)
    levels = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    below = answer.cdf(torch.tensor(np.quantile(draws, levels))[:, None])[:, 0]
    assert below.tolist() == pytest.approx(levels, abs=0.003)


def test_normals_of_which_none_is_dropped_add_up():
    marks = Normal(torch.rand(3, 3) + 6, torch.rand(3, 3) + 0.2)
    exact = panel_of("m", labels_of("diving", 3)).normal(marks, BATCH)
    assert isinstance(exact, Normal)
    torch.testing.assert_close(exact.mean, BATCH.difficulty * marks.loc.sum(1))
    torch.testing.assert_close(exact.std, BATCH.difficulty * marks.scale.square().sum(1).sqrt())


def test_a_judge_who_is_dropped_does_not_coarsen_the_others():
    loc, scale = torch.full((3, 7), 7.0), torch.full((3, 7), 0.3)
    loc[1, 0], scale[2, 0] = 1e3, 1e3  # far above the others; anywhere at all
    answer = panel_of("m", labels_of("diving", 7)).normal(Normal(loc, scale), BATCH)
    # the fifth of six normal draws is expected at 0.6418 standard deviations, the third and fourth at ∓0.2015
    assert (answer.mean / BATCH.difficulty).tolist() == pytest.approx([21.0, 21 + 0.3 * 0.6418, 21.0], abs=1e-3)
    assert ((answer.std / BATCH.difficulty) < 0.5).all()


def test_a_target_without_the_difficulty_does_without_it():
    panel = panel_of("m", replace(LABELS, total=None))
    marks = torch.randint(0, 21, (3, 7)) / 2
    blind = BATCH.replace(difficulty=torch.full((3,), torch.nan))
    torch.testing.assert_close(panel.point(marks, blind), RULES["diving"].score(marks, None))


def test_a_video_without_its_difficulty_is_a_mistake():
    blind = BATCH.replace(difficulty=torch.tensor([2.0, torch.nan, 2.0]))
    with pytest.raises(DataError, match=r"declared difficulty, but 1 of 3 videos have none; give difficulty="):
        panel_of("m", LABELS).point(torch.zeros(3, 7), blind)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judges": 0, "marks": None}, "m learns the marks of the judges, but these labels have none"),
        ({"rule": None}, "m needs the rule that turns the 7 marks into a score"),
        ({"rule": "rhythmic_gymnastics"}, "m adds up marks, but the rule rhythmic_gymnastics does more"),
        ({"judges": 4}, "m: the rule diving needs 7 or 5 or 3 marks, but these labels have 4"),
    ],
)
def test_labels_that_cannot_be_used(changes, message):
    with pytest.raises(OptionError, match=message):
        panel_of("m", replace(LABELS, **changes))


def test_the_panels_of_the_sports():
    assert panel_of("m", LABELS) == Panel(RULES["diving"], (7,), (2,), 1.0, True)
    surgery = LabelSpec(ScoreScale(6, 30), None, 6, ScoreScale(1, 5), "sum_of_items")
    assert panel_of("m", surgery) == Panel(RULES["sum_of_items"], (6,), (0,), 1.0, False)
    assert panel_of("m", labels_of("synchronised_diving", 11)).kept == 5
