"""The loop: the same numbers from the same seed, across a stop, and never a look at a watched score."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from aqakit import discovery
from aqakit.errors import RunError
from aqakit.system import distributed
from aqakit.training import assessor as assessor_module
from aqakit.training import epoch, loop
from aqakit.training.assessor import Assessor, Standardise
from aqakit.training.batches import CachedFeatures
from aqakit.training.loop import fit
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import Sample, Stream
from tests.synthetic import FEATURES, LABELS, batch

SETTINGS = Settings(epochs=6, batch_size=8, learning_rate=1e-2)


def source(seed: int, **more) -> CachedFeatures:
    data = batch(seed=seed, **more)
    scores = [None if math.isnan(s) else s for s in data.score.tolist()]
    return CachedFeatures([Sample(id=str(i), sources={}, score=s) for i, s in enumerate(scores)], data)


def assessor(name: str = "dae", **options) -> Assessor:
    torch.manual_seed(0)
    method = discovery.find("methods", name).build(FEATURES, LABELS, **options)
    return Assessor(method, Standardise({"test": (12,)}), {}, target="score", fuse="none")


class StoppedError(Exception):
    pass


def stop_after(epochs: int):
    def report(epoch, losses):
        if epoch + 1 == epochs:
            raise StoppedError

    return report


def weights(of: Assessor) -> torch.Tensor:
    return torch.cat([t.flatten() for t in of.state_dict().values()])


def test_same_seed_same_bits_other_seed_other_bits():
    runs = []
    for seed in (0, 0, 1):
        runs.append(assessor(dropout=0.3))
        fit([Member(runs[-1], source(0), seed=seed)], {}, Settings(epochs=3, seed=seed))
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(runs[2]))


@pytest.mark.parametrize("epochs", [1, 3, 5])
@pytest.mark.parametrize("select", ["last", "best-validation"])
def test_a_stopped_run_resumes_to_the_same_bits(tmp_path, monkeypatch, epochs, select):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    settings = Settings(epochs=6, batch_size=8, learning_rate=1e-2, schedule="one-cycle", select=select)
    parts = {"validation": source(1), "test": source(2)}
    whole = assessor(dropout=0.3)
    expected = fit([Member(whole, source(0))], parts, settings)
    with pytest.raises(StoppedError):
        fit([Member(assessor(dropout=0.3), source(0))], parts, settings, folder=tmp_path, report=stop_after(epochs))
    resumed = assessor(dropout=0.3)
    history = fit([Member(resumed, source(0))], parts, settings, folder=tmp_path)
    assert torch.equal(weights(resumed), weights(whole))
    assert history.losses == expected.losses
    assert history.best == expected.best
    for one, other in zip(history.predictions["test"], expected.predictions["test"], strict=True):
        assert torch.equal(one.mean, other.mean)


@pytest.mark.parametrize(("writing", "expected"), [(0.1, list(range(30))), (2.0, [0, 5, 10, 15, 20, 25])])
def test_checkpoints_that_take_long_to_write_are_written_more_rarely(tmp_path, monkeypatch, writing, expected):
    now, saved = [0.0], []

    def pass_time(seconds):
        now[0] += seconds

    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(loop.TrainingState, "save", lambda self, _, epoch: saved.append(epoch) or pass_time(writing))
    settings = Settings(epochs=30, batch_size=8)
    fit([Member(assessor(), source(0))], {}, settings, folder=tmp_path, report=lambda *_: pass_time(13))
    assert saved == expected
    assert writing * (len(saved) - 1) <= now[0] / 30


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    with pytest.raises(StoppedError):
        fit([Member(assessor(), source(0))], {}, SETTINGS, folder=tmp_path, fingerprint="a", report=stop_after(3))
    with pytest.raises(RunError, match="other settings"):
        fit([Member(assessor(), source(0))], {}, SETTINGS, folder=tmp_path, fingerprint="b")
    (tmp_path / "resume.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match="damaged"):
        fit([Member(assessor(), source(0))], {}, SETTINGS, folder=tmp_path, fingerprint="a")


def test_training_never_sees_a_watched_score():
    blind = source(2)
    blind = CachedFeatures(blind.samples, blind.pool.unlabelled())
    seeing = fit([Member(assessor(), source(0))], {"test": source(2)}, SETTINGS)
    unseeing = fit([Member(assessor(), source(0))], {"test": blind}, SETTINGS)
    for one, other in zip(seeing.predictions["test"], unseeing.predictions["test"], strict=True):
        assert torch.equal(one.mean, other.mean)


def test_batches_hold_a_fixed_labelled_share_and_meet_every_sample():
    train = source(0, unlabelled=18)
    settings = Settings(batch_size=8, labelled_share=0.25)
    batches = list(epoch._batches(train, settings, torch.Generator().manual_seed(0)))
    labelled = torch.arange(24) < 6
    assert all(labelled[index].sum() == 2 for index in batches)
    assert set(itertools.chain(*(b.tolist() for b in batches))) == set(range(24))


@pytest.mark.parametrize(("size", "share"), [(3, 0.5), (5, 0.3), (1, 0.5), (4, 0.5)])
def test_every_process_gets_as_many_labelled_rows(monkeypatch, size, share):
    train = source(0, unlabelled=14)
    labelled = torch.arange(24) < 10
    monkeypatch.setenv("WORLD_SIZE", "3")
    settings = Settings(batch_size=size, labelled_share=share)
    known = max(1, round(share * size))
    for index in epoch._batches(train, settings, torch.Generator().manual_seed(0)):
        value, gathered, means = torch.arange(24.0).square(), [], []
        for rank in range(3):
            monkeypatch.setenv("RANK", str(rank))
            part, weight = distributed.shard(index)
            own = labelled[part]
            assert (int(own.sum()), int((~own).sum())) == (known, max(1, size - known))
            means.append(weight * torch.stack([value[part[own]].mean(), value[part[~own]].mean()]))
            gathered += part.tolist()
        assert sorted(gathered) == sorted(index.tolist())
        whole = torch.stack([value[index[labelled[index]]].mean(), value[index[~labelled[index]]].mean()])
        torch.testing.assert_close(torch.stack(means).mean(0), whole)


def test_batches_of_labelled_samples_are_of_equal_size():
    batches = list(epoch._batches(source(0), Settings(batch_size=10), torch.Generator()))
    assert sorted(len(b) for b in batches) == [8, 8, 8]


def test_accumulated_gradients_equal_those_of_one_large_batch():
    # squared error is a mean over samples, so two half batches averaged are the whole batch
    one, two = assessor("regression", dropout=0.0), assessor("regression", dropout=0.0)
    sgd = {"optimizer": "sgd", "epochs": 1, "learning_rate": 1e-3, "weight_decay": 0.0}
    fit([Member(one, source(0))], {}, Settings(batch_size=24, **sgd))
    fit([Member(two, source(0))], {}, Settings(batch_size=12, accumulate=2, **sgd))
    torch.testing.assert_close(weights(one), weights(two))


class Normed(nn.Module):
    """A backbone whose features of a clip depend on the other clips, through its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, clips: Tensor) -> Tensor:
        return self.norm(clips.float().mean((1, 2, 3)))


