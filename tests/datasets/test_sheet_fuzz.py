"""Damaged tables: each is read, or refused with a sentence; none crashes, hangs or fills the memory."""

import io
import math
import random
import resource
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from aqakit import datasets
from aqakit.errors import AqakitError
from aqakit.evaluation import predictions

SHEETS = sorted((Path(__file__).parent / "sheets").iterdir())
SECONDS, MEMORY = 10, 2**30
WORDS = (
    b"7_4", b"1e400", b"nan", b"-0", b"\xef\xbc\x97", b'"', b"'", b",", b";", b"\t", b"\r", b"\n", b"\0", b"sep=;\n",
    b"=1/0", b"\xff\xfe", b"\xef\xbb\xbf", b"1,234.5", b"1.234,5", b"NA", b"-", b"../../../etc/passwd", b"~root",
    b"\\\\host\\a", b"\x1a", b"\xed\xa0\x80", b"id,id,id\n", b"9" * 400, b"," * 3000, b'"' * 99, b"score",
    b"judge 1", b"\xe2\x80\xa8",
    b"1e-400",
)  # fmt: skip
MARKUP = (
    b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', b'<dimension ref="A1:XFD1048576"/>', b"<v>1e999</v>",
    b'<c t="s"><v>99999999</v></c>', b'<c t="d"><v>2024-13-99</v></c>', b'<c t="e"><v>#REF!</v></c>', b"&#x110000;",
    b'<mergeCell ref="A1:XFD1048576"/>', b'<c r="A0"/>', b'<c r=""/>', b"<f>1+1</f>", b"</sheetData>", b"<!--", b"]]>",
    b"&a;", b"&g;",
)  # fmt: skip
BOMB = b'<!DOCTYPE a [<!ENTITY a "' + b"a" * 1000 + b'">' + b"".join(
    b'<!ENTITY %c "%b">' % (98 + k, b"&%c;" % (97 + k) * 50) for k in range(6)
) + b'<!ENTITY x SYSTEM "file:///etc/passwd">]>'  # fmt: skip


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _insert(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        data[at:at] = chance.choice(WORDS)


def _cut(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randint(1, len(data))]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + 40] * chance.randint(1, 2000)


def _noise(data: bytearray, chance: random.Random) -> None:
    data[:] = chance.randbytes(chance.randint(0, 4000))


def _swap(data: bytearray, chance: random.Random) -> None:
    old, new = chance.sample([b",", b";", b"\t", b".", b"\n", b'"', b"0", b"a", b"\\"], 2)
    data[:] = data.replace(old, new)


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _insert, _cut, _repeat, _noise, _swap)


def _in_the_archive(data: bytes, chance: random.Random) -> bytes:
    """Mutate a part of a workbook inside its archive, so that the mutation is read."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        wanted = chance.choice([name for name in names if name.endswith(".xml") or name.endswith(".rels")])
        for name in names:
            part = bytearray(old.read(name))
            if name == wanted and chance.random() < 0.5:
                at = part.find(b"<", chance.randrange(len(part)))
                part[at:at] = chance.choice(MARKUP)
            elif name == wanted and chance.random() < 0.2:
                at = part.find(b"?>") + 2
                part[at:at] = BOMB
            elif name == wanted:
                chance.choice(MUTATIONS)(part, chance)
            if name != wanted or chance.random() > 0.05:
                new.writestr(name, bytes(part))
    return made.getvalue()


def variants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents; every other one is a workbook."""
    chance = random.Random(seed)
    books = [file for file in SHEETS if file.suffix == ".xlsx"]
    texts = [file for file in SHEETS if file.suffix == ".csv"]
    for number in range(count):
        file = chance.choice(books if number % 2 else texts)
        data = file.read_bytes()
        if number % 2 and chance.random() < 0.8:
            data = _in_the_archive(data, chance)
        else:
            changed = bytearray(data)
            for _ in range(chance.randint(1, 3)):
                if changed:
                    chance.choice(MUTATIONS)(changed, chance)
            data = bytes(changed)
        yield f"{number}-{file.name}", data


class Late(BaseException):
    """Caught by nothing."""


@contextmanager
def within(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise Late(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read_all(folder: Path, count: int, seed: int) -> tuple[int, int]:
    """Read the variants; return how many were read and how many refused."""
    (folder / "videos").mkdir(exist_ok=True)
    for name in "abc":
        (folder / "videos" / f"{name}.mp4").touch()
    refused = []
    for name, data in variants(count, seed):
        file = folder / name
        file.write_bytes(data)
        with within(SECONDS), suppress(AqakitError):
            predictions.read(file)
        try:
            with within(SECONDS):
                found = datasets.load("manifest", file).samples
            assert all(sample.id and (sample.score is None or math.isfinite(sample.score)) for sample in found)
        except AqakitError as error:
            refused.append(str(error))
        file.unlink()
    assert all(0 < len(sentence) < 20_000 for sentence in refused)
    return count - len(refused), len(refused)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_damaged_tables_are_read_or_refused(tmp_path: Path) -> None:
    read, refused = read_all(tmp_path, 60, seed=0)
    assert read > 3
    assert refused > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_five_hundred_damaged_tables(tmp_path: Path, seed: int) -> None:
    before = _memory()
    read, refused = read_all(tmp_path, 500, seed)
    assert read + refused == 500
    assert _memory() - before < MEMORY
