"""The page in a real browser: Playwright drives the system's Chromium."""

import json
import re
import shutil

import pytest

from aqakit.datasets import synthetic_dives
from tests.hostile import cut_short, write_video
from tests.web.test_server import folder, free_port, run, serving, videos  # noqa: F401 (fixtures)

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = [(360, 780), (1280, 900)]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(run, tmp_path_factory):  # noqa: F811
    port = free_port()
    with serving(run.folder, tmp_path_factory.mktemp("page"), port, "--megabytes", "5"):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(browser, address):
    yield from opened(browser, address, *SIZES[1], "light")


def opened(browser, address, width, height, scheme):
    forced = {"forced_colors": "active"} if scheme == "forced" else {"color_scheme": scheme}
    context = browser.new_context(viewport={"width": width, "height": height}, **forced)
    page = context.new_page()
    complaints, requests = [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_selector("#run option", state="attached")
    yield page
    context.close()
    assert [c for c in complaints if not re.search("status of 4(00|03|04|13)", c)] == []
    assert all(url.startswith((address, "blob:", "data:")) for url in requests)


def score(page, path):
    page.set_input_files("#file", path)
    page.click("#send")
    page.wait_for_selector("#answer:not([hidden]), #problem:not([hidden])", timeout=60_000)


@pytest.fixture(scope="module")
def dive(tmp_path_factory):
    path = tmp_path_factory.mktemp("dive") / "dive.mp4"
    synthetic_dives.render(synthetic_dives.dives(4)[3], path)
    return path


def test_a_dive_is_uploaded_scored_and_a_bar_moves_the_video(page, dive):
    told = []
    page.expose_function("told", lambda text: told.append(text))
    watch = "new MutationObserver(() => told(document.querySelector('#status').textContent))"
    page.evaluate(f"{watch}.observe(document.querySelector('#status'), {{childList: true}})")
    score(page, dive)
    assert any(text.startswith("Uploading") for text in told)
    assert any(re.search(r"clip \d of 3|reading|explaining", text) for text in told)
    assert float(page.text_content("#score"))
    assert page.locator("#curve path").count() == 3
    page.wait_for_function("() => document.querySelector('#video').readyState > 0")
    bars = page.locator("#timeline button")
    assert bars.count() == 6  # two of each clip
    bars.nth(5).click()
    page.wait_for_function("() => document.querySelector('#video').currentTime > 0.5")
    assert page.text_content("#clip").startswith("Moment 6 of 6")
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#clip").startswith("Moment 5 of 6")
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"


def test_json_and_history(page, dive, tmp_path):
    score(page, dive)
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "a.json")
    answer = json.loads((tmp_path / "a.json").read_text())
    assert f"{answer['result']['score']:.1f}" == page.text_content("#score")
    page.reload()  # the address names the score, and the server still has the video
    page.wait_for_selector("#answer:not([hidden])")
    page.wait_for_function("() => document.querySelector('#video').readyState > 0")
    assert page.locator("#past li").count() == 1
    page.click("#forget")
    assert page.locator("#history").is_hidden()


def test_a_report_is_downloaded_and_stands_alone(page, browser, dive, tmp_path):
    score(page, dive)
    with page.expect_download() as download:
        page.click("#report")
    assert download.value.suggested_filename == "dive.mp4.html"
    download.value.save_as(tmp_path / "report.html")
    asked, told = [], []
    alone = browser.new_page(viewport={"width": 360, "height": 780})
    alone.on("request", lambda request: asked.append(request.url))
    alone.on("console", lambda message: told.append(message.text))
    alone.goto((tmp_path / "report.html").as_uri())
    alone.screenshot(path=tmp_path / "report.png", full_page=True)
    assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "report.html").as_uri()]
    assert not told
    assert alone.evaluate("document.documentElement.scrollWidth") <= 360
    assert alone.text_content(".score b") == page.text_content("#score")
    assert alone.evaluate("() => [...document.images].every((one) => one.naturalWidth > 0)")
    assert alone.locator(".clips article").count() == 3
    alone.close()


