"""The paper's plots: each takes a table of plain values and an `ax`, and returns the `ax`.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; line style and marker carry
the same distinction in grey print.  Errors come as shares, 0 to 1, and are shown in percent.
"""

from collections.abc import Callable
from math import comb

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6E6E6E"
BAND = "#DCE9F2"

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


def canvas(panels: int = 1, height: float = 3.5) -> tuple[Figure, np.ndarray]:
    """A figure with panels below each other, so that a phone shows them at a readable size."""
    plt.rcParams.update(STYLE)
    figure, axes = plt.subplots(panels, 1, figsize=(5.4, height * panels), squeeze=False)
    return figure, axes[:, 0]


def both(
    draw: Callable[..., Axes], recorded: tuple | None, live: tuple, height: float = 3.5, **options
) -> tuple[Figure, np.ndarray]:
    """One plot twice: of the recorded rows above, of what this machine has measured below.

    `recorded` and `live`: what `draw` takes after the axes; `recorded` None says "not recorded".
    """
    figure, axes = canvas(2, height)
    for ax, name, tables in zip(
        axes, ("Recorded: CIFAR-10", "Live"), (recorded, live), strict=True
    ):
        if tables is None:
            ax.set_axis_off()
            ax.text(0.5, 0.5, "not recorded yet", ha="center", transform=ax.transAxes)
        else:
            draw(ax, *tables, **options)
        ax.set_title(name)
    return figure, axes


def percent(values) -> np.ndarray:
    """Shares as percent."""
    return 100 * np.asarray(values, dtype=float)


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
        ax.scatter([at] * len(errors), errors, s=5, color=GREY, alpha=0.5, lw=0)
    ax.plot(k, middle, color=BLUE, marker="o", ms=4, label="median")
    ax.axhline(100 * table["intact"], color=BLUE, lw=1, ls="-.", label="intact")
    ax.set(xlabel="modules deleted at random", ylabel="test error (%)", ylim=(-3, 103))
    ax.set_xticks(k if len(k) < 12 else k[1::2])
    ax.legend(loc="lower right")
    return ax


def reordering(ax: Axes, table: dict, edges: np.ndarray, medians: np.ndarray) -> Axes:
    """Figure 5b: the error of reordered networks against Kendall's tau of the order.

    `tau`, `errors`: one a network; `intact`; `edges`, `medians`: of bins of tau, 0.05 wide.
    """
    ax.scatter(table["tau"], percent(table["errors"]), s=10, color=GREY, alpha=0.6, lw=0)
    style = {"color": BLUE, "marker": "o", "ms": 4}
    ax.plot(np.asarray(edges) + 0.025, percent(medians), **style, label="median of a bin")
    ax.axhline(100 * table["intact"], color=BLUE, lw=1, ls="-.", label="intact")
    ax.set(xlabel="Kendall's tau (1: original order)", ylabel="test error (%)", ylim=(-3, 103))
    # From intact on the left to shuffled on the right, as damage grows.
    ax.invert_xaxis()
    ax.legend(loc="lower right")
    return ax


def path_lengths(ax: Axes, shares: list[float], bands: dict[str, tuple[int, int]]) -> Axes:
    """Figure 6a: the share of all paths that has each length; named bands of lengths below it."""
    ax.bar(range(len(shares)), percent(shares), color=BLUE, width=0.8)
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
    ax: Axes, remaining: dict[int, list[float]], effective: tuple[int, int] = (5, 17)
) -> Axes:
    """Figure 7, Eq 8: for each number of deleted modules, the share of paths left by length."""
    ax.axvspan(*effective, color=BAND, label=f"lengths {effective[0]} to {effective[1]}")
    styles = [("-", BLUE), ("--", ORANGE), ("-.", GREEN), (":", "black")]
    for (deleted, left), (line, color) in zip(remaining.items(), styles, strict=False):
        name = f"{deleted} module{'s' * (deleted != 1)} deleted"
        ax.plot(range(len(left)), percent(left), ls=line, color=color, lw=2, label=name)
    ax.set(xlabel="path length (modules)", ylabel="paths remaining (%)", ylim=(-3, 103))
    ax.legend(loc="upper right")
    return ax


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
    ax: Axes, shares: dict[str, tuple[list, list]], effective: tuple[int, int] = (5, 17)
) -> Axes:
    """Figure 6c: the share of the gradient by path length; name -> (lengths, shares)."""
    ax.axvspan(*effective, color=BAND, label=f"lengths {effective[0]} to {effective[1]}")
    styles = [("-", BLUE, "o"), ("-.", GREEN, "s"), ("--", ORANGE, "^")]
    for (name, (lengths, values)), (line, color, marker) in zip(
        shares.items(), styles, strict=False
    ):
        ax.plot(lengths, percent(values), ls=line, color=color, marker=marker, ms=3, label=name)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="path length (modules)", ylabel="share of the gradient (%)")
    ax.legend(loc="upper right")
    return ax


def training_errors(ax: Axes, groups: dict[str, list[float]]) -> Axes:
    """Section 5's retraining: test errors of several seeds, paired by seed, and their means."""
    errors = np.array([percent(values) for values in groups.values()])
    x = np.arange(len(errors))
    for seed in errors.T:
        ax.plot(x, seed, color=GREY, lw=0.8, marker="o", ms=5)
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
