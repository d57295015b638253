"""Tables as people have them: each file in ``sheets/`` holds the same three rows, written by another program."""

import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

from aqakit import datasets
from aqakit.datasets import manifest
from aqakit.datasets.parts.sheet import Sheet
from aqakit.errors import DataError, OptionError
from aqakit.evaluation import predictions
from aqakit.system.numbers import number, positive, whole

SHEETS = sorted((Path(__file__).parent / "sheets").iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    for name in "abc":
        (tmp_path / "videos" / f"{name}.mp4").write_bytes(b"not looked into here")
    return tmp_path


def put(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def workbook(folder: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / "mine.xlsx")
    return folder / "mine.xlsx"


@pytest.mark.parametrize("file", SHEETS, ids=lambda file: file.name)
def test_every_way_to_write_a_table_gives_the_same_samples(folder: Path, file: Path, capsys) -> None:
    found = manifest.samples(put(folder, file.read_bytes(), file.name))
    assert [s.id for s in found] == ["first", "second", "third"]
    assert [s.score for s in found] == [86.4, None, -1.25]
    assert [s.difficulty for s in found] == [3.2, 2.0, 1.5]
    assert [s.judges for s in found] == [(9, 8.5, 9.5), None, (6, 6.5, 7)]
    assert [s.group for s in found] == ["Zoë", "Jürgen", "Zoë"]
    assert [s.attributes for s in found] == [{"somersaults": 2}, {"somersaults": 3}, {"somersaults": 0}]
    assert [s.sources["video"].name for s in found] == ["a.mp4", "b.mp4", "c.mp4"]
    assert all(s.sources["video"].exists() for s in found)
    said = " ".join(capsys.readouterr().err.split())
    assert "columns left aside" in said
    assert "'Rot-Weiß' on line" in said
    assert ("DD as difficulty" in said) is (file.name != "names_of_its_own.csv")
    assert ("read as cp1252" in said) is (b"Zo\xeb" in file.read_bytes() and "utf16" not in file.name)
    assert ("first sheet, 'Finale'" in said) is (file.suffix == ".xlsx")


def test_what_was_assumed_is_said_once(folder: Path, capsys) -> None:
    file = put(folder, "name;video;points\nx;videos\\a.mp4;7,5\n")
    for _ in range(2):
        datasets.load("manifest", file)
    said = capsys.readouterr().err
    assert said.count("name as id, points as score") == 1
    assert "video as" not in said


@pytest.mark.parametrize(
    ("header", "doubt"),
    [
        ("id,path,points,total", "'points' and 'total' may each be 'score'"),
        ("name,clip,path,score", "'name' and 'clip' may each be 'id'"),
        ("id,path,score,judge 1,J1", "'judge 1' and 'J1' may each be 'judge_1'"),
    ],
)
def test_two_columns_that_may_be_the_same_are_a_question(folder: Path, header: str, doubt: str) -> None:
    with pytest.raises(DataError, match=doubt):
        manifest.samples(put(folder, f"{header}\n" + ",".join("1" * (header.count(",") + 1)) + "\n"))


def test_units_in_brackets_are_no_part_of_a_name(folder: Path, capsys) -> None:
    file = put(folder, "ID;Path;Score (points);Difficulty [DD];Judge-1\n1;videos/a.mp4;7,5;2;6\n")
    (one,) = manifest.samples(file)
    assert (one.score, one.difficulty, one.judges) == (7.5, 2.0, (6.0,))
    said = " ".join(capsys.readouterr().err.split())
    assert "Score (points) as score, Difficulty [DD] as difficulty, Judge-1 as judge_1" in said


def test_an_alias_of_a_column_that_is_there_is_another_column(folder: Path) -> None:
    (one,) = manifest.samples(put(folder, "id,name,path,score,points\n1,Anna,videos/a.mp4,7,30\n"))
    assert (one.id, one.score, dict(one.attributes)) == ("1", 7.0, {"points": 30})


@pytest.mark.parametrize(
    ("text", "value"),
    [("7,5", 7.5), ("-0,25", -0.25), (",5", 0.5), ("1,5e1", 15.0), ("7", 7.0), ("1,2345", 1.2345),
     ("1234,567", 1234.567), ("0,125", 0.125), ("-0", 0.0), ("1,250", 1.25)],
)  # fmt: skip
def test_a_decimal_comma(folder: Path, text: str, value: float) -> None:
    rows = f"id;path;score\nx;videos/a.mp4;{text}\ny;videos/b.mp4;9,75\n"
    found = manifest.samples(put(folder, rows))[0].score
    assert found == value
    assert str(found) == str(value)  # 0.0, not -0.0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1,234.5", "has a thousands sign"),
        ("1.234,5", "has a thousands sign"),
        ("1'234", "has a thousands sign"),
        ("1 234", "has a thousands sign"),
        ("1\u202f234,5", "has a thousands sign"),
        ("1\u00a0234", "has a thousands sign"),
        ("1,234,567", "has a thousands sign"),
        ("1.234.567", "has a thousands sign"),
        ("1,234", "may have a thousands sign"),
        ("12,000", "may have a thousands sign"),
        ("7,5,1", "is not a number"),
        ("7_4", "is not a number"),
        ("７", "is not a number"),
        ("٣", "is not a number"),
        ("0x10", "is not a number"),
        ("1e", "is not a number"),
        ("85 %", "is not a number"),
        ("7.5 points", "is not a number"),
        ("−5", "is not a number"),
        ("1e400", "is not a finite number"),
        ("inf", "is not a finite number"),
        ("-Infinity", "is not a finite number"),
        ("nan", "is not a finite number"),
    ],
)
@pytest.mark.parametrize("column", ["score", "difficulty", "judge_1"])
def test_what_is_no_number_or_may_be_two_is_refused(folder: Path, text: str, why: str, column: str) -> None:
    file = put(folder, f'id;path;score;{column if column != "score" else "turns"}\nx;videos/a.mp4;1;"{text}"\n')
    if column == "score":
        file.write_text(f'id;path;score\nx;videos/a.mp4;"{text}"\n')
    with pytest.raises(DataError, match=f"line 2: {column} .* {why}"):
        manifest.samples(file)


