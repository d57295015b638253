"""The desk in a real browser: the list, the true score, progress; no violation that axe-core knows of in any view."""

import importlib.util
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest

from aqakit.datasets import synthetic_dives
from tests.hostile import write_video
from tests.web.test_page import SIZES, browser, opened, playwright  # noqa: F401 (fixtures)
from tests.web.test_server import ended, folder, free_port, run, send, serving, videos  # noqa: F401 (fixtures)
from tests.web.test_viewing import clip

pytestmark = pytest.mark.slow
WIDTHS = (360, 768, 1280)
SCHEMES = ("light", "dark", "forced")
LONG = "final_of_the_regional_championship_2026_platform_10m_second_attempt_side_view_4k.mp4"


@pytest.fixture(scope="module")
def address(run, videos, tmp_path_factory):  # noqa: F811
    port, kept = free_port(), tmp_path_factory.mktemp("desk")
    with serving(run.folder, kept, port) as (_, client):
        for k in range(3):
            about = {"athlete": "Ana", "date": f"2026-0{k + 1}-10", "tags": "pike,3 m", "name": LONG if k else "a.mp4"}
            job = ended(client, send(client, videos[k], **about).json())
        client.patch(f"/api/scores/{job['id']}", json={"truth": 30.5})
        ended(client, client.post("/api/scores", params={"run": "tiny", "name": LONG}, content=b"no video" * 9).json())
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(params=[(width, 800, how) for width in WIDTHS for how in SCHEMES], ids=str)
def screen(request, browser, address):  # noqa: F811
    yield from opened(browser, address, *request.param)


@pytest.fixture
def page(browser, address):  # noqa: F811
    yield from opened(browser, address, *SIZES[1], "light")


def violations(page):
    if importlib.util.find_spec("axe_playwright_python") is None:
        return []
    script = Path(importlib.util.find_spec("axe_playwright_python").origin).parent / "axe.min.js"
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run()")["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def score_of(page):
    page.click("#rows tr:last-child .link")
    page.wait_for_selector("#answer:not([hidden])")


def queued(page, folder):  # noqa: F811
    page.set_input_files("#file", [write_video(folder / LONG, 30), write_video(folder / f"b{LONG}", 30)])
    page.click("#queue li:first-child summary")


def test_no_view_has_violations_or_overflows(screen, address, folder, tmp_path):  # noqa: F811
    """The screenshots of all views are left in the temporary folder, to be looked at."""
    views = {
        "score": lambda page: queued(page, folder),
        "list": lambda page: page.wait_for_selector("#rows tr"),
        "list ": lambda page: page.click("#rows tr:first-child .actions button"),
        "list  ": score_of,
        "progress": lambda page: page.wait_for_selector("#over-time .true"),
        "compare": lambda page: page.wait_for_selector("#compare-pair:not([hidden])"),
        "improve": lambda page: page.wait_for_selector("#improve-runs li"),
        "teach": lambda page: page.wait_for_selector("#teach-pair:not([hidden])"),
    }
    width = screen.viewport_size["width"]
    for number, (name, prepare) in enumerate(views.items()):
        screen.goto(f"{address}#{name.strip()}")
        screen.reload()
        screen.wait_for_selector("#run option", state="attached")
        screen.wait_for_selector("#rows tr", state="attached") if "list" in name else None
        prepare(screen)
        assert screen.evaluate("document.documentElement.scrollWidth") <= width, name
        assert violations(screen) == [], name
        screen.screenshot(path=tmp_path / f"{number}-{name.strip()}.png", full_page=True)


def column(page, label):
    return page.locator(f'#rows td[data-label="{label}"]').all_text_contents()


def test_the_list_is_sorted_by_keys_and_filtered(page, address):
    page.goto(f"{address}#list")
    page.wait_for_selector("#rows tr")
    assert page.locator("#rows tr").count() == 4
    page.focus("#heads th[data-by=date] button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#heads th[data-by=date][aria-sort=ascending]")
    assert column(page, "Date") == ["2026-01-10", "2026-02-10", "2026-03-10", ""]
    page.keyboard.press("Enter")
    page.wait_for_selector("#heads th[data-by=date][aria-sort=descending]")
    assert column(page, "Date") == ["2026-03-10", "2026-02-10", "2026-01-10", ""]
    page.select_option("#filter-state", "failed")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 1")
    assert "cannot be read as a video" in column(page, "State")[0]
    page.select_option("#filter-state", "")
    page.fill("#filter-q", "A.MP4")
    page.wait_for_function("() => document.querySelector('#list-said').textContent === '1 video'")
    page.fill("#filter-q", "no such name")
    page.wait_for_selector("#none:not([hidden])")
    assert "change the search" in page.text_content("#none")
    assert page.is_hidden("#compare-picked")


