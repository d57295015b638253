"""Recipes: each fits today's names and options, says what its paper says, and can be run."""

import json
import re
from functools import cache

import pytest
import torch

from aqakit import datasets, discovery
from aqakit.backbones.weights import CATALOGUE
from aqakit.datasets import mtl_aqa
from aqakit.errors import DataError, OptionError, WeightsError
from aqakit.evaluation import reproduction, selection
from aqakit.metrics.accuracy import fisher_mean
from aqakit.recordings import clips
from aqakit.recordings.transforms import PixelRecipe
from aqakit.system import configuration
from aqakit.training.assessor import target_labels
from aqakit.training.recipe import make_recipe
from aqakit.types import FeatureSpec
from tests.cli.test_commands import aqakit
from tests.releases import (
    write_aqa7,
    write_fine_diving,
    write_jigsaws,
    write_mtl_aqa,
    write_rhythmic_gymnastics,
    write_unlv_dive,
)

WRITERS = {
    "aqa7": write_aqa7,
    "jigsaws": write_jigsaws,
    "fine_diving": write_fine_diving,
    "mtl_aqa": write_mtl_aqa,
    "rhythmic_gymnastics": write_rhythmic_gymnastics,
    "unlv_dive": write_unlv_dive,
}
RESULTS = {name: reproduction.load(name) for name in reproduction.names()}
RUNNABLE = {name: result.run for name, result in RESULTS.items() if isinstance(result.run, reproduction.Run)}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """A stand-in for each data set, laid out as the official one."""
    root = tmp_path_factory.mktemp("releases")

    @cache
    def loaded(spec: str) -> datasets.Dataset:
        name, options = discovery.parse_spec(spec)
        folder = root / name
        return datasets.load(name, folder if folder.exists() else WRITERS[name](folder), **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(root / "cache"))
        yield loaded


@cache
def shape(backbone: str) -> tuple[int, ...]:
    """Of the features of a clip, without the weights."""
    name, options = discovery.parse_spec(backbone)
    if options.get("weights") == "microsoft/resnet-50":
        return (2048,)
    module = discovery.find("backbones", name)
    options.pop("weights", None)
    with torch.device("meta"):
        return module.build(**configuration.configure(name, module.build, options)).shape


def pixels(backbone: str) -> PixelRecipe:
    name, options = discovery.parse_spec(backbone)
    module = discovery.find("backbones", name)
    options.pop("weights", None)
    with torch.device("meta"):
        return module.build(**configuration.configure(name, module.build, options)).pixels


def test_recipes_read_pictures_as_their_public_code():
    """Where crops begin, what is not resized, what is squeezed, and which copy of I3D is meant."""
    first = {name: discovery.parse_spec(run.backbones[0]) for name, run in RUNNABLE.items() if run.backbones}
    for name, (backbone, options) in first.items():
        author = name.split("/")[-1].split("-")[0]
        if backbone == "i3d" and author in ("usdl", "musdl", "dae", "core") and not name.endswith("aqa-7/usdl"):
            assert options["centre"] == "torchvision", name
        if options.get("weights") == "model_rgb.pth":
            assert options["convention"] == "core", name
        if backbone == "i3d" and name.startswith("jigsaws"):
            assert (options["resize"], options["plan"]) == ("none", "jigsaws-linspace"), name
    assert pixels(RUNNABLE["jigsaws/usdl"].backbones[0]) == PixelRecipe(None, (224, 224), centre="torchvision")
    theirs = PixelRecipe(224, (224, 300), squeeze=(224, 224))
    assert pixels(RUNNABLE["rhythmic-gymnastics/action-net"].backbones[0]) == theirs
    assert {RUNNABLE[f"mtl-aqa/{name}"].options["shift"] for name in ("dae", "dae-mt", "usdl", "musdl")} == {"0..6"}


