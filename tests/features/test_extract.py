"""Features of many recordings: read ahead by threads, kept on disk, the same as one after another."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aqakit.backbones import c3d, c3d_small, p3d
from aqakit.backbones.parts.base import Backbone
from aqakit.errors import AqakitError, OptionError
from aqakit.features import engines, extract, keys
from aqakit.recordings import video
from aqakit.recordings.clips import PLANS
from aqakit.system.prefetch import read_ahead
from aqakit.types import Sample, Segment
from tests.backbones.test_every_backbone import write_video


def small(**options: int) -> c3d_small.C3DSmall:
    return c3d_small.build(size=16, frames=4, clips=3, width=2, **options).eval()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("videos")
    return [Sample(str(n), {"video": write_video(folder / f"{n}.avi", n)}) for n in range(12, 17)]


@pytest.fixture
def signal(tmp_path: Path) -> Sample:
    np.save(tmp_path / "s.npy", np.random.default_rng(0).normal(size=(90, 2)))
    return Sample("s", {"signal": tmp_path / "s.npy"})


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def test_the_same_bits_as_one_after_another(samples: list[Sample]) -> None:
    backbone = small()
    done = extract.extract(samples, {"c": backbone}, None)
    with torch.inference_mode():
        alone = [
            backbone(torch.from_numpy(np.stack(list(backbone.read(s.sources["video"]))))).half().float()
            for s in samples
        ]
    assert done.lengths == [12, 13, 14, 15, 16]
    assert all(torch.equal(a, b) for a, b in zip(done.streams["c"], alone, strict=True))


def test_a_broken_recording_is_one_failure(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "broken.avi").write_bytes(b"RIFF" + bytes(1000))
    broken, none = Sample("broken", {"video": tmp_path / "broken.avi"}), Sample("none", {"video": tmp_path / "no.avi"})
    done = extract.extract([samples[0], broken, samples[1], none], {"a": small(), "b": small(seed=1)}, tmp_path)
    assert [s.id for s in done.samples] == ["12", "13"]
    assert [len(done.streams[name]) for name in ("a", "b")] == [2, 2]
    assert "broken.avi" in done.failures["broken"]
    assert "no.avi" in done.failures["none"]


def test_a_second_run_reads_the_cache_and_mends_what_is_damaged(samples: list[Sample], tmp_path: Path) -> None:
    first = extract.extract(samples, {"c": small()}, tmp_path)
    files = sorted(tmp_path.rglob("*.safetensors"))
    files[0].write_bytes(files[0].read_bytes()[:-7])
    found = [clips for _, clips in extract.iter_features(samples, {"c": small()}, tmp_path)]
    again = [clips["c"] for clips in found if not isinstance(clips, AqakitError)]
    assert sorted(c.fresh for c in again) == [False] * 4 + [True]
    assert all(torch.equal(a, c.features) for a, c in zip(first.streams["c"], again, strict=True))
    assert sorted(tmp_path.rglob("*.safetensors")) == files


def test_named_segments_are_the_clips_of_a_video(samples: list[Sample], tmp_path: Path) -> None:
    backbone = c3d.build(size=16, plan="gestures")
    whole = samples[-1]  # 16 frames
    named = replace(whole, segments=(Segment("fall", 0, 4), Segment("entry", 5, 15)))
    found = extract.clips_of(named, "c", backbone, tmp_path)
    frames = np.stack([*video.frames(whole.sources["video"], np.arange(16), size=(16, 16))])
    rows = np.stack([np.linspace(0, 4 + 1e-9, 16), np.linspace(5, 15 + 1e-9, 16)]).astype(int)
    pixels = extract.pixels_of(named, "c", backbone, tmp_path, shift=0)
    clips = backbone.reader(named).clips_of(pixels.numbers, pixels.length)
    assert pixels.numbers[clips].tolist() == rows.tolist()
    with torch.inference_mode():
        again = backbone(pixels.frames[torch.from_numpy(clips)]).half().float()
    assert torch.equal(found.features, again)
    assert pixels.frames.shape == (len(set(rows.ravel().tolist())), *frames.shape[1:])
    assert not extract.clips_of(named, "c", backbone, tmp_path).fresh
    moved = replace(named, segments=(Segment("fall", 0, 5), Segment("entry", 6, 15)))
    assert extract.clips_of(moved, "c", backbone, tmp_path).fresh
    assert backbone.plan == PLANS["gestures"]  # the backbone itself knows no recording
    done = extract.extract([whole, named], {"c": backbone}, tmp_path)
    assert [s.id for s in done.samples] == [named.id]
    assert "one clip for each named segment" in done.failures[whole.id]


def test_another_precision_is_another_cache(samples: list[Sample], tmp_path: Path) -> None:
    backbone, sample = small(), samples[0]
    exact = extract.clips_of(sample, "c", backbone, tmp_path)
    rounded = extract.clips_of(sample, "c", backbone, tmp_path, engines.make("torch", "bfloat16"))
    assert exact.fresh
    assert rounded.fresh
    assert not torch.equal(exact.features, rounded.features)
    torch.testing.assert_close(exact.features, rounded.features, rtol=0.05, atol=0.02)
    assert torch.equal(extract.clips_of(sample, "c", backbone, tmp_path).features, exact.features)


@pytest.mark.parametrize(("name", "precision"), [("tensorrt", "float32"), ("torch", "int4")])
def test_what_there_is_not(name: str, precision: str) -> None:
    with pytest.raises(OptionError, match="there is no"):
        engines.make(name, precision)


def test_int8_is_near_and_depends_on_its_calibration(samples: list[Sample]) -> None:
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    pytest.importorskip("nncf", reason="the extra fast is not installed")
    backbone, paths = small(), [s.sources["video"] for s in samples]
    first, again, other = (engines.make("openvino", "int8", path) for path in (paths[0], paths[0], paths[1]))
    plain = extract.embed(backbone, samples[2], "c")
    rounded = extract.embed(backbone, samples[2], "c", first)
    assert F.cosine_similarity(plain, rounded).min() > 0.98
    assert not torch.equal(plain, rounded)
    assert torch.equal(rounded, extract.embed(backbone, samples[2], "c", again))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_what_int8_needs_is_said(samples: list[Sample]) -> None:
    path = samples[0].sources["video"]
    with pytest.raises(OptionError, match="recording, calibration=, belong"):
        engines.make("openvino", "int8")
    with pytest.raises(OptionError, match="belong together"):
        engines.make("openvino", "float32", path)
    with pytest.raises(OptionError, match="torch has no int8"):
        engines.make("torch", "int8", path)
    with pytest.raises(OptionError, match="is not there"):
        engines.make("openvino", "int8", path.with_name("none.avi"))


@pytest.mark.slow
def test_openvino_agrees_with_torch(samples: list[Sample]) -> None:
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    backbone = small()
    exact = extract.embed(backbone, samples[0], "c")
    other = extract.embed(backbone, samples[0], "c", engines.make("openvino"))
    torch.testing.assert_close(other, exact, rtol=1e-4, atol=1e-5)


def test_what_no_recording_is_to_blame_for_stops_the_run(samples: list[Sample]) -> None:
    class Unable(engines.Torch):
        def embed(self, backbone, clips):
            raise OptionError("cannot run this network")

    with pytest.raises(OptionError, match="this network"):
        extract.extract(samples, {"c": small()}, None, Unable("float32"))


def test_the_next_is_read_while_the_caller_works() -> None:
    started = threading.Event()

    def second():
        started.set()
        yield "b"

    opened = read_ahead([lambda: iter("a"), second], threads=1, depth=1)
    assert list(next(opened)) == ["a"]
    assert started.wait(5)  # though nobody has asked for it yet
    assert list(next(opened)) == ["b"]


def test_no_more_than_the_depth_waits() -> None:
    taken = [0, 0, 0, 0]

    def read(which: int):
        for _ in range(100):
            taken[which] += 1
            yield which

    opened = read_ahead([lambda which=n: read(which) for n in range(4)], threads=2, depth=5)
    first = next(opened)
    assert [next(first) for _ in range(10)] == [0] * 10
    time.sleep(0.2)
    assert taken[0] <= 10 + 5 + 1
    assert taken[1:] == [6, 6, 0]  # five wait and one is in hand; the fourth is not begun
    opened.close()


def test_an_interrupt_stops_at_once_and_leaves_no_thread(samples: list[Sample], tmp_path: Path) -> None:
    class Interrupted(engines.Torch):
        def embed(self, backbone, clips):
            raise KeyboardInterrupt  # what Ctrl-C becomes; other libraries may have taken the signal itself

    before, start = threads(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        extract.extract(samples, {"c": small()}, tmp_path, Interrupted("float32"))
    assert time.monotonic() - start < 2
    assert threads() <= before
    assert not list(tmp_path.rglob("*.safetensors"))


class Given(Backbone):
    """A network that gives the same features for any recording."""

    reads = "signal"

    def __init__(self, features: list[float]) -> None:
        super().__init__()
        self.shape, self.given = (len(features),), torch.tensor(features)

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        yield np.load(path)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.given.expand(len(clips), -1)

    def fingerprint(self) -> dict[str, str]:
        return {"given": str(self.given)}


def test_what_half_precision_cannot_hold_stays_exact(signal: Sample, tmp_path: Path) -> None:
    for features, exact in (([1.0001, 65504.0], False), ([1.0001, -7e4], True)):
        backbone = Given(features)
        first, again = (extract.clips_of(signal, f"{exact}", backbone, tmp_path) for _ in range(2))
        expected = torch.tensor(features) if exact else torch.tensor(features).half().float()
        assert (first.fresh, again.fresh) == (True, False)
        assert torch.equal(first.features[0], expected)
        assert torch.equal(again.features[0], expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(value: float, signal: Sample, tmp_path: Path) -> None:
    done = extract.extract([signal], {"g": Given([1.0, value])}, tmp_path)
    assert "s.npy: the backbone gives features that are not finite" in done.failures["s"]
    assert not list(tmp_path.rglob("*.safetensors"))


def test_pixels_are_kept_once_whatever_the_weights(samples: list[Sample], tmp_path: Path) -> None:
    sample = samples[0]
    same = [small(), small(seed=1), c3d_small.build(size=16, frames=4, clips=3, width=3)]
    for backbone in same:
        extract.pixels_of(sample, "c", backbone, tmp_path, shift=1)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    others = [
        c3d_small.build(size=24, frames=4, clips=3, width=2),
        c3d_small.build(size=16, frames=4, clips=2, width=2),
    ]
    for backbone in others:
        extract.pixels_of(sample, "c", backbone, tmp_path, shift=1)
    extract.pixels_of(sample, "c", small(), tmp_path, shift=0)
    extract.pixels_of(replace(sample, window=(1, 9)), "c", small(), tmp_path, shift=1)
    extract.pixels_of(samples[1], "c", small(), tmp_path, shift=1)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 6
    assert all(extract.clips_of(sample, "c", one.eval(), tmp_path).fresh for one in same)  # features depend on them


def test_pixels_of_a_damaged_file_are_decoded_again(samples: list[Sample], tmp_path: Path) -> None:
    first = extract.pixels_of(samples[0], "c", small(), tmp_path, shift=0).frames.clone()  # not those of the file
    (file,) = tmp_path.rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    assert torch.equal(extract.pixels_of(samples[0], "c", small(), tmp_path, shift=0).frames, first)
    assert file.read_bytes() != content


def test_another_version_of_the_features_is_another_cache(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert extract.clips_of(samples[0], "c", small(), tmp_path).fresh
    assert not extract.clips_of(samples[0], "c", small(), tmp_path).fresh
    monkeypatch.setattr(keys, "FEATURE_VERSION", keys.FEATURE_VERSION + 1)
    assert extract.clips_of(samples[0], "c", small(), tmp_path).fresh


def test_copies_of_a_video_with_other_stages_have_other_features(tmp_path: Path) -> None:
    first = write_video(tmp_path / "a.avi", 60)
    (tmp_path / "b.avi").write_bytes(first.read_bytes())
    backbone = p3d.build(size=32, stages=None)
    backbone.stages = {"a": (1, 10, 20, 30), "b": (1, 20, 40, 44)}
    starts = {}
    for name in ("a", "b"):
        sample = Sample(name, {"video": tmp_path / f"{name}.avi"})
        pixels = extract.pixels_of(sample, "p3d", backbone, tmp_path / "cache", shift=0)
        starts[name] = pixels.numbers[0]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert starts["a"] != starts["b"]
    prints = [backbone.fingerprint_of(tmp_path / f"{name}.avi") for name in ("a", "b")]
    assert prints[0] != prints[1]


class Multiply(Given):
    """A product of matrices that TF32 and bfloat16 round."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        left, right = (torch.randn(64, 256, generator=generator) for _ in range(2))
        self.seen = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        return (left @ right.T).flatten()[None, : len(self.given)].repeat(len(clips), 1)


def test_float32_is_float32_whatever_the_process_allows(signal: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = Multiply([0.0] * 1000)
    exact = extract.embed(backbone, signal, "m")
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    try:
        again = extract.embed(backbone, signal, "m")
        assert backbone.seen == (False, "highest")
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("medium", True)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
    assert torch.equal(exact, again)
