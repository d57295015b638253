"""Every format reads to the joints of one known walker; what is assumed or filled is said."""

import numpy as np
import pytest

from aqakit.recordings import signals, skeletons
from tests.walkers import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_format_reads_to_the_same_joints(case: Case, tmp_path):
    path = case.write(tmp_path)
    assert skeletons.format_of(path) == case.format
    body = skeletons.read(path)
    np.testing.assert_allclose(body.joints, case.joints, atol=case.exact * 0.51 + np.abs(case.joints).max() * 2e-7)
    assert body.joints.dtype == np.float32
    assert (body.layout.name if body.layout else None) == case.layout
    assert body.seen.shape == body.joints.shape[:2]
    assert body.seen.all()
    for name, value in case.about.items():
        assert getattr(body, name) == pytest.approx(value) if name == "rate" else getattr(body, name) == value
    np.testing.assert_array_equal(signals.skeleton(path), body.joints)


def test_every_format_has_a_case():
    assert {case.format for case in CASES} == set(skeletons.names())