def test_a_point_before_three_digits_is_doubtful_beside_decimal_commas(folder: Path) -> None:
    text = "id;path;score\nx;videos/a.mp4;1.234\ny;videos/b.mp4;{}\n"
    assert manifest.samples(put(folder, text.format("7.5")))[0].score == 1.234
    with pytest.raises(DataError, match=r"line 2: score '1\.234' may have a thousands sign"):
        manifest.samples(put(folder, text.format("7,5")))


def test_frames_never_have_a_thousands_sign(folder: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: end '12\.000' may have a thousands sign"):
        manifest.samples(put(folder, "id;path;score;start;end\nx;videos/a.mp4;1;0;12.000\n"))


@pytest.mark.parametrize("text", ["7_4", "７", "1e400", "inf", "nan", "", " ", "-", "1 2", "+-1", "1e5_0", "0b1"])
def test_the_readers_of_numbers_take_numbers_only(text: str) -> None:
    for read in (number, positive, whole):
        with pytest.raises(ValueError, match=r"^is not|^may"):
            read(text)


@pytest.mark.parametrize("text", ["0", "-0", "+7", "7.", ".5", "-1.5e-3", "1E3", "007", " 8 "])
def test_numbers_are_read_as_python_reads_them(text: str) -> None:
    assert number(text) == float(text)
    assert str(number(text)) == str(float(text) + 0.0)


def test_words_are_left_aside_but_a_slip_is_an_error(folder: Path) -> None:
    head, rows = "id,path,score,level,city,height\n", ["a,{},1,2,Bern,1.85", "b,{},2,3,,1.7", "c,{},3,{level},Ulm,2"]
    text = head + "\n".join(rows).format(*["videos/a.mp4"] * 3, level="1")
    sheet = Sheet.read(put(folder, text), manifest.ALIASES)
    assert sheet.columns == ["id", "path", "score", "level", "city", "height"]
    assert [dict(s.attributes) for s in manifest.samples(sheet.path)] == [{"level": 2}, {"level": 3}, {"level": 1}]
    with pytest.raises(DataError, match="line 4: column 'level' is not an attribute: 'I' is not a number"):
        manifest.samples(put(folder, text.replace("3,1,Ulm", "3,I,Ulm")))
    with pytest.raises(DataError, match=r"column 'grup' .* did you mean 'group'"):
        manifest.samples(put(folder, text.replace("city", "grup")))


def test_all_remaining_faults_are_told_at_once(folder: Path) -> None:
    rows = ["sep=;", "name;file;points;DD;Judge 1;judge 2", "a;videos\\a.mp4;1.234,5;2;7,5;8", "a;gone\\b.mp4;7_4;0;7;",
            "", '"b";videos/c.mp4;inf;1;"two\r\nlines";9', "c;videos/c.mp4;1;1"]  # fmt: skip
    with pytest.raises(DataError) as caught:
        manifest.samples(put(folder, "\r\n".join(rows)))
    message = str(caught.value)
    for part in (
        "has 9 errors", "line 3: points '1.234,5' has a thousands sign", "line 4: name 'a' is already on line 3",
        "line 4: file 'gone\\\\b.mp4' cannot be used: No such file", "line 4: points '7_4' is not a number",
        "line 4: DD '0' is not greater than 0", "line 4: 1 of 2 judges", "line 6: points 'inf' is not a finite number",
        "line 6: Judge 1 'two\\r\\nlines' is not a number", "line 8: 4 cells for 6 columns",
    ):  # fmt: skip
        assert part in message, message


@pytest.mark.parametrize(("encoding", "group"), [("cp1251", "Иван"), ("cp1250", "Małgorzata"), ("cp1252", "Hélène")])
def test_code_pages_of_windows(folder: Path, encoding: str, group: str, capsys) -> None:
    file = put(folder, f"id;path;score;group\n1;videos/a.mp4;7,5;{group}\n".encode(encoding))
    assert manifest.samples(file)[0].group == group
    assert f"read as {encoding}" in capsys.readouterr().err


def test_an_encoding_can_be_named(folder: Path) -> None:
    rows = "id,path,score,group,split\nα,videos/a.mp4,7,Γιώργος,train\nβ,videos/a.mp4,7,,test\n"
    loaded = datasets.load("manifest", put(folder, rows.encode("cp1253")), encoding="cp1253")
    assert loaded.samples[0].group == "Γιώργος"
    assert loaded.splits["split"][0].train == ("α",)
    with pytest.raises(OptionError, match="there is no encoding 'latin-99'"):
        datasets.load("manifest", loaded.root, encoding="latin-99")
    with pytest.raises(DataError, match="line 2: not ascii text"):
        datasets.load("manifest", loaded.root, encoding="ascii")


def test_a_path_with_a_backslash_in_its_name_comes_first(folder: Path) -> None:
    (folder / "videos\\a.mp4").write_bytes(b"")
    (one,) = manifest.samples(put(folder, "id,path,score\n1,videos\\a.mp4,1\n"))
    assert one.sources["video"].name == "videos\\a.mp4"


def test_a_path_may_begin_at_home(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (one,) = manifest.samples(put(folder, "id,path,score\n1,~/videos/a.mp4,1\n"))
    assert one.sources["video"] == folder / "videos" / "a.mp4"


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("=1+1", "cell C2 is a formula without its value"),
        ("7_4", "score '7_4' is not a number"),
        (True, "score 'TRUE' is not a number"),
        ("#DIV/0!", "score '#DIV/0!' is not a number"),
    ],
)
def test_cells_of_a_workbook(folder: Path, cell: object, why: str) -> None:
    with pytest.raises(DataError, match=f"line 2: {why}"):
        manifest.samples(workbook(folder, [["id", "path", "score"], ["x", "videos/a.mp4", cell]]))


