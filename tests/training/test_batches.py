"""Live pixels: what augmentation does to them, and that it does nothing without a generator."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.recordings import clips, video
from aqakit.training import live_pixels, run_json
from aqakit.training.pixel_stream import Augmentation
from aqakit.training.recipe import Recipe, make_recipe
from aqakit.types import LabelSpec, Sample, ScoreScale
from tests import hostile


@pytest.fixture(scope="module")
def small():
    return discovery.find("backbones", "c3d_small").build(size=16, frames=4)


def test_a_view_moves_and_mirrors_by_hand(small):
    def seen(**drawn):
        return Augmentation(**drawn).apply(picture, small)[0, 0, ..., 0].tolist()

    picture = torch.arange(12).reshape(1, 1, 3, 4, 1).expand(-1, -1, -1, -1, 3)
    assert seen() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert seen(down=1) == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert seen(right=-1)[0] == [1, 2, 3, 3]
    assert seen(mirrored=True)[0] == [3, 2, 1, 0]


def test_a_mirrored_flow_moves_the_other_way():
    flow, colours = (discovery.find("backbones", "i3d").build(size=32, stream=name) for name in ("flow", "rgb"))
    given = torch.randint(0, 256, (1, 4, 2, 3, 3), dtype=torch.uint8)
    found = Augmentation(mirrored=True).apply(given, flow)
    assert torch.equal(found[..., 0], 255 - given[..., 0].flip(-1))
    assert torch.equal(found[..., 1:], given[..., 1:].flip(-2))
    assert torch.equal(Augmentation(mirrored=True).apply(given, colours), given.flip(-2))


@pytest.mark.parametrize(("shift", "numbers"), [((0, 6), range(109)), (3, range(106)), ((2, 6), range(109))])
def test_folders_of_dae_start_0_to_6_frames_later(shift, numbers, tmp_path):
    """In the public code a clip is the first 103 pictures of its folder, in training those from the 0th to 6th on."""
    small = discovery.find("backbones", "c3d_small").build(size=16, frames=4)
    small.plan = clips.PLANS["dae"]
    path = hostile.write_video(tmp_path / "a.mp4", 115)
    sample = Sample(id="a", sources={"video": path}, score=1.0, window=(0, 102))
    more = {"shift": shift, "flip": False, "jitter": 0}
    live, _ = live_pixels.live_pixels([sample], LabelSpec(ScoreScale(0, 3)), {"c3d": small}, tmp_path, **more)
    assert small.numbers(path, sample.window, shift=shift).tolist() == list(numbers)
    drawn = {live._augmentations(1, torch.Generator().manual_seed(seed))[0].shift for seed in range(60)}
    assert drawn == ({*range(shift[0], shift[1] + 1)} if isinstance(shift, tuple) else {*range(-3, 4)})
    every = video.frames(path, range(115), size=(16, 16))
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        by = live._augmentations(1, torch.Generator().manual_seed(seed))[0].shift
        wanted = every[np.clip(small.plan.clips(103) + by, 0, 114)]
        assert np.array_equal(live.batch(torch.tensor([0]), generator).features[0].numpy(), wanted)
    assert np.array_equal(live.batch(torch.tensor([0])).features[0].numpy(), every[small.plan.clips(103)])


def test_a_range_of_shifts_is_understood_and_kept():
    def made(shift):
        more = {"finetune": True, "members": 1}
        return make_recipe("dae", data="manifest", backbone="c3d_small", root="a.csv", shift=shift, **more)

    assert made("0..6").shift == made((0, 6)).shift == made("0…6").shift == (0, 6)
    assert made("3").shift == made("-3..3").shift == made(3).shift == 3
    assert Recipe.from_json(made("0..6").to_json()).shift == (0, 6)
    stored = {"recipe": made("0..6").to_json(), "format": 2}
    assert run_json.recipe_of(Path("run"), stored).shift == (0, 6)
    for wrong in ("6..0", "-3", "1.5", "a", "0..", (1, 2, 3)):
        with pytest.raises(OptionError, match=r"shift: .*such as 3, or a range from low to high"):
            made(wrong)


@pytest.fixture
def source(tmp_path):
    backbone = discovery.find("backbones", "c3d_small").build(size=16, frames=4)
    samples = []
    for i in range(3):
        path = hostile.write_video(tmp_path / f"{i}.mp4", 24 + i)
        samples.append(Sample(id=str(i), sources={"video": path}, score=float(i)))
    labels = LabelSpec(ScoreScale(0, 3))
    live, done = live_pixels.live_pixels(samples, labels, {"c3d": backbone}, tmp_path, shift=2, flip=True, jitter=3)
    assert done.lengths == [24, 25, 26]
    return live


def test_without_a_generator_nothing_is_random_and_with_one_it_repeats(source):
    index = torch.arange(3)
    plain = source.batch(index).features
    assert plain.shape == (3, 1, 4, 16, 16, 3)
    assert torch.equal(plain, source.batch(index).features)
    seeded = [source.batch(index, torch.Generator().manual_seed(s)).features for s in (1, 1, 2)]
    assert torch.equal(seeded[0], seeded[1])
    assert not torch.equal(seeded[0], seeded[2])
    assert not torch.equal(seeded[0], plain)


def test_frames_are_decoded_once(source, monkeypatch):
    source.batch(torch.arange(3))
    monkeypatch.setattr(type(source.backbones["c3d"]), "frames", None)
    assert len(source.batch(torch.tensor([1, 2]), torch.Generator().manual_seed(0))) == 2
