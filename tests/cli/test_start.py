"""A command line that starts at once: what only reads names or prints help loads no heavy library."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from aqakit import discovery
from aqakit.cli.app import COMMANDS, app
from aqakit.system import configuration

HEAVY = ("torch", "scipy", "sklearn", "matplotlib", "transformers")
CODE = f"""
import sys
sys.argv[0] = "aqakit"
from aqakit.cli.app import main
try:
    main()
finally:
    print("loaded:", *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


def aqakit(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE, *words],
        env=os.environ | {"COLUMNS": "80"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        "--help", "-h", "--version", "methods", "datasets", "backbones", "weights", "train --help", "predict -h",
        "evaluate --help", "check --help", "report --help", "serve --help", "demo --help", "pose --help",
        "export --help", "new --help",
    ],
)  # fmt: skip
def test_help_and_listings_load_nothing_heavy(words):
    done = aqakit(*words.split())
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "loaded:"
    assert max(map(len, done.stdout.splitlines())) <= 80 or words == "weights"


def complete(line: str) -> list[str]:
    words = line.split(" ")
    done = aqakit(_AQAKIT_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    assert done.stderr.splitlines()[-1] == "loaded:", done.stderr
    return done.stdout.split()


def test_completion_loads_nothing_heavy_and_knows_names_and_options():
    assert complete("aqakit ") == list(COMMANDS)
    assert complete("aqakit train mus") == ["musdl"]
    assert complete("aqakit train ") == discovery.names("methods")
    wanted = {"--figures", "--finetune", "--flip", "--frame-storage", "--freeze-norm", "--fuse"}
    assert set(complete("aqakit benchmark --f")) == wanted
    assert {"--manifest", "--difficulty"} <= set(complete("aqakit predict --"))


def test_completed_options_of_a_method_are_those_it_takes():
    method = discovery.find("methods", "usdl")
    wanted = {"--" + o.name.replace("_", "-") for o in configuration.options(method.build)}
    assert wanted | {"--epochs", "--target", "--data"} <= set(complete("aqakit train usdl --"))


@pytest.mark.parametrize("kind", ["methods", "datasets", "backbones"])
def test_one_line_for_each_and_all_of_one(kind):
    lines = aqakit(kind).stdout.splitlines()
    for name in discovery.names(kind):
        (line,) = [one for one in lines if one.split()[:1] == [name]]
        assert line.strip().endswith(discovery.first_line(kind, name))
    first = discovery.names(kind)[0]
    shown = CliRunner().invoke(app, [kind, first], env={"COLUMNS": "80"}).stdout
    assert discovery.first_line(kind, first) in shown


def test_importing_the_package_is_light_and_dir_is_what_it_offers():
    code = (
        "import sys, aqakit; heavy = [n for n in ('torch', 'numpy', 'pydantic', 'rich') if n in sys.modules]; "
        "print(heavy, dir(aqakit))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    offered = ["AqaRegressor", "AqakitError", "Run", "ScoreDistribution", "Table", "benchmark", "load", "train"]
    offered.append("write_report")
    assert done.stdout.strip() == f"[] {offered}"


def test_a_rendering_process_loads_no_torch():
    """Each of them would take longer to start than to render forty dives."""
    code = "import sys, aqakit.datasets.parts.dives.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
