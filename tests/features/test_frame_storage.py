"""Decoded frames in the cache; what PIL reads of a JPEG is the oracle."""

import io

import numpy as np
import torch
from PIL import Image

from aqakit.features import frame_storage


def _frames() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), np.uint8)
    return np.stack([np.array(Image.fromarray(one).resize((60, 48), Image.Resampling.BICUBIC)) for one in small])


def test_raw_frames_are_returned_as_they_are():
    frames = _frames()
    held = frame_storage.restored(frame_storage.stored(frames, "raw"))
    for rows in ([2, 3, 4], [0, 3, 6], [6]):
        np.testing.assert_array_equal(frame_storage.select(held, np.array(rows)).numpy(), frames[rows])


def test_each_frame_is_a_jpeg_that_pil_reads():
    frames = _frames()
    tensors = frame_storage.stored(frames, "jpeg")
    content, ends = tensors["jpeg"].numpy().tobytes(), tensors["ends"].tolist()
    seen = [np.array(Image.open(io.BytesIO(content[a:b]))) for a, b in zip([0, *ends], ends)]
    assert len(seen) == 7
    assert len(content) == ends[-1]
    assert 10 * np.log10(255**2 / np.square(np.stack(seen) - frames.astype(float)).mean()) > 40
    held = frame_storage.restored(tensors)
    assert held.nbytes < frames.nbytes
    for rows in ([2, 3, 4], [0, 3, 6], [6]):
        found = frame_storage.select(held, np.array(rows))
        assert found.dtype == torch.uint8
        np.testing.assert_array_equal(found.numpy(), np.stack([seen[row] for row in rows]))
