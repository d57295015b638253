"""Links of the pages, as the site has them.

Links are written for the files as they lie in the repository. On the site a folder is its README, and what is not in
this folder is in the repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Apply a change to what is not in fenced code."""
    parts = re.split(r"(^ *```.*?^ *```)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if k % 2 else change(part) for k, part in enumerate(parts))


def relinked(text: str, folder: Path, repository: str) -> str:
    """Markdown with the links that it has on the site.

    Args:
        text: Markdown of a page.
        folder: where the page lies.
        repository: address of the repository.
    """

    def link(found: re.Match[str]) -> str:
        address, mark, anchor = found[1].partition("#")
        target = (folder / address).resolve()
        if not address or ":" in address or not target.exists():
            return found[0]
        if not target.is_relative_to(DOCS):
            kind = "tree" if target.is_dir() else "blob"
            return f"]({repository}/{kind}/main/{target.relative_to(ROOT)}{mark}{anchor})"
        return f"]({address.rstrip('/')}/README.md{mark}{anchor})" if target.is_dir() else found[0]

    return re.sub(r"\]\(([^)\s]+)\)", link, text)
