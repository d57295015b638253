"""Name an option as the user writes it: ``--difficulty`` on the command line, ``difficulty=`` in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_typed = ContextVar("typed", default=False)


@contextmanager
def on_command_line() -> Iterator[None]:
    """Within this context, options are those of the command line."""
    before = _typed.set(True)
    try:
        yield
    finally:
        _typed.reset(before)


def option(name: str, value: object = None) -> str:
    """Return an option, with a value if there is one; True is that of a switch.

    >>> option("difficulty"), option("validation", 0.2), option("finetune", True)
    ('difficulty=', 'validation=0.2', 'finetune=True')
    >>> with on_command_line():
    ...     option("difficulty"), option("validation", 0.2), option("freeze_norm", True)
    ('--difficulty', '--validation 0.2', '--freeze-norm')
    """
    if _typed.get():
        flag = f"--{name.replace('_', '-')}"
        return flag if value in (None, True) else f"{flag} {value}"
    return f"{name}=" if value is None else f"{name}={value!r}"
