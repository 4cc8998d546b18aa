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


def test_a_copy_runs_in_an_empty_folder(published, tmp_path):
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
    NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
    assert (alone / "paths/helpers").is_dir()


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
