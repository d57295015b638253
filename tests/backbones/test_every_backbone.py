"""The contract of a backbone, over every file in aqakit/backbones."""

import copy
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from aqakit import discovery
from aqakit.backbones.blazepose import BlazePose
from aqakit.backbones.parts import pretrained
from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.blazepose import networks as blazepose_networks
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import AqakitError, OptionError, VideoError
from aqakit.recordings import video
from aqakit.recordings.clips import Every, Sliding
from aqakit.recordings.transforms import CONVENTIONS, PixelRecipe
from aqakit.system import configuration
from tests import blazepose

NAMES = discovery.names("backbones")
LENGTH = 45

# Options that make a backbone small enough for a test, and others each of which must change the features.
OPTIONS: dict[str, dict[str, object]] = {
    "blazepose": {"weights": "squares"},
    "c3d": {"size": 16},
    "c3d_small": {"size": 16, "frames": 8, "width": 4},
    "frames": {"weights": "tiny"},
    "hog_hof": {"size": 32},
    "huggingface": {"weights": "tiny"},
    "i3d": {"size": 32},
    "mscadc": {"size": 24},
    "movement": {"dimensions": 2, "toes": False, "layout": "coco17"},
    "p3d": {"size": 32},
    "pose": {"model": "tiny", "size": 32},
}
CHANGES: dict[str, list[dict[str, object]]] = {
    "blazepose": [
        *({"plan": "dae"}, {"subject": "moving"}, {"share": 0.5}, {"gap": 1.0}, {"smooth": "one-euro"}),
        {"layout": "joints"},
    ],
    "c3d": [{"plan": "dae"}, {"size": 32}, {"colours": "raw-255"}, {"seed": 1}, {"resize": "none"}],
    "c3d_small": [{"size": 32}, {"frames": 6}, {"clips": 2}, {"width": 8}, {"seed": 1}],
    "hog_hof": [{"size": 16}, {"plan": "dae"}, {"cells": 2}, {"parts": 1}],
    "huggingface": [{"every": 5}, {"segments": 3}, {"view": "whole"}],
    "i3d": [
        *({"plan": "core"}, {"size": 64}, {"stream": "flow"}, {"colours": "imagenet"}, {"convention": "hassony2"}),
        *({"crop": "none"}, {"centre": "torchvision"}),
    ],
    "mscadc": [{"plan": "dae"}, {"size": 32}, {"seed": 1}, {"crop": "30x20"}],
    "movement": [{"features": "places"}, {"side": "given"}, {"levels": "absolute"}, {"windows": 2}, {"smooth": 0.0}],
    "p3d": [{"plan": "dae"}],
    "pose": [{"plan": "dae"}, {"layout": "joints"}, {"colours": "raw-255"}],
    "precomputed": [{"width": 5}],
    "skeleton": [{"plan": "dae"}, {"features": "motion"}, {"layout": "joints"}, {"noise": 0.1}],
    "tools": [{"windows": 3}, {"features": "coordinates"}, {"columns": "0-2,3-5"}, {"rate": 50.0}],
    "kinematics": [
        {"windows": 3},
        {"plan": "sliding/frames=9/step=9"},
        {"features": "both"},
        {"layout": "channels"},
        {"rate": 50.0},
    ],
}


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("weights")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
    )
    torch.manual_seed(0)
    transformers.ViTModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_pose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heatmaps of three colours."""
    openvino = pytest.importorskip("openvino", reason="the extra fast is not installed")
    file = tmp_path_factory.mktemp("pose") / "pose.xml"
    model = torch.nn.AvgPool2d(4)
    openvino.save_model(openvino.convert_model(model, example_input=torch.zeros(1, 3, 32, 32)), file)
    return file


@pytest.fixture(scope="module")
def squares() -> Iterator[None]:
    """Networks that find coloured squares, in place of BlazePose's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blazepose_networks, "locate", blazepose.files)
        patch.setattr(blazepose_networks, "Networks", blazepose.Squares)
        yield