def test_a_training_step_of_many_clips_is_one_pass_for_batch_norm():
    pixels = torch.randint(0, 256, (20, 5, 2, 4, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels = pixels * torch.linspace(0.2, 1, 20).reshape(20, 1, 1, 1, 1, 1)  # the first chunk is darker
    videos = batch(videos=20).replace(streams={"test": Stream(pixels, torch.ones(20, 5, dtype=torch.bool))})
    live, whole = Normed(), Normed()
    model = assessor("regression")
    model.live["test"] = live
    features = model.train().embed(videos).streams["test"].features
    assert torch.equal(features.flatten(0, 1), whole(pixels.flatten(0, 1)))
    assert torch.equal(live.norm.running_mean, whole.norm.running_mean)
    assert torch.equal(live.norm.running_var, whole.norm.running_var)
    assert int(live.norm.num_batches_tracked) == 1
    passes = []
    live.register_forward_pre_hook(lambda module, given: passes.append(len(given[0])))
    for freeze in (model.eval, lambda: model.train() and epoch._freeze_norm(model.live)):
        freeze()
        torch.testing.assert_close(
            model.embed(videos).streams["test"].features.flatten(0, 1), whole.eval()(pixels.flatten(0, 1))
        )
    assert passes == [64, 36] * 2  # in chunks, where none depends on another


@pytest.mark.parametrize("clips", [40, 80, 160])
def test_batch_norm_sees_the_same_clips_however_many_fit_in_memory(clips, monkeypatch):
    """The features, gradients and running statistics of a step differ by nothing."""
    generator = torch.Generator().manual_seed(clips)
    pixels = torch.randint(0, 256, (clips // 5, 5, 4, 16, 16, 3), generator=generator, dtype=torch.uint8)
    videos = batch(videos=clips // 5)
    videos = videos.replace(streams={"test": Stream(pixels, torch.ones(clips // 5, 5, dtype=torch.bool))})
    found = []
    for limit in (16, 64, 1000):
        monkeypatch.setattr(assessor_module, "_CLIPS_AT_ONCE", limit)
        torch.manual_seed(0)
        live = discovery.find("backbones", "c3d_small").build(size=16, frames=4, width=2)
        model = assessor("regression")
        model.live["test"] = live
        features = model.train().embed(videos).streams["test"].features
        features.square().sum().backward()
        gradients = [weight.grad for weight in live.parameters()]
        found.append([features.detach(), *gradients, *live.buffers()])
    assert any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in live.modules())
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


def test_divergence_is_a_sentence():
    broken = source(0)
    features = broken.pool.streams["test"].features
    features[0, 0, 0] = math.inf
    with pytest.raises(RunError, match="diverged in epoch 1"):
        fit([Member(assessor(), broken)], {}, SETTINGS)


def test_standardise_is_what_numpy_says_of_training_clips():
    scaling = Standardise({"test": (12,)})
    train = batch()
    scaling.fit([train.select(torch.arange(9)), train.select(torch.arange(9, len(train)))])
    stream = train.streams["test"]
    clips = stream.features[stream.clips]
    expected = (clips - clips.mean(0)) / clips.std(0, correction=0)
    torch.testing.assert_close(scaling("test", stream).features[stream.clips], expected)
    assert not scaling("test", stream).features[~stream.clips].any()
    far = scaling("test", Stream(stream.features + 1e6, stream.clips)).features[stream.clips]
    assert far.max() == 10  # what was never seen counts, but not without end
