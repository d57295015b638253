"""Batches of pixels carry each frame once, give the numbers of clips gathered one by one, and are read in advance."""

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

import aqakit
from aqakit import discovery
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.datasets.parts.partial_labels import without_labels
from aqakit.errors import OptionError, VideoError
from aqakit.features import extract
from aqakit.recordings import transforms
from aqakit.training import live_pixels as live
from aqakit.training.assessor import Assessor, Standardise
from aqakit.training.batches import PartlyLabelled, read_batches
from aqakit.training.live_pixels import LivePixels
from aqakit.training.loop import fit
from aqakit.training.pixel_stream import PixelStream
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import FeatureSpec, LabelSpec, Sample, ScoreScale
from tests import hostile

LABELS = LabelSpec(ScoreScale(0, 6))
SLIDING = "sliding/frames=8/step=4"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("videos")
    paths = [hostile.write_video(folder / f"{i}.mp4", 18 + 5 * (i % 3)) for i in range(6)]
    return [Sample(id=str(i), sources={"video": path}, score=float(i)) for i, path in enumerate(paths)]


def overlapping(name: str) -> VideoBackbone:
    """A backbone whose clips share frames; longer videos have more of them."""
    if name == "c3d_small":
        backbone = discovery.find("backbones", name).build(size=16, frames=8, width=2)
        backbone.plan = discovery.find("backbones", "i3d").build(size=32, plan=SLIDING).plan
        return backbone
    return discovery.find("backbones", "i3d").build(size=32, plan=SLIDING, stream="flow")


@pytest.fixture(params=["c3d_small", "i3d"])
def source(samples: list[Sample], tmp_path: Path, request: pytest.FixtureRequest) -> LivePixels:
    return made(samples, tmp_path, overlapping(request.param))


def made(samples: list[Sample], cache: Path, backbone: VideoBackbone, **more: object) -> LivePixels:
    words = {"shift": 2, "flip": True, "jitter": 3, **more}
    return live.live_pixels(samples, LABELS, {"c": backbone}, cache, **words)[0]


def one_by_one(source: LivePixels, index: Tensor, generator: torch.Generator) -> list[Tensor]:
    """The clips (N, T, H, W, 3) of each video, gathered, moved and mirrored clip by clip as they were in version 1."""
    drawn = source._augmentations(len(index), generator)
    backbone, found = source.backbones["c"], []
    for row, seen in zip(index.tolist(), drawn):
        sample = source.samples[row]
        pixels = extract.pixels_of(sample, "c", backbone, source.cache, shift=source.shift)
        clips = pixels.frames[torch.from_numpy(backbone.clips_of(pixels.numbers, pixels.length, seen.shift))]
        for axis, by in ((-3, seen.down), (-2, seen.right)):
            clips = clips.index_select(axis, (torch.arange(clips.shape[axis]) - by).clamp(0, clips.shape[axis] - 1))
        if seen.mirrored:
            flow = getattr(backbone, "stream", "rgb") == "flow"
            clips = transforms.flip_flow(clips) if flow else transforms.flip(clips)
        found.append(clips)
    return found


def test_clips_are_those_gathered_one_by_one(source: LivePixels) -> None:
    index, mirrored = torch.tensor([4, 0, 2, 5]), 0
    for seed in range(4):
        wanted = one_by_one(source, index, torch.Generator().manual_seed(seed))
        stream = source.batch(index, torch.Generator().manual_seed(seed)).streams["c"]
        mirrored += sum(view.seen.mirrored for view in stream.views)
        assert stream.clips.sum(1).tolist() == [len(clips) for clips in wanted]
        assert torch.equal(stream.shown(), torch.cat(wanted))
        for row, clips in enumerate(wanted):
            assert torch.equal(stream.features[row, : len(clips)], clips)
            assert not stream.features[row, len(clips) :].any()
        part = stream.select(torch.tensor([1, 2]))
        assert torch.equal(part.shown(), torch.cat(wanted[1:3]))
        assert part.clips.shape[1] == max(map(len, wanted[1:3]))
    assert 0 < mirrored < 16


