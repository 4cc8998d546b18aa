"""Sphinx extension: the picture that other sites show for a link to this one, as _static/card.png.

The title over the number of paths of each length, which is what the book is about.
"""

from math import comb
from pathlib import Path

from matplotlib.figure import Figure

MODULES = 54
BLUE, INK, PAPER = "#0072B2", "#222222", "#FFFFFF"


def draw(title: str) -> Figure:
    """The card, 1200 x 630 pixels, the size that such cards are shown at."""
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=PAPER)
    figure.text(0.06, 0.84, title, fontsize=42, weight="bold", color=INK)
    figure.text(0.06, 0.74, "an executable paper", fontsize=24, color=INK)
    axes = figure.add_axes((0.06, 0.18, 0.88, 0.5))
    axes.bar(range(MODULES + 1), [comb(MODULES, k) for k in range(MODULES + 1)], color=BLUE)
    axes.set_xlabel(f"modules on a path: how the $2^{{{MODULES}}}$ paths are shared out", size=20)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_yticks([])
    axes.tick_params(labelsize=16)
    return figure


def save(app, exception):
    """Draw the card into a site that was built."""
    if not exception and app.builder.format == "html":
        draw(app.config.html_title).savefig(Path(app.outdir) / "_static/card.png")


def setup(app):
    """Called by Sphinx."""
    app.connect("build-finished", save)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
