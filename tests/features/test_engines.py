"""The engine ``auto``: the faster of two that differ by rounding alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aqakit.backbones import hog_hof
from aqakit.errors import OptionError
from aqakit.features import engines, extract
from aqakit.types import Sample
from tests.features.test_extract import samples, small  # noqa: F401 (a fixture)

CLIPS = np.random.default_rng(0).integers(0, 256, (4, 8, 24, 24, 3), np.uint8)


class Scaled(engines.Torch):
    """An engine with another name, whose features are twice those of PyTorch."""

    name = "openvino"

    def _prepare(self, backbone, clips):
        return lambda clips: 2 * self._forward(backbone, clips)

    def fingerprint(self):
        return {"engine": "scaled"}


@pytest.fixture
def fastest(monkeypatch) -> engines.Fastest:
    monkeypatch.setattr(engines, "OpenVINO", lambda precision, calibration: Scaled(precision))
    monkeypatch.setattr(engines, "_has_openvino", lambda: True)
    monkeypatch.setattr(engines.torch.cuda, "is_available", lambda: False)
    made = engines.make("auto")
    assert isinstance(made, engines.Fastest)
    return made


def worked(engine: engines.Engine, backbone, clips: int, seconds: float) -> None:
    engine.work[backbone] = engines.Work(clips, seconds)


def test_pytorch_begins(fastest) -> None:
    backbone = small()
    plain = engines.make("torch").embed(backbone, CLIPS)
    assert torch.equal(fastest.embed(backbone, CLIPS), plain)
    worked(fastest._torch, backbone, 1000, engines._PATIENCE - 1)
    assert fastest.choose(backbone, CLIPS) is fastest._torch


@pytest.mark.parametrize(("rate", "expected"), [(21.0, "openvino"), (19.0, "torch")])
def test_after_a_trial_the_faster_one_is_kept(fastest, rate: float, expected: str) -> None:
    backbone = small()
    worked(fastest._torch, backbone, 20 * 120, 120.0)
    assert fastest.choose(backbone, CLIPS) is fastest._openvino  # the trial
    worked(fastest._openvino, backbone, 20, 20 / rate)
    assert fastest.choose(backbone, CLIPS).name == expected
    worked(fastest._torch, backbone, 1, 1e9)  # what is settled stays
    worked(fastest._openvino, backbone, 1, 1e9)
    assert fastest.choose(backbone, CLIPS).name == expected
    assert fastest.choose(small(), CLIPS).name == "torch"  # each network for itself


def test_a_network_that_cannot_be_converted_stays_in_pytorch(fastest, monkeypatch) -> None:
    backbone = small()

    def refuse(backbone, clips):
        raise engines.ConversionError("no such operation")

    monkeypatch.setattr(fastest._openvino, "_prepare", refuse)
    worked(fastest._torch, backbone, 10, 1000.0)
    assert fastest.choose(backbone, CLIPS) is fastest._torch
    assert isinstance(engines.ConversionError("x"), OptionError)  # for who asked for openvino by name


def test_measures_without_weights_stay_in_pytorch(fastest) -> None:
    backbone = hog_hof.build(size=16)
    worked(fastest._torch, backbone, 10, 1000.0)
    assert fastest.choose(backbone, CLIPS) is fastest._torch
    assert fastest.choices(backbone) == [fastest._torch]


def test_features_of_both_are_told_apart_and_both_are_found(fastest, samples: list[Sample], tmp_path: Path) -> None:  # noqa: F811
    backbone = small()
    plain = extract.clips_of(samples[0], "c", backbone, tmp_path, fastest).features
    worked(fastest._torch, backbone, 10, 1000.0)
    scaled = extract.clips_of(samples[1], "c", backbone, tmp_path, fastest)
    assert scaled.fresh
    for sample, found in ((samples[0], plain), (samples[1], scaled.features)):
        again = extract.clips_of(sample, "c", backbone, tmp_path, fastest)
        assert not again.fresh
        assert torch.equal(again.features, found)
    exact = engines.make("torch")
    assert not extract.clips_of(samples[0], "c", backbone, tmp_path, exact).fresh
    by_name = extract.clips_of(samples[1], "c", backbone, tmp_path, exact)
    assert by_name.fresh  # who asks for PyTorch does not get the other one's
    torch.testing.assert_close(scaled.features, 2 * by_name.features, rtol=2e-3, atol=1e-3)


def test_without_openvino_or_in_another_precision_there_is_no_choice(monkeypatch) -> None:
    assert engines.make("auto", "bfloat16").fingerprint() == engines.make("torch", "bfloat16").fingerprint()
    monkeypatch.setattr(engines, "_has_openvino", lambda: False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert type(engines.make("auto")) is engines.Torch


@pytest.mark.slow
def test_the_real_openvino_takes_over_within_rounding(monkeypatch) -> None:
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    monkeypatch.setattr(engines, "_PATIENCE", 0.0)
    backbone, fastest = small(), engines.make("auto")
    first = fastest.embed(backbone, CLIPS)
    torch.testing.assert_close(first, engines.make("torch").embed(backbone, CLIPS), rtol=1e-4, atol=1e-5)
    assert fastest._openvino.work[backbone].clips == len(CLIPS)
