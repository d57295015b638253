"""Result tables in print and in a terminal: what is bold, what is escaped, and that no number is folded."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aqakit.cli.app import COMMANDS, _load
from aqakit.evaluation.benchmark import Table
from aqakit.evaluation.judging import COLUMNS
from aqakit.metrics.summary import TWO_VALUES
from aqakit.report import latex, markdown, tables
from aqakit.report.best import LETTERS, OVERLAP, best
from aqakit.report.output import Output
from aqakit.report.typeset import typeset

HOSTILE = r"a_b & 50 % #1 $x$ {y} ~ ^ \z [w] <v> |u| `t` *s* !r @q --p"


def row(method: str, spearman: float, letters: str | None, **more: object) -> dict[str, object]:
    """A row of a benchmark with all metrics."""
    values = {name: round(1 - spearman + k / 7, 4) for k, name in enumerate((*COLUMNS, *TWO_VALUES))}
    start = {"method": method, "data": "set", "task": "set", "protocol": "official", "rule": "held-out"}
    ends = {"low": spearman - 0.05, "high": spearman + 0.05, "group": letters, "folds": [spearman, spearman]}
    return (
        start
        | {"optimistic": False, "seeds": 3, "members": 5, "samples": 353, "spearman": spearman}
        | ends
        | values
        | more
    )


ROWS = [
    row("regression", 0.91, "a"),
    row("dae", 0.90, "ab", mae=0.2),
    row("usdl", 0.85, "b"),
    row("dae", 0.97, None, low=None, high=None, optimistic=True, rule="best-test (optimistic)", mae=0.1),
    row("floor: constant", 0.0, "c", rule="–", seeds=None, members=None),
    row("ceiling: judges' rule", 0.99, "d", rule="–", seeds=None, members=None),
]


def bold(column: str, rows: list[dict[str, object]] = ROWS) -> set[int]:
    return best(rows, column)[0]


def test_bold_is_the_best_and_what_does_not_differ():
    assert best(ROWS, "spearman") == ({0, 1}, LETTERS)
    assert best(ROWS, "mae") == ({1}, "")  # neither the optimistic one nor the ceiling
    near = [r | {"group": None} for r in ROWS]
    assert best(near, "spearman") == ({0, 1, 2}, OVERLAP)  # 0.86 to 0.96 and 0.80 to 0.90
    assert best(ROWS, "width_90") == (set(), "")
    assert best(ROWS[:1], "spearman")[0] == set()


def test_a_coverage_is_best_near_its_level():
    rows = [row("a", 0.5, None, coverage_90=1.0), row("b", 0.5, None, coverage_90=0.88)]
    assert bold("coverage_90", rows) == {1}


def test_rows_of_two_tasks_do_not_compete():
    rows = [row("a", 0.9, "a"), row("b", 0.5, "b"), row("a", 0.2, "a", task="other"), row("b", 0.4, "b", task="other")]
    assert bold("spearman", rows) == {0, 3}


def parsed(text: str) -> list[list[list[tuple[str, bool]]]]:
    """Tables of Markdown as rows of cells: their text and whether it begins bold, by another library's parser."""
    found, cell = [], None
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("td_open", "th_open"):
            cell = found[-1][-1]
        elif token.type == "inline" and cell is not None:
            words = token.children or []
            shown = "".join(word.content for word in words if word.type == "text")
            cell.append((shown, any(word.type == "strong_open" for word in words)))
        elif token.type in ("td_close", "th_close"):
            cell = None
    return found


def test_markdown_is_read_back():
    set_ = typeset(ROWS, title="t", hide=Table([], "").details)
    (read,) = parsed(markdown.markdown([set_]))
    assert [cell for cell, _ in read[0]][:4] == ["method", "rule", "samples", "Spearman ρ ↑"]
    assert [r[0][0] for r in read[1:]] == [r["method"] for r in ROWS]
    place = [cell for cell, _ in read[0]].index("Spearman ρ ↑")
    values = [tuple(map(float, re.findall(r"-?\d+\.\d+", r[place][0]))) for r in read[1:]]
    known = [tuple(v for v in (r["spearman"], r["low"], r["high"]) if v is not None) for r in ROWS]
    assert values == [pytest.approx(v) for v in known]
    assert {k for k, r in enumerate(read[1:]) if r[place][1]} == {0, 1}


WORDS = st.text(st.characters(exclude_categories=["C"]), min_size=1).filter(lambda s: s.strip())


@given(WORDS)
def test_no_text_is_markup_in_markdown(word):
    (read,) = parsed(markdown.markdown([typeset([{"name": word, "mae": 0.5}], title=word, notes=[word])]))
    assert read[1][0] == (word.strip(), False)
    assert read[1][1][0] == "0.500"


