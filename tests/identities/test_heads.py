"""Every head that is trained by gradients, against its formulas in NumPy: answers and losses on the same weights."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from scipy.stats import norm

from aqakit.methods import (
    action_net,
    c3d_avg,
    c3d_lstm,
    dae,
    dae_judges,
    end_to_end_ranking,
    mscadc,
    musdl,
    raan,
    regression,
    tsn,
    usdl,
)
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale, Stream
from tests.identities.arithmetic import (
    Array,
    Norms,
    State,
    agree,
    array,
    arrays,
    conv,
    gru,
    linear,
    log_softmax,
    lstm,
    max_pool,
    relu,
    sigmoid,
    softmax,
)
from tests.synthetic import FEATURES, LABELS, batch

WITHIN = 1e-5
CENTRE, QUARTER = 60.0, 30.0  # of scores from 0 to 120


def videos(features: Array, clips: Array) -> list[Array]:
    """The clips (n, …) of each video, without padding."""
    return [video[there.astype(bool)] for video, there in zip(features, clips)]


def of(data: Batch, name: str | None = None) -> list[Array]:
    stream = data.streams[name] if name else next(iter(data.streams.values()))
    return videos(array(stream.features), array(stream.clips))


def means(data: Batch) -> Array:
    return np.array([video.mean(0) for video in of(data)])


def dense(x: Array, state: State, prefix: str, layers: tuple[int, ...] = (0, 2)) -> Array:
    """Linear, ReLU, linear, ReLU: 1024 → 256 → 128 in USDL, MUSDL and DAE."""
    for layer in layers:
        x = relu(linear(x, state, f"{prefix}.{layer}"))
    return x


def trunk(data: Batch, state: State, prefix: str = "") -> Array:
    return dense(means(data), state, f"{prefix}trunk.mlp")


def at_random(method: torch.nn.Module) -> tuple[torch.nn.Module, dict[str, Array]]:
    """The method with weights that leave no output almost constant."""
    torch.manual_seed(1)
    for parameter in method.parameters():
        inputs = parameter[0].numel() if parameter.ndim > 1 else 32
        torch.nn.init.normal_(parameter, std=(2 / inputs) ** 0.5)
    for module in method.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    method.eval()
    return method, arrays(method)


@pytest.fixture(scope="module")
def data() -> Batch:
    return batch(seed=3)


def test_regression(data: Batch) -> None:
    method, state = at_random(regression.build(FEATURES, LABELS, dropout=0.0))
    wanted = CENTRE + QUARTER * linear(trunk(data, state), state, "head.value")[:, 0]
    agree(method.predict(data).mean, wanted, WITHIN)
    loss = ((wanted - array(data.score)) ** 2).mean() / QUARTER**2
    agree(method.losses(data)["squared_error"], loss, WITHIN)


def mean_and_spread(x: Array, state: State, head: str, centre: float, size: float) -> tuple[Array, Array]:
    """μ, and σ from the log-variance, which 8 tanh(v / 8) bounds."""
    mean, log_variance = (linear(x, state, f"{head}.{name}")[:, 0] for name in ("mean", "log_variance"))
    return centre + size * mean, size * np.exp(8 * np.tanh(log_variance / 8) / 2)


def test_dae(data: Batch) -> None:
    """Two parallel layers on 128 numbers; the likelihood 0.6 (g − μ)² / σ² + 0.4 log σ²; or samples μ + ε σ."""
    method, state = at_random(dae.build(FEATURES, LABELS, dropout=0.0))
    mean, spread = mean_and_spread(trunk(data, state), state, "head", CENTRE, QUARTER)
    found, true = method.predict(data), array(data.score)
    agree(found.mean, mean, WITHIN)
    agree(found.std, spread, WITHIN)
    agree(
        method.losses(data)["likelihood"],
        (0.6 * (true - mean) ** 2 / spread**2 + 0.4 * np.log(spread**2)).mean(),
        WITHIN,
    )
    for noise in ("deviation", "variance"):
        method = dae.build(FEATURES, LABELS, loss="reconstruction", support_every=1, noise=noise, dropout=0.0)
        method.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        torch.manual_seed(7)
        terms = method.losses(data)
        torch.manual_seed(7)
        drawn = array(torch.randn(1, len(data)))[0]
        sample = mean + drawn * (spread if noise == "deviation" else spread**2)
        agree(terms["reconstruction"], ((sample - true) ** 2).mean(), WITHIN)
        agree(terms["support"], ((mean - true) ** 2).mean(), WITHIN)


def soft(true: Array, bins: Array, sigma: float) -> Array:
    """Scipy's normal density at the bins, with sum 1."""
    found = norm.pdf(bins, true[:, None], sigma)
    return found / found.sum(1, keepdims=True)


