"""The wheel holds what the repository holds and runs where it is installed; the files about the package are true."""

import json
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
import yaml

import aqakit
from aqakit import cli
from aqakit.web import app, server

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked(folder: str = "") -> set[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder or "."], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(listed.stdout.rstrip("\0").split("\0"))


def build(target: str, out: Path, root: Path = ROOT) -> Path:
    pytest.importorskip("hatchling")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out], cwd=root, check=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def entries(wheel: Path) -> dict[str, str]:
    """The hash of each file, from the RECORD of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        return dict(line.split(",")[:2] for line in archive.read(record).decode().splitlines())


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    packed = {name for name in entries(wheel) if ".dist-info/" not in name}
    there = {name.removeprefix("src/") for name in tracked("src/aqakit") if (ROOT / name).exists()}
    assert packed >= there
    assert not {name for name in packed - there if not name.endswith(".py")}  # not added to the repository yet


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (file,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = message_from_string(archive.read(file).decode())
    assert said["Version"] == aqakit.__version__
    assert said["Requires-Python"] == ">=3.11"
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(said.get_all("Classifier"))
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_notice_names_every_dependency():
    notice = (ROOT / "NOTICE").read_text().lower()
    extras = [PROJECT["optional-dependencies"][name] for name in ("fast", "scale", "web")]
    wanted = [re.split(r"[\[>=<]", one)[0] for one in (*PROJECT["dependencies"], *extras[0], *extras[1], "pillow")]
    plain = {"typer", "pydantic", "rich", "sacrebleu", "safetensors"}  # bring nothing under another licence than theirs
    assert not [name for name in wanted if name not in plain and name not in notice]


def test_citation():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= said.keys()  # what version 1.2.0 of the format requires
    assert said["version"] == aqakit.__version__
    assert said["license"] == PROJECT["license"]
    assert said["repository-code"] == PROJECT["urls"]["Repository"]
    assert [one["name"] for one in said["authors"]] == [one["name"] for one in PROJECT["authors"]]


@pytest.fixture(scope="module")
def dockerfile():
    """The instructions of the Dockerfile: pairs of a word and the rest."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def rest(dockerfile, word: str) -> list[str]:
    return [said for one, said in dockerfile if one == word]


def test_the_image_has_what_an_installation_needs(dockerfile):
    copied = [name for line in rest(dockerfile, "COPY") for name in line.split()[:-1]]
    known = tracked()
    assert all(name in known or any(one.startswith(f"{name}/") for one in known) for name in copied)
    assert {"src", "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= set(copied)
    sent = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"]
    assert set(copied) == set(sent)
    installed = " ".join(rest(dockerfile, "RUN"))
    assert "-c constraints.txt" in installed
    assert "$EXTRAS" in installed
    (extras,) = (line.removeprefix("EXTRAS=") for line in rest(dockerfile, "ARG"))
    assert extras in PROJECT["optional-dependencies"]


def test_the_image_serves_and_not_as_root(dockerfile, monkeypatch):
    (user,) = rest(dockerfile, "USER")
    assert user not in ("root", "0")
    words = [*json.loads(rest(dockerfile, "ENTRYPOINT")[0]), *json.loads(rest(dockerfile, "CMD")[0])]
    served = {}
    monkeypatch.setattr(server, "serve", lambda folders, **options: served.update(options, folders=folders))
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    assert served["folders"] == [Path("/model")]
    assert served["host"] == "0.0.0.0"
    assert rest(dockerfile, "EXPOSE") == [str(served["port"])]
    (check,) = rest(dockerfile, "HEALTHCHECK")
    path = re.search(rf"http://127\.0\.0\.1:{served['port']}(/\w+)'", check)[1]
    assert path in {route.path for route in app.router.routes}


@pytest.fixture
def environment(wheel, tmp_path):
    """The interpreter of a new environment with the wheel, whose dependencies are those of these tests."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    words = ["install", "--quiet", "--no-index", "--no-deps", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run([*pip, *words], check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])  # after the wheel's own folder
    return python


@pytest.mark.slow
def test_an_installed_wheel_works(environment, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)

    def run(command: str) -> str:
        words = [environment.parent / (words := shlex.split(command))[0], *words[1:]]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert str(tmp_path / "venv") in run("python -c 'import aqakit; print(aqakit.__file__)'")
    assert run("aqakit --version").split()[-1] == aqakit.__version__
    assert "dae" in run("aqakit methods")
    assert "--out" in run("aqakit demo --help")
    assert "usdl" in run("aqakit reproduce --list")
    assert "page.css" in run(
        "python -c 'from aqakit.report import html; print(*html.Path(html.__file__).parent.iterdir())'"
    )


@pytest.mark.slow
def test_dependencies_are_those_that_the_wheel_asks_for(environment):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", environment]
    done = subprocess.run([*pip, "check"], capture_output=True, text=True, check=False)
    assert "aqakit" not in done.stdout, done.stdout


@pytest.mark.slow
def test_the_source_distribution_makes_the_same_wheel(wheel, tmp_path):
    with tarfile.open(build("sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "sources", filter="data")
    (folder,) = (tmp_path / "sources").iterdir()
    again = entries(build("wheel", tmp_path / "wheel", folder))
    assert again == entries(wheel)
    assert (folder / "tests" / Path(__file__).name).exists()
