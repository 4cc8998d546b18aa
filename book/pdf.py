"""The whole book as one PDF: Chromium prints every page of the built site, pypdf binds them.

`make pdf` does it after a build.  The first page gets a link to it; without a PDF it has none.
With `--if-possible` it is no error that there is no Chromium.
"""

import html
import io
import re
import shutil
import sys
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from urllib.parse import urldefrag

from playwright.sync_api import Page, sync_playwright
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, Fit, FloatObject, NameObject, NullObject
from sphinx_external_toc.parsing import parse_toc_yaml

BOOK = Path(__file__).resolve().parent
SITE = BOOK / "_build/html"
PDF = SITE / "paths-in-residual-networks.pdf"
MARGIN, SCALE = 18, 0.8  # In mm; of the pages of the site.
A4 = {"format": "A4", "margin": dict.fromkeys(("top", "right", "bottom", "left"), f"{MARGIN}mm")}
# The theme sets a title and a list of sections before each page it prints; a PDF has bookmarks, and
# links that can be followed.
STYLE = """
    #jb-print-docs-body { display: none !important; }
    .bd-main .bd-content .bd-article h1:first-of-type { display: block; }
    .bd-article a.external::after { content: none !important; }
"""
# Unfolds where numbers come from, but no code; waits for formulas and widgets; gives the headings.
# Chromium tells the places that a page links to on itself: other pages may link to any of them.
READY = """async () => {
    document.querySelectorAll("details:not(.hide)").forEach(e => e.open = true);
    if (window.MathJax?.startup) await MathJax.startup.promise;
    const views = () => [...document.querySelectorAll('script[type$="widget-view+json"]')];
    const drawn = v => v.previousElementSibling?.querySelector(".jupyter-widgets, .widget-box");
    const pause = () => new Promise(r => setTimeout(r, 50));
    for (let i = 0; i < 100 && !views().every(drawn); i++) await pause();
    await document.fonts.ready;
    for (const { id } of document.querySelectorAll(".bd-article [id]:not(svg *)")) {
        const link = document.body.appendChild(document.createElement("a"));
        Object.assign(link, { hidden: true, href: `#${id}` });
    }
    const headings = [...document.querySelectorAll(".bd-article :is(h1, h2, h3, h4)")];
    return headings.map(e => e.textContent.replace(/#$/, "").trim());
}"""
CONTENTS = """<style>
    body {{ font: 12pt/1.5 sans-serif; }} h1 {{ margin-top: 3cm; }}
    p {{ display: flex; margin: 0; }} a {{ flex: 1; color: inherit; text-decoration: none; }}
</style><h1>{title}</h1>{lines}<p style="margin-top: 1cm">Printed {date}</p>"""
NUMBERS = """<style>
    @page {{ size: A4; margin: 0; }} body {{ margin: 0; }}
    div {{ height: 297mm; box-sizing: border-box; padding-top: 284mm; break-after: page;
           text-align: center; font: 9pt sans-serif; color: #444; }}
</style>{lines}"""


