"""Semi-supervised learning around a base method: shared by all schemes.

A scheme wraps a base, which is trained on the labelled rows as it would be alone and makes all predictions. The scheme
adds named losses of the unlabelled rows. If a batch has none, the losses are bit-identical to those of the base. A base
may read more than one vector per clip unless the scheme itself encodes the clips.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method
from aqakit.methods.parts.encoder import ENCODERS, Encoder
from aqakit.scores.distributions import Binned, Point, ScoreDistribution
from aqakit.system import configuration
from aqakit.types import Batch, Description, FeatureSpec, LabelSpec, ScoreScale, Stream

BaseOption = Annotated[
    str, Field(description="base method that predicts the score, with its options, as dae or usdl/bins=51")
]
WidthOption = Annotated[int, Field(gt=0, description="channels of an encoded clip")]
ReachOption = Annotated[
    int, Field(gt=0, description="neighbouring clips on either side that an encoded clip depends on")
]
EncoderOption = Annotated[
    Literal["convolution", "residual"],
    Field(description="combine neighbouring clips directly, or after encoding each clip separately"),
]
RampOption = Annotated[int, Field(ge=0, description="epochs over which the weight of the unlabelled videos ramps up")]

_STILL = (nn.Dropout, nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def build_base(
    owner: str, base: str, features: FeatureSpec, labels: LabelSpec, defaults: Mapping[str, Any] | None = None
) -> Method:
    """Build the method that a scheme wraps, with other ``defaults`` for those of its options that it has.

    Raises:
        OptionError: If the method or option does not exist, or the method is not trained by gradients.
    """
    # in a spec that also names the scheme, such as s4aqa:base=usdl/bins=51, the colon is already used
    name, given = discovery.parse_spec(re.sub(r"/(?=[A-Za-z_]\w*=)", ":", base))
    module = discovery.find("methods", name)
    known = {option.name for option in configuration.options(module.build)}
    given = {**{n: v for n, v in (defaults or {}).items() if n in known}, **given}
    built: Method = module.build(features, labels, **configuration.configure(f"method {name}", module.build, given))
    if not any(p.requires_grad for p in built.parameters()):
        raise OptionError(f"{owner}: the base {name} has nothing to train by gradients; choose another base")
    return built


class Wrapped(Method):
    """A method around a base, which makes all predictions.

    Args:
        base: Method trained on the labelled rows.
    """

    def __init__(self, base: Method) -> None:
        super().__init__()
        self.base = base
        self.remembers_unlabelled, self.needs_pixels = base.remembers_unlabelled, base.needs_pixels
        self.needs_clips = base.needs_clips

    def pixel_losses(self, pixels: Batch, embed: Callable[[Batch], Batch]) -> dict[str, Tensor]:
        """Return the pixel losses of the base."""
        return self.base.pixel_losses(pixels, lambda changed: self.seen(embed(changed)))

    def pair_losses(self, pairs: Batch, weight: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Return the losses of the base for pairs."""
        return self.base.pair_losses(self.seen(pairs), weight, noise)

    def predict(self, batch: Batch) -> ScoreDistribution:
        """Return the base's prediction."""
        return self.base.predict(self.seen(batch))

    def describe(self, batch: Batch) -> Description:
        """Return the base's description."""
        return self.base.describe(self.seen(batch))

    def remember(self, train: Batch) -> None:
        """Pass the training set to the base."""
        self.base.remember(self.seen(train))

    def seen(self, batch: Batch) -> Batch:
        """Return the input of the base: the batch itself unless a scheme encodes it."""
        return batch


class SemiSupervised(Wrapped):
    """A base that reads the features, plus losses of unlabelled rows."""

    @abstractmethod
    def unlabelled_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return named scalar losses of a batch with at least one unlabelled row."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of the base, and of the unlabelled rows if there are any."""
        self.base.epoch = self.epoch
        terms = self.base.losses(batch)
        return terms if bool(batch.labelled.all()) else {**terms, **self.unlabelled_losses(batch)}


def build_encoded(
    owner: str, base: str, labels: LabelSpec, encoder: str, *, inputs: int, width: int, reach: int, dropout: float
) -> tuple[Encoder, Method]:
    """Build an encoder and the base that reads its output, the arguments of :class:`Encoded`.

    Raises:
        OptionError: As in :func:`build_base`.
    """
    shared = ENCODERS[encoder](inputs, width, reach=reach, dropout=dropout)
    # the encoder has a dropout of its own
    return shared, build_base(owner, base, FeatureSpec({"encoded": (width,)}), labels, {"dropout": 0.0})


