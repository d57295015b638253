"""Methods whose learnt queries read the clips, against their arithmetic in NumPy."""

import numpy as np
import pytest

from aqakit.methods import gdlt
from tests.identities.arithmetic import Array, State, agree, linear, relu, sigmoid
from tests.identities.test_exemplars import attention, norm
from tests.identities.test_heads import WITHIN, at_random, of
from tests.synthetic import FEATURES, LABELS, batch


def normed(x: Array, state: State, name: str) -> Array:
    """Batch norm as it has learnt, (n, D)."""
    scaled = (x - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def fed(x: Array, state: State, name: str) -> Array:
    return linear(relu(linear(x, state, f"{name}.linear1")), state, f"{name}.linear2")


def test_gdlt() -> None:
    """Projection, one layer of self-attention, two in which the queries read the clips, and the mean of the grades."""
    data = batch(videos=4, seed=2)
    method, state = at_random(gdlt.build(FEATURES, LABELS, width=16, dropout=0.0))
    shown, shares = [], []
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
        shown.append(linear(q, state, "read")[:, 0])
        strong = sigmoid(shown[-1])
        shares.append(strong @ np.linspace(0, 1, 4) / strong.sum())
    # what the queries say differs more from video to video than the scores, which at random weights are almost alike
    agree(method.read(method.see(data.streams["test"])).squeeze(2), np.array(shown), WITHIN)
    assert method.predict(data).mean.tolist() == pytest.approx(list(120 * np.array(shares)), rel=1e-6)
