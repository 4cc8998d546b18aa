"""Sphinx extension: what pages with widgets need besides the widget manager itself.

The manager looks for its fonts and labels in ways of its own, and the handle of ipywidgets' slider
knows neither the words in front of it nor those behind it.
"""

# The manager looks for its fonts where require.js takes the package to be.
BASE = "var require = { baseUrl: document.documentElement.dataset.content_root + '_static/npm' };"
# It sets labels with the commands of MathJax 2, and fails where it finds MathJax 3.
TYPESET = """
document.addEventListener("DOMContentLoaded", () => {
  if (window.MathJax) {
    MathJax.Hub = { Queue: ([, , element]) => MathJax.typesetPromise?.([element]) };
  }
});
"""

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


def help_widgets(app, page, template, context, doctree):
    """Give pages with widgets the scripts above."""
    if "widget-view+json" not in (context.get("body") or ""):
        return
    app.add_js_file(None, body=TYPESET)
    app.add_js_file(None, body=NAME_SLIDERS)
    if any(script.startswith("npm/") for script in app.config.nb_ipywidgets_js):
        # The site serves the manager itself.  Before require.js, which reads it when it loads.
        app.add_js_file(None, body=BASE, priority=1)


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", help_widgets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
