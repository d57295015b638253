"""Every command and every line of Python in the README runs as it is written.

They run in order in a folder that holds what the README speaks of: a (tiny) JIGSAWS, ``my.csv`` with its recordings and
``my_dive.mp4``. Only sizes are substituted, by the two tables below. The lines that lead from nothing to an installed
``aqakit`` run in a shell, where installing stops before the download.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqakit import cli, datasets
from aqakit.datasets.jigsaws import FOLDS
from aqakit.discovery import names
from aqakit.explanation import sentences
from aqakit.recordings import video
from aqakit.report.demo import SETTINGS
from tests.backbones.test_huggingface import save as save_model
from tests.releases import TRIALS, write_jigsaws, write_manifest, write_pictures, write_video

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SMALLER = {
    "synthetic_dives:count=300": "synthetic_dives:count=48",
    "--backbone hog_hof -o": "--backbone hog_hof --epochs 2 -o",
    "--backbone kinematics -o runs/dae": "--backbone kinematics --epochs 5 -o runs/dae",
    'out="runs/dae")': 'out="runs/dae", epochs=5)',
    "--sigma 2 -o runs/usdl": "--sigma 2 --epochs 2 -o runs/usdl",
    "--protocol four-fold --seeds 3": "--protocol four-fold --seeds 1 --epochs 2",
}
"""Text of a command or of Python → what is run instead."""

SMALLER_DEMO = {"data": "synthetic_dives:count=24", "epochs": 1}
"""Of ``aqakit demo``, which has no sizes on its command line."""


FILM = "Film a movement, and be told what to change"
"""Title of the section whose commands need the pose networks."""

INSTALL = """
set -euo pipefail
git() { [ "$1 $2" = "clone https://github.com/aqakit/aqakit" ] && command git clone --quiet --no-local "$ROOT" aqakit; }
make() {
  command make --dry-run "$@" > "made $1"
  [ -d .venv ] || "$PYTHON" -m venv --without-pip .venv
}
pip() {
  [ "$VIRTUAL_ENV $1 $2" = "$PWD/.venv install -e" ] || return
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --dry-run --no-deps --no-build-isolation --no-index "$3"
}
"""
"""In place of downloads and of what other tests run: a clone of this repository, an empty environment."""


def sections() -> dict[str, str]:
    """The text of each section, by its title."""
    found = (part.partition("\n")[::2] for part in README.split("\n## ")[1:])
    return dict(found)


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(program: str, text: str = README) -> Iterator[str]:
    for line in "".join(blocks("console", text)).splitlines():
        assert line.startswith("$ "), line
        if line.split()[1] == program:
            yield line.removeprefix("$ ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A newcomer's folder."""
    place = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:  # all trials, so that each published fold has something to rank
        for task, folds in FOLDS.items():
            patch.setitem(TRIALS, task, " ".join(folds).split())
        write_jigsaws(place / "JIGSAWS")
    write_manifest(place).rename(place / "my.csv")
    write_video(place / "my_dive.mp4", frames=40)
    save_model(place / "mobilenet", "mobilenet_v2")
    return place


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    for name, value in SMALLER_DEMO.items():
        monkeypatch.setitem(SETTINGS, name, value)


def smaller(text: str) -> str:
    for written, run in SMALLER.items():
        text = text.replace(written, run)
    return text


