"""ST-GCN: its graph convolution by hand, its published size, and what must not change its answer."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from aqakit.datasets.synthetic_dives import JOINTS
from aqakit.errors import OptionError
from aqakit.methods import st_gcn
from aqakit.methods.parts import graphs
from aqakit.recordings.skeletons import LAYOUTS
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale
from tests.synthetic import LABELS, batch

PATH = "0-1,1-2"  # three joints in a row
PUBLISHED = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
SKELETON = FeatureSpec({"skeleton": (5, 12)})


def unit(adjacency, width, out, **changes):
    options = {"kernel": 3, "stride": 1, "dropout": 0.0, "first": True}
    return st_gcn.Unit(adjacency, width, out, **options | changes).eval()


def test_subsets_of_a_path_by_hand():
    distance = graphs.hops(PATH, 3)
    assert graphs.partitions(distance, "uniform")[0].tolist() == [
        pytest.approx([1 / 2, 1 / 2, 0]),
        pytest.approx([1 / 3, 1 / 3, 1 / 3]),
        pytest.approx([0, 1 / 2, 1 / 2]),
    ]
    own, others = graphs.partitions(distance, "distance")
    assert torch.equal(own, torch.diag(torch.tensor([1 / 2, 1 / 3, 1 / 2])))
    level, nearer, farther = graphs.partitions(distance, "spatial")  # the centre is joint 1
    assert torch.equal(level, own)
    assert torch.equal(nearer, torch.tensor([[0, 1 / 2, 0], [0, 0, 0], [0, 1 / 2, 0]]))
    assert torch.equal(farther, torch.tensor([[0, 0, 0], [1 / 3, 0, 1 / 3], [0, 0, 0]]))
    assert torch.equal(nearer + farther, others)


@pytest.mark.parametrize("graph", ["full", "coco17", "jrg17", "diver17"])
@pytest.mark.parametrize("strategy", ["uniform", "distance", "spatial", "spatial-public"])
def test_all_subsets_are_the_mean_over_the_neighbours(graph, strategy):
    weights = graphs.partitions(graphs.hops(graph, 17), strategy)
    torch.testing.assert_close(weights.sum((0, 2)), torch.ones(17))


OPENPOSE = "4-3,3-2,7-6,6-5,13-12,12-11,10-9,9-8,11-5,8-2,5-1,2-1,0-1,15-0,14-0,17-15,16-14"


def public_subsets(edges: str, centre: int) -> np.ndarray:
    """The public code, one pair of joints at a time: A[k, source, target], distances known up to one bone."""
    pairs = [tuple(map(int, edge.split("-"))) for edge in edges.split(",")]
    count = 1 + max(max(pair) for pair in pairs)
    near = {(a, b) for pair in pairs for a, b in (pair, pair[::-1])} | {(a, a) for a in range(count)}
    far = [0 if joint == centre else 1 if (joint, centre) in near else np.inf for joint in range(count)]
    found = np.zeros((3, count, count))
    for source, target in near:
        nearer = far[source] < far[target]
        subset = 0 if source == target else 2 if nearer else 1
        found[subset, source, target] = 1 / sum((other, target) in near for other in range(count))
    return found


def test_the_subsets_of_paper_and_public_code_on_openpose():
    """The sums of weights over all joints, as measured with the public code and by the paper's definition."""
    distance = graphs.hops(OPENPOSE, 18)
    paper, public = (graphs.partitions(distance, name) for name in ("spatial", "spatial-public"))
    assert public.sum((1, 2)).tolist() == pytest.approx([6.67, 8.58, 2.75], abs=0.005)
    assert sorted(paper.sum((1, 2)).tolist(), reverse=True) == pytest.approx([6.67, 6.42, 4.92], abs=0.005)
    np.testing.assert_allclose(public.numpy(), public_subsets(OPENPOSE, 1).transpose(0, 2, 1), atol=1e-6)


def test_the_divers_bones_join_the_joints_by_name():
    bones = {frozenset(map(int, edge.split("-"))) for edge in graphs.GRAPHS["diver17"].split(",")}
    named = {frozenset(JOINTS[j] for j in bone) for bone in bones}
    assert frozenset({"head", "neck"}) in named
    assert frozenset({"neck", "pelvis"}) in named
    for side in ("left", "right"):
        limbs = ("neck shoulder elbow wrist", "pelvis hip knee ankle toe")
        for chain in limbs:
            first, *rest = chain.split()
            names = [first, *(f"{side}_{name}" for name in rest)]
            assert all(frozenset(pair) in named for pair in pairwise(names))
    assert len(named) == len(JOINTS) - 1  # a tree: nothing else


def test_a_graph_convolution_by_hand():
    one = unit(graphs.partitions(graphs.hops(PATH, 3), "distance"), 1, 1)
    nn.init.zeros_(one.spatial.bias)
    with torch.no_grad():
        one.spatial.weight.copy_(torch.tensor([[2.0], [-1.0]]))  # twice the joint itself, minus the others
        one.importance[1, 0, 1] = 3.0  # the edge from 1 to 0 counts threefold
    x = torch.tensor([4.0, 6.0, 10.0]).reshape(1, 1, 3, 1)
    wanted = [(2 * 4 - 3 * 6) / 2, (2 * 6 - 4 - 10) / 3, (2 * 10 - 6) / 2]
    assert one.graph(x).flatten().tolist() == pytest.approx(wanted)


