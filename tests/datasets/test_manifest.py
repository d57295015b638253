import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aqakit import datasets
from aqakit.datasets import manifest
from aqakit.errors import DataError, OptionError
from aqakit.scores.rules import RULES
from aqakit.types import ScoreScale, Split
from tests import hostile, walkers
from tests.releases import write_manifest

RULED = "id,path,score,difficulty,judge_1,judge_2,judge_3\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.AVI", "k.txt.gz", "s.npy"):
        (tmp_path / name).write_bytes(b"not looked into here")
    (tmp_path / "frames").mkdir()
    return tmp_path


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "mine.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_every_column_is_read(folder: Path) -> None:
    header = "id,path,skeleton,score,start,end,action,group,difficulty,judge_2,judge_1,somersaults,caption"
    rows = [
        'x,a.mp4,s.npy,27.0,3,102,dive,event 1,1.5,6.5,6,5,"a dive, ""clean"""',
        "y,k.txt.gz,,,,,dive,,,,,,",
    ]
    loaded = datasets.load("manifest", write(folder, "\n".join([header, *rows])))
    x, y = loaded.samples
    assert x.sources == {"video": folder / "a.mp4", "skeleton": folder / "s.npy"}
    assert (x.id, x.score, x.window, x.action, x.group) == ("x", 27.0, (3, 102), "dive", "event 1")
    assert (x.difficulty, x.judges, dict(x.attributes)) == (1.5, (6, 6.5), {"somersaults": 5})
    assert x.caption == 'a dive, "clean"'
    assert y.sources == {"signal": folder / "k.txt.gz"}
    assert (y.score, y.window, y.group, y.judges, y.difficulty, y.caption) == (None,) * 6
    assert dict(y.attributes) == {}
    assert loaded.labels.judges == 2
    assert loaded.labels.attributes == {"somersaults": 6}
    assert loaded.labels.vocabulary == ('"clean"', "a", "dive,")


@pytest.mark.parametrize(
    ("name", "kind"), [("a.mp4", "video"), ("b.AVI", "video"), ("frames", "video"), ("k.txt.gz", "signal")]
)
def test_the_ending_tells_the_kind(folder: Path, name: str, kind: str) -> None:
    file = write(folder, f"id,path,score\n1,{name},\n")
    assert manifest.samples(file)[0].sources == {kind: folder / name}


def test_absolute_paths_and_columns_by_kind(folder: Path) -> None:
    file = write(folder, f"id,video,signal,score\n1,{folder / 'a.mp4'},k.txt.gz,1\n2,,s.npy,2\n")
    first, second = manifest.samples(file)
    assert first.sources == {"video": folder / "a.mp4", "signal": folder / "k.txt.gz"}
    assert second.sources == {"signal": folder / "s.npy"}


def test_what_spreadsheets_write(folder: Path) -> None:
    text = '\ufeffID, Path ,SCORE,caption,turns\r\n1,a.mp4,"7.5","two\r\nlines",3.0\r\n,,,,\r\n\r\n2,b.AVI,8, x ,\r\n'
    first, second = manifest.samples(write(folder, text))
    assert (first.score, first.caption, first.attributes) == (7.5, "two\r\nlines", {"turns": 3})
    assert (second.score, second.caption, second.attributes) == (8.0, "x", {})


def test_parts_have_names(folder: Path) -> None:
    first, second = manifest.samples(
        write(folder, "id,path,score,segments\n1,a.mp4,7,run up 0-4>jump 5-9\n2,b.AVI,8,\n")
    )
    assert first.segments == (("run up", 0, 4), ("jump", 5, 9))
    assert second.segments == ()


