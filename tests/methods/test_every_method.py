"""The contract of a method, over every method that is discovered."""

import math
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file

from aqakit import discovery
from aqakit.metrics.accuracy import spearman
from aqakit.system import configuration
from aqakit.training.recipe import run_options
from aqakit.training.settings import Settings
from aqakit.types import Stream
from tests.synthetic import LABELS, small
from tests.synthetic import batch as any_batch

NAMES = discovery.names("methods")

CHEAP = {
    "gdlt": {"width": 32},
    "cofinal": {"width": 32},
    "hgcn": {"width": 64},
    "rica2": {"width": 32},
    "tsa": {"moments": 16, "layers": 1},
    "tpt": {"width": 64},
    "t2cr": {"layers": 1},
}
"""Sizes with which a larger method learns in a second."""


@pytest.fixture(params=NAMES)
def module(request):
    return discovery.find("methods", request.param)


@pytest.fixture
def build(module):
    """Builds the method for features of a size for a test."""
    options = CHEAP.get(module.__name__.rpartition(".")[2], {})
    return lambda: module.build(small(module), LABELS, **options)


@pytest.fixture
def method(build):
    torch.manual_seed(0)
    return build()


@pytest.fixture
def batch(module):
    """Makes batches of the features that the method reads."""
    return partial(any_batch, features=small(module))


def remembered(method, train):
    method.remember(train.select(train.labelled))
    return method


def test_names_its_paper_with_a_link(module):
    assert "http" in module.PAPER
    assert discovery.summary(module)


def test_its_options_have_help_and_names_of_their_own(module):
    taken = {o.name for o in (*configuration.options(run_options), *configuration.options(Settings))}
    for option in configuration.options(module.build):
        assert option.help, option.name
        assert option.name not in taken


def test_losses_are_finite_and_reach_every_parameter(method, batch):
    train = batch(unlabelled=8)
    remembered(method, train).train()
    reached = set()
    for epoch in range(10):  # a term may come only every few epochs
        method.epoch = epoch
        terms = method.losses(train)
        assert all(term.shape == () and term.isfinite() for term in terms.values())
        if terms:
            torch.stack(list(terms.values())).sum().backward()
        reached |= {n for n, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {n for n, p in method.named_parameters() if p.requires_grad}


def test_unlabelled_rows_leave_the_losses_finite(method, batch):
    mixed = batch(unlabelled=8)
    remembered(method, mixed).train()
    terms = method.losses(mixed)
    assert all(term.isfinite() for term in terms.values())
    if terms:
        torch.stack(list(terms.values())).sum().backward()
        assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


def test_pairs_teach_every_method_that_learns_by_gradients(method, batch):
    train = batch(unlabelled=8)
    remembered(method, train).train()
    pairs = train.select(torch.arange(24).roll(8))  # 12 better ones, then 12 worse ones; some have no score
    noise = torch.full((12,), 10.0)
    terms = method.pair_losses(pairs, torch.ones(12), noise)
    none = method.pair_losses(pairs, torch.zeros(12), noise)
    assert all(term.shape == () and term.isfinite() for term in terms.values())
    parameters = [p for p in method.parameters() if p.requires_grad]
    if not parameters:  # it is fitted at once, to the scores that pairs give
        return
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad.isfinite().all() for p in parameters if p.grad is not None)
    assert any(p.grad.any() for p in parameters if p.grad is not None)
    assert sum(none.values()) == 0
    assert not terms.keys() & method.losses(train).keys()  # both are summed in a step


def test_quantiles_are_ordered_and_the_mean_is_finite(method, batch):
    answer = remembered(method, batch()).eval().predict(batch(seed=1))
    assert answer.mean.shape == (24,)
    assert answer.mean.isfinite().all()
    assert (answer.quantile(torch.linspace(0.01, 0.99, 21)).diff(dim=-1) >= 0).all()


def test_predict_never_reads_the_score_and_is_deterministic(method, batch):
    test = batch(seed=1)
    remembered(method, batch()).eval()
    first, blind = method.predict(test), method.predict(test.unlabelled())
    assert torch.equal(first.mean, blind.mean)
    assert torch.equal(first.std, blind.std)


def test_padding_changes_nothing(method, batch):
    test = batch(seed=1)
    noisy = {name: _padded(stream) for name, stream in test.streams.items()}
    remembered(method, batch()).eval()
    plain = method.predict(test)
    padded = method.predict(test.replace(streams=noisy))
    torch.testing.assert_close(padded.mean, plain.mean)
    torch.testing.assert_close(padded.std, plain.std)


def _padded(stream):
    """Three more clips of noise, all of which are padding."""
    features = torch.cat([stream.features, stream.features.new_full((24, 3, *stream.features.shape[2:]), 1e3)], 1)
    mask = torch.cat([stream.clips, torch.zeros(24, 3, dtype=torch.bool)], 1)
    return Stream(torch.where(mask.reshape(*mask.shape, *[1] * (features.ndim - 2)), features, 1e3), mask)


def test_a_row_does_not_depend_on_the_rest_of_its_batch(method, batch):
    test = batch(seed=1)
    remembered(method, batch()).eval()
    alone = method.predict(test.select(torch.tensor([3])))
    torch.testing.assert_close(alone.mean, method.predict(test).mean[3:4])


def test_it_survives_saving_and_loading(method, build, tmp_path, batch):
    test = batch(seed=1)
    remembered(method, batch()).eval()
    save_file({n: t.contiguous() for n, t in method.state_dict().items()}, tmp_path / "m.safetensors")
    other = build().eval()
    other.load_state_dict(load_file(tmp_path / "m.safetensors"))
    assert torch.equal(other.predict(test).mean, method.predict(test).mean)


# the signal of the synthetic batch is common to all joints, which pose_dct sees from the head; and it lies in 3 of 12
# channels, which neighbours weigh alike; lite sees nothing in a series of two moments, see test_lite
BLIND = {"pose_dct", "coreg", "lite"}
HEAVY = {"t2cr"}  # takes ten seconds
STEPS = {"raan": 60}  # it learns no scores, only which is higher
LEARNERS = [pytest.param(n, marks=pytest.mark.slow) if n in HEAVY else n for n in NAMES if n not in BLIND]


@pytest.mark.parametrize("module", LEARNERS, indirect=True)
def test_it_learns(module, method, batch):
    train, test = batch(videos=96), batch(videos=48, seed=1)
    remembered(method, train)
    parameters = [p for p in method.parameters() if p.requires_grad]
    if parameters:
        optimizer = torch.optim.Adam(parameters, lr=5e-3)
        for epoch in range(STEPS.get(module.__name__.rpartition(".")[2], 34)):
            method.train().epoch = epoch
            optimizer.zero_grad()
            torch.stack(list(method.losses(train).values())).sum().backward()
            optimizer.step()
    answer = method.eval().predict(test)
    assert spearman(test.score.numpy(), answer.mean.detach().numpy()) > 0.85
    assert math.isfinite(float((answer.mean.detach() - test.score).abs().mean()))


def test_what_it_describes_is_of_the_labels(method, batch):
    test = batch(seed=1)
    remembered(method, batch()).eval()
    said, blind = method.describe(test), method.describe(test.unlabelled())
    for name, probabilities in said.attributes.items():
        assert probabilities.shape == (24, LABELS.attributes[name])
        torch.testing.assert_close(probabilities.sum(1), torch.ones(24))
        assert torch.equal(probabilities, blind.attributes[name])
    assert said.captions == blind.captions
    assert len(said.captions) in (0, 24)
    assert all(0 <= token < len(LABELS.vocabulary) for caption in said.captions for token in caption)
