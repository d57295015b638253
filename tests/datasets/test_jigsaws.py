from collections import Counter, defaultdict
from pathlib import Path

import pytest
from sklearn.model_selection import LeaveOneGroupOut

from aqakit import datasets
from aqakit.backbones import kinematics
from aqakit.datasets import jigsaws
from aqakit.datasets.parts.health import check
from aqakit.errors import AqakitError, DataError, OptionError
from aqakit.features import extract
from aqakit.recordings import pickles
from tests.releases import TRIALS, write_jigsaws, write_video


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_jigsaws(tmp_path / "JIGSAWS")


def test_folds_are_the_published_ones(shared_data: Path) -> None:
    published = pickles.load(shared_data / "jigsaws" / "splits.pkl")
    assert set(published) == set(jigsaws.FOLDS)
    for task, folds in published.items():
        assert [{f"{task}_{trial}" for trial in fold.split()} for fold in jigsaws.FOLDS[task]] == list(map(set, folds))


def test_the_real_release(shared_data: Path) -> None:
    loaded = datasets.load("jigsaws", shared_data / "jigsaws")
    published = pickles.load(shared_data / "jigsaws" / "label.pkl")
    assert {s.id: list(s.judges or ()) for s in loaded.samples} == {
        name: items for name, items in published.items() if not name.startswith("Needle_Passing")
    }
    assert all(s.score == sum(s.judges or ()) for s in loaded.samples)
    for task, trials, low, high in (("Suturing", 39, 8, 30), ("Knot_Tying", 36, 6, 22)):
        scores = [s.score for s in loaded.task(task).samples if s.score is not None]
        assert (len(scores), min(scores), max(scores)) == (trials, low, high)
    assert [s.id for s in loaded.samples if "signal" not in s.sources] == ["Suturing_G001"]
    assert all("video" in s.sources for s in loaded.samples)
    counts = Counter(segment.name for s in loaded.task("Suturing").samples for segment in s.segments)
    assert counts == {  # grep -h -o "G[0-9]*" …/Suturing/transcriptions/*.txt | sort | uniq -c
        "G1": 29, "G2": 166, "G3": 164, "G4": 119, "G5": 37, "G6": 163, "G8": 48, "G9": 24, "G10": 4, "G11": 39
    }  # fmt: skip
    assert [len(fold.test) for fold in loaded.task("Suturing").folds("four-fold")] == [9, 10, 10, 10]


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_a_release_without_video(tmp_path: Path, ending: str) -> None:
    loaded = datasets.load("jigsaws", write_jigsaws(tmp_path, ending))
    assert [s.id for s in loaded.samples] == [f"{task}_{trial}" for task in TRIALS for trial in TRIALS[task]]
    first = loaded.samples[0]
    assert set(first.sources) == {"signal"}
    assert first.sources["signal"].name == f"Suturing_B001{ending}"
    assert (first.action, first.group, first.score, first.judges) == (
        "Suturing",
        "B",
        12.0,
        (1, 2, 3, 3, 2, 1),
    )
    assert [s.attributes["skill"] for s in loaded.samples[:3]] == [0, 1, 2]  # N, I, E


def test_gestures_are_named_segments_counted_from_0(release: Path) -> None:
    loaded = datasets.load("jigsaws", release)
    assert [s.segments for s in loaded.samples[:2]] == [
        (("G1", 2, 11), ("G3", 12, 13), ("G2", 19, 32)),
        (("G1", 2, 11), ("G3", 12, 13), ("G2", 19, 32), ("G3", 33, 39)),
    ]
    assert loaded.labels.segments["G3"] == "pushing the needle through the tissue"
    assert loaded.labels.attributes == {"skill": 3}


def test_gestures_are_counted(release: Path) -> None:
    loaded = datasets.load("jigsaws", release, count_gestures=True)
    assert loaded.labels.attributes == {"skill": 3, "G1": 10, "G2": 10, "G3": 10}
    assert [s.attributes["G3"] for s in loaded.samples[:3]] == [1, 2, 1]
    assert loaded.samples[0].attributes["G15"] == 0  # occurs in no trial, so that no label tells it
    file = release / "Suturing" / "transcriptions" / "Suturing_B001.txt"
    file.write_text("".join(f"{k} {k} G5\n" for k in range(1, 31)))
    assert datasets.load("jigsaws", release, count_gestures=True).samples[0].attributes["G5"] == jigsaws.MOST
    file.unlink()
    with pytest.raises(DataError, match=r"Suturing_B001.txt is missing, so the gestures of Suturing_B001 cannot"):
        datasets.load("jigsaws", release, count_gestures=True)


def test_gestures_may_lie_elsewhere_and_be_missing(release: Path, tmp_path: Path) -> None:
    for task in TRIALS:
        (release / task / "transcriptions").rename((tmp_path / task).mkdir() or tmp_path / task / "transcriptions")
    bare = datasets.load("jigsaws", release)
    assert not any(s.segments for s in bare.samples)
    assert bare.labels.segments == {}
    assert not check(bare).about("release")
    (tmp_path / "Suturing" / "transcriptions" / "Suturing_C001.txt").unlink()
    told = datasets.load("jigsaws", release, transcriptions=str(tmp_path))
    assert [s.id for s in told.samples if not s.segments] == ["Suturing_C001"]
    (finding,) = jigsaws.known_errors(told.samples, release)
    assert finding[1:] == ("trials without a transcription of their gestures", ["Suturing_C001"])
    with pytest.raises(DataError, match="is not a folder; transcriptions should be"):
        datasets.load("jigsaws", release, transcriptions=str(tmp_path / "nowhere"))


