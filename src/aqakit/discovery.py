"""Registry of methods, data sets, backbones and formats of skeletons, which are found by their file names.

``methods/dae.py`` is the method ``dae``: adding the file registers it. Every file directly in ``methods/``,
``datasets/``, ``backbones/`` and ``recordings/skeletons/`` is one entry; shared code is in subfolders (``parts/``,
``weights/``).

Names and first docstring lines are read from the files without importing them, so that listings are fast.

Files may also lie outside the package: the environment variable ``AQAKIT_PLUGINS`` names folders (separated as in
``PATH``) with ``methods/``, ``datasets/`` and ``backbones/`` of their own. If a name is used twice, the file of the
package takes precedence. **The code of these files is executed** as soon as one of their names is used, so name only
folders whose content you trust, and to which nobody else can write.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from aqakit.errors import OptionError

PACKAGE = Path(__file__).parent

in_command = False
"""Whether this process is a command, which an interrupt may end at once while it imports modules."""


def names(kind: str) -> list[str]:
    """Return the file names, without suffix, of one kind: ``methods``, ``datasets`` or ``backbones``."""
    return sorted(_files(kind))


def first_line(kind: str, name: str) -> str:
    """Return the first line of the docstring of a file, without importing it."""
    return docstring_line(file_of(kind, name))


def docstring_line(file: Path, function: str | None = None) -> str:
    """Return the first docstring line of a function in a Python file, or of the file if it has no such function."""
    text = file.read_text(encoding="utf-8")
    if function is None and text.startswith('"""'):  # need not parse the rest
        return text[3:].split('"""', 1)[0].strip().split("\n", 1)[0]
    tree = ast.parse(text)
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    return (ast.get_docstring(next(found, tree)) or "").split("\n", 1)[0]


def option_names(file: Path, owner: str) -> dict[str, bool]:
    """Return the options of a function or dataclass, and whether each is a switch, without importing the file.

    The options are the keyword-only parameters of the function, or the fields of the class.
    """
    tree = ast.parse(file.read_bytes())
    node = next(n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == owner)
    if isinstance(node, ast.FunctionDef):
        pairs = [(a.arg, default) for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    else:
        fields = (n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name))
        pairs = [(n.target.id, n.value) for n in fields]  # type: ignore[union-attr]
    return {name: isinstance(v, ast.Constant) and isinstance(v.value, bool) for name, v in pairs}


def find(kind: str, name: str) -> ModuleType:
    """Import the file of that name.

    Raises:
        OptionError: there is no such file; the message gives the nearest name and all known names.
    """
    file_of(kind, name)
    room = f"aqakit.{kind.replace('/', '.')}"
    package = import_module(room)
    package.__path__[1:] = map(str, _folders(kind)[1:])  # files of plugins are imported as modules of the package
    return import_module(f"{room}.{name}")


def plugin_folders() -> list[Path]:
    """Return the folders of ``AQAKIT_PLUGINS`` that are there."""
    named = filter(None, os.environ.get("AQAKIT_PLUGINS", "").split(os.pathsep))
    folders = (os.path.expanduser(folder) for folder in named)  # noqa: PTH111  of pathlib, an unknown ~name is an error
    return [Path(folder) for folder in folders if Path(folder).is_dir()]


def import_module(name: str) -> ModuleType:
    """Import a module. Python may lose an interrupt meanwhile, so that of a command is left to the system."""
    if not in_command or threading.current_thread() is not threading.main_thread():
        return importlib.import_module(name)
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return importlib.import_module(name)
    finally:
        signal.signal(signal.SIGINT, before)


def _folders(kind: str) -> list[Path]:
    return [PACKAGE / kind, *((folder / kind).resolve() for folder in plugin_folders())]


def _files(kind: str) -> dict[str, Path]:
    """Files of one kind by name; of several files with the same name, the first is used."""
    files = [file for folder in reversed(_folders(kind)) for file in folder.glob("*.py")]
    return {file.stem: file for file in files if file.stem.isidentifier() and not file.stem.startswith("_")}


def file_of(kind: str, name: str) -> Path:
    """Return the path of the file of that name.

    Raises:
        OptionError: there is no such file; the message gives the nearest name and all known names.
    """
    known = _files(kind)
    if name not in known:
        raise OptionError(f"there is no {kind.rstrip('s')} {name!r}{nearest(name, sorted(known))}")
    return known[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the probable intention and all known names."""
    known = list(known)
    return f"{meant(name, known) or '.'} Available: {', '.join(known) or 'nothing'}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, as a question; empty if none is near.

    >>> meant("lerning_rate", ["epochs", "learning_rate"]), meant("colour", ["epochs"])
    ("; did you mean 'learning_rate'?", '')
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def summary(thing: object) -> str:
    """Return the first line of an object's docstring."""
    return (inspect.getdoc(thing) or "").split("\n", 1)[0]


def parse_spec(text: str) -> tuple[str, dict[str, str]]:
    """Parse ``name:key=value:key=value``, a name with its options.

    >>> parse_spec("huggingface:weights=models/vit:every=10")
    ('huggingface', {'weights': 'models/vit', 'every': '10'})
    """
    name, *pairs = re.split(r":(?=[A-Za-z_]\w*=)", str(text).strip())
    if not re.fullmatch(r"\w+", name):
        raise OptionError(f"{text!r} should be a name, or name:option=value:option=value")
    return name, dict(pair.split("=", 1) for pair in pairs)


def format_spec(name: str, options: Mapping[str, Any]) -> str:
    """Format a name and its options as :func:`parse_spec` reads them.

    >>> format_spec("huggingface", {"every": 10})
    'huggingface:every=10'
    """
    return ":".join([name, *(f"{key}={value}" for key, value in options.items())])


def lazily(package: str, where: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package whose names are imported on first use.

    PyTorch takes seconds to import. A command that only prints a help text must not wait for it.

    Args:
        package: ``__name__`` of the package.
        where: name → ``module`` for a module of the package, or ``module:attribute``.
    """

    def getattr_(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = where[name].partition(":")
        found = import_module(f"{package}.{module}")
        return getattr(found, attribute) if attribute else found

    return getattr_, lambda: sorted(where)
