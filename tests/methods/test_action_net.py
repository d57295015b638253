"""ACTION-NET: its adjacency by hand, its published size, and the scale it cannot leave."""

import math

import pytest
import torch

from aqakit.errors import OptionError
from aqakit.methods import action_net
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale, Stream
from tests.synthetic import FEATURES, LABELS, batch


def test_neighbours_of_three_clips_by_hand():
    near = action_net.neighbours(torch.tensor([[True, True, True, False]]))[0]
    e = math.exp(-1)
    sums = [1 + e + e**2, 1 + 2 * e, 1 + e + e**2]
    wanted = [[e ** abs(i - j) / math.sqrt(sums[i] * sums[j]) for j in range(3)] for i in range(3)]
    torch.testing.assert_close(near[:3, :3], torch.tensor(wanted))
    assert near[3].abs().max() == near[:, 3].abs().max() == 0


def test_the_spectrum_is_that_of_a_symmetric_normalisation():
    near = action_net.neighbours(torch.ones(1, 26, dtype=torch.bool))[0].double()
    values = torch.linalg.eigvalsh(near)
    assert float(values[-1]) == pytest.approx(1, abs=1e-6)  # its eigenvector is the root of the row sums
    assert float(values[0]) > 0


def test_the_published_network_has_its_size():
    method = action_net.build(action_net.FEATURES, LABELS)

    def branch(d):
        context = 2 * (256 * 256 + 256) + 512 * 128 + 128 + 128 + 1
        return d * d // 2 + d // 2 + d // 2 * 256 + 256 + context

    head = 1024 * 128 + 128 + 128 + 1
    assert sum(p.numel() for p in method.parameters()) == branch(1024) + branch(2048) + head


def test_one_stream_is_one_branch():
    method = action_net.build(FEATURES, LABELS)
    assert len(method.streams) == 1
    assert method.head[0].in_features == 512


def test_the_answer_stays_on_the_scale():
    labels = LabelSpec(ScoreScale(6, 30))
    method = action_net.build(FEATURES, labels).eval()
    videos = batch()
    stream = videos.streams["test"]
    for size in (0.0, 1e4):
        answer = method.predict(videos.replace(streams={"test": Stream(stream.features * size, stream.clips)})).mean
        assert answer.min() >= 6
        assert answer.max() <= 30
    torch.nn.init.zeros_(method.head[-1].weight)
    torch.nn.init.constant_(method.head[-1].bias, math.log(3))
    assert method.predict(videos).mean.tolist() == pytest.approx([24] * 24)  # ¾ of the way


def test_attention_is_a_weighted_mean_of_a_clip_and_its_context():
    torch.manual_seed(0)
    branch = action_net.ContextAttention(12)
    torch.nn.init.zeros_(branch.attention[-1].weight)
    videos = batch()
    stream = videos.streams["test"]
    pooled = branch(stream)
    for row in (0, 3):
        own = branch.embedding(stream.features[row, stream.clips[row]])
        torch.testing.assert_close(pooled[row, :256], own.mean(0))


def test_time_reversed_is_the_same_to_a_symmetric_graph():
    torch.manual_seed(0)
    method = action_net.build(FEATURES, LABELS).eval()
    videos = batch()
    whole = videos.select(videos.clips.all(1))
    stream = whole.streams["test"]
    turned = whole.replace(streams={"test": Stream(stream.features.flip(1), stream.clips)})
    torch.testing.assert_close(method.predict(turned).mean, method.predict(whole).mean)
    shuffled = whole.replace(streams={"test": Stream(stream.features[:, [1, 0, 3, 2, 4]], stream.clips)})
    assert not torch.allclose(method.predict(shuffled).mean, method.predict(whole).mean, rtol=1e-6)


def test_joints_are_refused():
    with pytest.raises(OptionError, match=r"skeleton gives \(17, 3\)"):
        action_net.build(FeatureSpec({"skeleton": (17, 3)}), LABELS)
