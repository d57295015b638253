"""Names, options and plugins: what is found, what is checked, and the sentences for what is neither."""

import inspect
import os
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from typer.testing import CliRunner

from aqakit import discovery
from aqakit.cli.app import app
from aqakit.errors import OptionError
from aqakit.system import configuration

PLUGIN = '"""Nothing but a constant."""\nPAPER = "none"\ndef build(features, labels, *, value: float = 1.0): ...\n'


def build(
    features: object,
    *,
    share: Annotated[float, Field(gt=0, le=1, description="a share")],
    kind: Annotated[Literal["a", "b"], Field(description="one of two")] = "a",
    sizes: tuple[int, ...] = (4, 2),
) -> None:
    """Stands for a method's ``build``."""


def test_options_are_the_keyword_only_parameters():
    found = configuration.options(build)
    signature = inspect.signature(build).parameters
    assert [o.name for o in found] == [n for n, p in signature.items() if p.kind is p.KEYWORD_ONLY]
    assert [o.required for o in found] == [True, False, False]
    assert [o.help for o in found] == ["a share", "one of two", ""]
    assert found[1].default == "a"


def test_text_becomes_the_options_type_and_defaults_are_filled_in():
    assert configuration.configure("it", build, {"share": "0.25"}) == {"share": 0.25, "kind": "a", "sizes": (4, 2)}


def test_checked_options_pass_unchanged():
    once = configuration.configure("it", build, {"share": 1, "kind": "b"})
    assert configuration.configure("it", build, once) == once


def test_all_faults_are_told_at_once():
    with pytest.raises(OptionError) as told:
        configuration.configure("method it", build, {"kind": "c", "sizes": "many", "sise": 3})
    sentence = str(told.value)
    assert sentence.startswith("method it: ")
    for part in ("sise: not an option; did you mean 'sizes'?", "share: must be given", "kind: ", "sizes: "):
        assert part in sentence
    assert "\n" not in sentence


WORD = st.from_regex(r"[a-z_]\w{0,8}", fullmatch=True)
VALUE = st.text(st.characters(codec="ascii", exclude_characters="=\n\r"), max_size=12).map(str.strip)


@given(WORD, st.dictionaries(WORD, VALUE, max_size=4))
def test_a_spec_is_read_back(name, options):
    text = ":".join([name, *(f"{key}={value}" for key, value in options.items())])
    assert discovery.parse_spec(text) == (name, options)


def test_a_spec_by_hand():
    assert discovery.parse_spec("c3d") == ("c3d", {})
    assert discovery.parse_spec("hf:weights=C:/models/vit:every=10") == (
        "hf",
        {"weights": "C:/models/vit", "every": "10"},
    )
    assert discovery.parse_spec("m:hidden=") == ("m", {"hidden": ""})
    for wrong in ("", "two words", "name:", "name:value", ":a=1"):
        with pytest.raises(OptionError, match="name:option=value"):
            discovery.parse_spec(wrong)


@pytest.mark.parametrize("kind", ["methods", "datasets", "backbones"])
def test_every_file_is_found_by_its_name(kind):
    folder = Path(discovery.__file__).parent / kind
    files = sorted(file.stem for file in folder.glob("[!_]*.py"))
    assert discovery.names(kind) == files
    assert all(discovery.find(kind, name).__name__ == f"aqakit.{kind}.{name}" for name in files)


def test_an_unknown_name_is_answered_by_the_nearest():
    with pytest.raises(OptionError, match="there is no dataset 'jigsaw'; did you mean 'jigsaws'"):
        discovery.find("datasets", "jigsaw")


@pytest.fixture
def plugins(tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "trivial.py").write_text(PLUGIN)
    (tmp_path / "methods" / "dae.py").write_text(PLUGIN)
    (tmp_path / "methods" / "_helper.py").write_text("")
    return tmp_path


def test_a_folder_of_plugins_adds_names_and_takes_none(monkeypatch, plugins, tmp_path):
    before = discovery.names("methods")
    monkeypatch.setenv("AQAKIT_PLUGINS", os.pathsep.join([str(plugins), str(tmp_path / "nowhere")]))
    assert discovery.names("methods") == sorted([*before, "trivial"])
    assert discovery.summary(discovery.find("methods", "trivial")) == "Nothing but a constant."
    assert discovery.find("methods", "dae").__file__ != str(plugins / "methods" / "dae.py")
    monkeypatch.delenv("AQAKIT_PLUGINS")
    assert discovery.names("methods") == before
    with pytest.raises(OptionError, match="trivial"):
        discovery.find("methods", "trivial")


def test_the_command_line_knows_a_plugin(plugins):
    done = CliRunner().invoke(app, ["train", "trivial", "--help"], env={"AQAKIT_PLUGINS": str(plugins)})
    assert done.exit_code == 0, done.output
    assert "--value" in done.output


def test_each_wrong_option_is_one_sentence_without_words_of_the_library():
    with pytest.raises(OptionError) as caught:
        configuration.configure("i3d", discovery.find("backbones", "i3d").build, {"convention": "foo", "size": "x"})
    said = str(caught.value)
    assert said.count("convention:") == said.count("size:") == 1
    assert "'piergiaj', 'core' or 'hassony2' (got 'foo')" in said
    assert "literal" not in said
