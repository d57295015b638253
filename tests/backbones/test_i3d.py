"""I3D against its published size, and its conventions; its arithmetic is in ``tests/identities``."""

import json
from itertools import product
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aqakit.backbones import i3d
from aqakit.errors import OptionError, WeightsError
from aqakit.system import configuration

# Channels of the six convolutions of each inception block, as in the paper on Inception-v1 (3a to 5b there).
BLOCKS = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
_PORT = {
    "file": "model_rgb.pth",
    "norm": "batch3d",
    "block": "mixed_",
    "stem": "conv3d_",
    "logits": "conv3d_0c_1x1",
}
PORTS = {
    "piergiaj": {
        "file": "rgb_imagenet.pt",
        "norm": "bn",
        "block": "Mixed_",
        "stem": "Conv3d_",
        "logits": "logits",
    },
    "hassony2": _PORT,
    "core": _PORT,
}
_BRANCHES = ("branch_0", "branch_1.0", "branch_1.1", "branch_2.0", "branch_2.1", "branch_3.1")
BRANCHES = {"piergiaj": ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), "hassony2": _BRANCHES, "core": _BRANCHES}
NESTED = {"piergiaj": (), "hassony2": (), "core": ("base_model",)}
STATISTICS = {"weight": 0.5, "bias": -0.2, "running_mean": -0.2, "running_var": 0.5}


def units(convention: str, channels: int = 3) -> list[tuple[str, int, int, int]]:
    """Published name, channels in and out, and kernel of every convolution of the trunk."""
    port = PORTS[convention]
    found = [(f"{port['stem']}1a_7x7", channels, 64, 7), (f"{port['stem']}2b_1x1", 64, 64, 1)]
    found.append((f"{port['stem']}2c_3x3", 64, 192, 3))
    comes = 192
    for name, (one, a, aa, b, bb, pooled) in BLOCKS.items():
        sizes = ((comes, one, 1), (comes, a, 1), (a, aa, 3), (comes, b, 1), (b, bb, 3), (comes, pooled, 1))
        found += [(f"{port['block']}{name}.{br}", *size) for br, size in zip(BRANCHES[convention], sizes)]
        comes = one + aa + bb + pooled
    return found


def published(convention: str) -> dict[str, torch.Tensor]:
    """A state as in the published file, with values that let a signal through."""
    port, state = PORTS[convention], hollow(convention)
    for name, comes, goes, kernel in units(convention):
        weight = torch.randn(goes, comes, kernel, kernel, kernel)
        state[f"{name}.conv3d.weight"] = weight * (2 / (comes * kernel**3)) ** 0.5
        for key, low in STATISTICS.items():
            state[f"{name}.{port['norm']}.{key}"] = low + torch.rand(goes)
    return state


def hollow(convention: str = "piergiaj", *, channels: int = 3, classes: int = 400) -> dict[str, torch.Tensor]:
    """Names and shapes of a published file, with hardly any content."""
    port, one, state = PORTS[convention], torch.ones(1), {}
    for name, comes, goes, kernel in units(convention, channels):
        state[f"{name}.conv3d.weight"] = one.expand(goes, comes, kernel, kernel, kernel)
        state |= {f"{name}.{port['norm']}.{key}": one.expand(goes) for key in STATISTICS}
    state[f"{port['logits']}.conv3d.weight"] = one.expand(classes, 1024, 1, 1, 1)
    return state | {f"{port['logits']}.conv3d.bias": one.expand(classes)}


def pixels(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("stream", "parameters"), [("rgb", 12_287_264), ("flow", 12_287_264 - 64 * 7**3)])
def test_it_has_the_published_number_of_parameters(stream: str, parameters: int) -> None:
    assert sum(p.numel() for p in i3d.build(stream=stream).parameters()) == parameters


