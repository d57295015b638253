"""Recordings of motion in a real browser: curves, skeletons that move, two of them side by side."""

import httpx
import pytest

from tests.training.test_run import make_manifest, train
from tests.web import squats
from tests.web.test_desk_page import LONG, violations
from tests.web.test_page import SIZES, browser, opened, playwright  # noqa: F401 (fixtures)
from tests.web.test_server import ended, free_port, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("motion")


@pytest.fixture(scope="module")
def tables(folder):
    (folder / "tables").mkdir()
    return train(make_manifest(folder / "tables", 12, difficulty=False), folder / "tables" / "run", "regression")


@pytest.fixture(scope="module")
def address(folder, tables):
    (folder / "squats").mkdir()
    run, port = squats.train(folder / "squats"), free_port()
    squats.write(folder / "squats" / LONG.replace(".mp4", ".csv"), 0.45, 3.0)
    with serving(run.folder, folder / "kept", port, str(tables.folder)) as (_, client):
        for k, name in enumerate(("squat3.csv", LONG.replace(".mp4", ".csv"))):
            query = {"run": "squats/run", "name": name, "athlete": "Ben", "date": f"2026-0{k + 1}-10"}
            path = folder / "squats" / name
            ended(client, client.post("/api/scores", params=query, content=path.read_bytes()).json())
        table = (folder / "tables" / "5.npy").read_bytes()
        ended(client, client.post("/api/scores", params={"run": "tables/run", "name": "5.npy"}, content=table).json())
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(params=[(*SIZES[0], "dark"), (768, 800, "forced"), (*SIZES[1], "light")], ids=str)
def page(request, browser, address):  # noqa: F811
    yield from opened(browser, address, *request.param)


def fits(page):
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def time_of(page, player):
    return page.evaluate(f"document.querySelector('{player}').currentTime")


def inked(page, canvas):
    """Pixels of a canvas that are not of the colour of its corner."""
    return page.evaluate(
        """(canvas) => {
        const {width, height} = canvas, dots = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const whole = new Uint32Array(dots.buffer);
        return whole.reduce((count, dot) => count + (dot !== whole[0]), 0);
        }""",
        page.query_selector(canvas),
    )


def test_a_table_is_drawn_as_curves_and_the_chosen_part_is_marked(browser, folder, tables):  # noqa: F811
    port = free_port()
    with serving(tables.folder, folder / "kept tables", port):
        for page in opened(browser, f"http://127.0.0.1:{port}/", *SIZES[0], "light"):
            for name in ("3.npy", "4.npy"):
                page.set_input_files("#file", folder / "tables" / name)
                page.click("#send")
                page.wait_for_function(f"() => document.querySelector('#answer-title').textContent === '{name}'")
            assert page.locator("#curves svg").count() == 4
            assert page.is_hidden("#video")
            assert page.is_hidden("#player")
            bars = page.locator("#timeline button")
            bars.nth(0).click()
            first = page.locator("#curves .part").first.get_attribute("x")
            bars.nth(bars.count() - 1).click()
            assert float(page.locator("#curves .part").first.get_attribute("x")) > float(first)
            fits(page)
            page.click("#to-compare")
            page.wait_for_function("() => document.querySelector('#compare-said').textContent.includes('columns')")
            assert "30 rows per second are assumed" in page.text_content("#compare-shown-0")
            assert inked(page, "#compare-motion-1 canvas") > 500
            fits(page)


