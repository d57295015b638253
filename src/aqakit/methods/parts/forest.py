"""A forest of extremely randomised trees as tensors: grown by scikit-learn, stored and asked without it.

The answer is that of a quantile regression forest (Meinshausen 2006): in each tree, the training videos in the leaf of
a new one share a weight of 1. Mean and quantiles are those of the training scores with the mean weights.
"""

from __future__ import annotations

import torch
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

_LEVELS = torch.arange(1, 20, dtype=torch.float64) / 20


def tables(forest: ExtraTreesRegressor) -> dict[str, Tensor]:
    """Return the nodes of all trees, each (trees, nodes): ``branches`` (trees, nodes, 2), ``feature``, ``threshold``.

    A leaf has itself as branches.
    """
    trees = [one.tree_ for one in forest.estimators_]
    size = max(tree.node_count for tree in trees)
    own = torch.arange(size)
    branches = own[None, :, None].repeat(len(trees), 1, 2)
    feature = torch.zeros(len(trees), size, dtype=torch.int64)
    threshold = torch.zeros(len(trees), size, dtype=torch.float64)
    for row, tree in enumerate(trees):
        inner = torch.from_numpy(tree.children_left >= 0).nonzero().squeeze(1)
        pairs = torch.stack([torch.from_numpy(tree.children_left), torch.from_numpy(tree.children_right)], dim=1)
        branches[row, inner] = pairs[inner].long()
        feature[row, inner] = torch.from_numpy(tree.feature)[inner].long()
        threshold[row, inner] = torch.from_numpy(tree.threshold)[inner]
    return {"branches": branches.int(), "feature": feature.int(), "threshold": threshold}


def leaves(x: Tensor, branches: Tensor, feature: Tensor, threshold: Tensor) -> Tensor:
    """Return the leaf of each vector in each tree: (B, D) → (trees, B)."""
    values = x.float().double()  # scikit-learn grows trees on single precision
    node = torch.zeros(len(branches), x.shape[0], dtype=torch.int64, device=x.device)
    while True:
        column = feature.long().gather(1, node)  # (trees, B)
        right = values.T.gather(0, column) > threshold.gather(1, node)
        after = branches.long().gather(1, node[..., None].expand(-1, -1, 2)).gather(2, right.long()[..., None])[..., 0]
        if torch.equal(after, node):
            return node
        node = after


def weights(asked: Tensor, known: Tensor) -> Tensor:
    """Return the weight of each training video: leaves (trees, B), (trees, n) → (B, n), whose rows sum to 1."""
    total = torch.zeros(asked.shape[1], known.shape[1], dtype=torch.float64, device=asked.device)
    for new, old in zip(asked, known, strict=True):
        same = (new[:, None] == old[None]).double()
        total += same / same.sum(1, keepdim=True)
    return total / len(asked)


def quantiles(weight: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return means (B,), quantiles (B, K) and their levels (K,) of scores (n,) in ascending order, with weights (B, n).

    A score stands at the middle of its step of the distribution; between scores, quantiles are on straight lines.
    """
    levels = _LEVELS.to(score.device)
    middle = weight.cumsum(1) - weight / 2
    after = torch.searchsorted(middle.contiguous(), levels.expand(len(weight), -1).contiguous())
    after = after.clamp(1, len(score) - 1) if len(score) > 1 else after.clamp(0, 0)
    before = (after - 1).clamp(min=0)
    low, high = middle.gather(1, before), middle.gather(1, after)
    part = ((levels - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    values = score[before] + part * (score[after] - score[before])
    return weight @ score, values.cummax(1).values, levels