def test_a_number_of_a_workbook_is_never_two(folder: Path) -> None:
    rows = [["id", "path", "score", "remark"], [1, "videos/a.mp4", 1.234, "7,5"], [2.0, "videos/a.mp4", 12, "x"]]
    found = manifest.samples(workbook(folder, rows))
    assert [(s.id, s.score) for s in found] == [("1", 1.234), ("2", 12.0)]


def test_what_a_workbook_shows_otherwise_is_refused(folder: Path) -> None:
    file = workbook(
        folder, [["id", "path", "score", "group"], ["x", "videos/a.mp4", 0.85, "g"], ["y", "videos/b.mp4", 1]]
    )
    book = openpyxl.load_workbook(file)
    book.active["C2"].number_format = "0 %"
    book.active.merge_cells("D2:D3")
    book.save(file)
    with pytest.raises(DataError, match="cell D2 is merged") as caught:
        manifest.samples(file)
    assert "line 2: score '85 %' is not a number" in str(caught.value)


def _grown(folder: Path, size: int) -> bytes:
    content = io.BytesIO(workbook(folder, [["id", "path", "score"], ["x", "videos/a.mp4", 1]]).read_bytes())
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.bin", bytes(size))
    return content.getvalue()


def test_large_and_damaged_files_are_sentences(folder: Path) -> None:
    good = workbook(folder, [["id", "path", "score"], ["x", "videos/a.mp4", 1]]).read_bytes()
    for content, why in (
        (_grown(folder, 2**27 + 1), "larger than 134217728 bytes once it is unpacked"),
        (good[: len(good) // 2], "cannot be read as a workbook"),
        (b"PK\x03\x04", "cannot be read as a workbook"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "old or protected workbook"),
        (b"id,path,score\n" * (2**25 // 14 + 1), "larger than 33554432 bytes"),
        (b"a,b\n" + b",\n" * 2_000_001, "more than 2000000 cells"),
    ):
        with pytest.raises(DataError, match=why):
            manifest.samples(put(folder, content))


def test_predictions_are_read_by_the_same_rules(tmp_path: Path) -> None:
    file = put(tmp_path, "Name;Truth;Prediction;std\na;1,5;2;0,5\nb;2;2,5;1\nc;-;3;1\n")
    (part,) = predictions.read(file)
    assert (part.ids, part.true.tolist(), part.distribution.mean.tolist()) == (["a", "b"], [1.5, 2], [2, 2.5])
    (part,) = predictions.read(workbook(tmp_path, [["id", "true", "mean"], ["a", 1.5, 2], ["b", 2, 2.5]]))
    assert part.true.tolist() == [1.5, 2]