class Encoded(Wrapped):
    """A scheme that shapes the representation: the base reads encoded clips, labelled or not.

    Args:
        encoder: Encoder of the first stream, shared by all rows.
        base: Method built for the encoder's width.
    """

    def __init__(self, encoder: Encoder, base: Method) -> None:
        super().__init__(base)
        self.encoder = encoder
        if type(base).remember is not Method.remember:
            raise OptionError(
                "the encoder changes in training, so its base cannot keep a memory; choose a base without a memory"
            )

    @abstractmethod
    def unlabelled_losses(self, batch: Batch, codes: Stream, encoded: Stream) -> dict[str, Tensor]:
        """Return named scalar losses of a batch with at least one unlabelled row.

        ``codes`` and ``encoded`` are the outputs of the encoder's two stages.
        """

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of the base, and of the unlabelled rows if there are any."""
        self.base.epoch = self.epoch
        codes = self.encoder.read(first(batch))
        encoded = self.encoder.tell(codes)
        terms = self.base.losses(_shown(batch, encoded))
        if bool(batch.labelled.all()):
            return terms
        return {**terms, **self.unlabelled_losses(batch, codes, encoded)}

    def seen(self, batch: Batch) -> Batch:
        """Return the batch with the encoded clips as its only stream."""
        return _shown(batch, self.encoder(first(batch)))


def _shown(batch: Batch, encoded: Stream) -> Batch:
    return batch.replace(streams={"encoded": encoded})


def first(batch: Batch) -> Stream:
    """Return the first stream."""
    return next(iter(batch.streams.values()))


def with_first(batch: Batch, features: Tensor) -> Batch:
    """Return the batch with other features in its first stream."""
    name, stream = next(iter(batch.streams.items()))
    return batch.replace(streams={**batch.streams, name: Stream(features, stream.clips)})


def mask_of(stream: Stream) -> Tensor:
    """Return a mask (B, N, 1, …), False where padded, with as many axes as the features."""
    return stream.clips.reshape(*stream.clips.shape, *[1] * (stream.features.ndim - 2))


def noisy(batch: Batch, noise: float) -> Batch:
    """Add normal noise to the first stream, scaled by ``noise`` × each video's root mean square."""
    stream = first(batch)
    mask = mask_of(stream)
    features = torch.where(mask, stream.features, 0.0)
    entries = stream.clips.sum(1).clamp(min=1) * features[0, 0].numel()
    size = features.flatten(1).norm(dim=1) / entries.sqrt()  # (B,)
    spread = noise * size.reshape(-1, *[1] * (mask.ndim - 1)) * mask
    return with_first(batch, features.addcmul(spread, torch.randn_like(features)))


def divergence(known: ScoreDistribution, other: ScoreDistribution, scale: ScoreScale) -> Tensor:
    """Return how far a prediction is from a known one, (B,); the gradient flows to both.

    Kullback–Leibler divergence: exact for histograms and normals; other distributions are approximated by normals with
    their means and standard deviations. For points, which have no density: squared distance in quarters of the scale.
    """
    if isinstance(known, Point):
        return ((known.mean - other.mean) / (scale.span / 4)).square()
    if isinstance(known, Binned) and isinstance(other, Binned):
        return (known.probabilities * (known.log_probabilities - other.log_probabilities)).sum(-1)
    ratio = known.std / other.std
    apart = (known.mean - other.mean) / other.std
    return (ratio.square() + apart.square() - 1) / 2 - ratio.log()


@contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Disable dropout and use batch norm's running statistics, so that two passes differ only by their inputs."""
    moving = [m for m in module.modules() if isinstance(m, _STILL) and m.training]
    for one in moving:
        one.eval()
    try:
        yield
    finally:
        for one in moving:
            one.train()


def ramp(epoch: int, epochs: int) -> float:
    """Return the weight of unlabelled losses in an epoch, rising from e⁻⁵ to 1 (Laine and Aila 2017).

    >>> ramp(10, 10), ramp(0, 0)
    (1.0, 1.0)
    """
    return math.exp(-5 * (1 - min(1.0, epoch / epochs)) ** 2) if epochs else 1.0


def freeze(module: nn.Module) -> None:
    """Disable gradients of all parameters."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
