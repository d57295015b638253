"""S4L: changed videos hold the same clips or pixels, the class says how they were changed, and it can be learnt."""

import math

import numpy as np
import pytest
import torch

from aqakit import discovery
from aqakit.backbones import c3d_small
from aqakit.errors import OptionError
from aqakit.methods.parts.semi_supervised import first
from aqakit.methods.s4l import _ORDERS, turn
from aqakit.training.assessor import Assessor, Standardise, assemble
from aqakit.training.batches import CachedFeatures
from aqakit.training.loop import fit
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import Batch, FeatureSpec, Sample, Stream
from tests.semi_supervised import assert_same_without_unlabelled_rows, built, trained
from tests.synthetic import FEATURES, LABELS, batch

MIXED = batch(unlabelled=8)


def numbered(clips: int, videos: int = 50) -> Stream:
    """Clip n of every video is n in all channels."""
    values = torch.arange(float(clips))[None, :, None].expand(videos, clips, 12)
    return Stream(values, torch.ones(videos, clips, dtype=torch.bool))


def test_orders_by_hand():
    torch.manual_seed(0)
    changed, truth = built("s4l").change(numbered(6))
    assert set(truth.tolist()) == set(range(6))
    for row, kind in enumerate(truth.tolist()):
        expected = [clip for part in _ORDERS[kind] for clip in (2 * part, 2 * part + 1)]
        assert changed.features[row, :, 0].tolist() == expected


def test_speeds_by_hand():
    torch.manual_seed(0)
    changed, truth = built("s4l", question="speed").change(numbered(9))
    assert set(truth.tolist()) == {0, 1, 2}
    for row, kind in enumerate(truth.tolist()):
        expected = list(range(0, 9, 2**kind))
        assert changed.features[row, : len(expected), 0].tolist() == expected
        assert changed.clips[row].sum() == len(expected)


@pytest.mark.parametrize("question", ["order", "speed"])
def test_what_time_shows_in_the_features_is_learnt(question):
    train = batch(videos=40, unlabelled=32, features=FEATURES)
    rows = torch.arange(40.0)[:, None, None]
    drift = 0.5 * torch.arange(9.0)[None, :, None] + 0 * rows  # features drift with time
    noise = 0.1 * torch.randn(40, 9, 12, generator=torch.Generator().manual_seed(0))
    stream = Stream(drift + noise - 2, torch.ones(40, 9, dtype=torch.bool))
    method = trained(built("s4l", question=question), train.replace(streams={"test": stream}), epochs=40, rate=1e-2)
    answer = [method.losses(train.replace(streams={"test": stream}))[question].item() for _ in range(3)]
    assert max(answer) < 0.3 * math.log(6 if question == "order" else 3)


def test_videos_of_few_clips_can_be_asked():
    method = built("s4l")
    short = Stream(*[t[:, :1] for t in (first(MIXED).features, first(MIXED).clips)])
    assert method.losses(MIXED.replace(streams={"test": short}))["order"].isfinite()


def test_without_unlabelled_rows_it_is_the_base_over_its_encoder():
    scheme = built("s4l", base="dae", dropout=0.2)
    assert_same_without_unlabelled_rows(scheme, built("s4aqa", base="dae", dropout=0.2, recovery=0, alignment=0))


def filmed(videos: int, unlabelled: int, *, height: int = 16, width: int = 16, seed: int = 0) -> Batch:
    """Two clips of two frames for each video: a noisy sky, bright at the top."""
    generator = torch.Generator().manual_seed(seed)
    sky = torch.linspace(180, 20, height)[:, None, None]
    noise = 75 * torch.rand(videos, 2, 2, height, width, 3, generator=generator)
    stream = Stream((sky + noise).to(torch.uint8), torch.ones(videos, 2, dtype=torch.bool))
    return batch(videos=videos, unlabelled=unlabelled).replace(streams={"c3d_small": stream})


def live(method: str, **options) -> Assessor:
    backbone = c3d_small.build(size=16, frames=2, width=2)
    torch.manual_seed(0)
    shapes = FeatureSpec({"c3d_small": backbone.shape})
    built = discovery.find("methods", method).build(shapes, LABELS, **options)
    return Assessor(built, Standardise({}), {"c3d_small": backbone}, target="score", fuse="none")


