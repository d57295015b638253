"""Graphs of joints: neighbours, distances in bones, and weights of graph convolutions."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.recordings.skeletons import LAYOUTS

Partition = Literal["uniform", "distance", "spatial", "spatial-public"]

GRAPHS = {
    **{name: ",".join(f"{a}-{b}" for a, b in layout.bones) for name, layout in LAYOUTS.items()},
    "jrg17": "0-1,0-2,1-2,1-3,2-4,0-5,0-6,5-6,5-7,7-9,6-8,8-10,5-11,6-12,11-12,11-13,13-15,12-14,14-16",
    "tools4": "0-1,0-2,1-3",
}
"""Edges by name: the bones of each layout of joints; the 17 keypoints of COCO with the edges of the public JRG code,
which joins the nose to the shoulders where COCO joins the ears to them; hand to hand and each tool to its hand, in the
order of the backbone ``tools`` (the graph of the JRG code for JIGSAWS)."""

GraphOption = Annotated[
    str,
    Field(description=f"which joints are neighbours: full, {', '.join(GRAPHS)}, or edges as 0-1,1-2 (or 0-1+1-2)"),
]


def hops(graph: str, joints: int) -> Tensor:
    """Return the number of edges between joints, (J, J); infinite if they are not connected.

    >>> hops("0-1,1-2", 3).tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]

    Raises:
        OptionError: If the text is not a graph, or not one of this number of joints.
    """
    adjacency = np.zeros((joints, joints))
    for a, b in _edges(graph, joints):
        adjacency[a, b] = 1
    return torch.from_numpy(shortest_path(adjacency, directed=False, unweighted=True)).float()


def _edges(graph: str, joints: int) -> list[tuple[int, int]]:
    if graph == "full":
        return [(a, b) for a in range(joints) for b in range(a)]
    parts = [part for part in re.split(r"[,+\s]+", GRAPHS.get(graph, graph)) if part]
    found = [re.fullmatch(r"(\d+)-(\d+)", part) for part in parts]
    if not all(found) or not found:
        raise OptionError(f"graph {graph!r} is neither full, {', '.join(GRAPHS)} nor edges such as 0-1,1-2")
    edges = [(int(match[1]), int(match[2])) for match in found if match]
    largest = max(max(edge) for edge in edges)
    if largest >= joints or (graph in GRAPHS and largest + 1 != joints):
        raise OptionError(f"graph {graph!r} has joints up to {largest}, but the features have {joints}, counted from 0")
    return edges


def partitions(distance: Tensor, strategy: Partition) -> Tensor:
    """Return weights (K, J, J) of the neighbours j of each joint i in K subsets (Yan et al. 2018, section 3.4).

    The neighbours of a joint are itself and the joints one edge away. Over K and j, the weights of a row sum to one, so
    that all subsets together give the mean, as in the public code (the paper prints the symmetric normalisation).

    - ``uniform``, K = 1: all neighbours;
    - ``distance``, K = 2: the joint itself, and the others;
    - ``spatial``, K = 3: neighbours as far from the centre of the body as the joint, nearer to it, and farther from it.
      The centre is the joint with the smallest sum of distances to all others;
    - ``spatial-public``, K = 3: the joint itself; neighbours as far from the centre or farther; and nearer ones. This
      is what the public code computes with ``max_hop=1``: it knows distances of one bone only, so all joints beyond
      count as equally far, and equally far neighbours go with the farther ones.
    """
    near = (distance <= 1).float()
    mean = near / near.sum(1, keepdim=True)
    if strategy == "uniform":
        subsets = [near > 0]
    elif strategy == "distance":
        subsets = [distance == 0, distance == 1]
    elif strategy == "spatial-public":
        out = _from_centre(distance)
        out = torch.where(out > 1, torch.inf, out)
        subsets = [distance == 0, (distance == 1) & (out[None] >= out[:, None]), out[None] < out[:, None]]
    else:
        out = _from_centre(distance)
        subsets = [out[None] == out[:, None], out[None] < out[:, None], out[None] > out[:, None]]
    return torch.stack([mean * subset for subset in subsets])


def _from_centre(distance: Tensor) -> Tensor:
    """Distances (J,) from the joint with the smallest sum of distances."""
    return distance[distance.sum(1).argmin()]


def rings(distance: Tensor, most: int) -> Tensor:
    """Return masks (H, J, J) of joints that are h edges apart, h = 1 … H ≤ ``most``, as far as the graph extends.

    The first mask also contains the joint itself (Pan et al. 2019, from the public code).
    """
    reach = int(distance[distance.isfinite()].max())
    found = [distance <= 1, *(distance == h for h in range(2, min(reach, most) + 1))]
    return torch.stack(found).float()
