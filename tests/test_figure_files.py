"""Below a figure are its numbers and its vector graphic, also on a page from the cache."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---
# A page

```{code-cell} python3
---
mystnb:
  image: {alt: A line}
  figure: {name: fig-line, caption: A line.}
---
import matplotlib.pyplot as plt

plt.plot([1, 2], [3, 4], label="line")
plt.show()
```

```{code-cell} python3
---
mystnb:
  image: {alt: Words}
  figure: {name: fig-none, caption: Words.}
---
plt.text(0.5, 0.5, "words alone")
plt.show()
```

```{code-cell} python3
print(sorted(name for name in globals() if not name.startswith("_")))
```
"""


@pytest.fixture
def project(tmp_path):
    """A book of one page with two figures, with this project's settings."""
    shutil.copytree(ROOT / "helpers/figures", tmp_path / "helpers/figures")
    (tmp_path / "helpers/__init__.py").touch()
    book = tmp_path / "book"
    for name in ("_ext", "_static", "_templates"):
        shutil.copytree(ROOT / "book" / name, book / name)
    shutil.copy(ROOT / "_config.yml", book / "_config.yml")
    (book / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    (book / "page.md").write_text(PAGE)
    (book / "references.bib").touch()
    return tmp_path


def build(project: Path, words: str) -> BeautifulSoup:
    """The page, after `words` were added to it."""
    with (project / "book/page.md").open("a") as page:
        page.write(f"\n{words}\n")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "book", "-W", "-n"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    html = (project / "book/_build/html/page.html").read_text(encoding="utf8")
    return BeautifulSoup(html, "html.parser")


def test_a_figure_has_its_files(project):
    def contents(page):
        for figure in page.find_all("figure"):
            links = {a.text: a["href"] for a in figure.select("figcaption .figure-files a")}
            site = project / "book/_build/html"
            yield {name: (site / to).read_text(encoding="utf8") for name, to in links.items()}

    first, second = contents(build(project, "Once."))
    assert list(first) == ["Data (CSV)", "Vector graphic (SVG)"]
    header, *rows = first["Data (CSV)"].splitlines()
    assert header == "panel,series,x label,y label,x,y,low,high"
    assert rows == [",line,,,1,3,,", ",line,,,2,4,,"]
    assert first["Vector graphic (SVG)"].lstrip().startswith("<?xml")
    assert "<dc:date>" not in first["Vector graphic (SVG)"]
    assert list(second) == ["Vector graphic (SVG)"], "words are no numbers"
    # Only words were changed: nothing is run, and the files are those of the cache.
    assert list(contents(build(project, "Twice."))) == [first, second]


def test_what_is_shown_is_the_vector_graphic(project):
    page = build(project, "Once.")
    assert [image["src"][-4:] for image in page.select("figure img")] == [".svg"] * 2
    printed = page.find_all("div", class_="output")[-1].text
    assert "plt" in printed and "offer" not in printed and "sys" not in printed
