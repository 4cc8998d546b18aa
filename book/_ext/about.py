"""Sphinx extension: what the site says of itself, to readers and to machines.

Authors, version, date and licence are those of CITATION.cff; pages in Markdown name them as
{{ authors }}, {{ version }}, {{ released }}, {{ licence }} and {{ bibtex }}.  What describes a page
is in its front matter (`myst: html_meta: description:`), or else its first paragraph.
"""

import re
from html import escape
from pathlib import Path
from textwrap import shorten

import yaml
from docutils import nodes

# The theme's layout has this tag already.
VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
NO_WORDS = re.compile(r"[\\{}]")  # In a formula.
BIBTEX = """```bibtex
@software{{paths_in_residual_networks,
  title   = {{{title}}},
  author  = {{{{{authors}}}}},
  version = {{{version}}},
  date    = {{{released}}},{url}
}}
```"""


def read_citation(app, config):
    """Take over what CITATION.cff says, where there is one."""
    path = Path(app.srcdir).parent / "CITATION.cff"
    found = yaml.safe_load(path.read_text(encoding="utf8")) if path.is_file() else {}
    facts = {
        "title": found.get("title", config.html_title),
        "authors": ", ".join(author["name"] for author in found.get("authors", [])),
        "version": str(found.get("version", "")),
        "released": str(found.get("date-released", "")),
        "licence": found.get("license", ""),
    }
    url = f"\n  url     = {{{config.html_baseurl}}}," if config.html_baseurl else ""
    config.myst_substitutions |= facts | {"bibtex": BIBTEX.format(url=url, **facts)}


def description(doctree) -> str:
    """A page in a sentence or two; empty for one without words."""
    for tag in doctree.findall(nodes.meta):
        if tag.get("name") == "description":
            return tag["content"]
    first = next(iter(doctree.findall(nodes.paragraph)), nodes.paragraph()).deepcopy()
    for formula in first.findall(nodes.math):
        formula[:] = [nodes.Text(NO_WORDS.sub("", formula.astext().replace(r"\ldots", "…")))]
    return shorten(first.astext(), 200, placeholder=" …")


def describe(app, page, template, context, doctree):
    """Tags by which search engines, libraries and other sites show a page."""
    if doctree is None:
        return
    context["metatags"] = context["metatags"].replace(VIEWPORT, "")
    book, title = app.config.myst_substitutions, app.env.titles[page].astext()
    about = description(doctree)
    tags = {
        "citation_title": book["title"] if page == app.config.root_doc else title,
        "citation_inbook_title": "" if page == app.config.root_doc else book["title"],
        "citation_author": book["authors"],
        "citation_publication_date": book["released"].replace("-", "/"),
    }
    if 'name="description"' not in context["metatags"]:
        tags["description"] = about
    if app.config.html_baseurl:
        tags |= {
            "citation_public_url": context["pageurl"],
            "og:type": "article",
            "og:site_name": app.config.html_title,
            "og:title": title,
            "og:description": about,
            "og:url": context["pageurl"],
            "og:image": f"{app.config.html_baseurl}_static/card.png",
            "og:image:alt": "How many paths of each length a residual network of 54 modules has",
            "twitter:card": "summary_large_image",
        }
    for name, content in tags.items():
        if content:
            key = "property" if name.startswith("og:") else "name"
            context["metatags"] += f'\n    <meta {key}="{name}" content="{escape(content)}" />'


def setup(app):
    """Called by Sphinx."""
    # After the address of the site is known (publish.py).
    app.connect("config-inited", read_citation, priority=600)
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
