"""What people read has no misspelling that codespell knows; words that it takes for one are in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READ = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Makefile",
    "mkdocs.yml",
    "docs",
    "examples",
    "benchmarks",
    "src",
)

pytest.importorskip("codespell_lib")


def misspelt(*places: object) -> list[str]:
    command = [sys.executable, "-m", "codespell_lib", "--toml", ROOT / "pyproject.toml", *places]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 65), done.stderr  # found nothing, or something
    return [line for line in done.stdout.splitlines() if "==>" in line]


def test_nothing_that_is_read_is_misspelt():
    assert not misspelt(*READ)


def test_a_misspelt_word_is_found(tmp_path):
    (tmp_path / "page.md").write_text("A seperate page of occurences.\n")
    assert len(misspelt(tmp_path / "page.md")) == 2
