"""Which exemplars a video is compared with, and what their votes say: beside scikit-learn and SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde
from sklearn.neighbors import NearestNeighbors

from aqakit.methods import core
from aqakit.methods.parts.exemplars import UNKNOWN, ExemplarMethod, kernel_density
from aqakit.methods.parts.regression_tree import quantile_edges
from tests.synthetic import FEATURES, LABELS, batch

NAN = math.nan


class Memory(ExemplarMethod):
    """Only the memory."""

    def losses(self, batch):
        return {}

    def predict(self, batch):
        raise NotImplementedError


def remembering(train, **options):
    method = Memory(FEATURES, LABELS, **{"voters": 3, "match": "kind", **options})
    method.remember(train)
    return method


def voters(method, asked):
    return method.voters_of(asked, method.pool(asked.features, asked.clips)).tolist()


def declared(kinds, difficulties, scores=None):
    known = batch(videos=len(kinds))
    scores = torch.arange(len(kinds)) * 10.0 if scores is None else torch.tensor(scores)
    return known.replace(kind=torch.tensor(kinds), difficulty=torch.tensor(difficulties), score=scores)


def test_voters_are_of_the_same_kind_whatever_their_difficulty():
    method = remembering(declared([1, 0, 1, 2, 1, 0], [2.0, 2.0, 3.5, 2.0, 2.0, 2.1]))
    assert voters(method, declared([1, 0], [2.0, 3.0])) == [[0, 2, 4], [1, 2, 5]]  # 2 is the nearest to 3.0


def test_a_kind_that_is_unknown_or_has_no_exemplar_takes_the_nearest_difficulty():
    method = remembering(declared([1, -1, 1, 2, 1, -1], [2.0, 2.4, 3.5, 3.1, NAN, 2.5]))
    assert voters(method, declared([3, -1], [2.5, 2.5])) == [[0, 1, 5], [0, 1, 5]]
    assert all(memory.isfinite().all() for memory in method.buffers())


def test_the_nearest_in_features_are_those_of_scikit_learn():
    train, test = batch(videos=40), batch(videos=15, seed=3)
    method = remembering(train, match="nearest", voters=4)
    machine = NearestNeighbors(n_neighbors=4).fit(method.exemplars.numpy())
    found = machine.kneighbors(method.pool(test.features, test.clips).numpy(), return_distance=False)
    assert voters(method, test) == np.sort(found, 1).tolist()


@pytest.mark.parametrize("match", ["kind", "nearest"])
def test_partners_are_drawn_from_the_voters_and_are_never_the_video_itself(match):
    train = batch(videos=60)
    method = remembering(train, match=match, voters=5)
    features = method.pool(train.features, train.clips)
    drawn = torch.stack([method.partners(train, features) for _ in range(40)], 1)
    assert ((method.exemplars[drawn] - features[:, None]).abs().amax(-1) > 0).all()
    if match == "kind":
        assert (method.kinds[drawn] == train.kind[:, None]).all()
    else:
        near = torch.cdist(features, method.exemplars).argsort(1)[:, 1:6]
        assert all(set(row) == set(nearest) for row, nearest in zip(drawn.tolist(), near.tolist(), strict=True))


def test_a_smaller_memory_holds_each_kind_evenly_over_its_scores():
    train = declared([0] * 60 + [1] * 30, [2.0] * 90, [float(k) for k in range(90)])
    method = remembering(train, memory=9)
    assert method.kinds.tolist() == [0] * 6 + [1] * 3
    assert method.scores.diff().min() > 8
    assert torch.equal(remembering(train, memory=200).scores, train.score)


def test_clips_are_kept_where_they_are_needed():
    train = batch(videos=9)
    method = remembering(train, keep="clips", match="none")
    order = train.score.argsort()
    stream = method.clips_of(torch.tensor([[2, 0]]))
    assert torch.equal(stream.clips, train.clips[order[[2, 0]]])
    assert torch.equal(stream.features, train.features[order[[2, 0]]])
    torch.testing.assert_close(method.pool(method.moments, method.shown), method.exemplars)


def test_leaves_come_from_pairs_of_one_kind():
    train = batch(videos=50)
    method = core.build(FEATURES, LABELS, depth=4, node_width=4, match="kind")
    method.remember(train)
    known = zip(train.score.tolist(), train.kind.tolist(), strict=True)
    rows = list(known)
    sizes = [abs(a - b) for n, (a, k) in enumerate(rows) for b, other in rows[:n] if k == other]
    torch.testing.assert_close(method.edges, quantile_edges(torch.tensor(sizes), 8, 120.0))


def test_a_checkpoint_without_kinds_is_one_of_an_earlier_version():
    one, other = (core.build(FEATURES, LABELS, node_width=4) for _ in range(2))
    one.remember(batch())
    saved = one.state_dict()
    del saved["kinds"]
    other.load_state_dict(saved)
    assert other.kinds.tolist() == [-1] * 24
    assert torch.equal(other.predict(batch(seed=1)).mean, one.predict(batch(seed=1)).mean)
    assert (other.difficulties < UNKNOWN).all()


def test_votes_become_scipys_kernel_density():
    votes = torch.randn(3, 8, dtype=torch.float64) * 5 + 50
    found = kernel_density(votes, 0.1)
    for row in range(3):
        density = gaussian_kde(votes[row].numpy(), "scott")
        at = np.linspace(30, 70, 9)
        said = found.select(row).log_prob(torch.tensor(at))
        np.testing.assert_allclose(said.exp(), density(at), rtol=1e-6)
    torch.testing.assert_close(found.mean, votes.mean(1))


def test_votes_that_agree_keep_a_spread():
    assert kernel_density(torch.full((2, 5), 40.0), 0.6).std.tolist() == pytest.approx([0.6] * 2)
    assert kernel_density(torch.full((2, 1), 40.0), 0.6).std.tolist() == pytest.approx([0.6] * 2)


def test_each_exemplar_is_represented_once():
    method = remembering(batch(videos=12), keep="clips", voters=5, match="nearest").eval()
    chosen = method.voters_of(asked := batch(videos=30, seed=1), method.pool(asked.features, asked.clips))
    rows = []

    def represent(stream):
        rows.append(len(stream.features))
        return stream.features.sum(1)

    found = method.of_voters(chosen, represent)
    assert torch.equal(found, represent(method.clips_of(chosen)))
    assert rows == [len(set(chosen.flatten().tolist())), 150]
    assert torch.equal(method.train().of_voters(chosen, represent), found)
    assert rows[2] == 150
