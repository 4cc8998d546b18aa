"""A page is never older than what it was made from, and nothing runs for nothing."""

import pytest
import stale

from tests import books

PAGE = (
    books.NOTEBOOK
    + """# A page

```{code-cell} python3
with open("runs.txt", "a") as log:
    log.write("run ")
```
"""
)


@pytest.fixture
def project(tmp_path):
    """A book of one page that counts how often it was run."""
    books.new_book(tmp_path, {"page.md": PAGE})
    for name in ("helpers", "book/results", "book/checkpoints"):
        (tmp_path / name).mkdir()
    (tmp_path / "helpers/models.py").write_text("WIDTH = 16\n")
    (tmp_path / "book/results/rows.jsonl").write_text("{}\n")
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


@pytest.mark.parametrize("name", ["_ext/new.py", "_static/new.css", "_templates/new.html"])
def test_what_makes_pages_is_watched_too(project, name):
    before = stale.digest(project, stale.TOOLS)
    (project / "book" / name).write_text("")
    assert stale.digest(project, stale.TOOLS) != before


def test_the_digest_tells_names_apart(project):
    before = stale.digest(project)
    (project / "helpers/models.py").rename(project / "helpers/paths.py")
    assert stale.digest(project) != before


def test_a_book_is_run_again_when_and_only_when_it_must_be(project):
    def runs_after_build() -> int:
        books.build(project)
        return (project / "book/runs.txt").read_text().count("run")

    assert runs_after_build() == 1
    assert runs_after_build() == 1
    (project / "helpers/models.py").write_text("WIDTH = 32\n")
    assert runs_after_build() == 2
    page = project / "book/_build/html/page.html"
    written = page.stat().st_mtime_ns
    assert runs_after_build() == 2
    assert page.stat().st_mtime_ns == written
    with (project / "book/_ext/access.py").open("a") as tool:
        tool.write("# Another tool.\n")
    assert runs_after_build() == 2, "an extension runs no notebook"
    assert page.stat().st_mtime_ns > written, "but makes its pages again"
    caches = project / "book/_build/.jupyter_cache"
    assert len(list(caches.iterdir())) == 1, "the caches of earlier states are removed"
