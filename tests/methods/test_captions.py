"""The caption decoder against its published size, itself written out word by word, and all sentences there are."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from aqakit.methods.parts.captions import S2VT
from aqakit.types import Stream

WORDS = 4


@pytest.fixture
def decoder() -> S2VT:
    """One whose chances differ enough from each other for a search to matter."""
    decoder = S2VT(5, WORDS, hidden=6).eval()
    for parameter in decoder.parameters():
        parameter.data.mul_(4)
    return decoder


@pytest.fixture
def seen() -> Stream:
    clips = torch.tensor([[True, True, True], [True, False, False], [True, True, False]])
    return Stream(torch.randn(3, 3, 5), clips)


def chances(decoder: S2VT, video: torch.Tensor, said: list[int]) -> torch.Tensor:
    """Logits of the next word, one step after another, as the public code goes through them."""
    state1 = state2 = None
    for clip in video:
        frame, state1 = decoder.frames(clip[None, None], state1)
        _, state2 = decoder.words(torch.cat([frame, torch.zeros_like(frame)], 2), state2)
    for word in [decoder.start, *said]:
        frame, state1 = decoder.frames(torch.zeros(1, 1, video.shape[1]), state1)
        spoken = decoder.embedding(torch.tensor([[word]]))
        hidden, state2 = decoder.words(torch.cat([frame, spoken], 2), state2)
    return decoder.out(hidden[0, 0])


def log_likelihood(decoder: S2VT, video: torch.Tensor, caption: list[int], *, end: bool, start: bool = True) -> float:
    total = 0.0
    for position, word in enumerate([*caption, decoder.end] if end else caption):
        logits = chances(decoder, video, caption[:position])
        if not start:
            logits[decoder.start] = -torch.inf
        total += logits.log_softmax(0)[word].item()
    return total


def size(width: int, words: int, hidden: int) -> int:
    def gru(comes: int) -> int:
        return 3 * hidden * (comes + hidden + 2)

    return gru(width) + gru(2 * hidden) + 2 * gru(hidden) + (words + 2) * (2 * hidden + 1)


def test_it_has_the_published_size() -> None:
    """24.8 M parameters for a vocabulary of 5779 with start and end."""
    decoder = S2VT(8192, 5777)
    count = sum(p.numel() for p in decoder.parameters())
    assert count == size(8192, 5777, 512) == 24_810_131


def test_the_loss_is_the_likelihood_word_by_word(decoder: S2VT, seen: Stream) -> None:
    captions = torch.tensor([[2, 0, 1], [3, -1, -1], [1, 1, -1]])
    wanted = [
        -log_likelihood(decoder, seen.features[row, :count], [w for w in captions[row].tolist() if w >= 0], end=True)
        for row, count in enumerate([3, 1, 2])
    ]
    torch.testing.assert_close(decoder.nll(seen, captions), torch.tensor(wanted), rtol=1e-4, atol=1e-5)
    wider = F.pad(captions, (0, 2), value=-1)
    torch.testing.assert_close(decoder.nll(seen, wider), decoder.nll(seen, captions))


def test_a_uniform_decoder_loses_the_logarithm_of_the_vocabulary(seen: Stream) -> None:
    decoder = S2VT(5, WORDS, hidden=6)
    decoder.out.requires_grad_(False).weight.zero_()
    decoder.out.bias.zero_()
    loss = decoder.nll(seen, torch.tensor([[0, 1], [2, -1], [-1, -1]]))
    assert (loss / torch.tensor(WORDS + 2.0).log()).tolist() == pytest.approx([3, 2, 1])


@pytest.mark.slow
def test_the_loss_of_a_copied_sentence_tends_to_zero_and_it_is_said(seen: Stream) -> None:
    decoder = S2VT(5, WORDS, hidden=16, dropout=0.0)
    captions = torch.tensor([[2, 0, 1, 3], [3, 3, -1, -1], [1, -1, -1, -1]])
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss = decoder.nll(seen, captions).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    assert decoder.say(seen, longest=6) == decoder.say(seen, longest=6, beams=3) == ((2, 0, 1, 3), (3, 3), (1,))


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_likeliest_of_all_sentences(seed: int, seen: Stream) -> None:
    torch.manual_seed(seed)
    decoder = S2VT(5, 3, hidden=6).eval()
    for parameter in decoder.parameters():
        parameter.data.mul_(3)
    video = seen.features[:1]
    sentences = [list(s) for n in range(4) for s in product(range(3), repeat=n)]

    def likelihood(sentence: list[int]) -> float:
        return log_likelihood(decoder, video[0], sentence, end=len(sentence) < 3, start=False)

    best = max(sentences, key=likelihood)
    assert decoder.say(Stream(video, seen.clips[:1]), longest=3, beams=len(sentences)) == (tuple(best),)


def test_one_beam_says_the_likeliest_next_word(decoder: S2VT, seen: Stream) -> None:
    wanted = []
    for row, count in enumerate([3, 1, 2]):
        said: list[int] = []
        while len(said) < 7:
            logits = chances(decoder, seen.features[row, :count], said)
            word = int(logits[: decoder.start].argmax())
            if word == decoder.end:
                break
            said.append(word)
        wanted.append(tuple(said))
    assert decoder.say(seen, longest=7) == tuple(wanted)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_sentence_depends_on_its_own_clips_only(beams: int, decoder: S2VT, seen: Stream) -> None:
    said = decoder.say(seen, longest=5, beams=beams)
    noise = torch.where(seen.clips[..., None], seen.features, 1e3)
    assert decoder.say(Stream(noise, seen.clips), longest=5, beams=beams) == said
    alone = [decoder.say(seen.select(torch.tensor([row])), longest=5, beams=beams)[0] for row in range(3)]
    assert tuple(alone) == said
