"""Methods that keep training videos: trees on pairs by recursion, neighbours and support vectors by scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.fft import dct
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.svm import SVR

from aqakit.methods import c3d_svr, core, core_dae, coreg, pose_dct, rocket, s3d, sparse, svr, trees
from aqakit.types import Batch, FeatureSpec
from tests.identities.arithmetic import Array, State, agree, array, linear, log_softmax, relu
from tests.identities.test_heads import WITHIN, at_random, means, of
from tests.synthetic import FEATURES, LABELS, batch

SOLVED = 2e-4  # two solvers of one convex problem, each to its own tolerance


def leaves(x: Array, state: State, level: int = 0, node: int = 0, chance: float = 0.0) -> list[tuple[float, Array]]:
    """Log-probability and outputs of the leaves under a node, from left to right."""
    if level == 4:
        return [(chance, x @ state["tree.leaves.weight"][node] + state["tree.leaves.bias"][node, 0])]
    odds = log_softmax(x @ state[f"tree.odds.{level}.weight"][node] + state[f"tree.odds.{level}.bias"][node, 0])
    found = []
    for child in (2 * node, 2 * node + 1):
        weight, bias = (state[f"tree.descend.{level}.{key}"][child] for key in ("weight", "bias"))
        found += leaves(relu(x @ weight + bias[0]), state, level + 1, child, chance + odds[child % 2])
    return found


def tree(exemplar: Array, score: float, video: Array, state: State) -> tuple[Array, Array]:
    """Log-probabilities (16,) and outputs (16, ·) of a pair: features of both, and the known score as a share."""
    pair = np.concatenate([exemplar, video, [score / 120]])
    chances, outputs = zip(*leaves(relu(linear(pair, state, "tree.root")), state))
    return np.array(chances), np.array(outputs)


def edges(scores: Array) -> Array:
    """Quantiles of the differences of all pairs, and the mirrored ones."""
    sizes = np.sort([abs(a - b) for n, a in enumerate(scores) for b in scores[:n]])
    right = sizes[[k * (len(sizes) - 1) // 8 for k in range(9)]]
    right[0], right[-1] = 0, 120
    return np.concatenate([-right[:0:-1], right])


def leaf_of(difference: float, ends: Array) -> int:
    """The leaf that holds a difference and its edge nearer to zero, but not the other one."""
    for leaf, (low, high) in enumerate(pairwise(ends)):
        if (low <= difference < high) if low >= 0 else (low < difference <= high and difference < 0):
            return leaf
    raise AssertionError(difference)


def pairs_of(data: Batch, match: str) -> list[list[int]]:
    """The exemplars that each video is compared with, in the memory's order: by score."""
    declared, scores = array(data.difficulty), array(data.score)
    order = np.argsort(scores, kind="stable")
    if match == "none":
        return [list(range(len(order)))] * len(data)
    return [sorted(np.argsort(abs(declared[order] - one), kind="stable")[:3].tolist()) for one in declared]


@pytest.mark.parametrize("match", ["none", "difficulty"])
def test_core(match: str) -> None:
    """Sixteen leaves: the most probable one, its position, ten voters (here all, or the three nearest)."""
    data = batch(videos=9, seed=5)
    voters = 9 if match == "none" else 3
    method, state = at_random(core.build(FEATURES, LABELS, node_width=12, voters=voters, match=match, answer="votes"))
    method.remember(data)
    x, scores = means(data), array(data.score)
    order = np.argsort(scores, kind="stable")
    ends = edges(scores)
    width = np.where(np.diff(ends) > 0, np.diff(ends), 1)
    agree(method.edges, ends[8:], WITHIN)
    wanted, average = [], []
    for video, exemplars in zip(x, pairs_of(data, match)):
        votes, mean = [], 0.0
        for e in order[exemplars]:
            chances, outputs = tree(x[e], scores[e], video, state)
            said = scores[e] + ends[:-1] + outputs[:, 0] * width
            votes.append(said[chances.argmax()])
            mean += np.exp(chances) @ said / len(exemplars)
        wanted.append(np.mean(votes))
        average.append(mean)
    agree(method.predict(data).mean, np.array(wanted), WITHIN)
    method.answer = "distribution"
    agree(method.predict(data).mean, np.array(average), WITHIN)


