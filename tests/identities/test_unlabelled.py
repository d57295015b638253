"""Schemes that learn from unlabelled videos, around USDL: answers and every loss term, with the same random draws."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from aqakit.methods import mean_teacher, pseudo_label, s4aqa, s4l, vat
from aqakit.types import Batch, Stream
from tests.identities.arithmetic import (
    Array,
    State,
    agree,
    array,
    arrays,
    conv,
    gru,
    linear,
    log_softmax,
    relu,
    softmax,
)
from tests.identities.test_heads import WITHIN, at_random, dense, of, soft
from tests.synthetic import FEATURES, LABELS, batch

BINS = np.arange(101) * 1.2


@pytest.fixture(scope="module")
def data() -> Batch:
    return batch(videos=20, unlabelled=8, seed=4)


def histogram(videos: list[Array], state: State, prefix: str = "base.") -> Array:
    x = dense(np.array([video.mean(0) for video in videos]), state, f"{prefix}trunk.mlp")
    return softmax(linear(x, state, f"{prefix}head.logits"))


def supervised(videos: list[Array], data: Batch, state: State) -> float:
    """USDL's divergence of the labelled videos."""
    known = data.labelled.numpy()
    target = soft(array(data.score)[known], BINS, 24.0)
    shown = histogram([video for video, one in zip(videos, known) if one], state)
    return rel_entr(target, shown).sum(1).mean()


def hidden(data: Batch, labelled: bool) -> list[Array]:
    return [video for video, known in zip(of(data), data.labelled.tolist()) if known == labelled]


def code(video: Array, state: State) -> Array:
    """First stage of the residual encoder: each clip by itself."""
    return relu(linear(video, state, "encoder.own"))


def told(codes: Array, state: State) -> Array:
    """Second stage: a convolution over the codes of three neighbours is added."""
    weight, bias = state["encoder.around.weight"], state["encoder.around.bias"]
    return codes + relu(conv(codes.T[None], weight, bias, pads=[(1, 1)]))[0].T


def entropy(logit: Array, label: float) -> Array:
    return np.logaddexp(0, -logit) if label else np.logaddexp(0, logit)


def test_s4aqa(data: Batch) -> None:
    """A masked segment is recovered from its neighbours; a discriminator tells labelled from unlabelled."""
    method, state = at_random(s4aqa.build(FEATURES, LABELS, width=16, dropout=0.0))
    encoded = [told(code(video, state), state) for video in of(data)]
    agree(method.predict(data).mean, histogram(encoded, state) @ BINS, WITHIN)
    torch.manual_seed(9)
    terms = method.losses(data)
    torch.manual_seed(9)
    free = data.select(~data.labelled)
    places = torch.multinomial(free.clips.float(), 1)[:, 0].tolist()
    agree(terms["divergence"], supervised(encoded, data, state), WITHIN)
    errors, views = [], []
    for video, place in zip(of(free), places):
        codes = code(video, state)
        codes[place] = code(state["token"], state)
        masked = told(codes, state)
        inner = relu(linear(masked[place], state, "decoder.0"))
        errors.append(np.abs(linear(inner, state, "decoder.2") - video[place]).mean())
        views.append(masked.mean(0))
    agree(terms["recovery"], 10 * np.mean(errors), WITHIN)
    known = data.labelled.tolist()
    whole = [(one.mean(0), yes) for one, yes in zip(encoded, known)]
    kinds = (
        ([x for x, yes in whole if yes], 1.0, 1.0),
        ([x for x, yes in whole if not yes], 0.0, 0.5),
        (views, 0.0, 0.5),
    )
    adversarial = 0.0
    for rows, label, share in kinds:
        said = linear(relu(linear(np.array(rows), state, "discriminator.0")), state, "discriminator.2")[:, 0]
        adversarial += share * entropy(said, label).mean()
    agree(terms["adversarial"], 0.1 * adversarial, WITHIN)


