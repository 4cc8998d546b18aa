"""The copies of the notebooks for Colab run where there is nothing but the copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = "03_path_distribution.ipynb"  # The one that needs neither weights nor training.


def git(folder: Path, *words: str) -> str:
    """What git answers in a folder."""
    who = [
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@localhost",
        "-c",
        "protocol.file.allow=always",
    ]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def published(tmp_path):
    """A repository that holds this project as it is now, and a clone of it."""
    public, here = tmp_path / "public/paths.git", tmp_path / "clone"
    public.mkdir(parents=True)
    git(public, "init", "--quiet", "--bare", "--initial-branch=main")
    for name in ("helpers", "study", "notebooks", "book/results"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "book/colab.py"):
        shutil.copy(ROOT / name, here / name)
    git(here, "init", "--quiet", "--initial-branch=main")
    git(here, "remote", "add", "origin", str(public))
    git(here, "add", "--all")
    git(here, "commit", "--quiet", "-m", "all")
    git(here, "push", "--quiet", "origin", "main")
    return public, here


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A folder from which kernels do not find this project."""
    found = tmp_path / "bare"
    found.mkdir()
    (found / "sitecustomize.py").write_text(HIDE)
    monkeypatch.setenv("PYTHONPATH", str(found))
    return found


# Run by Python at its start: what holds this project is no place to import from.
HIDE = """
import sys
from pathlib import Path

sys.path[:] = [place for place in sys.path if not Path(place, "study/__init__.py").is_file()]
"""


def test_a_copy_runs_in_an_empty_folder(published, tmp_path, bare):
    public, here = published
    command = [sys.executable, here / "book/colab.py", public.as_uri(), tmp_path / "copies"]
    subprocess.run(command, check=True)
    names = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (tmp_path / "copies/notebooks").iterdir()} == names
    notebook = nbformat.read(tmp_path / "copies/notebooks" / CHAPTER, as_version=4)
    nbformat.validate(notebook)
    stored = nbformat.read(ROOT / "notebooks" / CHAPTER, as_version=4)
    assert notebook.cells[1:] == stored.cells
    alone = tmp_path / "alone"
    alone.mkdir()
    resources = {"metadata": {"path": str(alone)}}
    notebook.cells.append(nbformat.v4.new_code_cell("import study; study.__file__"))
    NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
    assert (
        str(alone / "paths/study/__init__.py") in notebook.cells[-1].outputs[0].data["text/plain"]
    )


def test_a_notebook_alone_says_what_it_needs(bare):
    """Downloaded without the rest, it stops at its first code cell with one line."""
    notebook = nbformat.read(ROOT / "notebooks" / CHAPTER, as_version=4)
    resources = {"metadata": {"path": str(bare)}}
    with pytest.raises(CellExecutionError) as stopped:
        NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
    assert stopped.value.evalue == (
        "This notebook needs its repository: clone and install it as the README says, "
        "then open it there."
    )


def test_every_notebook_begins_with_that_check():
    begins = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        begins.add(tuple(code[0].source.splitlines()[:4]))
    ((first, _, check, _),) = begins
    assert first.startswith("from importlib") and check.startswith('assert find_spec("study"), "')


def test_the_workflow_keeps_the_copies_in_a_branch_of_their_own(published):
    """Its own lines, run twice: the branch is made, and made anew."""
    public, here = published
    jobs = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf8"))["jobs"]
    (lines,) = (step["run"] for step in jobs["colab"]["steps"] if "run" in step)
    place = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "Someone/paths"}
    for _ in range(2):
        # As GitHub runs them.
        shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", lines]
        subprocess.run(shell, cwd=here, env=os.environ | place, check=True)
        assert git(public, "rev-list", "--count", "colab").strip() == "1"
    files = git(public, "ls-tree", "-r", "--name-only", "colab").split()
    assert files == [f"notebooks/{p.name}" for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    text = git(public, "show", f"colab:notebooks/{CHAPTER}")
    assert "git clone --quiet --depth 1 https://github.com/Someone/paths\\n" in text
    assert git(here, "status", "--porcelain") == ""


def test_without_an_address(published):
    _, here = published
    done = subprocess.run([sys.executable, here / "book/colab.py"], capture_output=True, text=True)
    assert done.returncode == 2 and "usage: python book/colab.py https://github.com/" in done.stderr
