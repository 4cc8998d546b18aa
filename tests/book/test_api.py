"""The page about the instrument: made from its docstrings, complete, and without a warning."""

import importlib
import re

import pytest
from bs4 import BeautifulSoup

from tests import books

TEXT = (books.ROOT / "book/api.md").read_text(encoding="utf8")
# What the page shows: names by module.
SHOWN = {
    module: names.replace(",", " ").split()
    for module, names in re.findall(
        r"automodule:: helpers\.(\w+)\n   :members: ([\w, \n]+?)\n(?:   :|```)", TEXT
    )
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A book of that page alone, built; a warning would fail it."""
    chapter = "notebooks/your_own_network"
    pages = {"intro.md": "# Intro\n\nWords.\n", "api.md": TEXT, f"{chapter}.md": "# Yours\n"}
    project = books.new_book(tmp_path_factory.mktemp("book"), pages)
    (project / "helpers").symlink_to(books.ROOT / "helpers")
    books.build(project)
    return project


@pytest.fixture(scope="module")
def page(project):
    """The page."""
    html = (project / "book/_build/html/api.html").read_text(encoding="utf8")
    return BeautifulSoup(html, "html.parser")


def description(page: BeautifulSoup, name: str):
    """What the page says below the signature of a name."""
    return page.find(id=f"helpers.{name}").parent.find("dd", recursive=False)


def letters(text: str) -> str:
    """Text without marks and spaces, which a page sets in its own way."""
    return re.sub(r"\W", "", text)


def test_everything_listed_is_shown_with_its_words(page):
    assert len(SHOWN) > 5
    for module, names in SHOWN.items():
        for name in names:
            written = getattr(importlib.import_module(f"helpers.{module}"), name).__doc__
            shown = description(page, f"{module}.{name}").get_text()
            words = written.partition(">>>")[0]  # Examples are set as code.
            assert letters(shown).startswith(letters(words)), f"{module}.{name}"


def test_backticks_are_code(page):
    assert description(page, "unravel.unravel").code.get_text() == "model"
    assert "`" not in page.find("article").get_text()


def test_every_module_of_the_instrument_is_named():
    modules = {path.stem for path in (books.ROOT / "helpers").glob("[a-z]*.py")}
    missing = modules - set(re.findall(r"helpers\.(\w+)", TEXT))
    assert not missing, "book/api.md shows, or at least names, each of them"


def test_pages_of_source_follow_the_styles(project):
    """They are made by another tool than the others, which looks at the code alone."""
    source = project / "book/_build/html/_modules/helpers/gradients.html"
    assert "def</span>" in source.read_text(encoding="utf8")
    (project / "book/_static/new.css").write_text("")
    books.build(project)
    assert "_static/new.css" in source.read_text(encoding="utf8")
