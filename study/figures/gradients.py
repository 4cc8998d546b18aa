"""Plots of the gradient by path length: Figures 6b and 6c, and their course in training."""

from collections.abc import Mapping, Sequence
from math import comb

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from study.figures.style import BAND, BLUE, GREEN, GREY, ORANGE, percent, shade


def gradient_norms(ax: Axes, sampled: dict, signed: dict, by_length: dict, fit) -> Axes:
    """Figure 6b: the gradient norm of a path against its length, by three estimators.

    `sampled`: `lengths`, `mean`, `p10`, `p90` of sampled paths; `signed`: `rms`, from length 0;
    `by_length`: `norms` of the summed gradients, from length 0; `fit`: a line through
    log10 of the mean, with `slope` and `intercept`.
    """
    k = np.array(sampled["lengths"])
    n = len(by_length["norms"]) - 1
    every, counts = np.arange(n + 1), np.array([comb(n, j) for j in range(n + 1)], dtype=float)
    ax.fill_between(k, sampled["p10"], sampled["p90"], color=BAND, label="sampled, 10% to 90%")
    ax.plot(k, sampled["mean"], color=BLUE, marker="o", ms=3, lw=1, label="sampled, mean")
    ax.plot(every[: len(signed["rms"])], signed["rms"], color=GREEN, ls="-.", label="signed, RMS")
    average = np.array(by_length["norms"]) / counts
    ax.plot(every, average, color=ORANGE, ls="--", label="exact, norm of the mean path")
    ax.plot(
        k,
        10.0 ** (fit.slope * k + fit.intercept),
        color="black",
        lw=1,
        ls=":",
        label="exponential fit",
    )
    ax.set(xlabel="path length (modules)", ylabel="gradient norm", yscale="log")
    ax.legend(loc="lower left")
    return ax


def gradient_shares(
    ax: Axes,
    shares: Mapping[str, tuple[ArrayLike, ArrayLike]],
    effective: range | None = None,
    interval: ArrayLike | None = None,
) -> Axes:
    """Figure 6c: the share of the gradient by path length; name -> (lengths, shares).

    `effective`: lengths to be shaded; `interval`: for the exact shares, from length 0, the ends of
    an interval each.
    """
    shade(ax, effective)
    if interval is not None:
        low, high = percent(interval).T
        style = {"color": ORANGE, "alpha": 0.25, "lw": 0, "label": "exact, 95% over images"}
        ax.fill_between(range(len(low)), low, high, **style)
    styles = [("-", BLUE, "o"), ("-.", GREEN, "s"), ("--", ORANGE, "^")]
    for (name, (lengths, values)), (line, color, marker) in zip(
        shares.items(), styles, strict=False
    ):
        ax.plot(lengths, percent(values), ls=line, color=color, marker=marker, ms=3, label=name)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="path length (modules)", ylabel="share of the gradient (%)")
    ax.legend(loc="upper right")
    return ax


def module_shares(ax: Axes, table: dict) -> Axes:
    """The share of the gradient that comes through each module's residual.

    `shares`: one a module; perhaps `intervals`, the ends of an interval for each.
    """
    index, shares = np.arange(1, len(table["shares"]) + 1), percent(table["shares"])
    ax.bar(index, shares, color=BLUE, width=0.8, label="_all images")
    if table.get("intervals"):
        low, high = percent(table["intervals"]).T
        ax.vlines(index, low, high, color="black", lw=0.8, label="95% interval")
        ax.legend(loc="best")
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="module", ylabel="share of the gradient (%)")
    return ax


