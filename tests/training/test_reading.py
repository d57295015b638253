"""Frames that could not be read are said wherever a score or a data set is: the library's own count is the oracle."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import aqakit
from aqakit import datasets
from aqakit.cli.app import app
from aqakit.datasets.parts import health
from aqakit.explanation.contributions import explain
from aqakit.recordings import video
from aqakit.recordings.video import Report
from aqakit.training import scoring
from aqakit.training.scoring import doubts, score_recordings
from aqakit.web.answer import answer
from aqakit.web.limits import Limits
from tests import hostile, walkers

EVERY = "c3d_small:size=16:frames=16:clips=5:width=2"


def write(folder: Path, broken: int = 0) -> Path:
    pictures = hostile.write_pictures(folder, 50)
    for k in range(broken):
        (pictures / f"img_{k * 5 // 2}.png").write_bytes(b"broken")
    return pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings, of which 20 of 50 frames of the last, and one number of the third, are missing."""
    folder = tmp_path_factory.mktemp("reading")
    for name in ("whole", "other"):
        hostile.write_video(folder / f"{name}.mp4", 50)
    (write(folder / "gap") / "img_20.png").unlink()
    write(folder / "part", broken=20)
    names = ("whole.mp4", "other.mp4", "gap", "part")
    rows = "".join(f"{name},{name},{k}\n" for k, name in enumerate(names))
    (folder / "m.csv").write_text("id,path,score\n" + rows)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path):
    options = {"protocol": "all", "members": 1, "epochs": 1, "finetune": True}
    return aqakit.train("usdl", data="manifest", root=folder / "m.csv", backbone=EVERY, out=folder / "run",
                        cache=folder / "cache", **options)  # fmt: skip


@pytest.fixture(scope="module")
def counted(folder: Path, run) -> video.Report:
    """What is missing of the frames that the run reads."""
    report = video.Report()
    (backbone,) = run.backbones.values()
    list(video.stream(folder / "part", backbone.numbers(folder / "part"), report=report))
    assert report.missing > 10
    return report


def test_training_says_it(run, counted):
    assert run.description["doubts"]["part"] == counted.sentence()
    assert "1 missing" in run.description["doubts"]["gap"]
    assert set(run.description["doubts"]) == {"part", "gap"}


def test_predict_says_it_beside_the_score_and_in_json(folder, run, counted, tmp_path):
    rows, failed = score_recordings(run, [folder / "whole.mp4", folder / "part"])
    assert failed == []
    assert [row["frames_missing"] for row in rows] == [0, counted.missing]
    assert [row["frames"] for row in rows] == [counted.requested, counted.requested]
    assert f"{folder / 'part'}: {counted.sentence()}" in doubts(run, rows)
    assert not [said for said in doubts(run, rows) if str(folder / "whole.mp4") in said and "readable" in said]
    found = CliRunner().invoke(
        app, ["predict", str(run.folder), str(folder / "part"), "--json", str(tmp_path / "o.json")]
    )
    assert found.exit_code == 0
    said = " ".join(found.output.split())
    assert f"{counted.decoded} of {counted.requested} frames readable" in said
    assert json.loads((tmp_path / "o.json").read_text())[0]["frames_missing"] == counted.missing


def test_explain_and_the_page_say_it(folder, run, counted):
    assert counted.sentence() in explain(run, folder / "part").notes
    notes = answer(run, folder / "part", "part", None, Limits(), lambda done, total: None).notes
    assert f"part: {counted.sentence()}" in notes


def test_the_health_report_says_it_of_all_frames(folder, tmp_path):
    report = health.check(datasets.load("manifest", folder / "m.csv"))
    partly, gaps = report.about("frames")
    assert partly.severity == gaps.severity == "warning"
    assert partly.subjects == (str(folder / "part"),)
    assert "30 of 50 frames readable; 20 missing" in partly.sentence
    assert gaps.subjects == (str(folder / "gap"),)
    assert report.rows()[0]["damaged"] == 1
    found = CliRunner().invoke(app, ["check", "manifest", str(folder / "m.csv"), "--json", str(tmp_path / "o.json")])
    assert "30 of 50 frames readable; 20 missing" in " ".join(found.output.split())
    assert json.loads((tmp_path / "o.json").read_text())[0]["damaged"] == 1


def test_extract_says_it_also_the_second_time(folder, tmp_path):
    for _ in range(2):
        command = [
            "extract",
            "manifest",
            "--root",
            str(folder / "m.csv"),
            "--backbone",
            EVERY,
            "--cache",
            str(tmp_path),
        ]
        found = CliRunner().invoke(app, command)
        said = " ".join(found.output.split())
        assert "2 could be read only in part" in said
        assert "part: " in said
        assert "missing, replaced by the frame before" in said


