"""Rhythmic Gymnastics: the real lists against their published counts, the rule of every total, and the recordings."""

from pathlib import Path

import pytest

from aqakit import datasets
from aqakit.datasets.parts import health
from aqakit.errors import DataError
from aqakit.scores.rules import RULES
from tests.releases import RHYTHMIC_HEADER, write_rhythmic_gymnastics

ROW = "Ball_001\t10.50\t8.30\t18.80\t0.00\t92"


def test_the_real_lists(shared_data: Path) -> None:
    loaded = datasets.load("rhythmic_gymnastics", shared_data / "rhythmic-gymnastics")
    assert loaded.tasks == ["Ball", "Clubs", "Hoop", "Ribbon"]
    assert [(len(f.train), len(f.test)) for f in loaded.folds()] == [(200, 50)] * 4
    scores = [s.score for s in loaded.samples if s.score is not None]
    assert (min(scores), max(scores)) == (3.85, 24.0)
    rule = RULES["rhythmic_gymnastics"].score
    assert all(s.score == pytest.approx(rule(s.judges, None).item(), abs=0.011) for s in loaded.samples if s.judges)
    assert health.check(loaded).about("rule") == []
    assert health.check(loaded).ok


def test_a_routine_is_what_its_line_says(tmp_path: Path) -> None:
    root = write_rhythmic_gymnastics(tmp_path)
    loaded = datasets.load("rhythmic_gymnastics", root)
    first = loaded.samples[0]
    assert (first.id, first.action, first.judges) == ("Ball_001", "Ball", (5.5, 8.0, 0.3))
    assert first.score == pytest.approx(5.5 + 8 - 0.3)
    assert first.sources["video"] == root / "videos" / "Ball" / "Ball_001.mp4"
    hoop = next(s for s in loaded.samples if s.id == "Hoop_002")
    assert hoop.sources["video"] == root / "videos" / "Hoop_002.mp4"
    assert loaded.task("Ribbon").folds()[0].test == ("Ribbon_004", "Ribbon_006")


def test_a_penalty_taken_off_twice_is_seen(tmp_path: Path) -> None:
    root = write_rhythmic_gymnastics(tmp_path)
    text = (root / "train.txt").read_text()
    (root / "train.txt").write_text(text.replace("Ball_001\t5.50\t8.00\t13.20", "Ball_001\t5.50\t8.00\t12.90"))
    (finding,) = health.check(datasets.load("rhythmic_gymnastics", root)).about("rule")
    assert finding.subjects == ("Ball_001",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "should start with a header line with the columns Video_Name"),
        (ROW, "should start with a header line with the columns"),
        (f"{RHYTHMIC_HEADER}\n{ROW}\n\nBall_002\t1.0\t2.0\n", "line 4: expected a name and 5 numbers"),
        (f"{RHYTHMIC_HEADER}\n{ROW.replace('8.30', 'nan')}\n", "line 2: expected"),
        (f"{RHYTHMIC_HEADER}\n{ROW.replace('Ball', 'Rope')}\n", "line 2: 'Rope_001' should start with Ball"),
        (None, "train.txt is missing"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = write_rhythmic_gymnastics(tmp_path) / "train.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=sentence) as caught:
        datasets.load("rhythmic_gymnastics", tmp_path)
    assert str(path) in str(caught.value)
