"""The operations of networks in NumPy and double precision, tap by tap: nothing here is shared with the package."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = Mapping[str, Array]
Pads = Sequence[tuple[int, int]]


def arrays(module: torch.nn.Module) -> dict[str, Array]:
    """The weights and buffers of a module, by name."""
    return {name: array(tensor) for name, tensor in module.state_dict().items()}


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy().copy()


def agree(ours: torch.Tensor | Array, theirs: Array | float, within: float) -> float:
    """The largest difference, in parts of the largest of their numbers, which must be small enough."""
    ours, theirs = (array(x) if isinstance(x, torch.Tensor) else np.asarray(x, float) for x in (ours, theirs))
    assert ours.shape == theirs.shape
    assert np.isfinite(theirs).all()
    assert theirs.size < 3 or np.ptp(theirs) > 0.01 * np.abs(theirs).max()  # what is almost constant shows nothing
    worst = float(np.abs(ours - theirs).max() / max(1e-12, np.abs(theirs).max()))
    print(f"\n[identity] {worst:.1e}")
    assert worst <= within
    return worst


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def log_softmax(x: Array, axis: int = -1) -> Array:
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def softmax(x: Array, axis: int = -1) -> Array:
    return np.exp(log_softmax(x, axis))


def linear(x: Array, state: State, name: str) -> Array:
    """(…, D) → (…, D')."""
    y = np.einsum("...i,oi->...o", x, state[f"{name}.weight"], optimize=True)
    return y + state[f"{name}.bias"] if f"{name}.bias" in state else y


def windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: int = 1) -> tuple[list[int], list[Array]]:
    """The sizes of the output of a sliding window, and for each of its taps what it sees."""
    room = [size - dilation * (k - 1) - 1 for size, k in zip(x.shape[2:], kernel)]
    out = [r // s + 1 for r, s in zip(room, stride)]
    seen = []
    for taps in product(*map(range, kernel)):
        cut = [slice(t * dilation, t * dilation + (n - 1) * s + 1, s) for t, n, s in zip(taps, out, stride)]
        seen.append(x[(slice(None), slice(None), *cut)])
    return out, seen


def padded(x: Array, pads: Pads, value: float = 0.0) -> Array:
    return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=value)


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Sequence[int] | None = None,
    pads: Pads | None = None,
    dilation: int = 1,
) -> Array:
    """(n, C, *S) → (n, C', *S'), a sum over the taps of the kernel."""
    kernel = weight.shape[2:]
    x = padded(x, pads if pads is not None else [(0, 0)] * len(kernel))
    out, seen = windows(x, kernel, stride or [1] * len(kernel), dilation)
    total = np.zeros((weight.shape[0], len(x), *out))
    for view, taps in zip(seen, np.moveaxis(weight.reshape(*weight.shape[:2], -1), 2, 0)):
        total += np.tensordot(taps, view, axes=(1, 1))
    y = np.moveaxis(total, 0, 1)
    return y if bias is None else y + bias.reshape(1, -1, *[1] * len(kernel))


def max_pool(
    x: Array,
    kernel: Sequence[int],
    stride: Sequence[int] | None = None,
    pads: Pads | None = None,
    value: float = -np.inf,
) -> Array:
    """The maximum of complete windows; padding holds ``value``."""
    x = padded(x, pads if pads is not None else [(0, 0)] * len(kernel), value)
    return np.maximum.reduce(windows(x, kernel, stride or kernel)[1])


class Norms:
    """Batch norms by name: of the stored statistics, or in training of the batch.

    ``after`` collects the running statistics that training leaves behind.
    """

    def __init__(self, state: State, eps: float, momentum: float, training: bool) -> None:
        self.state, self.eps, self.momentum, self.training = state, eps, momentum, training
        self.after: dict[str, Array] = {}

    def __call__(self, x: Array, name: str) -> Array:
        """(n, C, …) → the same."""
        mean, var = (self.state[f"{name}.running_{key}"] for key in ("mean", "var"))
        if self.training:
            rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
            self._keep(name, mean, rows.mean(0), "mean")
            self._keep(name, var, rows.var(0, ddof=1), "var")
            mean, var = rows.mean(0), rows.var(0)
        shape = (1, -1, *[1] * (x.ndim - 2))
        gain = self.state[f"{name}.weight"] / np.sqrt(var + self.eps)
        return x * gain.reshape(shape) + (self.state[f"{name}.bias"] - mean * gain).reshape(shape)

    def _keep(self, name: str, before: Array, now: Array, key: str) -> None:
        self.after[f"{name}.running_{key}"] = (1 - self.momentum) * before + self.momentum * now


def gru(x: Array, state: State, name: str, layer: int, start: Array | None = None) -> tuple[Array, Array]:
    """One layer over (T, D): the states (T, H) and the last one, step by step (Cho et al. 2014, PyTorch's variant)."""
    w, u, b, c = (state[f"{name}.{key}_l{layer}"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = np.zeros(u.shape[1]) if start is None else start
    states = []
    for row in x:
        (r, z, n), (rh, zh, nh) = np.split(w @ row + b, 3), np.split(u @ h + c, 3)
        gate = sigmoid(z + zh)
        h = (1 - gate) * np.tanh(n + sigmoid(r + rh) * nh) + gate * h
        states.append(h)
    return np.array(states).reshape(len(x), -1), h


def lstm(x: Array, state: State, name: str) -> Array:
    """One layer over (T, D) → the states (T, H), step by step."""
    w, u, b, c = (state[f"{name}.{key}_l0"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = cell = np.zeros(u.shape[1])
    states = []
    for row in x:
        i, f, g, o = np.split(w @ row + b + u @ h + c, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(cell)
        states.append(h)
    return np.array(states)
