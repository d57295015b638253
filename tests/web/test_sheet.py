"""A finished score as one page of A4."""

import re

import numpy as np
import pytest

from aqakit.report.score_sheet import ScoreSheet
from aqakit.web.answer import _jpeg
from aqakit.web.models import Answer, Clip, Curve, Interval, Score
from aqakit.web.sheet import pdf, sheet
from tests.web.test_truth import card, scored


@pytest.fixture
def job():
    still = _jpeg(np.full((24, 32, 3), 200, np.uint8))
    moments = [
        Clip(first=10 * k, last=10 * k + 9, start=k / 3, end=(k + 1) / 3, contribution=points, error=0.0, still=still)
        for k, points in enumerate([0.5, -4.25, 1.0])
    ]
    answer = Answer(
        score=61.5, std=4.0, unit="points", low=0, high=104.5, recalibrated=True, baseline=58.0, clips=moments,
        moments=moments, words=["bent knees cost 2 points"], said={}, exemplars=[], video=None, notes=["a note"],
        intervals=[Interval(level=0.5, low=59, high=64), Interval(level=0.9, low=55, high=68)], seconds=1.0,
        curve=Curve(scores=[50, 60, 70], density=[0.0, 0.1, 0.0]),
    )  # fmt: skip
    return Score(**{**scored(3.2).model_dump(), "result": answer, "athlete": "Ana", "truth": 63.0})


def test_the_sheet_says_what_was_stored(job):
    found = sheet(job, card(title="club · dae"))
    assert isinstance(found, ScoreSheet)
    assert (found.score, found.intervals[0], found.run) == (61.5, (0.9, 55, 68), "club · dae.")
    assert [bar.points for bar in found.bars] == [0.5, -4.25, 1.0]
    assert found.facts == {"of": "Ana", "difficulty": "3.2", "true score": "63"}
    assert "−4.2 points" in found.caption
    assert found.picture.shape == (24, 32, 3)


@pytest.mark.parametrize(("rate", "said"), [(10.0, "0.0 – 0.9 s"), (1e9, "0.0 s"), (0.0, "frames 1 – 10")])
def test_a_moment_that_is_too_short_for_two_times_has_one(job, rate, said):
    end = 9 / rate if rate else 0.0
    one = Clip(first=0, last=9, start=0, end=end, contribution=-4.0, error=0.0, still=None)
    result = job.result.model_copy(update={"moments": [one]})
    assert sheet(job.model_copy(update={"result": result}), None).bars[0].label == said


def test_the_page_is_one_page_of_a4(job):
    made = pdf(job, None)
    assert made.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", made)) == 1
    box = re.search(rb"/MediaBox \[ ?([\d. ]+)\]", made)[1].split()
    assert [float(side) for side in box] == pytest.approx([0, 0, 595.3, 841.9], abs=0.1)
