"""Options of methods, data sets and backbones: the keyword-only parameters of their functions.

The command line, the tables in the documentation and ``run.json`` are all generated from them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from aqakit.discovery import meant
from aqakit.errors import OptionError
from aqakit.system.files import user_path


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter: its annotated type, default and one-line help."""

    name: str
    annotation: Any
    default: Any
    help: str

    @property
    def required(self) -> bool:
        """Whether the option has no default."""
        return self.default is inspect.Parameter.empty


@lru_cache(maxsize=256)
def options(function: Callable[..., Any]) -> tuple[Option, ...]:
    """Return the keyword-only parameters of a function, in order; help is the ``description`` of the ``Field``."""
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        extras = getattr(hints[name], "__metadata__", ())
        text = next((e.description for e in extras if isinstance(e, FieldInfo) and e.description), "")
        found.append(Option(name, hints[name], parameter.default, text))
    return tuple(found)


def option_help(function: Callable[..., Any], name: str) -> str:
    """Return the help of one option."""
    return next(o.help for o in options(function) if o.name == name)


def configure(
    owner: str,
    function: Callable[..., Any],
    values: Mapping[str, Any],
    beside: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Check ``values`` against the options of ``function`` and fill in its defaults.

    Text is converted to the option's type, so values may come from a command line or a JSON file.

    Args:
        owner: whose options they are, for messages.
        function: whose keyword-only parameters they are.
        values: the options that are given, by name.
        beside: names of further options that can be given in the same place, by whose they are. They are suggested for
            unknown ones.

    Raises:
        OptionError: some names are unknown or values invalid; the message lists them all.
    """
    known = options(function)
    unknown = [n for n in values if n not in {o.name for o in known}]
    places = {owner: [o.name for o in known], **beside}
    hints = {n: meant(n, chain(*places.values())) for n in unknown}
    problems = [f"{n}: not an option{hint}" for n, hint in hints.items()]
    try:
        checked = _model(function)(**{n: v for n, v in values.items() if n not in unknown})
    except ValidationError as error:
        problems += {str(item["loc"][0]): _sentence(item) for item in reversed(error.errors())}.values()
    if problems:
        listed = unknown and not (beside and all(hints.values()))  # three lists are long
        said = f"{owner}: {'; '.join(problems)}"
        raise OptionError(f"{said}{'' if said.endswith('?') else '.'} {_available(places)}" if listed else said)
    found = {o.name: getattr(checked, o.name) for o in known}
    return {name: user_path(value) if isinstance(value, Path) else value for name, value in found.items()}


def assign(
    functions: Mapping[str, Callable[..., Any]], values: Mapping[str, Any], also: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Give each value to the function with an option of its name, and configure all of them.

    Args:
        functions: by whose options they are; of two with an option of one name, the later has it.
        values: the options that are given; those that are of none are said of the first function.
        also: names that are no options and are only suggested, by whose they are.

    Returns:
        The options of each function.

    Raises:
        OptionError: as of :func:`configure`, for all functions at once.
    """
    names = {owner: [o.name for o in options(function)] for owner, function in functions.items()}
    places = {name: owner for owner, known in names.items() for name in known}
    first = next(iter(functions))
    checked, problems = [], []
    for owner, function in functions.items():
        own = {n: v for n, v in values.items() if places.get(n, first) == owner}
        beside = {other: known for other, known in {**names, **also}.items() if other != owner}
        try:
            checked.append(configure(owner, function, own, beside))
        except OptionError as error:
            problems.append(str(error))
    if problems:
        raise OptionError("; ".join(problems))
    return checked


def _available(places: Mapping[str, Sequence[str]]) -> str:
    listed = {owner: ", ".join(names) or "nothing" for owner, names in places.items()}
    several = len(listed) > 1
    return "Available: " + "; ".join(f"of {owner}: {names}" if several else names for owner, names in listed.items())


@lru_cache(maxsize=256)
def _model(function: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {o.name: (o.annotation, ... if o.required else o.default) for o in options(function)}
    return create_model("Options", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)


def _sentence(item: Mapping[str, Any]) -> str:
    """What is wrong with one option; of a union, what its first kind says."""
    where, said = item["loc"][0], str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "missing":
        return f"{where}: must be given"
    return f"{where}: {said[:1].lower()}{said[1:]} (got {item['input']!r})"
