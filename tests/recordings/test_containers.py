"""Which track of a file is read, as FFmpeg chooses it, and which files are refused because they name others."""

from pathlib import Path

import av
import pytest

from aqakit.errors import VideoError
from aqakit.recordings import video
from tests import hostile
from tests.ffmpeg import needs_ffmpeg, pictures

TRACKS = {
    "small first, none or both marked": ((False, False), ("small", "large")),
    "large first": ((False, False), ("large", "small")),
    "small first and default": ((True, False), ("small", "large")),
    "large second and default": ((False, True), ("small", "large")),
    "small second and default": ((False, True), ("large", "small")),
}
SIZES = {"small": (32, 24, 3), "large": (128, 96, 20)}  # width, height, frames


def write_tracks(path: Path, default: tuple[bool, bool], sizes: tuple[str, str]) -> Path:
    with av.open(str(path), "w") as file:
        tracks = []
        for marked, (width, height, count) in zip(default, (SIZES[size] for size in sizes), strict=True):
            track = file.add_stream("libx264", rate=25, options={"g": "5"})
            track.width, track.height, track.pix_fmt = width, height, "yuv420p"
            track.disposition = av.stream.Disposition.default if marked else av.stream.Disposition(0)
            tracks.append((track, count))
        for track, count in tracks:
            for k in range(count):
                frame = av.VideoFrame.from_ndarray(hostile.picture(k), "rgb24").reformat(track.width, track.height)
                frame.pts = k
                file.mux(track.encode(frame))
        for track, _ in tracks:
            file.mux(track.encode(None))
    return path


@needs_ffmpeg
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("name", TRACKS)
def test_the_track_is_that_of_ffmpeg(name, ending, tmp_path):
    path = write_tracks(tmp_path / f"v{ending}", *TRACKS[name])
    theirs, info = pictures(path), video.probe(path)
    assert (info.height, info.width) == theirs[0].shape[:2]
    assert info.frames == len(theirs) == len(list(video.stream(path)))


def test_the_default_track_or_else_the_largest_is_read(tmp_path):
    read = {}
    for name, made in TRACKS.items():
        info = video.probe(write_tracks(tmp_path / "v.mkv", *made))
        read[name] = (info.width, info.height, info.frames)
    assert read["large first"] == read["large second and default"] == SIZES["large"]
    assert read["small second and default"] == SIZES["small"]


def test_a_track_that_cannot_be_decoded_is_not_the_only_one(tmp_path):
    path = write_tracks(tmp_path / "v.mkv", (False, False), ("large", "small"))
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    for packet in packets:
        place = data.index(packet)
        data[place : place + len(packet)] = bytes(len(packet))
    path.write_bytes(data)
    assert (video.probe(path).width, video.probe(path).frames) == (32, 3)
    assert len(list(video.stream(path))) == 3


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n",
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile other.ts\n",
    "list.mkv": "ffconcat version 1.0\nfile other.ts\nfile other.ts\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "list.avi": '<?xml version="1.0"?><MPD type="static"><Period><BaseURL>other.ts</BaseURL></Period></MPD>',
    "list.mov": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile:other.ts\n#EXT-X-ENDLIST\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_file_that_names_others_is_refused_and_opens_none(name, tmp_path, monkeypatch):
    other = hostile.write_video(tmp_path / "other.ts", 8, codec="libx264")
    (tmp_path / name).write_text(PLAYLISTS[name])
    monkeypatch.chdir(tmp_path)
    before = other.stat().st_atime_ns
    for path in (tmp_path / name, Path(name)):
        with pytest.raises(VideoError, match=name) as caught:
            video.probe(path)
        assert "\n" not in str(caught.value)
    assert other.stat().st_atime_ns == before


@pytest.mark.parametrize(
    "ending", [".ts", ".mpg", ".flv", ".nut", ".ogv", ".wmv", ".m4v", ".3gp", ".h264", ".mjpeg", ".y4m", ".mxf"]
)
def test_containers_that_hold_their_pictures_are_read(ending, tmp_path):
    codecs = {".mpg": "mpeg2video", ".ogv": "libtheora", ".wmv": "wmv2", ".mjpeg": "mjpeg", ".mxf": "mpeg2video"}
    codecs |= {".y4m": "rawvideo"}
    try:
        path = hostile.write_video(
            tmp_path / f"v{ending}", 10, codec=codecs.get(ending, "libx264"), options={"b": "9M"}
        )
    except ValueError:
        pytest.skip("this build of PyAV cannot write it")
    assert [hostile.number_in(image) for _, image in video.stream(path)] == list(range(10))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_a_single_picture_is_a_video_of_one_frame(kind, tmp_path):
    from PIL import Image

    Image.fromarray(hostile.picture(9)).save(tmp_path / f"photo.{kind.lower()}", format=kind)
    assert hostile.number_in(video.frames(tmp_path / f"photo.{kind.lower()}", [0])[0]) == 9
