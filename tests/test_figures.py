"""Figures: every function draws the table it is given, and returns the axes it was given."""

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from helpers import figures

RESIDUAL = {"errors": [0.1, 0.5, 0.2, 0.15], "intact": 0.08, "downsampling": [1]}
RANDOM = {"deleted": [1, 2, 3], "errors": [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4], [0.5] * 3]}
ORDERS = {"tau": [1.0, 0.9, 0.8], "errors": [0.1, 0.2, 0.4], "intact": 0.1}
GROWTH = [{"modules": n, "plain": 100.0 * n, "ours": n / 10} for n in (18, 54, 108)]
SAMPLED = {"lengths": [1, 2, 3], "mean": [1e-3, 1e-5, 1e-7], "p10": [1e-4, 1e-6, 1e-8]}


def sampled():
    return SAMPLED | {"p90": [1e-2, 1e-4, 1e-6]}


LINE = SimpleNamespace(slope=-2, intercept=0)
DRAW = {
    "deletion": lambda ax: figures.deletion(ax, RESIDUAL, {"errors": [0.9, 0.8]}),
    "random_deletions": lambda ax: figures.random_deletions(ax, RANDOM | {"intact": 0.08}),
    "reordering": lambda ax: figures.reordering(ax, ORDERS, np.array([0.8, 0.9]), [0.4, 0.2]),
    "path_lengths": lambda ax: figures.path_lengths(ax, [0.25, 0.5, 0.25], {"all": (0, 2)}),
    "remaining_paths": lambda ax: figures.remaining_paths(ax, {1: [1, 0.5, 0], 2: [1, 0, 0]}),
    "gradient_norms": lambda ax: figures.gradient_norms(
        ax, sampled(), {"rms": [1, 1e-2, 1e-4, 1e-6]}, {"norms": [1, 1e-2, 1e-4, 1e-6]}, LINE
    ),
    "gradient_shares": lambda ax: figures.gradient_shares(ax, {"exact": ([0, 1], [0.4, 0.6])}),
    "growth": lambda ax: figures.growth(ax, "modules", GROWTH),
    "training_errors": lambda ax: figures.training_errors(ax, {"all": [0.1], "part": [0.2]}),
}


@pytest.fixture
def ax():
    figure, (ax,) = figures.canvas()
    yield ax
    plt.close(figure)


def curve(ax, label):
    """The points of the line with this label."""
    (line,) = [line for line in ax.get_lines() if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


@pytest.mark.parametrize("name", DRAW)
def test_axes_in_axes_out_and_both_labelled(ax, name):
    assert DRAW[name](ax) is ax
    assert ax.get_ylabel()
    assert ax.get_xlabel() or name == "training_errors"


@pytest.mark.parametrize("name", DRAW)
def test_no_text_lies_on_another(ax, name):
    DRAW[name](ax)
    ax.figure.canvas.draw()
    # A tick beyond the limits has a label too, which is not drawn.
    beyond = {
        tick.label1
        for axis in (ax.xaxis, ax.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = set(ax.findobj(matplotlib.text.Text)) - beyond
    texts = [t for t in texts if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    touching = [
        (a, b)
        for i, (a, box) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if box.width and other.width and box.overlaps(other)
    ]
    assert not touching


def test_every_public_figure_is_drawn_here():
    public = {
        n
        for n, f in vars(figures).items()
        if getattr(f, "__module__", "").startswith(figures.__name__)
    }
    assert public - {"canvas", "percent"} == set(DRAW)


def test_deletion_shows_percent_by_module(ax):
    DRAW["deletion"](ax)
    x, y = curve(ax, "ResNet, one module deleted")
    assert x.tolist() == [1, 2, 3, 4] and y == pytest.approx([10, 50, 20, 15])
    ((circle,),) = [c.get_offsets().tolist() for c in ax.collections]
    assert circle == pytest.approx([2, 50])


def test_random_deletions_shows_medians_and_every_draw(ax):
    DRAW["random_deletions"](ax)
    assert curve(ax, "median")[1] == pytest.approx([20, 30, 50])
    dots = [c for c in ax.collections if isinstance(c, matplotlib.collections.PathCollection)]
    assert sum(len(c.get_offsets()) for c in dots) == 9


def test_reordering_runs_from_intact_to_shuffled(ax):
    DRAW["reordering"](ax)
    left, right = ax.get_xlim()
    assert left > right
    assert curve(ax, "median of a bin")[0] == pytest.approx([0.825, 0.925])


def test_growth_names_the_values_that_were_measured(ax):
    DRAW["growth"](ax)
    assert curve(ax, "plain PyTorch")[1] == pytest.approx([1800, 5400, 10800])
    assert curve(ax, "ours")[1] == pytest.approx([1.8, 5.4, 10.8])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["18", "54", "108"]


def test_gradient_norms_divides_the_sum_by_the_number_of_paths(ax):
    DRAW["gradient_norms"](ax)
    assert curve(ax, "exact, norm of the mean path")[1] == pytest.approx(
        [1, 1e-2 / 3, 1e-4 / 3, 1e-6]
    )
    assert curve(ax, "exponential fit")[1] == pytest.approx([1e-2, 1e-4, 1e-6])


def test_the_scale_of_training_errors_begins_at_zero(ax):
    DRAW["training_errors"](ax)
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 20