@pytest.mark.parametrize("name", RUNNABLE)
def test_recipe_fits_todays_signatures(name, load):
    run = RUNNABLE[name]
    method, options = discovery.parse_spec(run.method)
    made = make_recipe(method, data=run.dataset, backbone=run.backbones, **run.options, **options)
    assert run.options["summarise"] == made.summarise == 0  # papers read every clip
    features = FeatureSpec({b.split(":")[0]: shape(b) for b in run.backbones})
    dataset = load(run.dataset)
    labels = target_labels(dataset.task(dataset.tasks[0]).labels, made.target)
    with torch.device("meta"):
        assert discovery.find("methods", method).build(features, labels, **made.options)
    sizes = {f"size-{size}" for size in mtl_aqa.SIZES} if dataset.name == "mtl_aqa" else set()
    assert run.protocol in {*dataset.splits, *sizes}
    assert (run.task == "all") == (len(dataset.tasks) > 1)
    assert set(RESULTS[name].published) <= {*dataset.tasks, "mean", "Needle_Passing"}


@pytest.mark.parametrize("name", RUNNABLE)
def test_recipe_starts_from_known_weights_and_plans(name):
    known = {n for entry in CATALOGUE for n in (entry.name, *entry.also)}
    specs = [discovery.parse_spec(backbone) for backbone in RUNNABLE[name].backbones]
    given = [options["weights"] for backbone, options in specs if "weights" in options and backbone != "frames"]
    assert set(given) <= known
    assert len(given) <= 1  # so that --weights means one thing
    for _, options in specs:
        assert isinstance(clips.parse(options.get("plan", "dae")), clips.ClipPlan)


@pytest.mark.parametrize("name", RESULTS)
def test_recipe_says_who_and_how(name):
    result = RESULTS[name]
    assert re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", name)
    assert re.search(r"\b(19|20)\d\d\b", result.paper)
    assert result.rule is None or result.rule in selection.RULES
    assert result.published or "no figure" in result.source


def test_no_two_recipes_tell_the_same():
    told = [(name.split("/")[0], result.system) for name, result in RESULTS.items()]
    assert len(set(told)) == len(told)


def test_rules_are_those_of_the_published_protocols():
    for method, protocol in {"jigsaws/musdl": "jigsaws-usdl", "jigsaws/dae": "jigsaws-dae", "mtl-aqa/core": "mtl-aqa",
                             "aqa-7/usdl": "aqa-7"}.items():  # fmt: skip
        published = selection.PUBLISHED[protocol]
        result = RESULTS[method]
        assert (result.rule, result.seeds, result.run.protocol) == (published.rule, published.seeds, published.splits)


def test_figures_are_those_of_the_tables():
    """Read once more in the papers' tables, by hand."""
    figures = {name: result.figure for name, result in RESULTS.items()}
    expected = {
        "mtl-aqa/dae": 0.9225, "mtl-aqa/dae-mt": 0.9449, "mtl-aqa/dae-reconstruction-mt": 0.9407,
        "mtl-aqa/musdl": 0.9273, "mtl-aqa/core-dd": 0.9512, "mtl-aqa/c3d-avg-mtl": 0.9044,
        "mtl-aqa/mscadc-cap": 0.8547, "mtl-aqa/c3d-avg-mtl-280": 0.7209, "mtl-aqa/pose-dct": 0.2682,
        "unlv-dive/c3d-avg-mtl": 0.8808, "aqa-7/usdl": 0.8102, "jigsaws/dae-mt": 0.76, "jigsaws/jrg": 0.57,
    }  # fmt: skip
    assert {name: figures[name] for name in expected} == expected
    assert RESULTS["aqa-7/c3d-svr"].published["sync_diving_10m"] == 0.9120
    assert RESULTS["jigsaws/usdl"].published["Needle_Passing"] == 0.63


def test_published_means_are_fisher_means_of_their_rows():
    checked = []
    for name, result in RESULTS.items():
        row = [result.published.get(task) for task in result.tasks]
        if len(row) > 1 and None not in row and "mean" in result.published and name != "aqa-7/core":
            digits = 0.0006 if "percent" in name else 0.01 if name.startswith("jigsaws") else 0.0002  # as printed
            assert fisher_mean(row) == pytest.approx(result.published["mean"], abs=digits), name
            checked.append(name)
    assert len(checked) == 11 + 16


