"""Read frames of a video by number: any container FFmpeg reads, GIF, or a folder of numbered pictures.

A frame's number is its position in display order, from 0, so it is exact even if the frame rate varies. With
``rate="constant"`` numbers count the pictures that FFmpeg writes of a file at a constant rate instead. Frames are shown
upright in one of eight orientations, as the file specifies, and returned as (H, W, 3) uint8 RGB. Of several tracks, the
one that FFmpeg would choose is read. A folder is one sequence: one pattern of names, one ending, unique numbers.

Damage: a file that cannot be opened, has no pictures or declares more than :data:`MAX_PIXELS` per frame is rejected. Of
a file that is truncated or has flipped bytes, the readable frames are used: a requested frame that is missing is
replaced by the nearest earlier readable one (at the start, by the first readable one). A :class:`Report` counts these
and the frames that are damaged. With fewer than :data:`READABLE` of its frames, it is rejected.
"""

from aqakit.recordings.video.info import MAX_PIXELS, READABLE, UNEVEN, Report, VideoInfo
from aqakit.recordings.video.reading import Rate, folder_of, frames, probe, stream, times, verify

__all__ = [
    "MAX_PIXELS",
    "READABLE",
    "UNEVEN",
    "Rate",
    "Report",
    "VideoInfo",
    "folder_of",
    "frames",
    "probe",
    "stream",
    "times",
    "verify",
]
