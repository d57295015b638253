import math

import pytest
import torch
from torch.nn import functional as F

from aqakit.errors import DataError
from aqakit.methods import core
from aqakit.methods.parts.regression_tree import RegressionTree, intervals, place, quantile_edges
from aqakit.recordings import pickles
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale
from tests.synthetic import FEATURES, LABELS, batch

SMALL = {"depth": 4, "node_width": 16}
NAN = math.nan
# L = 6: −30…−8, −8…−2, −2…0, 0…2, 2…8, 8…30
EDGES = torch.tensor([0.0, 2.0, 8.0, 30.0])


def grown(**options):
    """A method that remembers 24 videos, with random weights."""
    method = core.build(FEATURES, LABELS, **SMALL, **options)
    method.remember(batch())
    return method.eval()


def remembering(scores, difficulties, **options):
    method = core.build(FEATURES, LABELS, **SMALL, **options)
    train = batch(videos=len(scores))
    method.remember(train.replace(score=torch.tensor(scores), difficulty=torch.tensor(difficulties)))
    return method


def test_the_published_tree_has_its_published_size():
    method = core.build(core.FEATURES, LABELS)
    assert sum(p.numel() for p in method.parameters()) == 2_510_382


def voters(method, difficulty):
    """Voters of videos with these declared difficulties."""
    asked = batch(videos=len(difficulty)).replace(difficulty=torch.tensor(difficulty))
    return method.voters_of(asked, method.pool(asked.features, asked.clips)).tolist()


def by_grouped_convolutions(tree, x):
    """The tree as the paper's figure has it: one grouped convolution for all the nodes of a level."""

    def layer(x, weight, bias, groups):
        return F.conv1d(x[..., None], weight[..., None], bias, groups=groups)[..., 0]

    x = F.linear(x, tree.root.weight, tree.root.bias).relu()
    log_probability = torch.zeros(len(x), 1)
    for odds, descend in zip(tree.odds, tree.descend, strict=True):
        nodes = len(odds.weight)
        step = layer(x, odds.weight.mT.flatten(0, 1), odds.bias.flatten(), nodes).reshape(-1, nodes, 2).log_softmax(-1)
        log_probability = (log_probability[..., None] + step).flatten(1)
        x = layer(x, descend.weight.mT.flatten(0, 1), descend.bias.flatten(), nodes).relu()
    outputs = layer(x, tree.leaves.weight.mT.flatten(0, 1), tree.leaves.bias.flatten(), len(tree.leaves.weight))
    return log_probability, outputs.unflatten(1, (len(tree.leaves.weight), -1))


def test_the_tree_is_the_one_of_grouped_convolutions():
    tree = RegressionTree(7, depth=4, hidden=16, outputs=2)
    x = torch.randn(30, 7)
    log_probability, outputs = tree(x)
    torch.testing.assert_close((log_probability, outputs), by_grouped_convolutions(tree, x))
    torch.testing.assert_close(log_probability.logsumexp(1), torch.zeros(30), atol=1e-5, rtol=0)


@pytest.mark.parametrize("depth", [2, 5])
def test_the_path_to_a_leaf_is_that_of_the_whole_tree(depth):
    tree = RegressionTree(7, depth=depth, hidden=16, outputs=2)
    x, leaf = torch.randn(40, 7), torch.randint(2 ** (depth - 1), (40,))
    log_probability, outputs = tree(x)
    row = torch.arange(40)
    torch.testing.assert_close(tree.along(x, leaf), (log_probability[row, leaf], outputs[row, leaf]))


def test_the_leaf_and_the_position_of_a_difference():
    difference = torch.tensor([0.0, 1.5, 2.0, 5.0, -0.5, -2.0, -5.0, -19.0, 30.0])
    leaf, position = place(difference, EDGES)
    assert leaf.tolist() == [3, 3, 4, 4, 2, 1, 1, 0, 5]
    assert position.tolist() == [0, 0.75, 0, 0.5, 0.75, 1, 0.5, 0.5, 1]


def test_swapping_query_and_exemplar_mirrors_the_leaves():
    difference = torch.randn(1000) * 10
    leaf, position = place(difference, EDGES)
    mirrored, mirrored_position = place(-difference, EDGES)
    assert torch.equal(mirrored, 5 - leaf)
    torch.testing.assert_close(mirrored_position, 1 - position)


@pytest.mark.parametrize("edges", [EDGES, torch.tensor([0.0, 0.0, 3.0, 3.0, 30.0, 30.0])])
def test_leaf_and_position_give_the_difference_back(edges):
    difference = torch.cat([torch.randn(500) * 20, edges, -edges])
    leaf, position = place(difference, edges)
    low, width = intervals(edges)
    torch.testing.assert_close(low[leaf] + position * width[leaf], difference)


