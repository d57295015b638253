"""A video is filmed on the page with the browser's camera, looked at, and scored or thrown away."""

import pytest

from tests.web.test_desk_page import violations
from tests.web.test_page import CHROMIUM, SIZES, opened, playwright
from tests.web.test_server import folder, free_port, run, serving, videos  # noqa: F401 (fixtures)

pytestmark = pytest.mark.slow
FAKE = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def address(run, tmp_path_factory):  # noqa: F811
    port = free_port()
    with serving(run.folder, tmp_path_factory.mktemp("camera"), port, "--megabytes", "5"):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FAKE)
        yield browser
        browser.close()


@pytest.fixture(params=SIZES, ids=str)
def page(request, browser, address):
    yield from opened(browser, address, *request.param, "light")


def state(page, wanted):
    page.wait_for_selector(f"#camera[data-state={wanted}]:not([hidden])")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def record(page, seconds):
    page.wait_for_function("() => document.querySelector('#camera video').videoWidth > 0")
    page.keyboard.press("Enter")  # the button has the focus
    state(page, "recording")
    page.wait_for_function(f"() => parseInt(document.querySelector('#camera .clock').textContent) >= {seconds}")
    assert page.locator("#camera button:visible").all_text_contents() == ["Stop"]
    assert page.text_content("#camera [role=status]") == "Recording"
    page.keyboard.press("Enter")
    state(page, "preview")
    page.wait_for_function("() => document.querySelector('#camera video').readyState > 0")


ON = "() => document.querySelector('#camera video').srcObject?.getTracks()[0].readyState === 'live'"


def test_a_film_is_discarded_and_the_next_one_is_scored(page):
    page.click("#film")
    state(page, "live")
    assert page.evaluate(ON)
    record(page, 1)
    assert not page.evaluate(ON)  # the camera is off while the film is looked at
    assert page.locator("#queue li").count() == 0
    page.click("#camera-discard")
    state(page, "live")
    record(page, 2)
    page.click("#camera-keep")
    assert page.is_hidden("#camera")
    (name,) = page.locator("#queue b").all_text_contents()
    assert name.startswith("film-20")
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer:not([hidden]), #problem:not([hidden])", timeout=60_000)
    assert page.text_content("#answer-title") == name, page.text_content("#problem")
    frames = int(page.text_content("#facts").split(" frames")[0].split()[-1])
    assert 15 <= frames <= 150


def test_the_camera_goes_off_with_the_view(page):
    page.click("#film")
    state(page, "live")
    track = page.evaluate_handle("document.querySelector('#camera video').srcObject.getTracks()[0]")
    page.click("#to-list")
    page.wait_for_selector("#list-view:not([hidden])")
    assert track.evaluate("(one) => one.readyState") == "ended"
    page.click("#to-score")
    assert page.is_hidden("#camera")


@pytest.mark.parametrize(
    ("error", "said"), [("NotAllowedError", "settings of the browser"), ("NotFoundError", "No camera")]
)
def test_why_there_is_no_picture_is_said(browser, address, error, said):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{error}'))"
    )
    page.goto(address)
    page.click("#film")
    state(page, "none")
    assert said in page.text_content("#camera [role=status]")
    page.keyboard.press("Enter")
    assert page.is_hidden("#camera")
    assert page.evaluate("document.activeElement.id") == "film"
    context.close()


def test_without_a_camera_nothing_is_offered(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.goto(address)
    page.wait_for_selector("#run option", state="attached")
    assert page.is_hidden("#film")
    context.close()