def build(name: str, request: pytest.FixtureRequest, **changes: object) -> Backbone:
    options = OPTIONS.get(name, {}) | changes
    if options.get("weights") == "tiny":
        options["weights"] = str(request.getfixturevalue("tiny_model"))
    if options.get("weights") == "squares":
        request.getfixturevalue("squares")
        del options["weights"]
    if options.get("model") == "tiny":
        options["model"] = request.getfixturevalue("tiny_pose")
    module = discovery.find("backbones", name)
    backbone: Backbone = module.build(**configuration.configure(name, module.build, options)).eval()
    return backbone


def write_video(path: Path, length: int, *, height: int = 48, width: int = 64) -> Path:
    rng = np.random.default_rng(length)
    with av.open(str(path), "w") as container:
        track = container.add_stream("mpeg4", rate=30)
        track.height, track.width, track.pix_fmt = height, width, "yuv420p"
        for _ in range(length):
            picture = np.kron(rng.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")))
        container.mux(track.encode(None))
    return path


def recording(folder: Path, backbone: Backbone, length: int = LENGTH) -> Path:
    """Something that the backbone reads."""
    rng = np.random.default_rng(length)
    if isinstance(backbone, BlazePose):
        rows = np.arange(length)[:, None] * [0.4, 0.2] + [30, 40] + rng.normal(0, 2, (length, 2))
        return blazepose.write_squares(folder / f"{length}.mkv", rows[:, None], [14])
    if backbone.reads == "video":
        return write_video(folder / f"{length}.avi", length)
    rows = {"signal": (getattr(backbone, "channels", 0),), "skeleton": (17, 2), "features": backbone.shape}
    path = folder / f"{length}.npy"
    np.save(path, rng.normal(size=(length, *rows[backbone.reads])).cumsum(0).astype(np.float32))
    return path


def clips_of(backbone: Backbone, path: Path, window: tuple[int, int] | None = None) -> torch.Tensor:
    """The first two clips: enough for every test, and a large network takes a second for each."""
    return torch.from_numpy(np.stack(list(backbone.read(path, window))[:2]))


@pytest.fixture(scope="module", params=NAMES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return build(request.param, request)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, backbone: Backbone) -> Path:
    return recording(tmp_path_factory.mktemp("recording"), backbone)


@pytest.mark.parametrize("name", NAMES)
def test_says_where_it_is_from_and_what_its_options_are(name: str) -> None:
    module = discovery.find("backbones", name)
    assert "https://" in module.PAPER
    assert all(option.help for option in configuration.options(module.build))


def test_features_have_the_promised_shape(backbone: Backbone, path: Path) -> None:
    clips = clips_of(backbone, path)
    with torch.no_grad():
        features = backbone(clips)
    assert features.shape == (len(clips), *backbone.shape)
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    assert clips.dtype == (torch.uint8 if isinstance(backbone, VideoBackbone) else torch.float32)


@torch.no_grad()
def test_same_recording_same_features(request: pytest.FixtureRequest, backbone: Backbone, path: Path) -> None:
    again = build(request.node.callspec.params["backbone"], request)
    assert torch.equal(again(clips_of(again, path)[:1]), backbone(clips_of(backbone, path)[:1]))


@torch.no_grad()
def test_batch_size_changes_nothing(backbone: Backbone, path: Path) -> None:
    clips = clips_of(backbone, path)
    together, alone = backbone(clips), torch.cat([backbone(clip[None]) for clip in clips])
    rounding = 1e-5 * float(alone.abs().max())
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=rounding)


