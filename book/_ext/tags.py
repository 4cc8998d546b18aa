"""Sphinx extension: what a cell writes in Markdown cannot bring tags of its own into a page.

Cells write rows there, and a row names folders, classes and files as it found them: a folder may be
called `<img src=x onerror=...>`.  A few tags that only set text are kept; every other is shown as
the text that it is.  What an author writes into a page, or displays as HTML, is not touched.
"""

import re

from docutils import nodes

NAMES = "b br code details div em i p small span strong sub summary sup".split()
# With classes, with `open`, and with nothing else.
KEPT = re.compile(rf'/?({"|".join(NAMES)})( class="[\w -]*")?( open)?\s*/?>')

# Where a widget is to be drawn: myst-nb's own, and no Markdown.
WIDGET = re.compile(r'<script type="application/vnd\.jupyter\.widget-view\+json">[^<]*</script>')


def as_text(html: str) -> str:
    """HTML in which only the tags above are tags."""
    first, *others = html.split("<")
    return first + "".join(("<" if KEPT.match(part) else "&lt;") + part for part in others)


def tame(app, doctree):
    """Look through the outputs of cells for HTML that came with their Markdown."""
    for output in doctree.findall(nodes.container):
        if "cell_output" not in output["classes"]:
            continue
        for raw in output.findall(nodes.raw):
            html = raw.astext()
            # What a cell displays as HTML is marked as such.
            if raw["format"] == "html" and "text_html" not in raw["classes"]:
                raw[:] = [nodes.Text(html if WIDGET.fullmatch(html) else as_text(html))]


def setup(app):
    """Called by Sphinx."""
    app.connect("doctree-read", tame, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
