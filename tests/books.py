"""Small books with this project's settings, and their builds."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What makes a page in Markdown a notebook.
NOTEBOOK = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---
"""


def new_book(project: Path, pages: dict[str, str], execute: str = "cache") -> Path:
    """The folder `project`/book with this project's settings and extensions; `pages`: the text of
    each by its name, the root first.  Returns `project`."""
    book = project / "book"
    for name in ("_ext", "_static", "_templates"):
        shutil.copytree(ROOT / "book" / name, book / name)
    settings = (ROOT / "_config.yml").read_text(encoding="utf8")
    asked = f'execute_notebooks: "{execute}"'
    assert "execute_notebooks: cache" in settings
    settings = settings.replace("execute_notebooks: cache", asked)
    (book / "_config.yml").write_text(settings, encoding="utf8")
    (book / "references.bib").touch()
    root, *others = (name.rpartition(".")[0] for name in pages)
    toc = f"format: jb-book\nroot: {root}\n" + "chapters:\n" * bool(others)
    toc += "".join(f"  - file: {name}\n" for name in others)
    (book / "_toc.yml").write_text(toc)
    for name, text in pages.items():
        (book / name).parent.mkdir(exist_ok=True)
        (book / name).write_text(text, encoding="utf8")
    return project


def attempt(project: Path) -> subprocess.CompletedProcess:
    """Build the book as the project's own is built, however that ends."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "book", "-W", "-n"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def build(project: Path) -> str:
    """Build the book; what the build said."""
    done = attempt(project)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
