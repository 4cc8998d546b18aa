"""Below a figure are its numbers and its vector graphic, also on a page from the cache."""

import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tests import books

PAGE = (
    books.NOTEBOOK
    + """# A page

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
)


@pytest.fixture
def project(tmp_path):
    """A book of one page with two figures."""
    shutil.copytree(books.ROOT / "study/figures", tmp_path / "study/figures")
    (tmp_path / "study/__init__.py").touch()
    return books.new_book(tmp_path, {"page.md": PAGE})


def build(project: Path, words: str) -> BeautifulSoup:
    """The page, after `words` were added to it."""
    with (project / "book/page.md").open("a") as page:
        page.write(f"\n{words}\n")
    books.build(project)
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