@pytest.mark.parametrize("kind", ["core", "core_dae"])
def test_losses_of_a_pair_in_both_orders(kind: str) -> None:
    """−log p of the true leaf, and the error of the position in it: squared, or DAE's likelihood."""
    data = batch(videos=2, seed=6)
    module = core if kind == "core" else core_dae
    method, state = at_random(module.build(FEATURES, LABELS, node_width=12, match="none"))
    method.remember(data)
    x, scores, ends = means(data), array(data.score), edges(array(data.score))
    leaf_loss, position_loss = 0.0, 0.0
    for known, other in ((0, 1), (1, 0), (0, 1), (1, 0)):  # each of two videos with the other, in both orders
        chances, outputs = tree(x[known], scores[known], x[other], state)
        leaf = leaf_of(scores[other] - scores[known], ends)
        size = ends[leaf + 1] - ends[leaf] or 1.0
        position = (scores[other] - scores[known] - ends[leaf]) / size
        leaf_loss -= chances[leaf] / 4
        if kind == "core":
            position_loss += (outputs[leaf, 0] - position) ** 2 / 4
        else:
            log_variance = 8 * np.tanh(outputs[leaf, 1] / 8)
            likelihood = 0.6 * (outputs[leaf, 0] - position) ** 2 / np.exp(log_variance) + 0.4 * log_variance
            position_loss += likelihood / 4
    terms = method.losses(data)
    agree(terms["leaf"], leaf_loss, WITHIN)
    agree(terms["position"], position_loss, WITHIN)


def test_core_dae() -> None:
    """A normal in every leaf of every exemplar: mean and variance of the mixture by the laws of total moments."""
    data = batch(videos=7, seed=5)
    method, state = at_random(core_dae.build(FEATURES, LABELS, node_width=12, voters=7, match="none"))
    method.remember(data)
    x, scores = means(data), array(data.score)
    ends = edges(scores)
    width = np.where(np.diff(ends) > 0, np.diff(ends), 1)
    first, second = np.zeros((2, len(data)))
    for row, video in enumerate(x):
        for e in range(len(data)):
            chances, outputs = tree(x[e], scores[e], video, state)
            mean = scores[e] + ends[:-1] + outputs[:, 0] * width
            spread = np.exp(8 * np.tanh(outputs[:, 1] / 8) / 2) * width
            first[row] += np.exp(chances) @ mean / len(data)
            second[row] += np.exp(chances) @ (mean**2 + spread**2) / len(data)
    found = method.predict(data)
    agree(found.mean, first, WITHIN)
    agree(found.std, np.sqrt(second - first**2), 1e-4)


def test_coreg() -> None:
    """Zhou and Li's Table 1 with scikit-learn's neighbours: each gives the other its most helpful video."""
    data = batch(videos=30, unlabelled=14)
    method = coreg.build(FEATURES, LABELS, rounds=4)
    method.remember(data)
    x = StandardScaler().fit_transform(means(data))
    known = data.labelled.numpy()
    memory = [(x[known], array(data.score)[known]) for _ in range(2)]
    pool = list(np.flatnonzero(~known))

    def machine(order: int, vectors: Array, scores: Array) -> KNeighborsRegressor:
        return KNeighborsRegressor(3, metric="minkowski", p=order).fit(vectors, scores)

    for _ in range(4):
        given: dict[int, tuple[int, float]] = {}
        for j, order in enumerate((2, 5)):
            vectors, scores = memory[j]
            before = machine(order, vectors, scores)
            gains = {}
            for u in (u for u in pool if u not in {place for place, _ in given.values()}):
                guess = float(before.predict(x[[u]])[0])
                near = before.kneighbors(x[[u]], return_distance=False)[0]
                after = machine(order, np.vstack([vectors, x[u]]), np.append(scores, guess))
                old, new = (((scores[near] - m.predict(vectors[near])) ** 2).sum() for m in (before, after))
                gains[u] = (old - new, guess)
            best = max(gains, key=lambda u: gains[u][0])
            if gains[best][0] > 0:
                given[j] = best, gains[best][1]
        for j, (u, guess) in given.items():
            vectors, scores = memory[1 - j]
            memory[1 - j] = np.vstack([vectors, x[u]]), np.append(scores, guess)
            pool.remove(u)
        if not given:
            break
    assert len(pool) < 14  # something was taught
    said = [machine(order, *memory[j]).predict(x) for j, order in enumerate((2, 5))]
    agree(method.predict(data).mean, np.mean(said, 0), WITHIN)


