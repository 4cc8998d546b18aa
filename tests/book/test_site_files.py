"""The built site without a browser: what can be taken along from it.  Needs `make book` before."""

import csv
import io
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from pypdf import PdfReader
from sphinx_external_toc.parsing import parse_toc_yaml

from study import claims
from study.records import store

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "book/_build/html"
PDF = SITE / "paths-in-residual-networks.pdf"
NAMES = list(parse_toc_yaml(ROOT / "_toc.yml"))
BUILT = (SITE / f"{NAMES[0]}.html").is_file()
# Drawings of networks, in which nothing is measured.
DRAWINGS = {"fig-unraveled", "fig-path", "fig-deleted"}
# Not recorded yet: empty until the study has measured it.
UNRECORDED = {"fig-module-shares"}

pytestmark = pytest.mark.skipif(not BUILT, reason="no built site: `make book` first")
with_pdf = pytest.mark.skipif(not PDF.is_file(), reason="no PDF: `make pdf` first")


def page(name: str) -> BeautifulSoup:
    """A built page."""
    return BeautifulSoup((SITE / f"{name}.html").read_text(encoding="utf8"), "html.parser")


def offered(name: str) -> dict[str, dict[str, str]]:
    """The contents of the files below each figure of a page: by figure, and by kind of file."""
    return {
        figure["id"]: {
            Path(link["href"]).suffix: (SITE / name).parent.joinpath(link["href"]).read_text("utf8")
            for link in figure.select("figcaption .figure-files a")
        }
        for figure in page(name).find_all("figure")
        if figure.find("img")
    }


def series(text: str) -> dict[str, list[dict]]:
    """The rows of a CSV file by series."""
    found: dict[str, list[dict]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        found.setdefault(row["series"], []).append(row)
    return found


@pytest.mark.parametrize("name", NAMES if BUILT else [])
def test_every_figure_can_be_taken_along(name):
    for figure, files in offered(name).items():
        bare = figure in DRAWINGS | UNRECORDED
        assert set(files) == ({".svg"} if bare else {".csv", ".svg"}), figure
        assert ElementTree.fromstring(files[".svg"]).tag == "{http://www.w3.org/2000/svg}svg"
        found = series(files[".csv"]) if ".csv" in files else {}
        assert bool(found) is not bare
        for row in (row for rows in found.values() for row in rows):
            numbers = [float(row[column]) for column in ("y", "low", "high") if row[column]]
            assert numbers and all(map(math.isfinite, numbers)), row
            if row["y label"] == "test error (%)":
                assert all(0 <= number <= 100 for number in numbers), row


def test_the_numbers_below_a_figure_are_those_of_its_row():
    row = claims.example(store.read(ROOT / "book/results"), "deletion", **claims.FULL)
    found = series(offered("intro")["fig-summary-deletion"][".csv"])
    single = found["ResNet, one module deleted"]
    assert [int(point["x"]) for point in single] == list(range(1, 55))
    errors = [100 * error for error in row["value"]["errors"]]
    assert [float(point["y"]) for point in single] == pytest.approx(errors)
    assert float(found["ResNet, intact"][0]["y"]) == pytest.approx(100 * row["value"]["intact"])


def test_the_first_page_is_a_summary():
    figures = page(NAMES[0]).find_all("figure")
    assert len(figures) == 5
    for figure in figures:
        # Behind each comes a sentence from the rows.
        assert figure.find_next("strong").get_text() == "Recorded."
    rows = store.read(ROOT / "book/results")
    assert claims.headline(rows).replace("**", "") in " ".join(page(NAMES[0]).get_text().split())


@pytest.mark.parametrize("name", NAMES if BUILT else [])
def test_a_page_is_described(name):
    """In a sentence or two, of its own, without what a formula looks like before it is drawn."""
    (tag,) = page(name).find_all("meta", attrs={"name": "description"})
    words = tag["content"]
    assert 50 <= len(words) <= 220 and not re.search(r"\\[a-z]|\$|\{", words), words


def test_words_say_whether_a_notebook_has_succeeded():
    """Not every font has the pictures that would say so."""
    column = [
        row.find_all(["th", "td"])[-1].get_text(strip=True)
        for row in page("status").find("tbody")("tr")
    ]
    assert column and set(column) == {"yes"}


def test_every_source_can_be_looked_up():
    entries = page("bibliography").find_all("div", class_="citation")
    assert len(entries) > 10
    for entry in entries:
        assert entry.find("a", href=lambda to: to and to.startswith("https://")), entry.get_text()


def test_there_is_a_link_to_the_pdf_if_there_is_a_pdf():
    assert bool(page(NAMES[0]).find("a", href=PDF.name)) is PDF.is_file()


@with_pdf
def test_the_pdf_has_every_page_of_the_book():
    book = PdfReader(PDF)
    contents, *chapters = [entry for entry in book.outline if not isinstance(entry, list)]
    headings = [page(name).find("h1").find(string=True, recursive=False) for name in NAMES]
    assert len(chapters) == len(NAMES)
    for chapter, heading in zip(chapters, headings, strict=True):
        assert heading.strip() in chapter.title
    first = [book.get_destination_page_number(chapter) for chapter in chapters]
    assert first == sorted(set(first)) and first[0] == 1 and contents.title
    for number, sheet in enumerate(book.pages, 1):
        assert sheet.extract_text().rstrip().endswith(str(number)), "pages are numbered"


@with_pdf
def test_the_pdf_says_what_it_is():
    about = PdfReader(PDF).metadata
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    assert about.title == citation["title"] and about.subject == citation["abstract"]
    assert about.author == citation["authors"][0]["name"]


@with_pdf
def test_links_in_the_pdf_stay_within_it_or_lead_to_the_web():
    book = PdfReader(PDF)
    links = [link.get_object() for sheet in book.pages for link in sheet.get("/Annots", [])]
    addresses = [link["/A"]["/URI"] for link in links if "/A" in link]
    assert addresses and all(address.startswith("https://") for address in addresses)
    within = [link for link in links if "/Dest" in link]
    assert len(within) > len(NAMES)
    for link in within:
        assert isinstance(link["/Dest"], list), "a name would lead to the first page that has it"


@with_pdf
def test_links_in_the_pdf_lead_to_the_place_itself():
    """From the scorecard to every figure it names, and to the entries of the bibliography."""
    book = PdfReader(PDF)
    text = [sheet.extract_text() for sheet in book.pages]
    chapters = [entry for entry in book.outline if not isinstance(entry, list)][1:]
    first = dict(zip(NAMES, map(book.get_destination_page_number, chapters), strict=True))
    last = dict(zip(NAMES, [*list(first.values())[1:], len(text)], strict=True))
    sheets = range(first["scorecard"], last["scorecard"])
    links = [a.get_object() for i in sheets for a in book.pages[i].get("/Annots", [])]
    places = [a["/Dest"] for a in links if "/Dest" in a]
    reached = {book.get_page_number(place[0].get_object()) for place in places}
    named = {a.text for a in page("scorecard").select("a.reference[href*='#fig-']")}
    assert len(named) > 5
    for figure in named:
        # A caption begins a line; a number in running text might as well, but not with a sentence.
        captions = [i for i, t in enumerate(text) if re.search(rf"^{figure} [A-Z]", t, re.M)]
        assert captions and reached & set(captions), figure
    for place in places:
        assert 0 < place[3] <= book.pages[0].mediabox.height