def test_gradients_reach_every_weight(backbone: Backbone, path: Path) -> None:
    if not any(p.requires_grad for p in backbone.parameters()):
        pytest.skip("nothing to train")  # and a network of OpenVINO cannot be copied
    live = copy.deepcopy(backbone).train()
    live(clips_of(live, path)).square().sum().backward()
    assert [n for n, p in live.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def fingerprint(name: str, request: pytest.FixtureRequest, **changes: object) -> str:
    return json.dumps(build(name, request, **changes).fingerprint(), sort_keys=True)


@pytest.fixture(scope="module")
def usual() -> dict[str, str]:
    """Fingerprint of each backbone without options, which takes seconds to build."""
    return {}


@pytest.mark.parametrize(("name", "change"), [(n, c) for n in NAMES for c in CHANGES.get(n, [{}])])
def test_fingerprint_tells_options_apart(
    name: str, change: dict[str, object], usual: dict[str, str], request: pytest.FixtureRequest
) -> None:
    if name not in usual:
        usual[name] = fingerprint(name, request)
    assert (fingerprint(name, request, **change) == usual[name]) == (not change)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 2, 5])
def test_short_recordings_are_read_or_refused_in_a_sentence(backbone: Backbone, tmp_path: Path, length: int) -> None:
    path = recording(tmp_path, backbone, length)
    try:
        clips = clips_of(backbone, path)[:1]
    except AqakitError as error:
        problem = str(error)
    else:
        assert backbone(clips).isfinite().all()
        problem = str(path)
    assert str(path) in problem


def test_a_window_is_a_part_of_the_recording(backbone: Backbone, path: Path) -> None:
    assert torch.equal(clips_of(backbone, path, (0, LENGTH - 1)), clips_of(backbone, path))
    assert not torch.equal(clips_of(backbone, path, (21, 40))[0], clips_of(backbone, path)[0])


@pytest.mark.parametrize("window", [(0, LENGTH), (10, 9), (-1, 5)])
def test_a_window_outside_is_refused(backbone: Backbone, path: Path, window: tuple[int, int]) -> None:
    with pytest.raises(AqakitError, match=str(LENGTH - 1)):
        list(backbone.read(path, window))


def test_what_is_no_recording_is_refused(backbone: Backbone, tmp_path: Path) -> None:
    text = tmp_path / ("notes.avi" if backbone.reads == "video" else "notes.txt")
    text.write_text("nothing that moves\n" * 100)
    for path in (tmp_path / "missing.npy", text):
        with pytest.raises(AqakitError, match=path.name):
            list(backbone.read(path))


