"""Sphinx extension: the site needs no other server.

Formulas and widgets are drawn by scripts that would come from public servers.  Where `npm ci` has
put their packages into book/node_modules, as `make book` does, the site serves its own copies.
MathJax is the build that draws SVG: one file, with its letters inside it.
"""

import shutil
from pathlib import Path

from sphinx.util import logging

# Of each package the one script that pages load; the order is the one they are loaded in.
MATHJAX = "mathjax/es5/tex-svg.js"
MANAGER = "@jupyter-widgets/html-manager/dist"
WIDGETS = ("requirejs/require.js", f"{MANAGER}/embed-amd.js")


def use_own_copies(app, config):
    """Point pages at the site's copies, or say that there are none."""
    packages = Path(app.srcdir) / "node_modules"
    if not all((packages / script).is_file() for script in (MATHJAX, *WIDGETS)):
        logging.getLogger(__name__).info(
            "The site takes MathJax and the widget manager from public servers: book/node_modules "
            "does not hold them (with Node.js, `npm ci --prefix book` fetches them)."
        )
        return
    # The widget manager's icons are letters of a font.
    fonts = [path.relative_to(packages) for path in (packages / MANAGER).glob("*.woff2")]
    # Below _static, and copied there by us: what lies in book/_static is loaded by every page.
    for file in (MATHJAX, *WIDGETS, *fonts):
        target = Path(app.outdir) / "_static/npm" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(packages / file, target)
    config.mathjax_path = f"npm/{MATHJAX}"
    config.nb_ipywidgets_js = {f"npm/{script}": {} for script in WIDGETS}


# Found pages opened as files are listed without excerpts: a script may not read files.  In an
# excerpt nothing draws a formula: a short one is shown by its letters, any other left out.
EXCERPTS = r"""
DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY &&= location.protocol != "file:";
document.addEventListener("DOMContentLoaded", () => {
  const text = Search.htmlToText;
  Search.htmlToText = (html, anchor) => text(html, anchor)
    .replace(/\\\[[^]*?\\\]/g, "")
    .replace(/\\\(([^]*?)\\\)/g, (_, formula) => formula.includes("\\") ? "…" : formula);
});
"""


def help_search(app, page, template, context, doctree):
    """Give the search page the script above."""
    if page == "search":
        app.add_js_file(None, body=EXCERPTS)


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", use_own_copies)
    app.connect("html-page-context", help_search)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
