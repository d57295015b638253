"""What a run answers in Python: floats and arrays against SciPy, frames against pandas, tables against a parser."""

import copy
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from aqakit.errors import OptionError
from aqakit.scores import answers as module
from aqakit.scores.answers import Answer, Answers
from aqakit.scores.distributions import Normal
from aqakit.types import ScoreScale

MEAN, STD = np.array([71.25, 40.0, 88.5]), np.array([4.0, 9.0, 0.5])
SCALE = ScoreScale(0, 104.5)
NAMES = ["a<b>.mp4", "b & c.mp4", "$x_1$.mp4"]


def several() -> Answers:
    made = Normal(torch.tensor(MEAN), torch.tensor(STD))
    doubts = [lambda: ["unlike anything"], lambda: [], lambda: ["in training"]]
    return Answers(made, SCALE, NAMES, [3.1, None, 2.0], trust=["of 40 held 37"], doubts=doubts)


def one() -> Answer:
    return several()[0]


def test_one_answer_is_floats():
    answer = one()
    numbers = [answer.mean, answer.std, answer.median, *answer.interval(0.8), answer.quantile(0.3), answer.cdf(70)]
    expected = norm(MEAN[0], STD[0])
    wanted = [expected.mean(), expected.std(), expected.median(), *expected.interval(0.8)]
    assert all(type(number) is float for number in numbers)
    assert numbers == pytest.approx([*wanted, expected.ppf(0.3), expected.cdf(70)])
    assert f"{answer.mean:.1f}" == "71.2"


def test_several_answers_are_arrays():
    found = several()
    expected = norm(MEAN, STD)
    for got, wanted in [
        (found.mean, expected.mean()), (found.std, expected.std()), (found.median, expected.median()),
        (found.quantile(0.3), expected.ppf(0.3)), (found.cdf(70), expected.cdf(70)),
        *zip(found.interval(0.8), expected.interval(0.8)),
    ]:  # fmt: skip
        assert isinstance(got, np.ndarray)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, wanted)


def test_what_a_distribution_offers_is_still_there():
    levels = torch.tensor([0.1, 0.9], dtype=torch.float64)
    np.testing.assert_allclose(one().quantile(levels), norm(MEAN[0], STD[0]).ppf([0.1, 0.9]))
    assert several().quantile(levels).shape == (3, 2)
    assert float(one().crps(70.0)) == pytest.approx(float(one().distribution.crps(70.0)))
    assert several().batch_shape == (3,)
    with pytest.raises(AttributeError, match="mean_score"):
        _ = one().mean_score
    assert copy.copy(several()).mean == pytest.approx(MEAN)


def test_answers_are_a_sequence():
    found = several()
    assert [answer.recording for answer in found] == NAMES
    assert [answer.mean for answer in found] == pytest.approx(MEAN)
    assert len(found[1:]) == 2
    assert found[1:].mean == pytest.approx(MEAN[1:])
    assert (found[-1].recording, found[-1].notes) == (NAMES[-1], ("of 40 held 37", "in training"))
    assert found[1:].notes == ("of 40 held 37", f"{NAMES[2]}: in training")


def test_a_frame_has_a_row_for_each():
    frame = several().to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["recording"]) == NAMES
    np.testing.assert_allclose(frame["score"], MEAN)
    np.testing.assert_allclose(frame["low_90"], norm(MEAN, STD).ppf(0.05))
    assert frame["difficulty"].isna().tolist() == [False, True, False]
    pd.testing.assert_frame_equal(one().to_frame(), frame[:1])


def test_a_frame_without_pandas_is_a_sentence(monkeypatch):
    monkeypatch.setattr(module, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(OptionError, match="pip install pandas"):
        several().to_frame()


class Cells(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "p"):
            self.cells.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1] in ("td", "p"):
            self.cells[-1] += data


def test_a_notebook_shows_names_as_they_are_and_the_doubts():
    cells = Cells(several()._repr_html_())
    assert cells.cells[:3] == [NAMES[0], "71.25", "4.00"]
    assert cells.cells[4] == NAMES[1]
    assert cells.cells[12:] == ["of 40 held 37", f"{NAMES[0]}: unlike anything", f"{NAMES[2]}: in training"]
    assert "b" not in cells.tags
    assert Cells(one()._repr_html_()).cells[-1] == "unlike anything"


def test_a_repr_tells_the_score():
    low, high = norm(MEAN[0], STD[0]).interval(0.9)
    assert repr(one()) == f"Answer('a<b>.mp4': 71.25 points, std 4.00, 90 % interval {low:.2f} – {high:.2f})"
    assert repr(several()).splitlines()[0] == "3 answers"
    assert len(repr(several()).splitlines()) == 4


def test_plots_show_intervals_and_names():
    figure = several().plot()
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([2 * norm.ppf(end) * std for end in (0.95, 0.75) for std in STD])
    curve = one().plot(true=70.0).axes[0]
    x, y = curve.lines[0].get_data()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.05)
    assert x[np.argmax(y)] == pytest.approx(MEAN[0], abs=1)
    assert one().plot(curve) is curve.figure
    assert several().plot()._repr_png_().startswith(b"\x89PNG")  # what a notebook asks for
