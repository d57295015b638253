"""The pages say what the code says, their links lead somewhere, and their example files can be read."""

import csv
import doctest
import re
import shlex
import sys
from pathlib import Path

import openpyxl
import pytest
from PIL import Image

from aqakit import cli, datasets, discovery
from aqakit.datasets.parts import health
from aqakit.evaluation.selection import PUBLISHED, RULES
from aqakit.recordings.skeletons.parts import registry
from aqakit.system import configuration
from aqakit.web.cards import card
from tests.backbones.test_huggingface import save as save_model
from tests.releases import write_video

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
KINDS = ("methods", "datasets", "backbones")


@pytest.fixture
def generate(monkeypatch):
    monkeypatch.delenv("AQAKIT_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(ROOT / "docs")
    import generate

    return generate


def test_generated_pages_are_up_to_date(generate):
    old = [str(p.relative_to(ROOT)) for p, text in generate.wanted().items() if not p.exists() or p.read_text() != text]
    assert not old, f"run python docs/generate.py: {old}"
    assert generate.existing() == set(generate.pages())


@pytest.mark.parametrize("kind", KINDS)
def test_everything_has_a_page_with_its_options(kind):
    function = {"datasets": "samples"}.get(kind, "build")
    for name in discovery.names(kind):
        page = (ROOT / "docs" / kind / f"{name}.md").read_text()
        module = discovery.find(kind, name)
        assert getattr(module, "PAPER", getattr(module, "CITATION", "")) in page
        for option in configuration.options(getattr(module, function)):
            assert f"| `{option.name}` |" in page
            assert option.help.replace("|", "\\|") in page
        assert f"[`{name}`]({name}.md)" in (ROOT / "docs" / kind / "README.md").read_text()


def test_every_format_has_a_page_that_says_how_it_is_recognised():
    index = (ROOT / "docs" / "formats" / "README.md").read_text()
    for name in registry.names():
        module = discovery.find(registry.KIND, name)
        page = (ROOT / "docs" / "formats" / f"{name}.md").read_text()
        assert module.__doc__.splitlines()[0].replace("``", "`") in page
        sign = module.fits.__doc__.partition(" ")[2].rstrip(".").replace("``", "`")
        assert f"- **Recognised if**: {sign}" in page
        assert f"[`{name}`]({name}.md)" in index


def test_words_for_values(generate):
    table = generate.options_table(configuration.options(discovery.find("methods", "usdl").build))
    assert "| `bins` | integer ≥ 2 | `101` | number of bins from the lowest to the highest score |" in table
    assert "| `dropout` | number ≥ 0, < 1 | `0.3` |" in table
    assert "`sum`, `mean`" in table


def test_markdown_of_docstrings(generate):
    assert generate.markdown("``a`` of :class:`~aqakit.types.Batch`, :func:`load`") == "`a` of `Batch`, `load`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
    missing = [link for link in links if not (page.parent / link.split("#")[0]).exists()]
    assert not missing


def test_every_rule_and_protocol_is_explained():
    page = (ROOT / "docs" / "protocols.md").read_text()
    assert all(f"`{name}`" in page for name in (*RULES, *PUBLISHED))
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (\*optimistic\*|honest) \|$", page, re.MULTILINE)
    assert {name: kind == "honest" for name, kind in rows} == {name: rule.honest for name, rule in RULES.items()}


@pytest.fixture
def manifest(tmp_path):
    """The worked example of docs/manifest.md, with recordings."""
    (text,) = re.findall(r"```csv\n(.*?)```", (ROOT / "docs" / "manifest.md").read_text(), re.DOTALL)
    file = tmp_path / "dives.csv"
    file.write_text(text)
    for seed, row in enumerate(csv.DictReader(text.splitlines())):
        write_video(tmp_path / row["path"], frames=110, seed=seed)
    return file


def test_the_worked_manifest_is_sound(manifest):
    loaded = datasets.load("manifest", manifest, rule="diving")
    report = health.check(loaded)
    assert report.ok
    assert not report.about("rule")  # each score is what its judges and difficulty make
    sample = loaded.samples[0]
    assert (sample.window, sample.group, sample.attributes) == ((12, 104), "Rome", {"somersaults": 5})
    assert [s.id for s in loaded.samples if s.score is None] == ["rome-03"]


def test_the_commands_of_the_manifest_page_run(manifest, monkeypatch, tmp_path):
    text = (ROOT / "docs" / "manifest.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    for line in re.findall(r"^\$ (aqakit .*)$", text, re.MULTILINE):
        few = ["--epochs", "1"] if " train " in line else []  # the page trains for the 100 epochs of the default
        monkeypatch.setattr(sys, "argv", shlex.split(line) + few)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code, line
    assert (tmp_path / "runs" / "dives" / "run.json").exists()


@pytest.mark.parametrize(("page", "folder"), [("coach.md", "pictures"), ("gallery.md", "gallery")])
def test_the_pictures_of_a_page_are_small_and_all_shown(page, folder):
    text = (ROOT / "docs" / page).read_text()
    shown = re.findall(rf"^!\[(.+)\]\(({folder}/\S+)\)$", text, re.MULTILINE)
    assert {ROOT / "docs" / place for _, place in shown} == set((ROOT / "docs" / folder).iterdir())
    for said, place in shown:
        assert len(said) > 20, "what the picture shows, for those who do not see it"
        file = ROOT / "docs" / place
        assert file.stat().st_size < 120_000
        if file.suffix == ".png":
            with Image.open(file) as picture:
                assert 800 <= picture.width <= 1000
        else:
            assert not re.search(r'href="(?!#|data:)', file.read_text()), "asks nobody for anything"


@pytest.mark.slow
def test_the_commands_of_the_coach_page_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "club").mkdir()
    for seed in range(8):
        write_video(tmp_path / "club" / f"{seed}.mp4", frames=40, seed=seed)
    save_model(tmp_path / "mobilenet", "mobilenet_v2")
    commands = re.findall(r"^\$ (aqakit .*)$", (ROOT / "docs" / "coach.md").read_text(), re.MULTILINE)
    *others, last = commands
    assert last == "aqakit serve club/run"
    for line in others:
        monkeypatch.setattr(sys, "argv", shlex.split(line) + (["--epochs", "1"] if " train " in line else []))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code, line
        if " new " in line:
            fill(tmp_path / "club" / "manifest.xlsx")
    assert card("club", tmp_path / "club" / "run").title.startswith("club · dae · learnt from")


def fill(sheet):
    """Write scores and athletes, as a coach does."""
    book = openpyxl.load_workbook(sheet)
    heads = {cell.value: cell.column for cell in book.active[1]}
    for row in range(2, book.active.max_row + 1):
        book.active.cell(row, heads["score"], 10.0 * row)
        book.active.cell(row, heads["group"], f"athlete {row % 4}")
    book.save(sheet)


def test_every_example_of_the_skeletons_page_is_true(monkeypatch, tmp_path):
    text = (ROOT / "docs" / "skeletons.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AQAKIT_PLUGINS", raising=False)
    for name, content in re.findall(r'```\w+ title="([\w.]+)"\n(.*?)```', text, re.DOTALL):
        (tmp_path / name).write_text(content)
    examples = "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {}, "skeletons.md", None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner().run(test, out=said.append)
    assert not result.failed, "".join(said)
    assert result.attempted > 30
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert len(headings) >= len(discovery.names("recordings/skeletons"))


def test_the_example_of_words_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "words.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    exec(compile(text, "docs/words.md", "exec"), {})
    first, *_ = [line for line in capsys.readouterr().out.splitlines() if "Costs" in line]
    assert re.match(r"(Left|Right) elbow, ", first)
