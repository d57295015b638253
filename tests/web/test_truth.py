"""The true score, told afterwards: on the scale, and as the marks of the judges make it."""

import pytest
from fastapi import HTTPException

from aqakit.scores import rules
from aqakit.web import truth
from aqakit.web.desk_models import Change
from aqakit.web.jobs import new_id
from aqakit.web.models import RunCard, Score


def card(**more):
    about = dict.fromkeys(("name", "method", "summary", "data", "command", "fingerprint"), "")
    about |= {"unit": "points", "low": 20, "high": 90, "needs_difficulty": False, "recalibrated": True, "versions": {}}
    return RunCard(**about | more)


DIVING = {"rule": "diving", "marks": [7, 5, 3], "rule_needs_difficulty": True, "floor": 0, "ceiling": 104.5}


def scored(difficulty=3.0, judges=()):
    return Score(
        id=new_id(), name="a.mp4", run="r", difficulty=difficulty, status="finished", ahead=0, waiting=0, progress=None,
        created=0, finished=1, video=True, result=None, problem=None, judges=list(judges),
    )  # fmt: skip


def test_marks_make_the_score_of_the_rule():
    marks = [7, 7.5, 8, 6.5, 9]
    found = truth.columns(card(**DIVING), scored(3.2), Change(judges=marks))
    assert found["truth"] == pytest.approx(float(rules.diving(marks, 3.2)))
    assert found["truth"] == pytest.approx(3.2 * sum(sorted(marks)[1:4]))
    again = truth.columns(card(**DIVING), scored(3.2, marks), Change(difficulty=2.0))
    assert again["truth"] == pytest.approx(2 * sum(sorted(marks)[1:4]))


@pytest.mark.parametrize(
    ("about", "difficulty", "changes", "words"),
    [
        ({}, None, {"judges": [7, 7, 7]}, "does not know how marks"),
        (DIVING, None, {"judges": [7, 7, 7]}, "enter the difficulty"),
        (DIVING, 3.0, {"judges": [7, 7]}, "7 or 5 or 3 marks"),
        (DIVING, 3.0, {"truth": 104.6}, "from 20 to 90"),
        (DIVING, 3.0, {"truth": -0.1}, "cannot be right"),
        (DIVING, 5.0, {"judges": [10, 10, 10]}, "150"),
        ({}, None, {"truth": 655}, "655"),
    ],
)
def test_what_cannot_be_a_true_score_is_refused(about, difficulty, changes, words):
    with pytest.raises(HTTPException) as refused:
        truth.columns(card(**about), scored(difficulty), Change(**changes))
    assert refused.value.status_code == 400
    assert words in refused.value.detail


def test_the_scores_learnt_from_are_no_limit_of_the_sport():
    assert truth.columns(card(), scored(), Change(truth=95)) == {"truth": 95, "judges": ""}
    assert truth.columns(card(), scored(), Change(truth=None)) == {"truth": None, "judges": ""}
