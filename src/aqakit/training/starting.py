"""Start with a folder of recordings: a manifest to fill in, a recipe that fits, and the commands that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aqakit.datasets.manifest import KINDS
from aqakit.datasets.parts import new_manifest
from aqakit.datasets.parts.new_manifest import CSV, XLSX, Row
from aqakit.datasets.parts.sheet import SHOWN, Sheet
from aqakit.errors import DataError, VideoError
from aqakit.recordings import inventory
from aqakit.recordings.inventory import Entry, Inventory
from aqakit.recordings.thumbnails import thumbnail
from aqakit.system.progress import track
from aqakit.training.proposal import Proposal, propose

JOINTS, RUN = "joints", "run"
"""Folders, beside the recordings, of what the commands make."""

_WRITERS = {CSV: new_manifest.write_csv, XLSX: new_manifest.write_workbook}
_MOST_PICTURES = 2000
_EMPTY = "A video in which nobody is found gets no joints: empty its cell in the column skeleton then."


@dataclass(frozen=True)
class Started:
    """What there is, and what comes next.

    Attributes:
        inventory: the recordings.
        proposal: how to train on them.
        manifest: the manifest that the commands read: the one with more scores.
        scored: how many of its rows have a score.
        added: rows that were added to each manifest, by the name of the file.
        commands: words of each command that follows, in order.
    """

    inventory: Inventory
    proposal: Proposal
    manifest: Path
    scored: int
    added: dict[str, int]
    commands: tuple[tuple[str, ...], ...]


def start(folder: Path, reads: str | None = None, weights: Path | None = None) -> Started:
    """Look at a folder, write the manifests or add to them, and say what comes next.

    Args:
        folder: of recordings, in any depth.
        reads: the kind to take; None for that of the manifest, else for the most frequent.
        weights: networks to use; None for those that were downloaded before.

    Raises:
        DataError: nothing in the folder can be read, or a manifest that is there has errors or lacks a column.
        OptionError: ``weights`` are nothing known.
    """
    sheets = new_manifest.read(folder) if folder.is_dir() else {}
    kind = reads or next((named for sheet in sheets.values() if (named := new_manifest.kind_in(sheet))), None)
    found = _nameable(inventory.take(folder, kind, _other_recordings(sheets, kind)))
    if not found.entries:
        raise DataError(_nothing(found))
    proposal = propose(found, weights, joints=all("skeleton" in sheet.columns for sheet in sheets.values()))
    rows = _rows(found, proposal, sheets)
    added = {}
    for name, write in _WRITERS.items():
        known = new_manifest.paths_in(sheets[name]) if name in sheets else set()
        new = [row for row in rows if folder / row.paths[found.kind] not in known]
        if new:
            write(folder / name, _pictured(new, found) if name == XLSX else new, sheets.get(name))
        added[name] = len(new)
    filled = {name: new_manifest.scored(sheet) for name, sheet in sheets.items()}
    manifest = max(_WRITERS, key=lambda name: (filled.get(name, 0), name))
    if proposal.pose:
        proposal = replace(proposal, notes=(*proposal.notes, _EMPTY))
    commands = _commands(found, proposal, folder / manifest, weights)
    return Started(found, proposal, folder / manifest, filled.get(manifest, 0), added, commands)


def _other_recordings(sheets: dict[str, Sheet], kind: str | None) -> set[Path]:
    """Recordings of other kinds in the rows of the manifests, such as the joints that were found in videos."""
    cells = [
        (sheet.path.parent, row.cells.get(other))
        for sheet in sheets.values()
        for row in sheet.rows
        for other in KINDS
        if kind and other != kind
    ]
    return {folder / cell for folder, cell in cells if cell}


def _nameable(found: Inventory) -> Inventory:
    """Leave out recordings whose paths no table can hold."""
    bad = [one for one in found.entries if not new_manifest.is_writable(_path(found, one))]
    told = [(one.path, f"{str(one.path)!r}: no table can hold this name; rename it") for one in bad]
    kept = tuple(one for one in found.entries if one not in bad)
    return replace(found, entries=kept, problems=(*found.problems, *told))


def _nothing(found: Inventory) -> str:
    if found.problems:
        first = "\n".join(f"  {why}" for _, why in found.problems[:SHOWN])
        return f"{found.folder}: none of {len(found.problems)} files can be used as a recording:\n{first}"
    if found.counts:
        there = " and ".join(f"{n} of the kind {kind}" for kind, n in found.counts.items())
        return f"{found.folder} holds no recording of the kind {found.kind}, but {there}; give that with --reads"
    return f"{found.folder} holds no recordings: videos, folders of numbered pictures, tables of motion or joints"


def _path(found: Inventory, entry: Entry) -> str:
    return entry.path.relative_to(found.folder).as_posix()


def _rows(found: Inventory, proposal: Proposal, sheets: dict[str, Sheet]) -> list[Row]:
    """A row for each recording. New ids are none that a manifest has."""
    taken = {row.cells["id"] for sheet in sheets.values() for row in sheet.rows if "id" in row.cells}
    known = {path for sheet in sheets.values() for path in new_manifest.paths_in(sheet)}
    names = {folder_path: name for sheet in sheets.values() for folder_path, name in _names(sheet)}
    rows = []
    for entry in found.entries:
        path = _path(found, entry)
        paths = {found.kind: path} | ({"skeleton": f"{JOINTS}/{_joints(entry)}"} if proposal.pose else {})
        name = names.get(entry.path) if entry.path in known else None
        rows.append(Row(name or new_manifest.name_for(path, taken), paths))
    return rows


def _names(sheet: Sheet) -> list[tuple[Path, str]]:
    """The recordings that a manifest lists, with their ids."""
    return [
        (sheet.path.parent / row.cells[column].replace("\\", "/"), row.cells.get("id", ""))
        for row in sheet.rows
        for column in ("path", *KINDS)
        if row.cells.get(column)
    ]


def _joints(entry: Entry) -> str:
    """The file of joints that ``aqakit pose`` makes of a video."""
    return f"{entry.path.name if entry.path.is_dir() else entry.path.stem}.csv"


def _pictured(rows: list[Row], found: Inventory) -> list[Row]:
    """Add pictures to rows of videos."""
    if found.kind != "video" or len(rows) > _MOST_PICTURES:
        return rows
    return [replace(row, picture=_picture(found.folder / row.paths["video"])) for row in track(rows, "pictures")]


def _picture(path: Path) -> bytes | None:
    try:
        return thumbnail(path)
    except VideoError:  # its middle is damaged; training will say how much of it is
        return None


def _commands(
    found: Inventory, proposal: Proposal, manifest: Path, weights: Path | None
) -> tuple[tuple[str, ...], ...]:
    folder, run = found.folder, str(found.folder / RUN)
    data = ("--data", "manifest", "--root", str(manifest), "--backbone", proposal.backbone, *proposal.options)
    train = ("aqakit", "train", proposal.method, *data, "-o", run)
    if not proposal.pose:
        check = ("aqakit", "check", "manifest", str(manifest))
        return check, train, ("aqakit", "predict", run, "--manifest", str(manifest))
    videos = [str(one.path) for one in found.entries] if found.problems else [str(folder)]
    first = folder / JOINTS / _joints(found.entries[0])
    target = first if len(found.entries) == 1 else folder / JOINTS
    options = ("--network", proposal.pose[0], *(("--weights", str(weights)) if weights else ()))
    pose = ("aqakit", "pose", *videos, "-o", str(target), *options)
    return pose, train, ("aqakit", "explain", run, str(first))
