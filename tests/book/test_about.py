"""What the site says of itself: title block, how to cite, and tags for search engines."""

import re
import shutil
import tomllib

import pytest
import yaml
from bs4 import BeautifulSoup

from tests import books

CITATION = yaml.safe_load((books.ROOT / "CITATION.cff").read_text(encoding="utf8"))
FIRST = (
    books.NOTEBOOK.removesuffix("---\n")
    + """myst:
  html_meta:
    description: What it is "about" & more.
---

# The question

By {{ authors }}, {{ version }} of {{ released }}, {{ licence }}.

{{ bibtex }}
"""
)
OTHER = """# Of $2^n$ paths

First words & more <b>of</b> $2^{n}$ paths, $i = 1, \\ldots, n$.

Second.
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages of a book with an address."""
    pages = {"intro.md": FIRST, "other.md": OTHER}
    project = books.new_book(tmp_path_factory.mktemp("book"), pages)
    shutil.copy(books.ROOT / "CITATION.cff", project)
    config = project / "book/_config.yml"
    address = 'url: "https://github.com/Someone/paths"'
    config.write_text(config.read_text(encoding="utf8").replace('url: ""', address))
    books.build(project)
    html = project / "book/_build/html"
    return {
        path.stem: BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")
        for path in html.glob("*.html")
    }


def tags(page: BeautifulSoup) -> dict[str, str]:
    """The tags in the head of a page, none of which may be there twice."""
    found = [(m.get("name") or m.get("property"), m["content"]) for m in page.find_all("meta")[1:]]
    assert len(dict(found)) == len(found), sorted(name for name, _ in found)
    return dict(found)


def test_a_page_is_described_by_its_front_matter_or_its_first_words(site):
    assert tags(site["intro"])["description"] == 'What it is "about" & more.'
    says = tags(site["other"])["description"]
    assert says == "First words & more <b>of</b> 2^n paths, i = 1, …, n."
    for name in ("intro", "other"):
        assert tags(site[name])["og:description"] == tags(site[name])["description"]


def test_one_viewport_and_one_address(site):
    for name in ("intro", "other", "search", "404"):
        page = site[name]
        assert len(page.find_all("meta", attrs={"name": "viewport"})) == 1, name
    address = "https://someone.github.io/paths/intro.html"
    assert [link["href"] for link in site["intro"].find_all("link", rel="canonical")] == [address]
    assert tags(site["intro"])["og:url"] == tags(site["intro"])["citation_public_url"] == address


def test_libraries_learn_what_to_cite(site):
    book, page = tags(site["intro"]), tags(site["other"])
    assert book["citation_title"] == page["citation_inbook_title"] == CITATION["title"]
    assert "citation_inbook_title" not in book
    assert page["citation_author"] == CITATION["authors"][0]["name"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d", page["citation_publication_date"])


def test_a_page_names_version_date_and_licence(site):
    says = site["intro"].find("article").get_text()
    released, version = str(CITATION["date-released"]), CITATION["version"]
    assert f"By {CITATION['authors'][0]['name']}, {version} of {released}, BSD-3-Clause." in says
    entry = site["intro"].find("div", class_="highlight-bibtex").get_text()
    assert entry.count("{") == entry.count("}") and f"{{{version}}}" in entry
    assert "https://someone.github.io/paths/" in entry


def test_one_version():
    project = tomllib.loads((books.ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    assert project["version"] == CITATION["version"]
    assert project["license"] == CITATION["license"]
    changes = (books.ROOT / "CHANGELOG.md").read_text(encoding="utf8")
    assert f"## {CITATION['version']}" in changes
