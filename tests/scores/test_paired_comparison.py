"""Scales from comparisons, beside scikit-learn's logistic regression, simulated truths and an exact search."""

from itertools import combinations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import entr, expit, log_expit
from scipy.stats import kendalltau, norm
from sklearn.linear_model import LogisticRegression

from aqakit.scores import contradictions
from aqakit.scores import paired_comparison as paired


def simulated(items, count, seed, spread=1.0):
    """Strengths of a truth, and comparisons of random pairs of them."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, spread, items)
    first, second = np.array([rng.choice(items, 2, replace=False) for _ in range(count)]).T
    won = rng.random(count) < expit(truth[first] - truth[second])
    return truth, np.where(won, first, second), np.where(won, second, first)


def test_strengths_are_those_of_a_logistic_regression_with_the_same_prior():
    _, better, worse = simulated(12, 90, seed=1)
    weight = np.random.default_rng(0).integers(1, 4, len(better)).astype(float)
    design = np.zeros((len(better), 12))
    design[np.arange(len(better)), better], design[np.arange(len(better)), worse] = 1, -1
    both, answer = np.concatenate([design, -design]), np.repeat([1, 0], len(better))
    for spread in (0.3, 1.0, 4.0):
        strength, _ = paired._mode(paired._count(12, better, worse, weight), spread)
        model = LogisticRegression(C=spread**2, fit_intercept=False, tol=1e-10, max_iter=1000)
        model.fit(both, answer, np.concatenate([weight, weight]) / 2)
        assert strength == pytest.approx(model.coef_[0], abs=1e-4)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_moments_are_those_of_a_numerical_integral(spread):
    """Three strengths by a sum over a grid, with comparisons of different weights."""
    better, worse, weight = np.array([0, 0, 1, 2]), np.array([1, 2, 2, 0]), np.array([2.0, 1.0, 0.5, 1.0])
    values = np.linspace(-6, 6, 81) * spread
    grid = np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 3)
    density = np.exp(norm.logpdf(grid, 0, spread).sum(1) + log_expit(grid[:, better] - grid[:, worse]) @ weight)
    density /= density.sum()
    true = density @ grid
    true_covariance = (grid - true).T @ (density[:, None] * (grid - true))
    pairs = paired._count(3, better, worse, weight)
    mean, covariance = paired._moments(paired._mode(pairs, spread)[0], pairs, spread)
    assert mean == pytest.approx(true, abs=0.01 * spread)
    assert covariance == pytest.approx(true_covariance, abs=0.01 * spread**2)


def test_the_spread_with_the_most_evidence_is_that_of_an_integral():
    """One comparison that is said three times: the marginal likelihood has one dimension, the difference."""
    three = paired._count(2, np.zeros(3, np.intp), np.ones(3, np.intp), np.ones(3))
    for spread in (0.2, 0.5):
        exact = quad(lambda d, s=spread: expit(d) ** 3 * norm.pdf(d, 0, s * np.sqrt(2)), -9, 9)[0]
        # Laplace's approximation, less the terms that do not depend on the spread
        assert paired._mode(three, spread)[1] == pytest.approx(np.log(exact), abs=0.01)


def held(items, count, spread, simulations):
    """The share of 90 % intervals of differences that hold the true ones."""
    found = []
    for seed in range(simulations):
        truth, better, worse = simulated(items, count, 20_000 + seed, spread)
        scale = paired.fit(items, better, worse)
        for i, j in combinations(range(items), 2):
            if scale.component[i] == scale.component[j]:
                _, low, high = scale.difference(i, j)
                found.append(low <= truth[i] - truth[j] <= high)
    return np.mean(found)


@pytest.mark.parametrize("count", [500, 50])
def test_intervals_of_differences_hold_what_they_promise(count):
    assert 0.85 <= held(10, count, 1.0, 20) <= 0.95  # twenty truths


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "count", "spread"),
    [(10, 100, 1.0), (12, 60, 1.0), (12, 60, 2.0), (15, 300, 1.0), (40, 400, 2.0), (20, 60, 1.5), (8, 100, 4.0)],
)
def test_intervals_of_differences_hold_what_they_promise_in_many_simulations(items, count, spread):
    assert 0.88 <= held(items, count, spread, 300) <= 0.925


def test_a_tiny_weight_says_next_to_nothing():
    found = paired.fit(3, [0, 1], [1, 2], [1e-6, 1.0])
    assert abs(found.strength[0]) < 0.35  # half of what the other comparison moved
    assert found.covariance.diagonal()[0] > found.covariance.diagonal()[2]
    alone = paired.fit(3, [1], [2])
    assert found.strength[1] - found.strength[2] == pytest.approx(alone.strength[1] - alone.strength[2], abs=1e-3)


@pytest.mark.parametrize(("won", "lost"), [(1, 0), (5, 0), (100, 0), (3, 1), (1000, 1000), (100, 1)])
def test_two_items_are_compared_as_by_an_integral(won, lost):
    pairs = paired._count(2, np.array([0, 1]), np.array([1, 0]), np.array([won, lost], float))
    values = np.linspace(-100, 100, 400_001)
    for spread in (0.5, 3.0, 10.0):
        log_density = won * log_expit(values) + lost * log_expit(-values) + norm.logpdf(values, 0, spread * np.sqrt(2))
        density = np.exp(log_density - log_density.max())
        true = np.average(values, weights=density)
        sd = np.sqrt(np.average((values - true) ** 2, weights=density))
        mean, covariance = paired._moments(paired._mode(pairs, spread)[0], pairs, spread)
        assert mean[0] - mean[1] == pytest.approx(true, abs=0.01 * sd)
        assert np.sqrt(paired._of_differences(covariance)[0, 1]) == pytest.approx(sd, rel=0.01)


def test_who_wins_more_often_gets_more():
    shares = [paired.fit(2, [0], [1], [times]).shares()[0][0] for times in (0.5, 1, 1.25, 1.5, 2, 5, 30, 1000)]
    assert shares == sorted(shares)


def test_intervals_of_shares_hold_what_they_promise():
    found = []
    for seed in range(20):
        truth, better, worse = simulated(10, 60, 30_000 + seed, spread=1.5)
        scale = paired.fit(10, better, worse)
        if scale.component.max() > 0:
            continue
        chance = expit(truth[:, None] - truth[None])
        true = (chance.sum(1) - 0.5) / 9
        _, low, high = scale.shares()
        found.append((low <= true) & (true <= high))
    assert 0.85 <= np.mean(found) <= 0.95


def test_said_twice_is_two_comparisons():
    _, better, worse = simulated(6, 20, seed=4)
    once = paired.fit(6, np.tile(better, 2), np.tile(worse, 2))
    twice = paired.fit(6, better, worse, np.full(20, 2.0))
    assert once.strength == pytest.approx(twice.strength, abs=1e-3)
    assert once.covariance == pytest.approx(twice.covariance, abs=1e-3)


def test_one_that_always_wins_is_not_at_infinity():
    found = paired.fit(3, [0, 0, 1], [1, 2, 2])
    assert found.strength[0] > found.strength[1] > found.strength[2]
    assert np.abs(found.strength).max() < 50
    mid, low, high = found.shares()
    assert ((low < mid) & (mid < high) & (low > 0) & (high < 1)).all()


def test_the_order_of_comparisons_does_not_matter():
    _, better, worse = simulated(8, 40, seed=3)
    mixed = np.random.default_rng(1).permutation(40)
    one, other = paired.fit(8, better, worse), paired.fit(8, better[mixed], worse[mixed])
    assert one.strength == pytest.approx(other.strength, abs=1e-8)


def test_what_nothing_links_is_not_compared():
    found = paired.fit(5, [0, 1, 3], [1, 2, 4])
    assert found.component.tolist() == [0, 0, 0, 1, 1]
    assert [found.strength[found.component == k].mean() for k in (0, 1)] == pytest.approx([0, 0])
    with pytest.raises(ValueError, match="links"):
        found.difference(0, 3)
    i, j = found.next_pair()
    assert found.component[i] != found.component[j]  # which it asks for


def test_contradictions_circles_and_surprises_are_found():
    better, worse = [0, 1, 1, 2, 0], [1, 0, 2, 3, 3]
    assert contradictions.both_ways(better, worse) == [(0, 1)]
    assert contradictions.cycle([0, 1, 2, 3], [1, 2, 0, 1]) == [0, 1, 2, 0]
    assert contradictions.cycle([0, 1], [1, 0]) == [0, 1, 0]
    assert contradictions.cycle([0, 0, 1], [1, 2, 2]) == []
    better, worse = [0] * 9 + [1] * 9 + [2], [1] * 9 + [2] * 9 + [0]
    assert contradictions.surprises(paired.fit(3, better, worse), better, worse) == [18]


def test_information_is_that_of_a_numerical_integral():
    _, better, worse = simulated(5, 12, seed=2)
    found = paired.fit(5, better, worse)

    def told(i, j):
        mean, sd = found.strength[i] - found.strength[j], np.sqrt(paired._of_differences(found.covariance)[i, j])

        def average(f):
            return quad(lambda d: f(expit(d)) * norm.pdf(d, mean, sd), mean - 9 * sd, mean + 9 * sd)[0]

        def entropy(p):
            return entr(p) + entr(1 - p)

        return entropy(average(lambda p: p)) - average(entropy)

    values = {pair: told(*pair) for pair in combinations(range(5), 2)}
    assert found.next_pair() == max(values, key=values.get)
    assert found.next_pair([(0, 1), (2, 3)]) == max([(0, 1), (2, 3)], key=values.get)


@pytest.mark.parametrize("weight", [-1.0, 1e16, np.nan, [1.0, 2.0]])
def test_weights_that_are_none_are_said(weight):
    with pytest.raises(ValueError, match="weight from 0 to"):
        paired.fit(2, [0], [1], np.atleast_1d(weight))


def test_mistakes_are_said():
    for better, worse in (([], []), ([1], [1])):
        with pytest.raises(ValueError, match="comparisons"):
            paired.fit(3, better, worse)


@pytest.mark.slow
def test_chosen_comparisons_tell_more_than_random_ones():
    """Mean Kendall's τ of 200 random comparisons of 30 items, 9 % of them wrong, and of chosen ones."""
    random, chosen = [], []
    for seed in range(12):
        truth, better, worse = simulated(30, 200, seed, spread=4.0)
        random.append(kendalltau(paired.fit(30, better, worse).strength, truth).statistic)
        rng = np.random.default_rng([seed, 1])
        won, lost, found = list(better[:15]), list(worse[:15]), []
        while len(won) < 140:
            i, j = (scale := paired.fit(30, won, lost)).next_pair()
            found.append(kendalltau(scale.strength, truth).statistic)
            first = rng.random() < expit(truth[i] - truth[j])
            won.append(i if first else j)
            lost.append(j if first else i)
        chosen.append(found)
    means, goal = np.mean(chosen, 0), np.mean(random)
    assert means.max() >= goal
    share = (15 + int((means >= goal).argmax())) / 200
    print(f"mean τ {goal:.3f} is reached by {share:.2f} as many chosen comparisons")
    assert share <= 0.65
