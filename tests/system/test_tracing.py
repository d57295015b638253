"""Modules as graphs: sizes stay open, questions about values are answered, and what is constant is computed."""

import pytest
import torch
from torch import nn

from aqakit.system.tracing import trace


class Asks(nn.Module):
    """Asks whether a constant increases, and uses an operation that other runtimes lack on constants."""

    def __init__(self):
        super().__init__()
        self.register_buffer("levels", torch.tensor([0.05, 0.5, 0.95]))

    def forward(self, x, mask):
        if not bool((self.levels.diff() > 0).all()) or torch.equal(self.levels[:1], self.levels[1:2]):
            raise ValueError
        z = torch.special.ndtri(self.levels)
        place = torch.bucketize(z, self.levels)
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return mean + z + place + float(self.levels[0])


def test_a_graph_takes_other_sizes_and_has_no_operation_on_constants():
    module = Asks()
    graph = trace(module, [torch.rand(2, 3, 3), torch.ones(2, 3, dtype=torch.bool)], [[0, 1], [0, 1]])
    for videos, clips in ((1, 1), (4, 7)):
        x, mask = torch.rand(videos, clips, 3), torch.rand(videos, clips) > 0.2
        mask[:, 0] = True
        torch.testing.assert_close(graph.module()(x, mask), module(x, mask))
    names = {str(node.target) for node in graph.graph.nodes}
    assert not [name for name in names if "ndtri" in name or "bucketize" in name]


class Unrolls(nn.Module):
    def forward(self, x):
        return torch.stack([row * len(x) for row in x])


def test_a_size_that_would_be_fixed_silently_is_refused():
    with pytest.raises(Exception, match=r"specialized|Constraints"):
        trace(Unrolls(), [torch.rand(2, 3)], [[0]])


@pytest.mark.parametrize("operation", [torch.special.ndtr, torch.nan_to_num, lambda x: x.kthvalue(2, dim=1).values])
def test_what_other_runtimes_lack_is_replaced_by_the_same(operation):
    class One(nn.Module):
        def forward(self, x):
            return operation(x)

    graph = trace(One(), [torch.randn(2, 5)], [[0]])
    x = torch.randn(3, 5)
    torch.testing.assert_close(graph.module()(x), operation(x))
    assert not [node for node in graph.graph.nodes if any(n in str(node.target) for n in ("ndtr", "nan_to", "kth"))]
