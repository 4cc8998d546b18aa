"""The built site in a real browser with no network, opened as files and from a server.

Needs `make book` before, and Chromium.  What each page weighs and how soon its first picture is
there goes into book/_build/pages.md.
"""

import csv
import re
import shutil
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "book/_build/html"
AXE = ROOT / "book/node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts and path != SITE / "index.html"  # It only leads to intro.html.
)
# Where the site will be published, if it was built for that: the page for unknown addresses then
# takes its files from there.
BASE = re.search(
    '<base href="(.+/)404.html"', (SITE / "404.html").read_text("utf8") if PAGES else ""
)
GOAL = 1.5  # MB a page: its HTML and pictures, without what all pages share.

pytestmark = [
    pytest.mark.skipif(not PAGES, reason="no built site: `make book` first"),
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium on the PATH"),
]
every_page = pytest.mark.parametrize("page", PAGES)
every_way = pytest.mark.parametrize("way", ["file", "http"])

# What a formula left as LaTeX looks like: \command, \( \[, or something between dollar signs.
RAW_LATEX = re.compile(r"\\[a-zA-Z]{2,}|\\[(\[]|\$[^$\n]{1,80}\$")

# Waits until formulas and widgets are drawn, or will not be.
SETTLE = """async () => {
    if (window.MathJax?.startup) await MathJax.startup.promise;
    const views = () => [...document.querySelectorAll('script[type$="widget-view+json"]')];
    const drawn = v => v.previousElementSibling?.querySelector(".jupyter-widgets, .widget-box");
    const pause = () => new Promise(r => setTimeout(r, 50));
    for (let i = 0; i < 100 && !views().every(drawn); i++) await pause();
    return views().filter(v => !drawn(v)).length;
}"""
LOOK = """() => {
    const body = document.body.cloneNode(true);
    body.querySelectorAll("pre, code, script, style, noscript, mjx-container")
        .forEach(e => e.remove());
    const math = [...document.querySelectorAll("span.math, div.math")];
    const pictures = performance.getEntriesByType("resource").filter(e => e.initiatorType == "img");
    return {
        text: body.textContent,
        undrawn: math.filter(e => !e.querySelector("mjx-container")).map(e => e.textContent),
        wrong: [...document.querySelectorAll("[data-mjx-error]")].map(e => e.textContent),
        images: [...document.images].map(e => ({
            src: e.currentSrc.slice(0, 200), alt: e.getAttribute("alt"), broken: !e.naturalWidth,
        })),
        picture: pictures.length ? Math.min(...pictures.map(e => e.responseEnd)) : null,
    };
}"""
FAULTS = """async rules => {
    const options = {resultTypes: ["violations"], preload: false};
    const found = await axe.run(document, rules ? {...options, runOnly: rules} : options);
    return found.violations.filter(v => ["serious", "critical"].includes(v.impact))
        .map(v => [v.id, v.nodes.map(n => n.target.join(" "))]);
}"""
# What a finger cannot hit: controls, not links in running text.
SMALL = """() => [...document.querySelectorAll("a, button, summary, input, [role=slider]")]
    .filter(e => e.matches(".headerlink, .figure-files a") || !e.closest("p, li, td, dd, dt, pre"))
    .filter(e => !e.closest(".skip-link"))
    .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
    .filter(([, box]) => box.width && Math.min(box.width, box.height) < 24)"""
# Wider than the window: the page scrolls sideways.
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser():
    """Chromium, for the whole file."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)


@pytest.fixture(scope="module")
def roots():
    """Where the site begins: as a folder, and from a server of this machine."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"file": SITE.as_uri(), "http": f"http://127.0.0.1:{server.server_port}"}
    server.shutdown()


@pytest.fixture(scope="module")
def opened(browser, roots):
    """Opens an address of the site; the page keeps a list `faults` of what went wrong, and every
    request that leaves the site is one, and is refused."""
    # Without transitions, or colours would be looked at while they change.
    context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")

    def open_page(way, address):
        page, page_faults = context.new_page(), []
        public = BASE and address == "404.html" and BASE[1]

        def gate(route):
            if public and route.request.url.startswith(public):
                route.fulfill(path=SITE / urlsplit(route.request.url.removeprefix(public)).path)
            elif route.request.url.startswith((roots[way], "data:", "blob:")):
                route.continue_()
            else:
                page_faults.append(f"left the site: {route.request.url}")
                route.abort()

        page.route("**/*", gate)
        page.on("console", lambda m: m.type == "error" and page_faults.append(m.text))
        page.on("pageerror", lambda error: page_faults.append(str(error)))
        page.on("requestfailed", lambda r: page_faults.append(f"failed: {r.url}"))
        page.on(
            "response", lambda r: r.status >= 400 and page_faults.append(f"{r.status}: {r.url}")
        )
        page.goto(f"{public or roots[way] + '/'}{address}", wait_until="load")
        return page, page_faults

    return open_page


