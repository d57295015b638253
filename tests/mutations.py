"""Read thousands of mutated files in this process, and stop at the first that is not refused in one sentence.

``python -m tests.mutations files|videos FOLDER SEED COUNT`` prints the largest growth of memory in MiB and the longest
time in seconds. A crash by a signal, another exception than an :class:`aqakit.errors.AqakitError`, a call that would
run code, ten seconds for one file or a GiB of memory ends it with an exit code that is not 0; the file is kept.
"""

import io
import json
import pickle
import random
import resource
import shutil
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import torch
from safetensors.torch import save_file

from aqakit.backbones.weights import loading
from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import AqakitError
from aqakit.features import cache
from aqakit.recordings import pickles, signals, video
from aqakit.training import run_files, run_json
from tests.releases import mtl_aqa_dives, write_mtl_aqa
from tests.walkers import CASES

MOST_MEMORY, MOST_SECONDS = 1024.0, 10.0
INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63 - 1]
FORBIDDEN = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect",
             "shutil.rmtree", "ctypes.dlopen")  # fmt: skip


def rows() -> list[dict[str, object]]:
    """What released annotations are made of."""
    marks = np.arange(6.0).reshape(2, 3)
    return [
        {"a": [1, 2.5, "x", None, {3}, frozenset({4}), 1j], (1, 2): OrderedDict(b=np.float64(1.5))},
        {"marks": marks, "names": np.array(["one", "three"]), "mixed": np.array([[{}, "a"], [1, None]], object)},
        dict(list(mtl_aqa_dives().items())[:2]),
    ]


def pickled() -> list[bytes]:
    return [pickle.dumps(one, protocol) for one in rows() for protocol in range(6)]


def npy(objects: bool) -> list[bytes]:
    plain = [np.arange(12.0).reshape(4, 3), np.ones((3, 2, 2), np.int16), np.float32([[1, 2]])]
    mixed = [np.array([[1, "a"], [None, 2.5]], dtype=object), np.array([np.arange(3.0), {"a": 1}], dtype=object)]
    found = []
    for one in mixed if objects else plain:
        np.save(file := io.BytesIO(), one, allow_pickle=True)
        found.append(file.getvalue())
    return found


def npz() -> list[bytes]:
    np.savez_compressed(file := io.BytesIO(), features=np.arange(12.0).reshape(4, 3))
    return [file.getvalue()]


def torch_files() -> list[bytes]:
    state = {"conv5b.weight": torch.ones(3, 2), "conv5b.bias": torch.ones(3), "best": np.float64(1), "epoch": 3}
    found = []
    for one, kind in ((torch.arange(12.0).reshape(4, 3), True), (state, True), (state, False)):
        torch.save(one, file := io.BytesIO(), _use_new_zipfile_serialization=kind)
        found.append(file.getvalue())
    return found


def tensor_files(folder: Path) -> list[bytes]:
    file = folder / "seed.safetensors"
    save_file({"conv5b.weight": torch.ones(3, 2), "conv5b.bias": torch.ones(3)}, file)
    first = file.read_bytes()
    save_file({"features": torch.arange(12.0).reshape(4, 3)}, file)
    return [first, file.read_bytes()]


def skeleton_files(folder: Path) -> list[bytes]:
    """One file of each format that is a single file."""
    joints = np.arange(12.0).reshape(2, 3, 2).tolist()
    found = [json.dumps(one).encode() for one in (joints, {"joints": joints})]
    for at, case in enumerate(CASES):
        (folder / str(at)).mkdir()
        path = case.write(folder / str(at))
        found += [path.read_bytes()] if path.is_file() else []
    return found


RECIPE = {
    "method": "regression",
    "data": "manifest",
    "backbones": [["kinematics", {"channels": "3"}]],
    "settings": {"seed": 0},
}
DESCRIPTION = {
    "recipe": RECIPE, "labels": {"scale": {"low": 0, "high": 9, "unit": "points"}, "attributes": {"a": 2}},
    "fingerprint": "f", "status": "finished", "epoch": 1, "losses": [{"a": 0.5}], "difficulty": [1, 2], "notes": [],
    "trust": {"split": "test", "samples": 3, "held": 2, "mae": 1.0, "mae_constant": 1.0, "mae_length": None,
              "spearman": 0.5, "worth": True},
}  # fmt: skip
RUN_TEXTS = {
    "run.json": json.dumps(DESCRIPTION, indent=1),
    "training.json": json.dumps([{"window": [0, 3], "sources": {"video": "0" * 32}}]),
    "descriptions.json": json.dumps({"test": {"judged": {"a": 0.5}, "samples": [{"id": "x", "a": 1, "true_a": 1}]}}),
    "recalibration.json": json.dumps({"kind": "conformal", "observed": [0.0, 1.0, 2.0], "calibrated": [0.0, 1.0, 2.0]}),
    "predictions.csv": "split,id,true,mean,std,low_90,high_90,group\ntest,a,1.5,1.4,0.1,1,2,g\n",
}


