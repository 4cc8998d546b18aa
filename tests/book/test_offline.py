"""A site serves its own scripts where npm has fetched them, and says so where it has not."""

import json
import shutil

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from tests.books import ROOT, build, new_book

PACKAGES = ROOT / "book/node_modules"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCRIPTS = (
    "mathjax/es5/tex-svg.js",
    "requirejs/require.js",
    "@jupyter-widgets/html-manager/dist/embed-amd.js",
)
MIME = "application/vnd.jupyter.widget-{}+json"
VERSION = {"version_major": 2, "version_minor": 0}
CONTROLS = {"model_module": "@jupyter-widgets/controls", "model_module_version": "2.0.0"}
BASE = {"model_module": "@jupyter-widgets/base", "model_module_version": "2.0.0"}
SLIDER = {
    "slider": CONTROLS
    | {
        "model_name": "IntSliderModel",
        "state": {"value": 7, "layout": "IPY_MODEL_layout", "style": "IPY_MODEL_style"},
    },
    "layout": BASE | {"model_name": "LayoutModel", "state": {}},
    "style": CONTROLS | {"model_name": "SliderStyleModel", "state": {}},
}


@pytest.fixture
def project(tmp_path):
    """A book of one page with a formula, one with a widget, and one with neither."""
    view = {MIME.format("view"): {"model_id": "slider", **VERSION}}
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Widget"),
            nbformat.v4.new_code_cell(
                "slider", outputs=[nbformat.v4.new_output("display_data", view)]
            ),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
            "widgets": {MIME.format("state"): {"state": SLIDER, **VERSION}},
        },
    )
    pages = {
        "plain.md": "# Plain\n\nFirst words.\n",
        "formula.md": "# Formula\n\n$x^2$\n",
        "notebooks/widget.ipynb": nbformat.writes(notebook),
    }
    return new_book(tmp_path, pages, execute="off")


def scripts(project, page) -> set[str]:
    """The addresses of the scripts that a page loads, without their versions."""
    html = (project / f"book/_build/html/{page}.html").read_text(encoding="utf8")
    found = BeautifulSoup(html, "html.parser").find_all("script", src=True)
    return {tag["src"].partition("?")[0] for tag in found}


def test_scripts_are_served_by_the_site_on_the_pages_that_need_them(project):
    for name in SCRIPTS:
        path = project / "book/node_modules" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"// {name}")
    assert "public servers" not in build(project)
    formulas, *widgets = (f"_static/npm/{name}" for name in SCRIPTS)
    for name in (formulas, *widgets):
        assert (project / "book/_build/html" / name).is_file()
    assert not {src for src in scripts(project, "plain") if "//" in src or src in widgets}
    assert {src for src in scripts(project, "formula") if "npm" in src} == {formulas}
    assert {f"../{name}" for name in widgets} <= scripts(project, "notebooks/widget")


@pytest.mark.skipif(not PACKAGES.is_dir(), reason="needs `npm ci --prefix book`")
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium on the PATH")
def test_a_slider_moves_without_a_network(project):
    (project / "book/node_modules").symlink_to(PACKAGES)
    build(project)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, faults = browser.new_context(offline=True).new_page(), []
        page.on("console", lambda m: m.type == "error" and faults.append(m.text))
        page.on("requestfailed", lambda request: faults.append(request.url))
        page.goto((project / "book/_build/html/notebooks/widget.html").as_uri())
        shown, handle = page.locator(".widget-readout"), page.locator(".noUi-handle")
        shown.wait_for()
        assert shown.text_content() == "7"
        handle.press("ArrowRight")
        assert shown.text_content() == "8"
        assert faults == []
        browser.close()


def test_without_them_the_public_servers_serve_and_the_build_says_so(project):
    said = [line for line in build(project).splitlines() if "public servers" in line]
    assert len(said) == 1
    assert any(src.startswith("https://") for src in scripts(project, "formula"))
    assert any("html-manager" in src for src in scripts(project, "notebooks/widget"))


def test_with_an_address_the_site_is_ready_to_be_published(project):
    config = project / "book/_config.yml"
    address = 'url: "https://github.com/Someone/paths"'
    config.write_text(config.read_text(encoding="utf8").replace('url: ""', address))
    build(project)
    html = project / "book/_build/html"
    base = "https://someone.github.io/paths/"
    sitemap = (html / "sitemap.xml").read_text()
    assert f"<loc>{base}notebooks/widget.html</loc>" in sitemap
    notebook, plain = ((html / f"{p}.html").read_text() for p in ("notebooks/widget", "plain"))
    place = "Someone/paths"
    binder = f"mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/notebooks/widget.ipynb"
    assert binder in notebook
    # Not the notebook itself: Colab would open it without what stands beside it.
    colab = f"colab.research.google.com/github/{place}/blob/colab/notebooks/widget.ipynb"
    assert colab in notebook and "binder" not in plain and "colab" not in plain
    assert f'property="og:image" content="{base}_static/card.png"' in plain
    assert 'name="description" content="First words."' in plain
    assert f'<base href="{base}404.html"' in (html / "404.html").read_text()
    assert (html / "_static/card.png").is_file()


def test_on_github_the_address_is_that_of_the_repository(project, monkeypatch):
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "Someone/paths")
    build(project)
    html = project / "book/_build/html"
    assert "mybinder.org/v2/gh/Someone/paths/main" in (html / "notebooks/widget.html").read_text()
    assert "https://someone.github.io/paths/plain.html" in (html / "sitemap.xml").read_text()


def test_without_an_address_there_are_no_buttons(project, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    build(project)
    html = project / "book/_build/html"
    assert "launch-buttons" not in (html / "notebooks/widget.html").read_text()
    assert not (html / "sitemap.xml").exists()


def test_the_lock_file_names_what_is_used_and_no_registry():
    package = json.loads((ROOT / "book/package.json").read_text())
    lock = json.loads((ROOT / "book/package-lock.json").read_text())
    named = package["dependencies"] | package["devDependencies"]
    locked = {k.removeprefix("node_modules/"): v for k, v in lock["packages"].items() if k}
    assert {name: entry["version"] for name, entry in locked.items()} == named
    assert all("resolved" not in entry and entry["integrity"] for entry in locked.values())
