"""The page about one score that needs no server, and the documentation of the server, which runs as it is written."""

# ruff: noqa: F811 (fixtures of test_web)

import inspect
import json
import re
import shlex
import shutil
import sys
from html import escape
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from scipy.stats import norm

from aqakit import cli
from aqakit.cli.serve import serve
from aqakit.report import svg
from aqakit.training.trust import SEEN, UNLIKE, Provenance
from aqakit.web import server
from aqakit.web.answer import answer
from aqakit.web.models import Score
from aqakit.web.report import report
from tests.report.test_html import Page
from tests.web.test_server import LIMITS, client, ended, folder, run, send, videos  # noqa: F401 (fixtures)


def test_a_report_says_what_the_answer_says_and_needs_nothing(client, run, videos):
    name = "</title><script>alert(1)</script>.mp4"
    job = ended(client, send(client, videos[2], name=name).json())
    response = client.get(f"/api/scores/{job['id']}/report")
    assert response.status_code == 200
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["content-security-policy"] == client.get("/").headers["content-security-policy"]
    page, result = Page(response.text), job["result"]
    assert not [link for link in page.links if not link.startswith(("data:image/jpeg;base64,", "#"))]
    assert [given for tag, given in page.tags if tag == "script"] == [{"type": "application/json", "id": "report-data"}]
    text = re.sub(r"<[^>]+>", " ", response.text)
    assert f"{result['score']:.1f}" in text
    assert "90 % interval: {low:.1f} to {high:.1f} points".format(**result["intervals"][1]) in text
    assert all(f"{clip['contribution']:+.2f}" in text for clip in result["clips"])
    assert all(one["id"] in text for one in result["exemplars"])
    assert sum(tag == "img" for tag, _ in page.tags) == 3
    assert "aqakit train dae" in text
    assert str(run.folder.parent) not in response.text  # the manifest and the run lie there
    assert json.loads(page.data)["result"]["score"] == result["score"]


def test_answer_and_report_say_how_far_the_score_can_be_trusted(client, run, videos):
    known = next(path for n, path in enumerate(videos) if f"v{n}" in run.training_summary.ids)
    job = ended(client, send(client, known).json())
    notes = job["result"]["notes"]
    assert notes[: len(run.trust.sentences())] == run.trust.sentences()
    assert SEEN in notes
    page = client.get(f"/api/scores/{job['id']}/report").text
    assert all(escape(note) in page for note in notes)


def test_an_answer_says_that_a_video_is_unlike_the_training_videos(run, videos, monkeypatch):
    for unlike in (True, False):
        monkeypatch.setattr(run, "provenance", lambda sample, video, said=unlike: Provenance(0.01, said, False))
        found = answer(run, videos[0], "v.mp4", None, LIMITS, lambda done, total: None)
        assert (UNLIKE in found.notes) == unlike
        assert SEEN not in found.notes


def test_a_report_has_what_a_method_says_and_does_without_what_it_does_not(client, videos):
    job = Score(**ended(client, send(client, videos[1]).json()))
    clips = [clip.model_copy(update={"contribution": None, "still": None, "end": 0.0}) for clip in job.result.clips]
    said = {"caption": "forward <i>somersault</i>", "somersault_count": 5}
    bare = {"said": said, "clips": clips, "exemplars": [], "std": 0.0, "notes": ["it is cut off"]}
    text = report(job.model_copy(update={"result": job.result.model_copy(update=bare), "difficulty": 2.5}), None)
    for words in (
        "forward &lt;i&gt;somersault",
        "<td>somersault count</td><td>5</td>",
        "with difficulty 2.5",
        "cut off",
    ):
        assert words in text
    for words in ("<svg", "give or take", "Nearest training recordings", "Shapley", "<img", "aqakit train"):
        assert words not in text
    assert f"frames {clips[0].first} to {clips[0].last}" in text


def test_the_curve_of_a_report_is_the_distribution():
    scores = np.linspace(0, 100, 161)
    density = norm.pdf(scores, 40, 10)
    drawn = svg.density(scores.tolist(), density.tolist(), [(0.5, *norm.interval(0.5, 40, 10))], 40.0, "likely")
    areas = [np.array([p.split(",") for p in one.split()], float) for one in re.findall(r'points="([^"]*)"', drawn)]
    whole, half = (np.trapezoid(150 - y, x) for x, y in (area.T for area in areas))
    assert half / whole == pytest.approx(0.5, abs=0.01)
    assert max(150 - y for _, y in areas[0]) == pytest.approx(126)
    assert re.findall(r">([\d.]+)</text>", drawn) == ["40.0", "20", "40", "60", "80"]


def test_there_is_no_report_without_a_score(client, folder):
    (folder / "none.mp4").write_text("no video\n" * 50)
    job = ended(client, send(client, folder / "none.mp4").json())
    response = client.get(f"/api/scores/{job['id']}/report")
    assert response.status_code == 409
    assert response.json()["detail"] == job["problem"]
    assert client.get("/api/scores/apSG1NbKixKKR5lX-5tZ9A/report").status_code == 404


@pytest.mark.slow
def test_the_page_about_serving_runs_as_it_is_written(client, run, videos, tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    shutil.copytree(run.folder, tmp_path / "runs" / "dives")
    shutil.copytree(run.folder, tmp_path / "runs" / "other")
    (tmp_path / "dive.mp4").write_bytes(videos[5].read_bytes())
    served = []
    monkeypatch.setattr(server, "listen", lambda host, port: served.append(host) or [])
    monkeypatch.setattr(uvicorn.Server, "run", lambda _, sockets: None)
    commands = re.findall(r"^\$ (aqakit serve .*)$", text, re.MULTILINE)
    for line in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code, line
    assert served == ["127.0.0.1", "0.0.0.0"]
    capsys.readouterr()
    monkeypatch.setattr(httpx, "Client", lambda **options: client)  # a server that is there
    client.app.state.hub.cards["dives"] = client.app.state.hub.cards["tiny"]
    client.app.state.hub.scorers[0].runs["dives"] = run.folder
    client.app.state.hub.scorers[0]._worker.kill()  # the next one knows the run
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(block, {})
    assert f"{float(run.predict(videos[5]).mean):.1f}" in capsys.readouterr().out
    assert Path("dive.html").read_text().startswith("<!DOCTYPE html>")
    for option in serve_options():
        assert f"`{option}`" in text


def serve_options():
    return [f"--{name}" for name in inspect.signature(serve).parameters if name != "folders"]