def test_usdl(data: Batch) -> None:
    """101 bins; SciPy's relative entropy, divided by rows and bins as in the public code; the most probable bin."""
    method, state = at_random(usdl.build(FEATURES, LABELS, reduction="mean", answer="argmax", dropout=0.0))
    logits = linear(trunk(data, state), state, "head.logits")
    bins = np.arange(101) * 120 / 100
    agree(method.predict(data).mean, bins[logits.argmax(1)], WITHIN)
    target = soft(array(data.score), bins, 20 * 1.2)
    loss = rel_entr(target, softmax(logits)).mean()
    agree(method.losses(data)["divergence"], loss, WITHIN)
    method.reduction, method.answer = "sum", "distribution"
    agree(method.predict(data).mean, softmax(logits) @ bins, WITHIN)
    agree(method.losses(data)["divergence"], loss * 101, WITHIN)


def test_musdl(data: Batch) -> None:
    """Seven judges with 21 bins; the middle three of the most probable marks × difficulty."""
    options = {"bins": 21, "sigma": 5.0, "reduction": "mean", "answer": "argmax", "dropout": 0.0}
    method, state = at_random(musdl.build(FEATURES, LABELS, **options))
    bins, marks, loss = np.arange(21) / 2, [], 0.0
    for judge in range(7):
        logits = linear(trunk(data, state, f"judges.{judge}."), state, f"judges.{judge}.head.logits")
        marks.append(bins[logits.argmax(1)])
        target = soft(array(data.judges[:, judge]), bins, 2.5)
        loss += rel_entr(target, softmax(logits)).mean()
    wanted = np.sort(np.array(marks), 0)[2:5].sum(0) * array(data.difficulty)
    agree(method.predict(data).mean, wanted, WITHIN)
    agree(sum(method.losses(data).values()), loss, WITHIN)


def test_dae_judges(data: Batch) -> None:
    """A normal for each item of a surgeon's score: their sum is normal."""
    items = LabelSpec(ScoreScale(6, 30), judges=6, marks=ScoreScale(1, 5), rule="sum_of_items")
    method, state = at_random(dae_judges.build(FEATURES, items, dropout=0.0))
    marks = 1 + array(data.judges[:, :6]) * 0.4
    scored = data.replace(judges=torch.from_numpy(marks).float(), score=torch.from_numpy(marks.sum(1)).float())
    total, variance, loss = 0.0, 0.0, 0.0
    for judge in range(6):
        x = trunk(data, state, f"judges.{judge}.")
        mean, spread = mean_and_spread(x, state, f"judges.{judge}.head", 3.0, 1.0)
        total, variance = total + mean, variance + spread**2
        loss += (0.6 * (marks[:, judge] - mean) ** 2 / spread**2 + 0.4 * np.log(spread**2)).mean()
    found = method.predict(scored)
    agree(found.mean, total, WITHIN)
    agree(found.std, np.sqrt(variance), WITHIN)
    agree(sum(method.losses(scored).values()), loss, WITHIN)


def test_tsn() -> None:
    """The mean over streams of the consensus over snippets."""
    spec = FeatureSpec({"rgb": (12,), "flow": (12,)})
    data = batch(features=spec)
    for consensus in ("average", "max", "attention"):
        method, state = at_random(tsn.build(spec, LABELS, consensus=consensus, dropout=0.0))
        wanted = np.zeros(len(data))
        for stream, name in enumerate(spec.streams):
            for row, video in enumerate(of(data, name)):
                x = dense(video, state, f"streams.{stream}.trunk.0", (0,))
                scores = linear(x, state, f"streams.{stream}.score")[:, 0]
                if consensus == "attention":
                    said = softmax(linear(x, state, f"streams.{stream}.weight")[:, 0]) @ scores
                else:
                    said = scores.mean() if consensus == "average" else scores.max()
                wanted[row] += said / 2
        agree(method.predict(data).mean, CENTRE + QUARTER * wanted, WITHIN)


