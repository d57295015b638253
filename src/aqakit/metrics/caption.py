"""Caption metrics: BLEU, ROUGE-L and CIDEr-D over a whole test set.

All functions take ``true`` and ``said`` (predicted), one sentence for each video, with words separated by spaces:
nothing is tokenised or lower-cased. Definitions and scales are those of the COCO caption evaluation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from sacrebleu.metrics.bleu import BLEU

Grams = Counter[tuple[str, ...]]
Vector = dict[tuple[str, ...], float]

_LONGEST = 4


def bleu(true: Sequence[str], said: Sequence[str], order: int = 4) -> float:
    """BLEU of n-grams up to ``order``, between 0 and 1, by sacrebleu (Papineni et al. 2002).

    Without smoothing: it is 0 if no n-gram of the highest order is correct, whereas the COCO evaluation adds 1e-15 to
    every count and gives up to 2e-4.

    >>> round(bleu(["a forward dive in pike"], ["a forward dive in tuck"], order=1), 6)
    0.8
    """
    metric = BLEU(max_ngram_order=order, tokenize="none", smooth_method="none", force=True)
    return float(metric.corpus_score(list(said), [list(true)]).score) / 100


def rouge_l(true: Sequence[str], said: Sequence[str], beta: float = 1.2) -> float:
    """Mean F-score of the longest common subsequence, between 0 and 1; recall is weighted ``beta`` times (Lin 2004)."""
    return fmean(_rouge_l(t.split(), s.split(), beta) for t, s in zip(true, said, strict=True))


def cider(true: Sequence[str], said: Sequence[str], sigma: float = 6.0) -> float:
    """CIDEr-D, between 0 and 10 (Vedantam et al. 2015): similarity of n-grams, weighted by their rarity.

    The rarity of an n-gram is counted in the true captions, so a single video scores 0.

    Args:
        true: true caption of each video.
        said: predicted caption of each video.
        sigma: width, in words, of the Gaussian penalty on differences in length.
    """
    grams = [_grams(sentence) for sentence in true]
    seen = Counter(gram for counts in grams for gram in counts)
    rarity = {gram: math.log(len(true) / count) for gram, count in seen.items()}
    unseen = math.log(len(true))
    scores = []
    for counts, t, s in zip(grams, true, said, strict=True):
        distance = len(t.split()) - len(s.split())
        pairs = zip(_weighted(counts, rarity, unseen), _weighted(_grams(s), rarity, unseen), strict=True)
        likeness = fmean(_cosine(own, other) for own, other in pairs)
        scores.append(10 * likeness * math.exp(-(distance**2) / (2 * sigma**2)))
    return fmean(scores)


def _rouge_l(true: Sequence[str], said: Sequence[str], beta: float) -> float:
    common = _common(true, said)
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(true)
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    best = [0] * (len(other) + 1)
    for word in one:
        before = best
        best = [0]
        for j, candidate in enumerate(other):
            best.append(before[j] + 1 if candidate == word else max(before[j + 1], best[j]))
    return best[-1]


def _grams(sentence: str) -> Grams:
    """Count the n-grams of up to four words."""
    words = sentence.split()
    return Counter(tuple(words[i : i + n]) for n in range(1, _LONGEST + 1) for i in range(len(words) - n + 1))


def _weighted(counts: Grams, rarity: Vector, unseen: float) -> list[Vector]:
    """Return counts times rarity, separately for each n-gram length."""
    vectors: list[Vector] = [{} for _ in range(_LONGEST)]
    for gram, count in counts.items():
        vectors[len(gram) - 1][gram] = count * rarity.get(gram, unseen)
    return vectors


def _cosine(true: Vector, said: Vector) -> float:
    """Cosine similarity, with the weight of each predicted n-gram clipped to its true weight."""
    norm = math.sqrt(sum(v * v for v in true.values()) * sum(v * v for v in said.values()))
    product = sum(min(value, true.get(gram, 0.0)) * true.get(gram, 0.0) for gram, value in said.items())
    return product / norm if norm else 0.0
