"""The commands of the pages that lead a newcomer are commands, and run; their numbers are those of other pages."""

import csv
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from aqakit import cli, discovery
from aqakit.cli.app import app
from aqakit.recordings import skeletons
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.video import containers
from aqakit.report import demo
from aqakit.system import configuration
from aqakit.training.recipe import make_recipe
from tests.backbones.test_huggingface import save as save_model
from tests.releases import write_jigsaws, write_manifest
from tests.walkers import pixels

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = ("which_backbone", "faq", "gallery", "tutorials/coach", "tutorials/researcher")
MEASURED = ("tutorials/researcher",)
"""Pages with numbers of their own."""

BEFORE = {
    "faq": "aqakit train dae --data manifest --root dives.csv --backbone huggingface:weights=mobilenet "
    "--target total -o runs/dives"
}
"""What a page takes for granted."""

WITHOUT_WEIGHTS = ("aqakit weights", "aqakit pose", "aqakit train dae --data manifest --root dives.csv --backbone i3d")
"""What needs the internet or published weights."""

NUMBER = re.compile(r"(?<![\w.])\d*\.\d+(?!\w|\.\d)")


def commands(page: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text()
    blocks = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    return [line.removeprefix("$ ") for line in blocks.splitlines()]


def parsed(words: list[str]) -> tuple[str, dict[str, object]]:
    """The command that words call, and what they give it; an error where the command line would show one."""
    command = typer.main.get_command(app)
    name, *rest = words
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(command.context_class(command, info_name=name), rest)
    return name, command.make_context(name, rest).params


@pytest.mark.parametrize("command", [command for page in GUIDES for command in commands(page)])
def test_every_command_is_one(command):
    words = shlex.split(command)
    name, given = parsed(words)
    if words[1] != "train":
        return
    shared = {"data": given["data"], "backbone": given["backbone"], "root": given["root"]}
    known = {
        n: v for n, v in given.items() if n not in (*shared, "out", "weights", "time_limit", "log") and v is not None
    }
    recipe = make_recipe(name, **shared, **known)
    for backbone, options in recipe.backbones:
        configuration.configure(backbone, discovery.find("backbones", backbone).build, dict(options))


def test_numbers_are_those_of_the_other_pages():
    pages = [
        DOCS.parent / "README.md",
        *(page for page in DOCS.rglob("*.md") if not str(page).endswith(tuple(f"{name}.md" for name in GUIDES))),
    ]
    others = "".join(page.read_text() for page in pages)
    known = set(NUMBER.findall(others))
    for page in set(GUIDES) - set(MEASURED):
        text = re.sub(r"```.*?```", "", (DOCS / f"{page}.md").read_text(), flags=re.DOTALL)
        assert set(NUMBER.findall(text)) <= known, page


def test_the_page_of_backbones_names_all_and_counts_the_formats():
    text = (DOCS / "which_backbone.md").read_text()
    special = {"frames", "mscadc"}  # of one method each
    assert {name for name in discovery.names("backbones") if f"backbones/{name}.md" not in text} == special
    assert f"one of the {len(skeletons.names())} formats" in text


def test_the_questions_quote_what_is_said():
    text = (DOCS / "faq.md").read_text().partition("| it says | do |")[2].partition("\n\n")[0]
    quoted = re.findall(r"^\| (cannot|there is|has no)(.*?) \|", text, re.MULTILINE)
    code = Path(containers.__file__).read_text()
    assert len(quoted) == 3
    assert all("".join(words) in code for words in quoted)


def write_joints(file: Path, seed: int) -> None:
    """A table as of ``aqakit pose``: a walker, a little different from seed to seed."""
    rng = np.random.default_rng(seed)
    joints = pixels("blazepose33") * rng.uniform(0.8, 1.2, 2) + rng.normal(size=(33, 2))
    names = [f"{joint}_{axis}" for joint in LAYOUTS["blazepose33"].joints for axis in ("x", "y")]
    rows = np.column_stack([np.arange(len(joints)) / 30, joints.reshape(len(joints), -1)])
    file.parent.mkdir(exist_ok=True)
    np.savetxt(file, rows, delimiter=",", header=",".join(["time_s", *names]), comments="", fmt="%.4f")


def write_list(file: Path, kind: str, ending: str, count: int = 12) -> list[Path]:
    """A manifest of recordings that are still to be written."""
    rows = [f"r{k},{file.stem}/{k}{ending},{k % 7 + 0.5 * (k % 3)},g{k % 4}" for k in range(count)]
    file.write_text("\n".join([f"id,{kind},score,group", *rows]) + "\n")
    (file.parent / file.stem).mkdir()
    return [file.parent / file.stem / f"{k}{ending}" for k in range(count)]


@pytest.fixture
def folder(tmp_path):
    """What the pages speak of, small."""
    place = tmp_path
    for k, file in enumerate(write_list(place / "squats.csv", "skeleton", ".csv")):
        write_joints(file, k)
    for k, file in enumerate(write_list(place / "sutures.csv", "signal", ".csv")):
        np.savetxt(file, np.random.default_rng(k).normal(size=(200, 6)).cumsum(0), delimiter=",")
    for k, file in enumerate(write_list(place / "features.csv", "features", ".npy")):
        np.save(file, np.random.default_rng(k).normal(size=(3, 1024)).astype(np.float32))
    write_manifest(place / "dives").rename(place / "dives" / "dives.csv")
    text = (place / "dives" / "dives.csv").read_text()
    (place / "dives.csv").write_text(re.sub(r"(\d+\.avi)", r"dives/\1", text))
    shutil.copyfile(place / "dives.csv", place / "my.csv")
    shutil.copyfile(place / "dives" / "3.avi", place / "my_dive.mp4")
    for k in range(12):
        write_joints(place / "joints" / f"{k}.csv", k)
    write_joints(place / "new.csv", 12)
    (place / "comparisons.csv").write_text("better,worse\nanna,ben\nben,carl\nanna,carl\n")
    write_jigsaws(place / "JIGSAWS")
    save_model(place / "mobilenet", "mobilenet_v2")
    return place


SMALLER = {
    "count=200": "count=40",
    "--seeds 2 --epochs 20": "--seeds 1 --epochs 2",
    "count=300": "count=80",
    "--epochs 30": "--epochs 2",
    "--labels 10%,20%,40%,100%": "--labels 40%,100%",
}
"""Text of a command or of Python → what is run instead."""


def smaller(text: str) -> str:
    for written, run in SMALLER.items():
        text = text.replace(written, run)
    return text


def named(word: str) -> list[str]:
    """What a shell makes of a word."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


def call(command: str, monkeypatch, capsys) -> str:
    """What a command prints, after one epoch if it trains by epochs."""
    words = [word for one in shlex.split(smaller(command)) for word in named(one)]
    steps = words[1] == "train" and "epochs" in parsed(words)[1]
    monkeypatch.setattr(sys, "argv", [*words, *(["--epochs", "1"] if steps else [])])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert not stopped.value.code, f"{command}\n{err}"
    assert out.strip(), command
    return out


def fill_in(manifest: Path) -> None:
    """Write scores and groups into the manifest of ``aqakit new``."""
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"score": k % 7, "group": f"person {k % 4}"} for k, row in enumerate(rows))


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES)
def test_every_command_and_line_of_python_runs(page, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    for name, value in {"data": "synthetic_dives:count=24", "epochs": 1}.items():
        monkeypatch.setitem(demo.SETTINGS, name, value)
    for command in filter(None, [BEFORE.get(page), *commands(page)]):
        if command.startswith(WITHOUT_WEIGHTS):
            continue
        printed = call(command, monkeypatch, capsys)
        assert "floor: constant" in printed or command.split()[1] not in ("train", "benchmark")
        for manifest in folder.glob("joints/manifest.csv") if " new " in command else ():
            fill_in(manifest)
    for code in re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL):
        exec(smaller(code), {})
        assert capsys.readouterr().out.count("90 % between") == 3
