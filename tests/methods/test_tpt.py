"""Parts in order, and their losses, by closed forms."""

import math

import pytest
import torch
from torch.nn import functional as F

from aqakit.methods import tpt
from aqakit.methods.parts.centres import centres, order_loss
from aqakit.methods.parts.regression_tree import intervals
from aqakit.types import Stream
from tests.synthetic import FEATURES, LABELS, batch


def grown(train=None, **options):
    torch.manual_seed(0)
    method = tpt.build(FEATURES, LABELS, **{"width": 16, **options})
    method.remember(batch() if train is None else train)
    return method.eval()


def test_the_published_network_has_the_size_of_its_layers():
    method = tpt.build(tpt.FEATURES, LABELS)
    square = 512 * 512 + 512
    layer = 2 * (1024 * 512 + 512) + square + 1 + 2 * square + 2 * 1024  # keys, values; queries; τ; MLP; norms
    first = layer + 4 * square + 1024  # attention among the queries
    heads = 2 * (512 * 128 + 128 + 128 * 16 + 16)
    pair = 1024 * 512 + 512 + square
    assert sum(p.numel() for p in method.parameters()) == 5 * 512 + first + layer + pair + heads


def test_centres_are_means_of_time_on_a_scale_from_1_to_20():
    attention = torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], [[1.0, 0, 0, 0], [1.0, 0, 0, 0]]])
    clips = torch.tensor([[True, True, True, False], [True, False, False, False]])
    centre, spread = centres(attention, clips)
    torch.testing.assert_close(centre, torch.tensor([[5.75, 20.0], [10.5, 10.5]]))  # clips at 1, 10.5 and 20
    torch.testing.assert_close(spread, torch.tensor([[4.75, 0.0], [0.0, 0.0]]))


def test_the_order_costs_nothing_if_and_only_if_the_margin_is_kept():
    centre = 1 + 19 * torch.rand(4000, 3)
    centre = torch.cat([centre, centre.sort(1).values])
    gaps = torch.cat([centre[:, :1] - 1, centre.diff(), 20 - centre[:, 2:]], 1)
    kept = (gaps >= 2.0).all(1)
    assert kept.any()
    assert torch.equal(order_loss(centre, 2.0) == 0, kept)
    missing = order_loss(torch.tensor([[8.0, 3.0, 12.0]]), 2.0)
    assert missing.tolist() == [7.0]  # 3 − 8 = −5, which is 7 less than 2


def test_centres_are_in_order_after_training():
    """Where features tell the time, which is all that the queries can go by."""

    def timed(seed):
        data = batch(videos=24, clips=10, seed=seed)
        time = torch.linspace(0, 1, 10)[:, None] - torch.linspace(0, 1, 12)
        features = 0.3 * data.features + 3 * (-20 * time.square()).exp()
        return data.replace(streams={"test": Stream(features, torch.ones(24, 10, dtype=torch.bool))})

    train, test = timed(0), timed(1)
    method = grown(train)
    before, _ = centres(method.parser(Stream(test.features, test.clips))[1], test.clips)
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    for _ in range(30):
        optimizer.zero_grad()
        torch.stack(list(method.losses(train).values())).sum().backward()
        optimizer.step()
    centre, _ = centres(method.parser(Stream(test.features, test.clips))[1], test.clips)
    assert not (before.diff() > 0).all()
    assert (centre.diff() > 0).all()


def test_attention_is_that_of_pytorch_over_the_clips_that_are_there():
    """Keys and values of each clip, which the layer never computes; the mask is that of the clips."""
    torch.manual_seed(0)
    layer = tpt.ParsingLayer(12, 16, dropout=0.0, first=False)
    data = batch(videos=4, clips=6)
    clips = torch.arange(6) < torch.tensor([[6], [1], [4], [5]])
    parts, place = torch.randn(4, 5, 16), torch.randn(5, 16)
    found, attention = layer(Stream(data.features, clips), parts, place)
    query, key, value = layer.query(parts + place), layer.key(data.features), layer.value(data.features)
    scale = 1 / (16 * 0.07)
    seen = F.scaled_dot_product_attention(query, key, value, clips[:, None], scale=scale)
    wanted = layer.norms[0](parts + seen)
    torch.testing.assert_close(found, layer.norms[1](wanted + layer.mlp(wanted)))
    weights = F.scaled_dot_product_attention(query, key, torch.eye(6).expand(4, 6, 6), clips[:, None], scale=scale)
    torch.testing.assert_close(attention, weights)


def test_the_heads_learn_ten_times_as_fast_as_the_rest():
    rates = tpt.build(FEATURES, LABELS).rates
    assert rates == {"parser": 0.1, "pair": 0.1}
    parts = {name for name, _ in tpt.build(FEATURES, LABELS).named_children()}
    assert parts - set(rates) == {"pool", "leaf", "position"}  # the pool has no weights


def test_the_losses_of_two_videos_are_those_of_their_pair_in_both_orders():
    train = batch(videos=2).replace(score=torch.tensor([40.0, 31.0]))
    method = grown(train, match="none", sparsity=0.0)
    method.edges = torch.tensor([0.0, 6.0, 12.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0])
    parts, attention = method.parser(Stream(train.features, train.clips))
    good, bad = parts[:1], parts[1:]
    better, off_better = method._compare(bad, good)
    worse, off_worse = method._compare(good, bad)
    terms = method.losses(train)
    # 9 better is the middle of interval 9 (6 … 12), 9 worse that of interval 6
    torch.testing.assert_close(terms["leaf"], -(better[0, 9] + worse[0, 6]) / 2)
    wanted = ((off_better[0, 9] - 0.5) ** 2 + (off_worse[0, 6] - 0.5) ** 2) / 2
    torch.testing.assert_close(terms["position"], wanted)
    centre, _ = centres(attention, train.clips)
    torch.testing.assert_close(terms["order"], order_loss(centre, 3.2).sum(1).mean())
    assert terms["sparsity"] == 0


def test_the_vote_of_an_exemplar_is_its_most_probable_interval():
    method, test = grown(answer="votes", match="none", voters=24), batch(videos=3, seed=1)
    low, width = intervals(method.edges)
    parts = method.parser(Stream(method.moments, method.shown))[0]
    for row, video in enumerate(method.parser(Stream(test.features, test.clips))[0]):
        log_probability, position = method._compare(parts, video.expand_as(parts))
        best = log_probability.argmax(1)
        votes = method.scores + low[best] + width[best] * position.gather(1, best[:, None])[:, 0]
        assert float(method.predict(test).mean[row].detach()) == pytest.approx(float(votes.mean().detach()), rel=1e-5)


def test_the_weight_of_sparsity_is_that_of_the_spread():
    train = batch()
    losses = []
    for sparsity in (0.05, 0.1):
        method = grown(train, sparsity=sparsity)
        torch.manual_seed(3)
        losses.append(float(method.losses(train)["sparsity"].detach()))
    assert losses[0] > 0
    assert losses[1] == pytest.approx(2 * losses[0])


def test_one_clip_one_video_and_one_exemplar_are_enough():
    lone = batch(videos=1, clips=2)
    stream = next(iter(lone.streams.values()))
    lone = lone.replace(streams={"test": Stream(stream.features[:, :1], stream.clips[:, :1])})
    method = grown(lone)
    terms = method.losses(lone)
    assert all(term.isfinite() for term in terms.values())
    assert math.isfinite(float(method.predict(lone).mean))
    assert method.predict(lone).std > 0