@pytest.fixture(scope="module")
def seen(opened):
    """What a browser shows of a page, opened one way; each is opened once for all tests."""

    @cache
    def look(way, name):
        page, faults = opened(way, name)
        found = {"waiting": page.evaluate(SETTLE)} | page.evaluate(LOOK)
        if way == "file" and AXE.is_file():
            page.evaluate(AXE.read_text(encoding="utf8"))
            found["light"] = page.evaluate(FAULTS, None)
            # Dark, only colours differ.
            page.emulate_media(color_scheme="dark")
            found["dark"] = page.evaluate(FAULTS, ["color-contrast"])
        page.set_viewport_size({"width": 380, "height": 800})
        found |= {"overflow": page.evaluate(OVERFLOW), "small": page.evaluate(SMALL)}
        found["faults"] = faults
        page.close()
        return found

    return look


@every_way
@every_page
def test_nothing_fails_and_nothing_leaves_the_site(seen, way, page):
    assert seen(way, page)["faults"] == []


@every_way
@every_page
def test_formulas_and_widgets_are_drawn(seen, way, page):
    found = seen(way, page)
    assert found["undrawn"] == []
    assert found["wrong"] == []
    assert RAW_LATEX.findall(found["text"]) == []
    assert found["waiting"] == 0, "widgets that are not drawn"


@every_page
def test_pictures_are_there_and_described(seen, page):
    for image in seen("file", page)["images"]:
        assert not image["broken"], image
        assert image["alt"], f"no text in its place: {image}"
        assert not re.search(r"\.(png|svg|jpe?g)$|^[./]", image["alt"]), f"a path: {image}"


# The slider, the picture that it has chosen, and the line below that.
STATES = """() => [...document.querySelectorAll(".widget-slider")].map(slider => {
    const handle = slider.querySelector("[role=slider]");
    const picture = slider.parentElement.querySelector("figure.state");
    return {
        name: handle.getAttribute("aria-label"), value: handle.getAttribute("aria-valuetext"),
        last: Number(handle.getAttribute("aria-valuemax")), alt: picture.querySelector("img").alt,
        image: picture.querySelector("img").src, broken: !picture.querySelector("img").naturalWidth,
        says: picture.textContent,
    };
})"""
SLIDERS = {
    "notebooks/00_unraveled_view.html": "path",
    "notebooks/01_deletion.html": "deleted modules",
    "notebooks/02_reordering.html": "Kendall's tau",
    "notebooks/04_path_gradients.html": "estimator",
    "notebooks/07_dynamics.html": "iteration",
}


@every_way
@pytest.mark.parametrize("name", SLIDERS)
def test_a_slider_by_keyboard(opened, way, name):
    """From its first state to its last, every step shows another picture with words of its own."""
    page, faults = opened(way, name)
    assert page.evaluate(SETTLE) == 0
    handle = page.locator(".widget-slider [role=slider]")
    handle.focus()
    handle.press("Home")
    seen = [page.evaluate(STATES)[0]]
    for _ in range(int(seen[0]["last"])):
        handle.press("ArrowRight")
        page.wait_for_function(
            "old => document.querySelector('figure.state img').src != old", arg=seen[-1]["image"]
        )
        seen += page.evaluate(STATES)
    page.close()
    assert {state["name"] for state in seen} == {SLIDERS[name]} and faults == []
    for part in ("image", "alt", "says", "value"):
        assert len({state[part] for state in seen}) == len(seen) > 1, part
    assert all(state["alt"].strip() and not state["broken"] for state in seen)


@pytest.mark.parametrize("name", SLIDERS)
def test_a_slider_by_mouse(opened, name):
    page, faults = opened("file", name)
    assert page.evaluate(SETTLE) == 0
    (before,), track = page.evaluate(STATES), page.locator(".widget-slider .noUi-target")
    track.scroll_into_view_if_needed()
    shown = set()
    for share, end in ((0.01, 0), (0.99, before["last"])):
        box = track.bounding_box()
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_function(
            "end => document.querySelector('[role=slider]').getAttribute('aria-valuenow') == end",
            arg=end,
        )
        page.wait_for_timeout(300)
        shown |= {state["image"] for state in page.evaluate(STATES)}
    page.close()
    assert len(shown) == 2 and faults == [] and before["name"] == SLIDERS[name]


