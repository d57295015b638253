"""Learning from unlabelled videos beside a base method: what the schemes share.

A scheme holds a base, which learns from the labelled rows as it would alone and gives all answers; the scheme adds
named terms of the unlabelled rows. Where a batch has none, the scheme is its base, to the bit. A base that learns from
more than one vector per clip is welcome wherever the scheme itself does not encode the clips.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import Binned, Point, ScoreDistribution
from aqakit.system import configuration
from aqakit.types import Batch, Description, FeatureSpec, LabelSpec, ScoreScale, Stream

BaseOption = Annotated[str, Field(description="the method that scores, with its options, as dae or usdl/bins=51")]
WidthOption = Annotated[int, Field(gt=0, description="channels of an encoded clip")]
ReachOption = Annotated[int, Field(gt=0, description="clips on either side that an encoded clip is told of")]
EncoderOption = Annotated[
    Literal["convolution", "residual"],
    Field(description="clips told of those beside them as they are read, or once each is encoded by itself"),
]
RampOption = Annotated[int, Field(ge=0, description="epochs over which the unlabelled videos gain their weight")]

_STILL = (nn.Dropout, nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def build_base(owner: str, base: str, features: FeatureSpec, labels: LabelSpec) -> Method:
    """The method that a scheme wraps.

    Raises:
        OptionError: no such method or option, or a method that is not trained by gradients.
    """
    # within one word that names the scheme too, as s4aqa:base=usdl/bins=51, the colon is taken
    name, given = discovery.parse_spec(re.sub(r"/(?=[A-Za-z_]\w*=)", ":", base))
    module = discovery.find("methods", name)
    built: Method = module.build(features, labels, **configuration.configure(f"method {name}", module.build, given))
    if not any(p.requires_grad for p in built.parameters()):
        raise OptionError(f"{owner}: the base {name} has nothing to train by gradients; choose another")
    return built


class Wrapped(Method):
    """A method around a base, which gives all answers.

    Args:
        base: learns from the labelled rows, and answers.
    """

    def __init__(self, base: Method) -> None:
        super().__init__()
        self.base = base
        self.remembers_unlabelled, self.needs_pixels = base.remembers_unlabelled, base.needs_pixels

    def pixel_losses(self, pixels: Batch, embed: Callable[[Batch], Batch]) -> dict[str, Tensor]:
        """Those of the base."""
        return self.base.pixel_losses(pixels, lambda changed: self.seen(embed(changed)))

    def predict(self, batch: Batch) -> ScoreDistribution:
        """The base's answer."""
        return self.base.predict(self.seen(batch))

    def describe(self, batch: Batch) -> Description:
        """What the base says."""
        return self.base.describe(self.seen(batch))

    def remember(self, train: Batch) -> None:
        """The base's memory."""
        self.base.remember(self.seen(train))

    def seen(self, batch: Batch) -> Batch:
        """What the base is shown; the batch itself unless a scheme encodes it."""
        return batch


class SemiSupervised(Wrapped):
    """A base that reads the features, and terms of unlabelled rows."""

    @abstractmethod
    def unlabelled_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms of a batch with at least one unlabelled row."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The base's terms, and those of the unlabelled rows where there are any."""
        self.base.epoch = self.epoch
        terms = self.base.losses(batch)
        return terms if bool(batch.labelled.all()) else {**terms, **self.unlabelled_losses(batch)}


class Encoder(nn.Module):
    """Clips in order → as many encoded clips: each from itself and, by a convolution, from those beside it.

    It works in two stages, of which the first, the dearer one for wide features, knows each clip alone: a video of
    which clips are taken away or come in another order needs to go through the second one only.

    Args:
        inputs: channels of a clip.
        width: channels of an encoded clip.
        reach: clips on either side that one is told of.
        dropout: share of the clips' channels dropped in training.
    """

    def __init__(self, inputs: int, width: int, *, reach: int, dropout: float) -> None:
        super().__init__()
        self.width, self.reach = width, reach
        self.own = nn.Linear(inputs, width)
        self.around = nn.Conv1d(inputs, width, 2 * reach + 1, padding=reach, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, stream: Stream) -> Stream:
        """(B, N, D) → (B, N, width), zero where padded."""
        return self.tell(self.read(stream))

    def read(self, stream: Stream) -> Stream:
        """(B, N, D) → (B, N, code) what each clip says to itself and to those beside it."""
        # one product for the linear layer and all taps takes a processor less time than two, or than a convolution
        own = F.pad(self.own.weight[None], (0, 0, 0, 0, self.reach, self.reach))
        taps = own + self.around.weight.permute(2, 0, 1)  # (taps, width, D)
        return Stream(F.linear(self._dropped(stream), taps.flatten(0, 1)), stream.clips)

    def tell(self, codes: Stream) -> Stream:
        """(B, N, code) → (B, N, width), zero where padded."""
        mask = codes.clips[..., None]
        told = self._told(codes.features * mask)
        return Stream(torch.relu(told + self.own.bias) * mask, codes.clips)

    def _told(self, said: Tensor) -> Tensor:
        """(B, N, taps × width) what each clip says to those beside it → (B, N, width) what each is told."""
        clips, heard = said.shape[1], said.unflatten(2, (-1, self.width))
        padded = F.pad(heard, (0, 0, 0, 0, self.reach, self.reach))  # (B, N + 2 reach, taps, width)
        return torch.stack([padded[:, k : k + clips, k] for k in range(heard.shape[2])]).sum(0)

    def _dropped(self, stream: Stream) -> Tensor:
        dropped: Tensor = self.drop(stream.features.masked_fill(~stream.clips[..., None], 0.0))
        return dropped


