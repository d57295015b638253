"""Clip plans: as published, and always inside the video."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqakit.errors import DataError, OptionError
from aqakit.recordings import clips
from aqakit.types import Segment

PARTS = [Segment("run-up", 0, 0), Segment("flight", 3, 900), Segment("landing", 1000, 1023)]
PLANS = {
    **{name: plan for name, plan in clips.PLANS.items() if name != "gestures"},
    "uniform:count=4:frames=16": clips.Uniform(4, 16),
    "uniform:count=1:frames=8:stride=2": clips.Uniform(1, 8, 2),
    "sliding:frames=16:step=8": clips.Sliding(16, 8),
    "sliding:frames=8:step=3:stride=4": clips.Sliding(8, 3, 4),
    "segments:count=8": clips.Segments(8),
    "every:step=10": clips.Every(10),
}
PUBLISHED = {  # first frame of each clip, last frame of the last, clips × frames, of a video of the plan's length
    "dae": ([0, 10, 20, 30, 40, 50, 60, 70, 80, 87], 102, (10, 16), 103),
    "usdl": ([0, 10, 20, 30, 40, 50, 60, 70, 80, 87], 102, (10, 16), 103),
    "core": ([0, 10, 20, 30, 40, 50, 60, 70, 80, 86], 101, (10, 16), 103),
    "tpt": (list(range(0, 96, 5)), 102, (20, 8), 103),
    "tsa": ([0, 10, 20, 30, 40, 50, 60, 70, 80], 95, (9, 16), 96),
    "c3d-avg": ([0, 16, 32, 48, 64, 80], 95, (6, 16), 103),
    "mscadc": ([0], 97, (1, 16), 103),
    "jigsaws": ([0, 16, 32, 48, 64, 80, 96, 112, 128, 144], 159, (10, 16), 160),
    "jigsaws-linspace": ([0, 16, 32, 48, 64, 80, 96, 112, 128, 144], 159, (10, 16), 160),
    "action-net": (list(range(0, 2080, 80)), 2075, (26, 16), 2080),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_plans(name):
    starts, last, shape, length = PUBLISHED[name]
    table = clips.PLANS[name].clips(length)
    assert table.shape == shape
    assert table[:, 0].tolist() == starts
    assert table[-1, -1] == last
    assert not clips.PLANS[name].short(length)
    assert clips.PLANS[name].short(length - 1)


def test_mscadc_takes_a_frame_every_six_and_a_half():
    assert clips.PLANS["mscadc"].clips(103)[0].tolist() == [int(6.5 * i) for i in range(16)]


def test_jigsaws_spreads_160_frames_as_linspace_does():
    table = clips.PLANS["jigsaws"].clips(3000)
    np.testing.assert_allclose(table.ravel(), np.linspace(0, 2999, 160), atol=1)
    assert (table.ravel() <= np.linspace(0, 2999, 160) + 1e-9).all()


def test_the_rounding_of_linspace_is_numpys_own():
    plan, exact, different = clips.PLANS["jigsaws-linspace"], clips.PLANS["jigsaws"], 0
    for length in range(160, 6000, 10):
        table = plan.clips(length)
        np.testing.assert_array_equal(table.ravel(), np.linspace(0, length - 1, num=160, dtype=int))
        different += not np.array_equal(table, exact.clips(length))
    assert different > 5
    assert "rounding" not in exact.fingerprint()  # features cached by earlier versions are found
    assert plan.fingerprint() == exact.fingerprint() | {"rounding": "linspace"}


def test_a_window_ends_where_the_action_ends_and_may_begin_before_it():
    table = clips.PLANS["dae"].within((5000, 5059), 9000)  # 60 frames of action
    assert (table.min(), table.max()) == (5059 - 102, 5059)
    assert not clips.PLANS["dae"].short(9000, (5000, 5059))
    assert clips.PLANS["dae"].short(9000, (0, 59))
    assert clips.PLANS["jigsaws"].within((100, 259), 1000).ravel().tolist() == list(range(100, 260))


def test_the_centre_of_a_longer_routine():
    assert clips.PLANS["action-net"].clips(2180).min() == 50


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@given(data=st.data())
def test_every_plan_stays_inside_in_order_and_of_one_size(plan, data):
    length = data.draw(st.integers(1, 4000))
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first, length - 1))
    shift = data.draw(st.integers(-20, 20))
    table = plan.within((first, last), length, shift)
    assert table.dtype == np.int64
    assert table.ndim == 2
    assert table.size > 0
    assert table.min() >= 0
    assert table.max() < length
    assert (np.diff(table, axis=1) >= 0).all()
    assert (np.diff(table[:, 0]) >= 0).all()
    still = plan.within((first, last), length)
    np.testing.assert_array_equal(table, np.clip(still + shift, 0, length - 1))
    repeats = any(len(set(row)) < len(row) for row in still.tolist())
    assert plan.short(length, (first, last)) or not repeats


@pytest.mark.parametrize("length", [16, 17, 100, 101])
def test_sliding_covers_every_frame(length):
    assert set(clips.Sliding(16, 8).clips(length).ravel().tolist()) == set(range(length))


@pytest.mark.parametrize("text", PLANS)
def test_a_plan_is_its_text_and_its_fingerprint(text):
    plan = PLANS[text]
    assert clips.parse(text) == plan
    json.dumps(plan.fingerprint())
    same = 1 + (text in {"dae", "usdl"})  # one plan by two names
    assert sum(p.fingerprint() == plan.fingerprint() for p in PLANS.values()) == same
    assert plan.of(PARTS, "") is plan
    assert plan.number(500) == len(plan.clips(500))


def test_every_named_plan_is_published_here():
    assert set(clips.PLANS) - set(PUBLISHED) == {"gestures"}
    assert clips.parse("gestures") == clips.parse("named:frames=16") == clips.parse("named")


@given(data=st.data())
def test_named_segments_are_clips_inside_them(data):
    ends = sorted(data.draw(st.lists(st.integers(0, 500), min_size=2, max_size=12, unique=True)))
    parts = [Segment(f"s{k}", a, b - 1) for k, (a, b) in enumerate(pairwise(ends))]
    length, frames = 501, data.draw(st.integers(1, 20))
    plan = clips.Named(frames).of(parts, "a trial")
    first = data.draw(st.integers(0, ends[-1] - 1))
    window = (first, data.draw(st.integers(max(first, ends[0]), length - 1)))
    table, spans = plan.within(window, length), plan.spans(window, length)
    assert table.shape == (len(spans), frames)
    assert plan.names(window) == tuple(f"s{k}" for k, p in enumerate(parts) if p.first <= window[1] and p.last >= first)
    for clip, (begin, end), name in zip(table, spans.tolist(), plan.names(window), strict=True):
        part = parts[int(name[1:])]
        assert (begin, end) == (max(part.first, first), min(part.last, window[1]))
        expected = np.floor(np.linspace(begin, end, frames) + 1e-9) if frames > 1 else [begin]
        assert clip.tolist() == list(expected)
    assert plan.short(length, window) == (frames > (spans[:, 1] - spans[:, 0] + 1).min())


def test_what_named_segments_need_is_said():
    plan = clips.Named(4)
    with pytest.raises(DataError, match=r"dive 7: .* there are none; give them \(segments="):
        plan.of([], "dive 7")
    with pytest.raises(DataError, match="none are given"):
        plan.clips(100)
    marked = plan.of(PARTS, "dive 7")
    with pytest.raises(DataError, match=r"dive 7: the segment landing has frames 1000 to 1023.* frames 0 to 1010"):
        marked.clips(1011)
    with pytest.raises(DataError, match="no named segment is in the window from 950 to 990"):
        marked.within((950, 990), 2000)
    with pytest.raises(ValueError, match="window"):
        marked.within((5, 3), 2000)
    with pytest.raises(OptionError, match="frames must be at least 1"):
        clips.parse("named:frames=0")
    assert plan.size == marked.size == 4
    assert plan.number(100) is None


def test_names_change_no_pictures_but_segments_do():
    plan = clips.Named(4)
    renamed = [Segment(f"other {name}", *frames) for name, *frames in PARTS]
    assert plan.of(PARTS, "a").fingerprint() == plan.of(renamed, "b").fingerprint() != plan.fingerprint()
    assert plan.of(PARTS, "a").fingerprint() != plan.of(PARTS[1:], "a").fingerprint()


@pytest.mark.parametrize("text", ["nope", "sliding", "sliding:frames=x:step=8", "every:step=0", "dae:frames=3"])
def test_bad_plans_are_refused(text):
    with pytest.raises(OptionError, match="clip plan"):
        clips.parse(text)
    with pytest.raises(OptionError, match="inside"):
        clips.Starts((0, 90), tuple(range(16)), 103)
    with pytest.raises(ValueError, match="window"):
        clips.Every(1).within((3, 10), 5)
