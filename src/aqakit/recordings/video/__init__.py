"""Frames of a video by their number: any container FFmpeg reads, GIF, or a folder of numbered pictures.

A frame's number is its place in the order of showing, from 0, so it is exact where the frame rate varies. Frames
are turned upright as the file says and come as (H, W, 3) uint8 RGB.

Damage: what cannot be opened, has no pictures or claims more than :data:`MAX_PIXELS` per frame is refused. Of a file
that is cut short or has flipped bytes, what is readable is used: a wanted frame that is missing is replaced by the
nearest earlier readable one (at the start, by the first readable one). That and the frames that the decoder flags
as corrupt are counted in a :class:`Report`; with fewer than :data:`READABLE` of the frames there, it is refused.
"""

from aqakit.recordings.video.info import MAX_PIXELS, READABLE, Report, VideoInfo
from aqakit.recordings.video.reading import frames, probe, stream

__all__ = ["MAX_PIXELS", "READABLE", "Report", "VideoInfo", "frames", "probe", "stream"]