ROWS = "id,path,score\nx,a.mp4,1\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("id,path,score\n", "line 1: no rows follow"),
        ("path,score\na.mp4,1\n", "line 1: there is no column 'id'"),
        ("id,score\nx,1\n", "line 1: there is no column 'path'"),
        ("id,path\nx,a.mp4\n", "line 1: there is no column 'score'"),
        ("id,path,score,score\nx,a.mp4,1,1\n", "line 1: 2 columns are named 'score'"),
        ("id,path,score,\nx,a.mp4,1,7\n", "line 1: a column without a name"),
        ("id,path,score,,turns\nx,a.mp4,1,,2\n", "line 1: a column without a name"),
        (ROWS.encode() + b"y,\xe9\x81.mp4,2\n", "line 3: not UTF-8 text"),
        (ROWS.encode() + b"y,\xe9\x00.mp4,2\n", "line 3: not UTF-8 text"),
        (ROWS.encode() + b"y,\x00.mp4,2\n", "is not a text file"),
        (b"PK\x03\x04\x00\x00" * 9, "is not a text file"),
        (ROWS + 'y,"a.mp4,2\nz,a.mp4,3\n', "line 3: .*quotation mark"),
        (ROWS + "x,a.mp4,2\n", "line 3: id 'x' is already on line 2"),
        (ROWS + ",a.mp4,2\n", "line 3: id is empty"),
        (ROWS + "y,a.mp4,2,3\n", "line 3: 4 cells for 3 columns"),
        (ROWS + "y,a.mp4\n", "line 3: 2 cells for 3 columns"),
        (ROWS + 'y,a.mp4,"7,500"\n', "line 3: score '7,500' may have a thousands sign"),
        (ROWS + "y,a.mp4,NaN\n", "line 3: score 'NaN' is not a finite number"),
        (ROWS + "y,a.mp4,-inf\n", "line 3: score '-inf' is not a finite number"),
        (ROWS + "y,gone.mp4,2\n", "line 3: path 'gone.mp4' cannot be used: No such file"),
        (ROWS + f"y,{'n' * 9999}.mp4,2\n", "line 3: path .* cannot be used: File name too long"),
        (ROWS + "y,,2\n", "line 3: no recording is given"),
        (ROWS + "y,mine.doc,2\n", "line 3: path 'mine.doc' cannot be used"),
        ("id,path,video,score\nx,a.mp4,b.AVI,1\n", "line 2: path and video are two recordings of the same kind"),
        ("id,path,score,start,end\nx,a.mp4,1,9,8\n", "line 2: start 9 is after end 8"),
        ("id,path,score,start,end\nx,a.mp4,1,9,\n", "line 2: start and end go together"),
        (
            "id,path,score,start,end\nx,a.mp4,1,-1,5\n",
            "line 2: start '-1' is not a whole number of 0 or more",
        ),
        (
            "id,path,score,start,end\nx,a.mp4,1,0,5.5\n",
            "line 2: end '5.5' is not a whole number of 0 or more",
        ),
        ("id,path,score,segments\nx,a.mp4,1,a 0-5 > b\n", "line 2: segments 'a 0-5 > b' should be names with first"),
        ("id,path,score,segments\nx,a.mp4,1,a 0-5 > b 5-9\n", "line 2: segments .* has the segment b, which begins"),
        ("id,path,score,difficulty\nx,a.mp4,1,0\n", "line 2: difficulty '0' is not greater than 0"),
        ("id,path,score,judge_1,judge_3\nx,a.mp4,1,1,1\n", "line 1: judges should be judge_1 to judge_2"),
        ("id,path,score,judge_1,judge_2\nx,a.mp4,1,1,\n", "line 2: 1 of 2 judges"),
        (
            "id,path,score,split\nx,a.mp4,1,training\n",
            "line 2: split 'training' is not train, validation or test",
        ),
        ("id,path,score,split\nx,a.mp4,1,\n", "line 2: split is empty"),
        ("id,path,score,action\nx,a.mp4,1,dive\ny,a.mp4,1,\n", "line 3: action is empty"),
        (
            "id,path,score,dificulty\nx,a.mp4,1,3.2\n",
            "line 2: column 'dificulty' .* did you mean 'difficulty'",
        ),
    ],
)
def test_each_fault_is_named_with_its_line(folder: Path, text: str | bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        datasets.load("manifest", write(folder, text))
    assert "mine.csv" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_an_unknown_ending_needs_a_column(folder: Path) -> None:
    (folder / "mine.doc").touch()
    with pytest.raises(DataError, match="unknown suffix; put it in a column named video"):
        manifest.samples(write(folder, "id,path,score\n1,mine.doc,2\n"))


def test_all_faults_at_once_in_order_of_line(folder: Path) -> None:
    text = 'id,path,score,start,end\nx,a.mp4,"?",9,8\ny,gone.mp4,nan,,\nx,a.mp4,"1\n2",,\nz,a.mp4,oops,,\n'
    with pytest.raises(DataError, match="has 7 errors") as caught:
        manifest.samples(write(folder, text))
    lines = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert lines == [
        "line 2",
        "line 2",
        "line 3",
        "line 3",
        "line 4",
        "line 4",
        "line 6",
    ]  # a text runs over 4 and 5


def test_a_long_list_of_faults_is_cut(folder: Path) -> None:
    with pytest.raises(DataError, match="has 5000 errors") as caught:
        manifest.samples(write(folder, "id,path,score\n" + "".join(f"{k},gone.mp4,1\n" for k in range(5000))))
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    assert lines[-1].strip() == "… and 4980 more"


@pytest.mark.parametrize("root", [None, Path("nowhere.csv"), Path()])
def test_the_root_is_a_file(root: Path | None) -> None:
    with pytest.raises(DataError, match="a CSV file with the columns id, path and score"):
        datasets.load("manifest", root)


def test_the_scale_and_the_scale_of_totals(folder: Path) -> None:
    file = write(folder, "id,path,score,difficulty\n1,a.mp4,30,2\n2,a.mp4,80,3.2\n3,a.mp4,,1\n")
    found = manifest.samples(file)
    labels = manifest.labels(found)
    assert labels.scale == ScoreScale(30, 80)
    assert labels.total == ScoreScale(15, 25)  # 30 / 2 and 80 / 3.2
    assert manifest.labels(found, low=0, high=104.5, unit="marks").scale == ScoreScale(0, 104.5, "marks")
    assert manifest.labels(found[:1]).scale == ScoreScale(30, 31)


def test_options_that_do_not_fit(folder: Path) -> None:
    file = write(folder, RULED + "1,a.mp4,30,2,5,5,5\n2,a.mp4,99,2,5,5,5\n")
    with pytest.raises(OptionError, match="'diving'"):
        manifest.samples(file, rule="divng")
    with pytest.raises(OptionError, match="low=9 should be less than high=3"):
        manifest.samples(file, low=9, high=3)
    with pytest.raises(DataError, match="line 3: score 99 is outside the scale from 0 to 50"):
        manifest.samples(file, low=0, high=50)
    with pytest.raises(DataError, match="the rule sum_of_items needs 6 columns judge_1, judge_2, …; there are 3"):
        manifest.samples(file, rule="sum_of_items")


def test_the_rule_explains_the_scores(folder: Path) -> None:
    found = manifest.samples(write(folder, RULED + "1,a.mp4,39,2,6,7,6.5\n"), rule="diving")
    labels = manifest.labels(found, rule="diving")
    assert labels.rule == "diving"
    assert RULES["diving"].score(found[0].judges or (), found[0].difficulty).item() == found[0].score


def test_the_split_of_the_file(folder: Path) -> None:
    rows = ["1,a.mp4,1,train", "2,a.mp4,2,Validation", "3,a.mp4,3,test", "4,a.mp4,,train", "5,a.mp4,,test"]
    loaded = datasets.load("manifest", write(folder, "\n".join(["id,path,score,split", *rows])))
    (fold,) = loaded.splits["split"]
    assert list(loaded.splits) == ["split"]
    assert (fold.train, fold.validation, fold.test) == (("1", "4"), ("2",), ("3",))  # without a score: nothing to judge


def test_the_validation_rows_of_an_action_are_its_own(folder: Path) -> None:
    parts = ["train", "val", "test", "VALIDATION"]
    rows = [f"{k},a.mp4,{'' if k == 7 else k},{'dive' if k % 4 < 2 else 'vault'},{parts[k // 4]}" for k in range(16)]
    loaded = datasets.load("manifest", write(folder, "\n".join(["id,path,score,action,split", *rows])))
    (fold,) = loaded.task("vault").folds()
    assert fold == Split("vault", ("2", "3"), ("10", "11"), ("6", "14", "15"))  # 7 has no score


def test_an_action_with_nothing_to_train_on_is_a_sentence(folder: Path) -> None:
    rows = ["1,a.mp4,1,dive,train", "2,a.mp4,2,dive,test", "3,a.mp4,3,vault,test"]
    loaded = datasets.load("manifest", write(folder, "\n".join(["id,path,score,action,split", *rows])))
    with pytest.raises(DataError, match="manifest cannot be split: no fold has training samples"):
        loaded.task("vault").folds()


def test_each_group_is_left_out_once(folder: Path) -> None:
    rows = ["1,a.mp4,1,x", "2,a.mp4,2,y", "3,a.mp4,,y", "4,a.mp4,4,", "5,a.mp4,5,x", "6,a.mp4,,z"]
    loaded = datasets.load("manifest", write(folder, "\n".join(["id,path,score,group", *rows])))
    assert list(loaded.splits) == ["five-fold", "leave-one-group-out"]
    assert loaded.folds("leave-one-group-out") == (
        Split("x", ("2", "3", "4", "6"), ("1", "5")),
        Split("y", ("1", "4", "5", "6"), ("2",)),  # 3 is of the same group, and z has no score
    )


def test_no_group_is_left_out_if_there_is_only_one(folder: Path) -> None:
    rows = ["1,a.mp4,1,x,dive", "2,a.mp4,2,x,dive", "3,a.mp4,3,x,vault", "4,a.mp4,4,y,vault"]
    loaded = datasets.load("manifest", write(folder, "\n".join(["id,path,score,group,action", *rows])))
    assert [f.name for f in loaded.folds("leave-one-group-out")] == ["vault-x", "vault-y"]
    assert "leave-one-group-out" not in loaded.task("dive").splits


def test_a_model_is_trained_for_each_action(folder: Path) -> None:
    rows = [f"{k},a.mp4,{k},{'dive' if k % 2 else 'vault'}" for k in range(20)]
    loaded = datasets.load("manifest", write(folder, "\n".join(["id,path,score,action", *rows])))
    assert [f.name for f in loaded.task("dive").folds()] == [f"dive-{k}" for k in range(1, 6)]
    assert {i for f in loaded.task("dive").folds() for i in (*f.train, *f.test)} == {str(k) for k in range(1, 20, 2)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "c", "d", "e", "f"]), st.booleans()), min_size=2, max_size=40
    )
)
def test_no_group_stands_on_both_sides(folder: Path, rows: list[tuple[str, bool]]) -> None:
    text = "".join(f"{k},a.mp4,{k if scored else ''},{group}\n" for k, (group, scored) in enumerate(rows))
    file = write(folder, "id,path,score,group\n" + text)
    loaded = datasets.load("manifest", file)
    group = {s.id: s.group or s.id for s in loaded.samples}
    scored = {s.id for s in loaded.samples if s.score is not None} or set(group)  # without any score, all are judged
    folds = loaded.splits["five-fold"]
    for fold in folds:
        assert not {group[i] for i in fold.train} & {group[i] for i in fold.test}
        assert {group[i] for i in fold.train} | {group[i] for i in fold.test} == set(group.values())
    assert len(folds) == (min(5, n) if (n := len({group[i] for i in scored})) > 1 else 0)
    assert Counter(i for fold in folds for i in fold.test) == (Counter(scored) if folds else Counter())


