"""C3D-AVG at its published size, and the tasks that it shares with MSCADC computed by hand."""

import pytest
import torch
from scipy.special import log_softmax

from aqakit.errors import OptionError
from aqakit.methods import c3d_avg, mscadc
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale, Stream
from tests.synthetic import FEATURES, LABELS, batch, small

BOTH = pytest.mark.parametrize("module", [c3d_avg, mscadc], ids=["c3d_avg", "mscadc"])
PLAIN = LabelSpec(scale=LABELS.scale)
MTL_AQA = LabelSpec(
    scale=ScoreScale(0, 104.5),
    attributes={"position": 3, "armstand": 2, "rotation_type": 4, "somersaults": 10, "twists": 8},
    vocabulary=tuple(map(str, range(5777))),
)
DENSE, CLASSES, DECODER = 8192 * 4096 + 4096 + 4096 + 1, 27 * 4097, 24_810_131


@pytest.mark.parametrize(
    ("tasks", "count"),
    [("stl", DENSE), ("cls", DENSE + CLASSES), ("cap", DENSE + DECODER), ("mtl", DENSE + CLASSES + DECODER)],
)
def test_it_has_the_published_size(tasks, count):
    with torch.device("meta"):
        method = c3d_avg.build(FeatureSpec({"c3d": (8192,)}), MTL_AQA, tasks=tasks)
    assert sum(p.numel() for p in method.parameters()) == count


def test_the_score_is_that_of_the_mean_clip_and_the_caption_hears_the_order():
    method = c3d_avg.build(FEATURES, LABELS).eval()
    some = batch(videos=6)
    backwards = torch.stack([torch.cat([f[c].flip(0), f[~c]]) for f, c in zip(some.features, some.clips, strict=True)])
    turned = some.replace(streams={"test": Stream(backwards, some.clips)})
    mean = torch.stack([f[c].mean(0) for f, c in zip(some.features, some.clips, strict=True)])
    alone = some.replace(streams={"test": Stream(mean[:, None], some.clips[:, :1])})
    torch.testing.assert_close(method.predict(turned).mean, method.predict(some).mean)
    torch.testing.assert_close(method.predict(alone).mean, method.predict(some).mean)
    assert method.losses(turned)["captions"] != method.losses(some)["captions"]


@BOTH
def test_the_loss_of_the_score_is_squared_plus_absolute_error_over_seventeen(module):
    labels = LabelSpec(scale=ScoreScale(0, 104.5))
    some = batch(features=small(module))
    for given, unit in (({}, 17.0), ({"unit": 4.0, "score_weight": 0.5}, 4.0)):
        method = module.build(small(module), labels, **given).eval()
        error = ((method.predict(some).mean - some.score) / unit).detach()
        wanted = given.get("score_weight", 1.0) * (error.square() + error.abs()).mean()
        terms = method.losses(some)
        assert list(terms) == ["score"]
        torch.testing.assert_close(terms["score"].detach(), wanted)


@BOTH
def test_the_loss_of_the_attributes_is_the_sum_of_their_cross_entropies(module):
    method = module.build(small(module), LABELS, attribute_weight=0.5).eval()
    some = batch(videos=5, features=small(module))
    some.attributes["position"][:] = torch.tensor([0, -1, 3, 1, -1])
    some.attributes["twists"][:] = torch.tensor([-1, 2, 1, 0, 2])
    said = method.describe(some).attributes
    wanted = 0.0
    for name, rows in {"position": [0, 2, 3], "twists": [1, 2, 3, 4]}.items():
        true = some.attributes[name][rows]
        wanted -= log_softmax(said[name][rows].log().detach().numpy(), axis=1)[range(len(rows)), true].mean()
    assert method.losses(some)["attributes"].item() == pytest.approx(0.5 * wanted, rel=1e-5)


@BOTH
def test_unknown_captions_do_not_count_and_long_ones_are_cut(module):
    method = module.build(small(module), LABELS, caption_weight=1.0, max_words=2).eval()
    some = batch(videos=4, features=small(module))
    part = some.replace(caption=torch.where(torch.tensor([True, False, True, True])[:, None], some.caption, -1))
    single = [method.losses(some.select(torch.tensor([row])))["captions"].item() for row in range(4)]
    assert method.losses(part)["captions"].item() == pytest.approx((sum(single) - single[1]) / 3, rel=1e-5)
    cut = method.losses(some.replace(caption=some.caption[:, :2]))["captions"]
    torch.testing.assert_close(method.losses(some)["captions"], cut)
    assert all(len(words) <= 2 for words in method.describe(some).captions)


@BOTH
@pytest.mark.parametrize(
    ("tasks", "terms"),
    [
        ("stl", ["score"]),
        ("cls", ["score", "attributes"]),
        ("cap", ["score", "captions"]),
        ("mtl", ["score", "attributes", "captions"]),
        (None, ["score", "attributes", "captions"]),
    ],
)
def test_tasks_are_what_is_learnt_and_described(module, tasks, terms):
    method = module.build(small(module), LABELS, tasks=tasks).eval()
    some = batch(videos=3, features=small(module))
    said = method.describe(some)
    assert list(method.losses(some)) == terms
    assert bool(said.attributes) == ("attributes" in terms)
    assert len(said.captions) == (3 if "captions" in terms else 0)


@BOTH
def test_without_a_choice_the_labels_decide(module):
    assert list(module.build(small(module), PLAIN).losses(batch(features=small(module)))) == ["score"]


@BOTH
@pytest.mark.parametrize("known", [0, 1])
def test_little_or_nothing_known_leaves_training_finite(module, known):
    method = module.build(small(module), LABELS).train()
    one = batch(videos=1, unlabelled=1 - known, features=small(module))
    for some in (one, one.replace(caption=one.caption[:, :0]), one.unlabelled().replace(score=one.score)):
        loss = torch.stack(list(method.losses(some).values())).sum()
        loss.backward()
        assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)
    assert all(b.isfinite().all() for b in method.buffers())


@BOTH
@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (PLAIN, {"tasks": "mtl"}, "tasks=mtl needs attributes and captions, which the data set does not have; leave"),
        (PLAIN, {"tasks": "cap"}, "tasks=cap needs captions, which"),
        (LABELS, {"tasks": "cap", "attribute_weight": 1.0}, "attributes are not learnt; leave attribute_weight out"),
        (PLAIN, {"max_words": 9, "search": "greedy"}, "captions are not learnt; leave max_words and search out"),
        (LABELS, {"beams": 3}, "only search=beam has beams; leave beams out"),
    ],
)
def test_an_option_that_nothing_reads_is_an_error(module, labels, options, message):
    with pytest.raises(OptionError, match=message):
        module.build(small(module), labels, **options)


@pytest.mark.slow
def test_it_learns_to_describe():
    train, test = batch(videos=128), batch(videos=64, seed=1)
    method = c3d_avg.build(FEATURES, LABELS, hidden=(64,), caption_width=32, caption_weight=1.0)
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        torch.stack(list(method.losses(train).values())).sum().backward()
        optimizer.step()
    method.eval()
    said, beam = method.describe(test), c3d_avg.build(FEATURES, LABELS, hidden=(64,), caption_width=32, search="beam")
    beam.load_state_dict(method.state_dict())
    right = [(said.attributes[name].argmax(1) == test.attributes[name]).float().mean() for name in LABELS.attributes]
    truth = [tuple(words) for words in test.caption.tolist()]
    assert min(right) > 0.75
    for captions in (said.captions, beam.eval().describe(test).captions):
        assert sum(one == other for one, other in zip(captions, truth, strict=True)) > 0.75 * 64
