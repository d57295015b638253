"""``run.predict`` in Python: one recording, several, what is said beside them, and types that a checker accepts."""

import importlib.util
import re
import subprocess
import sys

import pytest

import aqakit
from aqakit.errors import AqakitError, DataError, OptionError
from tests.cli.test_commands import aqakit as command
from tests.training.test_run import BACKBONE, make_manifest

USER = """
from pathlib import Path
import aqakit

run = aqakit.load("runs/mine")
mean: float = run.predict("a.mp4").mean
low, high = run.predict(Path("a.mp4"), difficulty=3.0).interval(0.9)
width: float = high - low
both: float = run.predict({"video": "a.mp4", "signal": Path("b.txt")}).std
many = run.predict(["a.mp4", "b.mp4"], difficulty=[3.0, None], kind="5253B")
largest: float = float(many.mean.max())
each: list[float] = [one.quantile(0.5) for one in many]
folder = run.predict(sorted(Path("films").glob("*.mp4")))
figure = folder[1:].plot()
said: tuple[str, ...] = folder.notes
"""
WRONG = [
    'text: str = run.predict("a").mean',
    'number: float = run.predict(["a"]).mean',
    'run.predict("a").meen',
    "run.predict(1)",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answering")
    return aqakit.train(
        "dae", data="manifest", root=make_manifest(folder), backbone=BACKBONE, out=folder / "run", epochs=3,
        target="total", cache=folder / "cache",
    )  # fmt: skip


def test_several_are_answered_as_one_by_one(run):
    files = [run.folder.parent / f"{k}.npy" for k in (3, 1, 2)]
    degrees = [1.6, 3.2, 2.0]
    found = run.predict(files, difficulty=degrees)
    alone = [run.predict(file, difficulty=degree) for file, degree in zip(files, degrees, strict=True)]
    assert found.mean == pytest.approx([one.mean for one in alone])
    assert found.interval(0.8)[1] == pytest.approx([one.interval(0.8)[1] for one in alone])
    assert list(found.recordings) == list(map(str, files))
    assert [one.notes for one in found] == [one.notes for one in alone]
    for given in (tuple(map(str, files)), files):
        assert run.predict(given, difficulty=2.0).mean == pytest.approx(found.mean / degrees * 2)


def test_notes_are_those_of_the_command(run):
    known, test = run.folder.parent / "0.npy", run.folder.parent / f"{int(run.ids('test')[0][1:])}.npy"
    trust = tuple(run.trust.sentences())
    assert run.predict(known, difficulty=2).notes[-1].startswith("this recording was in the training set")
    assert run.predict([known, test], difficulty=2).notes[len(trust)].startswith(f"{known}: this recording was")
    assert run.predict(test, difficulty=2).notes[: len(trust)] == trust


def test_what_cannot_be_asked_is_a_sentence(run, tmp_path):
    file = run.folder.parent / "1.npy"
    with pytest.raises(OptionError, match="difficulty= has 1 values for 2 recordings"):
        run.predict([file, file], difficulty=[2.0])
    with pytest.raises(OptionError, match="there is no recording to score"):
        run.predict([])
    with pytest.raises(AqakitError, match=r"none\.npy: no such file"):
        run.predict([file, tmp_path / "none.npy"], difficulty=2)


def test_messages_are_in_the_words_of_whoever_asks(run, monkeypatch, capsys):
    file = run.folder.parent / "1.npy"
    assert command(monkeypatch, "predict", run.folder, file) == 1
    assert "give --difficulty, or a column difficulty" in capsys.readouterr().err
    with pytest.raises(DataError, match="give difficulty=, or a column difficulty"):
        run.predict(file)


def test_a_repr_tells_what_the_run_is(run):
    said = repr(run)
    scale = run.labels.scale
    assert str(run.folder) in said
    assert f"dae on {BACKBONE}" in said
    assert "learnt from manifest, fold fold-1, 2 members" in said
    assert f"scores from {scale.low:g} to {scale.high:g} points, as judges' total × difficulty" in said
    assert said.endswith(run.trust.sentences()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_script_is_typed(tmp_path, checker):
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    start = USER.split("mean: float")[0]
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "wrong.py").write_text("\n".join([start, *WRONG]))
    words = ["mypy", "--strict"] if checker == "mypy" else ["pyright", "--pythonpath", sys.executable]
    done = subprocess.run(
        [sys.executable, "-m", *words, "user.py", "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    found = set(re.findall(r"(\w+\.py):(\d+)\S* (?:- )?error", done.stdout))
    first = start.count("\n") + 2
    assert found == {("wrong.py", str(first + k)) for k in range(len(WRONG))}, done.stdout