@pytest.fixture(scope="module")
def data() -> Batch:
    return batch(videos=40, seed=2)


def test_svr(data: Batch) -> None:
    method = svr.build(FEATURES, LABELS, kernel="rbf", cost=50.0, epsilon=1.5, gamma=0.05)
    method.remember(data)
    x = StandardScaler().fit_transform(means(data))
    machine = SVR(C=50.0, epsilon=1.5, gamma=0.05, tol=1e-7).fit(x, array(data.score))
    agree(method.predict(data).mean, machine.predict(x), SOLVED)


def test_c3d_svr(data: Batch) -> None:
    """Mean clips of unit length and a linear machine."""
    method = c3d_svr.build(FEATURES, LABELS, cost=40.0, epsilon=1.0)
    method.remember(data)
    x = normalize(means(data))
    machine = SVR(kernel="linear", C=40.0, epsilon=1.0, tol=1e-7).fit(x, array(data.score))
    agree(method.predict(data).mean, machine.predict(x), SOLVED)


def test_pose_dct() -> None:
    """SciPy's DCT of every coordinate relative to the head, of videos of different lengths."""
    spec = FeatureSpec({"skeleton": (5, 8)})
    data = batch(videos=30, features=FeatureSpec({"skeleton": (5, 12)}))
    stream = data.streams["skeleton"]
    data = data.replace(streams={"skeleton": type(stream)(stream.features[..., :8], stream.clips)})
    method = pose_dct.build(spec, LABELS, coefficients=6, cost=2.0, epsilon=1.0)
    method.remember(data)
    rows = []
    for video in of(data):  # (N, 5, T C), T = 4 frames of C = 2
        path = video.reshape(len(video), 5, 4, 2).transpose(0, 2, 1, 3).reshape(-1, 5, 2)
        relative = (path[:, 1:] - path[:, :1]).reshape(len(path), -1)
        rows.append(np.abs(dct(relative, axis=0, norm="ortho")[:6] / np.sqrt(len(path))).ravel())
    x = StandardScaler().fit_transform(np.array(rows))
    machine = SVR(kernel="linear", C=2.0, epsilon=1.0, tol=1e-7).fit(x, array(data.score))
    agree(method.predict(data).mean, machine.predict(x), SOLVED)


def test_s3d() -> None:
    """Four stages: the mean of four models; or one regression on their mean, rounded to one decimal."""
    full = batch(videos=40, seed=2, clips=4)
    stream = full.streams["test"]
    data = full.replace(streams={"test": type(stream)(stream.features, torch.ones_like(stream.clips))})
    x, true = array(stream.features), array(data.score)
    method, state = at_random(s3d.build(FEATURES, LABELS, fusion="mean"))
    said = [60 + 30 * linear(x[:, k], state, f"models.{k}.value")[:, 0] for k in range(4)]
    agree(method.predict(data).mean, np.mean(said, 0), WITHIN)
    terms = method.losses(data)
    for k in range(4):
        agree(terms[f"stage_{k + 1}"], ((said[k] - true) ** 2).mean(), WITHIN)
    pooled = np.round(x.mean(1), 1)
    machines = {
        "linear": (LinearRegression(), {}, WITHIN),
        "svr": (SVR(C=60.0, epsilon=0.5, gamma=1 / 12, tol=1e-7), {"cost": 60.0, "epsilon": 0.5}, SOLVED),
    }
    for fusion, (machine, options, within) in machines.items():
        method = s3d.build(FEATURES, LABELS, fusion=fusion, decimals=1, **options)
        method.remember(data)
        agree(method.predict(data).mean, machine.fit(pooled, true).predict(pooled), within)