def test_the_button_to_compare_stays_in_sight_and_says_why_not(page, address):
    page.set_viewport_size({"width": 360, "height": 500})
    page.goto(f"{address}#list")
    page.wait_for_selector("#rows tr")
    button, boxes = page.locator("#compare-picked"), page.locator("#rows input[type=checkbox]:enabled")
    assert button.text_content().startswith("Tick two")
    assert button.bounding_box()["y"] > 500
    for box in boxes.all()[:2]:
        box.check()
    page.evaluate("scrollTo(0, 0)")
    assert button.bounding_box()["y"] < 500 - 44 * 0.9
    assert button.is_enabled()
    boxes.first.uncheck()
    assert button.is_disabled()


def test_a_true_score_is_entered_and_drawn(page, address):
    page.goto(f"{address}#list")
    page.fill("#filter-q", "a.mp4")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 1")
    page.click("#rows .actions button")
    page.fill("#editor [name=truth]", "1e9")
    page.keyboard.press("Enter")
    page.wait_for_selector("#edit-problem:not([hidden])")
    assert "cannot be right" in page.text_content("#edit-problem")
    page.fill("#editor [name=truth]", "44.5")
    page.fill("#editor [name=notes]", "late entry")
    page.click("#editor [type=submit]")
    page.wait_for_selector("#editor", state="hidden")
    page.wait_for_function("() => document.querySelector('#rows').textContent.includes('late entry')")
    assert column(page, "True score") == ["44.5"]
    page.goto(f"{address}#progress/Ana")
    page.wait_for_function("() => document.querySelectorAll('#over-time .true').length === 2")
    assert page.locator("#over-time .mean").count() == page.locator("#progress-rows tr").count() == 3
    assert "Of 2 with a true score" in page.text_content("#progress-said")


def test_two_videos_are_judged_by_keys_and_a_judgement_is_taken_back(page, address):
    page.goto(f"{address}#teach")
    page.wait_for_selector("#teach-pair:not([hidden])")
    page.wait_for_function("() => [0, 1].every((k) => document.querySelector(`#teach-video-${k}`).readyState > 0)")
    first, second = (page.text_content(f"#teach-name-{k}") for k in (0, 1))
    page.keyboard.press("2")
    page.wait_for_function("() => document.querySelector('#teach-said').textContent.startsWith('1 ')")
    assert page.locator("#teach-last span").all_text_contents() == [f"{second} is better than {first}"]
    page.click("#teach-equal")
    page.wait_for_function("() => document.querySelector('#teach-said').textContent.startsWith('2 ')")
    page.click("#teach-last li:first-child button")
    page.wait_for_function("() => document.querySelector('#teach-said').textContent.startsWith('1 ')")


def test_the_nearest_training_video_is_seen_and_watched(page, address):
    with httpx.Client(base_url=address) as client:
        job = client.get("/api/scores", params={"state": "finished"}).json()["rows"][0]["id"]
    page.goto(f"{address}#{job}")
    page.wait_for_selector("#answer:not([hidden])")
    page.locator("#exemplars-panel").scroll_into_view_if_needed()
    page.wait_for_selector("#exemplars .watch img", timeout=60_000)
    assert page.evaluate("() => [...document.querySelectorAll('#exemplars img')].every((one) => one.naturalWidth > 20)")
    page.focus("#exemplars .watch")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#exemplars video')?.readyState > 1", timeout=60_000)
    assert page.locator("#exemplars tr:first-child button").count() == 0
    assert violations(page) == []


def test_two_attempts_are_kept_together_in_time(page, address, tmp_path):
    ids = []
    for name, count in (("fast.mp4", 50), ("slow.mp4", 100)):
        path = clip(tmp_path / name, np.linspace(0, 1, count))
        with httpx.Client(base_url=address) as client:
            ids.append(ended(client, send(client, path).json())["id"])
    page.goto(f"{address}#compare/{'/'.join(ids)}")
    page.wait_for_function(
        "() => document.querySelector('#compare-said').textContent.includes('kept together')", timeout=60_000
    )
    page.wait_for_function("() => [0, 1].every((k) => document.querySelector(`#compare-video-${k}`).readyState > 1)")
    page.focus("#compare-view")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    page.keyboard.press(",")
    times = "() => [0, 1].map((k) => document.querySelector(`#compare-video-${k}`).currentTime)"
    first, second = page.evaluate(times)
    assert first == pytest.approx(29 / 25, abs=0.02)
    assert second == pytest.approx(2 * first, abs=0.15)
    page.uncheck("#compare-aligned")
    assert page.evaluate(times)[1] == pytest.approx(first, abs=0.02)
    page.select_option("#compare-speed", "0.5")
    page.click("#compare-play")
    page.wait_for_function("() => document.querySelector('#compare-video-0').playbackRate === 0.5")
    page.click("#compare-play")
    assert page.evaluate("() => document.querySelector('#compare-video-1').paused")
    page.click("#compare-draw-0")
    box = page.locator("#compare-canvas-0").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 20, box["y"] + box["height"] / 2 + 10, steps=4)
    page.mouse.up()
    yellow = """() => { const c = document.querySelector('#compare-canvas-0');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        for (let i = 0; i < d.length; i += 4) if (d[i] > 240 && d[i + 1] > 190 && d[i + 2] < 60) return true; }"""
    assert page.evaluate(yellow)
    page.click("#to-list")
    page.wait_for_selector("#rows tr")
    for box in page.locator("#rows input[type=checkbox]:enabled").all()[:2]:
        box.check()
    page.click("#compare-picked")
    page.wait_for_selector("#compare-pair:not([hidden])")


