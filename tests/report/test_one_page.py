"""A score on one page: read back by pypdf, measured by Matplotlib's renderer, made from a run on small videos."""

import colorsys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pypdf import PdfReader

import aqakit as package
from aqakit.recordings import video
from aqakit.report import one_page, score_sheet, text_block
from aqakit.report.one_page import draw_page, fewest, write
from aqakit.report.score_sheet import Bar, ScoreSheet
from tests.cli.test_commands import aqakit
from tests.releases import write_pictures

SCORES = np.linspace(40, 100, 400)
KNEE = "Right knee, smallest angle: 122° at 3.4 s; the better recordings reach 84 – 101°. Costs 3.1 points."
SHEET = ScoreSheet(
    name="Anna's dive & more.mp4",
    score=71.23,
    std=7.4,
    intervals=[(0.9, 60.1, 82.3), (0.5, 66.1, 75.0)],
    scores=SCORES.tolist(),
    density=np.exp(-((SCORES - 71.2) ** 2) / 120).tolist(),
    low=0,
    high=104.5,
    unit="points",
    words=[KNEE, "Trunk, lean: 24° at 5.1 s; the better recordings reach 4 – 11°. Costs 1.9 points."],
    bars=[Bar(f"{k}.0 – {k + 1}.0 s", (-1) ** k * (k + 0.5), 0.2) for k in range(5)],
    how="Points added to 66.6 points, the score of an average recording.",
    trust=["of 40 held-out training samples, the 90% interval held 37"],
    picture=np.full((90, 160, 3), 128, np.uint8),
    caption="The decisive moment, 4.0 – 5.0 s: +4.5 points",
    facts={"difficulty": "3.2"},
    run="DAE: a distribution auto-encoder for the score. Run runs/mine.",
    date="2026-11-29 15:49 +0000",
)


def text_of(sheet: ScoreSheet, file) -> str:
    write(sheet, file)
    (page,) = PdfReader(file).pages
    assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]
    return " ".join(page.extract_text().split())


def test_another_reader_finds_all_that_is_told(tmp_path):
    text = text_of(SHEET, tmp_path / "a.pdf")
    told = [
        SHEET.name, "71.2", "90% interval: 60.1 – 82.3", "give or take 7.4", KNEE, "4.0 – 5.0 s", "+4.5", "−3.5",
        SHEET.how, "Of 40 held-out training samples, the 90% interval held 37.", "difficulty 3.2", SHEET.run,
        SHEET.date, SHEET.caption,
    ]  # fmt: skip
    assert [one for one in told if one not in text] == []
    assert text.index("In words") < text.index("What made the score") < text.index("How far to trust it")
    assert PdfReader(tmp_path / "a.pdf").metadata.title == SHEET.name
    assert [file.name for file in tmp_path.iterdir()] == ["a.pdf"]


LONG = {
    "name without blanks": {"name": "x" * 200 + ".mp4"},
    "name of many words": {"name": "a dive of somebody " * 30},
    "name with mathematics": {"name": "$5_x^{2}$ \\frac{1} 100 % $.mp4"},
    "many words": {"words": [KNEE] * 60},
    "much doubt": {"trust": ["this run is no better than guessing the average, and " * 5] * 9},
    "all": {"name": "é" * 80, "words": [KNEE * 2] * 20, "trust": ["of 40 " * 30] * 6, "facts": {"steps": "a > " * 99}},
    "no uncertainty": {"std": 0.0, "intervals": [], "scores": [], "density": []},
    "nothing else": {"words": [], "bars": [], "trust": [], "picture": None, "caption": "", "facts": {}},
    "many moments": {"bars": [Bar(f"{k} – {k + 1} s", float(k)) for k in range(300)]},
    "long parts": {"bars": [Bar("pushing the needle through the tissue, again and again", -2.0)] * 4, "picture": None},
    "tall picture": {"picture": np.zeros((400, 30, 3), np.uint8)},
    "no contribution": {"bars": [Bar("whole", 0.0)]},
}  # fmt: skip


@pytest.mark.parametrize("what", LONG)
def test_nothing_leaves_the_page_or_lies_on_another_text(what, tmp_path):
    sheet = replace(SHEET, **LONG[what])
    figure = draw_page(sheet)
    figure.set_dpi(144)  # at few pixels, letters are set wider than on paper
    renderer = FigureCanvasAgg(figure).get_renderer()
    page = figure.bbox
    boxes = [(one.get_text(), one.get_window_extent(renderer)) for one in figure.texts]
    margin = one_page.MARGIN / 72 * figure.dpi
    out = [text for text, box in boxes if box.x0 < page.x0 or box.x1 > page.x1 - 0.95 * margin or box.y0 < 0]
    assert out == []
    rows = [(text, box.shrunk(1, 0.7)) for text, box in boxes if text.strip("• ")]
    assert [(a, b) for (a, x), (b, y) in combinations(rows, 2) if x.overlaps(y)] == []
    plots = [axes.get_tightbbox(renderer) for axes in figure.axes]
    assert [text for text, box in rows for plot in plots if plot.overlaps(box)] == []
    assert "71.2" in text_of(sheet, tmp_path / "a.pdf")


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120), st.integers(60, 300))
def test_lines_are_no_wider_than_the_room_and_lose_no_letter(text, room):
    lines = text_block.wrap(text, 10, room)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(text_block.width(line, 10) <= room for line in lines)


