"""From a benchmark to a paper: its table in LaTeX, figures, the report and a notebook say the same numbers."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pypdf import PdfReader

import aqakit
from tests.cli.test_commands import aqakit as command
from tests.report.pdf import check_pdf

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[1] / "examples" / "06_in_a_notebook.ipynb"
DIVES = "synthetic_dives:count=40"
METHODS = ("regression", "svr")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the walk goes: a benchmark of two methods on rendered dives, its table and its runs."""
    place = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("AQAKIT_CACHE", str(place / "cache"))
        words = ["--backbone", "skeleton", "--target", "total", "--methods", ",".join(METHODS), "--epochs", 2]
        files = ["--out", "runs", "--json", "table.json", "--latex", "main.tex", "--markdown", "main.md"]
        assert command(patch, "benchmark", DIVES, *words, *files) == 0
        figures = ["--figures", "figures", "--no-data"]
        assert command(patch, "report", "runs", "-o", "report.html", *figures) == 0
    return place


@pytest.fixture(scope="module")
def rows(folder):
    return {row["method"]: row for row in json.loads((folder / "table.json").read_text())}


def read_table(text: str) -> list[list[str]]:
    """The rows of a LaTeX table in plain text; an error if braces or environments are not balanced."""
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    (columns, body) = re.search(r"\\begin\{tabular\}\{(\w+)\}(.*)\\end\{tabular\}", text, re.DOTALL).groups()
    body = re.sub(r"\\(top|mid|bottom)rule", "", body)
    found = [re.split(r"(?<!\\)&", row) for row in body.split("\\\\") if row.strip()]
    assert {len(row) for row in found} == {len(columns)}
    return [[re.sub(r"\\(textbf|scriptsize|emph)|[{}$]|\[.*\]", "", cell).strip() for cell in row] for row in found]


def test_the_table_in_latex_and_in_markdown_is_that_of_the_json(folder, rows):
    header, *body = read_table((folder / "main.tex").read_text())
    place = next(k for k, title in enumerate(header) if "Spearman" in title)
    shown = {row[0]: row[place].replace("−", "-") for row in body}
    markdown = (folder / "main.md").read_text()
    assert len(shown) == len(rows) > len(METHODS)
    for name, row in rows.items():
        number = f"{row['spearman']:.3f}"
        assert shown[name].startswith(number)
        assert re.search(rf"^\| {re.escape(name)} \|.*{re.escape(number)}", markdown, re.MULTILINE)


TYPESETTERS = {"pdflatex": ["-interaction=nonstopmode", "-halt-on-error"], "tectonic": ["--only-cached"]}


@pytest.mark.skipif(not any(map(shutil.which, TYPESETTERS)), reason="needs pdflatex or tectonic")
def test_the_table_is_typeset(folder):
    program = next(filter(shutil.which, TYPESETTERS))
    start = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\\input{main}\\end{document}\n"
    (folder / "paper.tex").write_text(start)
    words = [program, *TYPESETTERS[program], "paper.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Spearman" in PdfReader(folder / "paper.pdf").pages[0].extract_text()


def test_the_report_has_the_numbers_of_the_table(folder, rows):
    page = (folder / "report.html").read_text()
    (task,) = json.loads(re.search(r'id="report-data">(.*?)</script>', page, re.DOTALL)[1])["tasks"]
    found = {row["method"]: row for row in task["rows"]}
    for method in METHODS:
        for name in ("spearman", "mae", "low", "high"):
            assert found[method][name] == pytest.approx(rows[method][name], abs=1e-6)


def test_the_figures_are_for_print(folder):
    files = sorted((folder / "figures").glob("*.pdf"))
    named = {file.stem for file in files}
    for kind in ("predicted-against-true", "reliability", "interval-width", "risk-coverage"):
        assert any(kind in name for name in named), kind
    for file in files:
        check_pdf(file)
        assert file.with_suffix(".png").stat().st_size > 1000
        assert "<svg" in file.with_suffix(".svg").read_text()


def executed(folder: Path, cells: list[str]) -> list[dict[str, object]]:
    """What the cells of a notebook show, in a kernel of its own."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(folder / "cache"))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("PYTHONPATH", str(Path(aqakit.__file__).parents[1]), prepend=os.pathsep)
        nbclient.NotebookClient(
            book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    return [output for cell in book.cells for output in cell.outputs]


def test_a_notebook_shows_bars(folder):
    pytest.importorskip("ipywidgets")
    train = f'aqakit.train("dae", data="{DIVES}", backbone="skeleton", epochs=30, members=1, out="runs/bars")'
    seen = [output.get("data", {}) for output in executed(folder, [f"import aqakit\nrun = {train}"])]
    assert any("application/vnd.jupyter.widget-view+json" in data for data in seen)
    assert not any("install" in str(data) for data in seen)


def test_the_notebook_shows_tables_and_pictures(folder):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells)
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    small = [one.replace("count=200", "count=40").replace('out="', 'epochs=2, members=1, out="') for one in code]
    assert sum(a != b for a, b in zip(code, small, strict=True)) == 2
    shown = executed(folder, small)
    (run,) = (output["text"] for output in shown if output["output_type"] == "stream" and output["name"] == "stdout")
    assert run.startswith("Run 'runs/notebook': regression on skeleton")
    kinds = [set(output["data"]) for output in shown if output["output_type"] == "execute_result"]
    assert sum("text/html" in kind for kind in kinds) == 2  # the answers, and the frame
    assert sum("image/png" in kind for kind in kinds) == 2
