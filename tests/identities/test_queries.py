"""Methods whose learnt queries read the clips, against their arithmetic in NumPy."""

import numpy as np
import pytest
from scipy.special import erf

from aqakit.methods import cofinal, gdlt, rica2
from aqakit.types import Batch
from tests.identities.arithmetic import Array, State, agree, array, conv, linear, relu, sigmoid
from tests.identities.test_exemplars import attention, norm
from tests.identities.test_heads import WITHIN, at_random, of
from tests.synthetic import FEATURES, LABELS, batch


def normed(x: Array, state: State, name: str) -> Array:
    """Batch norm as it has learnt, (n, D)."""
    scaled = (x - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def fed(x: Array, state: State, name: str) -> Array:
    return linear(relu(linear(x, state, f"{name}.linear1")), state, f"{name}.linear2")


def seen(data: Batch, state: State) -> list[Array]:
    """Projection, one layer of self-attention, and two in which the queries read the clips: (4, 16) for each video."""
    found = []
    for video in of(data, "test"):
        x = relu(normed(linear(video, state, "see.project.first"), state, "see.project.first_norm"))
        x = normed(linear(x, state, "see.project.second"), state, "see.project.second_norm")
        layer = "see.encoder.layers.0"
        x = norm(x + attention(x, x, x, state, f"{layer}.self_attn"), state, f"{layer}.norm1")
        x = norm(x + fed(x, state, layer), state, f"{layer}.norm2")
        q = state["see.queries"]
        for number in range(2):
            layer = f"see.decoder.layers.{number}"
            q = norm(q + attention(q, q, q, state, f"{layer}.self_attn"), state, f"{layer}.norm1")
            q = norm(q + attention(q, x, x, state, f"{layer}.multihead_attn"), state, f"{layer}.norm2")
            q = norm(q + fed(q, state, layer), state, f"{layer}.norm3")
        found.append(q)
    return found


def test_gdlt() -> None:
    """The mean of the grades, by what each query shows."""
    data = batch(videos=4, seed=2)
    method, state = at_random(gdlt.build(FEATURES, LABELS, width=16, dropout=0.0))
    shown = [linear(q, state, "read")[:, 0] for q in seen(data, state)]
    shares = [sigmoid(x) @ np.linspace(0, 1, 4) / sigmoid(x).sum() for x in shown]
    # what the queries say differs more from video to video than the scores, which at random weights are almost alike
    agree(method.read(method.see(data.streams["test"])).squeeze(2), np.array(shown), WITHIN)
    assert method.predict(data).mean.tolist() == pytest.approx(list(120 * np.array(shares)), rel=1e-6)


def test_cofinal() -> None:
    """Two readers with a row for each query, the attention among queries, and the frame of a simplex."""
    data = batch(videos=4, seed=2)
    method, state = at_random(cofinal.build(FEATURES, LABELS, width=16, dropout=0.0))
    frame = state["frame"]
    wanted, losses = [], []
    for q, score in zip(seen(data, state), array(data.score), strict=True):
        strong, weak = (sigmoid(np.diagonal(linear(q, state, name))) for name in ("level", "missing"))
        share, missing = strong @ np.linspace(0, 1, 4) / strong.sum(), weak @ np.linspace(1, 0, 4) / weak.sum()
        x = attention(q, q, q, state, "among", heads=4).ravel()
        vector = linear(linear(x, state, "step.1"), state, "step.2")
        vector = vector / np.sqrt((vector**2).sum())
        wanted.append((share, missing, (vector @ frame).argmax(), vector))
        level, step = divmod(round(score / 120 * 10_000), 100)
        losses.append(
            [(share - level / 100) ** 2, (missing - 1 + level / 100) ** 2, abs(vector - frame[:, step]).mean()]
        )
    found = method._read(method.see(data.streams["test"]))
    agree(found[2], np.array([row[3] for row in wanted]), WITHIN)
    answers = [120 * ((share + 1 - missing) / 2 + step / 10_000) for share, missing, step, _ in wanted]
    assert method.predict(data).mean.tolist() == pytest.approx(answers, rel=1e-6)
    terms, means = method.losses(data), np.array(losses).mean(0)
    unit = 1 / 4  # without training scores, a quarter of the scale
    for name, mean in zip(
        ("level", "missing", "step"), (means[0] / unit**2, means[1] / unit**2, means[2]), strict=True
    ):
        agree(terms[name], mean, WITHIN)


def gelu(x: Array) -> Array:
    return x * (1 + erf(x / np.sqrt(2))) / 2


@pytest.mark.parametrize("draws", [0, 5])
def test_rica2(draws: int) -> None:
    """Two convolutions, two layers of each attention, draws of the steps, and the mean of three stages."""
    data = batch(videos=5, seed=2)
    method, state = at_random(rica2.build(FEATURES, LABELS, width=16, draws=draws))
    method.remember(data)
    noise = array(rica2.fixed_noise(draws, 3, 8)) if draws else np.zeros((1, 3, 8))
    scores = []
    for video, named in zip(of(data), data.steps.tolist(), strict=True):
        x = video.T[None]
        for name in ("first", "second"):
            x = relu(conv(x, state[f"encode.{name}.weight"], state[f"encode.{name}.bias"], pads=[(1, 1)]))
        x = x[0].T
        for number in range(2):
            layer = f"encode.layers.layers.{number}"
            y = norm(x, state, f"{layer}.norm1")
            x = x + attention(y, y, y, state, f"{layer}.self_attn")
            y = gelu(linear(norm(x, state, f"{layer}.norm2"), state, f"{layer}.linear1"))
            x = x + linear(y, state, f"{layer}.linear2")
        steps = state["queries.learnt.weight"][named]
        for number in range(2):
            layer = f"layers.{number}"
            y, keys = norm(steps, state, f"{layer}.of_step"), norm(x, state, f"{layer}.of_clip")
            steps = steps + attention(y, keys, keys, state, f"{layer}.attention")
            y = gelu(linear(norm(steps, state, f"{layer}.of_mlp"), state, f"{layer}.mlp.0"))
            steps = steps + linear(y, state, f"{layer}.mlp.2")
        shown = relu(linear(norm(steps, state, "show.0"), state, "show.1"))
        deviation = np.zeros_like(shown)
        if draws:
            both = linear(relu(linear(shown, state, "spread.0")), state, "spread.2")
            shown, deviation = both[:, :8], np.exp(4 * np.tanh(both[:, 8:] / 8))
        drawn = shown + noise * deviation  # three steps, each of which is a stage
        joined = linear(relu(linear(drawn, state, "head.join.0")), state, "head.join.2").mean(1)
        hidden = relu(linear(joined, state, "head.hidden.0"))
        scores.append(60 + 30 * linear(hidden, state, "head.point.value")[:, 0])
    found, wanted = method.predict(data), np.array(scores)
    agree(found.mean, wanted.mean(1), WITHIN)
    if draws:
        agree(found.std, wanted.std(1, ddof=1), WITHIN)
    else:
        error = ((wanted[:, 0] - array(data.score)) ** 2).mean() / 30**2
        agree(method.losses(data)["squared_error"], error, WITHIN)
