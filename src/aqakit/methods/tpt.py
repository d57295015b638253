"""TPT: finds parts by learnt queries and compares them.

K queries attend to the clips of a video, each to a span of time of its own, so that part k of one video can be compared
with part k of another without any labels of parts (Bai et al. 2022, section 3). The difference is classified into
CoRe's intervals and regressed within them. Sizes, initialisation and losses follow the paper and its public code. Where
this implementation differs:

- *time*: the code has 20 clips. Centres of attention are measured on a scale from 1 to 20 for any number of clips, so
  that the margin between them and the weight of their spread keep their meaning. The published margin, 3.2, is a little
  more than the 19/6 that centres and ends can all keep: it does not only order the centres, it spreads them evenly;
- *differences outside every interval*, *position loss* and *exemplars*: as in :mod:`aqakit.methods.core`. The gradient
  reaches a fine-tuned backbone through one video of a pair, in both of its roles;
- *answer*: the code takes the most probable interval and averages over the voters; ``answer="votes"`` gives this point.
  The default is the mixture over all intervals of all voters, as for CoRe.

Published settings: ``target=total``, ``match=difficulty`` on MTL-AQA; ``target=score``, ``match=none`` on AQA-7; 10
voters; Adam with learning rate 1e-4 (1e-3 for the two heads), 250 epochs, 20 clips of 8 frames. That ratio,
``trunk_rate``, is kept at any learning rate. With 1e-3 for all layers, five of ten models on the pixels of 900
synthetic dives ended with the same parts for every video, and knew nothing but its difficulty.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.methods.parts.base import mean_loss
from aqakit.methods.parts.centres import centres, order_loss
from aqakit.methods.parts.exemplars import Match, MatchOption, MemoryOption, VotersOption
from aqakit.methods.parts.interval_regression import Answer, AnswerOption, IntervalRegression
from aqakit.methods.parts.regression_tree import place
from aqakit.scores.distributions import Mixture, Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Bai et al., Action Quality Assessment with Temporal Parsing Transformer, ECCV 2022. "
    "https://arxiv.org/abs/2207.09270"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

EARLIER = {"trunk_rate": 1.0}
"""Runs that do not say it had one rate."""

LEAVES = 16


class ParsingLayer(nn.Module):
    """Queries attend to clips, then pass an MLP and, in the first layer, attend to each other.

    The attention divides by the width and by a learnt temperature; the softmax is over time. Keys and values are not
    computed for each clip: q · (W f + b) is (q W) · f + q · b, and a mean of values is the value of the mean. There are
    far more clips than queries.
    """

    def __init__(self, inputs: int, width: int, *, dropout: float, first: bool) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.query = nn.Linear(width, width)
        self.temperature = nn.Parameter(torch.tensor(0.07))
        self.mlp = nn.Sequential(nn.Linear(width, 512), nn.ReLU(), nn.Dropout(dropout), nn.Linear(512, width))
        self.among = nn.MultiheadAttention(width, 8, dropout=dropout, batch_first=True) if first else None
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if first else 2))
        self.drop = nn.Dropout(dropout)

    def forward(self, stream: Stream, parts: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Map clips (B, N, D), parts (B, K, width) and their queries (K, width) to parts and attention (B, K, N)."""
        features = torch.where(stream.clips[..., None], stream.features, 0.0)
        queries = self.query(parts + place)
        agreement = queries @ self.key.weight @ features.mT + (queries @ self.key.bias)[..., None]
        logits = agreement / queries.shape[2] / self.temperature
        attention = logits.masked_fill(~stream.clips[:, None], -torch.inf).softmax(2)
        parts = self.norms[0](parts + self.drop(self.value(attention @ features)))
        parts = self.norms[1](parts + self.drop(self.mlp(parts)))
        if self.among is not None:
            queries = parts + place
            parts = self.norms[2](parts + self.drop(self.among(queries, queries, parts, need_weights=False)[0]))
        return parts, attention


