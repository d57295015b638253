"""Clip plans: as published, and always inside the video."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqakit.errors import OptionError
from aqakit.recordings import clips

PLANS = [
    *clips.PLANS.values(),
    clips.Uniform(4, 16),
    clips.Uniform(1, 8, 2),
    clips.Sliding(16, 8),
    clips.Sliding(8, 3, 4),
    clips.Segments(8),
    clips.Every(10),
]
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


@pytest.mark.parametrize("name", clips.PLANS)
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
    assert clips.parse("jigsaws-linspace").name == "jigsaws-linspace"


def test_a_window_ends_where_the_action_ends_and_may_begin_before_it():
    table = clips.PLANS["dae"].within((5000, 5059), 9000)  # 60 frames of action
    assert (table.min(), table.max()) == (5059 - 102, 5059)
    assert not clips.PLANS["dae"].short(9000, (5000, 5059))
    assert clips.PLANS["dae"].short(9000, (0, 59))
    assert clips.PLANS["jigsaws"].within((100, 259), 1000).ravel().tolist() == list(range(100, 260))


def test_the_centre_of_a_longer_routine():
    assert clips.PLANS["action-net"].clips(2180).min() == 50


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.name)
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


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.name)
def test_a_plan_is_its_name_and_its_fingerprint(plan):
    assert clips.parse(plan.name) == plan or plan.name == "dae"  # usdl is the same plan by another name
    json.dumps(plan.fingerprint())
    assert sum(p.fingerprint() == plan.fingerprint() for p in PLANS) == 1 + (plan.name == "dae")


@pytest.mark.parametrize("text", ["nope", "sliding", "sliding:frames=x:step=8", "every:step=0", "dae:frames=3"])
def test_bad_plans_are_refused(text):
    with pytest.raises(OptionError, match="clip plan"):
        clips.parse(text)
    with pytest.raises(OptionError, match="inside"):
        clips.Starts((0, 90), tuple(range(16)), 103)
    with pytest.raises(ValueError, match="window"):
        clips.Every(1).within((3, 10), 5)
