"""The pictures behind sliders: one state of a network each, drawn on axes that do not change.

So a slider moves what it is about and nothing else.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.figures.lesions import random_deletions, reordering
from study.figures.paths import remaining_paths
from study.figures.style import BLUE, GREY, ORANGE, canvas, percent

PER_ROW = 18  # Modules in a row: with 54, as many as a stage has.


def after_deletion(
    table: dict,
    deleted: list[int],
    left: list[float],
    error: float,
    effective: range | None = None,
) -> Figure:
    """Modules deleted, the share of the paths `left` by length, and the error among all draws.

    `table`: as for `random_deletions`; `deleted`: indices of the modules; `left`: from length 0 to
    the number of modules; `effective`: lengths to be shaded.
    """
    n, k = len(left) - 1, len(deleted)
    figure, (top, middle, bottom) = canvas(0.3 + 0.3 * -(-n // PER_ROW), 2.5, 2.8)
    modules(top, n, deleted)
    remaining_paths(middle, {k: left}, effective)
    mark(random_deletions(bottom, table), k, error)
    bottom.set_xlim(-0.8, max(table["deleted"]) + 0.8)
    return figure


def after_reordering(
    table: dict, edges: np.ndarray, medians: np.ndarray, order: list[int], tau: float, error: float
) -> Figure:
    """Which module stands where, and the error among those of all orders.

    `table`, `edges`, `medians`: as for `reordering`; `order`: order[i] at position i.
    """
    figure, (top, bottom) = canvas(3.2, 2.8)
    positions(top, order)
    mark(reordering(bottom, table, edges, medians), tau, error)
    return figure


def modules(ax: Axes, n: int, deleted: list[int]) -> Axes:
    """The n modules in their order, rows from left to right, those of index `deleted` crossed."""
    gone = set(deleted)
    for i in range(n):
        x, y = i % PER_ROW, -(i // PER_ROW)
        style = {"ec": ORANGE, "fc": "white"} if i in gone else {"ec": BLUE, "fc": BLUE}
        ax.add_patch(plt.Rectangle((x - 0.4, y - 0.36), 0.8, 0.72, **style))
        color = ORANGE if i in gone else "white"
        ax.text(x, y, str(i + 1), ha="center", va="center", fontsize=8, color=color)
        if i in gone:
            ax.plot([x - 0.4, x + 0.4], [y - 0.36, y + 0.36], color=ORANGE, lw=1)
    ax.set(xlim=(-0.6, min(n, PER_ROW) - 0.4), ylim=(-((n - 1) // PER_ROW) - 0.5, 0.5))
    ax.set_axis_off()
    return ax


def positions(ax: Axes, order: list[int]) -> Axes:
    """Which module stands at each position: order[i] at position i, both counted from 1 here."""
    position, module = np.arange(1, len(order) + 1), np.array(order) + 1
    ax.plot(position, position, color=GREY, lw=1, ls=":", label="original order")
    moved = position != module
    styles = [(~moved, BLUE, "o", "in its place"), (moved, ORANGE, "D", "moved")]
    for which, color, marker, name in styles:
        style = {"color": color, "marker": marker, "ms": 3.5, "ls": ""}
        ax.plot(position[which], module[which], **style, label=name)
    limits = (0, len(order) + 1)
    ax.set(xlabel="position", ylabel="module", xlim=limits, ylim=limits)
    ax.legend(loc="upper left", fontsize=9)
    return ax


def mark(ax: Axes, x: float, error: float) -> Axes:
    """A ring around the point of an error plot that the picture is about; `error` as a share."""
    style = {"s": 110, "facecolors": "none", "edgecolors": ORANGE, "linewidths": 2.2, "zorder": 5}
    style["label"] = "_this one"
    ax.scatter([x], percent([error]), **style)
    return ax