def aqakit(monkeypatch, command: str) -> int:
    words = shlex.split(smaller(command))
    named = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words]  # as a shell does
    monkeypatch.setattr(sys, "argv", [word for some in named for word in some])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_every_command_and_line_of_python_runs(monkeypatch, capsys, folder):
    film = list(commands("aqakit", sections()[FILM]))
    demo = "aqakit demo"  # what make demo does after installing
    for command in [demo, *(one for one in commands("aqakit") if one not in film)]:
        assert aqakit(monkeypatch, command) == 0, f"{command}\n{capsys.readouterr().err}"
        assert capsys.readouterr().out.strip(), command
    assert {p.name for p in folder.glob("*.json")} == {"scores.json", "table.json"}
    assert (folder / "dive.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "demo" / "demo.png").stat().st_size > 10_000
    trained = (folder / "runs" / "dae" / "run.json").stat().st_mtime_ns
    for code in blocks("python"):
        exec(smaller(code), {})
    assert (folder / "runs" / "dae" / "run.json").stat().st_mtime_ns == trained  # opened as it is, as the README says
    assert re.search(r"^\d+\.\d+ \d+\.\d+ \(\d+\.\d+, \d+\.\d+\)$", capsys.readouterr().out, re.MULTILINE)


NAMES = [f"{name}-{k}" for name in ("anna", "ben", "cleo", "dan", "eve") for k in range(1, 7)]


@pytest.fixture
def films(folder, shared_videos):
    """Thirty short parts of a golf swing, by five people, with scores; and one more as the film to score."""
    swing = shared_videos / "golf_swing.mp4"
    pictures = [frame for _, frame in video.stream(swing, range(0, 264, 2), size=(192, 266))]
    places = [folder / "films" / f"{name}.mp4" for name in NAMES]
    for k, place in enumerate([*places, folder / "my_squat.mp4"]):
        write_pictures(place, pictures[3 * k : 3 * k + 24])
    rows = [f"{p.stem},joints/{p.stem}.csv,{1 + k / 4},{p.stem.split('-')[0]}" for k, p in enumerate(places)]
    (folder / "squats.csv").write_text("\n".join(["id,skeleton,score,group", *rows]))


@pytest.mark.slow
def test_from_a_film_to_words(monkeypatch, capsys, films, shared_weights):
    pytest.importorskip("openvino")
    said = ""
    for command in commands("aqakit", sections()[FILM]):
        if command.startswith("aqakit weights get"):
            continue  # needs the internet
        networks = f"--network lite --weights {shared_weights / 'blazepose'}"
        command = command.replace("aqakit pose", f"aqakit pose {networks}")
        assert aqakit(monkeypatch, command) == 0, f"{command}\n{capsys.readouterr().err}"
        printed = capsys.readouterr().out
        assert printed.strip(), command
        said += printed
    assert "held-out training samples, the 90% interval held" in said
    assert "in words" in said
    assert sentences.TOO_FEW not in said
    assert Path("my_squat.pdf").read_bytes().startswith(b"%PDF")


def test_make_does_what_the_readme_says():
    assert [*commands("make")] == ["make demo", "make test"]
    for command in commands("make"):
        done = subprocess.run(
            [*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert {"make demo": "aqakit demo", "make test": "pytest"}[command] in done.stdout


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="needs a repository to clone")
def test_the_lines_of_the_shell_lead_to_an_installed_package(tmp_path):
    lines = [line.removeprefix("$ ") for line in "".join(blocks("console")).splitlines()]
    shell = [line for line in lines if not line.startswith("aqakit ")]
    assert [line.split()[0] for line in shell] == ["git", "cd", "make", "make", ".", "pip"]
    places = os.environ | {"ROOT": str(ROOT), "PYTHON": sys.executable}
    places |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}  # of any owner
    script = "\n".join([INSTALL, *shell, "pwd"])
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=places, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "aqakit")
    assert "aqakit demo" in (tmp_path / "aqakit" / "made demo").read_text()


def test_the_extras_that_are_named_exist():
    extras = set(re.findall(r'pip install (?:-e )?"\.\[(\w+)\]"', README))
    assert extras >= {"fast", "hf", "web"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extras <= set(project["optional-dependencies"])


def test_the_csv_of_the_readme_is_read(tmp_path):
    text = blocks("csv", sections()["Bring your own videos"])[0]
    (tmp_path / "my.csv").write_text(text)
    for row in text.splitlines()[1:]:
        write_video(tmp_path / row.split(",")[1])
    loaded = datasets.load("manifest", tmp_path / "my.csv")
    assert loaded.labels.total is not None
    assert len({s.group for s in loaded.samples}) == 2


def test_every_kind_of_command_is_shown_and_everything_is_counted():
    used = {command.split()[1] for command in commands("aqakit")}
    assert used >= {"check", "train", "predict", "explain", "evaluate", "report", "benchmark", "methods"}
    for kind, title in (("methods", "methods"), ("datasets", "data sets"), ("backbones", "backbones")):
        assert f"[{len(names(kind))} {title}](docs/{kind})" in README


def test_it_is_short_and_begins_with_a_picture_and_the_two_commands():
    lines = README.splitlines()
    assert len(lines) <= 150
    at = {
        text: next(k for k, line in enumerate(lines) if text in line) for text in ("![", "$ make demo", "$ make test")
    }
    assert max(at.values()) < 25
    (place,) = re.findall(r"^!\[[^]]{40,}\]\((\S+)\)$", README, re.MULTILINE)
    assert (ROOT / place).stat().st_size < 100_000