def test_a_skeleton_moves_beside_its_curves(page, address, folder):
    page.set_input_files("#file", folder / "squats" / "squat5.csv")
    page.click("#send")
    page.wait_for_selector("#player:not([hidden])", timeout=60_000)
    assert page.locator("#curves .now").count() == page.locator("#curves svg").count() == 6
    assert inked(page, "#player canvas") > 500
    fits(page)
    page.focus("#player")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(".")
    page.keyboard.press(",")
    assert time_of(page, "#player") == pytest.approx(1 / squats.RATE, abs=1e-3)
    page.keyboard.press(" ")
    assert page.locator("#player button").text_content() == "Pause"
    page.wait_for_function("() => document.querySelector('#player').currentTime > 0.3")
    page.keyboard.press(" ")
    assert page.evaluate("document.querySelector('#player').paused")
    line = page.locator("#curves .now").first
    assert 600 * time_of(page, "#player") / 1.96 == pytest.approx(float(line.get_attribute("x1")), rel=0.05)
    page.locator("#player").get_by_label("Time").fill("1")
    assert time_of(page, "#player") == pytest.approx(1)
    shot = "document.querySelector('#player canvas').toDataURL()"
    before = page.evaluate(shot)
    page.locator("#player").get_by_label("Turn").fill("90")
    assert page.evaluate(shot) != before
    page.locator("#player").get_by_label("Keep the body in the middle").check()
    page.locator("#timeline button").first.click()
    assert time_of(page, "#player") == 0


def test_the_nearest_training_skeletons_are_drawn_and_move(page, address):
    job = httpx.get(f"{address}api/scores", params={"q": "Ben"}).json()["rows"][0]["id"]
    page.goto(f"{address}#{job}")
    page.locator("#exemplars-panel").scroll_into_view_if_needed()
    page.wait_for_selector("#exemplars .watch", timeout=60_000)
    assert inked(page, "#exemplars .watch canvas") > 50
    page.locator("#exemplars .watch").first.click()
    moving = "document.querySelector('#exemplars motion-player[controls]')"
    page.wait_for_function(f"() => {moving}?.currentTime > 0.2")
    page.keyboard.press(" ")
    assert page.evaluate(f"{moving}.paused")
    fits(page)


def test_two_skeletons_are_kept_together_and_their_differences_lead_there(page, address):
    rows = httpx.get(f"{address}api/scores", params={"q": "Ben", "sort": "date"}).json()["rows"]
    page.goto(f"{address}#compare/{'/'.join(row['id'] for row in rows)}")
    page.reload()
    told = "() => /together by their|by the clock/.test(document.querySelector('#compare-said').textContent)"
    page.wait_for_function(told, timeout=60_000)
    assert "kept together by their joints" in page.text_content("#compare-said")
    assert inked(page, "#compare-motion-0 canvas") > 500
    assert page.is_visible("#compare-turn")
    fits(page)
    page.locator("#compare-channels tr", has_text="knee").first.get_by_role("button").click()
    first, second = (time_of(page, f"#compare-motion-{k}") for k in (0, 1))
    assert first > 0.3
    assert second / 1.8 == pytest.approx(first / 3.0, abs=0.1)  # both are at their lowest
    page.click("#compare-play")
    page.wait_for_function(f"() => document.querySelector('#compare-motion-0').currentTime > {first + 0.2}")
    page.click("#compare-play")
    page.click("#compare-draw-0")
    assert page.is_visible("#compare-canvas-0")
    with page.expect_download() as download:
        page.click("#compare-keep-0")
    assert download.value.suggested_filename == "still.png"


def test_a_skeleton_and_a_table_cannot_be_ticked_to_be_compared(page, address):
    page.goto(f"{address}#list")
    for name in ("squat3.csv", "5.npy"):
        page.get_by_label(f"Choose {name} to compare").check()
    assert page.text_content("#compare-picked") == "A skeleton and a signal cannot be compared"
    assert page.is_disabled("#compare-picked")
    page.get_by_label("Choose 5.npy to compare").uncheck()
    page.get_by_label(f"Choose {LONG.replace('.mp4', '.csv')} to compare").check()
    page.click("#compare-picked")
    page.wait_for_selector("#compare-pair:not([hidden])")


def test_two_skeletons_are_judged(page, address):
    page.goto(f"{address}#teach")
    page.reload()
    page.wait_for_selector("#teach-pair:not([hidden])")
    for k in (0, 1):
        page.wait_for_function(f"() => document.querySelector('#teach-motion-{k}').duration > 1", timeout=60_000)
        assert inked(page, f"#teach-motion-{k} canvas") > 500
        assert page.is_hidden(f"#teach-video-{k}")
    fits(page)