def test_more_than_half_missing_is_refused_everywhere(folder, run, tmp_path):
    bad = write(tmp_path / "bad", broken=20)
    for k in range(3, 50, 3):
        (bad / f"img_{k}.png").write_bytes(b"broken")
    rows, (sentence,) = score_recordings(run, [bad])
    assert rows == []
    assert "at least 50% must be" in sentence
    (tmp_path / "m.csv").write_text(f"id,path,score\na,{bad},1\nb,{folder / 'whole.mp4'},2\n")
    (finding,) = health.check(datasets.load("manifest", tmp_path / "m.csv")).about("frames")
    assert finding.severity == "error"


def test_check_reads_only_the_windows(tmp_path):
    pictures = write(tmp_path / "event", broken=8)  # frames 0 to 17
    lines = "".join(f"{k},event,{k},{start},{start + 9}\n" for k, start in enumerate((12, 30, 35)))
    (tmp_path / "m.csv").write_text("id,path,score,start,end\n" + lines)
    (finding,) = health.check(datasets.load("manifest", tmp_path / "m.csv")).about("frames")
    assert f"{pictures} (22 of 25 frames readable" in finding.sentence


def test_a_varying_rate_is_said_where_windows_count_frames(tmp_path):
    times = [40 * k + 800 * (k >= 10) for k in range(40)]
    hostile.write_video(tmp_path / "v.mkv", 40, times=times)
    hostile.write_video(tmp_path / "even.mkv", 40)
    (tmp_path / "m.csv").write_text("id,path,score,start,end\na,v.mkv,1,3,39\nb,even.mkv,2,3,39\nc,v.mkv,3,5,8\n")
    (finding,) = health.check(datasets.load("manifest", tmp_path / "m.csv")).about("rate")
    assert finding.subjects == (str(tmp_path / "v.mkv"),)
    assert "rate=constant" in finding.sentence
    assert health.check(datasets.load("manifest", tmp_path / "m.csv", rate="constant")).about("rate") == []
    (tmp_path / "m.csv").write_text("id,path,score,start,end\na,v.mkv,1,3,58\n")
    assert health.check(datasets.load("manifest", tmp_path / "m.csv")).about("windows")
    assert not health.check(datasets.load("manifest", tmp_path / "m.csv", rate="constant")).about("windows")
    (tmp_path / "m.csv").write_text("id,path,score\na,v.mkv,1\n")
    assert health.check(datasets.load("manifest", tmp_path / "m.csv")).about("rate") == []


def test_skeletons_of_two_tools_are_learnt_from_and_what_was_filled_is_said(tmp_path):
    rows = ["id,skeleton,score"]
    for k in range(6):
        (tmp_path / str(k)).mkdir()
        folder = walkers.openpose_folder(tmp_path / str(k), [[one + k] for one in walkers.scored("openpose25")])
        text = walkers.pose_text(missing=(3, 14) if k == 5 else None)
        walkers.written(tmp_path, f"{k}.csv", text)
        rows += [f"o{k},{folder.relative_to(tmp_path)},{k}", f"p{k},{k}.csv,{k}"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    report = health.check(datasets.load("manifest", tmp_path / "m.csv"))
    (told,) = report.about("joints")
    assert "396 of 792 positions were missing for more than 5 frames" in str(told)
    options = {"protocol": "all", "members": 1, "epochs": 1, "out": tmp_path / "run", "cache": tmp_path / "cache"}
    backbone = "skeleton:order=coco17:plan=uniform/count=2/frames=8"
    run = aqakit.train("regression", data="manifest", root=tmp_path / "m.csv", backbone=backbone, **options)
    rows, failed = score_recordings(run, [tmp_path / "0" / "walk", tmp_path / "5.csv"])
    assert failed == []
    assert [row["joints_seen"] for row in rows] == [1, 0.5]
    assert f"{tmp_path / '5.csv'}: 50.0% of its joints were missing for too long, and are filled in" in doubts(
        run, rows
    )


def test_the_share_of_frames_with_the_body_stands_beside_every_score():
    whole = Report(requested=40, decoded=40, searched=40, found=40)
    for report, said in ((whole, "40 of 40 frames (100 %)"), (replace(whole, found=30), "30 of 40 frames (75 %)")):
        row = {"recording": "dive"} | scoring.reading(report)
        assert (row["frames_searched"], row["frames_with_body"]) == (40, report.found)
        (sentence,) = scoring.doubts(SimpleNamespace(trust=None), [row])
        assert sentence.endswith(f"the body is in view in {said}")
    assert scoring.doubts(SimpleNamespace(trust=None), [{"recording": "dive"} | scoring.reading(Report(40, 40))]) == []
