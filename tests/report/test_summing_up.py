"""The summary of a report: its claims against those of the paired comparison, drawn from known noise."""

import re

import numpy as np
import pytest
import torch

from aqakit.evaluation.results import FoldResult, MethodResult
from aqakit.report import html, summing_up
from aqakit.report.columns import TITLES
from aqakit.report.content import Study, TaskResult
from aqakit.scores.distributions import Normal
from aqakit.types import ScoreScale


def _method(label: str, noise: float, rule: str = "last", *, floor: bool = False, count: int = 80) -> MethodResult:
    true = np.linspace(0, 30, count)
    mean = torch.from_numpy(true + np.random.default_rng(len(label)).normal(0, noise, count))
    ids = tuple(map(str, range(count)))
    fold = FoldResult("all", 0, ids, true, Normal(mean, torch.ones(count)), source=f"runs/{label}")
    return MethodResult(label, (fold,), rule, floor=floor)


def _task(*methods: MethodResult) -> TaskResult:
    return TaskResult("dives", "five-fold", ScoreScale(0, 30), 30.0, methods)


def test_it_says_what_the_letters_say():
    task = _task(_method("a", 3.0), _method("bb", 3.0), _method("far", 30.0))
    compared, highest, equal, lower, use = summing_up.sentences(task)
    assert task.letters == {"a": "a", "bb": "a", "far": "b"}
    assert compared == (
        "Compared on dives, protocol five-fold: a, bb and far. Judged on 80 test samples, 1 fold, 1 seed."
    )
    (best,) = {"a", "bb"} - {equal.removeprefix("Not different from it beyond noise: ")[:-1]}
    assert highest.startswith(f"{best} has the highest Spearman")
    assert lower == "Lower than it beyond noise: far."
    assert use.startswith("To use: any of these 2")


def test_one_best_run_is_named():
    *_, use = summing_up.sentences(_task(_method("a", 1.0), _method("far", 30.0)))
    assert use == "To use: runs/a."


def test_nothing_is_recommended_beside_an_equal_floor():
    found = summing_up.sentences(_task(_method("a", 30.0), _method("floor: x", 30.0, "–", floor=True)))
    assert found[-1] == "No run is recommended: none is better than every floor beyond noise."
    assert "a, and 1 floor" in found[0]


def test_optimistic_numbers_do_not_compete():
    found = summing_up.sentences(_task(_method("a", 0.5, "best-test"), _method("bb", 3.0), _method("far", 30.0)))
    assert found[1] == "Chosen by test scores, so left out here: a."
    assert found[2].startswith("bb has the highest Spearman")
    assert not any(re.search(r"\ba\b", sentence) for sentence in found[2:4])
    assert "no run is recommended" in summing_up.sentences(_task(*(_method(n, 1, "best-test") for n in "ab")))[-1]


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        ((_method("a", 1.0),), "There is one method"),
        ((_method("a", 1.0), _method("bb", 1.0, count=50)), "were not tested"),
    ],
)
def test_without_a_comparison_nothing_is_claimed(methods, sentence):
    found = summing_up.sentences(_task(*methods))
    assert len(found) == 2
    assert all(f"{len(m.folds[0].ids)} test samples" in found[0] for m in methods)
    assert sentence in found[1]


def test_the_page_begins_with_it_and_ends_with_a_glossary():
    task = _task(_method("<a>", 1.0), _method("far", 30.0))
    text = html.page(Study((task,)), [[]])
    assert text.index("<h2>Summary</h2>") < text.index("<h3>Comparison</h3>") < text.index("<h2>Glossary</h2>")
    assert "<li>&lt;a&gt; has the highest Spearman" in text
    assert {"crps", "nll", "mae"} <= {word.lower() for word in summing_up.GLOSSARY} & {
        t.lower() for t in TITLES.values()
    }
