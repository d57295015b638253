"""HGCN, JRG, ST-GCN and STGCN-rehab against sums over clips, joints, bones and frames, from papers and public code."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from aqakit.methods import hgcn, jrg, st_gcn, stgcn_rehab
from aqakit.types import Batch, FeatureSpec
from tests.identities.arithmetic import Array, Norms, State, agree, array, arrays, conv, linear, lstm, relu, softmax
from tests.identities.test_exemplars import interpolated
from tests.identities.test_heads import CENTRE, QUARTER, WITHIN, at_random, of
from tests.synthetic import FEATURES, LABELS, batch

EDGES = ((0, 1), (1, 2), (1, 3), (3, 4))
GRAPH = ",".join(f"{a}-{b}" for a, b in EDGES)
BONES = np.array([[0, 1, 2, 2, 3], [1, 0, 1, 1, 2], [2, 1, 0, 2, 3], [2, 1, 2, 0, 1], [3, 2, 3, 1, 0]])
"""Bones between joints of that graph, counted by hand."""


def masks() -> list[Array]:
    """As the public code makes them: powers of A + I, each without the one before."""
    adjacency = np.eye(5)
    for a, b in EDGES:
        adjacency[a, b] = adjacency[b, a] = 1
    powers = [np.linalg.matrix_power(adjacency, k) > 0 for k in range(1, 5)]
    rings = [powers[0], *(now & ~before for before, now in pairwise(powers))]
    return [ring.astype(float) for ring in rings if ring.any()]


def encoded(x: Array, state: State, name: str, modalities: int) -> Array:
    parts = np.split(x, modalities, -1)
    return relu(np.concatenate([linear(part, state, f"{name}.layers.{k}") for k, part in enumerate(parts)], -1))


@pytest.mark.parametrize("transposed", [False, True])
def test_jrg(transposed: bool) -> None:
    """Twelve modules, each 256 numbers, their mean over joints, segments and modules; one joint at a time."""
    spec = FeatureSpec({"joints": (5, 12), "whole": (12,)})
    data = batch(videos=6, features=spec)
    options = {"graph": GRAPH, "modalities": 2, "dropout": 0.0, "transposed": transposed}
    method, state = at_random(jrg.build(spec, LABELS, **options))
    spatial, temporal = (np.abs(state[f"relations.{name}"]) for name in ("spatial", "temporal"))
    said = []
    for x, whole in zip(of(data, "joints"), of(data, "whole")):
        later, whole_later = (np.concatenate([v[1:], v[-1:]]) for v in (x, whole))
        modules = [encoded(x, state, "joints.commonality", 2).mean((0, 1))]
        modules += [encoded(v, state, f"whole.{n}", 2).mean(0) for n, v in
                    (("itself", whole), ("change", np.abs(whole_later - whole)))]  # fmt: skip
        for hop, mask in enumerate(masks()):
            common, difference, change = np.zeros((3, *x.shape))
            for i, j in np.argwhere(mask):
                common[:, i] += (spatial[hop, j, i] if transposed else spatial[hop, i, j]) * x[:, j]
                weight, weight_later = (state[f"relations.{n}_weight"][hop, j] for n in ("spatial", "temporal"))
                difference[:, i] += spatial[hop, i, j] * weight * (x[:, j] - x[:, i])
                change[:, i] += temporal[hop, i, j] * weight_later * (later[:, j] - x[:, i])
            for name, value in (("commonality", common), ("difference", difference), ("change", change)):
                modules.append(encoded(value, state, f"joints.{name}", 2).mean((0, 1)))
        said.append(np.mean(modules, 0))
    hidden = relu(linear(np.array(said), state, "regressor.1"))
    wanted = CENTRE + QUARTER * linear(hidden, state, "head.value")[:, 0]
    agree(method.predict(data).mean, wanted, WITHIN)
    loss = ((wanted - array(data.score)) ** 2).mean() / QUARTER**2
    agree(method.losses(data)["squared_error"], loss, WITHIN)


def subsets(partition: str) -> Array:
    """(K, to, from): weights of the neighbours, whose mean is taken."""
    near = BONES <= 1
    centre = BONES[1].astype(float)  # joint 1 has the smallest sum
    if partition == "spatial-public":
        centre[centre > 1] = np.inf
    found = []
    for k in range(3 if partition.startswith("spatial") else 2):
        one = np.zeros((5, 5))
        for i, j in np.argwhere(near):
            kind = int(i != j)
            if partition == "spatial":
                kind = 0 if centre[j] == centre[i] else 1 if centre[j] < centre[i] else 2
            elif partition == "spatial-public" and i != j:
                kind = 2 if centre[j] < centre[i] else 1
            one[i, j] = (kind == k) / near[i].sum()
        found.append(one)
    return np.array(found)


def st_gcn_reference(data: Batch, state: State, partition: str, training: bool) -> tuple[Array, Norms]:
    norms, graph = Norms(state, 1e-5, 0.1, training), subsets(partition)
    lengths = [len(video) for video in of(data)]

    def normed(videos: list[Array], name: str) -> list[Array]:
        """Over all frames and joints of all videos at once: (T, J, C) each."""
        joined = np.concatenate(videos).reshape(-1, videos[0].shape[-1])
        parts = np.split(norms(joined, name), np.cumsum([v.size // v.shape[-1] for v in videos])[:-1])
        return [part.reshape(video.shape) for part, video in zip(parts, videos)]

    x = normed([video.reshape(len(video), 1, -1) for video in of(data)], "norm")
    x = [video.reshape(n, 5, -1) for video, n in zip(x, lengths)]
    for unit, stride in enumerate((1, 1, 2)):
        name = f"units.{unit}"
        weights = graph * state[f"{name}.importance"]
        mixed = []
        for video in x:
            split = linear(video, state, f"{name}.spatial").reshape(len(video), 5, 3 if len(graph) == 3 else 2, -1)
            mixed.append(sum(weights[k] @ split[:, :, k] for k in range(len(graph))))
        mixed = [relu(video) for video in normed(mixed, f"{name}.before")]
        kernel, bias = state[f"{name}.temporal.weight"], state[f"{name}.temporal.bias"]
        pad = kernel.shape[2] // 2
        passed = [conv(video.transpose(1, 2, 0), kernel, bias, stride=[stride], pads=[(pad, pad)]) for video in mixed]
        passed = normed([video.transpose(2, 0, 1) for video in passed], f"{name}.after")
        short: list[Array] = [video[::stride] for video in x]
        if f"{name}.shortcut.weight" in state:
            short = normed([linear(video, state, f"{name}.shortcut") for video in short], f"{name}.shortcut_norm")
        x = [relu(video + (0 if unit == 0 else direct)) for video, direct in zip(passed, short)]
    pooled = np.array([video.mean((0, 1)) for video in x])
    return CENTRE + QUARTER * linear(pooled, state, "head.value")[:, 0], norms


@pytest.mark.parametrize("partition", ["distance", "spatial", "spatial-public"])
@pytest.mark.parametrize("training", [False, True])
def test_st_gcn(partition: str, training: bool) -> None:
    """Each video by itself, without padding; in training, the statistics of all frames that there are."""
    spec = FeatureSpec({"skeleton": (5, 3)})
    data = batch(videos=6, clips=9, features=FeatureSpec({"skeleton": (5, 12)}))
    stream = data.streams["skeleton"]
    data = data.replace(streams={"skeleton": type(stream)(stream.features[..., :3], stream.clips)})
    options = {"graph": GRAPH, "partition": partition, "channels": (8, 8, 16), "kernel": 3}
    method, _ = at_random(st_gcn.build(spec, LABELS, **options))
    for name, tensor in [*method.named_buffers(), *method.named_parameters()]:
        if "running_mean" in name:
            torch.nn.init.uniform_(tensor, -0.5, 0.5)
        if "running_var" in name or "importance" in name:
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    state = arrays(method)
    method.train(training)
    wanted, norms = st_gcn_reference(data, state, partition, training)
    agree(method.predict(data).mean, wanted, 1e-4 if training else WITHIN)
    for name, value in norms.after.items():
        agree(method.get_buffer(name), value, 1e-4)


def over_time(x: Array, state: State, name: str) -> Array:
    """(T, J, C) → (T, J, C'), each joint by itself; a kernel of even size reaches one frame farther ahead."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    pad = ((weight.shape[2] - 1) // 2, weight.shape[2] // 2)
    return relu(conv(x.transpose(1, 2, 0), weight, bias, pads=[pad])).transpose(2, 0, 1)


def attended(x: Array, state: State, name: str, reach: int, recurrent: bool) -> Array:
    """Frame by frame and joint by joint: a mean over the joints that are near, weighted by softmax."""
    value = relu(linear(x, state, f"{name}.value"))
    if recurrent:
        logits = np.stack([lstm(value[:, i], state, f"{name}.attention") for i in range(5)], 1)
    else:
        logits = linear(value, state, f"{name}.attention")
    logits = np.where(logits > 0, logits, 0.2 * logits)
    found = np.zeros_like(value)
    for t, i in np.ndindex(len(x), 5):
        near = np.flatnonzero(BONES[i] <= reach)
        found[t, i] = softmax(logits[t, i, near]) @ value[t, near]
    return found


@pytest.mark.parametrize("attention", ["plain", "recurrent"])
@pytest.mark.parametrize("training", [False, True])
def test_stgcn_rehab(attention: str, training: bool) -> None:
    """Each video by itself, without padding; the Huber loss by its two pieces."""
    spec = FeatureSpec({"skeleton": (5, 12)})
    data = batch(videos=6, clips=9, features=spec)
    options = {"graph": GRAPH, "width": 6, "joined": 4, "blocks": 2, "lstm": (7, 5), "attention": attention}
    method, _ = at_random(stgcn_rehab.build(spec, LABELS, **options))
    torch.nn.init.uniform_(method.norm.running_mean, -0.5, 0.5)
    torch.nn.init.uniform_(method.norm.running_var, 0.5, 1.5)
    state = arrays(method)
    method.train(training)
    lengths = [len(video) for video in of(data)]
    rows = Norms(state, 1e-5, 0.1, training)(np.concatenate([v.reshape(len(v), -1) for v in of(data)]), "norm")
    states = []
    for x in np.split(rows, np.cumsum(lengths)[:-1]):
        x = x.reshape(len(x), 5, -1)
        for number in range(2):
            name, before = f"blocks.{number}", x
            x = np.concatenate([x, over_time(x, state, f"{name}.first")], -1)
            x = np.concatenate(
                [attended(x, state, f"{name}.hops.{k}", k + 1, attention == "recurrent") for k in (0, 1)], -1
            )
            joined = [x]
            for k in range(3):
                joined.append(over_time(joined[-1], state, f"{name}.joined.{k}"))
            x = np.concatenate(joined[1:], -1) + (before if number else 0)
        x = x.reshape(len(x), -1)
        for layer in (0, 1):
            x = lstm(x, state, f"layers.{layer}")
        states.append(x[-1])
    wanted = CENTRE + QUARTER * linear(np.array(states), state, "head.value")[:, 0]
    agree(method.predict(data).mean, wanted, 1e-4 if training else WITHIN)
    wrong = np.abs(wanted - array(data.score)) / QUARTER
    loss = np.where(wrong < 0.1, wrong**2 / 2, 0.1 * (wrong - 0.05)).mean()
    agree(method.losses(data)["huber"], loss, 1e-4)


def grouped(x: Array, state: State, name: str, groups: int) -> Array:
    """A 1 × 1 convolution (n, C) → (n, C'), in which each group of channels has its own weights."""
    parts = np.split(x, groups, 1), np.split(state[f"{name}.weight"][..., 0], groups)
    found = np.concatenate([part @ weight.T for part, weight in zip(*parts, strict=True)], 1)
    return found + state[f"{name}.bias"] if f"{name}.bias" in state else found


def near(count: int, reach: int) -> Array:
    nodes = np.arange(count)
    return (np.abs(nodes[:, None] - nodes) < reach).astype(float)


def links(x: Array, state: State, name: str, groups: int) -> Array:
    """Log-odds from each node to each node."""
    query, key = (grouped(x, state, f"{name}.{key}", groups) for key in ("query", "key"))
    return state[f"{name}.weight"] * query @ key.T / np.sqrt(query.shape[1]) + state[f"{name}.learnt"]


@pytest.mark.parametrize("motion", [True, False])
def test_hgcn(motion: bool) -> None:
    """Four graphs node by node, and a normal of each scene."""
    data = batch(videos=5, seed=4)
    sizes = {"shots": 6, "scenes": 3, "width": 64, "groups": 4}
    method, state = at_random(hgcn.build(FEATURES, LABELS, **sizes, motion=motion))
    means, variances = [], []
    for video in of(data):
        x = np.pad(interpolated(video, 6), [(0, 0), (0, 4)])
        side = relu(grouped(x, state, "shots.state.0", 4))
        shots = np.zeros((6, 16))
        for to in range(6):
            for at in range(6):
                if abs(at - to) < 2:
                    shots[to] += (np.tanh(side[at] - side[to]).mean() + (at == to)) * x[at]
        x = relu(grouped(shots, state, "shots.mix.0", 4))
        said = {}
        for name, groups in (("shots", 4), ("members", 1)):
            shares = softmax(links(x, state, f"scenes.{name}.links", groups) + near(6, 3), 1)
            said[name] = relu(grouped(shares.T @ x, state, f"scenes.{name}.mix.0", groups))
        share = state["scenes.shares"] + state["scenes.weight"] * said["members"].T
        scenes, seen = share @ said["shots"], share @ said["shots"]
        for to in range(3 if motion else 0):
            weights = softmax(links(scenes, state, "motion.links", 4)[: to + 1, to])
            seen[to] = weights @ scenes[: to + 1]
        moved = relu(grouped(seen, state, "motion.mix.0" if motion else "motion.0", 4))
        mean, log_variance = (grouped(moved, state, f"head.{name}", 1)[:, 0] for name in ("mean", "log_variance"))
        means.append(CENTRE / 3 + QUARTER * mean)
        variances.append((QUARTER * np.exp(4 * np.tanh(log_variance / 8))) ** 2)
    answer = method.predict(data)
    agree(method.by_scene(data).mean, np.array(means), WITHIN)
    agree(answer.mean, np.array(means).sum(1), WITHIN)
    agree(answer.std, np.sqrt(np.array(variances).sum(1)), WITHIN)
    error = (array(data.score) - np.array(means).sum(1)) ** 2 / np.array(variances).sum(1)
    agree(method.losses(data)["likelihood"], (error + np.log(np.array(variances).sum(1))).mean() / 2, WITHIN)
