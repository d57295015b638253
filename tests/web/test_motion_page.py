"""A recording of motion in a real browser."""

import pytest

from tests.web.test_desk_page import violations
from tests.web.test_motion import folder, run  # noqa: F401 (fixtures)
from tests.web.test_page import SIZES, browser, opened, playwright  # noqa: F401 (fixtures)
from tests.web.test_server import free_port, serving

pytestmark = pytest.mark.slow


def test_motion_is_drawn_as_curves_and_the_chosen_part_is_marked(browser, run, folder, tmp_path):  # noqa: F811
    port = free_port()
    with serving(run.folder, tmp_path / "kept", port):
        for page in opened(browser, f"http://127.0.0.1:{port}/", *SIZES[0], "light"):
            page.set_input_files("#file", folder / "3.npy")
            page.click("#send")
            page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
            assert page.locator("#curves svg").count() == 4
            assert page.is_hidden("#video")
            before = page.locator("#curves .part").first.get_attribute("x")
            bars = page.locator("#timeline button")
            bars.nth(0).click()
            first = page.locator("#curves .part").first.get_attribute("x")
            bars.nth(bars.count() - 1).click()
            assert float(page.locator("#curves .part").first.get_attribute("x")) > float(first)
            assert before is not None
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[0][0]
            page.screenshot(path=tmp_path / "motion.png", full_page=True)
