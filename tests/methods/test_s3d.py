"""S3D: its stages by hand, its regressions against scikit-learn, its segmenter against brute force, and real dives."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVR

from aqakit import datasets
from aqakit.datasets import unlv_dive
from aqakit.errors import DataError, OptionError
from aqakit.methods import s3d
from aqakit.methods.parts.ed_tcn import division, stages_of
from aqakit.metrics.accuracy import spearman
from aqakit.recordings import pickles
from aqakit.training.collating import collate
from aqakit.types import Batch, FeatureSpec, Stream
from tests.synthetic import FEATURES, LABELS, batch

BEGINS = [4, 10, 16, 25]


def numbered(clips: int) -> Batch:
    """Two videos: clip n has the features n; the second has three clips, and then garbage."""
    features = torch.arange(float(clips))[None, :, None].repeat(2, 1, 12)
    mask = torch.arange(clips)[None] < torch.tensor([[clips], [3]])
    return batch(2).replace(streams={"p3d": Stream(torch.where(mask[..., None], features, 1e6), mask)})


def test_stages_are_equal_shares() -> None:
    stages = s3d.build(FEATURES, LABELS).stages
    eight, three = stages(numbered(8))[..., 0].tolist()
    assert eight == [0.5, 2.5, 4.5, 6.5]
    assert three == [0.0, 0.5, 1.5, 2.0]
    assert stages(numbered(4))[0, :, 0].tolist() == [0, 1, 2, 3]  # as many clips as stages: each is one


def test_the_mean_is_that_of_the_stage_models() -> None:
    method, test = s3d.build(FEATURES, LABELS, fusion="mean"), batch()
    answers = [answer.mean for answer in method.answers(test)]
    torch.testing.assert_close(method.predict(test).mean, sum(answers) / 4)
    losses = method.losses(test)
    assert [*losses] == ["stage_1", "stage_2", "stage_3", "stage_4"]
    torch.testing.assert_close(losses["stage_3"], torch.nn.functional.mse_loss(answers[2], test.score))


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize(
    ("fusion", "options", "reference"),
    [
        ("linear", {}, LinearRegression()),
        ("svr", {"cost": 221.0, "epsilon": 0.01}, SVR(C=221, epsilon=0.01, gamma="auto")),
    ],
)
def test_regressions_are_those_of_scikit_learn(
    fusion: str, options: dict[str, float], reference: object, decimals: int | None
) -> None:
    method = s3d.build(FEATURES, LABELS, fusion=fusion, decimals=decimals, **options)
    train, test = batch(), batch(seed=1)
    method.remember(train)
    x, z = (method.stages(b).mean(1).double().numpy() for b in (train, test))
    if decimals is not None:
        x, z = x.round(decimals), z.round(decimals)
    expected = reference.fit(x, train.score.numpy()).predict(z)
    np.testing.assert_allclose(method.predict(test).mean, expected, rtol=1e-4)


def test_options_that_would_be_ignored() -> None:
    for options in ({"fusion": "mean", "decimals": 1}, {"fusion": "linear", "cost": 1.0}):
        with pytest.raises(OptionError, match="leave"):
            s3d.build(FEATURES, LABELS, **options)


def test_the_segmenter_has_the_published_size() -> None:
    # 10-tap filters 2048 → 256 → 512 → 512 → 256 and 5 classes
    sizes = [10 * a * b + b for a, b in ((2048, 256), (256, 512), (512, 512), (512, 256))]
    assert sum(p.numel() for p in s3d.EDTCN(2048, 5).parameters()) == sum(sizes) + 256 * 5 + 5


def test_a_level_divides_by_the_largest_channel() -> None:
    torch.manual_seed(0)
    network = s3d.EDTCN(3, 2, filters=(4,), length=2).eval()
    video = torch.randn(2, 3)
    padded = torch.cat([video, torch.zeros(1, 3)]).numpy()  # a filter of 2 sees a moment and the next
    weight, bias = network.encoder[0].weight.detach().numpy(), network.encoder[0].bias.detach().numpy()
    moments = [np.einsum("oil,li->o", weight, padded[t : t + 2]) + bias for t in range(2)]
    level = [np.maximum(m, 0) / (np.maximum(m, 0).max() + 1e-5) for m in moments]
    found = network._level(network.encoder[0], video.T[None])
    np.testing.assert_allclose(found[0].T.detach(), level, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [1, 5, 6, 8, 13])
def test_videos_of_any_length(length: int) -> None:
    found = s3d.EDTCN(3, 4, filters=(4, 6), length=3)(torch.randn(length, 3))
    assert found.shape == (length, 4)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(length))


@pytest.mark.parametrize("seed", range(5))
def test_division_is_the_most_probable_of_all(seed: int) -> None:
    log = torch.randn(7, 4, generator=torch.Generator().manual_seed(seed)).log_softmax(1)
    every = itertools.combinations(range(1, 7), 3)
    best = max(every, key=lambda begins: float(log[torch.arange(7), stages_of(begins, 7)].sum()))
    assert division(log) == list(best)


def walks(count: int, seed: int) -> tuple[list[torch.Tensor], list[list[int]]]:
    """Videos of five stages, each with a direction of its own in noise."""
    generator = torch.Generator().manual_seed(seed)
    videos, begins = [], []
    for _ in range(count):
        moved = [begin + int(torch.randint(0, 6, (), generator=generator)) for begin in BEGINS]
        noise = torch.randn(32, 12, generator=generator)
        videos.append(torch.eye(12)[stages_of(moved, 32)] + 0.5 * noise)
        begins.append(moved)
    return videos, begins


def fitted(epochs: int = 15) -> s3d.EDTCN:
    options = {"filters": (32,), "length": 5, "epochs": epochs, "batch_size": 4, "learning_rate": 3e-3}
    return s3d.fit_segmenter(*walks(24, 0), **options)


@pytest.fixture(scope="module")
def segmenter() -> s3d.EDTCN:
    return fitted()


def test_a_segmenter_learns_where_stages_begin(segmenter: s3d.EDTCN) -> None:
    videos, begins = walks(20, 1)
    found = [segmenter.begins(video) for video in videos]
    assert np.abs(np.subtract(found, begins)).mean() < 0.7  # 1.5 without looking, as begins vary by 0 to 5


def test_a_seed_makes_the_same_segmenter() -> None:
    first, again = fitted(1), fitted(1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_a_segmenter_tells_the_stages(segmenter: s3d.EDTCN, tmp_path: Path) -> None:
    segmenter.save(tmp_path / "ed-tcn.safetensors")
    method = s3d.build(FEATURES, LABELS, segmenter=tmp_path / "ed-tcn.safetensors", fusion="linear")
    videos, _ = walks(8, 2)
    test = batch(8).replace(streams={"p3d": Stream.stack([*videos[:7], videos[7][:2]])})
    stages = method.stages(test)
    for row, video in enumerate(videos[:7]):
        parts = [
            part.mean(0) for part in video.tensor_split(segmenter.begins(video))[1:]
        ]  # none for what comes before the jump
        torch.testing.assert_close(stages[row], torch.stack(parts))
    torch.testing.assert_close(stages[7], videos[7][[0, 0, 1, 1]])  # too short to be cut in five
    assert all(not p.requires_grad for p in method.stages.parameters())
    method.remember(test)
    save_file({n: t.contiguous() for n, t in method.state_dict().items()}, tmp_path / "m.safetensors")
    method.load_state_dict(load_file(tmp_path / "m.safetensors"))


def test_a_segmenter_that_does_not_fit(segmenter: s3d.EDTCN, tmp_path: Path) -> None:
    file = tmp_path / "ed-tcn.safetensors"
    segmenter.save(file)
    with pytest.raises(OptionError, match="4 stages from features of width 12, but here there are 3 of width 12"):
        s3d.build(FEATURES, LABELS, segmenter=file, stages=3)
    with pytest.raises(OptionError, match="here there are 4 of width 5"):
        s3d.build(FeatureSpec({"p3d": (5,)}), LABELS, segmenter=file)
    save_file({"weight": torch.zeros(3)}, file)
    for wrong in (file, tmp_path / "none.safetensors"):
        with pytest.raises(DataError, match=f"{wrong.name} is not a segmenter"):
            s3d.build(FEATURES, LABELS, segmenter=wrong)


def test_what_a_segmenter_cannot_learn_from() -> None:
    video = torch.randn(10, 3)
    for begins in ([4, 2], [2, 10]):
        with pytest.raises(OptionError, match="cannot begin at"):
            s3d.fit_segmenter([video], [begins])
    for videos, begins in (([], []), ([video, video], [[1], [1, 2]])):
        with pytest.raises(OptionError, match="same number of stages"):
            s3d.fit_segmenter(videos, begins)


def test_the_released_probabilities_say_the_released_boundaries(shared_data: Path) -> None:
    root = shared_data / "unlv-dive"
    log = torch.from_numpy(pickles.load_npy_objects(root / "tcn_output.npy")).log()
    labels = unlv_dive.boundaries(root)
    rows = pickles.load_npy_objects(root / "testing_idx.npy").ravel().astype(int) - 1
    away = np.abs([division(log[row]) for row in rows] - labels[rows])
    assert away.mean() < 1.5  # frames of 160, on dives it has not seen
    assert np.median(away) <= 1


@pytest.mark.parametrize(
    ("read", "options", "published"),
    [
        ("features", {"fusion": "linear"}, 0.8088),
        ("features", {"fusion": "svr", "cost": 221.0, "epsilon": 0.01}, 0.8091),
        ("scores", {"fusion": "linear"}, 0.8456),  # a line does not change the order of the means
    ],
)
def test_real_dives(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: str,
    options: dict[str, object],
    published: float,
) -> None:
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path))
    loaded = datasets.load("unlv_dive", shared_data / "unlv-dive", read=read)
    (fold,) = loaded.folds()
    known = {s.id: s for s in loaded.samples}
    train, test = (
        collate(dives, loaded.labels, {"precomputed": Stream.stack([tensor(dive) for dive in dives])})
        for dives in ([known[i] for i in ids] for ids in (fold.train, fold.test))
    )
    method = s3d.build(FeatureSpec({"precomputed": (train.features.shape[2],)}), loaded.labels, **options)
    method.remember(train)
    assert spearman(test.score.numpy(), method.predict(test).mean.numpy()) == pytest.approx(published, abs=5e-4)


def tensor(dive: object) -> torch.Tensor:
    return torch.from_numpy(np.load(dive.sources["features"]))
