"""Open video files: only real containers, only the file itself, and the track that a player would choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from aqakit.errors import VideoError
from aqakit.recordings.video.info import LIMITS, MAX_PIXELS

FORMATS = (
    *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "gif", "apng", "flv", "live_flv", "kux"),
    *("mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "vvc", "h261", "h263", "vc1", "vc1test", "obu", "av1"),
    *("ivf", "asf", "ogg", "wtv", "mxf", "gxf", "nut", "rm", "dv", "dirac", "cavsvideo", "mjpeg", "mpjpeg", "smjpeg"),
    *("yuv4mpegpipe", "swf", "nsv", "dhav", "amv", "mjpeg_2000", "jpegxl_anim", "dnxhd", "cine", "mlv", "avs2", "avs3"),
    *("jpeg_pipe", "png_pipe", "bmp_pipe", "webp_pipe", "tiff_pipe", "gif_pipe", "ppm_pipe", "pgm_pipe", "j2k_pipe"),
)
"""FFmpeg's names of the formats that are read: those that hold their pictures themselves. Playlists and scripts, such
as HLS (``.m3u8``), DASH, ``ffconcat``, SDP or patterns of file names, would make it open other files."""

PROTOCOLS = "file"
"""FFmpeg's protocols that are used: none that goes over a network."""

RETRIES = 100
"""How often reading continues after a damaged place in the container."""

_SAFE = {**LIMITS, "protocol_whitelist": PROTOCOLS, "format_whitelist": ",".join(FORMATS)}
_TEXT = {"ansi", "xbin", "idf", "bintext"}  # FFmpeg's decoders that render text files
_DEFAULT = 5_000_000  # pixels that the flag "default" is worth to FFmpeg
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@contextmanager
def opened(path: Path, place: int = 0) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file with one of its video tracks, of which the first is the best (:func:`choices`).

    Raises:
        VideoError: the file is no video of a known format, or the track cannot be decoded.
    """
    try:
        container = av.open(f"file:{path}", options=_SAFE, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise VideoError(
            f"{path} cannot be read as a video: {why}; is it a complete video file, not a playlist or script?"
        ) from error
    with container:
        yield container, _checked(choices(container), place, path)


def choices(container: InputContainer) -> list[VideoStream]:
    """Return the tracks with moving pictures, the one that FFmpeg would choose first: by flag "default" and size."""
    tracks = [t for t in container.streams.video if not t.disposition & _NO_VIDEO]
    return sorted(tracks or [t for t in container.streams.video if t.disposition & Disposition.still_image], key=_rank)


def packets(container: InputContainer, track: VideoStream) -> Iterator[Packet[VideoStream] | None]:
    """Yield all packets of the track, continuing after damage, then None, which flushes the decoder."""
    for _ in range(RETRIES):
        try:
            yield from (packet for packet in container.demux(track) if packet.size)
            break
        except (FFmpegError, IndexError):  # the latter from PyAV, for a track that begins in the middle of a file
            continue
    yield None


def decoded(track: VideoStream, packet: Packet[VideoStream] | None) -> list[VideoFrame] | None:
    """Return the frames that the decoder outputs for a packet; None if it cannot be decoded."""
    try:
        return track.decode(packet)
    except FFmpegError:
        return None


def seek(container: InputContainer, track: VideoStream, time: int) -> bool:
    """Go to a keyframe at or before a time, and return whether that worked."""
    try:
        container.seek(time, stream=track)
    except FFmpegError:
        return False
    return True


def _rank(track: VideoStream) -> tuple[bool, int]:
    context = track.codec_context
    pixels = context.width * context.height if context else 0
    default = _DEFAULT if track.disposition & Disposition.default else 0
    return context is None, -pixels - default


def _checked(tracks: list[VideoStream], place: int, path: Path) -> VideoStream:
    if not tracks:
        raise VideoError(f"{path} has no video track, only sound or data")
    track = tracks[place]
    context = track.codec_context
    if context is None:
        raise VideoError(f"{path}: there is no decoder for its video; convert it to H.264 in MP4")
    if context.name in _TEXT:
        raise VideoError(f"{path} is text, not a video")
    if context.width * context.height > MAX_PIXELS:
        size = f"{context.width}×{context.height}"
        raise VideoError(f"{path} declares frames of {size} pixels; the limit is {MAX_PIXELS}")
    return track