def test_s4l(data: Batch) -> None:
    """Three parts of an unlabelled video in one of six orders; a recurrent layer tells which."""
    method, state = at_random(s4l.build(FEATURES, LABELS, width=16))
    encoded = [told(code(video, state), state) for video in of(data)]
    agree(method.predict(data).mean, histogram(encoded, state) @ BINS, WITHIN)
    torch.manual_seed(9)
    terms = method.losses(data)
    torch.manual_seed(9)
    orders = torch.randint(6, (8,)).tolist()
    agree(terms["divergence"], supervised(encoded, data, state), WITHIN)
    loss = 0.0
    for video, order in zip(hidden(data, labelled=False), orders):
        parts = np.array_split(code(video, state), 3)
        shuffled = np.concatenate([parts[part] for part in list(permutations(range(3)))[order]])
        _, last = gru(told(shuffled, state), state, "pool.gru", 0)
        loss -= log_softmax(linear(last, state, "head"))[order] / 8
    agree(terms["order"], loss, WITHIN)


def test_mean_teacher(data: Batch) -> None:
    """The teacher is the plain average in the first steps; the student is drawn to its histograms."""
    method, first = at_random(mean_teacher.build(FEATURES, LABELS, base="usdl:dropout=0", noise=0.0))
    method.epoch = 20  # the end of the ramp
    agree(method.predict(data).mean, histogram(of(data), first) @ BINS, WITHIN)  # no teacher yet
    method.losses(data)
    with torch.no_grad():
        for parameter in method.base.parameters():
            parameter.mul_(-0.5).add_(0.1)
    second = arrays(method)
    terms = method.losses(data)
    teacher = {name: (first[name] + second[name]) / 2 for name in first if name.startswith("base.")}
    taught, said = (histogram(hidden(data, labelled=False), state) for state in (teacher, second))
    agree(terms["divergence"], supervised(of(data), data, second), WITHIN)
    agree(terms["consistency"], rel_entr(taught, said).sum(1).mean(), WITHIN)
    agree(method.predict(data).mean, histogram(of(data), teacher) @ BINS, WITHIN)


def test_vat(data: Batch) -> None:
    """One power iteration towards the change of a tenth of the features' norm that moves the histogram most."""
    method, state = at_random(vat.build(FEATURES, LABELS, base="usdl:dropout=0"))
    agree(method.predict(data).mean, histogram(of(data), state) @ BINS, WITHIN)
    method.double()  # the gradient of a tiny divergence
    stream = data.streams["test"]
    data = data.replace(streams={"test": Stream(stream.features.double(), stream.clips)}, score=data.score.double())
    torch.manual_seed(9)
    terms = method.losses(data)
    torch.manual_seed(9)
    free = data.select(~data.labelled)
    noise = torch.randn(free.features.shape, dtype=torch.float64)
    weights = {name: torch.from_numpy(value) for name, value in state.items()}

    def log_histogram(video: torch.Tensor) -> torch.Tensor:
        x = video.mean(0)
        for layer in (0, 2):
            x = (weights[f"base.trunk.mlp.{layer}.weight"] @ x + weights[f"base.trunk.mlp.{layer}.bias"]).relu()
        return (weights["base.head.logits.weight"] @ x + weights["base.head.logits.bias"]).log_softmax(0)

    def moved(video: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        before = log_histogram(video)
        return (before.exp() * (before - log_histogram(video + change))).sum()

    total = 0.0
    for row, one in enumerate(of(free)):
        video = torch.from_numpy(one)
        start = noise[row][free.clips[row]]
        probe = (0.01 * video.norm() * start / start.norm()).requires_grad_()
        (gradient,) = torch.autograd.grad(moved(video, probe), probe)
        total += float(moved(video, 0.1 * video.norm() * gradient / gradient.norm())) / len(free)
    agree(terms["divergence"], supervised(of(data), data, state), WITHIN)
    agree(terms["smoothness"], total, WITHIN)


def test_pseudo_label(data: Batch) -> None:
    """Half of the unlabelled videos, those with the narrowest histograms, are learnt with the mean as their score."""
    method, _ = at_random(pseudo_label.build(FEATURES, LABELS, base="usdl:dropout=0"))
    state = arrays(method)
    method.epoch = 45  # after two rounds, and the end of the ramp
    terms = method.losses(data)
    chance = histogram(hidden(data, labelled=False), state)
    mean = chance @ BINS
    spread = chance @ BINS**2 - mean**2 + 1.2**2 / 12
    sure = np.argsort(spread)[:4]
    wanted = rel_entr(soft(mean[sure], BINS, 24.0), chance[sure]).sum(1).mean()
    agree(terms["divergence"], supervised(of(data), data, state), WITHIN)
    agree(terms["pseudo_label"], wanted, WITHIN)
    agree(method.predict(data).mean, histogram(of(data), state) @ BINS, WITHIN)
