"""The small 3-D network against plain 3-D convolutions, and what it must be able to tell apart."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from aqakit.backbones import c3d_small
from aqakit.backbones.c3d_small import Block
from aqakit.errors import WeightsError


def clips(n: int, *, frames: int = 8, size: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, frames, size, size, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_is_two_convolutions_in_three_dimensions(stride: int) -> None:
    block = Block(4, 6, stride).eval()
    for norm in (block.space_norm, block.time_norm):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 7, 10, 12, 4)
    y = x.permute(0, 4, 1, 2, 3)  # (n, C, T, H, W)
    y = nn.functional.conv3d(y, block.space.weight[:, :, None], stride=(1, 2, 2), padding=(0, 1, 1))
    y = _normed(y, block.space_norm).relu()
    y = nn.functional.conv3d(y, block.time.weight[..., None], stride=(stride, 1, 1), padding=(1, 0, 0))
    y = _normed(y, block.time_norm).relu()
    torch.testing.assert_close(block(x), y.permute(0, 2, 3, 4, 1), rtol=1e-4, atol=1e-5)


def _normed(x: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
    return nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


def test_a_still_picture_has_no_change() -> None:
    seen: list[torch.Tensor] = []
    backbone = c3d_small.build(size=16, frames=8)
    backbone.blocks.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone(clips(1)[:, :1].repeat(1, 8, 1, 1, 1))
    backbone(clips(1))
    assert not seen[0][..., 3].any()
    brightness = clips(1).float().mean(-1) / 127.5
    torch.testing.assert_close(seen[1][:, 1:, ..., 3], brightness.diff(dim=1), rtol=1e-4, atol=1e-5)


def test_clips_lie_side_by_side_over_the_whole_video() -> None:
    plan = c3d_small.build(frames=4, clips=3, size=16).plan
    assert plan.clips(12).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert plan.clips(111)[-1, -1] == 110
    assert c3d_small.build().plan.clips(100).shape == (1, 32)


def test_it_learns_when_something_happened() -> None:
    """A flash early or late: with time averaged out the two would look the same."""
    backbone = c3d_small.build(size=16, frames=8, width=4)
    head = nn.Linear(*backbone.shape, 1)
    videos, late = torch.full((16, 8, 16, 16, 3), 40, dtype=torch.uint8), torch.arange(16) % 2
    for video, is_late, place in zip(videos, late.tolist(), range(16), strict=True):
        video[2 + 4 * is_late, place % 8 : place % 8 + 5, 4:12] = 250
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(head(backbone(videos)).squeeze(1), late.float())
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_weights_return_from_a_file(tmp_path: Path) -> None:
    trained = c3d_small.build(size=16, frames=8, seed=3).eval()
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    again = c3d_small.build(size=16, frames=8, weights=tmp_path / "w.safetensors").eval()
    assert torch.equal(again(clips(2)), trained(clips(2)))
    assert again.fingerprint() != trained.fingerprint()
    assert not torch.equal(c3d_small.build(size=16, frames=8).eval()(clips(2)), trained(clips(2)))
    checkpoint = {f"live.c3d_small.{n}": t for n, t in trained.state_dict().items()} | {"method.head": torch.ones(1)}
    save_file(checkpoint, tmp_path / "checkpoint.safetensors")
    from_run = c3d_small.build(size=16, frames=8, weights=tmp_path / "checkpoint.safetensors").eval()
    assert torch.equal(from_run(clips(2)), trained(clips(2)))


def test_building_it_does_not_disturb_other_random_numbers() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    c3d_small.build(size=16)
    assert torch.equal(torch.rand(3), expected)


def test_weights_that_do_not_fit_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        c3d_small.build(weights=path)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        c3d_small.build(weights=path)
    save_file(c3d_small.build(width=4).state_dict(), path)
    with pytest.raises(WeightsError, match="with these options") as caught:
        c3d_small.build(width=8, weights=path)
    assert "\n" not in str(caught.value)
