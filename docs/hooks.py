"""What the site has beside the files of this folder: an index of each generated section, and links that lead out."""

from __future__ import annotations

from typing import Any

from links import DOCS, ROOT, outside_code, relinked
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SECTIONS = {"methods": "Methods", "datasets": "Data sets", "backbones": "Backbones"}


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
    pages = [{page.stem: f"{value}{page.name}"} for page in sorted((DOCS / value).glob("*.md"))]
    return {title: [f"{value}index.md", *pages]}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the index of each generated section: its table of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, title in SECTIONS.items():
        table = text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
        page = f"# {title}\n\n" + table.replace(f"](docs/{name}/", "](")
        files.append(File.generated(config, f"{name}/index.md", content=page))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to folders and to what is not on the site into links that work there."""
    folder = (DOCS / page.file.src_uri).parent
    return outside_code(markdown, lambda text: relinked(text, folder, config.extra["repository"]))
