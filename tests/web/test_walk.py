"""A coach's walk through the page in a real browser: score, correct, compare, teach, improve, export, delete."""

import re
import zipfile

import pytest

import aqakit
from aqakit.datasets import synthetic_dives
from aqakit.scores import rules
from tests.web.test_desk_page import violations
from tests.web.test_page import SIZES, browser, opened, playwright  # noqa: F401 (fixtures)
from tests.web.test_server import BACKBONE, free_port, serving

pytestmark = pytest.mark.slow
LEARNT, NEW = 12, 6


@pytest.fixture(scope="module")
def dives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    made = [(folder / f"dive{k}.mp4", dive) for k, dive in enumerate(synthetic_dives.dives(LEARNT + NEW))]
    for path, dive in made:
        synthetic_dives.render(dive, path)
    return [(path, synthetic_dives._row(dive)) for path, dive in made]


@pytest.fixture(scope="module")
def address(dives, tmp_path_factory):
    folder = dives[0][0].parent
    judges = [f"judge_{k + 1}" for k in range(7)]
    lines = [",".join(["id", "path", "score", "difficulty", "group", *judges])]
    for k, (path, row) in enumerate(dives[:LEARNT]):
        lines.append(",".join(map(str, [k, path.name, row["score"], row["difficulty"], f"g{k % 4}", *row["judges"]])))
    (folder / "club.csv").write_text("\n".join(lines) + "\n")
    spec = "manifest:low=0:high=104.5:rule=diving"
    options = {"epochs": 3, "members": 2, "protocol": "all", "target": "total", "root": folder / "club.csv"}
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(cache))
        aqakit.train("regression", data=spec, backbone=BACKBONE, out=folder / "run", **options)
        port = free_port()
        with serving(folder / "run", tmp_path_factory.mktemp("kept"), port):
            yield f"http://127.0.0.1:{port}/"


def test_a_walk(browser, address, dives, tmp_path):  # noqa: F811
    for page in opened(browser, address, *SIZES[1], "light"):
        assert "learnt from 12 recordings" in page.text_content("#run option")
        score_with_difficulty(page, dives[LEARNT : LEARNT + 3])
        correct(page, dives[LEARNT])
        compare(page)
        teach(page, 2)
        improve(page)
        export_and_delete(page, tmp_path)


def score_with_difficulty(page, new):
    page.set_input_files("#file", [path for path, _ in new])
    page.click("#send")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Declared difficulty of")
    for path, row in new:
        page.get_by_label(f"Declared difficulty of {path.name}").fill(str(row["difficulty"]))
    page.click("#send")
    page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
    assert f"with difficulty {new[0][1]['difficulty']}" in page.text_content("#facts")
    page.click("#to-list")
    states = "[...document.querySelectorAll('#rows td[data-label=State]')].map((one) => one.textContent)"
    page.wait_for_function(f"() => {states}.join() === 'scored,scored,scored'", timeout=60_000)


def correct(page, dive):
    path, row = dive
    page.get_by_label(f"Edit {path.name}").click()
    page.fill("#editor [name=athlete]", "Ana")
    page.fill("#editor [name=judges]", " ".join(map(str, row["judges"])))
    page.click("#editor [type=submit]")
    page.wait_for_selector("#editor", state="hidden")
    wanted = float(rules.diving(row["judges"], row["difficulty"]))
    page.wait_for_function("() => document.querySelector('#rows').textContent.includes('Ana')")
    (told,) = page.locator('#rows td[data-label="True score"] span').all_text_contents()
    assert float(told) == pytest.approx(wanted, abs=0.06)


def compare(page):
    for box in page.locator("#rows input[type=checkbox]").all()[:2]:
        box.check()
    page.click("#compare-picked")
    page.wait_for_function(
        "() => document.querySelector('#compare-said').textContent.includes('kept together')", timeout=60_000
    )
    page.keyboard.press(".")
    assert re.match(r"0\.0\d s and", page.text_content("#compare-now"))


def teach(page, count):
    page.click("#to-teach")
    for k in range(count):
        page.wait_for_selector("#teach-pair:not([hidden])")
        page.keyboard.press("1")
        page.wait_for_function(f"() => document.querySelector('#teach-said').textContent.startsWith('{k + 1} ')")


def improve(page):
    page.click("#to-improve")
    page.wait_for_selector("#improve-start:enabled")
    assert "1 video with a true score" in page.text_content("#improve-known")
    page.click("#improve-start")
    page.wait_for_selector("#improve-runs table", timeout=120_000)
    assert violations(page) == []
    assert "club-improved-1" in page.locator("#improve-runs h3").all_text_contents()[1]
    told = page.text_content("#improve-runs")
    assert any(words in told for words in ("is better", "is worse", "did not get better"))
    assert "Judgements were left out" in told  # this run learns score ÷ difficulty
    page.get_by_role("button", name="Use this run").click()
    page.wait_for_function(
        "() => document.querySelectorAll('#improve-runs li')[1].querySelector('.used')?.textContent === 'Used now'"
    )
    page.click("#to-score")
    assert page.input_value("#run") == "run-improved-1"


def export_and_delete(page, folder):
    page.click("#to-list")
    page.wait_for_selector("#rows tr")
    page.check("#with-runs")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(folder / "desk.zip")
    names = zipfile.ZipFile(folder / "desk.zip").namelist()
    assert {"scores.csv", "pairs.csv", "runs/run/run.json", "runs/run-improved-1/run.json"} <= set(names)
    page.click("#delete-all")
    page.fill("#ending-words", "delete everything")
    page.keyboard.press("Enter")
    page.wait_for_selector("#none:not([hidden])")
