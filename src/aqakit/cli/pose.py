"""``aqakit pose``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aqakit import recordings
from aqakit.backbones.parts import blazepose
from aqakit.cli.common import JsonFile, complain
from aqakit.errors import AqakitError, OptionError
from aqakit.recordings.video import probe
from aqakit.report import tables
from aqakit.system import processes, terminal
from aqakit.system.progress import counting

if TYPE_CHECKING:
    from aqakit.backbones.parts.blazepose.filling import Smooth
    from aqakit.backbones.parts.blazepose.networks import Networks
    from aqakit.backbones.parts.blazepose.tracks import Subject

_NETWORKS, _SMOOTH = ("full", "lite", "heavy"), ("none", "one-euro", "savitzky-golay")


def pose(
    videos: Annotated[list[Path], typer.Argument(help="Videos, folders of them or of numbered pictures, patterns.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="CSV file of the joints; of several videos, a folder.")],
    overlay: Annotated[
        Path | None, typer.Option(help="MP4 with the joints drawn into the video; of several videos, a folder.")
    ] = None,
    network: Annotated[str, typer.Option(help="Network for the joints: full, lite or heavy.")] = "full",
    weights: Annotated[
        Path | None, typer.Option(help="Folder of .tflite files, or a .task file (as downloaded).")
    ] = None,
    subject: Annotated[
        str, typer.Option(help="Who is meant: largest, central, moving, or a place x,y or x,y@seconds in pixels.")
    ] = "largest",
    smooth: Annotated[str, typer.Option(help="Smoothing: none, one-euro or savitzky-golay.")] = "none",
    gap: Annotated[float, typer.Option(min=0, help="Longest gap that is filled, in seconds.")] = 0.25,
    threads: Annotated[int, typer.Option(min=0, help="Cores to use; 0: all.")] = 0,
    json: JsonFile = None,
) -> None:
    """Find a person's 33 joints in every frame of a video, with BlazePose.

    Write them as CSV: seconds, then x, y in pixels and visibility of each joint; empty cells where the body is not in
    view. The backbone skeleton, and whatever reads tables, reads it.
    """
    _check(network, _NETWORKS, "network")
    _check(smooth, _SMOOTH, "smooth")
    who = blazepose.tracks.Subject.parse(subject)
    failed: list[str] = []
    videos = recordings.listing.expand(videos, "video", failed)
    tables_, overlays = _targets(videos, out, ".csv"), _targets(videos, overlay, ".mp4")
    nets, cores = _open(weights, network, threads)
    rows: list[dict[str, Any]] = []
    for video, table, drawing in zip(videos, tables_, overlays):
        try:
            rows.append(_one(video, table, drawing, nets, who, smooth, gap, cores))  # type: ignore[arg-type]
        except AqakitError as error:
            failed.append(str(error))
    if rows:
        notes = [f"{row['recording']}: {note}" for row in rows for note in row["notes"]]
        with tables.beside(json):
            tables.show(
                rows, title="joints", notes=notes, hide=("notes", "unit", "layout", "width", "height", "network")
            )
        tables.write(rows, json, "json")
    for sentence in failed:
        complain(f"aqakit: {sentence}")
    if failed:
        raise typer.Exit(1)


def _check(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise OptionError(f"--{name} {value} is not one of {', '.join(known)}")


def _targets(videos: list[Path], out: Path | None, ending: str) -> list[Path | None]:
    """Where to write what is made of each video: one file, or files in a folder."""
    if out is None:
        return [None] * len(videos)
    if len(videos) == 1 and not out.is_dir():
        if out.suffix.lower() != ending:
            raise OptionError(f"{out} should end with {ending}")
        return [out]
    names = [f"{video.name if video.is_dir() else video.stem}{ending}" for video in videos]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"several videos would be written to {out / twice[0]}; give them different names")
    return [out / name for name in names]


def _open(weights: Path | None, network: str, threads: int) -> tuple[Networks, int]:
    networks = blazepose.networks
    cores = threads or processes.cores()
    return networks.Networks(networks.locate(weights, network), cores), cores  # type: ignore[arg-type]


def _one(
    video: Path, table: Path, drawing: Path | None, nets: Networks, who: Subject, smooth: Smooth, gap: float, cores: int
) -> dict[str, Any]:
    """Find, write and draw the joints of one video; return what is said of it."""
    filling = blazepose.filling
    started = time.perf_counter()
    with counting(f"joints of {video.name}", 2 * probe(video).frames) as advance:
        person = blazepose.finding.find(video, nets, subject=who, threads=cores, advance=advance)
    seconds = time.perf_counter() - started
    joints = filling.smoothed(filling.filled(person.joints, person.times, gap), person.times, smooth)
    table.parent.mkdir(parents=True, exist_ok=True)
    blazepose.table.write(table, person, joints)
    if drawing is not None:
        drawing.parent.mkdir(parents=True, exist_ok=True)
        with counting(f"drawing {video.name}", len(person.times)) as advance:
            blazepose.overlay.write(drawing, person, joints, advance=advance)
    frames, found = len(person.times), int(person.seen.sum())
    kept = int(filling.present(joints).sum())
    rate = f"{frames} frames in {seconds:.1f} s: {frames / seconds:.1f} frames/s"
    terminal.console(stderr=True).print(f"{video}: {rate}", soft_wrap=True)
    return {
        "recording": str(video),
        "frames": frames,
        "found": found,
        "filled": kept - found,
        "share_in_view": found / frames,
        "frames_per_second": frames / seconds,
        "rate": person.rate,
        "width": person.size[1],
        "height": person.size[0],
        "unit": "pixels of the upright picture",
        "layout": blazepose.table.LAYOUT.name,
        "joints": str(table),
        "overlay": str(drawing) if drawing else None,
        "notes": list(person.notes),
    }