def test_frames_in_jpeg_are_nearly_those_that_were_decoded_and_take_less_room(samples, tmp_path) -> None:
    backbone, index = overlapping("i3d"), torch.tensor([4, 0, 2, 5])
    folders = {name: tmp_path / name for name in ("raw", "jpeg")}
    raw, jpeg = (made(samples, folder, backbone, storage=name) for name, folder in folders.items())
    again = made(samples, folders["jpeg"], backbone, storage="jpeg")
    plain, coded, stored = (
        source.batch(index, torch.Generator().manual_seed(0)).streams["c"].shown() for source in (raw, jpeg, again)
    )
    assert torch.equal(coded, stored)
    assert 0 < (coded.double() - plain.double()).square().mean() < 255**2 / 10**4, "at least 40 dB"
    sizes = [sum(file.stat().st_size for file in folder.rglob("*.safetensors")) for folder in folders.values()]
    assert sizes[1] < 0.6 * sizes[0]


def test_frames_travel_once(source: LivePixels) -> None:
    stream = source.batch(torch.arange(6), torch.Generator().manual_seed(0)).streams["c"]
    assert isinstance(stream, PixelStream)
    assert all(len(view.frames) == len(view.table.unique()) < view.table.numel() for view in stream.views)
    moved = stream.to("meta")  # as to a GPU: it computes shapes, and nothing on the processor
    assert moved.shown().device.type == moved.clips.device.type == "meta"
    assert moved.shown().shape == stream.shown().shape


def test_pinned_frames_are_the_frames(source: LivePixels, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Tensor] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: pinned.append(self) or self.clone())
    stream = source.batch(torch.arange(3)).streams["c"]
    assert torch.equal(stream.pinned().shown(), stream.shown())
    assert [len(one) for one in pinned] == [len(view.frames) for view in stream.views]


def test_batches_read_in_advance_are_those_read_when_they_are_needed(source: LivePixels) -> None:
    indices = [torch.tensor(one) for one in ([0, 1], [2], [3, 4], [5, 0], [1, 2])]
    known = torch.tensor([True, False] * 3)
    reads: list[list[Tensor]] = []
    for ahead in (0, 1, 2):
        source.ahead = ahead
        partly = PartlyLabelled(source, known)
        found = list(read_batches(partly, indices, "cpu", torch.Generator().manual_seed(7)))
        assert [one.labelled.tolist() for one in found] == [known[index].tolist() for index in indices]
        reads.append([one.streams["c"].shown() for one in found])
    for other in reads[1:]:
        assert all(torch.equal(a, b) for a, b in zip(reads[0], other, strict=True))


def test_the_next_batch_is_read_while_the_caller_works(samples: list[Sample], tmp_path: Path) -> None:
    source = made(samples, tmp_path, overlapping("c3d_small"))
    read, whole = [threading.Event() for _ in range(4)], source._read

    def noted(index: Tensor, *rest: object) -> object:
        batch = whole(index, *rest)
        assert threading.current_thread() is not threading.main_thread()
        read[int(index)].set()
        return batch

    source._read = noted
    for number, _ in enumerate(read_batches(source, torch.arange(4).split(1), "cpu")):
        assert all(event.wait(10) for event in read[: number + 2])