def test_action_net() -> None:
    """Two graph convolutions over exp(−|i − j|), attention, a sigmoid of both streams."""
    spec = FeatureSpec({"dynamic": (12,), "static": (12,)})
    data = batch(features=spec)
    method, state = at_random(action_net.build(spec, LABELS, dropout=0.0))
    pooled: list[list[Array]] = []
    for stream, name in enumerate(spec.streams):
        pooled.append([])
        for video in of(data, name):
            time = np.arange(len(video))
            near = np.exp(-np.abs(time[:, None] - time))
            root = np.diag(near.sum(1) ** -0.5)
            near = root @ near @ root
            x = context = dense(video, state, f"streams.{stream}.embedding")
            for layer in range(2):
                context = relu(linear(near @ context, state, f"streams.{stream}.context.{layer}"))
            x = np.concatenate([x, context], 1)
            score = linear(
                relu(linear(x, state, f"streams.{stream}.attention.0")), state, f"streams.{stream}.attention.2"
            )
            pooled[-1].append(softmax(score[:, 0]) @ x)
    both = np.concatenate(pooled, 1)
    layers = sorted({name.split(".")[1] for name in state if name.startswith("head.")})
    share = sigmoid(linear(relu(linear(both, state, f"head.{layers[0]}")), state, f"head.{layers[-1]}")[:, 0])
    agree(method.predict(data).mean, 120 * share, WITHIN)