def read_run(file: Path) -> None:
    """Read a run without digests, as those of earlier versions, of which one text file is mutated."""
    folder = file.parent
    for name, text in RUN_TEXTS.items():
        if name != file.name:
            (folder / name).write_text(text)
    stored = run_json.read(folder)
    run_json.recipe_of(folder, stored), run_json.labels_of(folder, stored), run_json.trust_of(folder, stored)
    run_files.read_training(folder), run_files.read_descriptions(folder), run_files.load_recalibration(folder)
    run_files.read_predictions(folder)


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """One to four random changes: bits, bytes, numbers, cuts, repetitions, and parts of other files."""
    content = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        place = chance.randrange(len(content) + 1)
        match chance.randrange(8):
            case 0 | 1 if place < len(content):
                content[place] ^= 1 << chance.randrange(8)
            case 2 if place < len(content):
                content[place] = chance.randrange(256)
            case 3:
                size = chance.choice([1, 2, 4, 8])
                content[place : place + size] = (chance.choice(INTERESTING) % 256**size).to_bytes(size, "little")
            case 4:
                del content[place : place + chance.randrange(1, 40)]
            case 5:
                content = content[: max(1, place)]
            case 6:
                content[place:place] = content[place : place + chance.randrange(1, 60)] * chance.randrange(1, 20)
            case _:
                other = chance.choice(others)
                start = chance.randrange(len(other))
                content[place:place] = other[start : start + chance.randrange(1, 60)]
    return bytes(content)


def rezipped(data: bytes, chance: random.Random) -> bytes:
    """Mutate a member of an archive, whose checksums are then right; perhaps compress it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = chance.choice([name for name, content in members.items() if content])
    members[chosen] = mutated(members[chosen], chance, list(members.values()))
    with zipfile.ZipFile(file := io.BytesIO(), "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return file.getvalue()


Case = tuple[str, list[bytes], Callable[[Path], object]]
"""Name of a file, its intact contents, and what reads it."""


def cases(folder: Path) -> list[Case]:
    """Files of annotations, motion, features, weights and runs."""
    annotations = write_mtl_aqa(folder / "mtl") / "augmented_final_annotations_dict.pkl"
    key = "0" * 32
    cache.save(folder / "aa" / f"{key}.safetensors", {"features": torch.ones(3, 2), "length": torch.tensor(3)})
    cached = (folder / "aa" / f"{key}.safetensors").read_bytes()

    def read_annotations(file: Path) -> None:
        shutil.copy(file, annotations)
        load_dataset("mtl_aqa", annotations.parent)

    return [
        ("a.pkl", pickled(), pickles.load),
        ("a.npy", npy(objects=True), pickles.load_npy_objects),
        ("a.npy", npy(objects=False), signals.kinematics),
        ("a.npy", npy(objects=False), pickles.load_npy_objects),
        ("a.npz", npz(), signals.vectors),
        ("a.pt", torch_files(), signals.vectors),
        ("a.pth", torch_files(), loading.read),
        ("a.safetensors", tensor_files(folder), signals.vectors),
        ("b.safetensors", tensor_files(folder), loading.read),
        (f"{key}.safetensors", [cached], cache.load),
        ("a.txt", skeleton_files(folder), signals.skeleton),
        ("annotations.pkl", [annotations.read_bytes()], read_annotations),
        *((name, [text.encode()], read_run) for name, text in RUN_TEXTS.items()),
    ]


VIDEOS = (
    ("a.mp4", "libx264", "yuv420p"), ("a.mov", "mpeg4", "yuv420p"), ("a.avi", "mpeg4", "yuv420p"),
    ("a.mkv", "libx264", "yuv420p"), ("a.webm", "libvpx", "yuv420p"), ("a.avi", "mjpeg", "yuvj420p"),
    ("a.mpg", "mpeg2video", "yuv420p"), ("a.ts", "libx264", "yuv420p"), ("a.gif", "gif", "rgb8"),
)  # fmt: skip
"""Name, codec and pixel format of the videos that are mutated."""


def video_cases(folder: Path) -> list[Case]:
    """Short videos of several containers and codecs."""
    pictures = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), np.uint8).repeat(2, axis=0)
    return [(name, [_encoded(folder / name, codec, kind, pictures)], _watch) for name, codec, kind in VIDEOS]


def _encoded(file: Path, codec: str, kind: str, pictures: np.ndarray) -> bytes:
    with av.open(file, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], kind
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.read_bytes()


def _watch(file: Path) -> None:
    for _ in video.stream(file):
        pass


KINDS = {"files": cases, "videos": video_cases}


def refusal(read: Callable[[Path], object], file: Path) -> str:
    """What a reader says of a file; empty if it reads it."""
    try:
        read(file)
    except AqakitError as error:
        return str(error)
    return ""


def main(kind: str, folder: Path, seed: int, count: int) -> None:
    """Read ``count`` files of a kind; each of its cases equally often."""
    chance = random.Random(seed)
    prepared = KINDS[kind](folder)
    for name, contents, read in prepared:  # intact, so that everything is imported
        (folder / name).write_bytes(contents[0])
        with suppress(AqakitError):  # two tensors are weights, and no features
            read(folder / name)
    ran: list[str] = []
    sys.addaudithook(lambda event, _: ran.append(event) if event in FORBIDDEN else None)
    before, slowest = _peak(), 0.0
    for number in range(count):
        name, contents, read = prepared[number % len(prepared)]
        whole = chance.choice(contents)
        inside = zipfile.is_zipfile(io.BytesIO(whole)) and chance.random() < 0.7
        made = rezipped(whole, chance) if inside else mutated(whole, chance, contents)
        (folder / name).write_bytes(made)
        start = time.monotonic()
        said = refusal(read, folder / name)
        assert "\n" not in said, said
        assert len(said) < 2000, said
        seconds = time.monotonic() - start
        slowest = max(slowest, seconds)
        assert not ran, (number, name, ran)
        assert seconds < MOST_SECONDS, (number, name, seconds)
        assert _peak() - before < MOST_MEMORY, (number, name)
    print(json.dumps({"files": count, "mebibytes": round(_peak() - before, 1), "seconds": round(slowest, 2)}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
