"""How a page looks on a phone, and in the dark: by its pixels, in Chromium."""

import io
import shutil

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from tests import books

PACKAGES = books.ROOT / "book/node_modules"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGE = (
    books.NOTEBOOK
    + """# A page

```{math}
:label: short
a = b
```

```{math}
:label: long
LONG
```

| one | two | three |
|---|---|---|
| WIDE | WIDE | WIDE |

```{code-cell} python3
print("CODE")
```

```{code-cell} python3
---
mystnb:
  image: {alt: Blue}
  figure: {name: fig-blue, caption: Blue.}
---
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(3, 2))
ax.axvspan(0.4, 0.6, color="#0072B2", label="blue")
plt.show()
```

```{code-cell} python3
---
mystnb:
  image: {alt: The same as a photograph, classes: photograph}
  figure: {name: fig-photograph, caption: Blue.}
---
figure
```
"""
).replace("LONG", " + ".join(f"x_{{{i}}}" for i in range(30))).replace("WIDE", "w" * 40).replace(
    "CODE", "code" * 30
)  # fmt: skip
SCROLLED = {
    "formula": "mjx-container >> nth=1",
    "table": ".pst-scrollable-table-container",
    "code": ".cell_input pre >> nth=0",
    "output": ".cell_output pre >> nth=0",
}
SMALL = """() => [...document.querySelectorAll("a, button, summary, input, [role=slider]")]
    .filter(e => e.matches(".headerlink, .figure-files a") || !e.closest("p, li, td, dd, dt, pre"))
    .filter(e => !e.closest(".skip-link"))
    .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
    .filter(([, box]) => box.width && Math.min(box.width, box.height) < 24)"""

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium on the PATH"),
    pytest.mark.skipif(not PACKAGES.is_dir(), reason="needs `npm ci --prefix book`"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A built page."""
    project = tmp_path_factory.mktemp("book")
    for floor in ("study", "helpers"):
        (project / floor).symlink_to(books.ROOT / floor)
    books.new_book(project, {"page.md": PAGE})
    (project / "book/node_modules").symlink_to(PACKAGES)
    books.build(project)
    return (project / "book/_build/html/page.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    """Chromium, for the whole file."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    """Both colour schemes."""
    return request.param


@pytest.fixture
def page(browser, address, scheme):
    """The page, on a phone."""
    opened = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme=scheme)
    opened.goto(address)
    opened.evaluate("() => MathJax.startup.promise")
    yield opened
    opened.close()


def picture(element) -> Image.Image:
    """What can be seen of an element."""
    return Image.open(io.BytesIO(element.screenshot())).convert("RGB")


def corner(element, side: str) -> tuple[int, ...]:
    """The colour near the lower left or right corner, where there is no text."""
    seen = picture(element)
    return seen.getpixel((4 if side == "left" else seen.width - 5, seen.height - 4))


def apart(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """By how much two colours differ, in the part in which they do most."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("what", SCROLLED)
def test_what_goes_on_shows_it(page, what):
    """By a shadow on the side on which there is more, and on no other."""
    element = page.locator(SCROLLED[what])
    assert element.evaluate("e => e.scrollWidth - e.clientWidth") > 40
    ends = {}
    for end in ("left", "right"):
        element.evaluate(f"e => e.scrollTo({0 if end == 'left' else 9999}, 0)")
        ends[end] = corner(element, "left"), corner(element, "right")
    assert apart(*ends["left"]) > 15 and apart(*ends["right"]) > 15
    # The side at which it ends looks the same at both ends.
    assert apart(ends["left"][0], ends["right"][1]) < 8


def test_what_fits_has_no_shadow(page):
    short = page.locator("mjx-container >> nth=0")
    assert apart(corner(short, "left"), corner(short, "right")) < 8


def test_a_formula_can_be_read_from_its_beginning(page):
    box = page.locator("mjx-container >> nth=1")
    assert box.evaluate("e => e.firstChild.getBoundingClientRect().x >= e.offsetLeft - 1")


def test_the_page_itself_does_not_scroll_sideways(page):
    width = "e => e.scrollWidth - e.clientWidth"
    assert page.locator("html").evaluate(width) == 0


def test_what_is_tapped_is_large_enough(page):
    assert page.evaluate(SMALL) == []


def test_figures_are_dark_in_the_dark_and_keep_their_hue(page, scheme):
    figure = picture(page.locator("#fig-blue img"))
    paper, blue = figure.getpixel((5, 5)), figure.getpixel((figure.width // 2, figure.height // 2))
    assert (max(paper) < 60) if scheme == "dark" else (min(paper) > 250)
    assert blue[2] > 1.2 * blue[0] and apart(paper, blue) > 80


def test_photographs_stay_as_they_are(page):
    seen = picture(page.locator("#fig-photograph img"))
    assert apart(seen.getpixel((seen.width // 2, seen.height // 2)), (0x00, 0x72, 0xB2)) < 8