def fitted(assessor: Assessor, pixels: Batch, epochs: int) -> list[dict[str, float]]:
    samples = [Sample(str(k), {}, score=None if math.isnan(s) else s) for k, s in enumerate(pixels.score.tolist())]
    settings = Settings(epochs=epochs, batch_size=16, learning_rate=1e-2, schedule="constant", device="cpu")
    return fit([Member(assessor, CachedFeatures(samples, pixels))], {}, settings).losses


def test_turns_are_numpys_and_alike_in_all_frames_and_streams():
    pixels = filmed(40, 40)
    both = pixels.replace(streams={"one": first(pixels), "other": first(pixels)})
    turned, truth = turn(both)
    assert set(truth.tolist()) == {0, 1, 2, 3}
    for name in both.streams:
        for row, quarters in enumerate(truth.tolist()):
            expected = np.rot90(first(pixels).features[row].numpy(), quarters, axes=(-3, -2))
            assert np.array_equal(turned.streams[name].features[row].numpy(), expected)


def test_of_pictures_that_are_not_square_the_central_square_is_turned():
    pixels = filmed(20, 20, height=8, width=16)
    torch.manual_seed(0)
    turned, truth = turn(pixels)
    assert first(turned).features.shape == first(pixels).features.shape
    upright = first(turned).features.float()
    for row, quarters in enumerate(truth.tolist()):
        rows, columns = (upright[row].mean(axis) for axis in ((0, 1, 3, 4), (0, 1, 2, 4)))
        bright = [rows[:4].mean(), columns[:8].mean(), rows[4:].mean(), columns[8:].mean()]
        assert int(torch.stack(bright).argmax()) == quarters  # top, left, bottom, right
    outside = first(pixels).features.clone()
    outside[..., :4, :], outside[..., 12:, :] = 0, 255
    torch.manual_seed(0)
    same, _ = turn(pixels.replace(streams={"c3d_small": Stream(outside, first(pixels).clips)}))
    assert torch.equal(first(same).features, first(turned).features)


@pytest.mark.slow
def test_turns_of_pixels_are_learnt_by_the_backbone_and_repeat():
    assessor, again = (live("s4l", question="rotation", width=16) for _ in range(2))
    losses = fitted(assessor, filmed(48, 40), epochs=10)
    assert fitted(again, filmed(48, 40), epochs=2) == losses[:2]
    new = assessor.eval().method.pixel_losses(filmed(64, 64, seed=1), assessor.embed)
    assert new["rotation"].item() < 0.5 * math.log(4)  # chance: log 4


def test_one_more_pass_of_the_unlabelled_rows_is_the_price():
    assessor, rows = live("s4l", question="rotation"), []
    assessor.live["c3d_small"].register_forward_hook(lambda module, clips, out: rows.append(len(clips[0])))
    assert set(assessor.losses(filmed(12, 8))) == {"divergence", "rotation"}
    assert rows == [2 * 12, 2 * 8]


def test_without_unlabelled_rows_no_pixel_is_turned():
    runs = [live("s4l", question="rotation"), live("s4aqa", recovery=0, alignment=0, dropout=0)]
    losses = [fitted(run, filmed(20, 0), epochs=2) for run in runs]
    assert losses[0] == losses[1]
    answers = [run.eval().predict(filmed(8, 0, seed=1)).mean for run in runs]
    assert torch.equal(*answers)


def test_a_scheme_around_it_asks_too():
    assert "rotation" in live("vat", base="s4l/question=rotation").losses(filmed(12, 8))


def test_turned_pixels_need_live_backbones():
    backbone = {"c3d_small": c3d_small.build(size=16, frames=2, width=2)}
    with pytest.raises(OptionError, match="method s4l with these options needs pixels: give finetune=True"):
        assemble("s4l", {"question": "rotation"}, backbone, LABELS)
    assert assemble("s4l", {"question": "rotation"}, backbone, LABELS, finetune=True).live
