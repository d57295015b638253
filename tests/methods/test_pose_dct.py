import math

import numpy as np
import pytest
import scipy.fft
import torch

from aqakit.backbones import skeleton
from aqakit.errors import OptionError
from aqakit.methods import pose_dct
from aqakit.methods.pose_dct import PoseDCT, lowest_coefficients
from aqakit.metrics.accuracy import spearman
from aqakit.types import Batch, FeatureSpec, Stream
from tests.synthetic import LABELS

JOINTS, CLIP = 5, 4


def poses(videos=6, clips=5, dimensions=2, seed=0):
    """Recordings (T, J, C) of different lengths; the joints swing about the head, the wider the better the score."""
    random = np.random.default_rng(seed)
    made, scores = [], []
    for _ in range(videos):
        length = CLIP * int(random.integers(2, clips + 1))
        width = random.uniform(0.2, 2)
        phase = np.pi * np.linspace(0, 4, length)[:, None, None] + np.arange(JOINTS)[:, None]
        path = width * np.cos(phase) * np.arange(JOINTS)[:, None] + random.normal(0, 0.05, (length, JOINTS, dimensions))
        made.append(torch.tensor(path, dtype=torch.float32))
        scores.append(20 + 30 * width)
    return made, torch.tensor(scores)


def as_batch(recordings, scores):
    """The features that the backbone skeleton gives for clips side by side."""
    plan = f"sliding:frames={CLIP}:step={CLIP}"
    backbone = skeleton.build(
        plan=plan, joints=JOINTS, dimensions=recordings[0].shape[2], centre="none", layout="joints"
    )
    features = [backbone(path[torch.from_numpy(backbone.plan.clips(len(path)))]) for path in recordings]
    unknown = torch.full_like(scores, math.nan)
    return Batch(
        streams={"skeleton": Stream.stack(features)},
        score=scores,
        judges=unknown[:, None],
        difficulty=unknown,
        attributes={},
        caption=torch.full((len(scores), 1), -1),
        group=torch.full((len(scores),), -1),
    )


@pytest.mark.parametrize(("head", "dimensions"), [(0, 2), (3, 3)])
def test_it_is_scipy_s_dct_of_the_path_relative_to_the_head(head, dimensions):
    recordings, scores = poses(dimensions=dimensions)
    found = PoseDCT(head=head, dimensions=dimensions, coefficients=7)(as_batch(recordings, scores))
    for row, path in zip(found, recordings, strict=True):
        relative = np.delete((path - path[:, [head]]).numpy(), head, axis=1).reshape(len(path), -1)
        expected = np.abs(scipy.fft.dct(relative, axis=0, norm="ortho")[:7]) / math.sqrt(len(path))
        assert row.numpy() == pytest.approx(expected.ravel(), abs=1e-5)


def test_a_path_of_few_frames_has_no_fast_coefficients():
    path = torch.randn(1, 6, 2)
    frames = torch.tensor([[True, True, True, True, False, False]])
    found = lowest_coefficients(path, frames, 6)[0].numpy()
    expected = scipy.fft.dct(path[0, :4].numpy(), axis=0, norm="ortho") / 2
    assert found == pytest.approx(np.vstack([expected, np.zeros((2, 2))]), abs=1e-6)


def test_a_body_that_moves_as_a_whole_says_nothing():
    recordings, scores = poses()
    embed = PoseDCT(head=0, dimensions=2, coefficients=8)
    elsewhere = [path + 30 * torch.randn(len(path), 1, 2) for path in recordings]
    plain = embed(as_batch(recordings, scores))
    torch.testing.assert_close(embed(as_batch(elsewhere, scores)), plain, atol=1e-4, rtol=0)
    mirrored = [-path for path in recordings]
    torch.testing.assert_close(embed(as_batch(mirrored, scores)), plain)


def test_a_path_sampled_twice_as_finely_has_nearly_the_same_coefficients():
    def coefficients(frames):
        time = (torch.arange(frames) + 0.5) / frames
        path = torch.stack([torch.sin(5 * time), time**2], 1)[None]
        return lowest_coefficients(path, torch.ones(1, frames, dtype=torch.bool), 10)

    torch.testing.assert_close(coefficients(80), coefficients(160), atol=1e-3, rtol=0)


def test_it_learns_how_widely_a_body_swings():
    train, test = as_batch(*poses(60)), as_batch(*poses(40, seed=1))
    method = pose_dct.build(FeatureSpec({"skeleton": (JOINTS, 2 * CLIP)}), LABELS)
    method.remember(train)
    assert spearman(test.score.numpy(), method.predict(test).mean.numpy()) > 0.95
    assert method.support.shape == (1, (JOINTS - 1) * 2 * 10)


@pytest.mark.parametrize(
    ("shape", "options"),
    [((5, 12), {"head": 5}), ((5, 8), {"dimensions": 3}), ((1, 12), {}), ((12,), {}), ((5, 2, 4, 4), {})],
)
def test_other_features_are_refused(shape, options):
    with pytest.raises(OptionError, match="reads coordinates of at least two joints"):
        pose_dct.build(FeatureSpec({"test": shape}), LABELS, **options)
