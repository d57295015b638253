"""Write what is made from the code: pages of methods, data sets, backbones and formats, and tables on other pages.

    python docs/generate.py

``tests/test_docs.py`` fails while a page differs from the file it describes.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import TypeAdapter

from aqakit import discovery
from aqakit.evaluation.selection import PUBLISHED
from aqakit.methods.parts import catalogue
from aqakit.recordings.skeletons.parts import registry as skeletons
from aqakit.system import configuration
from aqakit.system.configuration import Option

DOCS = Path(__file__).resolve().parent
PACKAGE = Path(discovery.__file__).parent
ROOT = DOCS.parent
WITH_TABLES = (DOCS / "design.md", DOCS / "protocols.md")
KINDS = {
    "methods": (
        "Methods",
        "`aqakit methods` prints one line for each, and `aqakit methods NAME` shows one in full. Give options as "
        "`--option value` to `aqakit train NAME`, or as `NAME:option=value` among the methods of a benchmark. "
        "[Measured results](../results.md) say how they compare.",
    ),
    "datasets": (
        "Data sets",
        "`aqakit datasets` prints one line for each, and `aqakit datasets NAME` shows one in full. Give options as "
        "`NAME:option=value`. The data come from their owners, and `aqakit check NAME FOLDER` says what is missing.",
    ),
    "backbones": (
        "Backbones",
        "`aqakit backbones` prints one line for each, and `aqakit backbones NAME` shows one in full. Give options as "
        "`NAME:option=value`. [Which backbone](../which_backbone.md) fits what you have.",
    ),
    "formats": (
        "Formats of joints",
        "A format is recognised by its content and needs no name: put the file or folder into the column `skeleton` of "
        "a [manifest](../manifest.md). [Joints from any pose tool](../skeletons.md) has an example of each.",
    ),
}
"""Of each kind: the title of its index, and how the names in it are used."""
FOLDERS = {kind: kind for kind in KINDS} | {"formats": skeletons.KIND}
"""Of each kind: its folder in the package."""


def main() -> None:
    """Write all of them, and delete the pages of what is no longer there."""
    for path in existing() - pages().keys():
        path.unlink()
    for path, text in wanted().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def wanted() -> dict[Path, str]:
    """The text that each file should have."""
    return pages() | {path: with_tables(path.read_text(encoding="utf-8")) for path in WITH_TABLES}


def existing() -> set[Path]:
    """The generated pages that there are."""
    return {page for kind in KINDS for page in (DOCS / kind).glob("*.md")}


def pages() -> dict[Path, str]:
    """The text of each generated page."""
    indices = {DOCS / kind / "README.md": index(kind) for kind in KINDS}
    found = [(kind, name) for kind, folder in FOLDERS.items() for name in discovery.names(folder)]
    return indices | {DOCS / kind / f"{name}.md": page(kind, name) for kind, name in found}


def index(kind: str) -> str:
    """A table of everything of a kind."""
    title, use = KINDS[kind]
    return "\n\n".join([_made(f"src/aqakit/{FOLDERS[kind]}/"), f"# {title}", use, _table(INDICES[kind]())]) + "\n"


def page(kind: str, name: str) -> str:
    """What a file says of itself, and the options that its signature has, if it takes some."""
    module = discovery.find(FOLDERS[kind], name)
    facts, function, use = _ABOUT[kind](module, name)
    made = _made(f"src/aqakit/{FOLDERS[kind]}/{name}.py")
    text = "\n".join(f"- **{label}**: {value}" for label, value in facts.items())
    parts = [made, f"# {name}", markdown(inspect.getdoc(module) or ""), text]
    if function is not None:
        parts += ["## Options", use, options_table(configuration.options(function))]
    return "\n\n".join(parts) + "\n"


def _made(source: str) -> str:
    return f"<!-- Made from {source} by docs/generate.py: change it there. -->"


def with_tables(text: str) -> str:
    """A text whose tables between ``<!-- rooms -->`` and ``<!-- /rooms -->`` (…) are as of today."""
    for name, rows in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in text and end in text:
            before, _, rest = text.partition(start)
            text = before + start + _table(rows()) + "\n" + end + rest.partition(end)[2]
    return text


def options_table(options: Iterable[Option]) -> str:
    """One row for each option."""
    rows = [
        {
            "option": f"`{o.name}`",
            "values": values(o.annotation),
            "default": "required" if o.required else "–" if o.default is None else f"`{_shown(o.default)}`",
            "meaning": o.help,
        }
        for o in options
    ]
    return _table(rows) if rows else "None."


def values(annotation: Any) -> str:
    """What an option may be, in words.

    >>> from typing import Annotated, Literal
    >>> from pydantic import Field
    >>> [values(a) for a in (Annotated[int, Field(gt=0)], float | None, Literal["a", "b"], tuple[int, ...])]
    ['integer > 0', 'number', '`a`, `b`', 'integers with commas']
    """
    schema = TypeAdapter(annotation).json_schema()
    return " or ".join(_words(part) for part in schema.get("anyOf", [schema]) if part.get("type") != "null")


def markdown(docstring: str) -> str:
    """The little reStructuredText of docstrings, as Markdown."""
    text = re.sub(r":\w+:`[~.]*(?:\w+\.)*(\w+)`", r"`\1`", docstring)
    return text.replace("``", "`")


def _words(schema: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        items = schema["items"] if "items" in schema else schema["prefixItems"][0]
        return f"{_words(items).split(' ')[0]}s with commas"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    kind = schema.get("format") or {"string": "text", "boolean": "yes or no"}.get(schema["type"], schema["type"])
    return " ".join([kind, ", ".join(bounds)]).strip()


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(rows: list[dict[str, str]]) -> str:
    cells = [list(rows[0]), ["---"] * len(rows[0]), *([c.replace("|", r"\|") for c in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _method(module: ModuleType, name: str) -> tuple[dict[str, str], Callable[..., Any], str]:
    use = f"`aqakit train {name} --OPTION VALUE`, or `{name}:option=value` among the methods of a benchmark."
    row = next(row for row in _methods() if row["name"] == name)
    size = f"{row['parameters']:,} on these features and the labels of MTL-AQA" if row["parameters"] else "none"
    facts = {"Reads, as published": row["reads"], "Parameters": size, "Minimises": markdown(row["losses"])}
    return {**facts, "Paper": module.PAPER}, module.build, use


_methods = functools.cache(catalogue.methods)


def _parameters(module: ModuleType) -> dict[str, str]:
    row = next(row for row in _methods() if row["name"] == module.__name__.rpartition(".")[2])
    return {"reads": row["reads"], "parameters": f"{row['parameters']:,}" if row["parameters"] else "–"}


def _dataset(module: ModuleType, name: str) -> tuple[dict[str, str], Callable[..., Any], str]:
    scale = module.SCALE
    scores = f"{scale.low:g} to {scale.high:g} {scale.unit}" if scale else "as in your file"
    facts = {"Scores": scores, "Licence": module.LICENCE, "Citation": module.CITATION}
    return facts, module.samples, f"Given as `{name}:option=value`."


def _backbone(module: ModuleType, name: str) -> tuple[dict[str, str], Callable[..., Any], str]:
    return {"Reads": _reads(module), "Paper": module.PAPER}, module.build, f"Given as `{name}:option=value`."


def _format(module: ModuleType, name: str) -> tuple[dict[str, str], None, str]:
    return {"Recognised if": _recognised(module)}, None, ""


def _recognised(module: ModuleType) -> str:
    sign = markdown(inspect.getdoc(module.fits) or "").removeprefix("Whether ").rstrip(".")
    return f"{sign}, if no other format fits" if getattr(module, "GENERAL", False) else sign


def _reads(module: ModuleType) -> str:
    return str(typing.get_type_hints(module.build)["return"].reads)


def _cited(paper: str) -> str:
    """Authors and year, with the link."""
    link = re.search(r"https?://\S+\w", paper)
    return f"[{catalogue.short(paper)}]({link[0]})" if link else catalogue.short(paper)


_About = tuple[dict[str, str], Callable[..., Any] | None, str]
_ABOUT: dict[str, Callable[[ModuleType, str], _About]] = {
    "methods": _method,
    "datasets": _dataset,
    "backbones": _backbone,
    "formats": _format,
}


def _rows(kind: str, title: str, *more: Callable[[ModuleType], dict[str, str]]) -> list[dict[str, str]]:
    rows = []
    for name in discovery.names(FOLDERS[kind]):
        module = discovery.find(FOLDERS[kind], name)
        row = {title: f"[`{name}`]({name}.md)", "what": markdown(discovery.summary(module))}
        rows.append(row | {k: v for column in more for k, v in column(module).items()})
    return rows


def _published() -> list[dict[str, str]]:
    return [
        {"name": f"`{name}`", "splits": one.splits, "rule": one.rule, "seeds": str(one.seeds), "used by": one.source}
        for name, one in PUBLISHED.items()
    ]


def _rooms() -> list[dict[str, str]]:
    """The rooms in the order that ``tests/test_rooms.py`` enforces."""
    tests = _parsed(ROOT / "tests" / "test_rooms.py")
    rooms = next(n.value for n in tests.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ROOMS")
    return [
        {"room": f"`{name}/`", "what": _first_line(PACKAGE / name / "__init__.py")} for name in ast.literal_eval(rooms)
    ]


def _files() -> list[dict[str, str]]:
    """Every file of the rooms that are not one thing a file, with its first line."""
    rows = []
    for file in sorted(PACKAGE.rglob("*.py")):
        folder = file.parent.relative_to(PACKAGE).as_posix()
        if file.stem != "__init__" and folder not in ("methods", "datasets", "backbones", "."):
            rows.append({"room": f"`{folder}/`", "file": f"`{file.stem}`", "what": _first_line(file)})
    return rows


def _first_line(file: Path) -> str:
    return markdown(discovery.docstring_line(file))


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


INDICES: dict[str, Callable[[], list[dict[str, str]]]] = {
    "methods": lambda: _rows("methods", "method", _parameters, lambda m: {"paper": _cited(m.PAPER)}),
    "datasets": lambda: _rows("datasets", "data set", lambda m: {"licence": m.LICENCE}),
    "backbones": lambda: _rows("backbones", "backbone", lambda m: {"reads": _reads(m)}),
    "formats": lambda: _rows("formats", "format", lambda m: {"recognised if": _recognised(m)}),
}

TABLES: dict[str, Callable[[], list[dict[str, str]]]] = {
    "published": _published,
    "rooms": _rooms,
    "files": _files,
}


if __name__ == "__main__":
    main()
