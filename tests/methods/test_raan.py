"""RAAN: each loss moves its part alone, pairs give what their scores give, and the published size."""

import pytest
import torch
from torch.nn.functional import margin_ranking_loss

from aqakit.methods import raan
from aqakit.types import Stream
from tests.synthetic import FEATURES, LABELS, batch


@pytest.fixture
def method():
    torch.manual_seed(0)
    made = raan.build(FEATURES, LABELS)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def pairs(count=12):
    return batch(videos=2 * count), torch.ones(count), torch.ones(count)


def test_the_ranking_loss_is_torchs(method):
    videos, weight, noise = pairs()
    terms, said = method.pair_losses(videos, weight, noise), method._scores(videos)
    scores = [said.filters[name].mean(1) for name in raan.BRANCHES] + [said.plain]
    expected = sum(margin_ranking_loss(*one.chunk(2), torch.ones(12), margin=1.0) for one in scores)
    torch.testing.assert_close(terms["pairs_ranking"], expected)


def test_ranking_moves_the_scorers_and_the_others_the_attention(method):
    videos, weight, noise = pairs()
    terms = method.pair_losses(videos, weight, noise)
    for name, term in terms.items():
        method.zero_grad()
        term.backward(retain_graph=True)
        moved = {n for n, p in method.named_parameters() if p.grad is not None and p.grad.any()}
        attention = {n for n, _ in method.named_parameters() if ".filters." in n}
        assert moved, name
        assert not moved & attention if name == "pairs_ranking" else moved <= attention


def test_what_these_losses_move_has_the_rate_of_the_attention(method):
    named = {
        f"{part}.{n}": rate
        for part, rate in method.rates.items()
        for n, _ in method.get_submodule(part).named_parameters()
    }
    assert named == {n: 0.1 for n, _ in method.named_parameters() if ".filters." in n}


def test_filters_that_share_no_clip_do_not_overlap(method):
    features = torch.zeros(1, 3, 12)
    features[0, :, :3] = 50 * torch.eye(3)
    for branch in method.branches.values():
        for k, one in enumerate(branch.filters):
            torch.nn.init.zeros_(one[0].bias)
            torch.nn.init.zeros_(one[0].weight)
            torch.nn.init.ones_(one[2].weight)
            one[0].weight.data[:, k] = 1.0  # looks at clip k alone
    data = batch(videos=1).replace(streams={"test": Stream(features, torch.ones(1, 3, dtype=torch.bool))})
    assert method._scores(data).overlap["pros"].item() == pytest.approx(0, abs=1e-5)
    same = batch(videos=1).replace(streams={"test": Stream(features[:, :1], torch.ones(1, 1, dtype=torch.bool))})
    assert method._scores(same).overlap["cons"].item() == pytest.approx(6**0.5)  # ones off the diagonal


def test_all_pairs_of_a_batch_are_those_of_its_scores(method):
    data = batch(videos=6)
    better, worse = (data.score[:, None] > data.score).nonzero(as_tuple=True)
    both = data.select(torch.cat([better, worse]))
    expected = method.pair_losses(both, torch.ones(len(better)), torch.ones(len(better)))
    for name, term in method.losses(data).items():
        torch.testing.assert_close(expected[f"pairs_{name}"], term)


def test_the_answer_is_within_two_spreads_of_the_training_scores(method):
    data = batch()
    method.start(data)
    for size in (1.0, 1e4):
        stream = data.streams["test"]
        wild = data.replace(streams={"test": Stream(stream.features * size, stream.clips)})
        apart = (method.predict(wild).mean - data.score.mean()).abs() / data.score.std(correction=0)
        assert apart.max().item() <= 2 + 1e-5


def test_the_published_network_has_its_size():
    made = raan.build(raan.FEATURES, LABELS)
    filters = 3 * (1024 * 256 + 256 + 256)  # without the bias that softmax cancels
    assert sum(p.numel() for p in made.parameters()) == 2 * (filters + 1025) + 1025
