"""The group-aware regression tree of CoRe, and the intervals of score differences of its leaves.

L leaves partition the differences between two scores: half of them cover positive differences, with L/2 + 1 edges from
0 to the span of the score scale; the other half mirrors them for negative ones. A leaf contains its edge nearer to 0
but not the other. A difference of zero belongs to the first positive leaf.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NodeLinear(nn.Module):
    """A separate linear layer for each of K nodes, initialised like ``nn.Linear``."""

    def __init__(self, nodes: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(nodes, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(nodes, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map (K, P, inputs) to (K, P, outputs)."""
        return torch.baddbmm(self.bias, x, self.weight)

    def at(self, x: Tensor, node: Tensor) -> Tensor:
        """Apply one node (P,), in ascending order, to each row of (P, inputs) → (P, outputs)."""
        parts = x.split(node.bincount(minlength=len(self.weight)).tolist())
        layers = zip(parts, self.weight.unbind(), self.bias.unbind())
        return torch.cat([torch.addmm(bias, rows, weight) for rows, weight, bias in layers])


class RegressionTree(nn.Module):
    """Binary tree whose leaves classify a difference coarsely and regress it finely (Yu et al. 2021, section 3.3).

    Each node has ``hidden`` channels, from which the log-odds of its two children and the channels of the children are
    computed. The probability of a leaf is the product along its path.
    """

    def __init__(self, width: int, *, depth: int, hidden: int, outputs: int) -> None:
        super().__init__()
        nodes = [2**level for level in range(depth - 1)]
        self.root = nn.Linear(width, hidden)
        self.odds = nn.ModuleList(NodeLinear(count, hidden, 2) for count in nodes)
        self.descend = nn.ModuleList(NodeLinear(2 * count, hidden, hidden) for count in nodes)
        self.leaves = NodeLinear(2 ** (depth - 1), hidden, outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (P, width) to the log-probability (P, L) and the outputs (P, L, outputs) of each leaf."""
        nodes = self.root(x).relu()[None]  # (K, P, hidden)
        log_probability = x.new_zeros(1, x.shape[0])  # not len(), so that an exported network takes any number
        for odds, descend in zip(self.odds, self.descend):
            branches = odds(nodes).log_softmax(-1).transpose(1, 2).flatten(0, 1)  # (2 K, P)
            log_probability = log_probability.repeat_interleave(2, 0) + branches
            nodes = descend(nodes.repeat_interleave(2, 0)).relu()
        return log_probability.T, self.leaves(nodes).transpose(0, 1)

    def along(self, x: Tensor, leaf: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-probability (P,) and outputs (P, outputs) as :meth:`forward`, but for one leaf (P,) per row only.

        Only the nodes on the path are evaluated, which makes training on a CPU several times faster.
        """
        order = leaf.argsort()
        leaf, nodes = leaf[order], self.root(x[order]).relu()  # (P, hidden)
        log_probability = x.new_zeros(len(x))
        for level, (odds, descend) in enumerate(zip(self.odds, self.descend), start=1):
            child = leaf >> (len(self.odds) - level)
            branches = odds.at(nodes, child >> 1).log_softmax(-1)  # type: ignore[operator]
            log_probability = log_probability + branches.gather(1, child[:, None] & 1).squeeze(1)
            nodes = descend.at(nodes, child).relu()  # type: ignore[operator]
        back = order.argsort()
        return log_probability[back], self.leaves.at(nodes, leaf)[back]


def quantile_edges(sizes: Tensor, leaves: int, span: float) -> Tensor:
    """Return edges (L/2 + 1,) between which absolute differences (G,) are equally frequent, from 0 to ``span``.

    As published, an edge is the observation at rank ⌊k (G − 1) / (L/2)⌋. Without observations, edges are equidistant.

    >>> quantile_edges(torch.tensor([4.0, 1.0, 3.0, 2.0, 9.0]), 4, 30.0)
    tensor([ 0.,  3., 30.])
    """
    half = leaves // 2
    even = torch.linspace(0, span, half + 1, device=sizes.device)
    ordered = (sizes if len(sizes) else even).sort().values.clamp(max=span)
    edges = ordered[torch.arange(half + 1, device=sizes.device) * (len(ordered) - 1) // half]
    edges[0], edges[-1] = 0, span
    return edges


def intervals(edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower end (L,) of each leaf, from the most negative on, and its width (L,); 1 for empty intervals.

    The position in an empty interval is thus the raw offset, as published.
    """
    low = torch.cat([-edges.flip(0)[:-1], edges[:-1]])
    width = torch.cat([edges.diff().flip(0), edges.diff()])
    return low, torch.where(width > 0, width, 1)


def place(difference: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the leaf of each difference (P,), and the position in it, from 0 at its lower end to 1 at its upper.

    Beyond the last edge, the leaf is the outermost one and the position is below 0 or above 1, so that
    low + position × width always equals the difference.
    """
    half = len(edges) - 1
    interval = torch.bucketize(difference.abs(), edges[1:-1], right=True)
    leaf = torch.where(difference < 0, half - 1 - interval, half + interval)
    low, width = intervals(edges)
    return leaf, (difference - low[leaf]) / width[leaf]
