"""RICA²: stages and divergences beside closed forms and PyTorch's own, draws, text vectors."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.distributions import Normal as TorchNormal
from torch.distributions import kl_divergence

from aqakit.errors import DataError, OptionError
from aqakit.methods import rica2
from aqakit.methods.parts.centres import LENGTH, order_loss
from aqakit.methods.parts.step_queries import StepQueries, text_vectors
from aqakit.scores.distributions import Normal, Point
from aqakit.types import LabelSpec, ScoreScale
from tests.synthetic import FEATURES, LABELS, batch


def grown(train=None, **options):
    torch.manual_seed(0)
    method = rica2.build(FEATURES, LABELS, **{"width": 16, **options})
    method.remember(batch() if train is None else train)
    return method.eval()


@pytest.fixture
def texts(tmp_path):
    """A file of vectors, some of which are of steps that no data have."""
    rng = np.random.default_rng(0)
    vectors = {name: rng.normal(size=50) for name in ("pike", "forward", "tuck", "back", "entry")}
    np.savez(tmp_path / "texts.npz", **vectors)
    return tmp_path / "texts.npz", np.stack([vectors[name] for name in LABELS.steps])


def test_a_stage_is_the_mean_of_its_steps():
    there = torch.arange(6) < torch.tensor([[1], [2], [3], [6]])
    shown = torch.randn(4, 6, 3)
    found = rica2.stages(there, "stages") @ shown
    for row, count in enumerate((1, 2, 3, 6)):
        steps = shown[row, :count]
        torch.testing.assert_close(found[row, 0], steps[0])
        torch.testing.assert_close(found[row, 1], steps[1:-1].mean(0) if count > 2 else torch.zeros(3))
        torch.testing.assert_close(found[row, 2], steps[-1] if count > 1 else torch.zeros(3))
        torch.testing.assert_close((rica2.stages(there, "all") @ shown)[row, 0], steps.mean(0))


def test_the_divergence_is_that_of_pytorch():
    mean, deviation = torch.randn(5, 4, 3), torch.rand(5, 4, 3) + 0.1
    wanted = kl_divergence(TorchNormal(mean, deviation), TorchNormal(0.0, 1.0)).mean(-1)
    torch.testing.assert_close(rica2.divergence(mean, deviation), wanted)


def test_the_answer_has_mean_and_spread_of_the_draws():
    """Where the score is linear in what the steps showed, the closed form of a weighted sum of normals."""
    method, test = grown(draws=4000), batch(videos=3)
    weight = torch.randn(8)
    method.head.forward = lambda shown, there: Point((shown * there[..., None]).sum(2) @ weight + 60)
    mean, deviation = method._normal(method._shown(test)[0])
    answer = method.predict(test)
    assert isinstance(answer, Normal)
    wanted = (deviation.square() * weight.square()).sum((1, 2)).sqrt()
    torch.testing.assert_close(answer.std, wanted, rtol=0.04, atol=0)
    error = answer.mean - (mean.sum(1) @ weight + 60)
    assert (error.abs() < 4 * wanted / math.sqrt(4000)).all()


def test_draws_are_the_same_for_every_video_and_prediction():
    method, test = grown(), batch(videos=6)
    first = method.predict(test)
    torch.manual_seed(99)
    again = method.predict(test.select(torch.tensor([4])))
    torch.testing.assert_close(again.mean, first.mean[4:5])
    torch.testing.assert_close(again.std, first.std[4:5])
    assert (first.std >= 120 / 200).all()
    longer = rica2.fixed_noise(20, 7, 8)
    assert torch.equal(longer[:, :3], rica2.fixed_noise(20, 3, 8))
    assert not torch.equal(longer[:, 0], longer[:, 1])


def test_steps_that_are_points_give_a_point():
    method = grown(draws=0)
    assert isinstance(method.predict(batch()), Point)
    assert set(method.losses(batch())) == {"squared_error", "ranking", "sparsity"}


def test_padding_of_the_steps_changes_nothing():
    method, test = grown(), batch()
    padded = test.replace(steps=torch.cat([test.steps, torch.full((24, 3), -1)], 1))
    torch.testing.assert_close(method.predict(padded).mean, method.predict(test).mean)
    torch.testing.assert_close(method.predict(padded).std, method.predict(test).std)
    for loss in ("ranking", "sparsity"):
        torch.testing.assert_close(method.losses(padded)[loss], method.losses(test)[loss])


def test_the_declared_steps_are_read():
    method, test = grown(), batch()
    other = test.replace(steps=test.steps.flip(1))
    assert not torch.allclose(method.predict(other).mean, method.predict(test).mean)


def test_the_order_of_some_steps_is_that_of_these_alone():
    centre = 1 + 19 * torch.rand(50, 5)
    counts = torch.randint(1, 6, (50,))
    found = order_loss(centre, 3.0, torch.arange(5) < counts[:, None])
    for row, count in enumerate(counts.tolist()):
        ends = [1.0, *centre[row, :count].tolist(), float(LENGTH)]
        wanted = sum(max(0.0, 3 - (later - earlier)) for earlier, later in pairwise(ends))
        assert found[row].item() == pytest.approx(wanted, abs=1e-4)


def test_an_unknown_step_is_like_the_mean_of_those_in_training():
    train = batch()
    queries = StepQueries(("back", "entry", "forward", "pike", "tuck"), 6)
    queries.remember(train)
    vectors = queries.learnt.weight
    mean = vectors[:4].mean(0)
    found = queries(torch.tensor([[3, 4, 5]]))  # pike, a step that only test videos have, and a new name
    torch.testing.assert_close(found[0], torch.stack([vectors[3], mean, mean]))


def test_text_vectors_keep_their_angles(texts, tmp_path):
    path, vectors = texts
    queries = grown(text=path).queries
    ours, theirs = (x @ x.T for x in (queries.vectors.numpy(), vectors))
    np.testing.assert_allclose(ours / ours[0, 0], theirs / theirs[0, 0], atol=1e-5)
    assert float(queries.vectors.square().mean()) == pytest.approx(1)


def test_a_run_does_not_need_the_file_again(texts):
    path, _ = texts
    method, test = grown(text=path), batch()
    path.unlink()
    other = rica2.build(FEATURES, LABELS, width=16, text=path).eval()
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.predict(test).mean, method.predict(test).mean)


def test_what_is_wrong_with_a_file_of_vectors_is_said(texts, tmp_path):
    path, _ = texts
    with pytest.raises(DataError, match="has no array named 'somersault'"):
        text_vectors(path, ["pike", "somersault"])
    with pytest.raises(DataError, match=r"are an \.npz file"):
        text_vectors(tmp_path / "texts.csv", ["pike"])
    (tmp_path / "broken.npz").write_bytes(b"not an archive")
    with pytest.raises(DataError, match=r"broken\.npz cannot be read as an archive of arrays"):
        text_vectors(tmp_path / "broken.npz", ["pike"])
    np.savez(tmp_path / "odd.npz", a=np.ones(3), b=np.ones(4), c=np.full(3, np.nan))
    with pytest.raises(DataError, match="should be flat and have one length"):
        text_vectors(tmp_path / "odd.npz", ["a", "b"])
    with pytest.raises(DataError, match="numbers that are not finite"):
        text_vectors(tmp_path / "odd.npz", ["a", "c"])


def test_options_that_would_be_ignored_are_refused():
    with pytest.raises(OptionError, match="a manifest with a column step_list"):
        rica2.build(FEATURES, LabelSpec(ScoreScale(0, 10)))
    with pytest.raises(OptionError, match="one draw has no spread"):
        grown(draws=1)
    with pytest.raises(OptionError, match="leave kl out"):
        grown(draws=0, kl=0.1)