@pytest.mark.parametrize("window", [None, (7, 33)])
def test_shifted_clips_need_no_second_decoding(backbone: Backbone, path: Path, window: tuple[int, int] | None) -> None:
    if not isinstance(backbone, VideoBackbone):
        pytest.skip("pixels only")
    frames, numbers, length = backbone.frames(path, window, shift=3)
    assert length == LENGTH
    for shift in range(-3, 4):
        wanted = backbone.plan.within(window or (0, LENGTH - 1), LENGTH, shift)
        decoded = video.frames(path, wanted, size=backbone.pixels.size, interpolation=backbone.pixels.interpolation)
        top, left = ((a - b) // 2 for a, b in zip(decoded.shape[2:4], frames.shape[1:3], strict=True))
        shown = decoded[:, :, top : top + frames.shape[1], left : left + frames.shape[2]]
        assert np.array_equal(frames[backbone.clips_of(numbers, length, shift, window)], shown)


class Pixels(VideoBackbone):
    """Forwards the mean colour."""

    shape = (3,)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.normalise(clips).mean((1, 3, 4))


def test_overlapping_clips_are_those_of_the_plan_and_few_frames_are_held(tmp_path: Path) -> None:
    backbone = Pixels(Sliding(8, 2), PixelRecipe((64, 64)), CONVENTIONS["imagenet"])
    peaks = {}
    for length in (40, 160):
        path = write_video(tmp_path / f"{length}.avi", length)
        wanted = video.frames(path, backbone.plan.clips(length), size=(64, 64))
        tracemalloc.start()
        for clip, expected in zip(backbone.read(path), wanted, strict=True):
            assert np.array_equal(clip, expected)
        peaks[length] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[160] < 1.3 * peaks[40]


def test_crop_is_the_centre_and_colours_are_normalised(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 3, height=32, width=64)
    backbone = Pixels(Every(1), PixelRecipe((32, 64), (16, 32)), CONVENTIONS["imagenet"])
    clips = clips_of(backbone, path)
    whole = video.frames(path, [0, 1])
    assert np.array_equal(clips[:, 0].numpy(), whole[:, 8:24, 16:48])
    colours = (whole[:, 8:24, 16:48].mean((1, 2)) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(backbone(clips), colours, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "size", "shown"),
    [
        ({"resize": "none", "centre": "torchvision"}, None, (slice(4, 36), slice(10, 42))),  # USDL on JIGSAWS
        ({"resize": "43"}, (43, 56), (slice(5, 37), slice(12, 44))),
        ({"resize": "43", "centre": "torchvision"}, (43, 56), (slice(6, 38), slice(12, 44))),
        ({"resize": "32x32"}, (32, 32), (slice(None), slice(None))),
        ({"crop": "none", "resize": "32x32"}, (32, 32), (slice(None), slice(None))),
    ],
)
def test_frames_are_resized_and_cropped_as_told(
    options: dict[str, str], size: object, shown: tuple[slice, slice], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.avi", 3, height=40, width=52)
    given = {"resize": None, "crop": None, "centre": "floor"} | options
    backbone = Pixels(Every(1), pretrained.pixel_recipe((40, 50), 32, **given), CONVENTIONS["imagenet"])
    whole = video.frames(path, [0], size=size)
    assert np.array_equal(next(iter(backbone.read(path))), whole[:, *shown])
    assert backbone.pixels.shape == (32, 32)


@pytest.mark.parametrize("name", ["i3d", "c3d", "mscadc"])
def test_networks_take_frames_as_they_are_recorded(name: str) -> None:
    module = discovery.find("backbones", name)
    options = {"resize": "none", "centre": "torchvision", "size": 32}
    backbone = module.build(**configuration.configure(name, module.build, options))
    assert backbone.pixels == PixelRecipe(None, (32, 32), centre="torchvision")
    assert backbone.fingerprint()["pixels"]["centre"] == "torchvision"


def test_action_nets_squeeze_and_frames_smaller_than_the_crop(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 16, height=40, width=80)
    module = discovery.find("backbones", "i3d")
    plan = {"size": 32, "plan": "uniform:count=1:frames=4"}
    backbone = module.build(resize="32", crop="43x32", **plan)
    (clip,) = backbone.read(path)
    middle = video.frames(path, range(6, 10), size=(32, 64))[:, :, 10:53]
    wanted = [Image.fromarray(frame).resize((32, 32), Image.Resampling.BILINEAR) for frame in middle]
    assert np.abs(clip.astype(int) - np.stack([np.asarray(one) for one in wanted]).astype(int)).max() <= 1
    assert backbone(torch.from_numpy(clip)[None]).shape == (1, 1024)
    with pytest.raises(VideoError, match=r"a\.avi: frames of 40×80 .* are smaller than the crop of 43×81; set resize"):
        list(module.build(resize="none", crop="81x43", **plan).read(path))
    for wrong in (
        {"resize": "big"},
        {"crop": "0x3"},
        {"resize": "64x64", "crop": "65x32"},
        {"resize": "32", "crop": "33"},
    ):
        with pytest.raises(OptionError, match=r"should be as 455x256|is larger than the frame"):
            pretrained.pixel_recipe((40, 50), 32, wrong.get("resize"), wrong.get("crop"), "floor")


def test_a_video_too_damaged_is_refused_though_its_last_clip_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.avi", 6)

    def damaged(source: Path, numbers: list[int], **_: object) -> object:
        yield from ((number, np.zeros((8, 8, 3), np.uint8)) for number in numbers)
        raise VideoError(f"{source}: too damaged")

    monkeypatch.setattr(video, "stream", damaged)
    with pytest.raises(VideoError, match="damaged"):
        list(Pixels(Every(1), PixelRecipe((8, 8)), CONVENTIONS["imagenet"]).read(path))
