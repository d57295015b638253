"""The rooms of the package: data passes them from left to right, and nothing else lies at the top.

``docs/design.md`` tells what each room is for.
"""

import ast
import importlib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "aqakit"
ROOMS = (
    "system", "scores", "metrics", "recordings", "datasets", "backbones", "features", "methods", "training",
    "evaluation", "explanation", "report", "web", "cli",
)  # fmt: skip
"""A room imports from itself and from those before it."""

ROOT_FILES = {"types", "errors", "discovery", "__init__", "__main__"}
SINGLE = ("methods", "datasets", "backbones")
"""Rooms in which every file is one thing, found by its name."""

OPTIONAL = {"openvino", "nncf", "ray", "transformers", "PIL", "fastapi", "uvicorn"}
FILES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def dotted(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a piece of code imports; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_of(name: str) -> str:
    """The file of ours that holds a dotted name."""
    parts = name.split(".")[1:]
    for end in range(len(parts), -1, -1):
        for candidate in (parts[:end], [*parts[:end], "__init__"]):
            if ".".join(candidate) in FILES:
                return ".".join(candidate)
    raise AssertionError(name)


def ours(tree: ast.AST) -> list[str]:
    """Files of ours that a piece of code imports."""
    return [file_of(name) for name in dotted(tree) if name.split(".")[0] == "aqakit"]


def room_of(file: str) -> str | None:
    """None for a file at the root."""
    first = file.split(".")[0]
    return first if first in ROOMS else None


def runs_back(file: str, target: str) -> bool:
    """Whether an import goes to a room further right, or from a file at the root into a room."""
    here, there = room_of(file), room_of(target)
    if file in ("__init__", "__main__") or there is None:
        return False
    return here is None or ROOMS.index(there) > ROOMS.index(here)


def has_circle(edges: list[tuple[str, str]]) -> bool:
    graph: TopologicalSorter[str] = TopologicalSorter()
    for file, target in edges:
        if file != target:
            graph.add(file, target)
    try:
        graph.prepare()
    except CycleError:
        return True
    return False


EDGES = [(name, target) for name, tree in TREES.items() for target in ours(tree)]


def test_there_are_fourteen_rooms_and_five_files() -> None:
    at_the_top = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or any(p.glob("*.py"))}
    assert at_the_top == {*ROOMS, *ROOT_FILES}
    assert len(ROOMS) == 14


def test_imports_go_to_the_left() -> None:
    assert not [f"{file} imports {target}" for file, target in EDGES if runs_back(file, target)]


@pytest.mark.parametrize(
    ("room", "planted"),
    [
        ("recordings", "from aqakit.methods.dae import DAE"),
        ("training", "from aqakit.evaluation import floors"),
        ("scores", "import aqakit.metrics.accuracy"),
        ("evaluation", "from aqakit import report"),
    ],
)
def test_an_import_to_the_right_is_found(room: str, planted: str) -> None:
    (target,) = ours(ast.parse(planted))
    assert runs_back(f"{room}.planted", target)


def test_there_is_no_circle_between_files() -> None:
    assert not has_circle(EDGES)
    assert has_circle([*EDGES, ("system.files", "training.loop")])


def test_rooms_are_not_imported_as_a_whole_but_by_commands() -> None:
    """Only a command waits for a room until it does its work; everything else names the file."""
    whole = [(file, target) for file, target in EDGES if target in {f"{room}.__init__" for room in ROOMS}]
    assert not [pair for pair in whole if room_of(pair[0]) != "cli" and pair[0] != "__main__"]


def test_no_function_hides_an_import() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = [
        (f, n) for f, t in TREES.items() for node in ast.walk(t) if isinstance(node, functions) for n in dotted(node)
    ]
    assert not [(file, name) for file, name in inside if name.split(".")[0] not in OPTIONAL]


def test_no_file_repeats_the_name_of_its_folder() -> None:
    assert not [name for name, path in FILES.items() if path.stem == path.parent.name]


def test_every_room_says_what_it_is_for_and_what_it_may_import() -> None:
    for room in ROOMS:
        text = ast.get_docstring(TREES[f"{room}.__init__"]) or ""
        assert "May import" in text, room
        assert len(text.split("\n")) >= 2, room


def test_init_files_hold_no_code_of_their_own() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [
        n
        for n, t in TREES.items()
        if n.endswith("__init__") and n != "__init__"
        for d in t.body
        if isinstance(d, kinds)
    ]
    assert not found


def test_a_name_that_is_loaded_late_is_never_hidden_by_a_file() -> None:
    """Importing ``package.name`` as a file would replace what ``package.name`` stood for."""
    for name in (n for n, t in TREES.items() if n.endswith("__init__") and "aqakit.discovery.lazily" in dotted(t)):
        package = importlib.import_module(".".join(["aqakit", *name.split(".")[:-1]]))
        for public in package.__all__:
            file = Path(package.__file__).with_name(f"{public}.py")
            assert not file.exists() or getattr(package, public).__name__ == f"{package.__name__}.{public}", public
            assert hasattr(package, public)


def test_every_file_of_a_single_room_is_one_thing() -> None:
    for room in SINGLE:
        wanted = "samples" if room == "datasets" else "build"
        for name, tree in TREES.items():
            if FILES[name].parent == PACKAGE / room and not name.endswith("__init__"):
                assert any(isinstance(n, ast.FunctionDef) and n.name == wanted for n in tree.body), name


def test_data_sets_do_without_torch() -> None:
    for name, tree in TREES.items():
        assert room_of(name) != "datasets" or not any(n.split(".")[0] == "torch" for n in dotted(tree)), name


def test_tests_mirror_the_rooms() -> None:
    folders = {p.name for p in Path(__file__).parent.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == {*ROOMS, "identities"}  # networks and methods against independent arithmetic
