"""Sphinx extension: HTML that screen readers and voice control understand.

Each entry mends what one tool writes: myst-nb names the switch of a folded cell other than by what
is written on it, and says by pictures, which not every font has, whether a notebook has succeeded;
docutils calls the bibliography a list although none of its parts is an item.
"""

MENDED = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    "<p>✅</p>": "<p>yes</p>",
    "<p>❌</p>": "<p>no</p>",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}


def mend(app, page, template, context, doctree):
    """Replace, in the finished body of a page, what is wrong."""
    for wrong, right in MENDED.items():
        if "body" in context:
            context["body"] = context["body"].replace(wrong, right)


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
