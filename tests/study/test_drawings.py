"""The drawings of Figures 1 and 2: what they show, read from the artists themselves."""

from itertools import combinations, product

import matplotlib.pyplot as plt
import pytest

from study.figures import drawings

CODES = ["".join(digits) for digits in product("01", repeat=3)]
VIEWS = {"chain": drawings.chain, "unraveled": drawings.unraveled}

both_views = pytest.mark.parametrize("draw", VIEWS.values(), ids=VIEWS.keys())


@pytest.fixture
def ax():
    """Empty axes as wide as a page of the book."""
    figure, ax = plt.subplots(figsize=(6.6, 6))
    yield ax
    plt.close(figure)


def count(ax, kind: str, state: str | None = None) -> int:
    """How many artists there are of a kind such as "module", in a state such as "route"."""
    found = [artist.get_gid().split() for artist in ax.get_children() if artist.get_gid()]
    return sum(k == kind and state in (None, s) for k, s in found)


def labels(ax, state: str) -> list[str]:
    """The texts of the labels in a state."""
    return [text.get_text() for text in ax.texts if text.get_gid() == f"label {state}"]


def overlapping(ax) -> list[tuple[str, str]]:
    """Pairs of texts that touch, and texts that a line crosses or that leave the axes."""
    renderer = ax.figure.canvas.get_renderer()
    ax.figure.canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in ax.texts]
    touching = [(s, t) for (s, a), (t, b) in combinations(boxes, 2) if a.overlaps(b)]
    lines = [p.get_transform().transform_path(p.get_path()) for p in ax.patches]
    # A module's name stands in its box and a code interrupts its line; y_0, y_1, ... stand free.
    free = [(t, box) for t, box in boxes if "y" in t]
    touching += [(t, "a line") for t, b in free for line in lines if line.intersects_bbox(b, False)]
    frame = ax.get_window_extent(renderer).padded(1)
    inside = [frame.contains(*p) for _, b in boxes for p in (b.min, b.max)]
    return touching if all(inside) else [*touching, ("a label", "the edge")]


@both_views
@pytest.mark.parametrize("code", CODES)
def test_a_route_enters_as_many_modules_as_its_code_has_ones(ax, draw, code):
    assert draw(ax, 3, code) is ax
    assert count(ax, "module", "route") == code.count("1")
    entered = {f"$f_{i}$" for i, digit in enumerate(code, 1) if digit == "1"}
    assert {label for label in labels(ax, "route") if "f" in label} == entered
    assert count(ax, "addition", "route") == 3
    assert count(ax, "module", "plain") == count(ax, "wire", "plain") == 0


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_tree_has_every_path_and_module_i_2_to_the_n_minus_i_times(ax, n):
    drawings.unraveled(ax, n)
    texts = labels(ax, "plain")
    codes = sorted(text for text in texts if text.isdigit())
    assert codes == ["".join(digits) for digits in product("01", repeat=n)]
    for i in range(1, n + 1):
        assert texts.count(f"$f_{i}$") == 2 ** (n - i)
    assert count(ax, "addition") == 2**n - 1


def test_a_route_in_the_tree_begins_at_its_own_code(ax):
    drawings.unraveled(ax, 3, "110")
    assert [label for label in labels(ax, "route") if label.isdigit()] == ["110"]


@pytest.mark.parametrize("deleted", [0, 1, 2])
def test_a_deletion_takes_the_half_of_the_paths_that_enter_the_module(ax, deleted):
    assert drawings.unraveled(ax, 3, deleted=deleted) is ax
    gone = sorted(label for label in labels(ax, "gone") if label.isdigit())
    assert gone == [code for code in CODES if code[deleted] == "1"]
    # Of each module before the deleted one, half of the copies feed it; those after it stay.
    for i in range(3):
        copies = 2 ** (2 - i)
        lost = copies // 2 if i < deleted else copies if i == deleted else 0
        assert labels(ax, "gone").count(f"$f_{i + 1}$") == lost
        assert labels(ax, "plain").count(f"$f_{i + 1}$") == copies - lost
    assert count(ax, "cross", "gone") == 2 ** (2 - deleted)


def test_a_deletion_in_the_chain_leaves_the_skip_connection(ax):
    drawings.chain(ax, 3, deleted=1)
    assert labels(ax, "gone") == ["$f_2$"]
    assert count(ax, "wire", "gone") == count(ax, "cross", "gone") == 1


def test_a_deletion_cuts_the_only_path_of_a_plain_network(ax):
    assert drawings.feed_forward(ax, 3, deleted=1) is ax
    assert count(ax, "wire", "gone") == count(ax, "wire") == 1
    assert count(ax, "cross", "gone") == 1


def test_a_plain_network_is_whole_without_a_deletion(ax):
    drawings.feed_forward(ax, 3)
    assert count(ax, "module", "plain") == 3
    assert count(ax, "cross") == count(ax, "wire", "gone") == 0


@both_views
@pytest.mark.parametrize("code", ["", "10", "1010", "1O1", "102", "１０１"])
def test_a_bad_code_is_refused_before_anything_is_drawn(ax, draw, code):
    with pytest.raises(ValueError, match=f"path code '{code}': expected 3 digits 0 or 1"):
        draw(ax, 3, code)
    assert not ax.patches and not ax.texts


@both_views
def test_other_bad_input_is_refused(ax, draw):
    for n in (0, 5):
        with pytest.raises(ValueError, match=f"{n} modules: expected 1 to 4"):
            draw(ax, n)
    for deleted in (-1, 3):
        with pytest.raises(IndexError, match=f"module {deleted}: expected 0 to 2"):
            draw(ax, 3, deleted=deleted)
    with pytest.raises(ValueError, match="expected one of the two"):
        draw(ax, 3, "101", deleted=1)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_no_text_overlaps_another(n):
    drawn = [
        (drawings.chain, {}),
        (drawings.chain, {"code": "1010"[:n]}),
        (drawings.unraveled, {}),
        (drawings.unraveled, {"code": "1010"[:n]}),
        (drawings.unraveled, {"deleted": 0}),
        (drawings.feed_forward, {"deleted": 0}),
    ]
    for draw, options in drawn:
        figure, ax = plt.subplots(figsize=(6.6, 0.55 * 2**n + 1), layout="constrained")
        draw(ax, n, **options)
        assert not overlapping(ax), (draw.__name__, options)
        plt.close(figure)


def test_the_test_for_overlaps_sees_one(ax):
    drawings.unraveled(ax, 3)
    assert not overlapping(ax)
    label = ax.text(0.15, ax.texts[0].get_position()[1], "label")
    assert overlapping(ax) == [("$y_0$", "label")]
    label.remove()
    ax.texts[0].set_x(0.4)
    assert ("$y_0$", "a line") in overlapping(ax)


def test_a_route_is_thicker_and_a_lost_path_dotted(ax):
    lines = drawings.LINES
    widths = [lines[state]["linewidth"] for state in ("muted", "plain", "route")]
    assert widths == sorted(set(widths)) and widths[2] > 2 * widths[1]
    assert [state for state in lines if "linestyle" in lines[state]] == ["gone"]