def test_small_moments_are_added_up():
    bars = [Bar(str(k), float(v)) for k, v in enumerate(np.random.default_rng(0).normal(size=50))]
    kept = fewest(bars)
    assert len(kept) == 12
    assert sum(one.points for one in kept) == pytest.approx(sum(one.points for one in bars))
    assert min(abs(one.points) for one in kept[:-1]) >= np.sort([abs(one.points) for one in bars])[-11]
    assert kept[-1].label == "39 others"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on films, each of another colour that turns with time."""
    folder = tmp_path_factory.mktemp("pages")
    for k in range(6):
        hues = [colorsys.hsv_to_rgb((k / 6 + t / 64) % 1, 1, 1) for t in range(48)]
        write_pictures(folder / f"{k}.avi", [np.full((64, 64, 3), np.uint8(np.array(hue) * 255)) for hue in hues])
    (folder / "my.csv").write_text("\n".join(["id,path,score", *(f"{k},{k}.avi,{100 * k}" for k in range(6))]))
    return trained(folder, "c3d_small:size=16:frames=4:clips=3:width=2", folder / "run")


def trained(folder, backbone, out):
    options = {"data": "manifest", "root": folder / "my.csv", "finetune": True, "epochs": 25, "cache": folder / "cache"}
    return package.train("regression", learning_rate=0.02, validation=0.0, backbone=backbone, out=out, **options)


def test_the_picture_is_the_frame_of_the_decisive_clip(run, tmp_path, monkeypatch, capsys):
    film = run.folder.parent / "3.avi"
    assert (
        aqakit(monkeypatch, "explain", run.folder, film, "--pdf", tmp_path / "3.pdf", "--json", tmp_path / "3.json")
        == 0
    )
    whole = package.explanation.whole.explain(run, film)
    clip = package.explanation.moments.of(run, whole).decisive
    (page,) = PdfReader(tmp_path / "3.pdf").pages
    (image,) = page.images
    frame = video.frames(film, [(clip.first + clip.last) // 2])[0]
    assert np.asarray(image.image.convert("RGB")).mean((0, 1)) == pytest.approx(frame.mean((0, 1)), abs=3)
    text = " ".join(page.extract_text().split())
    assert f"{clip.first / 30:.1f} – {(clip.last + 1) / 30:.1f} s" in text
    assert f"{float(run.predict(film).mean):.1f}" in text
    assert str(run.folder.name) in text


def test_the_bars_add_up_to_the_score(run):
    whole = package.explanation.whole.explain(run, run.folder.parent / "2.avi")
    sheet, found = score_sheet.of(run, whole), whole.explanation
    assert (len(sheet.bars), sheet.name) == (3, "2.avi")
    assert found.baseline + sum(bar.points for bar in sheet.bars) == pytest.approx(found.prediction, abs=1e-4)
    assert sheet.how == f"Points added to {found.baseline:.1f} points, the score of an average recording."


def test_of_one_clip_moments_are_greyed_out(run, tmp_path):
    film = run.folder.parent / "2.avi"
    single = trained(run.folder.parent, "c3d_small:size=16:frames=12:clips=1:width=2", tmp_path / "single")
    found = package.explanation.moments.of(single, package.explanation.whole.explain(single, film))
    assert [(one.first, one.last) for one in found.clips] == [(8 * k, 8 * k + 7) for k in range(6)]
    (backbone,) = single.backbones.values()
    (pixels,) = backbone.read(film)
    sample = single.sample(film)
    before = float(single.answer(single.embed([sample])).mean)
    for k in (0, 5):
        grey = pixels.copy()
        grey[2 * k : 2 * k + 2] = pixels.mean((0, 1, 2)).round()
        seen = single.engine.embed(backbone, grey[None])
        after = float(single.answer(single.collate([sample], {"c3d_small": [seen]})).mean)
        assert found.clips[k].points == pytest.approx(before - after, abs=1e-3)
    sheet = score_sheet.of(single, package.explanation.whole.explain(single, film))
    assert (len(sheet.bars), sheet.how) == (6, "Points that the score loses if the moment is greyed out.")


@pytest.mark.parametrize(
    ("file", "sentence"), [("a.png", "a.png should end with .pdf"), ("no/a.pdf", "there is no folder no to write to")]
)
def test_a_wrong_file_is_a_sentence_before_any_work(run, monkeypatch, capsys, tmp_path, file, sentence):
    monkeypatch.chdir(tmp_path)
    assert aqakit(monkeypatch, "explain", tmp_path / "no run", "a.avi", "--pdf", file) == 2
    assert sentence in capsys.readouterr().err


def test_a_score_that_no_moment_changes_has_no_picture(run):
    whole = package.explanation.whole.explain(run, run.folder.parent / "1.avi")
    clips = tuple(replace(clip, points=0.04) for clip in whole.explanation.clips)
    found = package.explanation.moments.Moments(clips)
    told = score_sheet.decisive_moment(whole.sample, found, "points")
    assert told == (None, "No moment changes the score by as much as 0.1 points.")
