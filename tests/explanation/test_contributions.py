"""Shapley values against games worked by hand and by brute force; then every method, and whole runs."""

import json
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from typer.testing import CliRunner

import aqakit
from aqakit import discovery
from aqakit.cli.app import app
from aqakit.datasets.synthetic_dives import dives, render
from aqakit.errors import OptionError, RunError
from aqakit.explanation import contributions
from aqakit.explanation.contributions import attribute, clip_frames, explain, shapley
from aqakit.explanation.occlusion import occlusion
from aqakit.scores.distributions import Point
from aqakit.training.summary import TrainingSummary
from aqakit.training.trust import SEEN, UNLIKE
from aqakit.types import Stream
from tests.synthetic import LABELS, batch, small
from tests.training.test_run import make_manifest, train

RANDOM = np.random.default_rng(0)


def _brute_force(worth, players):
    """Mean over all orders of what each player adds."""
    total = np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        joined = np.zeros((players + 1, players), dtype=bool)
        for place, player in enumerate(order):
            joined[place + 1 :, player] = True
        total[list(order)] += np.diff(worth(joined))
    return total / len(orders)


def _game(players, seed=0):
    """Worths without any structure."""
    table = np.random.default_rng(seed).normal(size=2**players)
    return lambda joined: table[joined @ (1 << np.arange(players))]


@pytest.mark.parametrize("players", [1, 2, 5])
def test_exact_values_are_the_mean_over_all_orders(players):
    found = shapley(_game(players), players)
    assert found.values == pytest.approx(_brute_force(_game(players), players))
    assert found.values.sum() == pytest.approx(found.prediction - found.baseline)
    assert (found.errors == 0).all()


def test_the_airport_game_by_hand():
    # runways cost 1, 2 and 4; a coalition pays for its longest: 1/3, 1/3 + 1/2, 1/3 + 1/2 + 2
    found = shapley(lambda joined: (joined * [1.0, 2.0, 4.0]).max(1), 3)
    assert found.values == pytest.approx([1 / 3, 5 / 6, 17 / 6])


def test_an_additive_game_gives_each_player_its_own_even_where_orders_are_drawn():
    own = RANDOM.normal(size=30)
    found = shapley(lambda joined: 7 + joined @ own, 30)
    assert found.values == pytest.approx(own)
    assert (found.baseline, found.prediction) == pytest.approx((7, 7 + own.sum()))
    assert found.errors == pytest.approx(np.zeros(30), abs=1e-12)


def test_drawn_orders_come_near_the_exact_values_and_say_how_near(monkeypatch):
    weights, own = RANDOM.normal(size=(10, 10)), RANDOM.normal(size=10)

    def worth(joined):
        return np.tanh(joined @ own) + 0.1 * np.einsum("mi,ij,mj->m", joined, weights, joined)

    exact = shapley(worth, 10)
    monkeypatch.setattr(contributions, "EXACT", 5)
    drawn = shapley(worth, 10)
    assert drawn.values.sum() == pytest.approx(exact.prediction - exact.baseline)
    assert (drawn.errors > 0).all()
    assert (np.abs(drawn.values - exact.values) < 4 * drawn.errors + 1e-9).all()
    assert np.abs(shapley(worth, 10, evaluations=400).values - exact.values).max() < 0.3
    assert shapley(worth, 10, seed=3).values == pytest.approx(shapley(worth, 10, seed=3).values)


@pytest.mark.parametrize("name", discovery.names("methods"))
@pytest.mark.parametrize("clips", [4, 14])
def test_contributions_add_up_on_every_method(name, clips):
    module = discovery.find("methods", name)
    features = small(module)
    learnt = batch(features=features)
    method = module.build(features, LABELS)
    method.remember(learnt)
    method.eval()
    video = _full(batch(videos=1, clips=clips, seed=1, features=features), clips)
    usual = {n: s.features.mean((0, 1))[None] for n, s in learnt.streams.items()}
    found = attribute(method.predict, video, usual, evaluations=60)
    with torch.no_grad():
        prediction = float(method.predict(video).mean)
    assert found.values.shape == (clips,)
    assert found.prediction == pytest.approx(prediction, abs=1e-4)
    assert found.values.sum() == pytest.approx(prediction - found.baseline, abs=1e-4)


def _full(video, clips):
    """Every clip there is counts."""
    generator = torch.Generator().manual_seed(2)
    streams = {}
    for name, stream in video.streams.items():
        features = torch.randn(1, clips, *stream.features.shape[2:], generator=generator)
        streams[name] = type(stream)(features, torch.ones(1, clips, dtype=torch.bool))
    return video.replace(streams=streams)


def _mean_method(video):
    return Point(video.features.sum((1, 2)))