def test_a_video_that_the_browser_cannot_play_is_converted(page, address, tmp_path):
    path = write_video(tmp_path / "old.avi", 30, codec="mpeg4")
    with httpx.Client(base_url=address) as client:
        job = ended(client, send(client, path).json())
    page.goto(f"{address}#{job['id']}")
    page.wait_for_selector("#convert:not([hidden])")
    page.click("#convert")
    page.wait_for_function("() => document.querySelector('#video').readyState > 0", timeout=60_000)
    assert page.is_hidden("#convert")


def test_the_page_says_why_a_run_cannot_be_improved(page, address):
    page.goto(f"{address}#improve")
    page.wait_for_selector("#improve-start:enabled")
    assert "with a true score" in page.text_content("#improve-known")
    page.click("#improve-start")
    page.wait_for_function("() => document.querySelector('#improve-said').textContent.includes('--members 5')")
    assert page.text_content("#improve-runs .used") == "Used now"


def test_a_stranger_sees_what_the_browser_remembers(browser, run, videos, tmp_path):  # noqa: F811
    port = free_port()
    with serving(run.folder, tmp_path, port) as (_, client):
        other = ended(client, send(client, videos[0]).json())
        for page in opened(browser, f"http://127.0.0.1:{port}/", *SIZES[1], "light"):
            page.set_extra_http_headers({"x-forwarded-for": "192.0.2.9"})
            page.goto(f"http://127.0.0.1:{port}/#score")
            page.reload()
            page.wait_for_selector("#run option", state="attached")
            page.set_input_files("#file", write_video(tmp_path / "mine.mp4", 30))
            page.click("#send")
            page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
            page.click("#to-list")
            page.wait_for_selector("#rows tr")
            assert column(page, "Recording") == ["mine.mp4"]
            assert "--token" in page.text_content("#list-said")
        assert httpx.get(f"http://127.0.0.1:{port}/api/scores/{other['id']}").status_code == 200


def test_each_video_of_the_queue_has_its_own_details(page, tmp_path):
    dives = [tmp_path / f"dive{k}.mp4" for k in range(2)]
    for k, dive in enumerate(synthetic_dives.dives(2)):
        synthetic_dives.render(dive, dives[k])
    page.set_input_files("#file", dives)
    for summary in page.locator("#queue summary").all():
        summary.click()
    page.get_by_label("Athlete of dive0.mp4").fill("Bea")
    page.get_by_label("Tags, separated by commas of dive0.mp4").fill("tuck, 10 m")
    page.get_by_label("Date of dive0.mp4").fill("2025-05-05")
    page.click("#same")
    page.get_by_label("Athlete of dive1.mp4").fill("Cleo")
    page.click("#send")
    page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
    assert page.text_content("#about-video") == "Bea · 2025-05-05 · tuck, 10 m"
    page.click("#to-list")
    page.wait_for_function("() => document.querySelector('#rows')?.textContent.includes('Cleo')")
    assert column(page, "Athlete")[:2] == ["Cleo", "Bea"]
    assert column(page, "Date")[:2] == ["2025-05-05"] * 2


def test_everything_is_exported_and_deleted(page, address, tmp_path):
    page.goto(f"{address}#list")
    page.wait_for_selector("#rows tr")
    page.check("#with-videos")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "desk.zip")
    names = zipfile.ZipFile(tmp_path / "desk.zip").namelist()
    assert {"scores.csv", "manifest.csv"} <= set(names)
    assert sum(name.startswith("videos/") for name in names) >= page.locator("#rows tr").count()
    page.click("#delete-all")
    page.fill("#ending-words", "yes")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ending-problem:not([hidden])")
    assert violations(page) == []
    page.fill("#ending-words", "Delete everything")
    page.keyboard.press("Enter")
    page.wait_for_selector("#none:not([hidden])")
    assert httpx.get(f"{address}api/scores").json()["total"] == 0
