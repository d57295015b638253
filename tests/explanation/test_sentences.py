"""Sentences, against how a coach would write them."""

import pytest

from aqakit.backbones.parts.named import Measure
from aqakit.explanation.sentences import sentence


def _measure(channel, statistic, unit, start=False):
    name = f"{channel}, {statistic}" + ", against the start" * start
    return Measure(name, unit, channel, "", channel, statistic)


@pytest.mark.parametrize(
    ("measure", "value", "span", "second", "expected"),
    [
        (_measure("right knee angle", "lowest", "degrees"), 121.6, (84.2, 101.4), 3.41,
         "Right knee, smallest angle: 122° at 3.4 s; the better recordings reach 84 – 101°. Costs 3.1 points."),
        (_measure("leading hip angle", "highest", "degrees", start=True), -0.2, (-40, -20), 0.0,
         "Left hip, largest angle against the start: 0° at 0.0 s; the better recordings reach −40 to −20°. "
         "Costs 3.1 points."),
        (_measure("pelvis height", "highest", "body lengths", start=True), 0.213, (0.456, 0.6), 1.0,
         "Pelvis height, highest against the start: 0.21 body lengths at 1.0 s; the better recordings reach "
         "0.46 – 0.60 body lengths. Costs 3.1 points."),
        (_measure("other elbow angle", "mean of part 2 of 4", "degrees"), 90, (100, 110), None,
         "Right elbow, mean angle of part 2 of 4: 90°; the better recordings have 100 – 110°. Costs 3.1 points."),
        (_measure("other elbow angle", "mean speed", "degrees/s"), 90, (100, 110), None,
         "Right elbow angle, mean speed: 90°/s; the better recordings have 100 – 110°/s. Costs 3.1 points."),
        (Measure("tempo, pauses", "share of the duration", "tempo", "more rest"), 0.256, (0.1, 0.2), None,
         "Tempo, pauses: 26 % of the duration; the better recordings have 10 – 20 % of the duration. "
         "Costs 3.1 points."),
        (Measure("body, spectral arc length", "", "smoothness", "smoother"), -12.34, (-4.5, -3), None,
         "Body, spectral arc length: −12.3; the better recordings have −4.5 to −3.0. Costs 3.1 points."),
    ],
)  # fmt: skip
def test_a_sentence_says_which_how_much_when_against_what_and_the_points(measure, value, span, second, expected):
    sides = {"leading": "left", "other": "right"}
    assert sentence(measure, value, span, second, 3.1, "points", sides) == expected
