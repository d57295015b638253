"""Make the pictures of docs/coach.md: a coach's way through the page, on rendered dives.

    python docs/pictures.py [--backbone SPEC] [--work FOLDER]

Run it by hand when the page looks different, and look at each picture; nothing else calls it. It renders 48 dives,
fills in the sheet of 40, trains, serves the run, puts the others on the desk, and writes docs/pictures/*.png. It needs
the extras ``web`` and ``dev``, Chromium, and some minutes. A pretrained backbone, such as
``huggingface:weights=FOLDER``, gives scores that are worth a look; the default has random weights.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from aqakit.datasets import synthetic_dives

OUT = Path(__file__).parent / "pictures"
PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}/"
ATHLETES = ("Ana", "Ben", "Cleo", "Dan", "Eva")
EACH, NEW, WIDTH, HEIGHT = 8, 8, 1000, 1250
COLOURS = 128
"""Of a picture: enough for a page, and a third of the bytes."""

View = Callable[[Page], str]


def aqakit(*words: object) -> None:
    """Run a command as a coach does."""
    subprocess.run([sys.executable, "-m", "aqakit", *map(str, words)], check=True)


def render(folder: Path) -> list[tuple[Path, Any]]:
    """Render the dives of the club, and new ones of its first athlete; return files and what the judges said."""
    names = [f"{who.lower()}-{k + 1}" for k in range(EACH) for who in ATHLETES]
    names += [f"ana-{EACH + k + 1}" for k in range(NEW)]
    found = []
    for name, dive in zip(names, synthetic_dives.dives(len(names)), strict=True):
        path = folder / ("club" if len(found) < EACH * len(ATHLETES) else "new") / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        synthetic_dives.render(dive, path)
        found.append((path, synthetic_dives._row(dive)))
    return found


def fill(sheet: Path, known: Sequence[tuple[Path, Any]]) -> None:
    """Fill in the sheet that ``aqakit new`` left."""
    told = {path.stem: row for path, row in known}
    rows = list(csv.DictReader(io.StringIO(sheet.read_text())))
    for row in rows:
        row |= {"score": told[row["id"]]["score"], "group": row["id"].split("-")[0].title()}
    with sheet.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def served(run: Path, folder: Path) -> Iterator[httpx.Client]:
    """Serve a run while the pictures are made."""
    words = [sys.executable, "-m", "aqakit", "serve", str(run), "--folder", str(folder), "--port", str(PORT)]
    process = subprocess.Popen(words)
    try:
        with httpx.Client(base_url=ADDRESS, timeout=60, transport=httpx.HTTPTransport(retries=8)) as client:
            while client.get("/healthz").status_code != 200:
                time.sleep(0.5)
            yield client
    finally:
        process.terminate()
        process.wait()


def score(client: httpx.Client, new: Sequence[tuple[Path, Any]]) -> list[str]:
    """Put the new dives on the desk, a month apart, and return their ids when they are scored."""
    ids = []
    for k, (path, _) in enumerate(new):
        about = {"run": "run", "name": path.name, "athlete": "Ana", "date": f"2026-{k + 1:02d}-14", "tags": "10 m"}
        ids.append(client.post("/api/scores", params=about, content=path.read_bytes()).raise_for_status().json()["id"])
    while client.get("/healthz").json()["waiting"]:
        time.sleep(1)
    return ids


def teach(client: httpx.Client, ids: Sequence[str], true: dict[str, float]) -> None:
    """Tell true scores of half of the dives, and judge the pairs that the page asks for."""
    for one in ids[::2]:
        client.patch(f"/api/scores/{one}", json={"truth": true[one]}).raise_for_status()
    for _ in range(4):
        first, second = (row["id"] for row in client.get("/api/pairs", params={"run": "run"}).json()["next"])
        better = "first" if true[first] >= true[second] else "second"
        client.post("/api/pairs", json={"first": first, "second": second, "better": better}).raise_for_status()


def improve(client: httpx.Client) -> None:
    """Make a new run and wait for it."""
    client.post("/api/improvement", params={"run": "run"}).raise_for_status()
    while (now := client.get("/api/improvement", params={"run": "run"}).json())["status"] == "running":
        time.sleep(1)
    print(now)


def settle(page: Page, video: str) -> None:
    """Wait until a video shows the moment that it was told to, and its controls have stopped turning."""
    page.wait_for_function(
        f"() => (({{seeking, readyState}}) => !seeking && readyState > 1)(document.querySelector('{video}'))"
    )
    page.wait_for_timeout(1500)


def answer_of(job: str) -> View:
    """Show a score, at the moment that decides it."""

    def show(page: Page) -> str:
        page.goto(f"{ADDRESS}#{job}")
        page.wait_for_function("() => document.querySelector('#video').readyState > 1")
        page.locator("#timeline button[aria-current]").click()
        settle(page, "#video")
        return ".score-view"

    return show


def alike(job: str) -> View:
    """Show the training videos that are nearest to a score."""

    def show(page: Page) -> str:
        page.set_viewport_size({"width": 1300, "height": 900})  # so that the panel is as wide as the other pictures
        page.goto(f"{ADDRESS}#{job}")
        page.wait_for_selector("#answer:not([hidden])")
        page.locator("#exemplars-panel").scroll_into_view_if_needed()
        page.wait_for_selector("#exemplars .watch img")
        return "#exemplars-panel"

    return show


def listed(page: Page) -> str:
    """Show the list."""
    page.goto(f"{ADDRESS}#list")
    page.wait_for_selector("#rows tr")
    return "#list-view > .panel:first-child"


def over_time(page: Page) -> str:
    """Show an athlete's progress."""
    page.goto(f"{ADDRESS}#progress/Ana")
    page.wait_for_selector("#over-time .mean")
    return "#progress-view > .panel"