def test_a_clip_adds_what_it_has_beyond_the_usual_clip_of_its_place():
    video = _full(batch(videos=1, clips=3), 3)
    own = video.features[0].sum(1)
    places = torch.arange(3.0)[:, None].expand(3, 12)
    found = attribute(_mean_method, video, {"test": places})
    assert found.values == pytest.approx((own - 12 * torch.arange(3.0)).numpy(), abs=1e-4)
    anywhere = attribute(_mean_method, video, {"test": places[:2]})  # of another number of clips: their mean
    assert anywhere.values == pytest.approx((own - 6).numpy(), abs=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    return train(make_manifest(folder), folder / "run", target="total", validation=0.0)


def test_a_run_explains_a_recording(run):
    recording = run.folder.parent / "0.npy"
    found = explain(run, recording, difficulty=2.0)
    assert found.prediction == pytest.approx(float(run.predict(recording, difficulty=2.0).mean), abs=1e-4)
    assert sum(c.points for c in found.clips) == pytest.approx(found.prediction - found.baseline, abs=1e-4)
    assert [(c.first, c.last) for c in found.clips] == [(0, 39), (40, 79), (80, 119)]
    steeper = explain(run, recording, difficulty=3.0)
    assert [c.points for c in steeper.clips] == pytest.approx([1.5 * c.points for c in found.clips], rel=1e-4)
    assert found.to_json()["decisive"] == np.abs([c.points for c in found.clips]).argmax()


def test_the_command_prints_clips_and_exemplars(run):
    recording = run.folder.parent / "0.npy"
    given = ["explain", str(run.folder), str(recording), "--difficulty", "2"]
    shown = CliRunner().invoke(app, given)
    assert shown.exit_code == 0, shown.output
    assert "nearest in training" in shown.stdout
    (found,) = json.loads(CliRunner().invoke(app, [*given, "--json", "-"]).stdout)
    again = explain(run, recording, difficulty=2.0)
    assert found.pop("measures")["sentences"]
    assert found == json.loads(json.dumps(again.to_json()))


def test_an_explanation_says_how_far_its_score_can_be_trusted(run, tmp_path):
    known = run.folder.parent / f"{int(run.training_summary.ids[0].removeprefix('r'))}.npy"
    far = tmp_path / "far.npy"
    np.save(far, 1e4 * np.arange(1, 121, dtype="float32")[:, None] * np.ones((1, np.load(known).shape[1]), "float32"))
    for recording, sentence in ((known, SEEN), (far, UNLIKE)):
        found = explain(run, recording, difficulty=2.0)
        assert found.notes == [*run.trust.sentences(), sentence]
        told = found.to_json()
        assert told["notes"] == found.notes
        assert told["provenance"]["in_training"] == (recording == known)
        assert told["provenance"]["unfamiliar"] == (recording == far)
        assert told["trust"]["held"] == run.trust.held
        shown = CliRunner().invoke(app, ["explain", str(run.folder), str(recording), "--difficulty", "2"])
        assert all(note in " ".join(shown.stdout.split()) for note in found.notes)
    refused = CliRunner().invoke(app, ["explain", str(run.folder), str(known), "--difficulty", "35"])
    assert refused.exit_code != 0


def test_exemplars_are_the_nearest_neighbours_of_scaled_features(run):
    remembered = TrainingSummary.load(run.folder)
    known = remembered.mean_features["kinematics"].numpy()
    spread = known.std(0)
    scaled = known[:, spread > 0] / spread[spread > 0]
    for name in ("7.npy", "8.npy"):
        sample = run.sample(run.folder.parent / name, 2.0)
        video = run.embed([sample])
        own = video.features.mean(1).numpy()[:, spread > 0] / spread[spread > 0]
        distances, order = NearestNeighbors(n_neighbors=3).fit(scaled).kneighbors(own)
        found = remembered.nearest(video)
        assert [e.id for e in found] == [remembered.ids[k] for k in order[0]]
        expected = distances[0] / np.sqrt(scaled.shape[1])
        assert [e.distance for e in found] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_training_video_is_its_own_nearest_and_test_videos_are_not_remembered(run):
    remembered = TrainingSummary.load(run.folder)
    assert not set(remembered.ids) & set(run.ids("test"))
    name = remembered.ids[4]
    (first, *_) = remembered.nearest(run.embed([run.sample(run.folder.parent / f"{int(name[1:])}.npy", 2.0)]))
    assert (first.id, first.score) == (name, float(remembered.score[4]))
    assert first.distance == pytest.approx(0, abs=1e-3)


def test_a_run_without_its_memory_is_a_sentence(run, tmp_path):
    with pytest.raises(RunError, match=r"exemplars\.safetensors.*train the run again"):
        TrainingSummary.load(tmp_path)
    (tmp_path / "exemplars.safetensors").write_bytes(b"broken")
    with pytest.raises(RunError, match="damaged"):
        TrainingSummary.load(tmp_path)
    with pytest.raises(OptionError, match="reads videos"):
        occlusion(run, run.folder.parent / "0.npy", 0, difficulty=2.0)


@pytest.fixture(scope="module", params=[True, False], ids=["live", "frozen"])
def diver(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dives")
    backbone = "c3d_small:size=16:frames=4:clips=3:width=2"
    options = {"finetune": request.param, "epochs": 1, "protocol": "standard", "scale_target": False}
    run = aqakit.train("regression", data="synthetic_dives:count=6:size=64", root=folder / "data", backbone=backbone,
                       out=folder / "run", cache=folder / "cache", **options)  # fmt: skip
    (dive,) = dives(1, seed=5)
    render(dive, folder / "dive.mp4", size=64)
    return run, folder / "dive.mp4"


def test_a_video_is_explained_frame_by_frame(diver):
    run, recording = diver
    found = explain(run, recording)
    frames = aqakit.recordings.video.probe(recording).frames
    assert found.clips[0].first == 0
    assert found.clips[-1].last == frames - 1
    assert all(a.last <= b.first for a, b in zip(found.clips, found.clips[1:]))
    assert found.prediction == pytest.approx(float(run.predict(recording).mean), abs=1e-3)
    assert len(found.exemplars) == 3
    assert clip_frames(run, run.sample(recording, window=(10, 21)), 3).tolist() == [[10, 13], [14, 17], [18, 21]]


def test_occlusion_is_the_change_that_greying_makes(diver):
    run, recording = diver
    heat = occlusion(run, recording, 1, cells=4, moments=2)
    assert heat.shape == (4, 4, 4)
    assert np.array_equal(heat[0], heat[1])
    assert np.array_equal(heat[2], heat[3])
    (backbone,) = run.backbones.values()
    clips = np.stack(list(backbone.read(recording)))
    grey = clips[1].mean((0, 1, 2)).round()
    clips[1, 2:, 8:12, 0:4] = grey
    video = run.embed([run.sample(recording)])
    with torch.inference_mode():
        before = run.assessor.predict_embedded(video).mean
        changed = video.replace(streams={"c3d_small": type(video.streams["c3d_small"])(
            run.engine.embed(backbone, clips)[None], video.clips)})  # fmt: skip
        after = run.assessor.predict_embedded(changed).mean
    assert heat[2, 2, 0] == pytest.approx(float(after - before), abs=2e-2)
    assert heat.any()
    uneven = occlusion(run, recording, 1, cells=4, moments=3)  # frames 0 and 1, then 2, then 3
    assert np.array_equal(uneven[0], uneven[1])
    assert not np.array_equal(uneven[2], uneven[3])
    with pytest.raises(OptionError, match="no clip 3"):
        occlusion(run, recording, 3)


def test_occlusion_of_a_summarised_video_changes_its_summary(tmp_path):
    backbone = "c3d_small:size=16:frames=4:clips=12:width=2"
    options = {"summarise": 3, "epochs": 1, "protocol": "standard", "members": 1}
    run = aqakit.train("regression", data="synthetic_dives:count=6:size=64", root=tmp_path / "data", backbone=backbone,
                       out=tmp_path / "run", cache=tmp_path / "cache", **options)  # fmt: skip
    (dive,) = dives(1, seed=5)
    render(dive, tmp_path / "dive.mp4", size=64)
    heat = occlusion(run, tmp_path / "dive.mp4", 6, cells=2, moments=1)
    sample = run.sample(tmp_path / "dive.mp4")
    (backbone,) = run.backbones.values()
    clips = np.stack(list(backbone.read(tmp_path / "dive.mp4")))
    features = run.features(sample, "c3d_small").numpy().astype(float)
    clips[6, :, 8:, :8] = clips[6].mean((0, 1, 2)).round()
    changed = features.copy()
    changed[6] = run.engine.embed(backbone, clips[6:7]).half().double().numpy()[0]
    with torch.inference_mode():
        read = [_moments(run, sample, video) for video in (features, changed)]
        scores = [float(run.assessor.predict_embedded(video).mean) for video in read]
    assert heat.shape == (4, 2, 2)
    assert heat[0, 1, 0] == pytest.approx(scores[1] - scores[0], abs=1e-3)
    assert heat.any()
    with pytest.raises(OptionError, match=r"has 12 clips, .* no clip 12"):
        occlusion(run, tmp_path / "dive.mp4", 12)


def _moments(run, sample, video):
    """A batch of mean, spread and change of each third of a video, by NumPy."""
    thirds = video.reshape(3, -1, video.shape[1])
    parts = [thirds.mean(1), thirds.std(1), np.abs(np.diff(thirds, axis=1)).mean(1)]
    stream = Stream.stack([torch.from_numpy(np.concatenate(parts, axis=1)).float()])
    return run.embed([sample]).replace(streams={"c3d_small": stream})
