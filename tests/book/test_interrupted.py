"""A build that was killed, at whatever moment, does not spoil the next one."""

import os
import shutil
import signal
import sqlite3
from pathlib import Path

import nbformat
import pytest
import stale
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from tests import books

PAGE = (
    books.NOTEBOOK
    + """# A page

```{code-cell} python3
from pathlib import Path

with open("runs.txt", "a") as log:
    log.write("run ")
print("width", Path("../helpers/models.py").read_text())
```
"""
)
# An extension that ends the build without a word, just after a function of Sphinx or of the cache.
KILLER = """
import os, pydoc, signal

def setup(app):
    if place := os.environ.get("KILLED_AFTER"):
        owner, _, name = place.rpartition(".")
        owner = pydoc.locate(owner)
        real = getattr(owner, name)

        def last(*values, **named):
            real(*values, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, last)
"""
MOMENTS = {
    "the cache is new": "jupyter_cache.cache.main.create_db",
    "a notebook is about to run": "jupyter_cache.cache.db.NbProjectRecord.remove_tracebacks",
    "it has run": "myst_nb.core.execute.cache.single_nb_execution",
    "a record names it and its folder is not there": (
        "jupyter_cache.cache.main.NbCacheRecord.create_record"
    ),
    "it is in the cache": "jupyter_cache.cache.main.JupyterCacheBase.truncate_caches",
    "pages are read, none is written": "sphinx.builders.html.StandaloneHTMLBuilder.prepare_writing",
    "a page is written": "sphinx.builders.html.StandaloneHTMLBuilder.write_doc",
}
# Of those, the moments at which the result of the notebook is safe.
SAFE = list(MOMENTS)[-3:]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A book of one page, built with the killer among its extensions, which lets it live."""
    project = books.new_book(tmp_path_factory.mktemp("book"), {"page.md": PAGE})
    (project / "book/_ext/killer.py").write_text(KILLER)
    config = project / "book/_config.yml"
    text = config.read_text(encoding="utf8").replace("stale: _ext", "killer: _ext\n    stale: _ext")
    config.write_text(text.replace("- stale", "- killer\n      - stale"), encoding="utf8")
    (project / "helpers").mkdir()
    (project / "helpers/models.py").write_text("16")
    books.build(project)
    return project


@pytest.fixture
def project(finished, tmp_path):
    """A copy of that book, in a place of its own; times of files stay."""
    return shutil.copytree(finished, tmp_path / "copy")


def shown(project: Path) -> str:
    """What the built page says."""
    return (project / "book/_build/html/page.html").read_text(encoding="utf8")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_build_after_one_that_was_killed(project, monkeypatch, moment):
    assert "width 16" in shown(project)
    (project / "helpers/models.py").write_text("32")
    monkeypatch.setenv("KILLED_AFTER", MOMENTS[moment])
    assert books.attempt(project).returncode == -signal.SIGKILL
    monkeypatch.delenv("KILLED_AFTER")
    before = (project / "book/runs.txt").read_text().count("run")
    books.build(project)
    assert "width 32" in shown(project)
    again = (project / "book/runs.txt").read_text().count("run") - before
    assert again == (moment not in SAFE), "what is safe is not run again, nor is anything lost"
    assert not (project / "book/_build/unfinished").exists()


def notebook(number: int) -> CacheBundleIn:
    """An executed notebook."""
    cell = nbformat.v4.new_code_cell(f"{number}", execution_count=1)
    return CacheBundleIn(nbformat.v4.new_notebook(cells=[cell]), f"{number}.ipynb", data={})


@pytest.fixture
def cache(tmp_path):
    """A cache of two executed notebooks."""
    for number in (1, 2):
        get_cache(tmp_path / "cache").cache_notebook_bundle(notebook(number))
    return tmp_path / "cache"


def first(cache: Path) -> Path:
    """One of the notebooks in a cache."""
    return min((cache / "executed").glob("*/base.ipynb"))


def halve(file: Path) -> None:
    """Cut a file off in its middle."""
    os.truncate(file, file.stat().st_size // 2)


def drop(cache: Path, table: str) -> None:
    """Take a table out of the database."""
    with sqlite3.connect(cache / "global.db") as database:
        database.execute(f"drop table {table}")


DAMAGES = {
    "half a notebook": lambda cache: halve(first(cache)),
    "an empty notebook": lambda cache: first(cache).write_text(""),
    "a folder without its notebook": lambda cache: first(cache).unlink(),
    "a record without its folder": lambda cache: shutil.rmtree(first(cache).parent),
    "a folder without a record": lambda cache: (cache / "executed/new").mkdir(),
    "half a database": lambda cache: halve(cache / "global.db"),
    "an empty database": lambda cache: (cache / "global.db").write_text(""),
    "no database": lambda cache: (cache / "global.db").unlink(),
    "tables that are not complete": lambda cache: (cache / "__version__.txt").unlink(),
    "no table of notebooks": lambda cache: drop(cache, "nbcache"),
    "no table of notebooks to run": lambda cache: drop(cache, "nbproject"),
}


def test_a_whole_cache_is_kept(cache):
    assert stale.intact(cache)
    assert stale.intact(cache.with_name("not there yet"))
    assert get_cache(cache).match_cache_notebook(notebook(1).nb)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_noticed(cache, damage):
    DAMAGES[damage](cache)
    assert not stale.intact(cache)


def test_a_damaged_cache_is_made_again(project):
    (cache,) = (project / "book/_build/.jupyter_cache").iterdir()
    shutil.rmtree(first(cache).parent)
    with (project / "book/page.md").open("a") as page:
        page.write("\nMore words.\n")
    assert "all run again" in books.build(project)
    assert "More words" in shown(project) and "width 16" in shown(project)
