"""A module imports from lower layers, or from its own folder in its own layer; so there are no cycles."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "aqakit"
LAYERS = (
    "types errors discovery distributed progress files prefetch",
    "weights video signals pickles clips transforms distributions rules splits labelling",
    "datasets backbones recordings",
    "cache engines features pooling health",
    "heads captions losses metrics recalibration sources floors",
    "methods",
    "assessor catalogue extraction cluster recipe training material runfiles exemplars runs selection results"
    " comparison predictions evaluation scoring explanation occlusion bench protocols training_traces"
    " sweep reproduction illustration reporting",
    "report",
    "demo options",
    "cli web",
    "__init__ __main__",
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names.split()}
FILES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}


def _imports(tree: ast.AST) -> Iterator[str]:
    """Modules of ours, dotted, that a piece of code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (_module(name) for name in found if name.split(".")[0] == "aqakit")


def _module(name: str) -> str:
    """The file that holds a dotted name."""
    parts = name.split(".")[1:]
    for end in range(len(parts), -1, -1):
        for candidate in (parts[:end], [*parts[:end], "__init__"]):
            if ".".join(candidate) in FILES:
                return ".".join(candidate)
    raise AssertionError(name)


TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
EDGES = [(name, target) for name, tree in TREES.items() for target in _imports(tree)]


def test_every_module_has_a_layer() -> None:
    assert {name.split(".")[0] for name in FILES} <= set(LAYER)


def test_imports_go_down() -> None:
    wrong = []
    for name, target in EDGES:
        above = LAYER[target.split(".")[0]] - LAYER[name.split(".")[0]]
        if above > 0 or (above == 0 and FILES[name].parent != FILES[target].parent):
            wrong.append(f"{name} imports {target}")
    assert not wrong


def test_there_is_no_cycle() -> None:
    graph = TopologicalSorter()
    for name, target in EDGES:
        graph.add(name, target)
    graph.prepare()


def test_no_function_hides_an_import_of_ours() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    hidden = {
        name: list(_imports(node))
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, functions) and any(_imports(node))
    }
    assert not hidden


def test_data_sets_do_without_torch() -> None:
    for name, tree in TREES.items():
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not name.startswith("datasets.") or not any(m.split(".")[0] == "torch" for m in modules), name
