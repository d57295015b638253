"""Metrics of predicted attributes and captions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from aqakit.metrics import caption
from aqakit.types import Batch, Description, LabelSpec


def evaluate(said: Description, truth: Batch, labels: LabelSpec) -> dict[str, float]:
    """Compute one row of a table: the accuracy of each attribute, and BLEU, ROUGE-L and CIDEr-D of the captions.

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
    return row


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
