"""Figures: every function draws the table it is given, and returns the axes it was given."""

from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from study import figures

RESIDUAL = {"errors": [0.1, 0.5, 0.2, 0.15], "intact": 0.08, "downsampling": [1]}
RANDOM = {"deleted": [1, 2, 3], "errors": [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4], [0.5] * 3]}
ORDERS = {"tau": [1.0, 0.9, 0.8], "errors": [0.1, 0.2, 0.4], "intact": 0.1}
GROWTH = [{"modules": n, "plain": 100.0 * n, "ours": n / 10} for n in (18, 54, 108)]
SAMPLED = {"lengths": [1, 2, 3], "mean": [1e-3, 1e-5, 1e-7], "p10": [1e-4, 1e-6, 1e-8]}


def sampled():
    return SAMPLED | {"p90": [1e-2, 1e-4, 1e-6]}


LINE = SimpleNamespace(slope=-2, intercept=0)
STOCHASTIC = {"errors": [0.1, 0.3, 0.12, 0.11], "intact": 0.09, "downsampling": [1]}
TIMES = [0, 1, 2, 4, 8, 16, 32, 64]
# At the start all of the gradient is at length 2 of 4, at the end at length 1.
SHARES = [[0, 1 - t, t, 0, 0] for t in np.linspace(1, 0, len(TIMES))]
EXCHANGED = {
    "start": [0.0, 0.0, 1.0],
    "end": [0.0, 1.0, 0.0],
    "scales_only": [0.0, 0.5, 0.5],
    "weights_only": [0.0, 0.25, 0.75],
}
GATES = {"mean": [0.1, 0.2, 0.05], "p10": [0.0, 0.1, 0.0], "p90": [0.3] * 3, "start": 0.02}
MODULES = {"shares": [0.5, -0.25, 1.0], "intervals": [[0.4, 0.6], [-0.5, 0], [0.75, 1.5]]}
DRAW = {
    "deletion": lambda ax: figures.deletion(ax, RESIDUAL, {"errors": [0.9, 0.8]}),
    "random_deletions": lambda ax: figures.random_deletions(ax, RANDOM | {"intact": 0.08}),
    "reordering": lambda ax: figures.reordering(ax, ORDERS, np.array([0.8, 0.9]), [0.4, 0.2]),
    "path_lengths": lambda ax: figures.path_lengths(ax, [0.25, 0.5, 0.25], {"all": (0, 2)}),
    "remaining_paths": lambda ax: figures.remaining_paths(
        ax, {1: [1, 0.5, 0], 2: [1, 0, 0]}, range(5, 18)
    ),
    "gradient_norms": lambda ax: figures.gradient_norms(
        ax, sampled(), {"rms": [1, 1e-2, 1e-4, 1e-6]}, {"norms": [1, 1e-2, 1e-4, 1e-6]}, LINE
    ),
    "gradient_shares": lambda ax: figures.gradient_shares(ax, {"exact": ([0, 1], [0.4, 0.6])}),
    "growth": lambda ax: figures.growth(ax, "modules", GROWTH),
    "training_errors": lambda ax: figures.training_errors(ax, {"all": [0.1], "part": [0.2]}),
    "dynamics": lambda ax: figures.dynamics(ax, TIMES, SHARES),
    "mean_length": lambda ax: figures.mean_length(ax, TIMES, np.linspace(2, 1, 8), 4),
    "module_shares": lambda ax: figures.module_shares(ax, MODULES),
    "start_of_training": lambda ax: figures.start_of_training(ax, {"a": {9: [5.0, 6.0], 54: [11]}}),
    "exchanged_scales": lambda ax: figures.exchanged_scales(ax, EXCHANGED),
    "stochastic_depth": lambda ax: figures.stochastic_depth(ax, RESIDUAL, STOCHASTIC),
    "gates": lambda ax: figures.gates(ax, GATES),
    "surviving": lambda ax: figures.surviving(ax, {"by count": [1, 0.5, 0.25]}),
}

# Whole figures, of one state of a network each.
BINS = np.array([0.8, 0.9]), np.array([0.4, 0.2])
STATES = {
    "after_deletion": lambda: figures.after_deletion(
        RANDOM | {"intact": 0.08}, [0], [1.0] + [0.5] * 20, 0.3
    ),
    "after_reordering": lambda: figures.after_reordering(ORDERS, *BINS, [0, 2, 1, 3], 0.9, 0.2),
}