def test_a_difference_beyond_the_last_edge_belongs_to_the_outermost_leaf():
    leaf, position = place(torch.tensor([41.0, -41.0]), EDGES)
    assert leaf.tolist() == [5, 0]
    assert position.tolist() == [1.5, -0.5]


def test_differences_beyond_the_scale_are_counted():
    method = core.build(FEATURES, LabelSpec(ScoreScale(0, 50)), **SMALL)
    train = batch(videos=4)
    method.remember(train.replace(score=torch.tensor([70.0, 20.0, 0.0, 10.0])))
    assert method.outside == 2  # 70 − 10 and 70 − 0, but not 70 − 20
    assert method.edges[-1] == 50
    assert all(term.isfinite() for term in method.losses(train).values())


def test_positive_leaves_are_equally_frequent():
    edges = quantile_edges(torch.rand(8001) * 9, 16, 30.0)
    assert edges.tolist() == pytest.approx([*(k * 9 / 8 for k in range(8)), 30.0], abs=0.15)
    assert quantile_edges(torch.empty(0), 8, 30.0).tolist() == [0, 7.5, 15, 22.5, 30]


PUBLISHED = {
    "total": (30.0, "difficulty", [0, 0.9118, 1.5, 2.5, 3.0, 4.5, 6.0, 8.5, 30]),
    "score": (100.0, "none", [0, 3.6, 7.35, 11.2, 15.7, 20.8, 27.2, 36.3, 100]),
}


@pytest.mark.parametrize("target", PUBLISHED)
def test_the_edges_of_mtl_aqa_are_the_published_ones(shared_data, target):
    span, match, expected = PUBLISHED[target]
    folder = shared_data / "mtl-aqa" / "Ready_2_Use" / "MTL-AQA_split_0_data"
    dives = pickles.load(folder / "final_annotations_dict.pkl")
    train = [dives[tuple(key)] for key in pickles.load(folder / "train_split_0.pkl")]
    score = torch.tensor([float(dive["final_score"]) for dive in train])
    difficulty = torch.tensor([float(dive["difficulty"]) for dive in train])
    known = batch(videos=len(train)).replace(
        score=score / difficulty if target == "total" else score, difficulty=difficulty
    )
    method = core.build(FEATURES, LabelSpec(ScoreScale(0, span)), node_width=4, match=match)
    method.remember(known)
    assert method.edges.tolist() == pytest.approx(expected, abs=1e-4)
    assert method.outside == {"total": 0, "score": 4}[target]


def test_voters_are_of_the_same_difficulty_then_of_the_nearest():
    method = remembering([10.0, 20.0, 30.0, 40.0, 50.0], [2.0, 3.0, 2.0, 2.5, NAN], voters=3)
    assert voters(method, [2.0, 3.0, 2.9]) == [
        [0, 2, 3],
        [0, 1, 3],
        [0, 1, 3],
    ]  # exemplars 0 and 2 are equally far from 3


def test_equally_near_voters_are_spread_over_the_scores():
    method = remembering([float(s) for s in range(12)], [2.0] * 11 + [3.0], voters=3)
    assert voters(method, [2.0]) == [[1, 5, 9]]
    assert voters(method, [NAN]) == [[1, 5, 9]]
    method.voters = 1
    assert voters(method, [2.0, 3.0]) == [[5], [11]]
    method.voters = 50
    assert voters(method, [2.0]) == [list(range(12))]


def test_undeclared_difficulties_are_alike_and_far_from_all_others():
    method = remembering([10.0, 20.0, 30.0, 40.0], [NAN, 4.1, NAN, 1.5], voters=2)
    assert voters(method, [NAN, 2.0]) == [[0, 2], [1, 3]]
    assert all(memory.isfinite().all() for memory in method.buffers())  # a checkpoint may hold no NaN


def test_difficulty_may_be_left_out_of_the_match():
    method, test = grown(match="none"), batch(seed=1)
    harder = test.replace(difficulty=test.difficulty + 1)
    assert torch.equal(method.predict(test).mean, method.predict(harder).mean)


def test_partners_are_of_the_same_difficulty_and_never_the_video_itself():
    train = batch(videos=60)
    train = train.replace(difficulty=torch.arange(60) % 3 + 2.0, score=torch.arange(60).div(2).floor())
    method = core.build(FEATURES, LABELS, **SMALL)
    method.remember(train)
    features = method.pool(train.features, train.clips)
    drawn = torch.stack([method.partners(train, features) for _ in range(50)], 1)
    assert (method.difficulties[drawn] == train.difficulty[:, None]).all()
    assert ((method.exemplars[drawn] - features[:, None]).abs().amax(-1) > 0).all()
    assert all(len(set(row)) > 10 for row in drawn.tolist())