class Parser(nn.Module):
    """Parse videos into K parts with two layers."""

    def __init__(self, inputs: int, *, parts: int, width: int, dropout: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(parts, width))
        self.layers = nn.ModuleList(
            ParsingLayer(inputs, width, dropout=dropout, first=first) for first in (True, False)
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """Map (B, N, D) to parts (B, K, width) and the attention of both layers (B, 2, K, N)."""
        parts, attentions = torch.zeros_like(self.queries)[None], []  # the same for all videos
        for layer in self.layers:
            parts, attention = layer(stream, parts, self.queries)
            attentions.append(attention)
        return parts, torch.stack(attentions, 1)


class TPT(IntervalRegression):
    """Predict a mixture over exemplars and intervals, or the mean vote of the exemplars, for each video."""

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        queries: int,
        width: int,
        dropout: float,
        voters: int,
        match: Match,
        memory: int | None,
        margin: float,
        sparsity: float,
        trunk_rate: float,
        answer: Answer,
    ) -> None:
        super().__init__(features, labels, leaves=LEAVES, voters=voters, match=match, keep="clips", memory=memory)
        self.parser = Parser(features.width, parts=queries, width=width, dropout=dropout)
        self.pair = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width))
        self.leaf, self.position = (
            nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, LEAVES)) for _ in range(2)
        )
        self.margin, self.sparsity, self.answer = margin, sparsity, answer
        self.rates = {"parser": trunk_rate, "pair": trunk_rate}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """For each video and one exemplar, in both orders: −log p of the true interval and the error in it.

        And for the attention of both layers to both videos: order and spread of its centres.
        """
        known = batch.labelled_rows()
        partner = self.partners(known, self.pool(known.features, known.clips))
        streams = Stream(known.features, known.clips), self.clips_of(partner)
        (video, own), (exemplar, other) = (self.parser(stream) for stream in streams)
        log_probability, position = self._compare(torch.cat([exemplar, video]), torch.cat([video, exemplar]))
        difference = known.score - self.scores[partner]
        leaf, wanted = (value[:, None] for value in place(torch.cat([difference, -difference]), self.edges))
        found = [centres(a, s.clips) for a, s in zip((own, other), streams, strict=True)]
        centre, spread = (torch.cat(value) for value in zip(*found, strict=True))  # (2 B, 2, K)
        return {
            "leaf": mean_loss(-log_probability.gather(1, leaf).squeeze(1)),
            "position": mean_loss((position.gather(1, leaf) - wanted).square().squeeze(1)),
            "order": mean_loss(order_loss(centre, self.margin).sum(1)),
            "sparsity": self.sparsity * mean_loss(spread.mean(2).sum(1)),
        }

    def predict(self, batch: Batch) -> Mixture | Point:
        """Return B mixtures of normals, or B points."""
        chosen = self.voters_of(batch, self.pool(batch.features, batch.clips))
        video = self.parser(Stream(batch.features, batch.clips))[0]
        exemplars = self.of_voters(chosen, lambda stream: self.parser(stream)[0])
        found = self._compare(exemplars, video.repeat_interleave(chosen.shape[1], 0))
        log_probability, position = (value.unflatten(0, chosen.shape) for value in found)
        return self.answer_of(log_probability, position, self.scores[chosen], self.answer)

    def _compare(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities (P, L) and positions (P, L) of how much better the second of two videos is."""
        pair = self.pair(torch.cat([first, second], -1)).mean(1)
        return self.leaf(pair).log_softmax(1), self.position(pair).sigmoid()


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    queries: Annotated[int, Field(gt=0, description="learnt queries, each of which finds one part of a video")] = 5,
    width: Annotated[int, Field(gt=0, multiple_of=8, description="channels of a part")] = 512,
    dropout: Annotated[float, Field(ge=0, lt=1, description="dropout probability of hidden units")] = 0.1,
    voters: VotersOption = 10,
    match: MatchOption = "difficulty",
    memory: MemoryOption = None,
    margin: Annotated[
        float, Field(ge=0, description="distance between the centres of two parts, in a video of 20 clips")
    ] = 3.2,
    sparsity: Annotated[float, Field(ge=0, description="weight of the spread of a part over time")] = 0.05,
    trunk_rate: Annotated[
        float, Field(gt=0, description="learning rate of all but the two heads, as a share of the run's")
    ] = 0.1,
    answer: AnswerOption = "distribution",
) -> TPT:
    """Build TPT for these features and labels."""
    return TPT(
        features,
        labels,
        queries=queries,
        width=width,
        dropout=dropout,
        voters=voters,
        match=match,
        memory=memory,
        margin=margin,
        sparsity=sparsity,
        trunk_rate=trunk_rate,
        answer=answer,
    )