# Its pictures are drawings, which have no numbers.
@pytest.mark.parametrize("name", [n for n in SLIDERS if "unraveled" not in n])
def test_the_numbers_behind_a_slider(opened, name):
    """A file, also without a server, with rows for every place of the slider."""
    page, faults = opened("file", name)
    assert page.evaluate(SETTLE) == 0
    ((label, places),) = page.evaluate(
        """() => [...document.querySelectorAll(".widget-slider [role=slider]")].map(
            handle => [handle.getAttribute("aria-label"), handle.getAttribute("aria-valuemax")])"""
    )
    with page.expect_download() as download:
        page.get_by_text("Data behind the slider (CSV)").click()
    rows = list(csv.DictReader(Path(download.value.path()).open(encoding="utf8")))
    page.close()
    assert list(rows[0])[0] == label == SLIDERS[name] and faults == []
    assert download.value.suggested_filename.endswith(".csv")
    for place in {row[label] for row in rows} - {"all"}:
        words, *numbers = [row for row in rows if row[label] == place]
        assert words["series"] == "in words" and words["x"], place
        assert numbers and all(row["y"] or row["low"] for row in numbers), place
    assert len({row[label] for row in rows} - {"all"}) == int(float(places)) + 1


def test_no_slider_is_untested():
    drawn = {page for page in PAGES if "widget-view+json" in (SITE / page).read_text("utf8")}
    assert drawn == set(SLIDERS)


@every_page
def test_nothing_is_wider_than_a_phone(seen, page):
    assert seen("file", page)["overflow"] <= 0


@every_page
def test_what_is_tapped_is_large_enough(seen, page):
    assert seen("file", page)["small"] == []


@cache
def soup(page: Path) -> BeautifulSoup:
    """A page, read without a browser."""
    return BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")


@every_page
def test_links_within_the_site_lead_somewhere(page):
    here = SITE / page
    for link in soup(here).find_all("a", href=True):
        target, anchor = urldefrag(link["href"])
        if re.match(r"[a-z]+:|//", target):
            continue
        there = (here.parent / unquote(target)).resolve() if target else here
        assert there.is_file(), f"{link['href']} in {page}"
        # "#" alone is the top of the page.
        if anchor and there.suffix == ".html":
            assert soup(there).find(id=unquote(anchor)), f"{link['href']} in {page}"


@every_way
def test_search_finds_effective_paths(opened, way):
    page, faults = opened(way, "search.html?q=effective+paths")
    page.wait_for_selector("#search-results ul.search li a")
    links = page.eval_on_selector_all(
        "#search-results ul.search li a", "all => all.map(a => a.getAttribute('href'))"
    )
    page.close()
    assert any("05_effective_paths" in link for link in links[:5]), links
    assert faults == []


def test_excerpts_of_found_pages_hold_no_raw_formulas(opened):
    page, faults = opened("http", "search.html?q=paths")
    page.wait_for_selector("#search-results ul.search li p.context")
    page.wait_for_timeout(1000)
    excerpts = page.eval_on_selector_all(
        "#search-results p.context", "all => all.map(p => p.textContent)"
    )
    page.close()
    assert len(excerpts) > 5 and faults == []
    assert [found for text in excerpts for found in RAW_LATEX.findall(text)] == []


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: `npm ci --prefix book`")
@every_page
def test_no_serious_fault_of_accessibility(seen, page):
    found = seen("file", page)
    assert found["light"] == []
    assert found["dark"] == []


def test_pages_are_light(seen):
    lines = ["| Page | HTML and pictures, MB | First picture, s |", "|---|---|---|"]
    weights = {}
    for page in PAGES:
        images = {tag["src"] for tag in soup(SITE / page).find_all("img", src=True)}
        files = [(SITE / page).parent / src for src in images if not src.startswith("data:")]
        weights[page] = sum(file.stat().st_size for file in [SITE / page, *files]) / 1e6
        first = seen("http", page)["picture"]
        first = f"{first / 1000:.2f}" if first is not None else "none"
        lines.append(f"| {page} | {weights[page]:.2f} | {first} |")
    (ROOT / "book/_build/pages.md").write_text("\n".join(lines) + "\n", encoding="utf8")
    assert {page: weight for page, weight in weights.items() if weight > GOAL} == {}
