"""GDLT: the mean of graded answers, and its triplets by every pair."""

import math

import pytest
import torch

from aqakit.errors import OptionError
from aqakit.methods import gdlt
from aqakit.methods.parts.grades import hardest_triplets
from tests.synthetic import FEATURES, LABELS, batch


def test_the_score_is_the_mean_of_the_grades_by_how_strongly_each_is_seen():
    method = gdlt.build(FEATURES, LABELS, width=8, heads=1, grades=3)
    with torch.no_grad():
        method.read.weight.zero_()
        method.read.weight[0, 0], method.read.bias[0] = 1.0, 0.0
    seen = torch.zeros(2, 3, 8)
    seen[0, :, 0] = torch.tensor([math.log(1), math.log(3), -50.0])  # σ: 1/2, 3/4, 0
    answer = method._answer(seen).mean
    assert answer.tolist() == pytest.approx([120 * (0.75 * 0.5) / 1.25, 60.0])


def test_triplets_are_those_of_every_pair():
    seen = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    expected = []
    for video in range(4):
        for grade in range(3):
            far = max(float((seen[video, grade] - seen[v, grade]).norm()) for v in range(4))
            near = min(
                float((seen[video, grade] - seen[v, g]).norm()) for v in range(4) for g in range(3) if g != grade
            )
            expected.append(max(0.0, far - near + 1))
    assert hardest_triplets(seen).tolist() == pytest.approx(expected, abs=1e-5)


def test_queries_that_are_apart_by_the_margin_cost_nothing():
    seen = 10 * torch.eye(3)[None].repeat(5, 1, 1)
    assert hardest_triplets(seen).sum() == 0
    assert hardest_triplets(seen[:1] * 0).sum() == 0


def test_scores_stay_within_the_scale():
    method = gdlt.build(FEATURES, LABELS, width=16).eval()
    answer = method.predict(batch(videos=8)).mean
    assert ((answer > 0) & (answer < 120)).all()


def test_heads_divide_the_width():
    with pytest.raises(OptionError, match="3 heads do not divide a width of 16"):
        gdlt.build(FEATURES, LABELS, width=16, heads=3)
