"""Drawings of networks as graphs: Figures 1 and 2 of the paper, for one to four modules.

Data flows from left to right, rectangles are residual modules, circles are additions.  A colour
belongs to a module, so that the copies of one module, which share their weights, are seen to be
one.  Line style says what colour says, for grey print: thick is the chosen path, thin and pale the
rest, dotted is gone.  Every artist's gid is "KIND STATE", such as "module route".
"""

import math

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch
from matplotlib.path import Path

from study.figures.style import STYLE

# Okabe and Ito's palette; vermilion is kept for what is deleted.
MODULES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7")
ROUTE, DELETED, INK, PALE, FAINT = "#0072B2", "#D55E00", "#333333", "#767676", "#C4C4C4"

LINES = {
    "plain": {"edgecolor": INK, "linewidth": 1.4, "zorder": 3},
    "route": {"edgecolor": ROUTE, "linewidth": 3.6, "zorder": 4},
    "muted": {"edgecolor": FAINT, "linewidth": 1.1, "zorder": 2},
    "gone": {"edgecolor": PALE, "linewidth": 1.3, "zorder": 2, "linestyle": (0, (1, 2))},
}

# Lengths in units of the drawing; every drawing of n modules has one width, so that they line up.
ROW, BOX, RADIUS, CORNER, FIRST, STAGE = 0.8, (0.9, 0.58), 0.18, 0.2, 0.75, 2.1


def canvas(*rows: float) -> tuple[Figure, list[Axes]]:
    """A figure with drawings below each other; `rows`: how many rows of modules each has."""
    plt.rcParams.update(STYLE)
    size = (6.6, 1 + 0.55 * sum(rows))
    figure, axes = plt.subplots(len(rows), 1, figsize=size, height_ratios=rows, squeeze=False)
    return figure, list(axes[:, 0])


def chain(ax: Axes, n: int, code: str | None = None, deleted: int | None = None) -> Axes:
    """Figure 1a: n residual modules in a row, each with its skip connection and addition (Eq 1).

    `code`: a path such as "101", to be highlighted.  `deleted`: instead, the index (from 0) of a
    module to be crossed out.  Raises ValueError for other codes, IndexError for another module.
    """
    row, before = _check(n, code, deleted), 0.4
    _text(ax, 0.1, 0, "$y_0$", "plain")
    for i in range(n):
        split = FIRST + i * STAGE
        add = split + 1.6
        skip, enter, after = _states(row, i, deleted == i)
        _wire(ax, [(before, 0), (split, 0), (split, 0.85), (add, 0.85), (add, RADIUS)], skip)
        _wire(ax, [(before, 0), (add - RADIUS, 0)], enter)
        _module(ax, split + 0.8, 0, i, enter, crossed=deleted == i)
        _addition(ax, add, 0, after)
        if i < n - 1:
            _text(ax, add + 0.45, -0.36, f"$y_{i + 1}$", "plain")
        before = add + RADIUS
    _wire(ax, [(before, 0), (before + 0.4, 0)], after, arrow=True)
    _text(ax, before + 0.8, 0, f"$y_{n}$", "plain")
    return _frame(ax, n, -0.6, 1)


