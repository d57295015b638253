"""The cards of the demo say what its code does and what was measured."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from aqakit.datasets import synthetic_dives
from aqakit.datasets.parts.dives.catalogue import POSITIONS
from aqakit.datasets.parts.dives.motion import FPS
from aqakit.datasets.parts.splits import train_validation_split
from aqakit.report.demo import SETTINGS
from aqakit.training.recipe import make_recipe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MODEL, DATA = ((DOCS / f"{name}_card.md").read_text() for name in ("model", "data"))


def rows(text: str) -> dict[str, str]:
    """The second cell of each row of a page's tables, by the first."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    return {first: second for first, second, *_ in cells}


@pytest.fixture(scope="module")
def dives():
    """What is known of the dives of the demo, none of which is rendered."""
    recipe = make_recipe("dae", **SETTINGS)
    return [synthetic_dives._row(dive) for dive in synthetic_dives.dives(int(recipe.data_options["count"]), seed=0)]


def test_the_data_card_describes_the_dives(dives):
    said = rows(DATA)
    score, degree, frames = (np.array([row[key] for row in dives]) for key in ("score", "difficulty", "frames"))
    marks = np.array([row["judges"] for row in dives])
    positions = Counter(synthetic_dives._element(row["number"]).position for row in dives)
    assert said["dives"] == str(len(dives))
    assert f"{FPS} frames per second" in said["what"]
    assert said["frames of a dive"] == f"{frames.min()} to {frames.max()}"
    assert said["dive numbers"] == str(len({row["number"] for row in dives}))
    assert said["events, each with a pool of its own"] == str(len({row["event"] for row in dives}))
    assert Counter({name: int(n) for name, n in re.findall(r"(\w+) (\d+)", said["position"])}) == positions
    assert set(positions) == set(POSITIONS)
    assert said["difficulty"] == f"{degree.min():g} to {degree.max():g}"
    assert said["judges"] == f"{marks.shape[1]}, in half points from {marks.min():g} to {marks.max():g}"
    spread = f"mean {score.mean():.1f}, standard deviation {score.std():.1f}"
    assert said["score"] == f"{score.min():g} to {score.max():g}, {spread}"


def test_the_cards_describe_the_split(dives):
    samples = [synthetic_dives._sample(Path(), row) for row in dives]
    fold = synthetic_dives.splits(samples, None)["standard"][0]
    known = [sample for sample in samples if sample.id in set(fold.train)]
    train, validation = train_validation_split(known, SETTINGS["validation"], seed=0)
    said = rows(DATA)
    assert said["training"] == str(len(train))
    assert said["validation: never trained on; recalibrates the intervals"] == str(len(validation))
    assert said["test (protocol `standard`)"] == str(len(fold.test))
    events = {sample.id: sample.group for sample in samples}
    assert {events[i] for i in fold.test} <= {sample.group for sample in known}
    assert len({events[i] for i in validation}) == 3
    assert f"{len(train)} rendered dives" in rows(MODEL)["learnt from"]
    assert f"{len(validation)} dives of three events" in MODEL


def test_the_model_card_has_the_settings():
    said = rows(MODEL)
    named = {key.strip("`"): value.strip("`") for key, value in said.items() if key.startswith("`")}
    assert named == {key: str(value) for key, value in SETTINGS.items()}


def test_the_model_card_has_the_measured_numbers():
    def numbers(text: str, start: str) -> list[str]:
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
        return [cell.strip() for cell in line.split("|")[2:-1]]

    readme, trust = (ROOT / "README.md").read_text(), (DOCS / "trust.md").read_text()
    assert numbers(MODEL, "this run") == numbers(readme, "DAE on `c3d_small`")
    for floor in ("floor: difficulty only", "floor: length only"):
        assert numbers(MODEL, floor) == numbers(readme, floor)
    measured = re.findall(r"^\| demo \| .* \| (.*) \|$", trust, re.MULTILINE)
    flagged = {second for _, second in rows(MODEL.partition("| recordings |")[2]).items()} - {"---"}
    assert set(", ".join(measured[:2]).split(", ")) <= {one for cell in flagged for one in cell.split(", ")}
    assert {measured[2], f"{measured[3]}; {measured[4]}", *measured[5:]} <= flagged
