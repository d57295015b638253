"""The heads of MSCADC against their published size and against the context net written out as functions."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from aqakit.errors import OptionError
from aqakit.methods import mscadc
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale, Stream
from tests.synthetic import LABELS, batch

MTL_AQA = LabelSpec(
    scale=ScoreScale(0, 104.5),
    attributes={"position": 3, "armstand": 2, "rotation_type": 4, "somersaults": 10, "twists": 8},
    vocabulary=tuple(map(str, range(5777))),
)


def maps(*shape: int) -> FeatureSpec:
    return FeatureSpec({"mscadc": shape})


def test_heads_have_the_published_size():
    with torch.device("meta"):
        method = mscadc.build(maps(256, 2, 20, 20), MTL_AQA)
        with FlopCounterMode(display=False) as counter:
            score = method.score.eval()(torch.empty(1, 256, 2, 20, 20))
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in method.named_children()}
    decoder = 1536 * (1200 + 512 + 2) + 2 * 1536 * 1026 + 1536 * (1024 + 514) + 5779 * 1025
    sizes.pop("units")  # buffers only
    assert sizes == {"score": 437_065, "attributes": 445_515, "captions": decoder, "watch": 440_640, "pool": 0}
    assert counter.get_total_flops() / 2 == pytest.approx(1.95e9, rel=0.01)
    assert score.shape == (1, 1)
    assert method.watch.width == 1200


def reference(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The published score head, layer by layer."""
    convolutions = [n[: -len(".weight")] for n, t in state.items() if n.endswith("weight") and t.ndim == 5]
    norms = [n[: -len(".running_var")] for n in state if n.endswith("running_var")]

    def conv(x: torch.Tensor, **how: int) -> torch.Tensor:
        name = convolutions.pop(0)
        return F.conv3d(x, state[f"{name}.weight"], state[f"{name}.bias"], **how)

    def bn_relu(x: torch.Tensor) -> torch.Tensor:
        name = norms.pop(0)
        parts = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts).relu()

    x = F.pad(conv(x, padding=1), [9] * 6, mode="replicate")
    for dilation in (1, 1, 2, 4, 1):
        x = bn_relu(conv(x, dilation=dilation))
    x = F.max_pool3d(bn_relu(conv(x)), 2)
    x = conv(bn_relu(conv(x, padding=1)), padding=1)
    assert not convolutions
    assert not norms
    return F.avg_pool3d(x, x.shape[2:]).flatten(1)


@pytest.mark.parametrize("sides", [(2, 4, 5), (2, 19, 20)])
def test_the_score_is_that_of_the_definition(sides):
    """Five layers of context where they are asked for, and on a map of 19 places without asking."""
    given = {} if 19 in sides else {"context_layers": 5}
    method = mscadc.build(maps(24, *sides), LabelSpec(LABELS.scale), **given).eval()
    for name, buffer in method.score.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    features = torch.randn(1, 1, 24, *sides)
    score = method.predict(batch(videos=1).replace(streams={"m": Stream(features, torch.tensor([[True]]))}))
    wanted = 60 + 30 * reference(method.score.state_dict(), features[:, 0]).squeeze(1)  # in quarters of 0 to 120
    torch.testing.assert_close(score.mean, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("sides", "layers", "vector"),
    [((2, 20, 20), 5, 1200), ((2, 18, 32), 4, 12 * 9 * 16), ((4, 5, 5), 2, 96), ((1, 1, 1), 1, 12), ((2, 4, 4), 1, 48)],
)
def test_the_context_sees_no_farther_than_the_map(sides, layers, vector):
    method = mscadc.build(maps(24, *sides), LABELS, caption_width=4).eval()
    dilated = [m for m in method.score.modules() if isinstance(m, torch.nn.Conv3d) and m.kernel_size == (3, 3, 3)]
    assert len(dilated) - 2 == layers
    assert method.watch(torch.randn(1, 24, *sides)).shape == (1, vector)


def test_several_clips_are_read_as_their_mean_map():
    method = mscadc.build(maps(12, 2, 4, 4), LABELS).eval()
    some = batch(videos=5, features=maps(12, 2, 4, 4))
    mean = torch.stack([f[c].mean(0, keepdim=True) for f, c in zip(some.features, some.clips, strict=True)])
    alone = some.replace(streams={"m": Stream(mean, some.clips[:, :1])})
    torch.testing.assert_close(method.predict(alone).mean, method.predict(some).mean)
    assert method.describe(alone).captions == method.describe(some).captions


def test_one_place_of_one_video_is_normalised_by_what_was_seen():
    """Where torch alone stops with an error."""
    method = mscadc.build(maps(4, 1, 1, 1), LabelSpec(LABELS.scale)).train()
    some = batch(videos=1).replace(streams={"m": Stream(torch.randn(1, 1, 4, 1, 1, 1), torch.tensor([[True]]))})
    last = [m for m in method.modules() if isinstance(m, torch.nn.BatchNorm3d)][-1]
    method.losses(some)["score"].backward()
    assert last.running_mean.tolist() == [0] * 2
    assert method.score.head[0].weight.grad.isfinite().all()


def test_vectors_are_refused():
    with pytest.raises(OptionError, match=r"mscadc reads maps \(C, T, H, W\), and these features have shape \(12,\)"):
        mscadc.build(FeatureSpec({"c3d": (12,)}), LABELS)