def test_few_labels_are_as_many_as_the_name_says():
    """The five tables of S4AQA, summed by hand: rows, and the sum of their figures without the means."""
    told = {name: result for name, result in RESULTS.items() if name.endswith("-percent")}
    expected = {"I": (18, 11.075), "II": (7, 8.255), "III": (5, 8.541), "IV": (8, 5.496), "V": (4, 4.953)}
    for table, (rows, total) in expected.items():
        of = [result.published for result in told.values() if result.source == f"S4AQA, Table {table}"]
        figures = [figure for row in of for task, figure in row.items() if task != "mean"]
        assert (len(of), sum(figures)) == (rows, pytest.approx(total))
    for name, result in told.items():
        share = re.search(r"(\d+)-percent", name)[1]
        assert result.run.options["labels"] == f"random:{share}%"
        assert result.system.endswith(f", {share} % of the labels")


def test_list_is_the_table_of_the_papers(monkeypatch, capsys, tmp_path):
    assert aqakit(monkeypatch, "reproduce", "--list", "--json", tmp_path / "list.json") == 0
    shown, rows = capsys.readouterr().out, json.loads((tmp_path / "list.json").read_text())
    assert all(row["name"] in shown for row in rows)
    assert next(row for row in rows if row["name"] == "aqa-7/core")["by_task"]["sync_diving_3m"] == 0.9442


@pytest.mark.slow
def test_unlv_dive_by_the_papers_rule_and_by_the_last_epoch(monkeypatch, capsys, load, tmp_path):
    root = load("unlv_dive").root
    assert aqakit(monkeypatch, "reproduce", "unlv-dive/s3d", "--root", root, "--json", tmp_path / "out.json") == 0
    optimistic, last, *floors = json.loads((tmp_path / "out.json").read_text())
    assert optimistic["published"] == 0.86
    assert optimistic["difference"] == pytest.approx(optimistic["ours"] - 0.86)
    assert (optimistic["rule"], last["rule"]) == ("best-test (optimistic)", "last")
    assert last["ours"] == optimistic["ours"]  # one fit, without epochs
    assert last["published"] is None
    assert floors
    assert all(row["published"] is None and row["method"].startswith("floor") for row in floors)
    assert "MTL-AQA, Table 7" in capsys.readouterr().out


def test_a_mean_is_compared_with_that_of_the_same_tasks_only(load):
    root = load("jigsaws").root  # which has no Needle_Passing
    table = reproduction.reproduce("jigsaws/jrg", root=root, epochs=1, seeds=1)
    own = {row["task"]: row for row in table.rows if row["method"] == "JRG"}
    assert own["Suturing"]["published"] == 0.36
    assert own["mean (Fisher z)"]["published"] is None
    tried = [note for note in table.notes if note.startswith("not as published")]
    assert [re.search(r"1 epochs|1 seeds|Needle_Passing|kinematics", note)[0] for note in tried] == [
        "1 epochs", "1 seeds", "Needle_Passing", "kinematics",
    ]  # fmt: skip


def test_what_cannot_be_run_says_why(load, monkeypatch, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path))
    root = load("mtl_aqa").root
    with pytest.raises(WeightsError, match=r"aqakit weights get c3d.pickle; then give --weights FILE"):
        reproduction.reproduce("mtl-aqa/c3d-avg-mtl", root=root)
    with pytest.raises(DataError, match="nothing could be read"):
        reproduction.reproduce("mtl-aqa/c3d-avg-mtl", root=root, weights="random")
    with pytest.raises(DataError, match="root"):
        reproduction.reproduce("mtl-aqa/c3d-avg-mtl", weights="random")
    with pytest.raises(OptionError, match="needs joints"):
        reproduction.reproduce("mtl-aqa/pose-dct", root=root)
    with pytest.raises(OptionError, match="did you mean mtl-aqa/dae-mt"):
        reproduction.reproduce("mtl-aqa/dea-mt", root=root)
    with pytest.raises(OptionError, match="no published weights"):
        reproduction.reproduce("unlv-dive/s3d", root=root, weights="random")


@pytest.mark.slow
def test_s3d_on_the_released_features(shared_data, tmp_path, monkeypatch):
    """0.8091 is scikit-learn's own SVR on them."""
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path))
    table = reproduction.reproduce("unlv-dive/s3d", root=shared_data / "unlv-dive")
    assert table.rows[0]["ours"] == pytest.approx(0.8091, abs=5e-4)
