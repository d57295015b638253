"""Caption metrics against the COCO caption evaluation; descriptions against counting by hand."""

import math

import pytest
import torch
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from aqakit.metrics import caption, description
from aqakit.types import Description
from tests.synthetic import LABELS, batch

TRUE = [
    "a forward dive with three and a half somersaults in pike and a clean entry",
    "she comes up short on that one . big splash at the end .",
    "an armstand back double somersault in tuck , well done",
    "inward dive tuck",
]
SAID = [
    "a forward dive with two and a half somersaults in pike and a big splash",
    "she comes up a little short . the the the splash at the end .",
    "an armstand back double somersault in tuck , well done",
    "forward dive in pike and a clean entry",
]


def coco(scorer, true=TRUE, said=SAID):
    return scorer.compute_score({i: [t] for i, t in enumerate(true)}, {i: [s] for i, s in enumerate(said)})[0]


def test_bleu_is_that_of_the_coco_evaluation():
    assert [caption.bleu(TRUE, SAID, order) for order in (1, 2, 3, 4)] == pytest.approx(coco(Bleu(4)), rel=1e-6)


def test_bleu_without_a_match_is_zero_where_the_coco_evaluation_has_a_rest():
    true, said = ["a b c d"], ["d c b a"]
    assert caption.bleu(true, said, 1) == pytest.approx(1)
    assert caption.bleu(true, said, 2) == 0
    assert 0 < coco(Bleu(2), true, said)[1] < 1e-6
    assert 1e-5 < coco(Bleu(4), ["a b c x d e f"], ["a b c y d e f"])[3] < 2e-4
    assert caption.bleu(["a b c x d e f"], ["a b c y d e f"], 4) == 0


def test_rouge_l_is_that_of_the_coco_evaluation():
    assert caption.rouge_l(TRUE, SAID) == pytest.approx(coco(Rouge()))
    assert caption.rouge_l(["a b c d"], ["a c d"]) == pytest.approx(2.44 * 1 * 0.75 / (0.75 + 1.44))


def test_cider_is_that_of_the_coco_evaluation():
    assert caption.cider(TRUE, SAID) == pytest.approx(coco(Cider()))
    assert caption.cider(TRUE, TRUE) == pytest.approx(coco(Cider(), TRUE, TRUE))
    assert caption.cider(TRUE[:1], SAID[:1]) == coco(Cider(), TRUE[:1], SAID[:1]) == 0


@pytest.mark.parametrize("metric", [caption.bleu, caption.rouge_l, caption.cider])
def test_the_truth_scores_best_and_silence_nothing(metric):
    silence = ["" for _ in TRUE]
    assert metric(TRUE, TRUE) > metric(TRUE, SAID) > metric(TRUE, silence) == 0
    assert metric(TRUE, SAID) == pytest.approx(metric(TRUE[::-1], SAID[::-1]))


def test_a_description_is_judged_where_the_truth_is_known():
    truth = batch(videos=4)
    truth.attributes["position"][:] = torch.tensor([3, -1, 0, 1])
    truth.caption[:] = torch.tensor([[0, 1, 4], [-1, -1, -1], [0, 2, -1], [3, -1, -1]])
    right = torch.eye(4)[[3, 0, 0, 2]]
    said = Description({"position": right}, ((0, 1, 4), (4, 4), (0, 2), (2,)))
    row = description.evaluate(said, truth, LABELS)
    sentences = ["a forward dive", "a back", "clean"], ["a forward dive", "a back", "back"]
    assert row["accuracy_position"] == pytest.approx(2 / 3)
    assert row["bleu_1"] == pytest.approx(5 / 6)
    assert row["cider"] == pytest.approx(coco(Cider(), *sentences))
    assert list(row) == ["accuracy_position", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"]


def test_what_is_not_said_or_not_known_has_no_number():
    truth = batch(videos=4)
    assert description.evaluate(Description(), truth, LABELS) == {}
    nothing = truth.unlabelled()
    said = Description({"position": torch.eye(4)}, ((0,),) * 4)
    row = description.evaluate(said, nothing, LABELS)
    assert list(row) == ["accuracy_position"]
    assert math.isnan(row["accuracy_position"])
