"""S4L: changed videos hold the same clips, the class says how they were changed, and it can be learnt."""

import math

import pytest
import torch

from aqakit.methods._semi_supervised import first
from aqakit.methods.s4l import _ORDERS
from aqakit.types import Stream
from semi_supervised import assert_same_without_unlabelled_rows, built, trained
from synthetic import FEATURES, batch

MIXED = batch(unlabelled=8)


def numbered(clips: int, videos: int = 50) -> Stream:
    """Clip n of every video is n in all channels."""
    values = torch.arange(float(clips))[None, :, None].expand(videos, clips, 12)
    return Stream(values, torch.ones(videos, clips, dtype=torch.bool))


def test_orders_by_hand():
    torch.manual_seed(0)
    changed, truth = built("s4l").change(numbered(6))
    assert set(truth.tolist()) == set(range(6))
    for row, kind in enumerate(truth.tolist()):
        expected = [clip for part in _ORDERS[kind] for clip in (2 * part, 2 * part + 1)]
        assert changed.features[row, :, 0].tolist() == expected


def test_speeds_by_hand():
    torch.manual_seed(0)
    changed, truth = built("s4l", question="speed").change(numbered(9))
    assert set(truth.tolist()) == {0, 1, 2}
    for row, kind in enumerate(truth.tolist()):
        expected = list(range(0, 9, 2**kind))
        assert changed.features[row, : len(expected), 0].tolist() == expected
        assert changed.clips[row].sum() == len(expected)


@pytest.mark.parametrize("question", ["order", "speed"])
def test_what_time_shows_in_the_features_is_learnt(question):
    train = batch(videos=40, unlabelled=32, features=FEATURES)
    rows = torch.arange(40.0)[:, None, None]
    drift = 0.5 * torch.arange(9.0)[None, :, None] + 0 * rows  # features drift with time
    noise = 0.1 * torch.randn(40, 9, 12, generator=torch.Generator().manual_seed(0))
    stream = Stream(drift + noise - 2, torch.ones(40, 9, dtype=torch.bool))
    method = trained(built("s4l", question=question), train.replace(streams={"test": stream}), epochs=40, rate=1e-2)
    answer = [method.losses(train.replace(streams={"test": stream}))[question].item() for _ in range(3)]
    assert max(answer) < 0.3 * math.log(6 if question == "order" else 3)


def test_videos_of_few_clips_can_be_asked():
    method = built("s4l")
    short = Stream(*[t[:, :1] for t in (first(MIXED).features, first(MIXED).clips)])
    assert method.losses(MIXED.replace(streams={"test": short}))["order"].isfinite()


def test_without_unlabelled_rows_it_is_the_base_over_its_encoder():
    scheme = built("s4l", base="dae", dropout=0.2)
    assert_same_without_unlabelled_rows(scheme, built("s4aqa", base="dae", dropout=0.2, recovery=0, alignment=0))