def test_folds_are_of_a_size_and_in_no_order(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, rows=23)
    file.write_text("\n".join(line.replace("event", f"e{k}") for k, line in enumerate(file.read_text().splitlines())))
    grouped = datasets.load("manifest", file).folds()
    assert sorted(len(fold.test) for fold in grouped) == [4, 4, 5, 5, 5]
    plain = manifest.samples(file)
    alone = [type(s)(**{**s.__dict__, "group": None}) for s in plain]
    folds = manifest.splits(alone, file)["five-fold"]
    assert sorted(len(fold.test) for fold in folds) == [4, 4, 5, 5, 5]
    places = [np.mean([int(i[1:]) for i in fold.test]) for fold in folds]
    assert np.ptp(places) < 15  # of 18 if the folds were stretches of the file


def test_skeletons_of_every_kind_in_both_columns(tmp_path):
    rows = ["id,path,skeleton,score"]
    for at, case in enumerate(walkers.CASES):
        (tmp_path / str(at)).mkdir()
        path = case.write(tmp_path / str(at)).relative_to(tmp_path)
        told = (tmp_path / path).is_dir() or re.search(r"\.(bvh|trc|skeleton|json)(\.gz)?$", path.name)
        rows += [f"a{at},,{path},1"] + [f"b{at},{path},,1"] * bool(told)
    (tmp_path / "m.csv").write_text("\n".join(rows))
    found = datasets.load("manifest", tmp_path / "m.csv").samples
    assert {tuple(sample.sources) for sample in found} == {("skeleton",)}
    assert len(found) == len(rows) - 1 > len(walkers.CASES) + 10


def test_a_folder_of_pictures_and_json_is_a_video(tmp_path):
    folder = hostile.write_pictures(tmp_path / "frames", 2)
    (folder / "info.json").write_text("{}")
    (tmp_path / "m.csv").write_text("id,path,score\na,frames,1")
    assert list(datasets.load("manifest", tmp_path / "m.csv").samples[0].sources) == ["video"]
