import pytest
import torch
from torch import distributions

from aqakit.methods import core_dae
from aqakit.methods.parts.regression_tree import intervals
from tests.synthetic import FEATURES, LABELS, batch

SMALL = {"depth": 4, "node_width": 16, "voters": 3}


def grown(**options):
    method = core_dae.build(FEATURES, LABELS, **SMALL, **options)
    method.remember(batch())
    return method.eval()


def test_each_leaf_has_one_more_output_than_core():
    method = core_dae.build(core_dae.FEATURES, LABELS)
    assert sum(p.numel() for p in method.parameters()) == 2_510_382 + 16 * (256 + 1)


def test_the_position_loss_is_the_likelihood_of_a_normal():
    outputs, position = torch.randn(50, 2).double(), torch.rand(50).double()
    spread = (4 * torch.tanh(outputs[:, 1] / 8)).exp()
    exact = torch.nn.functional.gaussian_nll_loss(outputs[:, 0], position, spread.square(), reduction="none")
    halves = grown(alpha=0.5, beta=0.5).position_loss(outputs, position)
    torch.testing.assert_close(halves, exact)
    dae = 0.6 * ((position - outputs[:, 0]) / spread).square() + 0.4 * spread.square().log()
    torch.testing.assert_close(grown().position_loss(outputs, position), dae)


def test_the_answer_is_the_mixture_of_all_leaves_of_all_voters():
    method, test = grown(), batch(seed=1)
    answer = method.predict(test)
    log_probability, outputs, _ = method.votes(test)
    low, width = intervals(method.edges)
    exemplar = method.scores[method.voters_of(test, method.pool(test.features, test.clips))][..., None]
    leaves = distributions.Normal(
        exemplar + low + width * outputs[..., 0], width * (4 * torch.tanh(outputs[..., 1] / 8)).exp()
    )
    weights = distributions.Categorical(log_probability.exp().flatten(1) / SMALL["voters"])
    reference = distributions.MixtureSameFamily(
        weights, distributions.Normal(leaves.loc.flatten(1), leaves.scale.flatten(1))
    )
    torch.testing.assert_close(answer.mean, reference.mean)
    torch.testing.assert_close(answer.std, reference.stddev)
    torch.testing.assert_close(answer.log_prob(test.score), reference.log_prob(test.score))


def test_the_spread_learns_how_far_positions_are_off():
    """Where features say nothing of the score, the learnt spread of a position nears that of the scores."""
    method = core_dae.build(FEATURES, LABELS, depth=2, node_width=8, alpha=0.5, beta=0.5)
    train = batch(videos=200)
    train = train.replace(
        score=torch.rand(200) * 120,
        streams={"test": type(train.streams["test"])(torch.zeros_like(train.features), train.clips)},
    )
    method.remember(train)
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        torch.stack(list(method.losses(train).values())).sum().backward()
        optimizer.step()
    answer = method.eval().predict(
        batch(seed=1).replace(streams={"test": train.streams["test"].select(torch.arange(24))})
    )
    truth = distributions.Uniform(0.0, 120.0)
    assert answer.std.tolist() == pytest.approx([float(truth.stddev)] * 24, rel=0.15)
    assert answer.mean.tolist() == pytest.approx([float(truth.mean)] * 24, abs=8)