class ResidualEncoder(Encoder):
    """Clips encoded one by one, to which a convolution over these codes adds what it makes of those beside them.

    The same weights read a clip and its neighbours, so that what neighbours must tell of it is kept in its own code.
    Arguments are those of :class:`Encoder`.
    """

    def __init__(self, inputs: int, width: int, *, reach: int, dropout: float) -> None:
        super().__init__(inputs, width, reach=reach, dropout=dropout)
        self.around = nn.Conv1d(width, width, 2 * reach + 1, padding=reach)

    def read(self, stream: Stream) -> Stream:
        """(B, N, D) → (B, N, width) each clip's own code."""
        return Stream(torch.relu(self.own(self._dropped(stream))), stream.clips)

    def tell(self, codes: Stream) -> Stream:
        """(B, N, width) → (B, N, width), zero where padded."""
        mask = codes.clips[..., None]
        own = codes.features * mask
        taps = self.around.weight.permute(2, 0, 1)  # (taps, width, width)
        told = self._told(F.linear(own, taps.flatten(0, 1))) + cast(Tensor, self.around.bias)
        return Stream((own + torch.relu(told)) * mask, codes.clips)


_ENCODERS: dict[str, type[Encoder]] = {"convolution": Encoder, "residual": ResidualEncoder}


def build_encoded(
    owner: str, base: str, labels: LabelSpec, encoder: str, *, inputs: int, width: int, reach: int, dropout: float
) -> tuple[Encoder, Method]:
    """An encoder and the method that reads its output, as :class:`Encoded` takes them.

    Raises:
        OptionError: as :func:`build_base`.
    """
    shared = _ENCODERS[encoder](inputs, width, reach=reach, dropout=dropout)
    return shared, build_base(owner, base, FeatureSpec({"encoded": (width,)}), labels)


class Encoded(Wrapped):
    """A scheme that shapes the representation: the base reads encoded clips, labelled or not.

    Args:
        encoder: of the first stream, shared by all rows.
        base: built for the encoder's width.
    """

    def __init__(self, encoder: Encoder, base: Method) -> None:
        super().__init__(base)
        self.encoder = encoder
        if type(base).remember is not Method.remember:
            raise OptionError("an encoder moves what its base would remember; choose a base without a memory")

    @abstractmethod
    def unlabelled_losses(self, batch: Batch, codes: Stream, encoded: Stream) -> dict[str, Tensor]:
        """Named scalar terms of a batch with at least one unlabelled row, from the encoder's two stages."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The base's terms, and those of the unlabelled rows where there are any."""
        self.base.epoch = self.epoch
        codes = self.encoder.read(first(batch))
        encoded = self.encoder.tell(codes)
        terms = self.base.losses(_shown(batch, encoded))
        if bool(batch.labelled.all()):
            return terms
        return {**terms, **self.unlabelled_losses(batch, codes, encoded)}

    def seen(self, batch: Batch) -> Batch:
        """The batch with encoded clips as its only stream."""
        return _shown(batch, self.encoder(first(batch)))


def _shown(batch: Batch, encoded: Stream) -> Batch:
    return batch.replace(streams={"encoded": encoded})


def first(batch: Batch) -> Stream:
    """The first stream."""
    return next(iter(batch.streams.values()))


def with_first(batch: Batch, features: Tensor) -> Batch:
    """The batch with other features in its first stream."""
    name, stream = next(iter(batch.streams.items()))
    return batch.replace(streams={**batch.streams, name: Stream(features, stream.clips)})


def mask_of(stream: Stream) -> Tensor:
    """(B, N, 1, …) bool: False where padded, with as many axes as the features."""
    return stream.clips.reshape(*stream.clips.shape, *[1] * (stream.features.ndim - 2))


def noisy(batch: Batch, noise: float) -> Batch:
    """A batch whose first stream has normal noise, of that share of each video's root mean square."""
    stream = first(batch)
    mask = mask_of(stream)
    features = torch.where(mask, stream.features, 0.0)
    entries = stream.clips.sum(1).clamp(min=1) * features[0, 0].numel()
    size = features.flatten(1).norm(dim=1) / entries.sqrt()  # (B,)
    spread = noise * size.reshape(-1, *[1] * (mask.ndim - 1)) * mask
    return with_first(batch, features.addcmul(spread, torch.randn_like(features)))


def divergence(known: ScoreDistribution, other: ScoreDistribution, scale: ScoreScale) -> Tensor:
    """(B,) how far an answer is from a known one; its gradient goes to both.

    Kullback–Leibler divergence, exact for bins and normals and of the normals with their means and spreads for other
    distributions; of points, which are no densities, the squared distance in quarters of the scale.
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
    """Without dropout, and with batch norm's kept statistics, so that two passes differ by their inputs alone."""
    moving = [m for m in module.modules() if isinstance(m, _STILL) and m.training]
    for one in moving:
        one.eval()
    try:
        yield
    finally:
        for one in moving:
            one.train()


def ramp(epoch: int, epochs: int) -> float:
    """Weight between e⁻⁵ and 1 that the terms of unlabelled rows have in an epoch (Laine and Aila 2017).

    >>> ramp(10, 10), ramp(0, 0)
    (1.0, 1.0)
    """
    return math.exp(-5 * (1 - min(1.0, epoch / epochs)) ** 2) if epochs else 1.0


def freeze(module: nn.Module) -> None:
    """Its weights are copied, not trained."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
