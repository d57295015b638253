"""Pooling along one axis after another equals PyTorch's pooling of whole windows."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from aqakit.backbones.parts.pooling import MaxPool3d, max_pool3d

SIDES = st.tuples(*[st.integers(3, 9)] * 3)


@given(
    sides=SIDES,
    kernel=st.tuples(*[st.integers(1, 3)] * 3),
    stride=st.tuples(*[st.integers(1, 3)] * 3),
    padded=st.booleans(),
    ceil_mode=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last_3d]),
)
def test_the_maxima_are_those_of_torch(sides, kernel, stride, padded, ceil_mode, dtype, layout):
    x = torch.randn(2, 3, *sides, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[0, 0, 1, 1, 1], x[1, 1, 0, 2, 0], x[0, 2] = torch.nan, torch.inf, -torch.inf
    x = x.contiguous(memory_format=layout)
    padding = tuple(size // 2 if padded else 0 for size in kernel)
    expected = F.max_pool3d(x, kernel, stride, padding, ceil_mode=ceil_mode)
    for found in (
        max_pool3d(x, kernel, stride, padding, ceil_mode),
        MaxPool3d(kernel, stride, padding, ceil_mode=ceil_mode)(x),
    ):
        assert found.dtype == dtype
        assert torch.equal(found.nan_to_num(nan=1e9), expected.nan_to_num(nan=1e9))


def test_gradients_are_those_of_torch_where_maxima_are_tied():
    x = torch.ones(1, 2, 4, 6, 6)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    max_pool3d(one, 3, 2).sum().backward()
    F.max_pool3d(other, 3, 2).sum().backward()
    assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("words", [(2,), (3, 2), (3, 2, 1)])
def test_a_layer_has_the_defaults_of_torch(words):
    x = torch.randn(1, 1, 7, 7, 7)
    layers = MaxPool3d, torch.nn.MaxPool3d
    assert torch.equal(*(layer(*words)(x) for layer in layers))


def test_a_graph_has_one_layer_for_it():
    layer, x = MaxPool3d(3, 1, 1), torch.randn(2, 1, 5, 5, 5)
    exported = torch.export.export(layer, (x,), strict=False)
    assert [node.target for node in exported.graph.nodes if node.op == "call_function"] == [
        torch.ops.aten.max_pool3d.default
    ]
    assert "aten::max_pool3d" in str(torch.jit.trace(layer, x).inlined_graph)
