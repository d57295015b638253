"""Docstrings as Markdown: their little reStructuredText, and their examples as code."""

from __future__ import annotations

import inspect
import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = markdown(inspect.cleandoc(obj.docstring.value))


def markdown(docstring: str) -> str:
    """A docstring with plain code in place of roles, and fences around its examples."""
    text = re.sub(r":\w+:`[~.]*(?:\w+\.)*(\w+)`", r"`\1`", docstring).replace("``", "`")
    return re.sub(r"^( *)>>>.*?(?=\n\s*\n|\Z)", _fenced, text, flags=re.DOTALL | re.MULTILINE)


def _fenced(example: re.Match[str]) -> str:
    code = re.sub(r" *# doctest:.*", "", example[0])
    return f"{example[1]}```pycon\n{code}\n{example[1]}```"
