"""Features of many recordings: read ahead by threads, kept on disk, the same as one after another."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aqakit.backbones import c3d_small
from aqakit.errors import AqakitError, OptionError
from aqakit.features import engines, extract
from aqakit.system.prefetch import read_ahead
from aqakit.types import Sample
from tests.backbones.test_every_backbone import write_video


def small(**options: int) -> c3d_small.C3DSmall:
    return c3d_small.build(size=16, frames=4, clips=3, width=2, **options).eval()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("videos")
    return [Sample(str(n), {"video": write_video(folder / f"{n}.avi", n)}) for n in range(12, 17)]


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
    plain = extract.embed(backbone, paths[2], None)
    rounded = extract.embed(backbone, paths[2], None, first)
    assert F.cosine_similarity(plain, rounded).min() > 0.98
    assert not torch.equal(plain, rounded)
    assert torch.equal(rounded, extract.embed(backbone, paths[2], None, again))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_what_int8_needs_is_said(samples: list[Sample]) -> None:
    path = samples[0].sources["video"]
    with pytest.raises(OptionError, match="--calibration FILE"):
        engines.make("openvino", "int8")
    with pytest.raises(OptionError, match="belong together"):
        engines.make("openvino", "float32", path)
    with pytest.raises(OptionError, match="torch has no int8"):
        engines.make("torch", "int8", path)
    with pytest.raises(OptionError, match="is not there"):
        engines.make("openvino", "int8", path.with_name("none.avi"))


def test_openvino_agrees_with_torch(samples: list[Sample]) -> None:
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    backbone, path = small(), samples[0].sources["video"]
    exact = extract.embed(backbone, path, None)
    other = extract.embed(backbone, path, None, engines.make("openvino"))
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
