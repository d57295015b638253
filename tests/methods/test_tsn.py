"""TSN: the consensus by its definitions."""

import pytest
import torch

from aqakit.errors import OptionError
from aqakit.methods import tsn
from aqakit.types import FeatureSpec
from tests.synthetic import FEATURES, LABELS, batch


def alone(videos, row, clip):
    """One clip of one video, as a video."""
    one = videos.select(torch.tensor([row]))
    stream = one.streams["test"]
    return one.replace(streams={"test": type(stream)(stream.features[:, clip : clip + 1], stream.clips[:, :1])})


@pytest.mark.parametrize(("consensus", "combine"), [("average", torch.mean), ("max", torch.amax)])
def test_the_answer_is_the_consensus_of_each_snippets_score(consensus, combine):
    torch.manual_seed(0)
    method = tsn.build(FEATURES, LABELS, consensus=consensus).eval()
    videos = batch()
    answer = method.predict(videos).mean.detach()
    for row in (0, 5, 11):
        count = int(videos.clips[row].sum())
        scores = torch.cat([method.predict(alone(videos, row, clip)).mean.detach() for clip in range(count)])
        assert float(answer[row]) == pytest.approx(float(combine(scores, 0)), rel=1e-5)


def test_attention_lies_between_the_snippets_and_falls_back_to_the_mean():
    torch.manual_seed(0)
    method = tsn.build(FEATURES, LABELS, consensus="attention").eval()
    plain = tsn.build(FEATURES, LABELS).eval()
    weight = method.streams[0].weight.weight
    plain.load_state_dict({n: v for n, v in method.state_dict().items() if "weight.weight" not in n})
    videos = batch()
    scores = torch.cat([method.predict(alone(videos, 0, clip)).mean for clip in range(int(videos.clips[0].sum()))])
    assert scores.min() < method.predict(videos).mean[0] < scores.max()
    assert not torch.allclose(method.predict(videos).mean, plain.predict(videos).mean)
    torch.nn.init.zeros_(weight)
    torch.testing.assert_close(method.predict(videos).mean, plain.predict(videos).mean)


def test_the_published_head_is_linear_regression_on_the_mean_snippet():
    torch.manual_seed(0)
    method = tsn.build(FEATURES, LABELS, hidden=(), dropout=0.8).eval()
    assert sum(p.numel() for p in method.parameters()) == 12 + 1
    videos = batch()
    mean = torch.stack([f[c].mean(0) for f, c in zip(videos.features, videos.clips, strict=True)])
    wanted = 60 + method.streams[0].score(mean).squeeze(1) * 30  # the scale runs from 0 to 120
    torch.testing.assert_close(method.predict(videos).mean, wanted)


def test_streams_are_fused_late():
    torch.manual_seed(0)
    spec = FeatureSpec({"rgb": (12,), "flow": (12,)})
    method = tsn.build(spec, LABELS).eval()
    videos = batch(features=spec)
    apart = []
    for number, name in enumerate(spec.streams):
        one = tsn.build(FEATURES, LABELS).eval()
        one.streams[0].load_state_dict(method.streams[number].state_dict())
        apart.append(one.predict(videos.replace(streams={name: videos.streams[name]})).mean)
    torch.testing.assert_close(method.predict(videos).mean, torch.stack(apart).mean(0))


def test_joints_are_refused():
    with pytest.raises(OptionError, match=r"skeleton gives \(17, 3\)"):
        tsn.build(FeatureSpec({"skeleton": (17, 3)}), LABELS)
