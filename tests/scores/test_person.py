"""The level of a person against scipy's analysis of variance, conditional normal distributions and planted offsets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f_oneway

from aqakit.errors import DataError
from aqakit.scores.person import PersonLevel


def answers(people, recordings, between, within, seed=0):
    random = np.random.default_rng(seed)
    offset = random.normal(scale=between, size=people)
    x = 5 + offset[:, None] + random.normal(scale=within, size=(people, recordings))
    return x, [person for person in range(people) for _ in range(recordings)], offset


def test_as_many_recordings_as_the_others_have_are_trusted_by_one_minus_one_over_f():
    """In groups of n, F = 1 + n τ² / σ², so w of n recordings is 1 − 1 / F."""
    x, person, _ = answers(8, 5, 2.0, 1.0)
    level = PersonLevel.fit(x.ravel(), person)
    statistic = f_oneway(*x).statistic
    assert level.trust(5) == pytest.approx(1 - 1 / statistic)
    assert level.level == pytest.approx(x.mean())
    assert level.people == 8


def test_the_shift_is_the_conditional_mean_of_a_normal_distribution():
    """E[a | x] of jointly normal offset and recordings, by solving their covariance."""
    level = PersonLevel(level=3.0, between=0.7, within=1.9, people=9)
    x = np.array([2.0, 4.5, 1.0])
    covariance = np.full((3, 3), 0.7) + 1.9 * np.eye(3)
    offset = np.full(3, 0.7) @ np.linalg.solve(covariance, x - 3.0)
    assert level.shift(x) == pytest.approx(-offset)


def test_the_level_of_uneven_groups_is_that_of_generalised_least_squares():
    x, person = np.array([1.0, 1.2, 3.0, 3.3, 2.8, 7.0, 6.5]), list("aabbbcc")
    level = PersonLevel.fit(x, person)
    same = np.equal.outer(np.array(person), np.array(person))
    inverse = np.linalg.inv(level.between * same + level.within * np.eye(7))
    assert level.level == pytest.approx(inverse.sum(0) @ x / inverse.sum())


def test_planted_variances_and_offsets_are_found():
    x, person, offset = answers(400, 6, 2.0, 1.0)
    level = PersonLevel.fit(x.ravel(), person)
    assert level.between == pytest.approx(4, rel=0.15)
    assert level.within == pytest.approx(1, rel=0.1)
    found = -np.array([level.shift(own[:2]) for own in x])
    assert np.square(found - offset).mean() == pytest.approx(4 * 1 / (2 * 4 + 1), rel=0.2)  # τ² (1 − w)
    assert np.square(found - offset).mean() < np.square(x[:, :2].mean(1) - 5 - offset).mean()


def test_people_who_do_not_differ_are_not_shifted():
    x = np.array([1.0, 3.0, 1.0, 3.0, 1.0, 3.0])
    level = PersonLevel.fit(x, list("aabbcc"))
    assert level.between == 0
    assert level.shift(np.array([9.0, 9.0])) == 0


def test_equal_recordings_of_each_person_are_trusted_fully():
    level = PersonLevel.fit(np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0]), list("aabbcc"))
    assert level.shift(np.array([5.0])) == pytest.approx(-3.0)
    assert PersonLevel.fit(np.ones(6), list("aabbcc")).shift(np.array([5.0])) == 0


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=8), st.floats(-9, 9), st.floats(0.1, 4))
def test_it_moves_and_stretches_with_the_scores(x, by, factor):
    x, person, own = np.round(x, 6), list("aabbccdd"), np.array([1.0, 2.0])
    plain, moved = PersonLevel.fit(x, person), PersonLevel.fit(factor * x + by, person)
    assert moved.shift(factor * own + by) == pytest.approx(factor * plain.shift(own), abs=1e-3)


def test_more_recordings_are_trusted_more_and_none_shifts_nothing():
    level = PersonLevel(0.0, 1.0, 1.0, 5)
    trust = [level.trust(n) for n in range(6)]
    assert trust == sorted(trust)
    assert (trust[0], trust[1]) == (0, 0.5)
    assert level.shift(np.array([])) == 0


@pytest.mark.parametrize("person", ["aabb", "abcd"])
def test_too_few_people_or_recordings(person):
    with pytest.raises(DataError, match="at least 3 held-out people"):
        PersonLevel.fit(np.arange(4.0), list(person))
