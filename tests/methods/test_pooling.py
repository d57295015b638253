"""Pooling against plain arithmetic on the clips that are there."""

import pytest
import torch

from aqakit.methods.parts.pooling import build, concatenate, summarise
from aqakit.types import Stream

VIDEO = torch.tensor([[1.0, 10.0], [3.0, 10.0], [8.0, 40.0]])


def padded(video: torch.Tensor, extra: int) -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.cat([video, torch.full((extra, video.shape[1]), 99.0)])[None]
    return features, torch.arange(len(video) + extra)[None] < len(video)


def test_average_and_statistics_by_hand():
    features, clips = padded(VIDEO, 2)
    assert build("average", 2)(features, clips).tolist() == [[4.0, 20.0]]
    mean, std, change = build("statistics", 2)(features, clips).reshape(3, 2)
    assert mean.tolist() == [4.0, 20.0]
    torch.testing.assert_close(std, VIDEO.std(0, correction=0))
    assert change.tolist() == [3.5, 15.0]  # (2 + 5) / 2 and (0 + 30) / 2


@pytest.mark.parametrize("name", ["average", "statistics", "attention", "recurrent"])
def test_padding_changes_nothing_and_gradients_are_finite(name):
    pool = build(name, 2)
    alone = pool(*padded(VIDEO, 0))
    features, clips = padded(VIDEO, 4)
    features.requires_grad_()
    more = pool(features, clips)
    torch.testing.assert_close(more, alone)
    assert more.shape == (1, pool.width)
    more.sum().backward()
    assert features.grad.isfinite().all()
    assert not features.grad[0, 3:].any()


def test_statistics_of_a_single_clip_have_finite_gradients():
    features = torch.ones(1, 1, 2, requires_grad=True)
    build("statistics", 2)(features, torch.ones(1, 1, dtype=torch.bool)).sum().backward()
    assert features.grad.isfinite().all()


def test_concatenate_brings_streams_to_the_shorter_one():
    long = torch.arange(6.0)[:, None]  # clips 0 … 5
    short = torch.tensor([[100.0], [200.0], [300.0]])
    joined = concatenate([Stream.stack([long, long[:2]]), Stream.stack([short, short])])
    assert joined.features[0].tolist() == [[0.5, 100.0], [2.5, 200.0], [4.5, 300.0]]
    assert joined.clips.tolist() == [[True, True, True], [True, True, False]]
    assert joined.features[1, :2].tolist() == [[0.0, 150.0], [1.0, 250.0]]


def test_summarise_is_statistics_of_each_share():
    video = torch.arange(10.0).square()[:, None]
    summary = summarise(video, 2)
    halves = [build("statistics", 1)(*padded(part, 0))[0] for part in (video[:5], video[5:])]
    torch.testing.assert_close(summary, torch.stack(halves))
    assert summarise(video[:2], 5).shape == (5, 3)  # fewer clips than windows: they are shared
    assert summarise(video[:1], 3).isfinite().all()
