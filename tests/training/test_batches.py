"""Live pixels: what augmentation does to them, and that it does nothing without a generator."""

import pytest
import torch

from aqakit import discovery
from aqakit.training import batches
from aqakit.training.batches import Augmentation
from aqakit.types import LabelSpec, Sample, ScoreScale
from tests import hostile


def test_a_view_moves_and_mirrors_by_hand():
    picture = torch.arange(12).reshape(1, 1, 3, 4, 1).expand(-1, -1, -1, -1, 3)
    assert Augmentation().apply(picture)[0, 0, ..., 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert Augmentation(down=1).apply(picture)[0, 0, ..., 0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert Augmentation(right=-1).apply(picture)[0, 0, 0, :, 0].tolist() == [1, 2, 3, 3]
    assert Augmentation(mirrored=True).apply(picture)[0, 0, 0, :, 0].tolist() == [3, 2, 1, 0]


@pytest.fixture
def source(tmp_path):
    backbone = discovery.find("backbones", "c3d_small").build(size=16, frames=4)
    samples = []
    for i in range(3):
        path = hostile.write_video(tmp_path / f"{i}.mp4", 24 + i)
        samples.append(Sample(id=str(i), sources={"video": path}, score=float(i)))
    labels = LabelSpec(ScoreScale(0, 3))
    live, done = batches.live_pixels(samples, labels, {"c3d": backbone}, tmp_path, shift=2, flip=True, jitter=3)
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
