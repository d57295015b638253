"""LITE: published sizes, and learning on series long enough for its kernels."""

import pytest
import torch

from aqakit.methods import lite
from aqakit.metrics.accuracy import spearman
from aqakit.types import FeatureSpec, Stream
from tests.synthetic import LABELS, batch

SERIES = FeatureSpec({"movement": (3,)})


@pytest.mark.parametrize(("width", "published"), [(1, 9814), (75, 87956)])
def test_it_has_as_many_weights_as_published(width, published):
    """Table 2 of the paper for one channel; about 88 k for 25 joints."""
    method = lite.build(FeatureSpec({"movement": (width,)}), LABELS)
    assert sum(p.numel() for p in method.series.parameters()) == published


def oscillations(videos, seed):
    """Series of 60 to 90 moments; the score is how fast they oscillate, whatever their phase."""
    random = torch.Generator().manual_seed(seed)
    plain = batch(videos, seed=seed)
    length = torch.randint(60, 91, (videos, 1), generator=random)
    speed, phase = (torch.rand(videos, 1, generator=random) for _ in range(2))
    time = torch.arange(90.0)[None]
    wave = torch.sin((0.2 + 0.6 * speed) * time + 6.28 * phase)[..., None] + 0.3 * torch.randn(
        videos, 90, 3, generator=random
    )
    clips = time < length
    series = Stream(wave * clips[..., None], clips)
    return plain.replace(streams={"movement": series}, score=20 + 80 * speed[:, 0])


def test_it_learns_the_shape_of_a_series():
    torch.manual_seed(0)
    train, test = oscillations(32, 0), oscillations(32, 1)
    method = lite.build(SERIES, LABELS, filters=4, kernel=8)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        torch.stack(list(method.train().losses(train).values())).sum().backward()
        optimizer.step()
    assert spearman(test.score.numpy(), method.eval().predict(test).mean.detach().numpy()) > 0.9


def test_the_filters_see_what_they_are_named_after():
    """A constant changes nothing inside; peaks answer to a peak and not to a slope."""
    filters = lite.HandMade(1)
    constant = filters(torch.ones(1, 1, 300))[0, :, 150]
    assert constant.abs().max() < 1e-6
    peak = torch.zeros(1, 1, 300)
    peak[..., 148:152] = 1
    slope = torch.arange(300.0)[None, None]
    assert (filters(peak)[0, 12:, 140:160].amax(1) > 0).all()
    assert filters(slope)[0, 12:, 150].abs().max() < 1e-3
