"""Every network against its arithmetic, from one file of published names to features: no code of ours in between.

The references follow the papers and what the public code computes (padding, ε, order of layers), in NumPy and double
precision. In training, batch norm uses the batch, and leaves its running statistics as the public code would.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from aqakit.backbones import c3d, c3d_small, huggingface, i3d, mscadc, p3d, skeleton
from aqakit.backbones.parts.base import Backbone
from tests.backbones.test_every_backbone import write_video
from tests.identities.arithmetic import Array, Norms, State, agree, array, arrays, conv, linear, max_pool, relu

IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
UNIT = np.array([0.5] * 3), np.array([0.5] * 3)
RNG = np.random.default_rng(0)
DRAWN = RNG.standard_normal(2**20)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _weights_come_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch need not draw what is overwritten, which would take most of the time; and each test has its own draws."""
    RNG.bit_generator.state = START
    for name in ("kaiming_uniform_", "uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


def drawn(*shape: int, low: float | None = None) -> Array:
    """Kernels that keep the variance of their input; with ``low``, numbers from there to one more."""
    count = int(np.prod(shape))
    if low is not None:
        return low + RNG.random(shape)
    values = np.resize(np.roll(DRAWN, RNG.integers(2**20)), count).reshape(shape)
    return values * np.sqrt(2 / np.prod(shape[1:]))


def unit(state: dict[str, Array], conv_name: str, norm: str, shape: tuple[int, ...], gain: float = 0.5) -> None:
    state[f"{conv_name}.weight"] = drawn(*shape)
    for key, low in (("weight", gain), ("bias", -0.2), ("running_mean", -0.5), ("running_var", 0.5)):
        state[f"{norm}.{key}"] = drawn(shape[0], low=low)


def saved(state: State, path: Path, nested: str = "") -> Path:
    tensors: object = {name: torch.from_numpy(value) for name, value in state.items()}
    torch.save({nested: tensors} if nested else tensors, path)
    return path


def rounded(state: State) -> dict[str, Array]:
    """The numbers as the file holds them."""
    return {name: value.astype(np.float32) for name, value in state.items()}


def clips(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (*shape, 3), np.uint8))


def planes(pixels: torch.Tensor, colours: tuple[Array, Array]) -> Array:
    """(n, T, H, W, 3) → (n, 3, T, H, W)."""
    mean, std = colours
    return np.moveaxis((pixels.numpy() / 255 - mean) / std, -1, 1)


def exactly(backbone: Backbone) -> Backbone:
    """The network in double precision: the comparison shall not drown in rounding."""
    backbone.double()
    given = backbone.normalise
    backbone.normalise = lambda pixels: given(pixels).double()
    return backbone


def both_modes(
    backbone: Backbone, pixels: torch.Tensor, modes: tuple[bool, ...] = (False, True)
) -> Iterator[tuple[bool, torch.Tensor, float]]:
    """Features in evaluation and in training, and how far they may be from the reference.

    In training, batch norm of maps of a few pixels magnifies the rounding of the pixels; they are exact there.
    """
    mean, std, _ = backbone.colours
    exactly(backbone)
    for training in modes:
        within = 1e-6 if training else 1e-5
        backbone.train(training)
        if training:
            backbone.normalise = lambda x: ((x / 255.0 - x.new_tensor(mean)) / x.new_tensor(std)).movedim(-1, -3)
        with torch.no_grad():
            yield training, backbone(pixels.double() if training else pixels), within


# I3D ----------------------------------------------------------------------------------------------------------------

INCEPTION = {
    "3b": (192, 64, 96, 128, 16, 32, 32), "3c": (256, 128, 128, 192, 32, 96, 64), "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64), "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64), "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128), "5c": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip
NAMES = {
    "piergiaj": ("Conv3d_{}.conv3d", "Conv3d_{}.bn", "Mixed_{}.{}.conv3d", "Mixed_{}.{}.bn"),
    "hassony2": ("conv3d_{}.conv3d", "conv3d_{}.batch3d", "mixed_{}.{}.conv3d", "mixed_{}.{}.batch3d"),
}
SIDES = {
    "piergiaj": ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"),
    "hassony2": ("branch_0", "branch_1.0", "branch_1.1", "branch_2.0", "branch_2.1", "branch_3.1"),
}


