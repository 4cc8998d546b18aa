"""Sphinx extension: what a published site has beyond its pages.

Launch buttons, the sitemap, canonical addresses and the cards that other sites show for a link
(about.py) need public addresses.  All of them follow from the address of the repository:
`repository: url:` in _config.yml, or that of the repository in which a workflow on GitHub builds
the book.  Without either they are left out.
"""

import os
from html import escape
from pathlib import Path


def find_address(app, config):
    """The address of the site from that of the repository, as GitHub Pages has it."""
    options = config.html_theme_options
    if not options.get("repository_url") and (place := os.environ.get("GITHUB_REPOSITORY")):
        options["repository_url"] = f"{os.environ['GITHUB_SERVER_URL']}/{place}"
    if options.get("repository_url"):
        owner, name = options["repository_url"].strip("/").split("/")[-2:]
        config.html_baseurl = config.html_baseurl or f"https://{owner.lower()}.github.io/{name}/"
    else:
        options.pop("launch_buttons", None)


def make_buttons_work(app, page, template, context, doctree):
    """Launch buttons on notebooks alone: a path in the repository is a page's name only there.
    Colab's lead to the copies that are made for it (book/colab.py)."""
    launch = [b for b in context["header_buttons"] if b.get("label") == "launch-buttons"]
    if not page.startswith("notebooks/"):
        context["header_buttons"] = [b for b in context["header_buttons"] if b not in launch]
    branch = app.config.html_theme_options.get("repository_branch")
    for button in (button for group in launch for button in group["buttons"]):
        if button["text"] == "Colab":
            button["url"] = button["url"].replace(f"/blob/{branch}/", "/blob/colab/")


def write_sitemap(app, exception):
    """The list of pages for search engines: all of them, also when few were built anew."""
    base = app.config.html_baseurl
    if exception or not base:
        return
    addresses = [base + app.builder.get_target_uri(name) for name in sorted(app.env.found_docs)]
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
        *(f"  <url><loc>{escape(address)}</loc></url>" for address in addresses),
        "</urlset>",
    ]
    (Path(app.outdir) / "sitemap.xml").write_text("\n".join(lines) + "\n", encoding="utf8")


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", find_address)
    # After the theme (501) has made the buttons.
    app.connect("html-page-context", make_buttons_work, priority=502)
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
