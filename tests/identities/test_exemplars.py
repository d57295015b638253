"""Methods that compare with clips of exemplars, against their arithmetic in NumPy: votes on the same weights."""

from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from scipy.special import erf

from aqakit.methods import t2cr, tpt, tsa
from aqakit.methods.parts.regression_tree import intervals
from aqakit.types import Batch
from tests.identities.arithmetic import Array, State, agree, array, conv, linear, log_softmax, relu, sigmoid, softmax
from tests.identities.test_heads import WITHIN, at_random, of
from tests.synthetic import FEATURES, LABELS, batch

CENTRE, QUARTER = 60.0, 30.0  # of scores from 0 to 120
ALL = {"voters": 6, "match": "none", "answer": "votes"}


@pytest.fixture(scope="module")
def data() -> Batch:
    return batch(videos=6, seed=5)


def norm(x: Array, state: State, name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(queries: Array, keys: Array, values: Array, state: State, name: str, heads: int = 8) -> Array:
    """Scaled dot products of the heads, (n, D) and (m, D) → (n, D)."""
    weights, biases = (np.split(state[f"{name}.in_proj_{key}"], 3) for key in ("weight", "bias"))
    q, k, v = (x @ w.T + b for x, w, b in zip((queries, keys, values), weights, biases, strict=True))
    parts = [
        softmax(a @ b.T / np.sqrt(a.shape[1])) @ c
        for a, b, c in zip(*(np.split(x, heads, 1) for x in (q, k, v)), strict=True)
    ]
    return linear(np.concatenate(parts, 1), state, f"{name}.out_proj")


def compared(x: Array, other: Array, state: State, layers: int) -> Array:
    """Layers of attention to the other sequence and an MLP with the exact GELU."""
    for layer in range(layers):
        name = f"compare.decoder.blocks.{layer}"
        keys = norm(other, state, f"{name}.of_key")
        x = x + attention(norm(x, state, f"{name}.of_query"), keys, keys, state, f"{name}.attention")
        hidden = linear(norm(x, state, f"{name}.of_mlp"), state, f"{name}.mlp.0")
        x = x + linear(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, state, f"{name}.mlp.2")
    return x


def read(x: Array, state: State) -> float:
    """The score MLP's mean over a sequence."""
    hidden = relu(linear(relu(linear(x, state, "compare.score.hidden.0")), state, "compare.score.hidden.2"))
    return float(linear(hidden, state, "compare.score.value").mean())


def difference(one: list[Array], other: list[Array], state: State, layers: int) -> float:
    """Half the difference between both orders; steps are compared one by one."""

    def forth(a: list[Array], b: list[Array]) -> float:
        return read(np.concatenate([compared(x, y, state, layers) for x, y in zip(a, b, strict=True)]), state)

    return (forth(one, other) - forth(other, one)) / 2


def interpolated(video: Array, moments: int) -> Array:
    """(n, D) → (moments, D), each channel by NumPy."""
    at, there = ((np.arange(count) + 0.5) / count for count in (moments, len(video)))
    return np.stack([np.interp(at, there, channel) for channel in video.T], 1)


def votes(data: Batch, vote: Callable[[int, int], float]) -> Array:
    """The mean over all exemplars of their votes on each video."""
    scores = array(data.score)
    return np.array([np.mean([scores[e] + vote(v, e) for e in range(len(data))]) for v in range(len(data))])


def steps_of(video: Array, state: State) -> list[Array]:
    """The moments of a video, divided at its most likely transitions, five means for each step."""
    x = interpolated(relu(linear(video, state, "segmenter.read")), 16).T[None]

    def layer(x: Array, name: str) -> Array:
        return relu(conv(x, state[f"{name}.weight"], state[f"{name}.bias"], pads=[(1, 1)]))

    levels = []
    for k in range(3):
        x = x + layer(x, f"segmenter.down.{k}")
        levels.append(x)
        x = (x[..., ::2] + x[..., 1::2]) / 2
    x = levels[2]
    for k, finer in enumerate((levels[1], levels[0])):
        x = finer + layer(x.repeat(2, -1), f"segmenter.up.{k}")
    moments = x[0].T
    maps = linear(relu(linear(moments, state, "segmenter.map.0")), state, "segmenter.map.2")
    cuts = max(combinations(range(16), 2), key=lambda way: maps[way[0], 0] + maps[way[1], 1])
    ends = [0.0, *((np.array(cuts) + 0.5) / 16), 1.0]
    running = np.vstack([np.zeros(64), np.cumsum(moments, 0) / 16])  # integral over the recording

    def until(share: Array) -> Array:
        return np.stack([np.interp(share, np.arange(17) / 16, channel) for channel in running.T], 1)

    found = []
    for low, high in pairwise(ends):
        low = min(low, 15 / 16)
        edges = np.linspace(low, max(high, low + 1 / 16), 6)
        found.append(np.diff(until(edges), axis=0) / np.diff(edges)[:, None])
    return found


def test_tsa(data: Batch) -> None:
    """Convolutions over time, the best pair of moments, integrals of steps, and votes of all exemplars."""
    method, state = at_random(tsa.build(FEATURES, LABELS, moments=16, layers=2, **ALL))
    method.remember(data)
    steps = [steps_of(video, state) for video in of(data)]
    agree(
        method.predict(data).mean,
        votes(data, lambda v, e: QUARTER * difference(steps[v], steps[e], state, 2)),
        WITHIN,
    )


def parse(video: Array, state: State) -> Array:
    """Two layers: the queries attend to the clips, and among each other in the first."""
    queries = state["parser.queries"]
    parts = np.zeros_like(queries)
    for layer in range(2):
        name = f"parser.layers.{layer}"
        keys, values = (linear(video, state, f"{name}.{key}") for key in ("key", "value"))
        logits = linear(parts + queries, state, f"{name}.query") @ keys.T / keys.shape[1]
        parts = norm(parts + softmax(logits / state[f"{name}.temperature"]) @ values, state, f"{name}.norms.0")
        hidden = relu(linear(parts, state, f"{name}.mlp.0"))
        parts = norm(parts + linear(hidden, state, f"{name}.mlp.3"), state, f"{name}.norms.1")
        if layer == 0:
            own = parts + queries
            parts = norm(parts + attention(own, own, parts, state, f"{name}.among"), state, f"{name}.norms.2")
    return parts


def test_tpt(data: Batch) -> None:
    """The most probable interval of each exemplar, from the mean over parts."""
    method, state = at_random(tpt.build(FEATURES, LABELS, width=16, **ALL))
    with torch.no_grad():
        for layer in method.parser.layers:
            layer.temperature.fill_(0.2)
    state |= {f"parser.layers.{k}.temperature": np.array(0.2) for k in range(2)}
    method.remember(data)
    low, width = (array(x) for x in intervals(method.edges))
    parts = [parse(video, state) for video in of(data)]

    def vote(video: int, exemplar: int) -> float:
        pair = np.concatenate([parts[exemplar], parts[video]], 1)
        pair = linear(relu(linear(pair, state, "pair.0")), state, "pair.3").mean(0)
        chance, place = (
            linear(relu(linear(pair, state, f"{head}.0")), state, f"{head}.2") for head in ("leaf", "position")
        )
        best = log_softmax(chance).argmax()
        return float(low[best] + width[best] * sigmoid(place)[best])

    agree(method.predict(data).mean, votes(data, vote), WITHIN)


def attend(x: Array, state: State) -> Array:
    """Excitation of channels, weights of moments and of channels, projection: (10, D) → (10, 64)."""
    x = x * sigmoid(linear(relu(linear(x.mean(0), state, "attend.excite.0")), state, "attend.excite.2"))

    def moment(summary: Array) -> Array:
        return linear(relu(linear(summary, state, "attend.moment.0")), state, "attend.moment.2")

    weighed = x * sigmoid(moment(x.max(1)) + moment(x.mean(1)))[:, None]
    summary = np.stack([weighed.max(0), weighed.mean(0)])[None]
    weight = conv(summary, state["attend.channel.weight"], state["attend.channel.bias"], pads=[(1, 1)])
    x = x + weighed * sigmoid(weight[0, 0])
    return relu(linear(relu(linear(x, state, "attend.project.0")), state, "attend.project.2"))


def test_t2cr(data: Batch) -> None:
    """Half what is read from the full view, half the exemplar and the difference of both views."""
    method, state = at_random(t2cr.build(FEATURES, LABELS, layers=2, **ALL))
    method.remember(data)
    full = [attend(interpolated(video, 10), state) for video in of(data)]
    thin = [attend(relu(linear(interpolated(v, 8).T, state, "lift.0")).T, state) for v in of(data)]
    both = [[np.concatenate(views)] for views in zip(full, thin, strict=True)]
    compared_ = votes(data, lambda v, e: QUARTER * difference(both[v], both[e], state, 2))
    direct = np.array([CENTRE + QUARTER * read(view, state) for view in full])
    agree(method.predict(data).mean, (compared_ + direct) / 2, WITHIN)