def test_the_published_network_has_its_published_size():
    """3.1 million, as later papers count it for 25 joints and 60 classes; and layer by layer."""
    chain = "+".join(f"{j}-{j + 1}" for j in range(24))
    method = st_gcn.build(FeatureSpec({"s": (25, 3)}), LABELS, graph=chain, channels=PUBLISHED)
    count = sum(p.numel() for p in method.parameters())
    sizes = list(zip((3, *PUBLISHED), PUBLISHED))
    spatial = sum(3 * b * (a + 1) + 3 * 25 * 25 for a, b in sizes)
    temporal = sum(9 * b * b + b + 4 * b for _, b in sizes)
    shortcuts = sum(b * (a + 1) + 2 * b for a, b in sizes[1:] if a != b)
    assert count == spatial + temporal + shortcuts + 2 * 75 + 256 + 1
    assert count == 3_083_669
    assert round((count + 59 * 257) / 1e6, 1) == 3.1


@pytest.mark.parametrize(("graph", "order"), [("0-1,1-2,1-3,3-4", [3, 0, 4, 1, 2]), ("full", [4, 3, 2, 1, 0])])
def test_other_names_of_the_joints_change_nothing(graph, order):
    torch.manual_seed(0)
    renamed = (
        graph
        if graph == "full"
        else "+".join("-".join(str(order.index(int(j))) for j in e.split("-")) for e in graph.split(","))
    )
    first, second = (st_gcn.build(SKELETON, LABELS, graph=g).eval() for g in (graph, renamed))
    own = {n: v for n, v in first.state_dict().items() if "adjacency" not in n}
    second.load_state_dict(own)
    videos = batch(features=SKELETON)
    stream = videos.streams["skeleton"]
    moved = videos.replace(streams={"skeleton": type(stream)(stream.features[:, :, order], stream.clips)})
    torch.testing.assert_close(second.predict(moved).mean, first.predict(videos).mean)


def test_a_clip_of_frames_is_the_frames_in_a_row():
    torch.manual_seed(0)
    method = st_gcn.build(SKELETON, LABELS, dimensions=3).eval()
    videos = batch(features=SKELETON, videos=6, clips=2)
    stream = videos.streams["skeleton"]
    frames = stream.features.reshape(6, 2, 5, 4, 3).transpose(2, 3).reshape(6, 8, 5, 3)
    apart = st_gcn.build(FeatureSpec({"skeleton": (5, 3)}), LABELS).eval()
    apart.load_state_dict(method.state_dict())
    longer = videos.replace(streams={"skeleton": type(stream)(frames, stream.clips.repeat_interleave(4, 1))})
    torch.testing.assert_close(apart.predict(longer).mean, method.predict(videos).mean)


def test_padding_is_not_in_the_norms_of_training():
    torch.manual_seed(0)
    norm, reference = st_gcn.FrameNorm(4), nn.BatchNorm1d(4)
    x, frames = torch.randn(3, 5, 2, 4), torch.rand(3, 5) > 0.4
    out = norm(torch.where(frames[..., None, None], x, 1e3), frames)
    torch.testing.assert_close(out[frames].flatten(0, 1), reference(x[frames].flatten(0, 1)))
    assert out[~frames].abs().max() == 0
    torch.testing.assert_close(norm.running_mean, reference.running_mean)


def test_a_batch_without_labels_teaches_nothing():
    method = st_gcn.build(SKELETON, LABELS).train()
    before = {n: v.clone() for n, v in method.named_buffers()}
    method.losses(batch(features=SKELETON).unlabelled())["squared_error"].backward()
    assert all(p.grad is None or not p.grad.any() for p in method.parameters())
    assert all(torch.equal(v, before[n]) for n, v in method.named_buffers())


def test_a_wider_unit_sees_every_second_frame():
    one = unit(graphs.partitions(graphs.hops(PATH, 3), "distance"), 2, 4, stride=2, first=False)
    frames = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    y, later = one(torch.randn(2, 5, 3, 2), frames)
    assert y.shape == (2, 3, 3, 4)
    assert later.tolist() == [[True] * 3, [True] * 2 + [False]]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"graph": "0-7"}, "joints up to 7, but the features have 5"),
        ({"graph": "coco17"}, "joints up to 16, but the features have 5"),
        ({"graph": "body"}, "neither full, coco17"),
        ({"dimensions": 5}, "not a multiple of 5"),
        ({"partition": "spatial"}, "partition=distance"),
        ({"partition": "spatial-public"}, "partition=distance"),
        ({"kernel": 4}, "odd kernel"),
    ],
)
def test_what_does_not_fit_is_refused(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        st_gcn.build(SKELETON, LABELS, **options)


def test_vectors_are_refused():
    with pytest.raises(OptionError, match="skeleton:layout=joints"):
        st_gcn.build(FeatureSpec({"i3d": (8,)}), LabelSpec(ScoreScale(0, 1)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_a_connected_graph_that_is_the_same_on_both_sides(name: str):
    layout = LAYOUTS[name]
    distance = graphs.hops(name, len(layout.joints))
    assert distance.isfinite().all()
    bones = {frozenset(bone) for bone in layout.bones}
    assert {frozenset(layout.mirrored[joint] for joint in bone) for bone in bones} == bones
