"""Models that are trained as one learn what they learn alone."""

import pytest
import torch
from torch import nn

from aqakit import discovery
from aqakit.training import epoch, loop
from aqakit.training.assessor import Assessor, Losses, Standardise
from aqakit.training.batches import CachedFeatures, share_memory
from aqakit.training.comparisons import PairBatch
from aqakit.training.settings import Settings
from aqakit.training.stacked import Stacked, can_stack
from aqakit.training.state import Member
from tests.synthetic import LABELS, batch, small
from tests.training.test_loop import source

NAMES = discovery.names("methods")


def models(name: str, count: int = 3, **options) -> list[Assessor]:
    module = discovery.find("methods", name)
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        method = module.build(small(module), LABELS, **options)
        made.append(Assessor(method, Standardise({}), {}, target="score", fuse="none"))
    return made


def stackable() -> list[str]:
    return [name for name in NAMES if can_stack(models(name, 2))]


def test_heads_without_branches_on_values_are_stacked():
    assert {"dae", "regression", "usdl"} <= set(stackable())


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("name", stackable())
def test_losses_and_gradients_are_those_of_each_model_alone(name, paired):
    alone = models(name)
    data = batch(features=small(discovery.find("methods", name)))
    parts = [data.select(torch.arange(8 * k, 8 * k + 8)) for k in range(3)]
    told = PairBatch(data, torch.linspace(0, 2, 12), torch.linspace(5, 20, 12)) if paired else None
    own = [told and PairBatch(part, *(one[4 * k : 4 * k + 4] for one in (told.weight, told.noise)))
           for k, part in enumerate(parts)]  # fmt: skip
    for model in alone:
        model.train().begin_epoch(9)
    losses, gradients = [], []
    for model, part, pairs in zip(alone, parts, own, strict=True):
        torch.manual_seed(5)
        terms = Losses(model)(part, pairs)
        found = torch.autograd.grad(sum(terms.values()), list(model.parameters()))
        losses.append({n: float(v.detach()) for n, v in terms.items()})
        gradients.append(found)
    stacked = Stacked(alone)
    stacked._losses = stacked._for_all("same")
    torch.manual_seed(5)  # of dropout and noise
    terms = stacked(data.replace(complete=True), told)
    sum(terms.values()).sum().backward()
    for k in range(3):
        assert {n: float(v[k].detach()) for n, v in terms.items()} == pytest.approx(losses[k], rel=1e-5)
        for weight, gradient in zip(stacked.weights, gradients[k], strict=True):
            torch.testing.assert_close(weight.grad[k], gradient, rtol=1e-4, atol=1e-6)


def members(data: CachedFeatures, name: str = "regression", **options) -> list[Member]:
    parts = [torch.arange(len(data)) % 3 == k for k in range(3)]
    return [
        Member(model, data.subset((~part).nonzero().squeeze(1)), data.subset(part.nonzero().squeeze(1)), seed=k)
        for k, (model, part) in enumerate(zip(models(name, **options), parts, strict=True))
    ]


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("videos", [24, 20])
def test_a_fit_gives_the_numbers_of_models_trained_one_by_one(monkeypatch, clip, videos):
    settings = Settings(epochs=6, batch_size=4, learning_rate=1e-2, clip_norm=clip)
    data = source(0, videos=videos)
    joint = loop.fit(members(data, dropout=0.0), {"test": source(1)}, settings)
    monkeypatch.setattr(epoch, "can_stack", lambda models: False)
    alone = loop.fit(members(data, dropout=0.0), {"test": source(1)}, settings)
    for name in ("held-out", "test"):
        for one, other in zip(joint.predictions[name], alone.predictions[name], strict=True):
            torch.testing.assert_close(one.mean, other.mean, rtol=1e-3, atol=1e-2)
    losses = [[epoch["squared_error"] for epoch in history.losses] for history in (joint, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_dropout_differs_between_models():
    one, other = models("dae", 2, dropout=0.5)
    other.load_state_dict(one.state_dict())
    rows = torch.arange(8).repeat(2)  # the same rows for both
    terms = Stacked([one, other]).train()(batch().select(rows).replace(complete=True))
    assert not torch.equal(*terms["likelihood"].detach())


def test_gradients_are_clipped_as_torch_clips_those_of_one_model():
    alone = models("dae", 3)
    stacked = Stacked(alone)
    generator = torch.Generator().manual_seed(0)
    for weight in stacked.weights:
        weight.grad = torch.randn(weight.shape, generator=generator) * torch.tensor([1e-4, 0.1, 10.0]).reshape(
            -1, *[1] * (weight.ndim - 1)
        )
    for k, model in enumerate(alone):
        for one, weight in zip(model.parameters(), stacked.weights, strict=True):
            one.grad = weight.grad[k].clone()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    stacked.clip_gradients(1.0)
    for k, model in enumerate(alone):
        for one, weight in zip(model.parameters(), stacked.weights, strict=True):
            torch.testing.assert_close(weight.grad[k], one.grad)


def test_models_see_the_stacked_weights_and_are_apart_again_afterwards():
    first, second = models("regression", 2)
    stacked = Stacked([first, second])
    with torch.no_grad():
        stacked.weights[0][1].fill_(3.0)
    name = stacked._names[0]
    assert bool((second.get_parameter(name) == 3).all())
    assert not bool((first.get_parameter(name) == 3).any())
    stacked.separate()
    with torch.no_grad():
        stacked.weights[0].zero_()
    assert bool((second.get_parameter(name) == 3).all())


def test_unlabelled_rows_and_other_kinds_of_sources_are_trained_one_by_one():
    labelled, mixed = source(0), source(0, unlabelled=6)
    assert share_memory([labelled.subset(torch.arange(3)), labelled.subset(torch.arange(5))])
    assert not share_memory([mixed, mixed])
    assert not share_memory([labelled, source(0)])
    assert not can_stack(models("regression", 1))
    assert not can_stack(models("regression", 2, pooling="recurrent"))
    assert not can_stack(models("regression", 2, hidden=(2000, 1000)))  # too large for a CPU's cache
