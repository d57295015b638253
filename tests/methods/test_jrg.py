"""JRG: its modules by the formulas of the paper, its published size, and what must not change its answer."""

import pytest
import torch
from scipy.stats import pearsonr

from aqakit.errors import OptionError
from aqakit.methods import jrg
from aqakit.methods.parts import graphs
from aqakit.types import FeatureSpec, Stream
from tests.synthetic import LABELS, batch

GRAPH = "0-1,1-2,2-3"
SPEC = FeatureSpec({"joints": (4, 12)})


@pytest.fixture
def relations():
    torch.manual_seed(0)
    found = jrg.Relations(graphs.rings(graphs.hops(GRAPH, 4), 4))
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter)
    return found


def test_rings_of_a_path_by_hand():
    near, two, three = graphs.rings(graphs.hops(GRAPH, 4), 4).tolist()
    assert near == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert two == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert three == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert len(graphs.rings(graphs.hops(GRAPH, 4), 2)) == 2


def test_differences_are_the_sum_over_neighbours_of_each_difference(relations):
    x, later = torch.randn(2, 1, 1, 4, 6)
    for found, graph, weight, others in (
        (relations.difference(x), relations.spatial, relations.spatial_weight, x),
        (relations.change(x, later), relations.temporal, relations.temporal_weight, later),
    ):
        for h, ring in enumerate(relations.reach):
            for i in range(4):
                terms = [
                    graph[h, i, j].abs() * weight[h, j] * (others[0, 0, j] - x[0, 0, i]) for j in range(4) if ring[i, j]
                ]
                wanted = torch.stack(terms).sum(0) if terms else torch.zeros(6)
                torch.testing.assert_close(found[0, 0, h, i], wanted, atol=1e-5, rtol=1e-5)


def test_commonality_begins_as_the_mean_over_neighbours():
    fresh = jrg.Relations(graphs.rings(graphs.hops(GRAPH, 4), 4))
    x = torch.tensor([1.0, 2.0, 6.0, 8.0]).reshape(1, 1, 4, 1)
    found = fresh.commonality(x)[0, 0, :, :, 0].tolist()
    assert found == [[1, 2, 6, 8], [1.5, 3, pytest.approx(16 / 3), 7], [6, 8, 1, 2], [8, 0, 0, 1]]


def test_the_public_code_reads_the_graph_of_commonality_the_other_way_round(relations):
    x = torch.randn(2, 3, 4, 6)
    graph = relations.spatial.abs() * relations.reach
    wanted = sum(graph[:, j, :, None] * x[:, :, None, None, j] for j in range(4))  # (B, N, H, J, D)
    plain = relations.commonality(x)
    relations.transposed = True
    torch.testing.assert_close(relations.commonality(x)[:, :, 1:], wanted)
    assert not torch.allclose(plain, relations.commonality(x), atol=0.1)
    method = jrg.build(SPEC, LABELS, transposed=True)
    assert method.relations.transposed
    assert not jrg.build(SPEC, LABELS).relations.transposed


def test_the_graph_of_the_public_code_joins_the_nose_to_the_shoulders():
    coco, theirs = ({frozenset(e.split("-")) for e in graphs.GRAPHS[n].split(",")} for n in ("coco17", "jrg17"))
    assert coco - theirs == {frozenset("35"), frozenset("46")}  # ears and shoulders
    assert theirs - coco == {frozenset("05"), frozenset("06")}


