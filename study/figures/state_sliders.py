"""Sliders through the states of an experiment: deletion by deletion, order by order, and so on.

Each takes the value of a row and returns a slider; what it shows in one place is drawn by
`figures.states` or another plot, and told in words as well.
"""

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np

from study.figures import drawings
from study.figures.gradients import gradient_shares
from study.figures.sliders import picture, slider
from study.figures.states import after_deletion, after_reordering
from study.figures.style import canvas


def by_path(paths: list[list[int]], shares: list[float], start: str) -> widgets.VBox:
    """Every path through a network of one to four modules, in both views.

    `paths`: one digit a module, 1 where the path enters it; `shares`: of the gradient, one a path;
    `start`: the code of the first path to be seen, such as "101".
    """
    pictures = {}
    for path, share in zip(paths, shares, strict=True):
        code, n = "".join(map(str, path)), len(path)
        figure, (top, bottom) = drawings.canvas(2, 2**n)
        drawings.chain(top, n, code)
        drawings.unraveled(bottom, n, code)
        inside = ", ".join(f"f{i}" for i, enters in enumerate(path, 1) if enters) or "no module"
        around = ", ".join(f"f{i}" for i, enters in enumerate(path, 1) if not enters) or "none"
        alt = f"Both views with one path drawn thick: it enters {inside} and goes around {around}."
        says = f"path {code}: length {sum(path)}, {100 * share:.1f} % of the gradient"
        pictures[code] = picture(figure, alt, says)
    return slider("path", pictures, start=start)


def by_deletion(table: dict, left: Sequence[list[float]], effective: range) -> widgets.VBox:
    """One order of removal, module after module.

    `table`: of random deletions in nested sets, with `orders`; `left`: for 0 deleted modules, 1 and
    so on, the share of the paths of each length that remains; `effective`: lengths to be shaded.
    The order shown is the one whose errors are nearest to the medians, in the sum over the numbers
    deleted.
    """
    errors, n = np.array(table["errors"]), len(left[0]) - 1
    typical = np.abs(errors - np.median(errors, axis=1, keepdims=True)).sum(0).argmin()
    order, course = table["orders"][typical], [table["intact"], *errors[:, typical]]
    pictures = {}
    for k, error in enumerate(course):
        gone = order[:k]
        names = ", ".join(str(i + 1) for i in gone) or "none"
        alt = (
            f"{n} modules in rows; deleted: {names}. Below them, the share of the paths that "
            "remains falls with their length; and the errors of all draws, a ring at "
            f"{100 * error:.1f} percent."
        )
        says = f"{k} of {n} modules deleted, 2^{n - k} paths left: error {100 * error:.1f} %"
        figure = after_deletion(table, gone, left[k], error, effective)
        pictures[str(k)] = picture(figure, alt, says)
    return slider("deleted modules", pictures)


def by_order(table: dict, edges: np.ndarray, medians: np.ndarray) -> widgets.VBox:
    """From the original order to disorder.

    `table`: of reordering, with `orders`; `edges`, `medians`: of bins of tau, 0.05 wide.  Of a
    dozen groups of orders with similar tau, each time the one with the middle error is shown.
    """
    drawn = list(zip(table["errors"], table["tau"], table["orders"], strict=True))
    chosen = [(table["intact"], 1.0, list(range(len(drawn[0][2]))))]
    by_tau = sorted(range(len(drawn)), key=lambda i: drawn[i][1])
    for group in np.array_split(by_tau, min(12, len(drawn))):
        draws = sorted(drawn[i] for i in group)
        chosen.append(draws[len(draws) // 2])
    pictures = {}
    for error, tau, order in sorted(chosen, key=lambda draw: -draw[1]):
        moved = sum(i != module for i, module in enumerate(order))
        alt = (
            f"Module against position: {moved} of {len(order)} modules have left the diagonal. "
            f"Below, the errors of all orders against tau, a ring at tau {tau:.3f} and "
            f"{100 * error:.1f} percent."
        )
        says = f"{moved} modules moved, tau {tau:.3f}: error {100 * error:.1f} %"
        figure = after_reordering(table, edges, medians, order, tau, error)
        pictures[f"{tau:.3f}"] = picture(figure, alt, says)
    return slider("Kendall's tau", pictures)


def by_estimator(curves: dict[str, tuple], effective: range) -> widgets.VBox:
    """Figure 6c by one estimator at a time, on the same axes; name -> (lengths, shares)."""
    pictures, top = {}, 105 * max(np.max(values) for _, values in curves.values())
    for name, (lengths, values) in curves.items():
        lengths, values = np.asarray(lengths), np.asarray(values)
        figure, (ax,) = canvas(3.4)
        gradient_shares(ax, {name: (lengths, values)}, effective)
        ax.set(xlim=(-1, lengths[-1] + 1), ylim=(-0.05 * top, top))
        inside = 100 * values[np.isin(lengths, effective)].sum()
        says = (
            f"{name}: {inside:.1f} % from paths of {effective[0]} to {effective[-1]} modules, "
            f"mean length {lengths @ values:.1f}"
        )
        alt = (
            f"Share of the gradient against path length by the estimator '{name}', highest at "
            f"length {lengths[values.argmax()]} with {100 * values.max():.1f} percent."
        )
        pictures[name] = picture(figure, alt, says)
    return slider("estimator", pictures, start=list(pictures)[-1])


def by_iteration(table: dict, effective: range) -> widgets.VBox:
    """The gradient by path length along a training run: the exact share, and the norm of each
    length's gradient as a part of their sum.  `table`: of dynamics."""
    shares, norms = np.array(table["shares"]), np.array(table["norms"])
    sizes, lengths = norms / norms.sum(1, keepdims=True), np.arange(shares.shape[1])
    low, top = 100 * shares.min() - 1, 105 * max(shares.max(), sizes.max())
    pictures = {}
    for time, share, size in zip(table["iterations"], shares, sizes, strict=True):
        figure, (ax,) = canvas(3.4)
        curves = {"exact share": (lengths, share), "by norm": (lengths, size)}
        gradient_shares(ax, curves, effective).set(ylim=(low, top))
        says = (
            f"iteration {time:,}: mean length {lengths @ share:.1f} by exact share, "
            f"{lengths @ size:.1f} by norm"
        )
        alt = (
            f"Two curves of the share of the gradient against path length at iteration {time:,}. "
            f"The exact share is highest at length {share.argmax()}, the share by norm at "
            f"{size.argmax()}."
        )
        pictures[f"{time:,}"] = picture(figure, alt, says)
    return slider("iteration", pictures)
