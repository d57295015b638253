"""What the site has beside the files of this folder: the generated pages in its navigation, and links that lead out."""

from __future__ import annotations

from typing import Any

from links import DOCS, outside_code, relinked
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of a folder where the navigation names it."""
    config.nav = [_filled(entry) for entry in config.nav or ()]
    return config


def _filled(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, value),) = entry.items()
    if not str(value).endswith("/"):
        return entry
    first = f"{value}README.md"
    pages = [{page.stem: f"{value}{page.name}"} for page in sorted((DOCS / value).glob("*.md"))]
    return {title: [first, *(page for page in pages if first not in page.values())]}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to folders and to what is not on the site into links that work there."""
    folder = (DOCS / page.file.src_uri).parent
    return outside_code(markdown, lambda text: relinked(text, folder, config.extra["repository"]))
