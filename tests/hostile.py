"""Makers of small videos, and of files that every reader must refuse in one sentence.

Each list holds (name, maker); ``maker(folder)`` makes the file in an empty folder and returns its path. Whatever a file
tries to execute leaves a file named ``executed`` in that folder.
"""

import gzip
import io
import json
import os
import pickle
import struct
import wave
import zipfile
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

Maker = Callable[[Path], Path]

BITS, HEIGHT, WIDTH = 8, 48, 64
FAST = {".webm": {"deadline": "realtime", "cpu-used": "8"}, ".avi": {"b": "20M"}}
CODECS = {
    ".mp4": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".avi": "mpeg4",
    ".webm": "libvpx",
    ".gif": "gif",
}


def picture(number: int) -> np.ndarray:
    """(48, 64, 3): the bits of a number as white and black columns over a grey floor, which survives any codec."""
    bits = [(number >> i) & 1 for i in range(BITS)]
    image = np.repeat(np.array(bits, np.uint8) * 255, WIDTH // BITS)[None, :, None].repeat(HEIGHT, 0).repeat(3, 2)
    image[-8:] = 90
    return image


def number_in(image: np.ndarray) -> int:
    """The number that :func:`picture` drew, read from an image of any size."""
    height, width = image.shape[:2]
    columns = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    return sum(int(image[height // 3, c].mean() > 127) << i for i, c in enumerate(columns))


def write_video(
    path: Path,
    count: int,
    *,
    codec: str | None = None,
    times: Iterable[int] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    gop: int = 12,
    noise: int = 0,
    show: Callable[[int], np.ndarray] = picture,
) -> Path:
    """Frames 0 … count − 1 at 25 a second, or shown at ``times`` in milliseconds; ``noise`` makes a file larger."""
    chance = np.random.default_rng(0)
    with av.open(str(path), "w", options=container or {}) as file:
        options = options or FAST.get(path.suffix, {})
        track: Any = file.add_stream(codec or CODECS[path.suffix], rate=25, options=options)
        track.width, track.height = WIDTH, HEIGHT
        track.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(track.codec_context.name, "yuv420p")
        track.gop_size = gop
        track.thread_count = 1  # the same bytes every time
        if times is not None:
            track.codec_context.time_base = Fraction(1, 1000)
        for number, time in zip(range(count), times or range(count), strict=False):
            image = show(number).copy()
            image[-8:] += chance.integers(0, noise + 1, image[-8:].shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = time
            if times is not None:
                frame.time_base = Fraction(1, 1000)
            file.mux(track.encode(frame))
        file.mux(track.encode(None))
    return path


def write_pictures(folder: Path, count: int, ending: str = ".png", first: int = 0) -> Path:
    """A folder of pictures, named so that sorting by text would go wrong."""
    folder.mkdir()
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
        frame.save(str(folder / f"img_{first + number}{ending}"))
    return folder


def cut_short(path: Path, share: float) -> Path:
    """Keep only the beginning of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def damage(path: Path, first: int, last: int) -> Path:
    """Invert some bytes in the second half of the packets ``first`` to ``last``, and of nothing else in the file."""
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    data, place = bytearray(path.read_bytes()), 0
    for number, packet in enumerate(packets):
        place = data.index(packet, place)
        if first <= number <= last:
            for inside in range(len(packet) // 2, len(packet), 7):
                data[place + inside] ^= 0xFF
        place += len(packet)
    path.write_bytes(data)
    return path


def rotate(path: Path, degrees_clockwise: int) -> Path:
    """Write a rotation into the track header of an MP4, as a phone does: a, b, u, c, d, v, x, y, w."""
    matrix = {90: (0, 1, 0, -1, 0, 0), 180: (-1, 0, 0, 0, -1, 0), 270: (0, -1, 0, 1, 0, 0)}[degrees_clockwise]
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version and flags, times, id, layer, volume
    data[place : place + 24] = struct.pack(">6i", *(v << 16 for v in matrix))
    path.write_bytes(data)
    return path


def _bytes(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _missing(name: str) -> Maker:
    return lambda folder: folder / name


def _fifo(name: str) -> Maker:
    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


def _sound(folder: Path) -> Path:
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    return folder / "sound.wav"


def _empty_folder(folder: Path) -> Path:
    (folder / "frames").mkdir()
    (folder / "frames" / "notes.txt").write_text("no picture")
    return folder / "frames"


def _broken_pictures(folder: Path) -> Path:
    pictures = write_pictures(folder / "frames", 3)
    for path in pictures.iterdir():
        path.write_bytes(b"\x89PNG\r\n" + bytes(50))
    return pictures


def _giant(folder: Path) -> Path:
    path = write_video(folder / "giant.gif", 2)
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<2H", 60000, 60000)
    path.write_bytes(data)
    return path


NOISE = np.random.default_rng(0).bytes(5000)

VIDEOS: list[tuple[str, Maker]] = [
    ("missing", _missing("none.mp4")),
    ("empty", _bytes("empty.mp4", b"")),
    ("text named as video", _bytes("text.mp4", b"this is not a video\n" * 100)),
    ("text", _bytes("text.txt", b"this is not a video\n" * 100)),
    ("noise", _bytes("noise.avi", NOISE)),
    ("sound only", _sound),
    ("folder without pictures", _empty_folder),
    ("folder of broken pictures", _broken_pictures),
    ("60000 x 60000 pixels", _giant),
    ("MP4 without its index", lambda folder: cut_short(write_video(folder / "cut.mp4", 60), 0.6)),
    (
        "AVI cut to a fifth",
        lambda folder: cut_short(write_video(folder / "cut.avi", 100, codec="mjpeg"), 0.2),
    ),
    ("nothing but a header", lambda folder: cut_short(write_video(folder / "cut.mkv", 60), 0.05)),
    ("named pipe", _fifo("pipe.mp4")),
]

ROWS = "0.1 0.2 0.3\n" * 4


def _array(name: str, array: Any) -> Maker:
    def make(folder: Path) -> Path:
        np.save(folder / name, array, allow_pickle=True)
        return folder / name

    return make


def _archive(**arrays: Any) -> Maker:
    def make(folder: Path) -> Path:
        np.savez(folder / "signal.npz", **arrays)
        return folder / "signal.npz"

    return make


def _claimed_array(folder: Path) -> Path:
    with (folder / "signal.npy").open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)
    return folder / "signal.npy"


SIGNALS: list[tuple[str, Maker]] = [
    ("missing", _missing("none.txt")),
    ("empty", _bytes("empty.txt", b"")),
    ("blank lines", _bytes("blank.txt", b"\n \n\n")),
    ("ragged", _bytes("ragged.txt", (ROWS + "1 2\n").encode())),
    ("a word", _bytes("word.txt", (ROWS + "1 two 3\n").encode())),
    ("not a number", _bytes("nan.txt", (ROWS + "1 2 nan\n").encode())),
    ("infinite", _bytes("inf.csv", b"1,2,3\n1,1e400,3\n")),
    ("noise", _bytes("noise.txt", NOISE)),
    ("truncated gzip", _bytes("cut.txt.gz", gzip.compress((ROWS * 500).encode())[:-20])),
    ("not gzip", _bytes("plain.txt.gz", ROWS.encode())),
    ("object array", _array("objects.npy", np.array([[{}]], dtype=object))),
    ("one dimension", _array("line.npy", np.zeros(5))),
    ("two unnamed arrays", _archive(a=np.zeros((3, 2)), b=np.zeros((3, 2)))),
    ("claims petabytes", _claimed_array),
    ("unknown kind", _bytes("signal.mat", b"MATLAB 5.0")),
    ("named pipe", _fifo("pipe.txt")),
]

HEADER = b"id,path,score\n"


def _manifest(content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        for name in ("a.txt", "b.txt"):
            (folder / name).write_text(ROWS)
        return _bytes("manifest.csv", content)(folder)

    return make


MANIFESTS: list[tuple[str, Maker]] = [
    ("missing", _missing("none.csv")),
    ("empty", _manifest(b"")),
    ("names of columns only", _manifest(HEADER)),
    ("no column id", _manifest(b"path,score\na.txt,1\n")),
    ("a column twice", _manifest(b"id,path,score,score\na,a.txt,1,1\n")),
    ("score is a word", _manifest(HEADER + b"a,a.txt,good\n")),
    ("score is nan", _manifest(HEADER + b"a,a.txt,nan\n")),
    ("an id twice", _manifest(HEADER + b"a,a.txt,1\na,b.txt,2\n")),
    ("ragged", _manifest(HEADER + b"a,a.txt,1,2,3\n")),
    ("ends before it starts", _manifest(b"id,path,score,start,end\na,a.txt,1,50,20\n")),
    ("noise", _manifest(NOISE)),
    ("no path", _manifest(HEADER + b"a,,1\n")),
]


class _Calls:
    """Pickles to a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _pickled(make_object: Callable[[Path], Any], protocol: int = 4) -> Maker:
    def make(folder: Path) -> Path:
        (folder / "data.pkl").write_bytes(pickle.dumps(make_object(folder), protocol))
        return folder / "data.pkl"

    return make


def _touch(folder: Path) -> str:
    return f"touch {folder / 'executed'}"


def _evaluated(folder: Path) -> str:
    return f"open({str(folder / 'executed')!r}, 'w').close()"


_FORGED_ARRAY = b"cnumpy\nndarray\n(K\x01\x85cnumpy\ndtype\n(X\x01\x00\x00\x00OtRB\x08\x00\x00\x00AAAAAAAAtR."
_FORGED_DTYPE = (  # bytes of numbers, then a state that says they are pointers
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00V8tR(K\x03X\x01\x00\x00\x00|NX\x01\x00\x00\x00a\x85"
    b"}X\x01\x00\x00\x00acnumpy\ndtype\n(X\x01\x00\x00\x00OtRK\x00\x86sK\x08K\x01K\x00tb."
)

PICKLES: list[tuple[str, Maker]] = [
    ("missing", _missing("none.pkl")),
    ("empty", _bytes("data.pkl", b"")),
    ("text", _bytes("data.pkl", b"this is not a pickle")),
    ("noise", _bytes("data.pkl", NOISE)),
    ("truncated", _bytes("data.pkl", pickle.dumps(list(range(1000)))[:-5])),
    ("os.system", _pickled(lambda folder: _Calls(os.system, _touch(folder)))),
    ("eval", _pickled(lambda folder: [1, {"a": _Calls(eval, _evaluated(folder))}], protocol=0)),
    (
        "exec inside an array",
        _pickled(lambda folder: np.array([_Calls(exec, _evaluated(folder))], dtype=object)),
    ),
    ("a class of the library", _pickled(lambda folder: Path(folder), protocol=2)),
    ("getattr", _pickled(lambda folder: _Calls(getattr, "text", "upper"), protocol=2)),
    ("forged array", _bytes("data.pkl", _FORGED_ARRAY)),
    ("forged dtype", _bytes("data.pkl", _FORGED_DTYPE)),
    ("persistent reference", _bytes("data.pkl", b"Psomewhere\n.")),
]


def _tensors(header: dict[str, Any] | bytes, content: bytes = bytes(16), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def _entry(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | changes}


def _torch_archive(folder: Path) -> bytes:
    content = io.BytesIO()
    torch.save({"w": torch.zeros(4), "call": _Calls(os.system, _touch(folder))}, content)
    return content.getvalue()


def _evil_archive(folder: Path) -> Path:
    (folder / "weights.pt").write_bytes(_torch_archive(folder))
    return folder / "weights.pt"


def _cut_archive(folder: Path) -> Path:
    torch.save({"w": torch.zeros(1000)}, folder / "weights.pt")
    return cut_short(folder / "weights.pt", 0.5)


def _other_archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "weights.pt", "w") as archive:
        archive.writestr("readme.txt", "no tensors")
    return folder / "weights.pt"


CHECKPOINTS: list[tuple[str, Maker]] = [
    ("missing", _missing("none.safetensors")),
    ("empty", _bytes("weights.safetensors", b"")),
    ("text", _bytes("weights.safetensors", b"these are not weights\n" * 10)),
    ("truncated", _bytes("weights.safetensors", _tensors(_entry(), bytes(7)))),
    ("header of exabytes", _bytes("weights.safetensors", _tensors(_entry(), length=2**60))),
    ("header is no JSON", _bytes("weights.safetensors", _tensors(b"{not json}"))),
    ("offsets outside", _bytes("weights.safetensors", _tensors(_entry(data_offsets=[0, 999])))),
    ("unknown dtype", _bytes("weights.safetensors", _tensors(_entry(dtype="F31")))),
    ("truncated archive", _cut_archive),
    ("another archive", _other_archive),
    ("archive that calls os.system", _evil_archive),
    ("pickle that calls os.system", lambda folder: PICKLES[5][1](folder).rename(folder / "weights.pt")),
    ("noise", _bytes("weights.pt", NOISE)),
]
