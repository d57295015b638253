"""The columns of a table by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

JUDGE = re.compile(r"(?:judge|j)_?([1-9][0-9]?)")


def plain(name: str) -> str:
    """Return the name of a column in lower case, words joined by ``_``, without what is in brackets.

    >>> plain(" Judge 1 "), plain("Degree of difficulty"), plain("Score (points)")
    ('judge_1', 'degree_of_difficulty', 'score')
    """
    return re.sub(r"[\s_.\-]+", "_", re.sub(r"\([^()]*\)|\[[^\[\]]*\]", " ", name.lower()).strip()).strip("_")


def renamed(header: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return the columns under the names that are read, and what is wrong.

    A column keeps its name in lower case unless it is an alias of one that is missing.

    Args:
        header: names as they are in the file.
        aliases: other names of each column that is read; ``judge_1`` to ``judge_99`` are known beside them.
    """
    names, faults = [name.strip().lower() for name in header], []
    by_alias = {alias: name for name, others in aliases.items() for alias in (name, *others)}
    wanted = [_wanted(name, by_alias) for name in names]
    for target in dict.fromkeys(name for name in wanted if name):
        places = [k for k, name in enumerate(wanted) if name == target]
        if any(names[k] == target for k in places):  # it is there; others of the kind are other things
            continue
        if len(places) > 1:
            found = " and ".join(repr(header[k].strip()) for k in places)
            faults.append(f"{found} may each be {target!r}; give one of them that name")
        else:
            names[places[0]] = target
    return names, faults


def _wanted(name: str, by_alias: Mapping[str, str]) -> str | None:
    simple = plain(name)
    judge = JUDGE.fullmatch(simple)
    return f"judge_{judge[1]}" if judge else by_alias.get(simple)
