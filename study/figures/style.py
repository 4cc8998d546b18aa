"""What all plots share: colours, the canvas, and a plot of tables that may not be there yet.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; line style and marker carry
the same distinction in grey print.
"""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6E6E6E"
BAND = "#DCE9F2"
WIDTH, HEIGHT = 5.4, 3.5  # Of a panel, in inches.

STYLE = {
    "figure.dpi": 160,
    "figure.constrained_layout.use": True,
    "font.size": 11.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 10,
}


def canvas(*heights: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels below each other, of these heights in inches, so that a phone shows
    them at a readable size; without any, one of the usual height."""
    plt.rcParams.update(STYLE)
    heights = heights or (HEIGHT,)
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(WIDTH, sum(heights)), height_ratios=heights, squeeze=False
    )
    return figure, list(axes[:, 0])


def one(
    draw: Callable[..., Axes], tables: tuple | None, height: float = HEIGHT, **options
) -> tuple[Figure, Axes]:
    """A plot of what `draw` takes after the axes; without any of it, "not recorded yet"."""
    figure, (ax,) = canvas(height)
    return figure, fill(ax, draw, tables, **options)


def fill(ax: Axes, draw: Callable[..., Axes], tables: tuple | None, **options) -> Axes:
    """Draw the tables, or say that there are none."""
    if tables:
        return draw(ax, *tables, **options)
    ax.set_axis_off()
    ax.text(0.5, 0.5, "not recorded yet", ha="center", transform=ax.transAxes)
    return ax


def shade(ax: Axes, lengths: range | None) -> None:
    """Shade a band of path lengths, if there is one."""
    if lengths:
        first, last = lengths[0], lengths[-1]
        ax.axvspan(first, last, color=BAND, label=f"lengths {first} to {last}")


def percent(values) -> np.ndarray:
    """Shares as percent."""
    return 100 * np.asarray(values, dtype=float)
