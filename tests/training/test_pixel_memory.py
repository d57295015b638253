"""Frames are read once while there is room for them, and every time when there is none."""

from dataclasses import replace

import numpy as np
import torch

from aqakit.features.extract import Pixels
from aqakit.recordings.video import Report
from aqakit.training.pixel_memory import PixelMemory


def pixels(value: int) -> Pixels:
    frames = torch.full((2, 4, 4, 3), value, dtype=torch.uint8)  # 96 bytes
    return Pixels(frames, np.arange(2), 2, "content", Report())


def test_what_fits_is_read_once_and_the_rest_every_time() -> None:
    for mapped, memory in ((False, PixelMemory(room=2 * 96, mapped=0)), (True, PixelMemory(room=0, mapped=2))):
        read: list[int] = []

        def reading(value: int, mapped: bool = mapped, read: list[int] = read) -> Pixels:
            read.append(value)
            return replace(pixels(value), mapped=mapped)

        for _ in range(3):
            for value in range(3):
                found = memory.get(value, lambda value=value, reading=reading: reading(value))
                assert (found.frames == value).all()
        assert read == [0, 1, 2, 2, 2]
