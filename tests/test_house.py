"""The house: who may import whom, how long a file is, and that everything public says what it is.

The floors and the contracts between them stand in pyproject.toml (import-linter).
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = [
    path.relative_to(ROOT).as_posix()
    for floor in ("helpers", "study")
    for path in sorted((ROOT / floor).rglob("*.py"))
]

every_file = pytest.mark.parametrize("file", FILES)


def parse(file: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((ROOT / file).read_text(encoding="utf8"))


def linted(folder: Path) -> subprocess.CompletedProcess:
    """What import-linter says of a project."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_contracts_are_kept():
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout


def test_a_broken_contract_is_noticed(tmp_path):
    """The same files, empty, with one import that goes up."""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf8")
    for file in [*FILES, "benchmarks/__init__.py"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "helpers/network.py").write_text("import study.claims\n")
    done = linted(tmp_path)
    assert done.returncode == 1
    assert "helpers is not allowed to import study" in done.stdout


def test_training_runs_on_a_bare_machine():
    """What `python -m study.training` imports, in a process of its own."""
    code = (
        "import sys; before = set(sys.modules); import study.training.command; "
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heavy = {"sklearn", "scipy", "matplotlib", "IPython", "ipywidgets", "papermill", "nbformat"}
    loaded = set(done.stdout.split())
    assert "torch" in loaded and not loaded & heavy


@every_file
def test_a_file_fits_in_the_head(file):
    lines = len((ROOT / file).read_text(encoding="utf8").splitlines())
    assert lines <= 250, f"{file} has {lines} lines"


@every_file
def test_everything_public_says_what_it_is(file):
    tree = parse(file)
    assert ast.get_docstring(tree), f"{file} opens without a docstring"
    definitions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    for owner in [n for n in definitions if isinstance(n, ast.ClassDef)]:
        definitions += [n for n in owner.body if isinstance(n, ast.FunctionDef)]
    # The class says what its `forward` computes.
    silent = [
        node.name
        for node in definitions
        if not node.name.startswith("_") and node.name != "forward" and not ast.get_docstring(node)
    ]
    assert not silent, f"{file}: no docstring for {silent}"
