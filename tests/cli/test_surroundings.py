"""What surrounds a command: names, encodings, homes, ranks, masks, interrupts. Each works, or is one sentence."""

import io
import json
import os
import pwd
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from aqakit.cli import lazy
from aqakit.system import files, output, processes, progress, terminal
from aqakit.system.configuration import configure
from tests.cli.test_commands import aqakit
from tests.training.test_run import BACKBONE, make_manifest

NOBODY = 65534
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("around")
    manifest = make_manifest(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(folder / "cache"))
        before = os.umask(0o027)
        try:
            words = ["train", "dae", "--data", "manifest", "--root", manifest, "--backbone", BACKBONE, "--members", 1]
            assert aqakit(patch, *words, "--epochs", 1, "--validation", 0.2, "-o", folder / "run") == 0
        finally:
            os.umask(before)
    return folder


def named(trained: Path, folder: Path, name: str) -> Path:
    """A copy of a recording under another name."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(io.BytesIO(), 0)  # loads what saving needs
    file.write_bytes((trained / "0.npy").read_bytes())
    return file


# Data alone on standard output


@pytest.mark.parametrize(
    "words",
    [
        "predict RUN RECORDING", "predict RUN RECORDING --csv", "explain RUN RECORDING", "evaluate RUN",
        "evaluate RUN/predictions.csv", "check manifest MANIFEST", "methods", "methods dae", "datasets",
        "datasets manifest", "backbones", "backbones i3d", "weights", "reproduce --list",
        "benchmark manifest --root MANIFEST",
        pytest.param("benchmark manifest --root MANIFEST --backbone BACKBONE --methods svr --labels 50%,100%",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_data_are_alone_on_standard_output(monkeypatch, capfd, trained, words):
    monkeypatch.setenv("AQAKIT_CACHE", str(trained / "cache"))
    where = {
        "RUN": trained / "run",
        "RECORDING": trained / "0.npy",
        "MANIFEST": trained / "my.csv",
        "BACKBONE": BACKBONE,
    }
    for name, path in where.items():
        words = words.replace(name, str(path))
    kind = [] if words.endswith("--csv") else ["--json"]
    assert aqakit(monkeypatch, *words.split(), *kind, "-") == 0
    out, err = capfd.readouterr()
    if kind:
        assert json.loads(out)
    else:
        assert out.splitlines()[0].startswith("recording,score,std")
        assert len(out.splitlines()) == 2
    assert "Traceback" not in err
    assert len(err.splitlines()) >= 2  # the table is not lost


def test_the_demo_too(monkeypatch, capfd, tmp_path):
    from aqakit.report import demo

    class Result:
        rows, title, notes = [{"spearman": 0.5}], "a title", ["a note"]

    monkeypatch.setattr(demo, "demo", lambda *_: Result)
    assert aqakit(monkeypatch, "demo", "-o", tmp_path, "--json", "-") == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == [{"spearman": 0.5}]
    assert "a title" in err
    assert "a note" in err


def test_two_kinds_of_data_do_not_go_to_one_place(monkeypatch, capsys, trained):
    assert aqakit(monkeypatch, "predict", trained / "run", trained / "0.npy", "--json", "-", "--csv", "-") == 2
    assert "only one of --json and --csv" in capsys.readouterr().err


LIGHT = """
import sys
from pathlib import Path
from aqakit.report import tables
file, rows = Path(sys.argv[1]), [{"a": 1}, {"a": 2}]
with tables.beside(file):
    tables.show(rows)
