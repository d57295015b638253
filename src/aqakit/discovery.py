"""One file, one thing, found by its file name; its signature is its configuration.

``methods/dae.py`` is the method ``dae``: dropping a file in is registering it. The keyword-only parameters of a
function are its options: the command line, the docs tables and ``run.json`` are made from them.

Files need not lie in the package: the environment variable ``AQAKIT_PLUGINS`` names folders (separated as those of
``PATH``) with ``methods/``, ``datasets/`` and ``backbones/`` of their own. Of one name, the package's file comes first.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import pkgutil
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from aqakit.errors import OptionError


def names(kind: str) -> list[str]:
    """File names, without ending, of one kind: ``methods``, ``datasets`` or ``backbones``."""
    return sorted(m.name for m in pkgutil.iter_modules(_folders(kind)) if not m.name.startswith("_"))


def _folders(kind: str) -> list[str]:
    """The package's folder, then those of the plugins, whose files are imported as modules of the package too."""
    package = importlib.import_module(f"aqakit.{kind}")
    plugins = filter(None, os.environ.get("AQAKIT_PLUGINS", "").split(os.pathsep))
    package.__path__[1:] = [str(Path(folder, kind).resolve()) for folder in plugins]
    return list(package.__path__)


def find(kind: str, name: str) -> ModuleType:
    """The module of that name in that folder.

    Raises:
        OptionError: there is none; the message lists what there is and the nearest name.
    """
    known = names(kind)
    if name not in known:
        raise OptionError(f"there is no {kind.rstrip('s')} {name!r}{nearest(name, known)}")
    return importlib.import_module(f"aqakit.{kind}.{name}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: what was probably meant, and all there is."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} There is: {', '.join(known) or 'nothing'}"


def summary(thing: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").split("\n", 1)[0]


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter: its type as annotated, its default and its one-line help."""

    name: str
    annotation: Any
    default: Any
    help: str

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


def options(function: Callable[..., Any]) -> list[Option]:
    """The keyword-only parameters of a function, in order; help is the ``description`` of its ``Field``."""
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        extras = getattr(hints[name], "__metadata__", ())
        text = next((e.description for e in extras if isinstance(e, FieldInfo) and e.description), "")
        found.append(Option(name, hints[name], parameter.default, text))
    return found


def configure(owner: str, function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Check ``values`` against the options of ``function`` and fill in its defaults.

    Text is converted to the option's type, so values may come from a command line or a JSON file.

    Raises:
        OptionError: every unknown name and every bad value at once.
    """
    known = options(function)
    unknown = [n for n in values if n not in {o.name for o in known}]
    problems = [f"{n}: not an option{nearest(n, [o.name for o in known])}" for n in unknown]
    fields: dict[str, Any] = {o.name: (o.annotation, ... if o.required else o.default) for o in known}
    model = create_model("Options", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    try:
        checked = model(**{n: v for n, v in values.items() if n not in unknown})
    except ValidationError as error:
        problems += [_sentence(item) for item in error.errors()]
    if problems:
        raise OptionError(f"{owner}: " + "; ".join(problems))
    return {o.name: getattr(checked, o.name) for o in known}


def _sentence(item: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return f"{where}: must be given"
    return f"{where}: {str(item['msg'])[:1].lower()}{str(item['msg'])[1:]} (got {item['input']!r})"


def parse_spec(text: str) -> tuple[str, dict[str, str]]:
    """Read ``name:key=value:key=value``, the way a thing and its options are named in one word.

    >>> parse_spec("huggingface:weights=models/vit:every=10")
    ('huggingface', {'weights': 'models/vit', 'every': '10'})
    """
    name, *pairs = re.split(r":(?=[A-Za-z_]\w*=)", text.strip())
    if not re.fullmatch(r"\w+", name):
        raise OptionError(f"{text!r} should be a name, or name:option=value:option=value")
    return name, dict(pair.split("=", 1) for pair in pairs)