def test_it_has_the_published_number_of_multiplications() -> None:
    backbone = i3d.build().to("meta")
    with FlopCounterMode(display=False) as counter:
        features = backbone(torch.empty(1, 16, 224, 224, 3, dtype=torch.uint8, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(27.79e9, rel=1e-3)
    assert features.shape == (1, 1024)


def stored(convention: str, folder: Path, state: dict[str, torch.Tensor]) -> Path:
    path, nested = folder / PORTS[convention]["file"], state
    for key in NESTED[convention]:
        nested = {key: nested}
    torch.save(nested, path)
    return path


def test_the_conventions_differ_where_they_should_and_nowhere_else() -> None:
    """At sizes that the strides divide hassony2 is piergiaj; core has another ε. Odd times part hassony2 from core."""
    torch.manual_seed(0)
    trunks = {name: i3d.trunk(3, name).eval() for name in ("piergiaj", "hassony2", "core")}
    for module in trunks["piergiaj"].modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    for trunk in trunks.values():
        trunk.load_state_dict(trunks["piergiaj"].state_dict())
    one_epsilon = i3d.trunk(3, "core").eval()
    one_epsilon.load_state_dict(trunks["piergiaj"].state_dict())
    for module in one_epsilon.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            assert module.eps == 1e-5
            module.eps = 1e-3
    expected = {
        (16, 32, 32): (True, True, False),
        (16, 45, 32): (False, True, False),
        (13, 32, 32): (False, False, False),  # of 7 moments after the first layer, each pools its own way
    }
    for size, (like_piergiaj, like_fixed, like_core) in expected.items():
        x = torch.randn(1, 3, *size)
        with torch.no_grad():
            found = {name: trunk(x) for name, trunk in [*trunks.items(), ("fixed padding", one_epsilon)]}
        assert len({a.shape for a in found.values()}) == 1
        assert torch.allclose(found["hassony2"], found["piergiaj"], atol=1e-5) == like_piergiaj
        assert torch.allclose(found["hassony2"], found["fixed padding"], atol=1e-5) == like_fixed
        assert torch.allclose(found["hassony2"], found["core"], atol=1e-5) == like_core


@pytest.mark.slow
def test_names_of_earlier_versions_give_the_same_features(tmp_path: Path) -> None:
    files = {c: stored(c, tmp_path, published(c)) for c in ("piergiaj", "hassony2")}
    clip = pixels(1, 10, 45, 45)
    plan = {"size": 45, "plan": "uniform:count=1:frames=10"}
    names = (("piergiaj", "piergiaj", "same"), ("hassony2", "core", "fixed", "earlier", "action_net"))
    for file, new, *earlier in names:
        now = i3d.build(weights=files[file], convention=new, **plan)
        for old in earlier:
            before = i3d.build(weights=files[file], convention=old, **plan)
            with torch.no_grad():
                assert torch.equal(now(clip), before(clip))
            assert now.fingerprint() == before.fingerprint()
        assert now.fingerprint()["convention"] == earlier[0]  # features that are cached already are found


def test_borders_are_those_of_the_definition() -> None:
    for size, kernel, stride in product(range(1, 40), (1, 2, 3, 7), (1, 2)):
        before, behind = i3d.borders(size, kernel, stride, True)
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        assert (before, behind) == (total // 2, total - total // 2)


def test_long_clips_are_averaged_over_windows_of_two_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = i3d.build(size=32, plan="uniform:count=1:frames=40")
    maps = torch.randn(1, 1024, 5, 8, 9)
    monkeypatch.setattr(backbone.trunk, "forward", lambda x: maps)
    windows = [
        maps[:, :, t : t + 2, y : y + 7, x : x + 7].mean((2, 3, 4)) for t in range(4) for y in (0, 1) for x in range(3)
    ]
    torch.testing.assert_close(backbone(pixels(1, 40, 32, 32)), torch.stack(windows).mean(0))


def test_flow_is_in_red_and_green() -> None:
    backbone = i3d.build(size=32, stream="flow", plan="uniform:count=1:frames=8")
    clips = pixels(2, 8, 32, 32)
    clips[1] = clips[0]
    clips[1, ..., 2] = 0
    with torch.no_grad():
        first, second = backbone(clips)
        clips[1, ..., 1] = 0
        assert not torch.allclose(first, backbone(clips)[1])
    torch.testing.assert_close(first, second)


def test_flow_weights_are_not_taken_for_rgb(tmp_path: Path) -> None:
    path = tmp_path / "some.pt"
    torch.save(hollow(channels=2), path)
    with pytest.raises(WeightsError, match=r"looks like flow_imagenet.pt .*64×2×7×7×7 in the file and 64×3×7×7×7"):
        i3d.build(weights=path, size=32)
    assert i3d.build(weights=path, size=32, stream="flow").channels == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "nested", "colours"),
    [
        ("rgb_imagenet.pt", 400, (), 0.5),
        ("rgb_charades.pt", 157, (), 0.5),
        ("rgb_i3d_pretrained.pt", 157, (), 0.485),
        ("0.93.pt", 157, ("i3d",), 0.485),
    ],
)
def test_colours_belong_to_the_weights(
    name: str, classes: int, nested: tuple[str, ...], colours: float, tmp_path: Path
) -> None:
    state: object = hollow(classes=classes)
    for key in nested:
        state = {key: state, "epoch": 3}
    torch.save(state, tmp_path / name)
    ours = i3d.build(weights=tmp_path / name, size=32)
    assert ours.colours.mean[0] == colours
    with pytest.warns(UserWarning, match=f"{name} expects .* colours=raw-255"):
        other = i3d.build(weights=tmp_path / name, size=32, colours="raw-255")
    assert other.fingerprint() != ours.fingerprint()
    assert other.fingerprint()["weights"] == ours.fingerprint()["weights"]


def test_convention_can_be_chosen_against_the_weights(tmp_path: Path) -> None:
    torch.save(hollow("hassony2"), tmp_path / "model_rgb.pth")
    backbone = i3d.build(weights=tmp_path / "model_rgb.pth", size=32, convention="core")
    assert {m.eps for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm3d)} == {1e-5}


