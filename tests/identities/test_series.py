"""LITE against sums over moments, written out from the paper and the public code."""

import numpy as np
import pytest
import torch

from aqakit.methods import lite
from aqakit.types import FeatureSpec
from tests.identities.arithmetic import Array, Norms, State, agree, array, arrays, conv, linear, relu
from tests.identities.test_heads import CENTRE, QUARTER, WITHIN, at_random, of
from tests.synthetic import LABELS, batch


def alone(x: Array, kernels: Array, dilation: int = 1) -> Array:
    """(D, N) → (D, N): each channel with its own kernel, moment by moment; nothing beyond the ends."""
    size = kernels.shape[1]
    before = dilation * (size - 1) // 2
    found = np.zeros_like(x)
    for t in range(x.shape[1]):
        for k in range(size):
            if 0 <= (at := t + dilation * k - before) < x.shape[1]:
                found[:, t] += kernels[:, k] * x[:, at]
    return found


def separable(x: Array, state: State, name: str, dilation: int = 1) -> Array:
    return state[f"{name}.1.weight"][:, :, 0] @ alone(x, state[f"{name}.0.weight"][:, 0], dilation)


def fixed() -> list[list[float]]:
    """The filters in the paper's figure: ups, downs, and peaks whose flanks are squares of equal steps."""
    found: list[list[float]] = [[-1.0, 1.0] * (2**k) for k in range(6)] + [[1.0, -1.0] * (2**k) for k in range(6)]
    for quarter in (1, 2, 4, 8, 16):
        flank = [((k + 1) / quarter) ** 2 for k in range(quarter)]
        bump = [*flank, *reversed(flank)]
        found.append([*(-b for b in bump), *(2 * b for b in bump), *(-b for b in bump)])
    return found


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("training", [False, True])
def test_lite(width: int, training: bool) -> None:
    """Each series by itself; norms over the moments that there are."""
    spec = FeatureSpec({"movement": (width,)})
    data = batch(videos=6, clips=30, features=FeatureSpec({"movement": (12,)}))
    stream = data.streams["movement"]
    data = data.replace(streams={"movement": type(stream)(stream.features[..., :width], stream.clips)})
    method, _ = at_random(lite.build(spec, LABELS, filters=4, kernel=12))
    for name, tensor in method.named_buffers():
        if "running_mean" in name:
            torch.nn.init.uniform_(tensor, -0.5, 0.5)
        if "running_var" in name:
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    state = {name.removeprefix("series.movement."): value for name, value in arrays(method).items()}
    method.train(training)
    norms, lengths = Norms(state, 1e-5, 0.1, training), [len(video) for video in of(data)]

    def normed(series: list[Array], name: str) -> list[Array]:
        rows = relu(norms(np.concatenate([one.T for one in series]), name))
        return [part.T for part in np.split(rows, np.cumsum(lengths)[:-1])]

    first = []
    for x in (video.T for video in of(data)):  # (D, N)
        found = []
        for branch, size in enumerate((12, 6, 3)):
            weight = f"branches.{branch}.weight"
            pads = [((size - 1) // 2, size // 2)]
            found.append(
                conv(x[None], state[weight], pads=pads)[0] if width == 1 else separable(x, state, f"branches.{branch}")
            )
        found += [alone(x, np.tile(one, (width, 1))) for one in fixed()]
        first.append(np.concatenate(found))
    x = normed(first, "norms.0")
    for layer, dilation in enumerate((2, 4)):
        x = normed([separable(one, state, f"later.{layer}", dilation) for one in x], f"norms.{layer + 1}")
    pooled = np.array([one.mean(1) for one in x])
    wanted = CENTRE + QUARTER * linear(pooled, state, "head.value")[:, 0]
    agree(method.predict(data).mean, wanted, 1e-4 if training else WITHIN)
    loss = ((wanted - array(data.score)) ** 2).mean() / QUARTER**2
    agree(method.losses(data)["squared_error"], loss, 1e-4)
