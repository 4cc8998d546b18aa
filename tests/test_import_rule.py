"""Who may import whom in helpers/, and what every file there must be."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HELPERS = ROOT / "helpers"
FILES = [path.relative_to(HELPERS).as_posix() for path in sorted(HELPERS.rglob("*.py"))]

# A room is a file or a folder.  A new one needs a line here: that is the moment to ask where it
# belongs.
MAY_IMPORT = {
    "__init__": "",
    "devices": "",
    "parameters": "",
    "progress": "",
    "source": "",
    "checkpoints": "",
    "data": "readers",
    "readers": "",
    "models": "",
    "modes": "",
    "paths": "",
    "figures": "",
    "drawings": "",
    "sliders": "figures",
    "results": "source",
    "speed": "results",
    "architectures": "models",
    "recording": "",
    "cuts": "",
    "pieces": "models cuts recording",
    "tracing": "cuts pieces recording",
    "comparison": "models modes",
    "unravel": "models pieces recording tracing comparison",
    "interventions": "models paths",
    "pullbacks": "models",
    "linearised": "models pullbacks",
    "gradients": "models paths linearised",
    "signed": "gradients models linearised",
    "inference": "models",
    "measure": "interventions models modes devices inference",
    "recipes": "architectures models paths devices",
    "unfinished": "checkpoints",
    "training": "recipes data readers models paths devices checkpoints progress source unfinished",
    "batchnorm": "",
    "shelf": "training measure checkpoints results data devices recipes",
    "study": "recipes",
    "reference": "study shelf training recipes results data checkpoints progress devices source",
    "claims": "results paths",
    "deviations": "claims architectures interventions recipes",
}
NOTEBOOK_LIBRARIES = {"IPython", "ipywidgets", "papermill", "nbformat", "jupytext", "matplotlib"}
# The rooms that draw, and with what.
DRAWS = {"figures": {"matplotlib"}, "drawings": {"matplotlib"}}
DRAWS["sliders"] = {"matplotlib", "ipywidgets"}
# What is installed where training runs.
TRAINING_LIBRARIES = {"torch", "torchvision", "numpy", "safetensors"}

every_file = pytest.mark.parametrize("file", FILES)


def room_of(file: str) -> str:
    """The room a file belongs to: "models" for models.py, "claims" for all of claims/."""
    return file.removesuffix(".py").split("/")[0]


def imports(tree: ast.AST) -> set[str]:
    """The dotted names that the import statements under `tree` name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(names: set[str]) -> set[str]:
    """The rooms among imported names: "helpers.models.Network" names the room "models"."""
    return {name.split(".")[1] for name in names if name.startswith("helpers.")}


def libraries(names: set[str]) -> set[str]:
    """The third-party packages among imported names."""
    return {name.split(".")[0] for name in names} - {"helpers", *sys.stdlib_module_names}


def parse(file: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((HELPERS / file).read_text(encoding="utf8"))


def reachable(room: str) -> set[str]:
    """The files of `room` and of every room that it imports, directly or not."""
    found, waiting = set(), [room]
    while waiting:
        name = waiting.pop()
        files = {file for file in FILES if room_of(file) == name} - found
        found |= files
        waiting += [other for file in files for other in rooms(imports(parse(file)))]
    return found


def test_the_table_lists_the_rooms_there_are():
    assert set(MAY_IMPORT) == {room_of(file) for file in FILES}


@every_file
def test_a_room_imports_only_the_rooms_it_may(file):
    room = room_of(file)
    extra = rooms(imports(parse(file))) - {room, *MAY_IMPORT[room].split()}
    assert not extra, f"helpers/{file} may not import {sorted(extra)}"


@every_file
def test_no_notebook_library(file):
    extra = libraries(imports(parse(file))) & NOTEBOOK_LIBRARIES - DRAWS.get(room_of(file), set())
    assert not extra, f"helpers/{file} may not import {sorted(extra)}"


def test_figures_take_tables_not_tensors():
    assert reachable("figures"), "there are no figures"
    for file in reachable("figures"):
        assert "torch" not in libraries(imports(parse(file))), file


def test_training_runs_on_a_bare_machine():
    assert reachable("training"), "there is no training"
    for file in reachable("training"):
        tree = parse(file)
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        late = {name for function in functions for name in libraries(imports(function))}
        tree.body = [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
        assert libraries(imports(tree)) <= TRAINING_LIBRARIES, file
        # The embedded digits come inside scikit-learn; nothing else asks for it.
        assert late <= TRAINING_LIBRARIES | {"sklearn"}, file


@every_file
def test_a_file_fits_in_the_head(file):
    lines = len((HELPERS / file).read_text(encoding="utf8").splitlines())
    assert lines <= 250, f"helpers/{file} has {lines} lines"


@every_file
def test_everything_public_says_what_it_is(file):
    tree = parse(file)
    assert ast.get_docstring(tree), f"helpers/{file} opens without a docstring"
    definitions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    for owner in [n for n in definitions if isinstance(n, ast.ClassDef)]:
        definitions += [n for n in owner.body if isinstance(n, ast.FunctionDef)]
    # The class says what its `forward` computes.
    silent = [
        node.name
        for node in definitions
        if not node.name.startswith("_") and node.name != "forward" and not ast.get_docstring(node)
    ]
    assert not silent, f"helpers/{file}: no docstring for {silent}"
