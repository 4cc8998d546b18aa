"""Plots of the lengths of paths: Figures 6a and 7."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from study.figures.style import BLUE, GREEN, ORANGE, percent, shade


def path_lengths(ax: Axes, shares: list[float], bands: dict[str, tuple[int, int]]) -> Axes:
    """Figure 6a: the share of all paths that has each length; named bands of lengths below it."""
    ax.bar(range(len(shares)), percent(shares), color=BLUE, width=0.8, label="_all paths")
    top = 100 * max(shares)
    for row, (name, (low, high)) in enumerate(bands.items()):
        y = -top * (0.08 + 0.11 * row)
        ax.plot([low - 0.4, high + 0.4], [y, y], color=ORANGE, lw=4, solid_capstyle="butt")
        ax.text(high + 1.2, y, f"{low} to {high}: {name}", va="center", fontsize=9)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="path length (modules)", ylabel="share of paths (%)")
    ax.set_yticks([t for t in ax.get_yticks() if 0 <= t <= 1.1 * top])
    return ax


def remaining_paths(
    ax: Axes, remaining: dict[int, list[float]], effective: range | None = None
) -> Axes:
    """Figure 7, Eq 8: for each number of deleted modules, the share of paths left by length.

    `effective`: lengths to be shaded.
    """
    shade(ax, effective)
    styles = [("-", BLUE), ("--", ORANGE), ("-.", GREEN), (":", "black")]
    for (deleted, left), (line, color) in zip(remaining.items(), styles, strict=False):
        name = f"{deleted} module{'s' * (deleted != 1)} deleted"
        ax.plot(range(len(left)), percent(left), ls=line, color=color, lw=2, label=name)
    ax.set(xlabel="path length (modules)", ylabel="paths remaining (%)", ylim=(-3, 103))
    ax.legend(loc="upper right")
    return ax


def surviving(ax: Axes, curves: dict[str, list[float]]) -> Axes:
    """What is left after 0, 1, 2, ... deletions, as shares: one curve a way of weighing paths."""
    styles = [("-", BLUE, "o"), ("-.", GREEN, "s"), ("--", ORANGE, "^")]
    for (name, left), (line, color, marker) in zip(curves.items(), styles, strict=False):
        deleted = np.arange(len(left))
        ax.plot(deleted, percent(left), ls=line, color=color, marker=marker, ms=3, label=name)
    ax.set(xlabel="modules deleted", ylabel="what remains (%)", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="lower left")
    return ax
