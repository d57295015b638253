"""The cache never answers with the features of another recording, and costs no hashing after the first time."""

import os
from pathlib import Path

import pytest
import torch

from aqakit.backbones import c3d_small
from aqakit.features import extract
from aqakit.recordings import hashing
from aqakit.training import live_pixels
from aqakit.types import LabelSpec, Sample, ScoreScale
from tests import hostile

BACKBONE = c3d_small.build(size=16, frames=4, clips=3, width=2).eval()
LABELS = LabelSpec(ScoreScale(0, 10))


def features(path: Path, cache: Path | None, **options: object) -> extract.Clips:
    return extract.clips_of(Sample("a", {"video": path}, **options), "c", BACKBONE, cache)


def test_a_folder_whose_pictures_were_taken_away_is_another(tmp_path: Path) -> None:
    folder = hostile.write_pictures(tmp_path / "frames", 40)
    first = features(folder, tmp_path / "cache")
    assert (first.fresh, first.length) == (True, 40)
    assert not features(folder, tmp_path / "cache").fresh
    for k in range(20):
        (folder / f"img_{k}.png").rename(folder / f"img_{k}.bak")
    second = features(folder, tmp_path / "cache")
    assert (second.fresh, second.length) == (True, 20)
    assert torch.equal(second.features, features(folder, None).features)
    assert not torch.equal(second.features, first.features)


def test_pictures_renamed_into_another_order_are_another(tmp_path: Path) -> None:
    folder = hostile.write_pictures(tmp_path / "frames", 20)
    features(folder, tmp_path / "cache")
    for k in range(20):
        (folder / f"img_{k}.png").rename(folder / f"new_{19 - k:02}.png")
    found = features(folder, tmp_path / "cache")
    assert found.fresh
    assert torch.equal(found.features, features(folder, None).features)


def test_a_window_has_its_own_pictures_only(tmp_path: Path) -> None:
    folder = hostile.write_pictures(tmp_path / "frames", 60)
    features(folder, tmp_path / "cache", window=(20, 39))
    (folder / "img_50.png").write_bytes((folder / "img_51.png").read_bytes())
    assert not features(folder, tmp_path / "cache", window=(20, 39)).fresh
    assert features(folder, tmp_path / "cache", window=(21, 40)).fresh
    (folder / "img_21.png").write_bytes((folder / "img_51.png").read_bytes() + b" ")
    assert features(folder, tmp_path / "cache", window=(20, 39)).fresh


def test_counting_at_a_constant_rate_is_another_recording(tmp_path: Path) -> None:
    times = [40 * k + 800 * (k >= 10) for k in range(40)]
    path = hostile.write_video(tmp_path / "v.mkv", 40, times=times)
    stored, constant = (
        features(path, tmp_path / "cache", window=(8, 19), rate=rate) for rate in ("stored", "constant")
    )
    assert constant.fresh
    assert not torch.equal(stored.features, constant.features)
    assert (stored.report.uneven, constant.report.uneven) == (1, 0)
    assert "rate=constant" in stored.report.sentence()


def test_what_was_missing_is_said_again_from_the_cache(tmp_path: Path) -> None:
    path = hostile.damage(hostile.write_video(tmp_path / "v.avi", 40, gop=1, noise=120), 8, 12)
    first, again = (features(path, tmp_path / "cache") for _ in range(2))
    assert (first.fresh, again.fresh) == (True, False)
    assert first.report == again.report
    assert not first.report.ok


def test_a_picture_that_replaces_another_is_not_kept(tmp_path: Path) -> None:
    """The picture before a broken one may be none that was hashed."""
    folder = hostile.write_pictures(tmp_path / "frames", 40)
    numbers = BACKBONE.numbers(folder)
    unread = next(k for k in range(1, 40) if k not in numbers)
    broken = next(k for k in numbers if k > unread)
    (folder / f"img_{broken}.png").write_bytes(b"broken")
    first = features(folder, tmp_path / "cache")
    assert first.report.missing == 1
    (folder / f"img_{broken - 1}.png").write_bytes((folder / "img_0.png").read_bytes())
    second = features(folder, tmp_path / "cache")
    assert torch.equal(second.features, features(folder, None).features)


@pytest.mark.parametrize("count", [300])
def test_an_epoch_from_the_cache_hashes_nothing(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hostile.write_pictures(tmp_path / "event", count)
    os.utime(folder, (1e9, 1e9))
    samples = [Sample(str(k), {"video": folder}, window=(k, k + 19), score=1.0) for k in range(0, count - 20, 20)]
    hashed: list[str] = []
    real = hashing._digest
    monkeypatch.setattr(hashing, "_digest", lambda path: hashed.append(path.name) or real(path))
    more = {"shift": 1, "flip": True, "jitter": 1}
    source, done = live_pixels.live_pixels(samples, LABELS, {"c": BACKBONE}, tmp_path / "cache", **more)
    assert len(done.samples) == len(samples)
    assert 0 < len(hashed) < 1.2 * count, "each picture once, and a few on both sides of a window"
    assert len(set(done.contents)) == len(samples)
    hashed.clear()
    for generator in (None, torch.Generator().manual_seed(0)):
        source.batch(torch.arange(len(samples)), generator)
    _, same = live_pixels.live_pixels(
        samples, LABELS, {"c": BACKBONE}, tmp_path / "cache", shift=1, flip=True, jitter=1
    )
    assert same.contents == done.contents
    assert hashed == []
