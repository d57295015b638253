"""The soft alignment beside all alignments, the contrast beside PyTorch's cross-entropy, and what is left out when."""

import math

import pytest
import torch
from torch.nn import functional as F

from aqakit.methods import t2cr
from aqakit.methods.parts.soft_dtw import soft_dtw
from aqakit.types import LabelSpec, ScoreScale, Stream
from tests.synthetic import FEATURES, LABELS, batch


def grown(train=None, labels=LABELS, **options):
    torch.manual_seed(0)
    method = t2cr.build(FEATURES, labels, layers=1, **options)
    method.remember(batch() if train is None else train)
    return method.eval()


def alignments(rows, columns):
    """All monotone paths from the first pair of elements to the last, as lists of pairs."""
    if (rows, columns) == (1, 1):
        return [[(0, 0)]]
    before = [(rows - 1, columns - 1), (rows - 1, columns), (rows, columns - 1)]
    return [[*way, (rows - 1, columns - 1)] for r, c in before if r and c for way in alignments(r, c)]


def costs(one, other):
    """The cost of each alignment of (n, D) and (m, D)."""
    distance = torch.cdist(one, other).square()
    return torch.stack([sum(distance[i, j] for i, j in way) for way in alignments(len(one), len(other))])


@pytest.mark.parametrize("gamma", [0.1, 2.0])
def test_soft_alignment_is_the_soft_minimum_over_all_alignments(gamma):
    one, other = torch.randn(3, 4, 2).double(), torch.randn(3, 5, 2).double()
    wanted = [-gamma * torch.logsumexp(-costs(a, b) / gamma, 0) for a, b in zip(one, other, strict=True)]
    torch.testing.assert_close(soft_dtw(one, other, gamma), torch.stack(wanted))


def test_a_hard_minimum_is_dynamic_time_warping():
    one, other = torch.randn(2, 5, 3).double(), torch.randn(2, 4, 3).double()
    wanted = torch.stack([costs(a, b).min() for a, b in zip(one, other, strict=True)])
    torch.testing.assert_close(soft_dtw(one, other, 1e-6), wanted)


def test_the_gradient_of_the_soft_alignment_is_right():
    one, other = (torch.randn(2, n, 2, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    assert torch.autograd.gradcheck(lambda a, b: soft_dtw(a, b, 0.5), (one, other))


def test_the_contrast_is_the_cross_entropy_of_finding_the_other_view():
    one, other = torch.randn(2, 6, 5)
    both = F.normalize(torch.cat([one, other]), dim=1)
    logits = (both @ both.T / 0.1).fill_diagonal_(-math.inf)
    target = (torch.arange(12) + 6) % 12
    torch.testing.assert_close(t2cr.agreement(one, other), F.cross_entropy(logits, target, reduction="none"))


def test_a_single_video_has_no_negatives():
    assert t2cr.agreement(torch.randn(1, 5), torch.randn(1, 5)).abs().max() < 1e-5
    assert t2cr.agreement(torch.randn(0, 5), torch.randn(0, 5)).shape == (0,)


def test_there_are_eight_losses_and_seven_without_kinds():
    train = batch()
    terms = grown().losses(train)
    assert len(terms) == 8
    plain = grown(labels=LabelSpec(ScoreScale(0, 120))).losses(train)
    assert terms.keys() - plain.keys() == {"kind"}
    unknown = train.replace(kind=torch.full((24,), -1))
    assert grown(unknown).losses(unknown)["kind"] == 0


def test_only_what_is_no_error_of_a_score_has_the_auxiliary_weight():
    train, found = batch(), []
    for weight in (0.01, 0.03):
        method = grown(auxiliary=weight)
        torch.manual_seed(2)
        found.append({n: float(v.detach()) for n, v in method.losses(train).items()})
    ratio = {n: found[1][n] / found[0][n] for n in found[0]}
    assert {n for n, r in ratio.items() if r == pytest.approx(3)} == {"paths", "contrast", "alignment", "kind"}
    assert {n for n, r in ratio.items() if r == pytest.approx(1)} == {"difference", "direct", "coarse", "self"}


def test_swapping_two_videos_changes_the_sign_of_their_difference():
    method = grown()
    one, other = torch.randn(2, 6, 20, 64)
    torch.testing.assert_close(method._difference(one, other), -method._difference(other, one))
    assert torch.equal(method._difference(one, one), torch.zeros(6))


def test_a_video_compared_with_itself_is_halfway_between_its_score_and_what_is_read():
    train = batch()
    method = grown(match="nearest", voters=1, answer="votes")
    full, _ = method._views(Stream(train.features, train.clips))
    read = method.compare.score.units(method.compare.score(full))
    torch.testing.assert_close(method.predict(train).mean, (train.score + read) / 2)


def test_one_clip_one_video_and_one_exemplar_are_enough():
    lone = batch(videos=1, clips=2)
    stream = next(iter(lone.streams.values()))
    lone = lone.replace(streams={"test": Stream(stream.features[:, :1], stream.clips[:, :1])})
    method = grown(lone)
    assert all(term.isfinite() for term in method.losses(lone).values())
    assert math.isfinite(float(method.predict(lone).mean))