tables.write(rows, file, "json")
"""


def test_the_name_of_standard_output_is_standard_output(tmp_path):
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        done = subprocess.run([sys.executable, "-c", LIGHT, name], capture_output=True, check=True)
        assert json.loads(done.stdout) == [{"a": 1}, {"a": 2}]
    with (tmp_path / "out.json").open("wb") as out:
        out.write(b"#")
        out.flush()
        subprocess.run([sys.executable, "-c", LIGHT, "/dev/stdout"], stdout=out, check=True)
    assert json.loads((tmp_path / "out.json").read_bytes()[1:])
    assert [file.name for file in tmp_path.iterdir()] == ["out.json"]


def test_a_pipe_is_written_through(monkeypatch, capsys, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    assert aqakit(monkeypatch, "datasets", "--json", pipe) == 0
    reader.join(10)
    assert json.loads(got[0])
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert "manifest" in capsys.readouterr().out  # the table


def test_a_device_stays_a_device(monkeypatch, capsys, tmp_path):
    full = tmp_path / "full"
    try:
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        full.open("w").close()
    except PermissionError:
        pytest.skip("devices are made by root")
    assert aqakit(monkeypatch, "datasets", "--json", full) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert stat.S_ISCHR(full.stat().st_mode)
    assert [file.name for file in tmp_path.iterdir()] == ["full"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other" / "data.json")
    for text in ("first", "second"):
        output.write_output(tmp_path / "link", text)
        assert (tmp_path / "other" / "data.json").read_text() == text
    assert (tmp_path / "link").is_symlink()


# Names are printed as they are

NAMES = ["dive [dQw4w9WgXcQ].npy", "x [/2024/a]/v.npy", "[bold red]a[/].npy", ":dog: [link=x].npy", "a\\[b].npy"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_markup(monkeypatch, capsys, trained, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    named(trained, tmp_path, name)
    assert aqakit(monkeypatch, "predict", trained / "run", name) == 0
    assert name in capsys.readouterr().out
    assert aqakit(monkeypatch, "explain", trained / "run", name) == 0
    assert f"{name}: " in capsys.readouterr().out
    assert aqakit(monkeypatch, "predict", trained / "run", f"{name}.gone.npy") == 1
    assert f"{name}.gone.npy: no such file" in capsys.readouterr().err


def test_texts_of_tables_and_options_are_no_markup(monkeypatch, capsys, trained, tmp_path):
    odd = tmp_path / "[b] [/i]"
    odd.mkdir(parents=True)
    (odd / "[red].csv").write_text("id,true,mean,split\na,1,2,[/x]\nb,2,3,[/x]\nc,4,4,[/x]\n")
    assert aqakit(monkeypatch, "evaluate", odd / "[red].csv") == 0
    out = capsys.readouterr().out
    assert "[red].csv" in out
    assert "[/x]" in out
    assert aqakit(monkeypatch, "report", odd / "[red].csv", "--no-data", "-o", odd / "[r].html") == 0
    assert str(odd / "[r].html") in capsys.readouterr().out
    assert aqakit(monkeypatch, "methods", "--jsn[/red]") == 2
    assert "[/red]" in capsys.readouterr().err
    assert aqakit(monkeypatch, "methods", "[/red]") == 2
    assert "'[/red]'" in capsys.readouterr().err


def test_a_bar_shows_a_name_as_it_is():
    (column, *_) = progress._columns() if hasattr(progress, "_columns") else (None,)
    console = terminal.console(file=io.StringIO())
    console.print("[/x] :dog: 7.5")
    assert console.file.getvalue() == "[/x] :dog: 7.5\n"
    assert column is None or not column.markup


# Names in no encoding, and narrow output


def test_a_name_that_is_no_text(monkeypatch, capfd, trained, tmp_path):
    name = os.fsdecode(b"caf\xe9 \xff.npy")
    file = named(trained, tmp_path, name)
    assert aqakit(monkeypatch, "predict", trained / "run", file, "--csv", tmp_path / "s.csv") == 0
    assert "caf\\udce9 \\udcff.npy" in capfd.readouterr().out
    assert "caf\\udce9 \\udcff.npy" in (tmp_path / "s.csv").read_text("utf-8")
    assert aqakit(monkeypatch, "predict", trained / "run", file, "--json", "-") == 0
    assert json.loads(capfd.readouterr().out)[0]["recording"] == str(file)
    assert aqakit(monkeypatch, "explain", trained / "run", file) == 0
    assert aqakit(monkeypatch, "predict", trained / "run", f"{file}.gone") == 1
    assert "caf\\udce9" in capfd.readouterr().err


def test_data_in_a_folder_whose_name_is_no_text(monkeypatch, capfd, tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff\xfe [/x]")
    folder.mkdir(parents=True)
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    manifest = make_manifest(folder)
    words = ["train", "usdl", "--data", "manifest", "--root", manifest, "--backbone", BACKBONE, "--members", 1]
    assert aqakit(monkeypatch, *words, "--epochs", 1, "-o", tmp_path / "run") == 0
    assert aqakit(monkeypatch, "evaluate", tmp_path / "run") == 0
    assert aqakit(monkeypatch, "check", "manifest", manifest) == 0
    assert aqakit(monkeypatch, "report", tmp_path / "run", "-o", folder / "r.html") == 0
    assert (folder / "r.html").read_text("utf-8")
    assert "Traceback" not in capfd.readouterr().err
    assert aqakit(monkeypatch, *words, "-o", folder / "run") == 2  # tensors cannot be stored there
    assert "\\udcff\\udcfe [/x]/run: this name is not UTF-8" in capfd.readouterr().err
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    assert aqakit(monkeypatch, *words, "-o", tmp_path / "other") == 2
    assert "/cache: this name is not UTF-8" in capfd.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_narrow_output_takes_every_text_and_data_stay_utf8(monkeypatch, trained, tmp_path, encoding):
    file, raw = named(trained, tmp_path, "Łódź – 東京.npy"), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding))
    assert aqakit(monkeypatch, "predict", trained / "run", file) == 0
    sys.stdout.flush()
    assert b"\\u2013" in raw.getvalue() or b"\x96" in raw.getvalue()
    raw.truncate(0)
    assert aqakit(monkeypatch, "predict", trained / "run", file, "--csv", "-") == 0
    assert "Łódź – 東京.npy" in raw.getvalue().decode()


# Homes


def test_a_user_without_home(monkeypatch, capsys, trained):
    def unknown(_):
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "AQAKIT_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    assert aqakit(monkeypatch, "predict", trained / "run", trained / "0.npy") == 0
    words = ["train", "dae", "--data", "manifest", "--root", trained / "my.csv", "--backbone", BACKBONE]
    assert aqakit(monkeypatch, *words, "-o", trained / "homeless") == 2
    assert "set AQAKIT_CACHE to a folder" in capsys.readouterr().err
    monkeypatch.setenv("AQAKIT_CACHE", str(trained / "cache"))
    assert aqakit(monkeypatch, *words, "--epochs", 1, "--members", 1, "-o", trained / "homeless") == 0


def test_home_is_known_in_every_path(monkeypatch, capsys, trained):
    monkeypatch.setenv("HOME", str(trained))
    monkeypatch.setenv("AQAKIT_CACHE", "~/cache")
    assert files.default_cache() == trained / "cache"
    assert aqakit(monkeypatch, "predict", "~/run", "~/0.npy", "--json=~/s.json", "--csv", "~/s.csv") == 0
    assert aqakit(monkeypatch, "predict", "~/run", "--manifest=~/my.csv") == 0
    assert aqakit(monkeypatch, "evaluate", "~/run/predictions.csv") == 0
    assert aqakit(monkeypatch, "check", "manifest", "--root=~/my.csv") == 0
    words = ["--data", "manifest", "--root=~/my.csv", "--backbone", BACKBONE, "--members", 1, "--epochs", 1]
    assert aqakit(monkeypatch, "train", "dae", *words, "--out=~/home-run") == 0
    assert aqakit(monkeypatch, "report", "~/home-run", "-o", "~/r.html", "--no-data") == 0
    assert all((trained / name).exists() for name in ("s.json", "s.csv", "home-run/run.json", "r.html"))
    assert json.loads((trained / "home-run" / "run.json").read_text())["recipe"]["root"] == str(trained / "my.csv")
    capsys.readouterr()
    assert aqakit(monkeypatch, "evaluate", "~nobody-of-this-name/run") == 2
    assert "there is no such home folder" in capsys.readouterr().err


def test_plugins_at_home(monkeypatch, capsys, tmp_path):
    (tmp_path / "mine" / "methods").mkdir(parents=True)
    (tmp_path / "mine" / "methods" / "ours.py").write_text('"""A method of ours."""\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AQAKIT_PLUGINS", "~/mine:~nobody-of-this-name/x")
    assert aqakit(monkeypatch, "methods") in (0, 1, 2)
    assert "A method of ours." in capsys.readouterr().out


def test_paths_of_commands_and_options_are_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = {}
    lazy.at_home(lambda **given: seen.update(given))(a=Path("~/x"), b=[Path("~"), Path("y")], c="~", d=Path("-"))
    assert seen == {"a": tmp_path / "x", "b": [tmp_path, Path("y")], "c": "~", "d": Path("-")}

    def owner(*, file: Path | None = None, text: str = ""): ...

    assert configure("owner", owner, {"file": "~/x", "text": "~"}) == {"file": tmp_path / "x", "text": "~"}


# Ranks that nobody set


@pytest.mark.parametrize(
    "left", [{"RANK": "3"}, {"WORLD_SIZE": "4"}, {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, {"RANK": "abc"}]
)
def test_leftover_ranks_are_ignored_and_said(monkeypatch, capsys, trained, tmp_path, left):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AQAKIT_CACHE", str(trained / "cache"))
    words = ["--data", "manifest", "--root", trained / "my.csv", "--backbone", BACKBONE, "--members", 1]
    terminal.say_once.cache_clear()
    assert aqakit(monkeypatch, "train", "dae", *words, "--epochs", 1, "-o", tmp_path / "run") == 0
    out, err = capsys.readouterr()
    assert "spearman" in out
    assert (tmp_path / "run" / "run.json").exists()
    assert f"{' and '.join(n for n in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK') if n in left)} are not of torchrun" in err


def test_a_rank_that_is_no_number_is_a_sentence(monkeypatch, capsys, trained):
    whole = {"RANK": "0", "WORLD_SIZE": "two", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in whole.items():
        monkeypatch.setenv(name, value)
    assert processes.forget_leftovers() == []
    assert aqakit(monkeypatch, "predict", trained / "run", trained / "0.npy") in (0, 2)
    words = ["--data", "manifest", "--root", trained / "my.csv", "--backbone", BACKBONE]
    assert aqakit(monkeypatch, "train", "dae", *words, "-o", trained / "never") == 2
    err = capsys.readouterr().err
    assert "WORLD_SIZE=two is not a number" in err
    assert "Traceback" not in err


# Modes of files


def test_files_of_a_run_and_a_cache_have_the_mode_of_the_umask(trained):
    written = [file for folder in ("run", "cache") for file in (trained / folder).rglob("*") if file.is_file()]
    assert len(written) > 30
    assert {stat.S_IMODE(file.stat().st_mode) for file in written} == {0o640}


@pytest.mark.parametrize("name", ["run.json", "checkpoint.safetensors", "recalibration.json", "training.json", "."])
def test_a_run_that_only_its_owner_can_read_is_a_sentence(monkeypatch, capsys, trained, name):
    assert aqakit(monkeypatch, "predict", trained / "run", trained / "0.npy") == 0  # loads all modules
    folders = [folder for folder in (trained, *trained.parents) if folder.stat().st_mode & 0o005 != 0o005]
    file, root = trained / "run" / name, os.geteuid() == 0
    modes = {path: path.stat().st_mode for path in (file, *folders, trained / "0.npy", *(trained / "run").iterdir())}
    for path in modes:
        path.chmod(0o755 if path.is_dir() else 0o644)
    file.chmod(0o700 if root else 0)
    try:
        if root:
            os.seteuid(NOBODY)
        assert aqakit(monkeypatch, "predict", trained / "run", trained / "0.npy") == 1
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)
    err = capsys.readouterr().err
    assert "ermission denied" in err
    assert str(trained / "run") in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("mask", [0o777, 0o277, 0o077, 0o000])
def test_an_odd_umask(monkeypatch, capsys, tmp_path, mask):
    before = os.umask(mask)
    try:
        assert aqakit(monkeypatch, "datasets", "--json", tmp_path / "m.json") in (0, 1)
    finally:
        os.umask(before)
    err = capsys.readouterr().err
    if err:  # who is not root cannot write what the mask takes away
        assert "ermission denied" in err
        assert not list(tmp_path.iterdir())
    else:
        assert stat.S_IMODE((tmp_path / "m.json").stat().st_mode) == 0o666 & ~mask


# Interrupts

PROGRAM = """
import sys
sys.argv = ["aqakit", *sys.argv[1:]]
import aqakit
print("go", flush=True)
from aqakit.cli.app import main
main()
"""


def _interrupted(after: float, *words: str) -> None:
    command = [sys.executable, "-c", PROGRAM, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "go\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT, 1)
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1, err


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3])
def test_an_interrupt_while_importing_leaves_no_traceback(tmp_path, after):
    _interrupted(after, "evaluate", str(tmp_path / "nowhere"))


@pytest.mark.slow
@pytest.mark.parametrize("after", np.linspace(0, 6, 25).tolist())
def test_an_interrupt_at_any_time_of_a_start_leaves_no_traceback(tmp_path, after):
    words = ["train", "dae", "--data", "synthetic_dives:count=400", "--backbone", "skeleton", "--epochs", "2000"]
    _interrupted(after, *words, "-o", str(tmp_path / "run"))


def test_importing_the_library_leaves_interrupts_alone():
    code = "import signal, aqakit; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


# What is said and what is stated


def test_plugins_are_said_to_be_executed(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("AQAKIT_PLUGINS", f"{tmp_path}:{tmp_path / 'gone'}")
    assert aqakit(monkeypatch, "datasets", "manifest") == 0
    err = capsys.readouterr().err
    assert f"AQAKIT_PLUGINS: the code in {tmp_path} is executed" in err
    assert "gone" not in err
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docs/design.md", "src/aqakit/discovery.py")]
    for text in (page.read_text("utf-8") for page in pages):
        at = text.index("AQAKIT_PLUGINS")
        assert "execute" in text[at : at + 600]


def test_the_notice_names_what_wheels_bring():
    notice = (ROOT / "NOTICE").read_text("utf-8")
    assert 'license-files = ["LICENSE", "NOTICE"]' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert all(word in notice for word in ("FFmpeg", "x264", "x265", "GPL", "OpenBLAS", "libgfortran", "openpyxl"))
    wheel = Path(av.__file__).parents[1] / "av.libs"
    brought = {name for name in ("x264", "x265", "mp3lame") if list(wheel.glob(f"lib{name}*"))}
    assert not brought - {name for name in ("x264", "x265") if name in notice} - {"mp3lame"}
    assert "mp3lame" not in brought or "LAME" in notice
