"""Caption decoder S2VT: two GRU layers over the clips, two over the words, and greedy or beam search.

Venugopalan et al. 2015 (https://arxiv.org/abs/1505.00487), with GRUs as in Parmar and Morris 2019. Both pairs of layers
run through two phases: the word input is zero while the video is read, and the clip input is zero while words are
generated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from aqakit.types import Stream


class S2VT(nn.Module):
    """Map clips to sentences of vocabulary indices; the indices of end and start follow those of the words.

    Args:
        width: Width D of a clip.
        words: Size of the vocabulary.
        hidden: Units of every layer, and width of the word embeddings.
        dropout: Dropout between the two layers of a pair.
    """

    def __init__(self, width: int, words: int, *, hidden: int = 512, dropout: float = 0.5) -> None:
        super().__init__()
        self.end, self.start = words, words + 1
        self.frames = nn.GRU(width, hidden, 2, batch_first=True, dropout=dropout)
        self.words = nn.GRU(2 * hidden, hidden, 2, batch_first=True, dropout=dropout)
        self.embedding = nn.Embedding(words + 2, hidden)
        self.out = nn.Linear(hidden, words + 2)

    def nll(self, seen: Stream, captions: Tensor) -> Tensor:
        """Return the negative log-likelihood (B,) of captions in nats, summed over their words and the end token.

        Args:
            seen: Features (B, N, D).
            captions: (B, L) words, padded with −1.
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
        """Generate a caption for each of B videos by beam search; one beam is greedy search.

        Args:
            seen: Features (B, N, D).
            longest: Maximum number of words; a sentence of this length needs no end token.
            beams: Number of beams.
        """
        frames, state = self._watch(seen, longest)
        state = state.repeat_interleave(beams, 1)
        said = torch.full((len(frames), beams, 1), self.start, device=frames.device)
        total = frames.new_full((len(frames), beams), -torch.inf)
        total[:, 0] = 0  # all beams start equal, so only one counts
        first = torch.arange(len(frames), device=frames.device)[:, None] * beams
        for step in range(longest):
            chances, state = self._next(said[..., -1], frames[:, step], state)
            total, chosen = (total[..., None] + chances).flatten(1).topk(beams)
            parent, word = chosen // chances.shape[-1], chosen % chances.shape[-1]
            said = torch.cat([said.gather(1, parent[..., None].expand(-1, -1, step + 1)), word[..., None]], 2)
            if bool((word[:, 0] == self.end).all()):  # other beams can only become less likely
                break
            state = state[:, (first + parent).flatten()]
        return tuple(tuple(w for w in best if w != self.end) for best in said[:, 0, 1:].tolist())

    def _watch(self, seen: Stream, steps: int) -> tuple[Tensor, Tensor]:
        """Return frame outputs at each step after the video (B, steps, H), and the word layers' state (2, B, H)."""
        counts = seen.clips.sum(1).clamp(min=1).cpu()
        clips = pack_padded_sequence(seen.features, counts, batch_first=True, enforce_sorted=False)
        during, state = self.frames(clips)
        silent = PackedSequence(F.pad(during.data, (0, self.embedding.embedding_dim)), *during[1:])
        _, words = self.words(silent)
        after, _ = self.frames(seen.features.new_zeros(len(counts), steps, seen.features.shape[2]), state)
        return after, words

    def _next(self, last: Tensor, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities (B, K, words) after the last words (B, K), and the state; ended beams stay."""
        frames = frame[:, None].expand(-1, last.shape[1], -1)
        hidden, state = self.words(torch.cat([frames, self.embedding(last)], 2).flatten(0, 1)[:, None], state)
        logits = self.out(hidden).view(*last.shape, -1)
        logits[..., self.start] = -torch.inf
        chances = logits.log_softmax(-1)
        ended = last == self.end
        chances[ended] = -torch.inf
        chances[..., self.end].masked_fill_(ended, 0.0)
        return chances, state
