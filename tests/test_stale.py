"""A page is never older than what it was made from, and nothing runs for nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import stale

ROOT = Path(__file__).resolve().parent.parent
PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---
# A page

```{code-cell} python3
with open("runs.txt", "a") as log:
    log.write("run ")
```
"""


@pytest.fixture
def project(tmp_path):
    """A book of one page that counts how often it was run, with this project's settings."""
    for name in ("helpers", "book", "book/results", "book/checkpoints"):
        (tmp_path / name).mkdir()
    (tmp_path / "helpers/models.py").write_text("WIDTH = 16\n")
    (tmp_path / "book/results/rows.jsonl").write_text("{}\n")
    (tmp_path / "book/_toc.yml").write_text("format: jb-book\nroot: page\n")
    (tmp_path / "book/page.md").write_text(PAGE)
    (tmp_path / "book/references.bib").touch()
    shutil.copy(ROOT / "_config.yml", tmp_path / "book/_config.yml")
    for name in ("_ext", "_static", "_templates"):
        shutil.copytree(ROOT / "book" / name, tmp_path / "book" / name)
    return tmp_path


def test_the_digest_follows_the_contents(project):
    before = stale.digest(project)
    (project / "helpers/models.py").touch()
    (project / "book/page.md").write_text("# Another page\n")
    assert stale.digest(project) == before


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "helpers/models.py",
        "helpers/deep/new.py",
        "book/_ext/figure_kernel.py",
        "book/results/rows.jsonl",
        "book/checkpoints/weights.safetensors",
    ],
)
def test_the_digest_changes_with_each_watched_file(project, name):
    before = stale.digest(project)
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("changed\n")
    assert stale.digest(project) != before


def test_the_digest_tells_names_apart(project):
    before = stale.digest(project)
    (project / "helpers/models.py").rename(project / "helpers/paths.py")
    assert stale.digest(project) != before


def test_a_book_is_run_again_when_and_only_when_it_must_be(project):
    def runs_after_build() -> int:
        command = [Path(sys.executable).with_name("jupyter-book"), "build", "book", "-W", "-n"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return (project / "book/runs.txt").read_text().count("run")

    assert runs_after_build() == 1
    assert runs_after_build() == 1
    (project / "helpers/models.py").write_text("WIDTH = 32\n")
    assert runs_after_build() == 2
    assert runs_after_build() == 2
    caches = project / "book/_build/.jupyter_cache"
    assert len(list(caches.iterdir())) == 1, "the caches of earlier states are removed"
