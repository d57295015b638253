"""S4AQA: masked segment recovery and adversarial alignment.

A masked segment of every unlabelled video is recovered, and all representations are aligned.

The base reads the output of a temporal encoder that labelled and unlabelled videos share. In every unlabelled video,
one random segment is masked, encoded with the others and recovered by a two-layer decoder (mean absolute error). A
discriminator behind a gradient-reversal layer separates labelled and unlabelled videos (complete or masked), which
makes their representations alike. L = L_reg + λ₁ L_recovery + λ₂ L_adversarial.

The paper's ablation: AA is ``recovery=0 alignment=0``, the base on the encoder alone; AA+MSFR is ``alignment=0``;
AA+RDA is ``recovery=0``.

No code was published. The paper leaves open:

- the *encoder*: ``residual`` encodes each segment separately before a convolution over these codes, with ``reach``
  segments on either side; ``convolution`` sums a linear layer and a convolution over the segments, so that
  recovery trains only the weights that read the neighbours;
- the *input of the decoder*: here the encoding at the position of the masked segment; a decoder of the whole video
  could not know this position;
- the *mask token*: ``learned``, or the mean of the features (``zero`` if they are standardised);
- the *normalisation* of the adversarial terms: the printed min–max objective averages labelled and unlabelled rows
  separately and halves the two unlabelled terms; the printed loss sums over all rows. Here it is the former, which does
  not depend on the share of labelled rows in the batch;
- λ₁ and λ₂, which are relative to the base's loss in its own units: a divergence or likelihood for ``usdl`` and
  ``dae``, squared score units for ``regression``, which needs larger weights: 30 and 3 on the 24 points of JIGSAWS;
- the *dropout* of the masked video: that of the complete video except at the masked segment, so that the video is
  encoded only once.

Dropout and the weights for ``regression`` were compared on JIGSAWS kinematics with a dozen labels, by the rank
correlation on held-out training samples; the rest on 2,000 synthetic dives with other seeds than the default and 10 %
labels. On joints with noise 0.3, recovery (λ₁ = 10) raised the rank correlation on the unlabelled training dives from
0.66 to 0.80 with ``residual``, and from 0.63 to 0.66 with ``convolution``. On test dives, the rank correlation rose
from 0.48 to 0.51 with pixel features and from 0.78 to 0.81 with joints found in the pixels; with λ₁ = 1 it was 0.48 and
0.80. Part of the gain is regularisation: AA with dropout 0.5, trained three times as long, reaches 0.77 on the noisy
joints, and 0.51 on pixels with dropout 0.7. Recovery also removes noise: with noise 0.15 the gain is 0.02 to 0.03, and
less with longer training.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.methods.parts.base import DropoutOption, Method
from aqakit.methods.parts.encoder import Encoder
from aqakit.methods.parts.pooling import build as build_pooling
from aqakit.methods.parts.semi_supervised import (
    BaseOption,
    Encoded,
    EncoderOption,
    ReachOption,
    WidthOption,
    build_encoded,
    first,
)
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Zhang et al., Semi-Supervised Action Quality Assessment with Self-Supervised Segment Feature Recovery, "
    "IEEE TCSVT 2022. https://doi.org/10.1109/TCSVT.2022.3143549"
)
FEATURES = FeatureSpec({"i3d": (1024,)})
ABLATION: dict[str, dict[str, Any]] = {
    "AA": {"recovery": 0, "alignment": 0},
    "AA+RDA": {"recovery": 0},
    "AA+MSFR": {"alignment": 0},
    "AA+MSFR+RDA": {},
}
GRID: dict[str, tuple[float, ...]] = {"recovery": (0, 0.3, 1, 3), "alignment": (0, 0.3, 1, 3)}


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return -gradient


def reverse_gradient(x: Tensor) -> Tensor:
    """Return ``x`` unchanged; reverse its gradient in the backward pass (Ganin and Lempitsky 2015)."""
    reversed_: Tensor = _Reversal.apply(x)  # type: ignore[no-untyped-call]
    return reversed_


class S4AQA(Encoded):
    """A base on an encoder that is also trained on unlabelled videos.

    Args:
        encoder: Encoder shared by labelled and unlabelled rows.
        base: Method that reads the encoder's output.
        inputs: Channels of a segment.
        recovery: λ₁.
        alignment: λ₂.
        mask: What replaces a masked segment.
    """

    token: Tensor

    def __init__(
        self,
        encoder: Encoder,
        base: Method,
        *,
        inputs: int,
        recovery: float,
        alignment: float,
        mask: Literal["learned", "zero"],
    ) -> None:
        super().__init__(encoder, base)
        self.recovery, self.alignment = recovery, alignment
        self.pool = build_pooling("average", encoder.width)
        width = encoder.width
        if mask == "learned" and recovery + alignment > 0:
            self.token = nn.Parameter(torch.zeros(inputs))
        else:
            self.register_buffer("token", torch.zeros(inputs))
        if recovery:
            self.decoder = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, inputs))
        if alignment:
            self.discriminator = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def unlabelled_losses(self, batch: Batch, codes: Stream, encoded: Stream) -> dict[str, Tensor]:
        """Return λ₁ × the recovery error and λ₂ × the discriminator's loss, whose gradient is reversed."""
        if not self.recovery and not self.alignment:
            return {}
        free = ~batch.labelled
        whole = first(batch).select(free)
        place = _places(whole.clips)
        hidden = self.encoder.tell(self._hide(codes.select(free), place))
        terms = {}
        if self.recovery:
            terms["recovery"] = self.recovery * self._recovery(hidden, whole, place)
        if self.alignment:
            found = self.represent(encoded)
            loss = self.adversarial(found[~free], found[free], self.represent(hidden))
            terms["adversarial"] = self.alignment * loss
        return terms

    def represent(self, encoded: Stream) -> Tensor:
        """Return the mean of the encoded segments, (B, width)."""
        found: Tensor = self.pool(encoded.features, encoded.clips)
        return found

    def representations(self, batch: Batch) -> dict[str, Tensor]:
        """Return the mean encoded segments of every video: ``whole``, and ``masked`` with one random segment hidden."""
        codes = self.encoder.read(first(batch))
        views = {"whole": codes, "masked": self._hide(codes, _places(codes.clips))}
        return {name: self.represent(self.encoder.tell(view)) for name, view in views.items()}

    def adversarial(self, labelled: Tensor, unlabelled: Tensor, hidden: Tensor) -> Tensor:
        """Cross-entropy of the discriminator, averaged over each kind of row.

        Each argument has shape (b, width), with any b.
        """
        kinds = ((labelled, 1.0, 1.0), (unlabelled, 0.0, 0.5), (hidden, 0.0, 0.5))
        truth = torch.cat([rows.new_full((len(rows),), known) for rows, known, _ in kinds])
        weight = torch.cat([rows.new_full((len(rows),), share / max(1, len(rows))) for rows, _, share in kinds])
        answer = self.discriminator(reverse_gradient(torch.cat([rows for rows, *_ in kinds]))).squeeze(1)
        return F.binary_cross_entropy_with_logits(answer, truth, weight, reduction="sum")

    def _hide(self, codes: Stream, place: Tensor) -> Stream:
        """Replace the code at ``place`` (B,) of each row by that of the mask token.

        The dropout of the other codes stays that of the complete video.
        """
        tokens = Stream(self.token.expand(len(place), 1, -1), codes.clips.new_ones(len(place), 1))
        at = F.one_hot(place, codes.clips.shape[1]).bool()[..., None]  # (B, N, 1)
        return Stream(torch.where(at, self.encoder.read(tokens).features, codes.features), codes.clips)

    def _recovery(self, encoded: Stream, whole: Stream, place: Tensor) -> Tensor:
        """Return the mean absolute error of the masked segments; videos of one segment are ignored."""
        rows = torch.arange(len(place), device=place.device)
        error = (self.decoder(encoded.features[rows, place]) - whole.features[rows, place].detach()).abs().mean(1)
        several = whole.clips.sum(1) > 1
        return (error * several).sum() / several.sum().clamp(min=1)


def _places(clips: Tensor) -> Tensor:
    """Pick a random segment of each video: (B, N) → (B,)."""
    return torch.multinomial(clips.float(), 1).squeeze(1)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    base: BaseOption = "usdl",
    recovery: Annotated[float, Field(ge=0, description="λ₁, weight of the recovery loss; 0 disables it")] = 10.0,
    alignment: Annotated[float, Field(ge=0, description="λ₂, weight of the alignment loss; 0 disables it")] = 0.1,
    encoder: EncoderOption = "residual",
    width: WidthOption = 128,
    reach: ReachOption = 1,
    mask: Annotated[
        Literal["learned", "zero"], Field(description="what replaces a masked segment: a learned vector, or zeros")
    ] = "learned",
    dropout: DropoutOption = 0.5,
) -> S4AQA:
    """Build S4AQA for these features and labels.

    Raises:
        OptionError: If the base does not exist, or keeps a memory of the training videos.
    """
    shared, scorer = build_encoded(
        "s4aqa", base, labels, encoder, inputs=features.width, width=width, reach=reach, dropout=dropout
    )
    return S4AQA(shared, scorer, inputs=features.width, recovery=recovery, alignment=alignment, mask=mask)
