"""The site lists every page and every public name, and no link on it is dead."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import aqakit
from aqakit import datasets

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.fixture
def links(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("links")


def listed(entries=CONFIG["nav"]) -> Iterator[str]:
    """The pages and folders of the navigation."""
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from listed(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation_once():
    named = list(listed())
    folders = {name for name in named if name.endswith("/")}
    there = {str(page.relative_to(DOCS)) for page in PAGES}
    assert len(set(named)) == len(named)
    assert {name for name in there if f"{Path(name).parts[0]}/" not in folders} == set(named) - folders
    assert all((DOCS / name / "README.md").exists() for name in folders)


def test_the_site_knows_where_the_repository_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert CONFIG["extra"]["repository"] == project["urls"]["Repository"]


def test_links_on_the_site_lead_to_pages_of_the_site(links):
    repository = CONFIG["extra"]["repository"]
    for page in PAGES:
        found: list[str] = []
        links.outside_code(
            page.read_text(),
            lambda text, page=page, found=found: found.append(links.relinked(text, page.parent, repository)) or text,
        )
        for link in re.findall(r"\]\(([^)\s]+)\)", "".join(found)):
            file = (page.parent / link.partition("#")[0]).resolve()
            picture = file.suffix in (".png", ".svg") and file.is_file() and DOCS in file.parents
            assert link.startswith(("http", "#")) or picture or file in PAGES, f"{page}: {link}"


def test_links_that_leave_the_pages(links):
    text = (
        "[a](../examples) [b](../README.md#licence) [c](methods) [d](start.md#x) [e](https://x.org) [f](#y) [g](z.md)"
    )
    assert links.relinked(text, DOCS, "https://r") == (
        "[a](https://r/tree/main/examples) [b](https://r/blob/main/README.md#licence) [c](methods/README.md) "
        "[d](start.md#x) [e](https://x.org) [f](#y) [g](z.md)"
    )
    assert links.outside_code("[a](b)\n```\n[a](b)\n```\n[a](b)", str.upper) == "[A](B)\n```\n[a](b)\n```\n[A](B)"


def test_the_reference_has_every_public_name():
    text = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    paths = re.findall(r"^::: (.+)$", text, re.MULTILINE)
    found = []
    for path in paths:
        module, _, name = path.rpartition(".")
        found.append(getattr(importlib.import_module(module), name))
    public = [getattr(aqakit, name) for name in aqakit.__all__ if name != "AqakitError"]  # that is in aqakit.errors
    assert not [one for one in (*public, datasets.load, datasets.Dataset, aqakit.errors) if one not in found]


class Page(HTMLParser):
    """The names that can be linked to, the links, and what a browser would load, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names, self.links, self.loaded = {""}, set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.names.add(said.get("id") or "")
        if tag == "a" and "href" in said:
            self.links.add(said["href"])
        elif tag != "a":
            self.loaded |= {said[key] for key in ("src", "href") if said.get(key)}


@pytest.mark.slow
def test_the_site_is_built_strictly_and_has_no_dead_link(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    pages = {file: Page(file.read_text()) for file in site.rglob("*.html") if file.name != "404.html"}
    assert len(pages) == len(PAGES)
    for file, page in pages.items():
        assert not [one for one in page.loaded if re.match(r"(https?:)?//", one)], file
        for link in {link for link in page.links if not re.match(r"[a-z]+:", link)}:
            path, _, name = link.partition("#")
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{file}: {link}"
            assert target not in pages or name in pages[target].names, f"{file}: {link}"
        assert not re.search(r":(class|func|meth|mod|data|attr):", file.read_text()), file