def main() -> None:
    """Make the PDF, unless there is one that is newer than every page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        print("No PDF of the book: that takes Chromium on the PATH.")
        sys.exit("--if-possible" not in sys.argv)
    pages = [SITE / f"{name}.html" for name in parse_toc_yaml(BOOK / "_toc.yml")]
    if missing := [page.name for page in pages if not page.is_file()]:
        sys.exit(f"No PDF: the book has to be built first, {', '.join(missing)} is not there.")
    if PDF.is_file() and PDF.stat().st_mtime > max(page.stat().st_mtime for page in pages):
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        book, bound = bind(browser.new_page(), pages), io.BytesIO()
    book.write(bound)
    link_to_it(pages[0], len(book.pages), len(bound.getvalue()))
    # Last, so that it is newer than the page that leads to it.
    PDF.write_bytes(bound.getvalue())


def bind(chromium: Page, pages: list[Path]) -> PdfWriter:
    """The printed pages behind a list of contents, with bookmarks, links and page numbers."""
    printed = [printed_page(chromium, page) for page in pages]
    # Page 1 is the list of contents.
    starts = list(accumulate((len(part.pages) for part, _ in printed), initial=1))
    book = PdfWriter()
    book.append(contents(chromium, pages, starts), "Contents")
    places = {}
    for page, (part, headings), begin in zip(pages, printed, starts, strict=False):
        book.append(part, import_outline=False)
        # Chromium drops the space at which a heading goes on in the next line.
        names = {squeezed(heading): heading for heading in headings}
        add_bookmarks(book, begin, part, part.outline, names)
        own = places_in(book, begin, part)
        point_within(book, begin, own)
        places |= {f"{page.as_uri()}#{name[1:]}": place for name, place in own.items()}
        first = book.pages[begin]
        places[page.as_uri()] = place_at(first, first.mediabox.height)
    point_across(book, places)
    lines = "".join(f"<div>{number}</div>" for number in range(1, len(book.pages) + 1))
    numbers = set_in_type(chromium, NUMBERS.format(lines=lines), prefer_css_page_size=True)
    for page, number in zip(book.pages, numbers.pages, strict=False):
        page.merge_page(number)
        page.compress_content_streams()
    book.compress_identical_objects()
    book.add_metadata({"/Title": title(pages[0])})
    return book


def printed_page(chromium: Page, page: Path) -> tuple[PdfReader, list[str]]:
    """A page of the site, and its headings."""
    chromium.goto(page.as_uri())
    chromium.emulate_media(media="print", color_scheme="light")
    chromium.add_style_tag(content=STYLE)
    headings = chromium.evaluate(READY)
    # Chromium makes bookmarks of tagged documents alone.
    style = A4 | {"scale": SCALE, "print_background": True, "tagged": True, "outline": True}
    return PdfReader(io.BytesIO(chromium.pdf(**style))), headings


def contents(chromium: Page, pages: list[Path], starts: list[int]) -> PdfReader:
    """The list of contents."""
    lines = "".join(
        f'<p><a href="{page.as_uri()}">{html.escape(title(page))}</a>{start + 1}</p>'
        for page, start in zip(pages, starts, strict=False)
    )
    whole, date = title(pages[0], of_book=True), f"{datetime.now(UTC):%Y-%m-%d}"
    text = CONTENTS.format(title=html.escape(whole), lines=lines, date=date)
    return set_in_type(chromium, text, **A4)


def set_in_type(chromium: Page, text: str, **style) -> PdfReader:
    """A page of our own."""
    chromium.set_content(text)
    return PdfReader(io.BytesIO(chromium.pdf(**style)))


def title(page: Path, of_book: bool = False) -> str:
    """The title of a built page, or that of the book which stands behind it."""
    found = re.search(r"<title>(.*?)</title>", page.read_text(encoding="utf8"), re.S)[1]
    return html.unescape(found).rpartition(" — ")[2 if of_book else 0].strip()


def annotations(page) -> list[DictionaryObject]:
    """The links on a page of a PDF."""
    return [annotation.get_object() for annotation in page.get("/Annots", [])]


def squeezed(text: str) -> str:
    """Text without spaces."""
    return re.sub(r"\s", "", text)


def add_bookmarks(book: PdfWriter, begin: int, part: PdfReader, entries, names, above=None) -> None:
    """A part's bookmarks, with what is below each in a list behind it."""
    last = above
    for entry in entries:
        if isinstance(entry, list):
            add_bookmarks(book, begin, part, entry, names, last)
        else:
            name = names.get(squeezed(entry.title), entry.title)
            place = begin + part.get_destination_page_number(entry)
            fit = Fit.xyz(left=entry.left, top=entry.top)
            last = book.add_outline_item(title=name, page_number=place, parent=above, fit=fit)


def place_at(page: PageObject, top: float) -> ArrayObject:
    """A place in the book, `top` points above the lower edge of a page; the zoom stays."""
    spot = (NameObject("/XYZ"), NullObject(), FloatObject(top), NullObject())
    return ArrayObject([page.indirect_reference, *spot])


def places_in(book: PdfWriter, begin: int, part: PdfReader) -> dict[str, ArrayObject]:
    """The places in a part by their names, "/" and an id; other parts may have the same names."""
    found = {}
    for name, place in part.named_destinations.items():
        page = book.pages[begin + part.get_destination_page_number(place)]
        # Chromium forgets margin and scale here, though not in bookmarks.
        height = float(page.mediabox.height)
        below = MARGIN * 72 / 25.4 + SCALE * (height - float(place.top))
        found[name] = place_at(page, height - below)
    return found


def point_within(book: PdfWriter, begin: int, places: dict[str, ArrayObject]) -> None:
    """Lead links within the last part to the place itself."""
    for page in book.pages[begin:]:
        for link in annotations(page):
            if link.get("/Dest") in places:
                link[NameObject("/Dest")] = places[link["/Dest"]]


def point_across(book: PdfWriter, places: dict[str, ArrayObject]) -> None:
    """Lead links between pages of the site to their places; links to other files go."""
    for page in book.pages:
        kept = ArrayObject()
        for reference in page.get("/Annots", []):
            link = reference.get_object()
            address = link.get("/A", {}).get("/URI", "")
            if address.startswith("file:"):
                # A place without anything to be seen has no name here: the top of its page does.
                place = places.get(address) or places.get(urldefrag(address)[0])
                if place is None:
                    continue
                del link["/A"]
                link[NameObject("/Dest")] = place
            kept.append(reference)
        page[NameObject("/Annots")] = kept


def link_to_it(page: Path, sheets: int, size: int) -> None:
    """Put a link to the PDF, or a newer one, at the end of the first page's title block."""
    link = f' · <a href="{PDF.name}">PDF</a> ({sheets} pages, {size / 1e6:.1f} MB)'
    text = page.read_text(encoding="utf8")
    place = re.compile(rf'(class="title-block.*?)(?: · <a href="{PDF.name}".*?)?(</p>)', re.S)
    page.write_text(place.sub(rf"\1{link}\2", text, count=1), encoding="utf8")


if __name__ == "__main__":
    main()