def i3d_file(style: str, channels: int) -> dict[str, Array]:
    state: dict[str, Array] = {}
    single, single_norm, side, side_norm = NAMES[style]
    for name, shape in (
        ("1a_7x7", (64, channels, 7, 7, 7)),
        ("2b_1x1", (64, 64, 1, 1, 1)),
        ("2c_3x3", (192, 64, 3, 3, 3)),
    ):
        unit(state, single.format(name), single_norm.format(name), shape)
    for block, (comes, one, a, aa, b, bb, pooled) in INCEPTION.items():
        sizes = ((one, comes, 1), (a, comes, 1), (aa, a, 3), (b, comes, 1), (bb, b, 3), (pooled, comes, 1))
        for branch, (goes, source, k) in zip(SIDES[style], sizes):
            unit(state, side.format(block, branch), side_norm.format(block, branch), (goes, source, k, k, k))
    return rounded(state)


def zeros(size: int, k: int, s: int, adapts: bool) -> tuple[int, int]:
    """As many as ⌈size / s⌉ windows need, as TensorFlow; or always k − s. The odd one goes behind."""
    total = max((-(-size // s) - 1) * s + k - size, 0) if adapts else max(k - s, 0)
    return total // 2, total - total // 2


def i3d_pool(x: Array, kernel: tuple[int, ...], stride: tuple[int, ...], convention: str) -> Array:
    pads = []
    for n, k, s in zip(x.shape[2:], kernel, stride):
        before, behind = zeros(n, k, s, convention == "piergiaj")
        have = n + before + behind
        count = (have - k) // s + 1
        if convention != "piergiaj":  # an incomplete last window counts if it begins inside
            count = -(-(have - k) // s) + 1
            count -= (count - 1) * s >= have
        pads.append((before, behind + max(0, (count - 1) * s + k - have)))
    return max_pool(x, kernel, stride, pads, value=0.0)


def i3d_reference(state: State, x: Array, convention: str, training: bool) -> tuple[Array, Norms]:
    style = "piergiaj" if convention == "piergiaj" else "hassony2"
    single, single_norm, side, side_norm = NAMES[style]
    eps = {"piergiaj": 1e-3, "hassony2": 1e-3, "core": 1e-5}[convention]
    adapts = {"piergiaj": (True, True, True), "hassony2": (True, False, False), "core": (False, False, False)}
    norms = Norms(state, eps, 0.01 if convention == "piergiaj" else 0.1, training)

    def convolved(x: Array, name: str, norm: str, stride: int = 1) -> Array:
        kernel = state[f"{name}.weight"].shape[2]
        pads = [zeros(n, kernel, stride, a) for n, a in zip(x.shape[2:], adapts[convention])]
        return relu(norms(conv(x, state[f"{name}.weight"], stride=[stride] * 3, pads=pads), norm))

    x = convolved(x, single.format("1a_7x7"), single_norm.format("1a_7x7"), 2)
    x = i3d_pool(x, (1, 3, 3), (1, 2, 2), convention)
    for name in ("2b_1x1", "2c_3x3"):
        x = convolved(x, single.format(name), single_norm.format(name))
    x = i3d_pool(x, (1, 3, 3), (1, 2, 2), convention)
    for block in INCEPTION:
        inside = [(side.format(block, b), side_norm.format(block, b)) for b in SIDES[style]]
        b0, b1a, b1b, b2a, b2b, b3b = inside
        y = [convolved(x, *b0), convolved(convolved(x, *b1a), *b1b), convolved(convolved(x, *b2a), *b2b)]
        x = np.concatenate([*y, convolved(i3d_pool(x, (3, 3, 3), (1, 1, 1), convention), *b3b)], 1)
        if block == "3c":
            x = i3d_pool(x, (3, 3, 3), (2, 2, 2), convention)
        if block == "4f":
            x = i3d_pool(x, (2, 2, 2), (2, 2, 2), convention)
    return x.mean((2, 3, 4)), norms  # the window of 2×7×7 is larger than these maps


@pytest.mark.parametrize(
    ("convention", "stream", "frames", "size"),
    [
        ("piergiaj", "rgb", 5, 37),
        ("core", "rgb", 5, 37),
        ("hassony2", "rgb", 5, 37),
        pytest.param("hassony2", "flow", 4, 32, marks=pytest.mark.slow),
        pytest.param("piergiaj", "rgb", 16, 112, marks=pytest.mark.slow),
        pytest.param("core", "rgb", 13, 101, marks=pytest.mark.slow),
        pytest.param("hassony2", "rgb", 13, 101, marks=pytest.mark.slow),
    ],
)
def test_i3d(convention: str, stream: str, frames: int, size: int, tmp_path: Path) -> None:
    channels = 2 if stream == "flow" else 3
    state = i3d_file("piergiaj" if convention == "piergiaj" else "hassony2", channels)
    file = saved(state, tmp_path / "any.pth", "base_model" if convention == "core" else "")
    backbone = i3d.build(weights=file, stream=stream, size=size, plan=f"uniform:count=1:frames={frames}")
    assert backbone.convention == convention  # nobody said so but the file
    pixels = clips(2, frames, size, size)
    x = planes(pixels, IMAGENET if convention == "core" else UNIT)[:, :channels]
    for training, found, within in both_modes(backbone, pixels):
        wanted, norms = i3d_reference(state, x, convention, training)
        agree(found, wanted, within)
    _, norm = NAMES["piergiaj" if convention == "piergiaj" else "hassony2"][:2]
    first = norm.format("1a_7x7")
    for key in ("mean", "var"):
        left = getattr(backbone.trunk[0].norm, f"running_{key}")
        agree(left, norms.after[f"{first}.running_{key}"], 1e-6)


# P3D ----------------------------------------------------------------------------------------------------------------


def p3d_file() -> dict[str, Array]:
    state: dict[str, Array] = {}
    unit(state, "conv1_custom", "bn1", (64, 3, 1, 7, 7))
    comes, number = 64, 0
    for layer, depth in enumerate((3, 8, 36, 3), 1):
        width = 32 * 2**layer
        for place in range(depth):
            name, ones = f"layer{layer}.{place}", (1, 1) if layer == 4 else (1, 1, 1)
            unit(state, f"{name}.conv1", f"{name}.bn1", (width, comes, *ones))
            if layer == 4:
                unit(state, f"{name}.conv_normal", f"{name}.bn_normal", (width, width, 3, 3))
            else:
                unit(state, f"{name}.conv2", f"{name}.bn2", (width, width, 1, 3, 3))
                unit(state, f"{name}.conv3", f"{name}.bn3", (width, width, 3, 1, 1))
            unit(state, f"{name}.conv4", f"{name}.bn4", (4 * width, width, *ones), gain=-0.4)
            if place == 0:
                unit(state, f"{name}.downsample.0", f"{name}.downsample.1", (4 * width, comes, *ones))
            comes, number = 4 * width, number + 1
    return rounded(state)


def p3d_reference(state: State, x: Array, pool: int, training: bool) -> Array:
    norms = Norms(state, 1e-5, 0.1, training)

    def convolved(x: Array, name: str, norm: str, stride: tuple[int, ...] | None = None) -> Array:
        weight = state[f"{name}.weight"]
        pads = [(k // 2, k // 2) for k in weight.shape[2:]]
        return norms(conv(x, weight, stride=stride, pads=pads), norm)

    x = relu(convolved(x, "conv1_custom", "bn1", (1, 2, 2)))
    x = max_pool(x, (2, 3, 3), (2, 2, 2), [(0, 0), (pool, pool), (pool, pool)])
    number = 0
    for layer, depth in enumerate((3, 8, 36, 3), 1):
        for place in range(depth):
            name = f"layer{layer}.{place}"
            halve = {1: None, 4: (2, 2)}.get(layer, (1, 2, 2)) if place == 0 else None
            y = relu(convolved(x, f"{name}.conv1", f"{name}.bn1", halve))
            if layer == 4:
                y = relu(convolved(y, f"{name}.conv_normal", f"{name}.bn_normal"))
            else:
                space = relu(convolved(y, f"{name}.conv2", f"{name}.bn2"))
                kind = "ABC"[number % 3]
                time = relu(convolved(y if kind == "B" else space, f"{name}.conv3", f"{name}.bn3"))
                y = time if kind == "A" else time + space
            y = convolved(y, f"{name}.conv4", f"{name}.bn4")
            x = relu(y + (convolved(x, f"{name}.downsample.0", f"{name}.downsample.1", halve) if place == 0 else x))
            number += 1
        if layer < 4:
            x = max_pool(x, (2, 1, 1))
        if layer == 3:
            x = np.moveaxis(x, 2, 1).reshape(-1, x.shape[1], *x.shape[3:])
    return x.mean((2, 3)).reshape(-1, 2048)


@pytest.fixture(scope="module")
def p3d_state() -> dict[str, Array]:
    return p3d_file()


@pytest.mark.parametrize(
    ("classes", "pool"), [(400, 1), pytest.param(1, 0, marks=pytest.mark.slow)], ids=["kinetics", "s3d"]
)
@pytest.mark.parametrize("training", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_p3d(classes: int, pool: int, training: bool, p3d_state: dict[str, Array], tmp_path: Path) -> None:
    head = rounded({"fc.weight": np.zeros((classes, 2048)), "fc.bias": np.zeros(classes)})
    backbone = p3d.build(weights=saved(p3d_state | head, tmp_path / "any.tar", "state_dict"), size=39)
    pixels = clips(2 if training else 1, 16, 39, 39)
    wanted = p3d_reference(p3d_state, planes(pixels, IMAGENET), pool, training)
    if training:
        ((_, found, within),) = both_modes(backbone, pixels, (True,))
    else:  # in single precision, for its 65 million weights
        found, within = backbone(pixels).detach(), 1e-4
    agree(found, wanted, within)


# C3D and the body of MSCADC -----------------------------------------------------------------------------------------


LAYERS = ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")


def test_c3d(tmp_path: Path) -> None:
    state: dict[str, Array] = {}
    comes = 3
    for name, width in zip(LAYERS, (64, 128, 256, 256, 512, 512, 512, 512)):
        state[f"conv{name}.weight"], state[f"conv{name}.bias"] = drawn(width, comes, 3, 3, 3), drawn(width, low=-0.3)
        comes = width
    state = rounded(state)
    pixels = clips(1, 16, 24, 24)
    backbone = c3d.build(weights=saved(state, tmp_path / "a.pth"), size=24, colours="imagenet")
    x = planes(pixels, IMAGENET)
    pools = {"1": (1, 2, 2), "2": (2, 2, 2), "3b": (2, 2, 2), "4b": (2, 2, 2)}
    for name in LAYERS:
        x = relu(conv(x, state[f"conv{name}.weight"], state[f"conv{name}.bias"], pads=[(1, 1)] * 3))
        x = max_pool(x, pools[name]) if name in pools else x
    x = max_pool(x, (2, 2, 2), pads=[(0, 0), (1, 1), (1, 1)])
    with torch.no_grad():
        agree(backbone(pixels), x.reshape(1, -1), 1e-5)


@pytest.mark.slow
def test_c3d_to_its_first_dense_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fc6 reads the 8192 numbers in the order of channels, rows, columns."""
    monkeypatch.setattr(nn.init, "kaiming_normal_", lambda tensor, **_: tensor)
    backbone = c3d.build(features="fc6")
    backbone.fc6.weight.data = torch.from_numpy(np.resize(DRAWN, (4096, 8192))).float() / 90
    maps = RNG.standard_normal((2, 512, 1, 4, 4))
    monkeypatch.setattr(backbone.trunk, "forward", lambda x: torch.from_numpy(maps).float())
    with torch.no_grad():
        wanted = relu(
            linear(maps.reshape(2, 8192), {f"fc6.{n}": array(p) for n, p in backbone.fc6.named_parameters()}, "fc6")
        )
        agree(backbone(clips(2, 16, 112, 112)), wanted, 1e-5)


def test_mscadc(tmp_path: Path) -> None:
    widths = {"1": 32, "2": 64, "3a": 128, "3b": 128, "4a": 256, "4b": 256, "5a": 256, "5b": 256}
    state: dict[str, Array] = {}
    comes = 3
    for name, width in widths.items():
        unit(state, f"conv{name}", f"bn{name}", (width, comes, 3, 3, 3))
        state[f"conv{name}.bias"] = drawn(width, low=-0.3)
        comes = width
    state = rounded(state)
    plan = {"plan": "uniform:count=1:frames=12", "size": 33}
    backbone = mscadc.build(weights=saved(state, tmp_path / "a.pth"), **plan)
    backbone.trunk.dropout.p = 0.0
    pixels = clips(2, 12, 33, 33)
    for training, found, within in both_modes(backbone, pixels):
        x, norms = planes(pixels, IMAGENET), Norms(state, 1e-5, 0.1, training)
        for name in widths:
            dilation, pad = {"5a": (2, 2), "5b": (2, 1)}.get(name, (1, 1))
            weight, bias = state[f"conv{name}.weight"], state[f"conv{name}.bias"]
            x = relu(norms(conv(x, weight, bias, pads=[(pad, pad)] * 3, dilation=dilation), f"bn{name}"))
            if name in ("1", "2", "3b"):
                x = max_pool(x, (1, 2, 2) if name == "1" else (2, 2, 2))
        agree(found, x, within)


# Ours ---------------------------------------------------------------------------------------------------------------


def test_c3d_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    backbone = c3d_small.build(size=20, frames=5, width=4)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    pixels = clips(2, 5, 20, 20)
    state = arrays(backbone)
    for training, found, within in both_modes(backbone, pixels):
        norms = Norms(state, 1e-5, 0.1, training)
        x = planes(pixels, UNIT)  # (n, 3, T, H, W)
        bright = x.mean(1, keepdims=True)
        x = np.concatenate([x, np.diff(bright, axis=2, prepend=bright[:, :, :1])], 1)
        for k in range(4):
            space, time = (state[f"blocks.{k}.{key}.weight"] for key in ("space", "time"))
            x = conv(x, space[:, :, None], stride=(1, 2, 2), pads=[(0, 0), (1, 1), (1, 1)])
            x = relu(norms(x, f"blocks.{k}.space_norm"))
            x = conv(x, time[..., None], stride=(2 if k == 0 else 1, 1, 1), pads=[(1, 1), (0, 0), (0, 0)])
            x = relu(norms(x, f"blocks.{k}.time_norm"))
        moments = np.concatenate([x.mean((3, 4)), x.max((3, 4))], 1).swapaxes(1, 2)  # (n, T', 16 width)
        agree(found, relu(linear(moments, state, "moment")).reshape(2, -1), within)


def test_skeleton() -> None:
    """Statistics of motion, joint by joint and axis by axis."""
    backbone = skeleton.build(joints=3, dimensions=2, features="motion", layout="joints")
    given = RNG.standard_normal((2, 16, 3, 2)).cumsum(1)
    wanted = np.empty((2, 3, 10))
    for n, joint, axis in np.ndindex(2, 3, 2):
        path = given[n, :, joint, axis]
        numbers = [path.mean(), path.std(), *(np.abs(np.diff(path, order)).mean() for order in (1, 2, 3))]
        wanted[n, joint, axis::2] = numbers
    agree(backbone(torch.from_numpy(given)), wanted, 1e-5)


def test_huggingface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model itself, called as its authors do, on frames that PyAV decodes and PIL resizes."""
    monkeypatch.undo()
    transformers = pytest.importorskip("transformers")
    image = pytest.importorskip("PIL.Image")
    av = pytest.importorskip("av")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    model = transformers.ViTModel(transformers.ViTConfig(image_size=32, patch_size=8, **sizes)).eval()
    model.save_pretrained(tmp_path / "model")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "model")
    recording = write_video(tmp_path / "a.avi", 11, height=32, width=32)
    backbone = huggingface.build(weights=str(tmp_path / "model"), every=5)
    with av.open(str(recording)) as file:
        frames = [frame.to_image() for frame in file.decode(video=0)][::5]
    assert all(isinstance(frame, image.Image) for frame in frames)
    pixels = transformers.ViTImageProcessor(do_resize=False)(frames, return_tensors="pt")
    with torch.no_grad():
        wanted = model(**pixels).pooler_output
        found = backbone(torch.from_numpy(np.stack(list(backbone.read(recording)))))
    agree(found, array(wanted), 1e-4)


test_frames = test_huggingface  # the same network, one frame of each segment
