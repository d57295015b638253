"""Scales from comparisons, beside scikit-learn's logistic regression, simulated truths and an exact search."""

from itertools import combinations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import kendalltau, norm
from sklearn.linear_model import LogisticRegression

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
        strength, covariance, _ = paired._mode(12, better, worse, weight, spread)
        model = LogisticRegression(C=spread**2, fit_intercept=False, tol=1e-10, max_iter=1000)
        model.fit(both, answer, np.concatenate([weight, weight]) / 2)
        assert strength == pytest.approx(model.coef_[0], abs=1e-4)
        chance = expit(design @ strength)
        hessian = (design * (weight * chance * (1 - chance))[:, None]).T @ design + np.eye(12) / spread**2
        assert covariance == pytest.approx(np.linalg.inv(hessian), abs=1e-8)


def test_the_spread_with_the_most_evidence_is_that_of_an_integral():
    """One comparison that is said three times: the marginal likelihood has one dimension, the difference."""
    three = np.zeros(3, np.intp), np.ones(3, np.intp), np.ones(3)
    for spread in (0.2, 0.5):
        exact = quad(lambda d, s=spread: expit(d) ** 3 * norm.pdf(d, 0, s * np.sqrt(2)), -9, 9)[0]
        # Laplace's approximation, less the terms that do not depend on the spread
        assert paired._mode(2, *three, spread)[2] == pytest.approx(np.log(exact), abs=0.01)


@pytest.mark.parametrize(("count", "least"), [(1500, 0.86), (150, 0.82)], ids=["many", "few"])
def test_intervals_of_differences_hold_what_they_promise(count, least):
    """With ten comparisons of each item they are a little narrow: .87 in 300 simulations."""
    held = []
    for seed in range(30):
        truth, better, worse = simulated(10, count * 10 // 15, 1000 + seed)
        found = paired.fit(10, better, worse)
        for i, j in combinations(range(10), 2):
            _, low, high = found.difference(i, j)
            held.append(low <= truth[i] - truth[j] <= high)
    assert least <= np.mean(held) <= 0.94  # thirty truths


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
    assert paired.contradictions(better, worse) == [(0, 1)]
    assert paired.cycle([0, 1, 2, 3], [1, 2, 0, 1]) == [0, 1, 2, 0]
    assert paired.cycle([0, 1], [1, 0]) == [0, 1, 0]
    assert paired.cycle([0, 0, 1], [1, 2, 2]) == []
    better, worse = [0] * 9 + [1] * 9 + [2], [1] * 9 + [2] * 9 + [0]
    assert paired.surprises(paired.fit(3, better, worse), better, worse) == [18]


def test_information_is_that_of_a_numerical_integral():
    _, better, worse = simulated(5, 12, seed=2)
    found = paired.fit(5, better, worse)

    def told(i, j):
        mean, sd = found.strength[i] - found.strength[j], np.sqrt(found._variance()[i, j])

        def average(f):
            return quad(lambda d: f(expit(d)) * norm.pdf(d, mean, sd), mean - 9 * sd, mean + 9 * sd)[0]

        def entropy(p):
            return -p * np.log(p) - (1 - p) * np.log1p(-p)

        return entropy(average(lambda p: p)) - average(entropy)

    values = {pair: told(*pair) for pair in combinations(range(5), 2)}
    assert found.next_pair() == max(values, key=values.get)
    assert found.next_pair([(0, 1), (2, 3)]) == max([(0, 1), (2, 3)], key=values.get)


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