def test_several_videos_are_queued_listed_and_deleted(page, dive, tmp_path):
    files = [dive, *(write_video(tmp_path / f"{name}.mp4", 30) for name in "ab")]
    (tmp_path / "large.mp4").write_bytes(bytes(6 * 2**20))
    page.set_input_files("#file", [*files, tmp_path / "large.mp4"])
    assert page.locator("#queue .head b").all_text_contents() == ["dive.mp4", "a.mp4", "b.mp4", "large.mp4"]
    page.click("#send")
    page.wait_for_selector("#answer:not([hidden])", timeout=60_000)  # of the first
    assert page.text_content("#answer-title") == "dive.mp4"
    assert page.text_content("#problem").startswith("large.mp4 is larger than 5 MB")
    rows = page.locator("#past li")
    assert [text[:5] for text in rows.locator("span").all_text_contents()] == ["b.mp4", "a.mp4", "dive."]
    page.wait_for_function(
        "() => [...document.querySelectorAll('#past b')].every((one) => /^[\\d.]+$/.test(one.textContent))",
        timeout=60_000,
    )
    page.once("dialog", lambda dialog: dialog.dismiss())
    rows.nth(0).get_by_label("Delete b.mp4").click()
    assert rows.count() == 3
    page.on("dialog", lambda dialog: dialog.accept())
    rows.nth(0).get_by_label("Delete b.mp4").click()
    page.wait_for_function("() => document.querySelectorAll('#past li').length === 2")
    assert page.is_visible("#answer")
    address = page.url
    page.click("#delete")  # the one that is shown
    page.wait_for_selector("#welcome:not([hidden])")
    assert page.is_hidden("#answer")
    assert rows.locator("span").all_text_contents() == ["a.mp4"]
    assert page.evaluate(f"fetch('/api/scores/{address.split('#')[1]}').then((r) => r.status)") == 404


def test_keys_alone_suffice(page, dive):
    page.set_input_files("#file", dive)
    page.focus("#file")
    for name in ("film", "run"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == name
    for _ in range(3):  # leave it out, what is known of it, send
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "send"
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
    assert page.evaluate("document.activeElement.id") == "answer"


def test_what_cannot_be_scored_gets_a_sentence(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no video\n" * 100)
    score(page, tmp_path / "notes.txt")
    assert "notes.txt cannot be read as a video" in page.text_content("#problem")
    score(page, cut_short(write_video(tmp_path / "cut.mp4", 40), 0.5))
    page.wait_for_function("() => document.querySelector('#problem').textContent.startsWith('cut.mp4')")
    (tmp_path / "large.mp4").write_bytes(bytes(6 * 2**20))
    score(page, tmp_path / "large.mp4")
    page.wait_for_function("() => document.querySelector('#problem').textContent.includes('larger than 5 MB')")
    (tmp_path / "nothing.mp4").touch()
    score(page, tmp_path / "nothing.mp4")
    page.wait_for_function("() => document.querySelector('#problem').textContent.startsWith('nothing.mp4 is empty')")
    assert "nothing.mp4 is empty" in page.text_content("#queue .wrong")


@pytest.mark.parametrize("name", ["golf_swing.mp4", "aqa7_diving_054.avi", "platform_dive_handstand.gif"])
def test_real_videos_are_shown_or_stand_still(page, shared_videos, name):
    score(page, shared_videos / name)
    page.wait_for_function(
        "() => document.querySelector('#video').readyState > 0 || document.querySelector('#still').naturalWidth > 0"
    )
    page.locator("#timeline button").nth(1).click()
    assert page.text_content("#clip").startswith("Moment 2 of 6")


def test_a_token_is_asked_for_once(browser, run, dive, tmp_path):  # noqa: F811
    port = free_port()
    with serving(run.folder, tmp_path / "kept", port, "--token", "sesame"):
        page = browser.new_context().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#problem:not([hidden])")
        assert page.text_content("#problem") == "A token is needed."
        page.fill("#token", "sesame")
        page.keyboard.press("Tab")
        page.wait_for_selector("#problem", state="hidden")
        page.wait_for_selector("#run option", state="attached")
        score(page, dive)
        assert float(page.text_content("#score"))
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_fits_the_screen(browser, address, dive, tmp_path, width, height, scheme):
    for page in opened(browser, address, width, height, scheme):
        score(page, dive)
        page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#timeline button").first.bounding_box()["width"] >= 24


BROKEN = {
    "blocked": """for (const name of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });""",
    "full": "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };",
    "damaged": "if (!localStorage.length) localStorage.setItem('aqakit-history', '[{\"id\":');",
    "another's": "if (!localStorage.length) localStorage.setItem('aqakit-history', '[null, 3, {\"a\": 1}]');",
    "no list": "if (!localStorage.length) localStorage.setItem('aqakit-history', '{\"a\": 1}');",
}


@pytest.fixture(scope="module")
def closed(run, tmp_path_factory):  # noqa: F811
    port = free_port()
    with serving(run.folder, tmp_path_factory.mktemp("closed"), port, "--token", "sesame"):
        yield f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_storage_of_the_browser_does_not_break_the_page(browser, closed, dive, kind):
    context = browser.new_context()
    context.add_init_script(BROKEN[kind])
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(closed)
    page.wait_for_selector("#problem:not([hidden])")
    assert page.text_content("#problem") == "A token is needed."
    page.fill("#token", "sesame")
    page.keyboard.press("Tab")
    page.wait_for_selector("#run option", state="attached")
    score(page, dive)
    assert float(page.text_content("#score"))
    assert page.locator("#past li").count() == 1
    assert not complaints
    context.close()
