"""Names that are no options: the one that was meant is suggested, wherever it belongs."""

import pytest

import aqakit
from aqakit.errors import OptionError
from aqakit.training.recipe import make_recipe
from aqakit.training.settings import Settings
from tests.cli.test_commands import aqakit as command


def said(**options) -> str:
    with pytest.raises(OptionError) as told:
        make_recipe("dae", data="synthetic_dives", backbone="skeleton", **options)
    return str(told.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("alhpa", "alpha"),  # of the method
        ("protocoll", "protocol"),  # of the run
        ("lerning_rate", "learning_rate"),  # of training
        ("backbones", "backbone"),  # of the call itself
    ],
)
def test_the_option_that_was_meant_is_suggested(given, meant):
    assert said(**{given: 1}) == f"method dae: {given}: not an option; did you mean {meant!r}?"


def test_without_a_near_name_all_are_listed_by_whose_they_are():
    sentence = said(xyzzy=1)
    for part in ("of method dae: loss, ", "of the run: task, ", "of training: epochs, ", "of the call: data, "):
        assert part in sentence
    assert all(name in sentence for name in Settings.__dataclass_fields__)


def test_all_that_is_wrong_is_told_at_once():
    sentence = said(alpha="much", epochs="many", target="x", lerning_rate=1)
    for part in ("did you mean 'learning_rate'?", "alpha: ", "the run: target: ", "training: epochs: "):
        assert part in sentence


def test_python_and_the_command_line_say_it_too(monkeypatch, capsys, tmp_path):
    with pytest.raises(OptionError, match="did you mean 'learning_rate'"):
        aqakit.train("dae", data="synthetic_dives", backbone="skeleton", out=tmp_path / "run", lerning_rate=1)
    words = ["--data", "synthetic_dives", "--backbone", "skeleton"]
    for given, meant in {
        "--alhpa": "--alpha",
        "--protocoll": "--protocol",
        "--lerning-rate": "--learning-rate",
    }.items():
        assert command(monkeypatch, "train", "dae", *words, "-o", tmp_path / "run", given, 1) == 2
        assert meant in capsys.readouterr().err
    assert command(monkeypatch, "benchmark", *words[1:], "--methods", "dae:lerning_rate=1") == 2
    assert "did you mean 'learning_rate'?" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