SAID = {
    "textbackslash{}": "\\", "textasciitilde{}": "~", "textasciicircum{}": "^", "textless{}": "<", "textgreater{}": ">",
    "textbar{}": "|", "textasciigrave{}": "`", "dots{}": "…",
}  # fmt: skip


def read_latex(text: str) -> str:
    """What LaTeX prints, as far as this reader knows its commands; anything else is an error."""
    out, k, depth = "", 0, 0
    while k < len(text):
        letter = text[k]
        if text.startswith("{''}", k):  # braces keep it from joining an apostrophe beside it
            out, k = out + '"', k + 4
            continue
        if letter == "\\":
            command = re.match(r"[a-z]+\{\}|[{}$&#_%]", text[k + 1 :])
            assert command, text[k:]
            out += SAID.get(command[0], command[0])
            k += 1 + len(command[0])
            continue
        if letter == "$":  # one mathematical sign
            end = text.index("$", k + 1)
            out += {"$-$": "−"}.get(text[k : end + 1], "?")
            k = end + 1
            continue
        assert letter not in "&#_%~^", text
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
        out += "" if letter in "{}" else letter
        k += 1
    assert depth == 0
    assert not re.search(r"--", text)
    return out


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"])).filter(lambda s: "''" not in s))
@example("'\"'")
def test_no_text_is_a_command_in_latex(word):
    assert read_latex(latex.escape(word)) == word


def test_latex_has_rules_bold_and_a_caption(tmp_path):
    set_ = typeset(ROWS, title=HOSTILE, notes=["line one\n\\input{x}"], hide=Table([], "").details)
    text = latex.latex([set_])
    assert all(text.count(f"\\{rule}rule") == count for rule, count in (("top", 1), ("mid", 2), ("bottom", 1)))
    assert "\\textbf{0.910} {\\scriptsize {[}0.860, 0.960{]}}" in text
    assert "best-test (\\emph{optimistic})" in text
    caption = re.search(r"\\caption\{(.*)\}", text)[1]
    assert all(word in caption for word in ("rotocol: official", "seeds: 3", "members: 5", "95 \\% intervals", "Bold:"))
    assert not re.search(r"^[^%]*\\input", text, re.MULTILINE)
    one = latex.latex([typeset(ROWS[:3], title="t")])
    assert "rule: held-out" in re.search(r"\\caption\{(.*)\}", one)[1]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_is_compiled(tmp_path):
    rows = [r | {"method": name} for r, name in zip(ROWS, (HOSTILE, "[1cm]", "*", '"quoted"', "é", "--"), strict=True)]
    body = latex.latex([typeset(rows, title=HOSTILE), typeset([], title=HOSTILE), typeset(rows[:2], hide=COLUMNS)])
    start = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    (tmp_path / "t.tex").write_text(f"{start}{body}\\end{{document}}\n")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in ("train", "benchmark", "weights")])
def test_every_command_with_results_writes_them_for_print(name):
    flags = {flag for one in _load(name, completing=True).params for flag in one.opts}
    files = {"--json", "--latex", "--markdown", "--wide"} & flags
    listings = ("new", "check", "pose", "methods", "datasets", "backbones")
    assert files in (({"--json"},) if name in listings else (set(), {"--json", "--latex", "--markdown", "--wide"}))


# A terminal of 80 columns

LONG = "dae:alpha=0.5:hidden=1024:dropout=0.5 (transductive)"


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("name", ["dae", LONG])
@pytest.mark.parametrize("details", [(), Table([], "").details])
def test_no_number_is_folded_at_80_columns(monkeypatch, capsys, count, name, details):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")  # no codes for bold
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = [r | {"method": name, "mae": 100.123 + k, "width_90": 1234.5} for k, r in enumerate(ROWS[:count])]
    tables.show(rows, hide=details, wide=False)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    body, _, missing = out.partition("Not shown for want of room:")
    said = " ".join(missing.split())
    for column in (c for c in rows[0] if c not in details):
        shown = column.replace("_", " ")
        if re.search(rf"(^| ){shown}( |\.|,|$)", said):
            continue
        for r in rows:
            for value in r[column] if isinstance(r[column], list) else [r[column]]:
                number = f"{value:.2f}" if isinstance(r[column], list) else tables.text(value)
                assert isinstance(value, str) or number in body.split(), (column, number)
    assert "spearman" in body
    assert ("--wide shows all" in said) == bool(missing)
    tables.show(rows, wide=True)
    assert all(tables.text(r["auc"]) in line for r, line in zip(rows, capsys.readouterr().out.splitlines()[1:]))


def test_what_goes_from_a_narrow_table_is_named_with_its_value(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Output().show(ROWS)
    assert "protocol (official)" in " ".join(capsys.readouterr().out.split())


def test_json_has_every_column(tmp_path):
    output = Output(json=tmp_path / "t.json")
    output.write(ROWS)
    assert json.loads((tmp_path / "t.json").read_text()) == ROWS