def unraveled(ax: Axes, n: int, code: str | None = None, deleted: int | None = None) -> Axes:
    """Figure 1b: the expression tree of Eq 6 with its 2^n paths, each labelled with its code.

    Pairs of branches meet in an addition: the upper one skipped the module, the lower one entered
    it.  `code`: a path to be highlighted.  `deleted`: instead, the index (from 0) of a module to be
    deleted, as in Figure 2a: the half of the paths that enter it is gone.  Raises as `chain`.
    """
    row = _check(n, code, deleted)
    heights, x = [-ROW * r for r in range(2**n)], 1.25
    centre = heights[-1] / 2
    _text(ax, 0.1, centre, "$y_0$", "plain")
    for r, y in enumerate(heights):
        state = _branch(row, deleted, 0, r)
        _wire(ax, [(0.4, centre), (0.65, centre), (0.65, y), (x, y)], state)
        _text(ax, x, y, "".join(str(r >> i & 1) for i in range(n)), state, tag=True)
    for i in range(n):
        add, above = x + (1.9 if i == 0 else 1.5), heights
        heights = [(a + b) / 2 for a, b in zip(above[::2], above[1::2], strict=True)]
        for j, y in enumerate(above):
            state, target = _branch(row, deleted, i, j), heights[j // 2]
            end = target + math.copysign(RADIUS, y - target)
            _wire(ax, [(x, y), (add, y), (add, end)], state)
            if j % 2:
                _module(ax, add - 0.8, y, i, state, crossed=deleted == i)
        for j, y in enumerate(heights):
            _addition(ax, add, y, _branch(row, deleted, i + 1, j))
        x = add + RADIUS
    _wire(ax, [(x, centre), (x + 0.4, centre)], _branch(row, deleted, n, 0), arrow=True)
    _text(ax, x + 0.8, centre, f"$y_{n}$", "plain")
    return _frame(ax, n, -ROW * 2**n + ROW / 2, ROW / 2)


def feed_forward(ax: Axes, n: int, deleted: int | None = None) -> Axes:
    """Figure 2b: a plain network of n layers (Eq 7), one path.  With the layer of index `deleted`
    (from 0) crossed out, that path is cut.  Raises as `chain`."""
    _check(n, None, deleted)
    state, end = "plain" if deleted is None else "gone", n * STAGE + 0.4
    _text(ax, 0.1, 0, "$y_0$", "plain")
    _wire(ax, [(0.4, 0), (end, 0)], state, arrow=True)
    for i in range(n):
        _module(ax, FIRST + 0.8 + i * STAGE, 0, i, state, crossed=deleted == i)
    _text(ax, end + 0.4, 0, f"$y_{n}$", "plain")
    return _frame(ax, n, -0.5, 0.5)


def _check(n: int, code: str | None, deleted: int | None) -> int | None:
    """The row of the path `code` in the unraveled view; ValueError or IndexError if it has none."""
    if not 1 <= n <= len(MODULES):
        raise ValueError(f"{n} modules: expected 1 to {len(MODULES)}, more cannot be drawn")
    if deleted is not None and not 0 <= deleted < n:
        raise IndexError(f"module {deleted}: expected 0 to {n - 1}, there are {n} modules")
    if code is None:
        return None
    if deleted is not None:
        raise ValueError("a path and a deleted module: expected one of the two")
    if len(code) != n or set(code) - {"0", "1"}:
        raise ValueError(f"path code {code!r}: expected {n} digits 0 or 1, such as {'101010'[:n]}")
    return int(code[::-1], 2)


def _states(row: int | None, i: int, deleted: bool) -> tuple[str, str, str]:
    """How module i of a chain is drawn: its skip connection, its residual, what follows."""
    if row is None:
        return "plain", "gone" if deleted else "plain", "plain"
    return ("muted", "route", "route") if row >> i & 1 else ("route", "muted", "route")


def _branch(row: int | None, deleted: int | None, i: int, j: int) -> str:
    """How the j-th branch that reaches module i in the unraveled view is drawn.

    The bits of j say which of the modules i, i + 1, ... the branch enters, the lowest bit first.
    """
    if row is not None:
        return "route" if row >> i == j else "muted"
    return "gone" if deleted is not None and deleted >= i and j >> deleted - i & 1 else "plain"


def _wire(ax: Axes, points: list[tuple], state: str, arrow: bool = False) -> None:
    """A line with horizontal and vertical pieces and rounded corners."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        vertices += [_towards(corner, before), corner, _towards(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    path = Path([*vertices, points[-1]], [*codes, Path.LINETO])
    ax.add_patch(PathPatch(path, fill=False, capstyle="butt", gid=f"wire {state}", **LINES[state]))
    if arrow:
        x, y = points[-1]
        tip = Path([(x + 0.12, y), (x - 0.1, y + 0.13), (x - 0.1, y - 0.13), (x + 0.12, y)])
        style = {"facecolor": LINES[state]["edgecolor"], "linewidth": 0, "zorder": 5}
        ax.add_patch(PathPatch(tip, gid=f"arrow {state}", **style))


def _towards(corner: tuple, other: tuple) -> tuple:
    """The point where the rounding of a corner begins, on the way to its neighbour."""
    length = math.dist(corner, other)
    part = min(CORNER, length / 2) / length if length else 0
    return tuple(c + part * (o - c) for c, o in zip(corner, other, strict=True))


def _module(ax: Axes, x: float, y: float, i: int, state: str, crossed: bool) -> None:
    """The rectangle of module i, crossed out if it is deleted."""
    width, height = BOX
    left, bottom = x - width / 2, y - height / 2
    fill = "white" if state in ("muted", "gone") else MODULES[i]
    style = LINES[state] | {"zorder": 6, "facecolor": fill}
    if state == "route":
        style["linewidth"] = 2.4
    if crossed:
        style |= {"edgecolor": DELETED, "linestyle": "solid", "linewidth": 1.6}
        right, top = left + width, bottom + height
        cross = Path([(left, bottom), (right, top), (left, top), (right, bottom)], [1, 2, 1, 2])
        look = {"edgecolor": DELETED, "linewidth": 1.6, "zorder": 7, "gid": "cross gone"}
        ax.add_patch(PathPatch(cross, **look))
    corners = "round,pad=0,rounding_size=0.12"
    style["gid"] = f"module {state}"
    ax.add_patch(FancyBboxPatch((left, bottom), width, height, corners, **style))
    _text(ax, x, y, f"$f_{i + 1}$", state, tag=crossed)


def _addition(ax: Axes, x: float, y: float, state: str) -> None:
    """A circle with a plus sign."""
    style = LINES[state] | {"zorder": 6, "linewidth": min(LINES[state]["linewidth"], 2.4)}
    ax.add_patch(Circle((x, y), RADIUS, facecolor="white", gid=f"addition {state}", **style))
    plus = Path([(x - 0.1, y), (x + 0.1, y), (x, y - 0.1), (x, y + 0.1)], [1, 2, 1, 2])
    style = {"edgecolor": LINES[state]["edgecolor"], "linewidth": 1.3, "zorder": 7}
    ax.add_patch(PathPatch(plus, gid=f"plus {state}", **style))


def _text(ax: Axes, x: float, y: float, text: str, state: str, tag: bool = False) -> None:
    """A label in the middle of (x, y); a tag interrupts the lines that it stands on."""
    colour = PALE if state in ("muted", "gone") else "black"
    style = {"ha": "center", "va": "center", "fontsize": 13, "zorder": 8, "gid": f"label {state}"}
    if tag:
        style["bbox"] = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none"}
        if state == "route":
            colour, style["bbox"]["facecolor"] = "white", ROUTE
    if text.isdigit():
        style |= {"family": "monospace", "fontsize": 10}
    ax.text(x, y, text, color=colour, **style)


def _frame(ax: Axes, n: int, bottom: float, top: float) -> Axes:
    """Round circles, no axes, limits that hold everything drawn."""
    right = FIRST + max(n * STAGE, 1.2 + 1.7 * n) + 0.8
    ax.set(xlim=(-0.2, right), ylim=(bottom, top), aspect="equal")
    ax.set_axis_off()
    return ax
