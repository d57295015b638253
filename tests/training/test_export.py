"""A run as one file: the runtime that runs it is the oracle, and the run itself."""

import json

import numpy as np
import pytest

import aqakit
from aqakit.errors import OptionError, RunError
from aqakit.training import members
from aqakit.training.export import expect, export
from aqakit.training.exported import Exported
from tests.training.test_run import make_manifest, train

onnx = pytest.importorskip("onnx", reason="needs the extra export")
runtime = pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")


def session_of(file):
    return runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def rows_agree(run, exported, files, difficulty=None):
    rows, failed = exported.score(files, difficulty)
    assert not failed
    tolerance = 1e-4 * run.labels.scale.span
    for row, file in zip(rows, files, strict=True):
        answer, scale = run.predict(file, difficulty=difficulty), run.labels.scale
        low, high = (min(max(end, scale.low), scale.high) for end in answer.interval(0.9))
        wanted = {"score": float(answer.mean), "std": float(answer.std), "low_90": low, "high_90": high}
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=tolerance)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    manifest = make_manifest(folder, difficulty=False)
    run = aqakit.load(train(manifest, folder / "run", validation=0.0, epochs=3, hidden=(8,)).folder)
    return run, export(run, folder / "model.onnx")


def test_the_file_scores_as_the_run_and_is_valid_onnx(made):
    run, exported = made
    onnx.checker.check_model(str(exported.file), full_check=True)
    folder = exported.file.parent
    rows_agree(run, exported, [folder / f"{k}.npy" for k in range(3)])
    rows, _ = exported.score([folder / f"{k}.npy" for k in range(3)])
    assert len({row["score"] for row in rows}) == 3
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_videos_and_clips_are_open_and_padding_is_ignored(made):
    _, exported = made
    session = session_of(exported.file)
    x = np.random.default_rng(0).normal(size=(4, 6, *exported.about["streams"][0]["shape"])).astype("float32")
    mask = np.ones((4, 6), bool)
    mask[2, 4:] = False
    together = session.run(["mean", "high"], {"kinematics": x, "kinematics_clips": mask})
    for k in range(4):
        alone = {"kinematics": x[k : k + 1, mask[k]], "kinematics_clips": mask[k : k + 1, mask[k]]}
        np.testing.assert_allclose([v[0] for v in session.run(["mean", "high"], alone)], [v[k] for v in together], 1e-5)


def test_the_file_says_what_it_is(made):
    run, exported = made
    said = json.loads(session_of(exported.file).get_modelmeta().custom_metadata_map["aqakit"])
    assert said == exported.about
    assert said["scale"] == vars(run.labels.scale)
    assert (said["interval"], said["members"], said["calibration"]) == (0.9, members.MEMBERS, "cross-conformal")
    assert said["backbones"][0][0] == "kinematics"
    assert said["versions"]["aqakit"] == aqakit.__version__
    quantiles = exported.compute(exported.read(exported.samples([exported.file.parent / "0.npy"])[0]))["quantiles"]
    assert quantiles.shape == (1, len(said["levels"]))
    assert (np.diff(quantiles) >= 0).all()


def test_mistakes_are_one_sentence(made, tmp_path, monkeypatch):
    run, exported = made
    for file, words in ((tmp_path / "a.pt", "ending .onnx"), (tmp_path / "no" / "a.onnx", "there is no such folder")):
        with pytest.raises(OptionError, match=words):
            export(run, file)
    with monkeypatch.context() as patch:
        patch.setattr(type(run.assessor.method), "reads_kind", True)
        with pytest.raises(OptionError, match="recordings of one declared kind, which a network cannot be given"):
            export(run, tmp_path / "a.onnx")
    with monkeypatch.context() as patch:
        patch.setattr(type(run.assessor.method), "reads_steps", True)
        with pytest.raises(OptionError, match="the declared steps of a recording, which a network cannot be given"):
            export(run, tmp_path / "a.onnx")
    with pytest.raises(RunError, match="there is no such file"):
        Exported(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"not a network")
    with pytest.raises(RunError, match="not a network in ONNX"):
        Exported(tmp_path / "a.onnx")
    plain = onnx.load(exported.file)
    del plain.metadata_props[:]
    onnx.save(plain, tmp_path / "b.onnx")
    with pytest.raises(RunError, match="not exported by aqakit"):
        Exported(tmp_path / "b.onnx")


@pytest.mark.slow
def test_what_would_give_other_scores_is_not_written(made, tmp_path, monkeypatch):
    run, _ = made

    def other(network, inputs):
        mean, *rest = expect(network, inputs)
        return mean + 2e-4 * run.labels.scale.span, *rest

    monkeypatch.setattr("aqakit.training.export.expect", other)
    with pytest.raises(OptionError, match=r"cannot be exported \(on other recordings it would differ by"):
        export(run, tmp_path / "model.onnx", clips=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(("method", "difficulty"), [("core", 2.0), ("usdl", None), ("dae", 2.0)])
def test_members_and_methods(tmp_path, monkeypatch, method, difficulty, count):
    """CoRe reads the declared difficulty; a run of one member has no calibration and answers with its own quantiles."""
    monkeypatch.setattr(members, "MEMBERS", count)
    manifest = make_manifest(tmp_path)
    target = {"target": "total"} if method == "dae" else {}
    run = train(manifest, tmp_path / "run", method, validation=0.0, members=count, epochs=2, **target)
    exported = export(aqakit.load(run.folder), tmp_path / "model.onnx")
    assert ("difficulty" in exported.about["inputs"]) == (difficulty is not None)
    rows_agree(run, exported, [tmp_path / f"{k}.npy" for k in range(3)], difficulty)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["i3d:size=64:plan=uniform/count=2/frames=16", "c3d_small:size=32:frames=8"])
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_networks_for_videos_are_inside(tmp_path, backbone, suffix):
    if suffix == ".xml":
        pytest.importorskip("openvino")
    options = {"cache": tmp_path / "cache", "epochs": 2, "out": tmp_path / "run"}
    run = aqakit.train("dae", data="synthetic_dives:count=12", root=tmp_path / "dives", backbone=backbone, **options)
    exported = export(aqakit.load(run.folder), tmp_path / f"model{suffix}")
    files = sorted((tmp_path / "dives").rglob("*.mp4"))[:3]
    assert exported.about["streams"][0]["input"] == "pixels"
    rows_agree(run, exported, files)
