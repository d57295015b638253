"""Metrics of predicted attributes, captions and boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aqakit.metrics import caption
from aqakit.types import Batch, Description, LabelSpec


def evaluate(said: Description, truth: Batch, labels: LabelSpec) -> dict[str, float]:
    """Compute one row of a table: accuracy of each attribute, BLEU, ROUGE-L and CIDEr-D of captions, AIoU.

    Args:
        said: predictions for the videos of ``truth``; missing ones have no entry in the row.
        truth: true labels; unknown ones are ignored.
        labels: label spec with the vocabulary of the captions.
    """
    row = {f"accuracy_{n}": accuracy(truth.attributes[n], p.argmax(1)) for n, p in said.attributes.items()}
    known = (truth.caption >= 0).any(1).tolist() if said.captions else []
    if any(known):
        pairs = [pair for pair, there in zip(zip(truth.caption.tolist(), said.captions), known) if there]
        true, spoken = ([sentence(words, labels.vocabulary) for words in side] for side in zip(*pairs))
        row |= {f"bleu_{order}": caption.bleu(true, spoken, order) for order in (1, 2, 3, 4)}
        row |= {"rouge_l": caption.rouge_l(true, spoken), "cider": caption.cider(true, spoken)}
    cut = ~truth.boundaries.isnan().any(1) if said.boundaries.numel() else torch.zeros(0, dtype=torch.bool)
    if bool(cut.any()):
        overlap = overlaps(truth.boundaries[cut], said.boundaries[cut])
        row |= {f"aiou_{level:g}": (overlap >= level).double().mean().item() for level in (0.5, 0.75)}
    return row


def overlaps(true: Tensor, predicted: Tensor) -> Tensor:
    """Intersection ÷ union of true and predicted steps, boundaries (B, P) each → (B,).

    AIoU@0.5 is the share of the videos where it is at least 0.5. As in the public code of FineDiving, the steps are
    those between two boundaries, which for a dive is the flight; of more than one such step, the mean counts. A single
    boundary has no step between two: there, it is the mean of the steps before and after it.

    >>> overlaps(torch.tensor([[0.2, 0.6]]), torch.tensor([[0.4, 0.8]]))
    tensor([0.3333])
    """
    if true.shape[1] == 1:
        true, predicted = (torch.nn.functional.pad(x, (1, 1)) for x in (true, predicted))
        true[:, -1] = predicted[:, -1] = 1.0
    shared = torch.minimum(true[:, 1:], predicted[:, 1:]) - torch.maximum(true[:, :-1], predicted[:, :-1])
    shared = shared.clamp(min=0)
    union = true.diff() + predicted.diff() - shared
    return (shared / union.clamp(min=1e-9)).mean(1)


def accuracy(true: Tensor, predicted: Tensor) -> float:
    """Share of the known classes that are predicted correctly; NaN if none is known.

    >>> import torch
    >>> accuracy(torch.tensor([0, 2, 1, -1]), torch.tensor([0, 2, 0, 0]))
    0.6666666666666666
    """
    known = true >= 0
    return (true == predicted)[known].double().mean().item()


def sentence(words: Sequence[int], vocabulary: Sequence[str]) -> str:
    """Join the words of a caption with spaces; −1 is skipped.

    >>> sentence([1, 0, -1], ("dive", "forward"))
    'forward dive'
    """
    return " ".join(vocabulary[word] for word in words if word >= 0)