@pytest.mark.parametrize("name", ["rgb_charades.pt", "rgb_i3d_pretrained.pt", "renamed.pt"])
def test_a_class_layer_that_was_never_trained_tells_the_file_whatever_its_name(name: str, tmp_path: Path) -> None:
    """The file of USDL and DAE has 157 classes too; its layer for them is as PyTorch drew it."""
    layer = torch.nn.Conv3d(1024, 157, 1)
    state = hollow(classes=157) | {f"logits.conv3d.{n}": p.detach() for n, p in layer.named_parameters()}
    torch.save(state, tmp_path / name)
    backbone = i3d.build(weights=tmp_path / name, size=32)
    assert backbone.colours.mean[0] == 0.485
    trained = state["logits.conv3d.weight"] + 0.02 * torch.randn(157, 1024, 1, 1, 1)
    torch.save(state | {"logits.conv3d.weight": trained}, tmp_path / "renamed.pt")
    assert i3d.build(weights=tmp_path / "renamed.pt", size=32).colours.mean[0] == 0.5


def test_random_weights_come_from_the_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    prints = [json.dumps(i3d.build(size=32, seed=seed).fingerprint()) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    assert prints[0] == prints[1] != prints[2]


def test_the_published_recipe_is_the_default() -> None:
    backbone = i3d.build()
    assert backbone.pixels.size(480, 640) == (256, 455)
    assert backbone.pixels.crop == (224, 224)
    assert backbone.plan.clips(103)[:, 0].tolist() == [0, 10, 20, 30, 40, 50, 60, 70, 80, 87]


def test_clips_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="built for clips of 16×32×32×3, but these are 16×40×32×3"):
        i3d.build(size=32)(pixels(1, 16, 40, 32))
    with pytest.raises(OptionError, match="at least 2 frames"):
        i3d.build(size=32, plan="every:step=2")


def test_text_options_are_understood() -> None:
    options = configuration.configure("i3d", i3d.build, {"size": "32", "convention": "fixed", "stream": "flow"})
    assert i3d.build(**options).convention == "core"