def test_end_to_end_ranking(data: Batch) -> None:
    """Nine equal shares with a layer each; squared error and a hinge on every pair."""
    method, state = at_random(end_to_end_ranking.build(FEATURES, LABELS, units=8))
    joined = []
    for video in of(data):
        n, said = len(video), []
        for share in range(9):
            part = video[share * n // 9 : -(-(share + 1) * n // 9)]
            said.append(relu(linear(part.mean(0), state, f"trunk.0.layers.{share}")))
        joined.append(np.concatenate(said))
    wanted = CENTRE + QUARTER * linear(np.array(joined), state, "head.value")[:, 0]
    agree(method.predict(data).mean, wanted, WITHIN)
    true = array(data.score)
    pairs = [(i, j) for i in range(len(true)) for j in range(len(true)) if true[i] > true[j]]
    hinge = np.mean([max(0.0, 0.1 - (wanted[i] - wanted[j]) / QUARTER) for i, j in pairs])
    agree(method.losses(data)["ranking"], hinge, WITHIN)


def test_raan(data: Batch) -> None:
    """Attention to pros and cons; hinges on every pair: leads of branches, of filters, and of pros over cons."""
    method, state = at_random(raan.build(FEATURES, LABELS, attention_width=8))
    true, (n, k) = array(data.score), (len(data), 3)
    said, overlap = {name: np.zeros((n, k)) for name in ("pros", "cons")}, np.zeros(n)
    plain = 2 * np.tanh(linear(means(data), state, "plain")[:, 0])
    for row, video in enumerate(of(data)):
        for name, scores in said.items():
            filters = [f"branches.{name}.filters.{f}" for f in range(k)]
            hidden = [relu(linear(video, state, f"{one}.0")) for one in filters]
            a = np.array([softmax(linear(h, state, f"{one}.2")[:, 0]) for h, one in zip(hidden, filters)])
            scores[row] = 2 * np.tanh(linear(a @ video, state, f"branches.{name}.score")[:, 0])
            overlap[row] += np.sqrt(((a @ a.T - np.eye(k)) ** 2).sum())
    pros, cons = said["pros"], said["cons"]
    agree(method.predict(data).mean, CENTRE + QUARTER * (pros.mean(1) + cons.mean(1)) / 2, WITHIN)
    wanted = dict.fromkeys(("ranking", "diversity", "disparity", "rank_aware"), 0.0)
    pairs = [(i, j) for i in range(n) for j in range(n) if true[i] > true[j]]
    for i, j in pairs:
        lead = plain[i] - plain[j]
        leads = [pros[i].mean() - pros[j].mean(), cons[i].mean() - cons[j].mean(), lead]
        wanted["ranking"] += sum(max(0.0, 1 - one) for one in leads)
        wanted["diversity"] += 0.1 * (overlap[i] + overlap[j])
        wanted["disparity"] += sum(max(0.0, 0.05 - ((one[i] - one[j]).min() - lead)) for one in (pros, cons))
        wanted["rank_aware"] += max(0.0, 0.15 - ((pros[i] - cons[j]).min() - lead))
    for name, loss in method.losses(data).items():
        agree(loss, wanted[name] / len(pairs), WITHIN)


def test_c3d_lstm(data: Batch) -> None:
    """The state after the last clip; or, with incremental labels, after every clip."""
    for supervision in ("final", "incremental"):
        method, state = at_random(c3d_lstm.build(FEATURES, LABELS, supervision=supervision, units=16))
        after = [CENTRE + QUARTER * linear(lstm(v, state, "lstm"), state, "head.value")[:, 0] for v in of(data)]
        agree(method.predict(data).mean, np.array([said[-1] for said in after]), WITHIN)
        true = array(data.score)
        if supervision == "final":
            loss = np.mean([(said[-1] - t) ** 2 for said, t in zip(after, true)])
        else:
            rising = [t * np.arange(1, len(said) + 1) / len(said) for said, t in zip(after, true)]
            loss = np.mean([((said - up) ** 2).mean() for said, up in zip(after, rising)])
        agree(method.losses(data)["squared_error"], loss / QUARTER**2, WITHIN)


def heard(clips: Array, state: State, steps: int) -> tuple[Array, list[Array]]:
    """S2VT: two layers watch the clips, then silence; two others, fed with them and nothing, are ready to speak."""
    width = state["captions.embedding.weight"].shape[1]
    silence = np.zeros((steps, clips.shape[1]))
    low, _ = gru(np.concatenate([clips, silence]), state, "captions.frames", 0)
    high, _ = gru(low, state, "captions.frames", 1)
    during = np.concatenate([high[: len(clips)], np.zeros((len(clips), width))], 1)
    first, state_0 = gru(during, state, "captions.words", 0)
    _, state_1 = gru(first, state, "captions.words", 1)
    return high[len(clips) :], [state_0, state_1]


def spoken(frame: Array, token: int, memory: list[Array], state: State) -> Array:
    x = np.concatenate([frame, state["captions.embedding.weight"][token]])
    for layer in range(2):
        (x,), memory[layer] = gru(x[None], state, "captions.words", layer, memory[layer])
    return linear(x, state, "captions.out")


def caption_loss(clips: list[Array], captions: Array, state: State, words: int) -> float:
    """Summed over words and the end token, averaged over videos, × 0.01."""
    end, start, total = words, words + 1, 0.0
    for video, caption in zip(clips, captions):
        said = [int(word) for word in caption if word >= 0]
        frames, memory = heard(video, state, len(said) + 1)
        for frame, (before, word) in zip(frames, pairwise([start, *said, end])):
            total -= log_softmax(spoken(frame, before, memory, state))[word]
    return 0.01 * total / len(clips)


def greedy(clips: Array, state: State, words: int, longest: int) -> tuple[int, ...]:
    end, start = words, words + 1
    frames, memory = heard(clips, state, longest)
    said = [start]
    for frame in frames:
        logits = spoken(frame, said[-1], memory, state)
        logits[start] = -np.inf
        said.append(int(logits.argmax()))
        if said[-1] == end:
            return tuple(said[1:-1])
    return tuple(said[1:])


def three_losses(data: Batch, score: Array, logits: Array) -> tuple[float, float]:
    """MSE + L1 of score ÷ 17 (of 104.5), and the cross-entropies of the attributes."""
    unit = 120 * 17 / 104.5
    error = (score - array(data.score)) / unit
    classes, first = 0.0, 0
    for name, count in LABELS.attributes.items():
        chance = log_softmax(logits[:, first : first + count])
        classes -= chance[np.arange(len(data)), data.attributes[name].numpy()].mean()
        first += count
    return (error**2).mean() + np.abs(error).mean(), classes


def test_c3d_avg(data: Batch) -> None:
    """A dense layer on the mean clip for score and classes; S2VT on the clips for the commentary."""
    method, state = at_random(c3d_avg.build(FEATURES, LABELS, tasks="mtl", hidden=(32,), caption_width=6, max_words=9))
    shared = dense(means(data), state, "trunk.mlp", (0,))
    score = CENTRE + QUARTER * linear(shared, state, "score")[:, 0]
    logits = linear(shared, state, "attributes")
    agree(method.predict(data).mean, score, WITHIN)
    terms, (error, classes) = method.losses(data), three_losses(data, score, logits)
    agree(terms["score"], error, WITHIN)
    agree(terms["attributes"], classes, WITHIN)
    words = len(LABELS.vocabulary)
    agree(terms["captions"], caption_loss(of(data), data.caption.numpy(), state, words), WITHIN)
    described = method.describe(data)
    agree(described.attributes["twists"], softmax(logits[:, 4:]), WITHIN)
    assert list(described.captions) == [greedy(video, state, words, 9) for video in of(data)]


def context_head(x: Array, state: State, name: str, norms: Norms) -> Array:
    """1×1×1 with padding 1, replicated borders, five dilated convolutions, 1×1×1; then pooling and two convolutions."""
    numbers = sorted({int(n.removeprefix(f"{name}.head.").split(".")[0]) for n in state if n.startswith(name)})

    def layer(x: Array, number: int, **how: object) -> Array:
        return conv(x, *(state[f"{name}.head.{number}.{key}"] for key in ("weight", "bias")), **how)

    x = layer(x, numbers[0], pads=[(1, 1)] * 3)
    x = np.pad(x, [(0, 0), (0, 0), *[(9, 9)] * 3], mode="edge")
    for k, dilation in enumerate((1, 1, 2, 4, 1)):
        x = relu(norms(layer(x, numbers[1 + 2 * k], dilation=dilation), f"{name}.head.{numbers[2 + 2 * k]}"))
    last, norm_1, inner, norm_2, out = numbers[11:]
    x = max_pool(relu(norms(layer(x, last), f"{name}.head.{norm_1}")), (2, 2, 2))
    x = relu(norms(layer(x, inner, pads=[(1, 1)] * 3), f"{name}.head.{norm_2}"))
    return layer(x, out, pads=[(1, 1)] * 3)


@pytest.mark.parametrize("training", [False, True])
def test_mscadc(training: bool) -> None:
    """A context net of its own for score, classes and captions, on the mean map."""
    spec = FeatureSpec({"maps": (12, 2, 4, 4)})
    data = batch(videos=4, features=spec)
    options = {"tasks": "mtl", "channels": 3, "context_layers": 5, "caption_width": 5}
    method, state = at_random(mscadc.build(spec, LABELS, **options))
    method.train(training)
    if method.captions is not None:
        method.captions.frames.dropout = method.captions.words.dropout = 0.0
    norms = Norms(state, 1e-5, 0.1, training)
    maps = means(data)
    score = CENTRE + QUARTER * context_head(maps, state, "score", norms).mean((2, 3, 4))[:, 0]
    logits = context_head(maps, state, "attributes", norms).mean((2, 3, 4))
    seen = max_pool(context_head(maps, state, "watch", norms), (2, 2, 2), (1, 1, 1)).reshape(len(data), 1, -1)
    terms, (error, classes) = method.losses(data), three_losses(data, score, logits)
    within = 1e-4 if training else WITHIN
    agree(terms["score"], error, within)
    agree(terms["attributes"], classes, within)
    loss = caption_loss(list(seen), data.caption.numpy(), state, len(LABELS.vocabulary))
    agree(terms["captions"], loss, within)


def test_padding_is_of_no_account(data: Batch) -> None:
    """What the references never see: numbers behind the last clip of a video."""
    stream = data.streams["test"]
    noise = torch.where(stream.clips[..., None], stream.features, 99.0)
    for build in (regression.build, dae.build, usdl.build, c3d_lstm.build, end_to_end_ranking.build, tsn.build):
        method = build(FEATURES, LABELS).eval()
        other = data.replace(streams={"test": Stream(noise, stream.clips)})
        agree(method.predict(other).mean, array(method.predict(data).mean), 1e-6)
