"""Plots of lesions: Figures 3, 4, 5 and 8."""

import numpy as np
from matplotlib.axes import Axes

from study.figures.style import BAND, BLUE, GREY, ORANGE, percent


def deletion(ax: Axes, residual: dict, plain: dict | None = None, chance: float = 0.9) -> Axes:
    """Figures 3 and 4: the error after deleting each module, or each layer of a plain network.

    A table holds `errors` (one a module), `intact` (none deleted) and `downsampling` (indices).
    """
    errors, down = percent(residual["errors"]), residual["downsampling"]
    index = np.arange(1, len(errors) + 1)
    ax.axhline(100 * chance, color=GREY, lw=1, ls=":", label="chance")
    if plain:
        layers = np.arange(1, len(plain["errors"]) + 1)
        style = {"color": ORANGE, "marker": "D", "ms": 4, "lw": 1, "ls": "--"}
        ax.plot(layers, percent(plain["errors"]), **style, label="VGG-15, one layer deleted")
    ax.plot(index, errors, color=BLUE, marker="o", ms=3.5, lw=1, label="ResNet, one module deleted")
    if down:
        style = {"s": 70, "facecolors": "none", "edgecolors": "black", "zorder": 3}
        ax.scatter(index[down], errors[down], **style, label="downsampling module")
    ax.axhline(100 * residual["intact"], color=BLUE, lw=1, ls="-.", label="ResNet, intact")
    ax.set(xlabel="index of the deleted module or layer", ylabel="test error (%)", ylim=(-3, 103))
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
    return ax


def random_deletions(ax: Axes, table: dict) -> Axes:
    """Figure 5a: the error after deleting k modules at random.

    `deleted`: the numbers k; `errors`: a list of draws for each; `intact`.
    """
    k, draws = table["deleted"], [percent(errors) for errors in table["errors"]]
    low, middle, high = (np.array([np.quantile(d, q) for d in draws]) for q in (0.1, 0.5, 0.9))
    ax.fill_between(k, low, high, color=BAND, label="10% to 90% of the draws")
    for at, errors in zip(k, draws, strict=True):
        ax.scatter([at] * len(errors), errors, s=5, color=GREY, alpha=0.5, lw=0, label="_draw")
    ax.plot(k, middle, color=BLUE, marker="o", ms=4, label="median")
    ax.axhline(100 * table["intact"], color=BLUE, lw=1, ls="-.", label="intact")
    ax.set(xlabel="modules deleted at random", ylabel="test error (%)", ylim=(-3, 103))
    ax.set_xticks(k if len(k) < 12 else k[1::2])
    # Above the line of the intact network.
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.13))
    return ax


def reordering(ax: Axes, table: dict, edges: np.ndarray, medians: np.ndarray) -> Axes:
    """Figure 5b: the error of reordered networks against Kendall's tau of the order.

    `tau`, `errors`: one a network; `intact`; `edges`, `medians`: of bins of tau, 0.05 wide.
    """
    style = {"s": 10, "color": GREY, "alpha": 0.6, "lw": 0, "label": "_order"}
    ax.scatter(table["tau"], percent(table["errors"]), **style)
    style = {"color": BLUE, "marker": "o", "ms": 4}
    ax.plot(np.asarray(edges) + 0.025, percent(medians), **style, label="median of a bin")
    ax.axhline(100 * table["intact"], color=BLUE, lw=1, ls="-.", label="intact")
    ax.set(xlabel="Kendall's tau (1: original order)", ylabel="test error (%)", ylim=(-3, 103))
    # From intact on the left to shuffled on the right, as damage grows.
    ax.invert_xaxis()
    ax.legend(loc="lower right")
    return ax


def stochastic_depth(ax: Axes, plain: dict, stochastic: dict) -> Axes:
    """Figure 8: the cost of deleting each module, with and without stochastic depth in training.

    Both tables: `errors`, `intact`, `downsampling`, as for `deletion`; the cost is the difference.
    """
    index = np.arange(1, len(plain["errors"]) + 1)
    styles = [("without", plain, ORANGE, "D", "--"), ("with", stochastic, BLUE, "o", "-")]
    for name, table, color, marker, line in styles:
        cost = percent(table["errors"]) - percent(table["intact"])
        style = {"color": color, "marker": marker, "ms": 3.5, "lw": 1, "ls": line}
        ax.plot(index, cost, **style, label=f"{name} stochastic depth")
        down = table["downsampling"]
        style = {"s": 70, "facecolors": "none", "edgecolors": "black", "zorder": 3}
        ax.scatter(index[down], cost[down], **style, label=f"_{name}, downsampling module")
    ax.scatter([], [], s=70, facecolors="none", edgecolors="black", label="downsampling module")
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="index of the deleted module", ylabel="cost of the deletion (points)")
    ax.legend(loc="best")
    return ax


def gates(ax: Axes, table: dict) -> Axes:
    """Section 6: how far each gate of a highway network is open to the transformed input.

    `mean`, `p10`, `p90`: of the gate's values, one a module, 0 to 1; `start`: before training.
    Gates are almost closed at first, so that only a logarithmic axis shows whether they move.
    """
    index = np.arange(1, len(table["mean"]) + 1)
    ax.fill_between(index, table["p10"], table["p90"], color=BAND, label="10% to 90% of values")
    ax.plot(index, table["mean"], color=BLUE, marker="o", ms=3.5, lw=1, label="mean, trained")
    ax.axhline(table["start"], color=ORANGE, lw=1, ls="--", label="mean before training")
    ax.axhline(0.5, color=GREY, lw=1, ls=":", label="both routes alike")
    ax.set(xlabel="module", ylabel="transfer gate t", yscale="log")
    ax.set_ylim(0.5 * min(t for t in (*table["p10"], table["start"]) if t > 0), 1.1)
    ax.legend(loc="best")
    return ax
