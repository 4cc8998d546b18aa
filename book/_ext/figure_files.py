"""Sphinx extension: below each figure, links to its numbers as CSV and to the picture as SVG.

While the book is built, figures come with both (figure_kernel.py).  Both are kept with the executed
notebook, so that a page from the cache has them too.  Sphinx copies the files, as it does any that
a page offers for download.
"""

import os
from pathlib import Path

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from sphinx import addnodes

SVG = "image/svg+xml"
OFFERED = {"csv": "Data (CSV)", "svg": "Vector graphic (SVG)"}


def prepare_kernels(app, config):
    """Kernels inherit the environment of the build, and IPython runs the file that this names."""
    os.environ["PYTHONSTARTUP"] = str(Path(__file__).with_name("figure_kernel.py"))


def cells(notebook: Path, config) -> list:
    """The executed cells of a page that myst-nb has just read; none of a page of words alone."""
    if not notebook.is_file():
        return []
    found = nbformat.read(notebook, as_version=4)
    try:
        # What myst-nb has written there holds no outputs where they came from its cache.
        return get_cache(config.nb_execution_cache_path).merge_match_into_notebook(found)[1].cells
    except KeyError:
        return found.cells


def contents(cell) -> dict[str, str]:
    """What can be had of the figure that a cell has drawn, by the ending of its file."""
    for output in cell.get("outputs", []):
        if SVG in output.get("data", {}):
            numbers = output.metadata.get(SVG, {}).get("csv")
            found = {"csv": numbers, "svg": output.data[SVG]}
            # A drawing has no numbers.
            return {ending: text for ending, text in found.items() if text}
    return {}


def offer(app, doctree):
    """Write the files of a page's figures, and add the links."""
    build = Path(app.outdir).parent
    drawn = {
        cell.metadata.get("mystnb", {}).get("figure", {}).get("name"): contents(cell)
        for cell in cells(build / "jupyter_execute" / f"{app.env.docname}.ipynb", app.config)
    }
    for figure in doctree.findall(nodes.figure):
        for name in figure["names"]:
            if files := drawn.get(name):
                figure += links(app, build / "figures", name, files)


def links(app, folder: Path, name: str, files: dict[str, str]) -> nodes.legend:
    """Write the files of one figure into `folder`; a line that leads to them."""
    folder.mkdir(exist_ok=True)
    line = nodes.paragraph(classes=["figure-files"])
    for ending, text in files.items():
        path = folder / f"{name}.{ending}"
        path.write_text(text, encoding="utf8")
        target = "/" + Path(os.path.relpath(path, app.srcdir)).as_posix()
        words = nodes.inline("", OFFERED[ending])
        where = {"reftarget": target, "refdoc": app.env.docname}
        line += [addnodes.download_reference("", "", words, **where), nodes.Text(" ")]
    return nodes.legend("", line)


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", prepare_kernels)
    # Before Sphinx (500) notes what a page offers.
    app.connect("doctree-read", offer, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