def test_what_goes_wrong_in_a_thread_is_raised(samples: list[Sample], tmp_path: Path) -> None:
    source = made(samples, tmp_path, overlapping("c3d_small"))

    def broken(*_: object) -> None:
        raise VideoError("gone")

    source._read = broken
    with pytest.raises(VideoError, match="gone"):
        list(read_batches(source, [torch.arange(2)], "cpu"))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_videos_decoded_in_parallel_keep_their_order(samples: list[Sample], tmp_path: Path, threads: int) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    broken = Sample(id="broken", sources={"video": tmp_path / "broken.mp4"}, score=1.0)
    given = [*samples[:3], broken, *map(without_labels, samples[3:])]
    words = {"shift": 1, "flip": False, "jitter": 0, "threads": threads}
    source, done = live.live_pixels(given, LABELS, {"c": overlapping("c3d_small")}, tmp_path / "cache", **words)
    assert [s.id for s in source.samples] == [s.id for s in samples]
    assert done.lengths == [18, 23, 28, 18, 23, 28]
    assert list(done.failures) == ["broken"]
    assert source.labels.labelled.tolist() == [True] * 3 + [False] * 3
    assert all(pixels.mapped for pixels in source.memory._held.values())
    assert len(source.memory._held) == 6


class StoppedError(Exception):
    pass


def weights(of: Assessor) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in of.state_dict().values()])


@pytest.fixture
def trained(samples: list[Sample], tmp_path: Path) -> Callable[..., tuple[Tensor, list[dict[str, float]]]]:
    """Train a backbone and a head from pixels; the weights and the losses of every epoch."""

    def run(ahead: int, folder: Path | None = None, stop: int | None = None, **options: object):
        torch.manual_seed(0)
        backbone = overlapping("c3d_small")
        method = discovery.find("methods", "dae").build(FeatureSpec({"c": backbone.shape}), LABELS, dropout=0.2)
        model = Assessor(method, Standardise({}), {"c": backbone}, target="score", fuse="none")
        source = made(samples, tmp_path / "cache", backbone)
        source.ahead = ahead

        def report(epoch: int, losses: object) -> None:
            if epoch == stop:
                raise StoppedError

        settings = Settings(epochs=3, batch_size=2, learning_rate=1e-2, seed=1, **options)
        history = fit([Member(model, source, seed=1)], {"test": source}, settings, folder=folder, report=report)
        return weights(model), history.losses

    return run


def test_reading_ahead_changes_no_bit_of_a_run_nor_of_one_that_was_stopped(
    trained: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqakit.training.loop._SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    expected, losses = trained(0)
    found, others = trained(2)
    assert torch.equal(found, expected)
    assert others == losses
    assert all(a != b for a, b in pairwise(map(str, losses)))
    folder = tmp_path / "run"
    folder.mkdir()
    for stop in (0, 1):
        with pytest.raises(StoppedError):
            trained(2, folder, stop)
    resumed, after = trained(2, folder)
    assert torch.equal(resumed, expected)
    assert after == losses


@pytest.mark.slow
def test_a_compiled_backbone_that_was_stopped_goes_on_to_the_same_bits(
    trained: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqakit.training.loop._SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    compiled = []
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, own=torch.nn.Module.compile, **how: compiled.append(self) or own(self, **how),
    )
    expected, losses = trained(2, compile=True)
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(StoppedError):
        trained(2, folder, 1, compile=True)
    resumed, after = trained(2, folder, compile=True)
    assert len(compiled) == 3
    assert torch.equal(resumed, expected)
    assert after == losses
    plain, _ = trained(2)
    torch.testing.assert_close(expected, plain, rtol=1e-2, atol=1e-3)


def test_jpeg_is_for_pixels(tmp_path) -> None:
    words = {"data": "synthetic_dives:count=6:size=64", "root": tmp_path / "dives", "out": tmp_path / "run"}
    with pytest.raises(OptionError, match="frame_storage= is for pixels; give finetune=True, or omit it"):
        aqakit.train("dae", **words, backbone="c3d_small:size=16:frames=4:clips=2", frame_storage="jpeg", epochs=1)
    run = aqakit.train(
        "dae", **words, backbone="c3d_small:size=16:frames=4:clips=2", frame_storage="jpeg", finetune=True, epochs=1
    )
    assert run.recipe.frame_storage == "jpeg"
