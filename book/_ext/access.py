"""Sphinx extension: HTML that screen readers and voice control understand.

Each entry mends what one tool writes: myst-nb names the switch of a folded cell other than by what
is written on it, and docutils calls the bibliography a list although none of its parts is an item.
The handle of ipywidgets' slider knows neither the words in front of it nor those behind it.
"""

MENDED = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}

# Sliders are drawn after the page has loaded, and what is read beside one changes as it moves.
NAME_SLIDERS = """
new MutationObserver(() => {
  for (const slider of document.querySelectorAll(".widget-slider")) {
    const handle = slider.querySelector("[role=slider]");
    if (!handle) continue;
    handle.setAttribute("aria-label", slider.querySelector(".widget-label").textContent);
    handle.setAttribute("aria-valuetext", slider.querySelector(".widget-readout").textContent);
  }
}).observe(document, { childList: true, characterData: true, subtree: true });
"""


def name_sliders(app, page, template, context, doctree):
    """Give pages with widgets the script that names them."""
    if "widget-view+json" in context.get("body", ""):
        app.add_js_file(None, body=NAME_SLIDERS)


def mend(app, page, template, context, doctree):
    """Replace, in the finished body of a page, what is wrong."""
    for wrong, right in MENDED.items():
        if "body" in context:
            context["body"] = context["body"].replace(wrong, right)


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", mend)
    app.connect("html-page-context", name_sliders)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