def test_moving_all_joints_alike_leaves_the_differences(relations):
    x, later, shift = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 6), torch.randn(2, 3, 1, 6)
    torch.testing.assert_close(relations.difference(x + shift), relations.difference(x), atol=1e-4, rtol=1e-4)
    moved = relations.change(x + shift, later + shift)
    torch.testing.assert_close(moved, relations.change(x, later), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(relations.commonality(x + shift), relations.commonality(x), atol=0.1)


def test_the_last_clip_of_each_video_is_followed_by_itself():
    x = torch.tensor([[1.0, 2, 3], [4, 5, 99]])[..., None]
    clips = torch.tensor([[True, True, True], [True, True, False]])
    following = jrg.following(Stream(x, clips))[..., 0]
    assert following[0].tolist() == [2, 3, 3]
    assert following[1, :2].tolist() == [5, 5]


def test_the_published_network_has_its_size():
    method = jrg.build(jrg.FEATURES, LABELS, graph="diver17", modalities=2)
    encoders = 5 * 2 * (400 * 128 + 128)
    graphs = 2 * (4 * 17 * 17 + 4 * 17)
    regressor = 256 * 512 + 512 + 512 + 1
    assert sum(p.numel() for p in method.parameters()) == encoders + graphs + regressor


def test_other_names_of_the_joints_change_nothing():
    torch.manual_seed(0)
    order = [2, 0, 3, 1]
    renamed = "+".join("-".join(str(order.index(int(j))) for j in edge.split("-")) for edge in GRAPH.split(","))
    first, second = (jrg.build(SPEC, LABELS, graph=g).eval() for g in (GRAPH, renamed))
    own = {n: v for n, v in first.state_dict().items() if not n.startswith("relations")}
    second.load_state_dict(own, strict=False)
    videos = batch(features=FeatureSpec({"joints": (5, 12)}))
    stream = videos.streams["joints"]
    plain, moved = (
        videos.replace(streams={"joints": Stream(stream.features[:, :, index], stream.clips)})
        for index in ([0, 1, 2, 3], order)
    )
    torch.testing.assert_close(second.predict(moved).mean, first.predict(plain).mean)


def test_the_published_losses_are_one_but_for_a_factor():
    torch.manual_seed(0)
    a, b = torch.randn(2, 30).double()
    r = jrg.pearson(a, b)
    assert float(r) == pytest.approx(pearsonr(a.numpy(), b.numpy()).statistic)
    standard = [(v - v.mean()) / v.std(correction=0) for v in (a, b)]
    assert float((standard[0] - standard[1]).square().mean()) == pytest.approx(float(2 * (1 - r)))


def test_correlation_in_a_batch_without_labels_is_finite():
    method = jrg.build(SPEC, LABELS, correlation=1.0)
    videos = batch(features=FeatureSpec({"joints": (5, 12)}))
    stream = videos.streams["joints"]
    videos = videos.replace(streams={"joints": Stream(stream.features[:, :, :4], stream.clips)})
    for known in (videos, videos.unlabelled()):
        terms = method.losses(known)
        sum(terms.values()).backward()
        assert set(terms) == {"squared_error", "correlation"}
        assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_the_whole_picture_may_have_other_clips():
    torch.manual_seed(0)
    spec = FeatureSpec({"joints": (5, 12), "whole": (12,)})
    method = jrg.build(spec, LABELS).eval()
    videos = batch(features=spec)
    whole = videos.streams["whole"]
    still = Stream(whole.features[:, :1].repeat(1, 7, 1), torch.ones(24, 7, dtype=torch.bool))
    shorter = Stream(still.features[:, :2], still.clips[:, :2])
    answers = [
        method.predict(videos.replace(streams={**videos.streams, "whole": stream})).mean for stream in (still, shorter)
    ]
    torch.testing.assert_close(*answers)  # a picture that never changes says the same however long


@pytest.mark.parametrize(
    ("streams", "options", "sentence"),
    [
        ({"i3d": (8,)}, {}, "jrg reads joints"),
        ({"joints": (4, 6), "maps": (2, 4, 4)}, {}, "one stream of vectors"),
        ({"joints": (4, 9)}, {"modalities": 2}, "2 modalities"),
        ({"joints": (4, 9)}, {"modalities": 3}, "3 modalities"),
    ],
)
def test_what_does_not_fit_is_refused(streams, options, sentence):
    with pytest.raises(OptionError, match=sentence):
        jrg.build(FeatureSpec(streams), LABELS, **options)
