"""Every network and every method has an identity of its name; what has none says why."""

import ast
from pathlib import Path

import pytest

from aqakit import discovery

WITHOUT = {
    "backbones": {
        "kinematics": "no network; its measures have oracles in tests/backbones",
        "movement": "no network; its measures have oracles in tests/backbones",
        "hog_hof": "no network; its histograms have oracles in tests/backbones",
        "tools": "no network; the measures of kinematics for each tool",
        "precomputed": "reads numbers",
        "pose": "the network is a file that OpenVINO runs",
        "blazepose": "the networks are files that OpenVINO runs; their geometry has tests of its own",
    },
    "methods": {},
}


def identities(files: list[Path]) -> set[str]:
    found = set()
    for file in files:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [node.name] if isinstance(node, ast.FunctionDef) else []
            names += [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
            found |= {name.removeprefix("test_") for name in names if name.startswith("test_")}
    return found


@pytest.mark.parametrize("room", WITHOUT)
def test_every_one_has_an_identity(room: str) -> None:
    networks = Path(__file__).with_name("test_backbones.py")
    others = [file for file in Path(__file__).parent.glob("test_*.py") if file != networks]
    there = identities([networks] if room == "backbones" else others)
    names = set(discovery.names(room))
    assert names - there == set(WITHOUT[room])
