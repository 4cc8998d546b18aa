"""The numbers behind a figure, as a table and as CSV."""

import csv
import io

import matplotlib.pyplot as plt
import pytest
from test_figures import DRAW, RANDOM

from study import figures
from study.figures import drawings


def points(ax, name):
    """The rows of one series, each less what is the same for all."""
    same = ("panel", "series", "x label", "y label")
    return [
        {key: value for key, value in row.items() if key not in same and value != ""}
        for row in figures.table(ax.figure)
        if row["series"] == name
    ]


@pytest.mark.parametrize("name", DRAW)
def test_every_plot_has_numbers_and_labels(ax, name):
    DRAW[name](ax)
    rows = figures.table(ax.figure)
    assert rows
    for row in rows:
        assert row["series"] and row["y label"] == ax.get_ylabel()
        assert not row["series"].startswith("_")


@pytest.mark.parametrize("name", DRAW)
def test_every_name_in_the_legend_is_a_series(ax, name):
    DRAW[name](ax)
    named = set(ax.get_legend_handles_labels()[1])
    missing = named - {row["series"] for row in figures.table(ax.figure)}
    # A sign that stands for several series is explained once.
    assert missing <= {"downsampling module"}


def test_a_line_its_dots_its_band_and_a_rule(ax):
    figures.random_deletions(ax, RANDOM | {"intact": 0.08})
    assert points(ax, "median") == [{"x": 1, "y": 20}, {"x": 2, "y": 30}, {"x": 3, "y": 50}]
    assert len(points(ax, "draw")) == 9
    assert points(ax, "draw")[:3] == [{"x": 1, "y": 10}, {"x": 1, "y": 20}, {"x": 1, "y": 30}]
    assert points(ax, "10% to 90% of the draws")[0] == {"x": 1, "low": 12, "high": 28}
    assert points(ax, "intact") == [{"y": 8}]


def test_bars_and_a_range(ax):
    DRAW["path_lengths"](ax)
    assert points(ax, "all paths") == [{"x": 0, "y": 25}, {"x": 1, "y": 50}, {"x": 2, "y": 25}]
    ax.bar([-0.2, 0.8], [5, 6], width=0.4, label="beside")
    assert points(ax, "beside") == [{"x": 0, "y": 5}, {"x": 1, "y": 6}]
    ax.clear()
    DRAW["remaining_paths"](ax)
    assert points(ax, "lengths 5 to 17") == [{"low": 5, "high": 17}]


def test_names_on_an_axis(ax):
    DRAW["training_errors"](ax)
    assert points(ax, "one seed") == [{"x": "all", "y": 10}, {"x": "part", "y": 20}]
    assert points(ax, "mean") == [{"x": "all", "y": 10}, {"x": "part", "y": 20}]


def test_intervals_have_two_ends(ax):
    DRAW["module_shares"](ax)
    assert points(ax, "95% interval") == [
        {"x": 1, "low": 40, "high": 60},
        {"x": 2, "low": -50, "high": 0},
        {"x": 3, "low": 75, "high": 150},
    ]


def test_panels_are_told_apart():
    figure, axes = figures.canvas(2, 2)
    for ax, name, least in zip(axes, ("above", "below"), (0.5, 0.1), strict=True):
        figures.surviving(ax, {"a": [1, least]}).set_title(name)
    found = [(row["panel"], row["y"]) for row in figures.table(figure)]
    plt.close(figure)
    assert found == [("above", 100), ("above", 50), ("below", 100), ("below", 10)]


def test_csv_is_the_table(ax):
    DRAW["dynamics"](ax)
    read = list(csv.DictReader(io.StringIO(figures.as_csv(ax.figure))))
    told = [{key: str(value) for key, value in row.items()} for row in figures.table(ax.figure)]
    assert read == told and len(read) == 30


def test_a_drawing_has_no_numbers(ax):
    drawings.chain(ax, 3)
    assert figures.as_csv(ax.figure) is None
