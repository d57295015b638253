"""Propose how to train on the recordings of a folder: a method, a backbone that fits, and what to know of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aqakit.backbones.parts.blazepose import finding, networks
from aqakit.backbones.parts.movement.posture import missing
from aqakit.backbones.weights import here
from aqakit.backbones.weights.bundles import Network
from aqakit.discovery import format_spec
from aqakit.errors import AqakitError
from aqakit.recordings.inventory import Entry, Inventory
from aqakit.system import processes

_LOOKED = 6
"""Videos in which a person is looked for."""

_FREQUENT = 0.5
"""Share of them in which one must be found."""

_JIGSAWS = 76
_NO_COLUMN = (
    "Joints of people need a column skeleton, which the manifest does not have: delete the manifest if nothing is "
    "filled in, and run this again."
)


@dataclass(frozen=True)
class Proposal:
    """A recipe for the recordings of a folder.

    Attributes:
        method: its name.
        backbone: as ``name:option=value``.
        options: further options of ``aqakit train``.
        pose: the networks that find the joints in the videos first, and their file; None if joints are not needed.
        notes: why, and what else there is.
    """

    method: str
    backbone: str
    options: tuple[str, ...] = ()
    pose: tuple[Network, Path] | None = None
    notes: tuple[str, ...] = ()


def propose(inventory: Inventory, weights: Path | None = None, *, joints: bool = True) -> Proposal:
    """Choose what fits.

    Args:
        inventory: recordings of one kind and shape.
        weights: networks to use; None for those that were downloaded before.
        joints: whether the joints of people in videos may be found first, for which the manifest needs a column.

    Raises:
        OptionError: ``weights`` are nothing known.
    """
    first = inventory.entries[0]
    if inventory.kind == "video":
        return _of_videos(inventory, weights, joints)
    if inventory.kind == "skeleton":
        return _of_joints(first)
    if inventory.kind == "features":
        return Proposal("dae", f"precomputed:width={first.shape[0]}", notes=("Your features are taken as they are.",))
    told = "Measures made by hand, which need no weights; rows are taken to be 30 per second, :rate= says otherwise."
    options = {} if first.shape[0] == _JIGSAWS else {"channels": first.shape[0]}
    return Proposal("dae", format_spec("kinematics", options), notes=(told,))


def _of_joints(first: Entry) -> Proposal:
    joints, dimensions = first.shape
    if first.layout is None or missing(first.layout, toes=False):
        told = "The files do not tell which joint is which, so that the joints themselves are taken, not measures."
        return Proposal("dae", f"skeleton:joints={joints}:dimensions={dimensions}", notes=(told,))
    toes = {"toes": "no"} if missing(first.layout, toes=True) else {}
    told = "Measures of movement made by hand, which need no weights, and which explain says in words."
    return Proposal("trees", format_spec("movement", {"dimensions": dimensions, **toes}), notes=(told,))


def _of_videos(inventory: Inventory, weights: Path | None, joints: bool) -> Proposal:
    pretrained = here.pretrained(weights)
    notes = [] if joints or not here.pose_networks(weights) else [_NO_COLUMN]
    if joints and (pose := _pose(inventory, weights, notes)):
        return Proposal("trees", "movement:dimensions=2", pose=pose, notes=tuple(notes))
    if pretrained:
        told = f"A pretrained network that is on this machine: {pretrained.split('=', 1)[1]}."
        return Proposal("dae", pretrained, notes=(*notes, told))
    told = (
        "Edges and motion are measured by hand, which needs no weights: no pretrained network is on this machine. To "
        "try one, get it (aqakit weights, or a model in Hugging Face layout), and run this again; with --weights PATH "
        "if it is elsewhere."
    )
    return Proposal("dae", "hog_hof", notes=(*notes, told))


def _pose(inventory: Inventory, weights: Path | None, notes: list[str]) -> tuple[Network, Path] | None:
    """The networks that find joints, if a person is found in the videos; note why not."""
    known = here.pose_networks(weights)
    if not known:
        notes.append(
            "Joints of people are not looked for: their networks come with `aqakit weights get blazepose-full`."
        )
        return None
    (network, file), entries = known[0], inventory.entries
    try:
        nets = networks.Networks(networks.locate(file, network), processes.cores())
        looked = entries[:: -(-len(entries) // _LOOKED)]
        found = sum(finding.shows_person(one.path, nets) for one in looked)
    except AqakitError as error:
        notes.append(f"Joints of people cannot be looked for: {error}.")
        return None
    told = f"A person is found in {found} of the {len(looked)} videos that were looked at"
    stems = {one.path.stem for one in entries}
    if found < _FREQUENT * len(looked):
        notes.append(f"{told}, too few to follow joints.")
    elif len(stems) < len(entries):
        notes.append(f"{told}, but several videos have one name, and files of joints are named after them.")
    else:
        notes.append(f"{told}: joints, and measures of movement, which explain says in words.")
        return network, file
    return None
