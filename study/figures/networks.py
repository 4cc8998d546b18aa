"""Plots of trained networks and of what things cost: Section 5's retraining, growth."""

import numpy as np
from matplotlib.axes import Axes

from study.figures.style import BLUE, GREY, ORANGE, percent


def training_errors(ax: Axes, groups: dict[str, list[float]]) -> Axes:
    """Section 5's retraining: test errors of several seeds, paired by seed, and their means."""
    errors = np.array([percent(values) for values in groups.values()])
    x = np.arange(len(errors))
    for seed in errors.T:
        ax.plot(x, seed, color=GREY, lw=0.8, marker="o", ms=5, label="_one seed")
    ax.hlines(errors.mean(1), x - 0.2, x + 0.2, color=ORANGE, lw=3, label="mean")
    ax.plot([], [], color=GREY, lw=0.8, marker="o", ms=5, label="one seed")
    ax.set_xticks(x, list(groups))
    ax.set(ylabel="test error (%)", xlim=(-0.5, len(errors) - 0.5))
    ax.set_ylim(0, max(1.0, 1.25 * errors.max()))
    ax.legend(loc="best")
    return ax


def growth(ax: Axes, what: str, table: list[dict]) -> Axes:
    """How cost grows with `what`: rows of its value and the seconds `ours` and perhaps `plain`."""
    x = [row[what] for row in table]
    if "plain" in table[0]:
        style = {"color": ORANGE, "marker": "D", "ms": 4, "lw": 1, "ls": "--"}
        ax.plot(x, [row["plain"] for row in table], **style, label="plain PyTorch")
    ax.plot(x, [row["ours"] for row in table], color=BLUE, marker="o", ms=4, label="ours")
    ax.set(xlabel=what, ylabel="seconds", xscale="log", yscale="log")
    ax.set_xticks(x, [f"{value:,}" for value in x])
    ax.minorticks_off()
    ax.legend(loc="best")
    return ax
