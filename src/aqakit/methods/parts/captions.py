"""Captions by S2VT: one pair of GRU layers over the clips, one over the words, and the search for a sentence.

Venugopalan et al. 2015 (https://arxiv.org/abs/1505.00487), with GRUs as Parmar and Morris 2019 use it. Both pairs run
through two phases: while the video is seen no word is said, while words are said only zeros are seen.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from aqakit.types import Stream


class S2VT(nn.Module):
    """From clips to sentences; a word is its index in the vocabulary, and start and end are added behind the words.

    Args:
        width: D of a clip.
        words: size of the vocabulary.
        hidden: units of every layer, and the width of a word's vector.
        dropout: between the two layers of a pair.
    """

    def __init__(self, width: int, words: int, *, hidden: int = 512, dropout: float = 0.5) -> None:
        super().__init__()
        self.end, self.start = words, words + 1
        self.frames = nn.GRU(width, hidden, 2, batch_first=True, dropout=dropout)
        self.words = nn.GRU(2 * hidden, hidden, 2, batch_first=True, dropout=dropout)
        self.embedding = nn.Embedding(words + 2, hidden)
        self.out = nn.Linear(hidden, words + 2)

    def nll(self, seen: Stream, captions: Tensor) -> Tensor:
        """(B,) nats: the negative log-likelihood of captions, summed over their words and the end.

        Args:
            seen: features (B, N, D).
            captions: (B, L) words, −1 behind the last one.
        """
        if not len(captions):
            return self.out.bias.new_zeros(0)
        tokens = F.pad(captions, (1, 1), value=-1)
        tokens[:, 0] = self.start
        tokens.scatter_(1, (captions >= 0).sum(1, keepdim=True) + 1, self.end)
        frames, state = self._watch(seen, tokens.shape[1] - 1)
        spoken = self.embedding(tokens[:, :-1].clamp(min=0))
        hidden, _ = self.words(torch.cat([frames, spoken], 2), state)
        logits = self.out(hidden).transpose(1, 2)  # (B, words, L + 1)
        return F.cross_entropy(logits, tokens[:, 1:], ignore_index=-1, reduction="none").sum(1)

    @torch.no_grad()
    def say(self, seen: Stream, *, longest: int, beams: int = 1) -> tuple[tuple[int, ...], ...]:
        """The most likely sentence that a beam search finds for each of B videos; greedy search is that of one beam.

        Args:
            seen: features (B, N, D).
            longest: most words of a sentence; one of that many needs no end.
            beams: unfinished sentences that are kept at every word.
        """
        frames, state = self._watch(seen, longest)
        state = state.repeat_interleave(beams, 1)
        said = torch.full((len(frames), beams, 1), self.start, device=frames.device)
        total = frames.new_full((len(frames), beams), -torch.inf)
        total[:, 0] = 0  # all beams begin alike: one of them counts
        first = torch.arange(len(frames), device=frames.device)[:, None] * beams
        for step in range(longest):
            chances, state = self._next(said[..., -1], frames[:, step], state)
            total, chosen = (total[..., None] + chances).flatten(1).topk(beams)
            parent, word = chosen // chances.shape[-1], chosen % chances.shape[-1]
            said = torch.cat([said.gather(1, parent[..., None].expand(-1, -1, step + 1)), word[..., None]], 2)
            if bool((word[:, 0] == self.end).all()):  # the rest can only become less likely
                break
            state = state[:, (first + parent).flatten()]
        return tuple(tuple(w for w in best if w != self.end) for best in said[:, 0, 1:].tolist())

    def _watch(self, seen: Stream, steps: int) -> tuple[Tensor, Tensor]:
        """What the frame layers give at each step after the video (B, steps, H); the word layers' state (2, B, H)."""
        counts = seen.clips.sum(1).clamp(min=1).cpu()
        clips = pack_padded_sequence(seen.features, counts, batch_first=True, enforce_sorted=False)
        during, state = self.frames(clips)
        silent = PackedSequence(F.pad(during.data, (0, self.embedding.embedding_dim)), *during[1:])
        _, words = self.words(silent)
        after, _ = self.frames(seen.features.new_zeros(len(counts), steps, seen.features.shape[2]), state)
        return after, words

    def _next(self, last: Tensor, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, K, words) after the last words (B, K), and the state; what has ended stays as it is."""
        frames = frame[:, None].expand(-1, last.shape[1], -1)
        hidden, state = self.words(torch.cat([frames, self.embedding(last)], 2).flatten(0, 1)[:, None], state)
        logits = self.out(hidden).view(*last.shape, -1)
        logits[..., self.start] = -torch.inf
        chances = logits.log_softmax(-1)
        ended = last == self.end
        chances[ended] = -torch.inf
        chances[..., self.end].masked_fill_(ended, 0.0)
        return chances, state
