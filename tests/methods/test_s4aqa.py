"""S4AQA: the gradient is reversed, a perfect decoder costs nothing, and the loss is the printed one."""

import math

import pytest
import torch
from torch import nn

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.methods.parts.encoder import ResidualEncoder
from aqakit.methods.parts.semi_supervised import first
from aqakit.methods.s4aqa import _places, reverse_gradient
from aqakit.types import Stream
from tests.semi_supervised import assert_same_without_unlabelled_rows, built, trained
from tests.synthetic import FEATURES, LABELS, batch

MIXED = batch(unlabelled=8)


def test_the_reversed_gradient_is_minus_the_finite_difference():
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.linspace(-1, 1, 3, dtype=torch.float64)

    def value(x):
        return (x.tanh() @ weight).exp().sum()

    assert torch.equal(reverse_gradient(x), x)
    leaf = x.clone().requires_grad_()
    value(reverse_gradient(leaf)).backward()
    step = 1e-6
    for row in range(4):
        for column in range(3):
            moved = torch.zeros_like(x)
            moved[row, column] = step
            difference = (value(x + moved) - value(x - moved)) / (2 * step)
            assert float(leaf.grad[row, column]) == pytest.approx(-float(difference), rel=1e-6)


class Perfect(nn.Module):
    """Knows the hidden segments."""

    def __init__(self, truth):
        super().__init__()
        self.truth = truth

    def forward(self, encoded):
        return self.truth


def test_recovery_is_zero_for_a_perfect_decoder_and_the_mean_absolute_error_otherwise():
    method = built("s4aqa", alignment=0)
    stream = first(MIXED.select(~MIXED.labelled))
    place = torch.zeros(8, dtype=torch.int64)
    truth = stream.features[:, 0]
    encoded = method.encoder(stream)
    method.decoder = Perfect(truth)
    assert float(method._recovery(encoded, stream, place)) == 0
    method.decoder = Perfect(truth + 0.25)
    assert float(method._recovery(encoded, stream, place)) == pytest.approx(0.25)


@pytest.mark.parametrize("encoder", ["convolution", "residual"])
def test_a_hidden_segment_is_encoded_as_if_the_token_were_its_features(encoder):
    method, stream = built("s4aqa", encoder=encoder).eval(), first(MIXED)
    method.token.data.normal_()
    torch.manual_seed(0)
    place = _places(stream.clips)
    assert stream.clips[torch.arange(24), place].all()  # never padding
    shown = stream.features.index_put((torch.arange(24), place), method.token)
    torch.manual_seed(0)
    found = method.representations(MIXED)
    for view, features in (("whole", stream.features), ("masked", shown)):
        expected = method.represent(method.encoder(Stream(features, stream.clips)))
        torch.testing.assert_close(found[view], expected)


def test_elsewhere_a_hidden_segment_leaves_the_dropout_of_the_whole_video():
    method = built("s4aqa", dropout=0.5).train()
    codes = method.encoder.read(first(MIXED))
    place = _places(codes.clips)
    same = (method._hide(codes, place).features == codes.features).all(2)
    assert same.sum(1).tolist() == [codes.clips.shape[1] - 1] * 24
    assert not same[torch.arange(24), place].any()


def test_the_adversarial_term_is_the_printed_min_max():
    method = built("s4aqa")
    labelled, unlabelled, hidden = (torch.randn(n, 128) for n in (5, 3, 3))
    found = method.adversarial(labelled, unlabelled, hidden).item()

    def mean_log(rows, truth):
        d = method.discriminator(rows).squeeze(1).sigmoid()
        return (d if truth else 1 - d).log().mean().item()

    by_hand = -(mean_log(labelled, True) + (mean_log(unlabelled, False) + mean_log(hidden, False)) / 2)
    assert found == pytest.approx(by_hand, rel=1e-5)


