"""Pooling in another order of memory is that of PyTorch to the last bit, and so are its gradients."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from aqakit.backbones.parts.pooling import max_pool3d

SIDES, WINDOWS = st.tuples(*[st.integers(3, 9)] * 3), st.tuples(*[st.integers(1, 3)] * 3)


@settings(deadline=None)
@given(
    sides=SIDES,
    kernel=WINDOWS,
    stride=WINDOWS,
    padded=st.booleans(),
    ceil_mode=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last_3d]),
)
def test_maxima_and_gradients_are_those_of_torch(sides, kernel, stride, padded, ceil_mode, dtype, layout):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, *sides, generator=random).round(decimals=1).to(dtype)  # some maxima are tied
    x[0, 0, 1, 1, 1], x[1, 1, 0, 2, 0] = torch.nan, torch.inf
    x = x.contiguous(memory_format=layout)
    padding = tuple(size // 2 if padded else 0 for size in kernel)
    found, expected = [], []
    for pool, values in ((max_pool3d, found), (F.max_pool3d, expected)):
        given_x = x.clone().requires_grad_()
        pooled = pool(given_x, kernel, stride, padding, ceil_mode=ceil_mode)
        pooled.backward(torch.randn(pooled.shape, generator=random.manual_seed(1)).to(dtype))
        values += [pooled.detach(), given_x.grad]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
        assert one.is_contiguous() == other.is_contiguous()