def compared(*jobs: str) -> View:
    """Show two attempts in the middle of the dive."""

    def show(page: Page) -> str:
        page.goto(f"{ADDRESS}#compare/{'/'.join(jobs)}")
        page.wait_for_function("() => document.querySelector('#compare-said').textContent.includes('kept together')")
        page.wait_for_function("() => document.querySelector('#compare-video-1').readyState > 1")
        page.focus("#compare-view")
        for _ in range(45):
            page.keyboard.press(".")
        settle(page, "#compare-video-1")
        return "#compare-view > .panel"

    return show


def taught(page: Page) -> str:
    """Show two videos to judge."""
    page.goto(f"{ADDRESS}#teach")
    for k in range(2):
        page.wait_for_function(f"() => document.querySelector('#teach-video-{k}').readyState > 1")
        page.evaluate(f"document.querySelector('#teach-video-{k}').currentTime = 1.6")
        settle(page, f"#teach-video-{k}")
    return "#teach-view > .panel"


def improved(page: Page) -> str:
    """Show the new run beside the old one."""
    page.goto(f"{ADDRESS}#improve")
    page.wait_for_selector("#improve-runs table")
    return "#improve-view > .panel"


def photograph(views: dict[str, View]) -> None:
    """Write a picture of each view."""
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, show in views.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": 900})
            page.set_default_timeout(120_000)
            shot = Image.open(io.BytesIO(page.locator(show(page)).screenshot())).convert("RGB")
            picture = shot.crop((0, 0, shot.width, min(shot.height, HEIGHT))).quantize(COLOURS)
            picture.save(OUT / f"{name}.png", optimize=True)
            print(name, picture.size, f"{(OUT / f'{name}.png').stat().st_size / 1000:.0f} kB")
            page.close()


def main() -> None:
    """Go the coach's way, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="c3d_small:size=32:width=8")
    parser.add_argument("--work", type=Path, help="folder that is kept; what it has is not made again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        os.environ.setdefault("AQAKIT_CACHE", str(work / "cache"))
        dives, sheet, run = render(work), work / "club" / "manifest.csv", work / "club" / "run"
        if not run.exists():
            aqakit("new", work / "club")
            fill(sheet, dives[:-NEW])
            words = ["--summarise", 5, "--standardise", "yes", "--backbone", given.backbone]
            aqakit("train", "dae", "--data", "manifest", "--root", sheet, *words, "-o", run)
        with served(run, work / "desk") as client:
            if not client.get("/api/scores").json()["total"]:
                ids = score(client, dives[-NEW:])
                teach(client, ids, {one: row["score"] for one, (_, row) in zip(ids, dives[-NEW:], strict=True)})
                improve(client)
            ids = [
                row["id"] for row in client.get("/api/scores", params={"sort": "date", "order": "asc"}).json()["rows"]
            ]
            views = {"score": answer_of(ids[0]), "nearest": alike(ids[0]), "list": listed, "progress": over_time}
            photograph(views | {"teach": taught, "compare": compared(*ids[:2]), "improve": improved})


if __name__ == "__main__":
    main()
