"""The building blocks of an HTML page: page frame, tables, paragraphs, pictures and embedded data.

A page runs no script and fetches nothing; its content-security policy forbids both.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from aqakit.report.curves import OPTIMISTIC
from aqakit.report.tables import Row, text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, body: str) -> str:
    """Return the whole file around a body of HTML; the title is plain text."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head><body>{body}</body></html>\n"
    )


def table(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """Return a table with titled columns; columns that are empty in all rows are left out."""
    used = {n: title for n, title in columns.items() if any(row.get(n) is not None for row in rows)}
    kinds = {n: next(_kind(row[n]) for row in rows if row.get(n) is not None) for n in used}
    head = "".join(f'<th scope="col"{_mark(title) or kinds[n]}>{escape(title)}</th>' for n, title in used.items())
    lines = []
    for row in rows:
        cells = "".join(f"<td{_kind(row.get(n))}>{escape(_cell(row.get(n)))}</td>" for n in used)
        lines.append(f"<tr{' class=floor' if row.get('floor') else ''}>{cells}</tr>")
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class=table tabindex="0"><table>{body}</table></div>'


def paragraphs(sentences: Sequence[str]) -> str:
    """Return each sentence as a small paragraph."""
    return "".join(f"<p class=note>{escape(sentence)}</p>" for sentence in sentences)


def picture(source: str, label: str) -> str:
    """Return a picture given as a data URI."""
    return f'<img alt="{escape(label)}" src="{escape(source)}">'


def embedded(name: str, data: Any) -> str:
    """Return JSON values in an element with the id ``name``."""
    encoded = json.dumps(data, separators=(",", ":"))
    safe = re.sub(r"[<>&]", lambda m: f"\\u{ord(m[0]):04x}", encoded)  # so that no text in it ends the element
    return f'<script type="application/json" id="{name}">{safe}</script>'


def _mark(title: str) -> str:
    return ' class="number optimistic"' if OPTIMISTIC in title else ""


def _cell(value: object) -> str:
    return "∞" if value == math.inf else text(value)


def _kind(value: object) -> str:
    return " class=number" if isinstance(value, int | float) and not isinstance(value, bool) else ""
