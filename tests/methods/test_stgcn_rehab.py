"""STGCN-rehab: published sizes, its graph, and messages."""

import pytest
import torch

from aqakit.errors import OptionError
from aqakit.methods import stgcn_rehab
from aqakit.types import FeatureSpec
from tests.synthetic import LABELS

KINECT = FeatureSpec({"skeleton": (25, 3)})


def lstm(inputs, units):
    """Weights of one layer in PyTorch, with two biases for each of its four gates."""
    return 4 * units * (inputs + units + 2)


def test_the_published_sizes():
    """Counted layer by layer: 9×1 convolution, two hops with attention, three joined convolutions; four LSTMs."""

    def block(width):
        hop = (width + 64) * 64 + 64 + lstm(64, 25)
        joined = 9 * 128 * 16 + 16 + 15 * 16 * 16 + 16 + 20 * 16 * 16 + 16
        return 9 * width * 64 + 64 + 2 * hop + joined

    method = stgcn_rehab.build(
        KINECT, LABELS, graph="kinect25", width=64, joined=16, lstm=(80, 40, 40, 80), attention="recurrent"
    )
    layers = lstm(25 * 48, 80) + lstm(80, 40) + lstm(40, 40) + lstm(40, 80) + 80 + 1
    norm = 2 * 75
    assert sum(p.numel() for p in method.parameters()) == block(3) + 2 * block(48) + layers + norm


@pytest.mark.parametrize("attention", ["plain", "recurrent"])
def test_a_hop_ends_where_its_bones_do(attention):
    """Joint 0 of a chain is changed by joints 1 and 2 at most, one bone for each hop."""
    chain = torch.tensor([[abs(i - j) for j in range(5)] for i in range(5)])
    for reach in (1, 2):
        hop = stgcn_rehab.Hop(chain <= reach, 3, 4, attention)
        x = torch.randn(1, 6, 5, 3, requires_grad=True)
        hop(x)[0, :, 0].sum().backward()
        touched = x.grad[0].abs().sum((0, 2)) > 0
        assert touched.tolist() == [k <= reach for k in range(5)]


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (FeatureSpec({"movement": (75,)}), {}, "reads joints"),
        (FeatureSpec({"a": (25, 3), "b": (25, 3)}), {}, "one stream"),
        (KINECT, {"graph": "coco17"}, "coco17"),
    ],
)
def test_what_it_cannot_read(features, options, message):
    with pytest.raises(OptionError, match=message):
        stgcn_rehab.build(features, LABELS, **options)
