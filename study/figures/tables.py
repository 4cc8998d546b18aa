"""What a finished plot shows, as a table: for readers who want the numbers behind a picture.

Only what has a label is a series; rules and marks without one are decoration.  A label that begins
with "_" is left out of legends by Matplotlib, and names a series here all the same.
"""

import csv
import io
from collections.abc import Iterator

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection, LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

COLUMNS = ("panel", "series", "x label", "y label", "x", "y", "low", "high")


def table(figure: Figure) -> list[dict]:
    """A row of `COLUMNS` for each point of each labelled series, in the order of drawing.

    `low` and `high` are the edges of a band at x.  A line across the whole panel has no x.  Where
    the axis shows a name in place of a number, x is that name.  Empty for a drawing without data.
    """
    return [
        {
            "panel": title(ax),
            "series": name,
            "x label": ax.get_xlabel(),
            "y label": ax.get_ylabel(),
            **dict.fromkeys(COLUMNS[4:], ""),
            **point,
            "x": named(ax, point.get("x", "")),
        }
        for ax in figure.axes
        for name, artist in series(ax)
        for point in points(artist, ax)
    ]


def as_csv(figure: Figure) -> str | None:
    """`table` as comma-separated values with a first line of `COLUMNS`; None without any row."""
    rows = table(figure)
    return written(rows) if rows else None


def written(rows: list[dict]) -> str:
    """Rows that have the same keys as comma-separated values, with a first line of the keys."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def title(ax: Axes) -> str:
    """The title of a panel, wherever it stands."""
    return "".join(ax.get_title(loc=place) for place in ("left", "center", "right"))


def series(ax: Axes) -> Iterator[tuple[str, Artist]]:
    """The labelled artists of a panel with their names; bars take that of their group."""
    groups = {bar: group.get_label() for group in ax.containers for bar in group}
    for artist in (*ax.lines, *ax.collections, *ax.patches):
        label = str(groups.get(artist, artist.get_label()))
        # Matplotlib's own names for what was given none.
        if label and not label.startswith(("_child", "_container", "_nolegend_")):
            yield label.removeprefix("_"), artist


def points(artist: Artist, ax: Axes) -> list[dict]:
    """What an artist shows, point by point, in data coordinates."""
    if isinstance(artist, Line2D):
        x, y = artist.get_data()
        in_x, in_y = artist.get_transform().contains_branch_seperately(ax.transData)
        if in_x and in_y:
            return [pair(*point) for point in zip(x, y, strict=True)]
        # A line across the panel: its other coordinate is a share of the panel's size.
        return [{"x": number(x[0])} if in_x else {"y": number(y[0])}]
    if isinstance(artist, PathCollection):
        return [pair(x, y) for x, y in artist.get_offsets()]
    if isinstance(artist, LineCollection):
        return [stroke(segment) for segment in artist.get_segments()]
    if isinstance(artist, FillBetweenPolyCollection):
        return band(np.concatenate([path.vertices for path in artist.get_paths()]))
    if isinstance(artist, Rectangle):
        return [bar(artist, ax)]
    return []


def bar(box: Rectangle, ax: Axes) -> dict:
    """A bar: its place and its height; or a range of x over the whole panel: its edges."""
    if box.get_transform().contains_branch_seperately(ax.transData)[1]:
        # Bars are for whole numbers; where several share one, they stand beside it.
        return pair(round(box.get_x() + box.get_width() / 2), box.get_y() + box.get_height())
    return {"low": number(box.get_x()), "high": number(box.get_x() + box.get_width())}


def band(corners: np.ndarray) -> list[dict]:
    """The lower and upper edge at each x of a filled area."""
    inside = {x: corners[corners[:, 0] == x, 1] for x in np.unique(corners[:, 0])}
    return [
        {"x": number(x), "low": number(y.min()), "high": number(y.max())} for x, y in inside.items()
    ]


def stroke(ends: np.ndarray) -> dict:
    """A short line: upright, an interval at its x; across, one value, at its middle."""
    (left, low), (right, high) = ends
    if left == right:
        return {"x": number(left), "low": number(low), "high": number(high)}
    return pair(*np.mean(ends, axis=0))


def pair(x, y) -> dict:
    """A point."""
    return {"x": number(x), "y": number(y)}


def number(value) -> float | int:
    """A plain number; ten digits, so that 100 x 0.07 is 7."""
    rounded = float(f"{float(value):.10g}")
    return int(rounded) if rounded.is_integer() else rounded


def named(ax: Axes, x):
    """The name that the axis shows at x, if it is no number itself."""
    ticks = zip(ax.get_xticks(), (text.get_text() for text in ax.get_xticklabels()), strict=True)
    names = {place: name for place, name in ticks if any(letter.isalpha() for letter in name)}
    return names.get(x, x)