def test_the_loss_of_two_videos_is_that_of_their_pair_in_both_orders():
    method = remembering([40.0, 31.0], [2.0, 2.0])
    method.edges = torch.tensor([0.0, 6.0, 12.0, 60.0, 120.0])
    good, bad = method.exemplars[1], method.exemplars[0]
    share = torch.tensor([31 / 120, 40 / 120])[:, None]
    log_probability, outputs = method.tree(torch.cat([torch.stack([bad, good]), torch.stack([good, bad]), share], 1))
    train = batch(videos=2).replace(score=torch.tensor([40.0, 31.0]))
    terms = method.losses(train)
    # 9 better is the middle of leaf 5 (6 … 12), 9 worse that of leaf 2
    torch.testing.assert_close(terms["leaf"], -(log_probability[0, 5] + log_probability[1, 2]) / 2)
    off = torch.stack([outputs[0, 5, 0], outputs[1, 2, 0]]) - 0.5
    torch.testing.assert_close(terms["position"], off.square().mean())


@pytest.mark.parametrize("known", [0, 1])
def test_a_batch_of_one_video_or_none_has_finite_losses(known):
    terms = grown().losses(batch(videos=4, unlabelled=4 - known))
    torch.stack(list(terms.values())).sum().backward()
    assert all(term.isfinite() for term in terms.values())
    lone = remembering([50.0], [NAN])
    assert all(term.isfinite() for term in lone.losses(batch(videos=1)).values())


def test_the_votes_are_the_most_probable_leaf_of_each_voter():
    method, test = grown(answer="votes", voters=4), batch(seed=1)
    log_probability, outputs, _ = method.votes(test)
    low, width = intervals(method.edges)
    expected = []
    for row, chosen in enumerate(voters(method, test.difficulty.tolist())):
        leaves = [int(log_probability[row, v].argmax()) for v in range(4)]
        moves = [low[k] + width[k] * outputs[row, v, k, 0] for v, k in enumerate(leaves)]
        expected.append(sum(method.scores[e] + move for e, move in zip(chosen, moves, strict=True)) / 4)
    torch.testing.assert_close(method.predict(test).mean, torch.stack(expected))


def test_the_distribution_is_sure_where_the_tree_is():
    """One leaf of probability 1, the same in all voters: a normal at its position, as wide as the leaf."""
    method = remembering([50.0] * 5, [2.0] * 5)
    method.edges = torch.tensor([0.0, 6.0, 12.0, 60.0, 120.0])
    with torch.no_grad():
        for parameter in method.tree.parameters():
            parameter.zero_()
        for odds, branch in zip(method.tree.odds, (1, 0, 1), strict=True):  # the sixth leaf of eight, 6 … 12
            odds.bias[..., branch] = 100
        method.tree.leaves.bias.fill_(0.25)
    answer = method.predict(batch(videos=2, seed=1))
    assert answer.mean.tolist() == pytest.approx([57.5] * 2)
    assert answer.std.tolist() == pytest.approx([6 / math.sqrt(12)] * 2, rel=1e-4)


def test_leaves_that_are_empty_intervals_keep_a_spread():
    method = remembering([50.0] * 30 + [90.0], [2.0] * 31)
    assert method.edges.tolist() == [0, 0, 0, 0, 120]
    answer = method.predict(batch(seed=1))
    assert (answer.components.std >= 120 / 200).all()
    assert answer.log_prob(60.0).isfinite().all()


def test_the_order_of_the_training_set_does_not_matter():
    one, other, train, test = grown(), core.build(FEATURES, LABELS, **SMALL), batch(), batch(seed=1)
    other.load_state_dict(one.state_dict())
    other.remember(train.select(torch.randperm(24)))
    torch.testing.assert_close(other.predict(test).mean, one.predict(test).mean)


def test_a_scale_that_does_not_begin_at_zero_is_the_same_method():
    """A vault scored 12 … 132 is a vault scored 0 … 120 and twelve points more."""
    one = grown()
    other = core.build(FeatureSpec(FEATURES.streams), LabelSpec(ScoreScale(12.0, 132.0)), **SMALL)
    other.load_state_dict(one.state_dict())
    train = batch()
    other.remember(train.replace(score=train.score + 12))
    torch.testing.assert_close(other.predict(train).mean, one.predict(train).mean + 12)


def test_without_labelled_videos_there_is_nothing_to_compare_with():
    with pytest.raises(DataError, match="needs labelled videos to compare with"):
        core.build(FEATURES, LABELS, **SMALL).remember(batch().select(torch.arange(0)))
