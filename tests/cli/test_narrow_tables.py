"""Every table of every command fits into 80 columns, and no number in it is folded or cut.

Which commands print tables is read from the code, so a new one is missed here until it is called.
"""

import ast
import inspect
import io
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from aqakit import cli, discovery
from aqakit.backbones.parts.blazepose import networks
from aqakit.cli.app import COMMANDS
from aqakit.report import tables
from aqakit.report.demo import SETTINGS
from tests import blazepose
from tests.recordings.test_repetitions import bumps
from tests.releases import write_jigsaws
from tests.training.test_run import BACKBONE, make_manifest

WIDTH = 80
NUMBER = re.compile(r"[-−]?\d[\d.,]*(e[+-]\d+)?%?°?")

DIVES = "synthetic_dives:count=24"
LINES = f"""
check manifest my.csv
train dae --data manifest --root my.csv --backbone {BACKBONE} --epochs 3 --validation 0.2 --no-scale-target -o run
train c3d_avg --data {DIVES} --backbone skeleton --epochs 1 --members 1 --hidden 8 -o dives
train sparse --data {DIVES} --backbone movement:dimensions=2:layout=diver17:features=few --target total -o words
evaluate run
evaluate dives
evaluate predictions.csv
predict run 0.npy
predict run 0.npy 1.npy 2.npy 3.npy 4.npy 5.npy --difficulty 2
explain run 0.npy --difficulty 2
explain run 0.npy --difficulty 2 --segments parts.txt
explain words dive.npy --difficulty 2
rank comparisons.csv
repetitions three.csv
compare three.csv smaller.csv
pose square.mkv -o joints.csv
benchmark manifest --root my.csv
benchmark manifest --root my.csv --backbone {BACKBONE} --methods dae,svr:kernel=rbf,usdl --epochs 2 --json table.json
benchmark manifest --root my.csv --backbone {BACKBONE} --methods svr --labels 50%,100%
table table.json
table table.json --metrics spearman,mae,crps
table table.json --metrics spearman,mae,crps --rows data
table run
reproduce --list
reproduce jigsaws/jrg --root JIGSAWS --epochs 1 --seeds 1
weights
demo
"""
"""What is called, in this order, beside the listings."""


def lines() -> list[str]:
    listed = [
        f"{kind} {name}" for kind in ("methods", "datasets", "backbones") for name in ("", *discovery.names(kind))
    ]
    return [*filter(None, LINES.splitlines()), *listed]


def with_tables() -> set[str]:
    """The commands whose code shows a table, or calls something of the command line that does."""
    shows = {"tables.show", "tables.show_fields", "output.show", "listing.show"}
    found = set()
    for name in COMMANDS:
        tree = ast.parse(inspect.getsource(discovery.import_module(f"aqakit.cli.{name}")))
        if shows & {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}:
            found.add(name)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the lines above speak of, small."""
    place = tmp_path_factory.mktemp("narrow")
    make_manifest(place)
    write_jigsaws(place / "JIGSAWS")
    (place / "parts.txt").write_text("1 60 reach\n61 120 grasp\n")
    (place / "comparisons.csv").write_text("better,worse\nanna,ben\nben,carl\nanna,carl\n")
    rng = np.random.default_rng(0)
    rows = [f"v{k},{true:.2f},{true + rng.normal():.2f},1.5" for k, true in enumerate(rng.uniform(0, 100, 20))]
    (place / "predictions.csv").write_text("\n".join(["id,true,mean,std", *rows]))
    channel, _ = bumps([60, 60, 60], [40, 40, 40, 40], height=50)
    np.savetxt(place / "three.csv", channel[:, None] * [1.0, 0.8, -0.5, 0.3], delimiter=",")
    np.savetxt(place / "smaller.csv", channel[:, None] * [1.0, 0.4, -0.5, 0.3], delimiter=",")
    blazepose.write_squares(place / "square.mkv", np.full((20, 1, 2), 30.0) + np.arange(20)[:, None, None], [12])
    return place


class Terminal(io.StringIO):
    """A terminal that keeps what is printed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def narrow(folder, monkeypatch):
    """In a terminal of 80 columns, small settings, and networks that find squares; call one line, get its tables."""
    monkeypatch.chdir(folder)
    for name, value in {"AQAKIT_CACHE": str(folder / "cache"), "COLUMNS": str(WIDTH), "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    for name, value in {"data": DIVES, "epochs": 1}.items():
        monkeypatch.setitem(SETTINGS, name, value)
    monkeypatch.setattr(networks, "locate", blazepose.files)
    monkeypatch.setattr(networks, "Networks", blazepose.Squares)
    seen: list[tuple[str, dict[str, str], str]] = []
    show, show_fields = tables.show, tables.show_fields

    def kept(draw, cells, *given, **options):
        out = sys.stdout
        out.seek(0, io.SEEK_END)
        start = out.tell()
        draw(*given, **options)
        seen.append((options.get("title", ""), cells, out.getvalue()[start:]))

    def spied(rows, **options):
        hidden = options.get("hide", ())
        names = [n for n in dict.fromkeys(n for row in rows for n in row) if n not in hidden]
        names = [n for n in names if not any(tables.is_nested(row.get(n)) for row in rows)]
        kept(show, {n: " ".join(tables.text(row.get(n)) for row in rows) for n in names}, rows, **options)

    def spied_fields(fields, **options):
        cells = {n: f"{v:,}" if isinstance(v, int) else tables.text(v) for n, v in fields.items()}
        kept(show_fields, cells, fields, **options)

    monkeypatch.setattr(tables, "show", spied)
    monkeypatch.setattr(tables, "show_fields", spied_fields)

    def call(line: str) -> list[tuple[str, dict[str, str], str]]:
        seen.clear()
        out = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "argv", ["aqakit", *shlex.split(line)])
            with pytest.raises(SystemExit) as stopped:
                cli.main()
        assert not stopped.value.code, line
        return list(seen)

    return call


def numbers(text: str) -> set[str]:
    return {word for word in (one.strip("()[];:,.") for one in text.split()) if NUMBER.fullmatch(word)}


def check(line: str, title: str, columns: dict[str, str], printed: str) -> None:
    """Fail if a line is too long, or the title or a number of a column that is shown is not there as a whole."""
    assert " ".join(printed.split()).startswith(title), f"{line}\n{printed}"
    assert max(map(len, printed.splitlines()), default=0) <= WIDTH, f"{line}\n{printed}"
    body, _, missing = printed.partition("Not shown for want of room:")
    said = " ".join(missing.split())
    for name, cells in columns.items():
        if re.search(rf"(^| ){re.escape(name.replace('_', ' '))}( \(|\.|,)", said):
            continue
        folded = numbers(cells) - numbers(body)
        assert not folded, f"{line}: {name}: {folded}\n{printed}"


def test_no_number_of_any_command_is_folded_at_80_columns(narrow, folder):
    printing = set()
    for line in lines():
        found = narrow(line)
        for title, columns, printed in found:
            check(line, title, columns, printed)
        printing |= {line.split()[0]} if found else set()
        if line.startswith("train sparse"):
            (first, *_) = sorted((folder / "cache").rglob("dive-00000.npy"))
            Path("dive.npy").write_bytes(first.read_bytes())
    assert printing >= with_tables()
    assert len(printing) >= 15