def start_of_training(ax: Axes, lines: dict[str, dict[int, list[float]]]) -> Axes:
    """Mean path length before training against depth.

    `lines`: for each kind of network, from the number of modules to a mean length a draw.
    """
    styles = [("-", BLUE, "o"), ("--", ORANGE, "^"), ("-.", GREEN, "s"), (":", "black", "D")]
    for (name, line), (style, color, marker) in zip(lines.items(), styles, strict=False):
        modules = sorted(line)
        for n in modules:
            dots = {"color": color, "s": 8, "alpha": 0.5, "lw": 0, "label": f"_{name}, a draw"}
            ax.scatter([n] * len(line[n]), line[n], **dots)
        means = [np.mean(line[n]) for n in modules]
        ax.plot(modules, means, ls=style, color=color, marker=marker, ms=4, label=name)
    every = sorted({n for line in lines.values() for n in line})
    top = max(length for line in lines.values() for draws in line.values() for length in draws)
    # Room for the legend above the lines.
    ax.set(xlabel="modules", ylabel="mean path length (modules)", xscale="log", ylim=(0, 1.5 * top))
    ax.set_xticks(every, [f"{n:,}" for n in every])
    ax.minorticks_off()
    ax.legend(loc="upper left")
    return ax


def dynamics(ax: Axes, iterations: list[int], shares: list[list[float]]) -> Axes:
    """The exact share of the gradient by path length: a line for each of a few iterations.

    `shares`: for each iteration, one from length 0 on.  Light lines are early, dark ones late.
    """
    # About six lines can be told apart; the first and the last are always among them.
    shown = sorted(set(np.linspace(0, len(iterations) - 1, 6).round().astype(int)))
    for place, i in enumerate(shown):
        color = plt.cm.viridis_r(0.1 + 0.9 * place / max(len(shown) - 1, 1))
        name = "before training" if iterations[i] == 0 else f"iteration {iterations[i]:,}"
        ax.plot(percent(shares[i]), color=color, marker="o", ms=2.5, lw=1.2, label=name)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="path length (modules)", ylabel="exact share (%)")
    ax.legend(loc="upper right")
    return ax


def mean_length(
    ax: Axes, iterations: list[int], means: list[float], n: int, others: Sequence[list[float]] = ()
) -> Axes:
    """The mean path length of the gradient over the course of training, n modules.

    `others`: the means in other runs, at the same iterations.
    """
    ax.plot(iterations, means, color=BLUE, marker="o", ms=4, label="mean length, by exact share")
    for number, other in enumerate(others):
        name = "_" * (number > 0) + "the same, other seeds"
        style = {"color": GREY, "marker": "o", "ms": 2.5, "lw": 1, "ls": "--", "zorder": 1.5}
        ax.plot(iterations, other, **style, label=name)
    ax.axhline(n / 2, color=GREY, lw=1, ls=":", label="mean of all paths, n / 2")
    # Linear up to the first iteration, so that the start has a place.
    first, last = max(1, iterations[1]), iterations[-1]
    ax.set_xscale("symlog", linthresh=first)
    ax.set_xticks([0, *(t for t in 10 ** np.arange(7) if first < t <= last / 2), last])
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.minorticks_off()
    ax.set(xlabel="iteration", ylabel="path length (modules)", ylim=(0, None))
    ax.set_xlim(-first / 3, 1.3 * last)
    ax.legend(loc="best")
    return ax


def exchanged_scales(ax: Axes, curves: dict[str, list[float]]) -> Axes:
    """The exact share by path length with the scales of batch norm exchanged: `start`, `end`,
    `scales_only` (first weights, last scales), `weights_only` (last weights, first scales); as a
    control perhaps `stem_only` (first weights, last stem)."""
    styles = {
        "start": ("before training", BLUE, "-"),
        "end": ("after training", ORANGE, "-"),
        "scales_only": ("before, with the scales from after", BLUE, "--"),
        "weights_only": ("after, with the scales from before", ORANGE, "--"),
        "stem_only": ("before, with the stem from after", GREY, ":"),
    }
    for key, curve in curves.items():
        name, color, line = styles[key]
        ax.plot(percent(curve), color=color, ls=line, marker="o", ms=2.5, label=name)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="path length (modules)", ylabel="exact share (%)")
    ax.legend(loc="upper right")
    return ax
