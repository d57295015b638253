"""The shared encoder is a linear layer and a convolution, in value and gradient, however it is multiplied out."""

import pytest
import torch

from aqakit.methods.parts.encoder import Encoder
from aqakit.methods.parts.semi_supervised import first
from aqakit.types import Stream
from tests.semi_supervised import built
from tests.synthetic import batch

CLIPS = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])


def encoder(reach: int) -> Encoder:
    torch.manual_seed(0)
    return Encoder(5, 7, reach=reach, dropout=0.0).double()


def apart(layers: Encoder, features: torch.Tensor) -> torch.Tensor:
    """The same by torch's own layers, one video at a time, without its padding."""
    encoded = torch.zeros(2, 6, 7, dtype=torch.float64)
    for row, count in enumerate(CLIPS.sum(1).tolist()):
        video = features[row, :count]
        encoded[row, :count] = (layers.own(video) + layers.around(video.T).T).relu()
    return encoded


def gradients(encoded: torch.Tensor, *of: torch.Tensor) -> tuple[torch.Tensor, ...]:
    weights = torch.linspace(-1, 1, encoded.numel(), dtype=torch.float64).reshape(encoded.shape)
    return torch.autograd.grad((weights * encoded).sum(), of, retain_graph=True)


@pytest.mark.parametrize("reach", [1, 2])
def test_it_is_a_linear_layer_and_a_convolution(reach):
    layers = encoder(reach)
    features = torch.randn(2, 6, 5, dtype=torch.float64, requires_grad=True)
    found, expected = layers(Stream(features, CLIPS)).features, apart(layers, features)
    torch.testing.assert_close(found, expected)
    of = (features, *layers.parameters())
    torch.testing.assert_close(gradients(found, *of), gradients(expected, *of))


@pytest.mark.parametrize("method", ["s4aqa", "s4l"])
def test_unlabelled_videos_may_all_be_shorter_than_a_labelled_one(method):
    mixed, scheme = batch(unlabelled=8), built(method, dropout=0)
    clips = first(mixed).clips.clone()
    clips[:, 0] = True
    clips[~mixed.labelled, 2:] = False
    clips[mixed.labelled.nonzero()[0, 0]] = True
    short = mixed.replace(streams={"test": Stream(first(mixed).features, clips)})
    assert all(term.isfinite() for term in scheme.losses(short).values())
