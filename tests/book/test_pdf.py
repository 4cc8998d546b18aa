"""The link to the PDF of the book, in the title block of the first page."""

import importlib.util

import pytest
from bs4 import BeautifulSoup

from tests import books


@pytest.fixture(scope="module")
def pdf():
    """The program that makes the PDF."""
    spec = importlib.util.spec_from_file_location("pdf", books.ROOT / "book/pdf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A built page with the title block of the book's first page."""
    text = (books.ROOT / "book/intro.md").read_text(encoding="utf8")
    block = text.partition(":::{container} title-block\n")[2].partition("\n:::")[0]
    block = block.replace("(how-to-cite)", "(https://localhost)")
    words = f"# Title\n\n:::{{container}} title-block\n{block}\n:::\n\nOther words.\n"
    project = books.new_book(tmp_path_factory.mktemp("book"), {"intro.md": words})
    books.build(project)
    return project / "book/_build/html/intro.html"


def test_the_title_block_gets_one_link(pdf, page):
    """Also when the PDF is made again."""
    for sheets in (120, 121):
        pdf.link_to_it(page, sheets, 5_000_000)
    html = BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")
    (link,) = html.find_all("a", href=pdf.PDF.name)
    block = link.find_parent("div", class_="title-block").get_text()
    assert block.strip().endswith("how to cite · PDF (121 pages, 5.0 MB)")