def curve(ax, label):
    """The points of the line with this label."""
    (line,) = [line for line in ax.get_lines() if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


@pytest.mark.parametrize("name", DRAW)
def test_axes_in_axes_out_and_both_labelled(ax, name):
    assert DRAW[name](ax) is ax
    assert ax.get_ylabel()
    assert ax.get_xlabel() or name == "training_errors"


def touching(figure):
    """Pairs of texts, as they are drawn, one of which lies on the other."""
    figure.canvas.draw()
    # A tick beyond the limits has a label too, which is not drawn.
    beyond = {
        tick.label1
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        if not ax.axison
        or not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = set(figure.findobj(matplotlib.text.Text)) - beyond
    texts = [t for t in texts if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    return [
        (a, b)
        for i, (a, box) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if box.width and other.width and box.overlaps(other)
    ]


@pytest.mark.parametrize("name", DRAW)
def test_no_text_lies_on_another(ax, name):
    DRAW[name](ax)
    assert not touching(ax.figure)


@pytest.fixture
def state(request):
    figure = STATES[request.param]()
    yield figure
    plt.close(figure)


@pytest.mark.parametrize("state", STATES, indirect=True)
def test_no_text_lies_on_another_in_a_state(state):
    assert not touching(state)


@pytest.mark.parametrize("state", ["after_deletion"], indirect=True)
def test_what_is_deleted_is_crossed_and_marked(state):
    top, middle, bottom = state.axes
    # 20 modules, numbered from 1; numbers of deleted ones in another colour than the rest's.
    colours = {text.get_text(): text.get_color() for text in top.texts}
    assert list(colours) == [str(i + 1) for i in range(20)]
    assert {i for i, c in colours.items() if c == figures.ORANGE} == {"1"}
    assert curve(middle, "1 module deleted")[1] == pytest.approx([100] + [50] * 20)
    assert bottom.collections[-1].get_offsets().tolist() == [pytest.approx([1, 30])]


@pytest.mark.parametrize("state", ["after_reordering"], indirect=True)
def test_what_has_moved_has_left_the_diagonal(state):
    top, bottom = state.axes
    moved, still = (np.array(curve(top, name)).T.tolist() for name in ("moved", "in its place"))
    assert moved == [[2, 3], [3, 2]] and still == [[1, 1], [4, 4]]
    assert bottom.collections[-1].get_offsets().tolist() == [pytest.approx([0.9, 20])]


@pytest.mark.parametrize(
    "state, x, y", [("after_deletion", 1, 30), ("after_reordering", 0.9, 20)], indirect=["state"]
)
def test_what_is_marked_is_among_the_numbers(state, x, y):
    (marked,) = [row for row in figures.table(state) if row["series"] == "this one"]
    assert (marked["x"], marked["y"], marked["y label"]) == (x, y, "test error (%)")


def test_axes_of_states_stay_where_they_are():
    """Whatever is deleted or moved: so a slider moves what it is about and nothing else."""
    table = RANDOM | {"intact": 0.08}
    few = figures.after_deletion(table, [], [1.0] * 21, 0.08)
    many = figures.after_deletion(table, [1, 2, 3], [1.0] + [0.1] * 20, 0.5)
    limits = [[(ax.get_xlim(), ax.get_ylim()) for ax in f.axes] for f in (few, many)]
    assert limits[0] == limits[1]


def test_every_public_figure_is_drawn_here():
    public = {
        n
        for n, f in vars(figures).items()
        if getattr(f, "__module__", "").startswith(figures.__name__)
    }
    tools = {"canvas", "fill", "one", "table", "as_csv", "written"}
    assert public - tools == set(DRAW) | set(STATES)


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


def test_dynamics_shows_six_of_many_times_the_first_and_the_last_among_them(ax):
    DRAW["dynamics"](ax)
    _, labels = ax.get_legend_handles_labels()
    assert labels == ["before training"] + [f"iteration {i}" for i in (1, 4, 8, 32, 64)]
    assert curve(ax, "before training")[1] == pytest.approx([0, 0, 100, 0, 0])
    assert curve(ax, "iteration 64")[1] == pytest.approx([0, 100, 0, 0, 0])


def test_dynamics_of_a_few_times_shows_them_all(ax):
    figures.dynamics(ax, [0, 1000], [[1, 0], [0, 1]])
    assert ax.get_legend_handles_labels()[1] == ["before training", "iteration 1,000"]


def test_mean_length_lies_below_half_the_modules(ax):
    DRAW["mean_length"](ax)
    x, y = curve(ax, "mean length, by exact share")
    assert x.tolist() == TIMES and (y[0], y[-1]) == (2, 1)
    assert set(curve(ax, "mean of all paths, n / 2")[1]) == {2}
    left, right = ax.transData.transform([(0, 1), (1, 1)])[:, 0]
    assert right - left > 10, "the start has a place of its own"


def test_mean_length_in_other_runs_is_named_once(ax):
    means, others = np.linspace(2, 1, 8), [[1] * 8, [2] * 8]
    figures.mean_length(ax, TIMES, means, 4, others)
    names = [line.get_label() for line in ax.lines]
    assert names[1:3] == ["the same, other seeds", "_the same, other seeds"]
    assert [line.get_ydata().tolist() for line in ax.lines[1:3]] == others


def test_exchanged_scales_shows_four_networks(ax):
    DRAW["exchanged_scales"](ax)
    found = {name: curve(ax, name)[1].tolist() for name in ax.get_legend_handles_labels()[1]}
    assert found == {
        "before training": [0, 0, 100],
        "after training": [0, 100, 0],
        "before, with the scales from after": [0, 50, 50],
        "after, with the scales from before": [0, 25, 75],
    }


def test_exchanged_scales_shows_the_control_where_there_is_one(ax):
    figures.exchanged_scales(ax, EXCHANGED | {"stem_only": [0.25, 0.75, 0.0]})
    assert curve(ax, "before, with the stem from after")[1].tolist() == [25, 75, 0]


def test_module_shares_with_their_intervals(ax):
    DRAW["module_shares"](ax)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([50, -25, 100])
    ends = [line.get_segments() for line in ax.collections]
    assert [segment[:, 1].tolist() for segment in ends[0]] == [
        pytest.approx([40, 60]), pytest.approx([-50, 0]), pytest.approx([75, 150]),
    ]  # fmt: skip


def test_module_shares_without_intervals(ax):
    figures.module_shares(ax, {"shares": [0.5, 0.5]})
    assert len(ax.patches) == 2 and not ax.collections and not ax.get_legend()


def test_effective_lengths_are_shaded_if_there_are_any(ax):
    figures.gradient_shares(ax, {"exact": ([0, 1], [0.4, 0.6])})
    assert "lengths" not in str(ax.get_legend_handles_labels()[1])
    figures.gradient_shares(ax, {"exact": ([0, 1], [0.4, 0.6])}, range(3, 8))
    assert "lengths 3 to 7" in ax.get_legend_handles_labels()[1]


def test_exact_shares_with_their_interval(ax):
    figures.gradient_shares(ax, {"exact": ([0, 1], [0.4, 0.6])}, interval=[[0.3, 0.5], [0.5, 0.8]])
    (band,) = [c for c in ax.collections if c.get_label() == "exact, 95% over images"]
    corners = {tuple(map(float, corner)) for corner in band.get_paths()[0].vertices}
    assert {(0, 30), (0, 50), (1, 50), (1, 80)} <= {(x, round(y, 9)) for x, y in corners}


def test_stochastic_depth_shows_costs_not_errors(ax):
    DRAW["stochastic_depth"](ax)
    x, without = curve(ax, "without stochastic depth")
    assert x.tolist() == [1, 2, 3, 4] and without == pytest.approx([2, 42, 12, 7])
    assert curve(ax, "with stochastic depth")[1] == pytest.approx([1, 21, 3, 2])
    circled = [c.get_offsets().tolist() for c in ax.collections if len(c.get_offsets())]
    assert circled == [[pytest.approx([2, 42])], [pytest.approx([2, 21])]]


def test_gates_show_where_they_began(ax):
    DRAW["gates"](ax)
    assert curve(ax, "mean, trained")[1] == pytest.approx(GATES["mean"])
    assert curve(ax, "mean before training")[1] == pytest.approx([0.02, 0.02])
    assert curve(ax, "both routes alike")[1] == pytest.approx([0.5, 0.5])
    low, high = ax.get_ylim()
    assert 0 < low <= GATES["start"] / 2 and high > 1, "a gate may be open all the way"
    assert ax.get_yscale() == "log", "gates begin almost closed"


def test_surviving_begins_with_everything(ax):
    DRAW["surviving"](ax)
    x, y = curve(ax, "by count")
    assert x.tolist() == [0, 1, 2] and y == pytest.approx([100, 50, 25])
    assert ax.get_yscale() == "log"


# Without rows.


def test_a_plot_gets_all_tables_and_options():
    figure, ax = figures.one(figures.deletion, (RESIDUAL, {"errors": [0.9, 0.8]}), chance=0.5)
    plt.close(figure)
    assert curve(ax, "chance")[1].tolist() == [50, 50]
    assert "VGG-15, one layer deleted" in ax.get_legend_handles_labels()[1]


@pytest.mark.parametrize(
    "table, said",
    [(None, ["not recorded yet"]), ((), ["not recorded yet"]), (({"a": [1, 0.5]},), [])],
)
def test_without_rows_that_is_said(table, said):
    figure, ax = figures.one(figures.surviving, table, height=3)
    plt.close(figure)
    assert figure.axes == [ax] and figure.get_size_inches().tolist() == [5.4, 3]
    assert [text.get_text() for text in ax.texts] == said
    assert ax.axison is bool(table) and bool(ax.get_lines()) is bool(table)
