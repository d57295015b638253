"""Bars on a terminal and in a notebook, and silence elsewhere."""

import io
import sys

import pytest

import aqakit
from aqakit.system import progress, terminal
from tests.training.test_run import BACKBONE, make_manifest


@pytest.fixture
def on(monkeypatch):
    """A console of some kind in place of standard error; what it gets."""

    def console(**options) -> io.StringIO:
        out = io.StringIO()
        monkeypatch.setattr(progress, "console", terminal.console(file=out, width=120, **options))
        return out

    return console


def drawn() -> None:
    assert list(progress.track(range(3), "looking")) == [0, 1, 2]
    with progress.counting("reading", 10) as more:
        more(10)
    with progress.downloading("weights") as done:
        done(5, 10)
    with progress.epochs(2) as report:
        report(0, {"likelihood": 1.5})
        report(1, {"likelihood": 1.25})


def test_a_terminal_shows_bars_and_a_pipe_nothing(on):
    out = on(force_terminal=True)
    drawn()
    said = out.getvalue()
    for part in ("looking", "3/3", "reading", "100%", "weights", "epochs", "2/2", "likelihood 1.25"):
        assert part in said, part
    out = on(force_terminal=False)
    drawn()
    assert out.getvalue() == ""


def test_without_an_epoch_there_is_no_bar(on):
    out = on(force_terminal=True)
    with progress.epochs(5):
        pass
    assert out.getvalue() == ""


def test_python_shows_the_epochs_unless_a_report_is_given(on, tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    given = {"data": "manifest", "root": make_manifest(tmp_path), "backbone": BACKBONE, "epochs": 2}
    out = on(force_terminal=True)
    aqakit.train("dae", **given, out=tmp_path / "a")
    assert "epochs" in out.getvalue()
    assert "2/2" in out.getvalue()
    out, seen = on(force_terminal=True), []
    aqakit.train("dae", **given, seed=1, out=tmp_path / "b", report=lambda epoch, losses: seen.append(epoch))
    assert seen == [0, 1]
    assert "epochs" not in out.getvalue()


def test_a_notebook_without_widgets_is_told_once_how_to_get_bars(on, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    terminal.say_once.cache_clear()
    on(force_jupyter=True)
    drawn()
    assert capsys.readouterr().err.count("pip install 'aqakit[notebook]'") == 1
