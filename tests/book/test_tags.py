"""Names that hold HTML or scripts are shown as names, wherever a page shows them."""

import shutil

import pytest
import tags
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from tests import books

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Each would call alert(1): as it stands, out of an attribute, out of a script, by a link.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "</script><img src=x onerror=alert(1)>",
    "<details ontoggle=alert(1) open>",
    '<script type="application/vnd.jupyter.widget-view+json"></script><svg onload=alert(1)>',
    "</textarea></title></figcaption><script>alert(1)</script>",
)
PAGE = (
    books.NOTEBOOK
    + """# A page

```{code-cell} python3
from IPython.display import Markdown, display
import matplotlib.pyplot as plt
from study.figures import sliders
names = NAMES
```

```{code-cell} python3
for name in names:
    display(Markdown(name))
    display(Markdown(f"before `{name}` {name} after"))
    display(Markdown(f"| a |\\n|---|\\n| {name}<br>kept |"))
    display(Markdown(f"- an item: {name}"))
```

```{code-cell} python3
print(*names)
```

```{code-cell} python3
def picture(name):
    figure, ax = plt.subplots(figsize=(1, 1))
    ax.plot([1, 2], label=name)
    ax.set_title(name)
    ax.legend()
    return sliders.picture(figure, name, name)

sliders.slider(names[0], {name: picture(name) for name in names})
```

```{code-cell} python3
---
mystnb:
  image: {alt: A line}
  figure: {name: fig-line, caption: A line.}
---
plt.plot([1, 2], label=names[1])
plt.title(names[0])
plt.legend()
plt.show()
```
"""
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of a page that shows hostile names in every way that chapters show names."""
    project = tmp_path_factory.mktemp("book")
    for floor in ("study", "helpers"):
        (project / floor).symlink_to(books.ROOT / floor)
    books.new_book(project, {"page.md": PAGE.replace("NAMES", repr(HOSTILE))})
    if (packages := books.ROOT / "book/node_modules").is_dir():
        (project / "book/node_modules").symlink_to(packages)
    books.build(project)
    return project / "book/_build/html/page.html"


def test_no_name_becomes_a_tag(page):
    article = BeautifulSoup(page.read_text(encoding="utf8"), "html.parser").find("article")
    for tag in article.find_all(True):
        handlers = [name for name in tag.attrs if name.startswith("on")]
        assert not handlers, str(tag)[:200]
        assert tag.get("src") != "x"
    text = article.get_text()
    for name in HOSTILE[:2]:
        assert name in text, "it is shown as what it is"
    assert len(article.select("td br")) == len(HOSTILE), "what sets text is kept"


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium on the PATH")
def test_no_name_runs(page):
    """Also not as a slider draws it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened, ran = browser.new_page(), []
        opened.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
        opened.goto(page.as_uri())
        if (handle := opened.locator("[role=slider]")).count():
            for _ in HOSTILE:
                handle.press("ArrowRight")
        opened.wait_for_timeout(1000)
        assert ran == []
        assert opened.locator("img[onerror], svg[onload], details[ontoggle]").count() == 0
        browser.close()


@pytest.mark.parametrize(
    "html", ["<br>", "<br/>", '<span class="live">3</span>', "<details><summary>a</summary>"]
)
def test_tags_that_set_text_are_kept(html):
    assert tags.as_text(f"1 {html} 2") == f"1 {html} 2"


@pytest.mark.parametrize(
    "html",
    ["<brx>", "<br onclick=a>", '<span class="a"onclick=b>', "<a href=a>", "<p style=a>", "< br>"],
)
def test_every_other_is_text(html):
    assert tags.as_text(html) == html.replace("<", "&lt;")