def test_the_encoder_learns_against_the_discriminator():
    method = built("s4aqa", recovery=0)
    rows = [torch.randn(4, 128, requires_grad=True) for _ in range(3)]
    method.adversarial(*rows).backward()
    before = method.adversarial(*rows).item()
    with torch.no_grad():
        downhill = [row - 0.1 * row.grad for row in rows]
    assert method.adversarial(*downhill).item() > before


@pytest.mark.parametrize(("more", "terms"), [
    ({"recovery": 0, "alignment": 0}, set()),
    ({"recovery": 0}, {"adversarial"}),
    ({"alignment": 0}, {"recovery"}),
    ({}, {"recovery", "adversarial"}),
])  # fmt: skip
def test_the_ablation_is_four_sets_of_terms(more, terms):
    assert set(built("s4aqa", **more).losses(MIXED)) == {"divergence"} | terms


@pytest.mark.parametrize("encoder", ["convolution", "residual"])
@pytest.mark.parametrize("base", ["regression", "usdl:bins=21:sigma=2"])
def test_without_unlabelled_rows_it_is_its_base(base, encoder):
    own = {"base": base, "encoder": encoder, "dropout": 0.2}
    assert_same_without_unlabelled_rows(built("s4aqa", **own), built("s4aqa", **own, recovery=0, alignment=0))


@pytest.mark.parametrize("encoder", ["convolution", "residual"])
def test_recovery_is_learnt_where_segments_tell_of_each_other(encoder):
    train = batch(videos=64, unlabelled=48)
    method = built("s4aqa", recovery=1, alignment=0, encoder=encoder)
    untrained = method.losses(train)["recovery"].item()
    learnt = trained(method, train, epochs=100).losses(train)["recovery"].item()
    blind = math.sqrt(2 * 2 / math.pi)  # mean absolute value of the synthetic features, of variance 1 + 1
    assert learnt < 0.95 * blind < untrained


def test_the_residual_encoder_is_torchs_layers_on_each_video_alone():
    torch.manual_seed(0)
    layers = ResidualEncoder(5, 7, reach=2, dropout=0.0)
    clips = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    features = torch.randn(2, 6, 5)
    encoded = layers(Stream(features, clips)).features
    for row, count in enumerate((6, 4)):
        own = layers.own(features[row, :count]).relu()
        torch.testing.assert_close(encoded[row, :count], own + layers.around(own.T).T.relu())
    assert (encoded[1, 4:] == 0).all()


def test_only_the_residual_encoder_reads_a_neighbour_by_the_weights_that_read_the_segment_itself():
    reads = {}
    for encoder in ("convolution", "residual"):
        method = built("s4aqa", encoder=encoder, alignment=0, dropout=0)
        method.token.requires_grad_(False)  # all that is left for this layer is to read the others
        codes = method.encoder.read(first(MIXED))
        method.unlabelled_losses(MIXED, codes, method.encoder.tell(codes))["recovery"].backward()
        reads[encoder] = method.encoder.own.weight.grad.abs().sum().item()
    assert reads["convolution"] == 0 < reads["residual"]


def test_the_bases_options_may_be_written_inside_one_word():
    words = ("usdl:bins=21:sigma=2", "usdl/bins=21/sigma=2")
    one, other = (built("s4aqa", base=word).base for word in words)
    assert one.sigma == other.sigma == 2
    assert one.head.logits.out_features == other.head.logits.out_features == 21


def test_a_base_that_remembers_or_does_not_exist_is_refused():
    build = discovery.find("methods", "s4aqa").build
    with pytest.raises(OptionError, match="did you mean 'usdl'"):
        build(FEATURES, LABELS, base="usdll")
    with pytest.raises(OptionError, match="bin: not an option"):
        build(FEATURES, LABELS, base="usdl:bin=3")
    with pytest.raises(OptionError, match="memory"):
        build(FEATURES, LABELS, base="core")
    with pytest.raises(OptionError, match="nothing to train"):
        build(FEATURES, LABELS, base="svr")