def test_gestures_beyond_the_recording_are_found(release: Path) -> None:
    with (release / "Suturing" / "transcriptions" / "Suturing_B002.txt").open("a") as file:
        file.write("41 50 G11\n")
    loaded = datasets.load("jigsaws", release)
    (found,) = check(loaded).about("segments")
    assert found.severity == "error"
    assert "Suturing_B002 (G11, frames 40 to 49 of 40)" in found.sentence
    done = extract.extract(loaded.samples[:2], {"kinematics": kinematics.build(plan="gestures")}, None)
    assert [s.id for s in done.samples] == ["Suturing_B001"]
    assert "Suturing_B002: the segment G11 has frames 40 to 49" in done.failures["Suturing_B002"]


def test_a_video_is_enough(release: Path) -> None:
    for file in (release / "Suturing" / "kinematics").rglob("Suturing_B*"):
        file.unlink()
    write_video(release / "Suturing" / "video" / "Suturing_B001_capture1.avi")
    with pytest.warns(UserWarning, match="1 of 6 scored trials have neither"):
        loaded = datasets.load("jigsaws", release, task="Suturing")
    kinds = {s.id: set(s.sources) for s in loaded.samples}
    assert kinds["Suturing_B001"] == {"video"}
    assert kinds["Suturing_C001"] == {"signal"}
    assert "Suturing_B002" not in kinds


def test_leave_one_out_agrees_with_scikit_learn(release: Path) -> None:
    loaded = datasets.load("jigsaws", release)
    for protocol, letter in (
        ("leave-one-user-out", slice(-4, -3)),
        ("leave-one-supertrial-out", slice(-1, None)),
    ):
        for task in loaded.tasks:
            ids = [s.id for s in loaded.task(task).samples]
            expected = LeaveOneGroupOut().split(ids, groups=[i[letter] for i in ids])
            folds = loaded.task(task).folds(protocol)
            assert [([*f.train], [*f.test]) for f in folds] == [
                ([ids[i] for i in train], [ids[i] for i in test]) for train, test in expected
            ]
    assert [f.name for f in loaded.folds("leave-one-user-out")[:3]] == [
        "Suturing-B",
        "Suturing-C",
        "Suturing-D",
    ]


def test_every_protocol_judges_every_trial_once(release: Path) -> None:
    loaded = datasets.load("jigsaws", release)
    for folds in loaded.splits.values():
        judged = defaultdict(int)
        for fold in folds:
            assert not set(fold.train) & set(fold.test)
            assert len({name.rsplit("_", 1)[0] for name in (*fold.train, *fold.test)}) == 1
            for name in fold.test:
                judged[name] += 1
        assert judged == {s.id: 1 for s in loaded.samples}


def test_one_task_only(release: Path) -> None:
    assert datasets.load("jigsaws", release, task="Knot_Tying").tasks == ["Knot_Tying"]
    with pytest.raises(OptionError, match="'Knot_Tying'"):
        datasets.load("jigsaws", release, task="Knitting")


def _without_annotations(root: Path) -> Path:
    (root / "Suturing" / "meta_file_Suturing.txt").unlink()
    return root


def _annotated(text: bytes) -> object:
    def write(root: Path) -> Path:
        (root / "Suturing" / "meta_file_Suturing.txt").write_bytes(text)
        return root

    return write


def _transcribed(text: str) -> object:
    def write(root: Path) -> Path:
        (root / "Suturing" / "transcriptions" / "Suturing_B001.txt").write_text(text)
        return root

    return write


def _without_recordings(root: Path) -> Path:
    for file in (root / "Suturing" / "kinematics").rglob("*.txt"):
        file.unlink()
    return root


GOOD = b"Suturing_B001\t\tN\t12\t\t1\t2\t3\t3\t2\t1\t\r\n"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda root: None, "needs root"),
        (lambda root: root / "nowhere", "is not a folder"),
        (lambda root: root / "Suturing" / "meta_file_Suturing.txt", "is not a folder"),
        (lambda root: root / "Suturing", "the folder above it"),
        (lambda root: root / "Suturing" / "kinematics", "has no folder Suturing"),
        (_without_annotations, "meta_file_Suturing.txt is missing"),
        (_annotated(b"\r\n\r\n"), "is empty"),
        (_annotated(GOOD + b"Suturing_B002\tN\t17\t4\t2\t2\t3\t3\r\n"), "line 2: expected"),  # five items
        (_annotated(GOOD + b"\r\n" + GOOD.replace(b"\tN\t", b"\tX\t")), "line 3: expected"),
        (_annotated(GOOD.replace(b"12", b"nan")), "line 1: expected"),
        (_annotated(b"\x00\xff\xfe" * 1000), "line 1: expected"),
        (_annotated(GOOD.replace(b"Suturing", b"Knitting")), "line 1: expected a trial such as Suturing_B001"),
        (_transcribed("1 9 G1\n9 12 G2\n"), "line 2: has the segment G2, which begins before G1 has ended"),
        (_transcribed("1 9 G1\n10 12 G16\n"), "Suturing_B001.txt, line 2: 'G16' is not one of G1, G2"),
        (_without_recordings, "has none of its 6 recordings"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(release: Path, spoil: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        datasets.load("jigsaws", spoil(release))  # type: ignore[operator]
    assert isinstance(caught.value, AqakitError)
    assert len(str(caught.value)) < 400