def test_trees() -> None:
    """The mean is that of scikit-learn's trees; quantiles are those of training scores, weighted by shared leaves."""
    train, test = batch(videos=30), batch(videos=12, seed=1)
    method = trees.build(FEATURES, LABELS, trees=40, leaf=2, share=0.5)
    method.remember(train)
    forest = ExtraTreesRegressor(40, max_features=0.5, min_samples_leaf=2, random_state=method.seed)
    order = np.argsort(array(train.score), kind="stable")
    known, score = means(train)[order], array(train.score)[order]
    forest.fit(known, score)
    answer = method.predict(test)
    agree(answer.mean, forest.predict(means(test)), WITHIN)
    weight = np.zeros((12, 30))
    for new, old in zip(forest.apply(means(test)).T, forest.apply(known).T, strict=True):
        for row, leaf in enumerate(new):
            weight[row] += (old == leaf) / (old == leaf).sum() / 40
    for row, one in enumerate(weight):
        wanted = np.interp(np.arange(1, 20) / 20, one.cumsum() - one / 2, score)
        agree(answer.values[row], wanted, WITHIN)


def test_rocket() -> None:
    """Each kernel by loops over moments and weights; the ridge by scikit-learn, of the strength that was selected."""
    train, test = batch(videos=20), batch(videos=5, seed=1)
    method = rocket.build(FEATURES, LABELS, kernels=15)
    kernels = next(iter(method.kernels.values()))
    moments = np.concatenate([array(f[c]) for f, c in zip(train.features, train.clips, strict=True)])

    def convolved(data: Batch) -> Array:
        found = []
        for features, clips in zip(data.features, data.clips, strict=True):
            series = (array(features[clips]) - moments.mean(0)) / moments.std(0)
            outputs = []
            for mix, weight, bias, reach in zip(
                *map(array, (kernels.mix, kernels.weight, kernels.bias, kernels.reach))
            ):
                step = int(2 ** (reach * np.log2(39 / 8)))
                one = series @ mix
                at = [[t + step * (k - 4) for k in range(9)] for t in range(len(one))]
                outputs.append([bias + sum(w * one[i] for w, i in zip(weight, row) if 0 <= i < len(one)) for row in at])
            found.append([(np.array(o) > 0).mean() for o in outputs] + [max(o) for o in outputs])
        return np.array(found)

    method.remember(train)
    kernels.length.fill_(40.0)  # so that some kernels are dilated
    agree(kernels(next(iter(test.streams.values()))), convolved(test), WITHIN)
    method.remember(train)
    known = array(method._scaled(method._convolved(train)))
    agree((method.predict(train).mean - method.level[0]).double(), known @ array(method.slope), WITHIN)
    strengths = np.logspace(-3, 1, 9)
    fits = [
        Ridge(alpha=a, fit_intercept=False).fit(known, array(train.score) - array(method.level[0])) for a in strengths
    ]
    assert (
        min(abs(fit.coef_ - array(method.slope)).max() for fit in fits) < 1e-6 * abs(array(method.slope)).max() + 1e-8
    )


def test_sparse() -> None:
    """The conditions of Karush, Kuhn and Tucker: a measure of weight 0 is pulled by less than the penalty."""
    train, test, penalty = batch(videos=60), batch(videos=12, seed=1), 0.05
    method = sparse.build(FEATURES, LABELS, penalty=penalty, declared=False)
    method.remember(train)
    x, y = means(train), array(train.score)
    scaled, size = StandardScaler().fit_transform(x), y.std()
    weight = array(method.weight) * x.std(0) / size
    left = (y - y.mean()) / size - scaled @ weight
    pull = scaled.T @ left / len(y)
    kept = weight != 0
    assert 0 < kept.sum() < len(kept)
    assert np.abs(pull[kept] - penalty * np.sign(weight[kept])).max() < 1e-3 * penalty
    assert np.abs(pull[~kept]).max() <= penalty + 1e-6
    agree(method.predict(test).mean, means(test) @ array(method.weight) + float(method.bias), WITHIN)
    selected = sparse.build(FEATURES, LABELS)
    selected.remember(train)
    own = np.corrcoef(array(selected.predict(test).mean), array(test.score))[0, 1]
    assert own > 0.8
