"""Untrained networks: what their architecture alone makes of path lengths."""

import numpy as np
import pytest
import torch

from helpers import batchnorm, gradients
from study import experiments, figures
from study.data import load
from study.experiments import Untrained, drawn
from study.records import store
from study.text import start


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def made(digits):
    """Makes the row of an untrained network from few images."""
    images, calibration = drawn(digits.train, 3, 0), drawn(digits.train, 128, 0, skip=3)

    def make(draws=2, seed=5, **settings):
        network = Untrained(**{"depth": 14} | settings)
        return experiments.start_of_training(network, digits, images, calibration, draws, seed)

    return make


def test_the_mean_length_is_that_of_the_shares_by_length(digits, made):
    """The sum over modules against sum_k k share_k, which the exact gradient by length gives."""
    images, calibration = drawn(digits.train, 3, 0), drawn(digits.train, 128, 0, skip=3)
    row = made()
    for draw, found in enumerate(row["value"]["mean_length"]):
        network = Untrained(14).build(5 + draw, digits, calibration)
        lengths = gradients.by_length(network, digits.normalise(images.images), images.labels)
        shares = gradients.shares(lengths)
        assert found == pytest.approx(float(shares @ torch.arange(7.0).double()), rel=1e-4)
    assert row["value"]["mean_length"][0] != row["value"]["mean_length"][1]
    assert len(row["value"]["shares"]) == 6 and row["samples"] == 2


def test_the_same_seed_gives_the_same_value(made):
    assert made()["value"] == made()["value"]
    assert made(seed=6)["value"]["mean_length"][0] == made()["value"]["mean_length"][1]


def test_small_residuals_take_few_paths(made):
    """The share of a module is of the order of the factor, at most.  Not so where new channels are
    made out of zeros: they hold nothing but residuals, of whatever size."""
    small = {"shortcuts": "projection", "draws": 1}
    found = [made(scaling=a, **small)["value"]["mean_length"][0] for a in (1.0, 0.1, 0.01)]
    assert found[0] > 1.5 * found[1] > 15 * found[2]


def test_statistics_are_those_of_the_calibration_images(digits):
    calibration = drawn(digits.train, 128, 0)
    (first, *_) = batchnorm.norms(Untrained(14).build(0, digits, calibration))
    assert first.running_var.sum() > 0 and not torch.equal(first.running_mean, torch.zeros(16))
    (first, *_) = batchnorm.norms(Untrained(14, normaliser="none").build(0, digits, calibration))
    assert torch.equal(first.running_mean, torch.zeros(16))


def test_a_normaliser_that_there_is_not():
    with pytest.raises(ValueError, match="normaliser 'layer': expected one of batch norm, none"):
        Untrained(14, normaliser="layer")


def test_shares_that_do_not_add_up_are_no_row(made):
    row = made()
    spoiled = row["value"] | {"mean_length": [1.0, 9.0]}
    fields = {name: row[name] for name in store.FIELDS}
    with pytest.raises(store.RowError, match="expected the mean length"):
        store.row(**fields | {"value": spoiled})
    short = row["value"] | {"mean_length": row["value"]["mean_length"][:1]}
    with pytest.raises(store.RowError, match="1 mean lengths: expected 2"):
        store.row(**fields | {"value": short})


def like(depth, n, lengths, **settings):
    """A row as far as text and figures look at it."""
    config = {"depth": depth, "shortcuts": "subsample", "scaling": 1.0, "normaliser": "batch norm"}
    value = {"mean_length": lengths, "shares": [np.mean(lengths) / n] * n}
    experiment = "start_of_training"
    return {"experiment": experiment, "config": config | settings, "value": value}


ROWS = [
    like(14, 6, [2.0, 4.0]),
    like(50, 24, [5.0, 7.0]),
    like(14, 6, [1.0], shortcuts="projection"),
    like(14, 6, [1.5], scaling=0.1, normaliser="none"),
]


def test_lines_by_kind():
    assert start.lines(ROWS) == {
        "parameter-free shortcuts": {6: [2.0, 4.0], 24: [5.0, 7.0]},
        "1x1 projections": {6: [1.0]},
        "parameter-free shortcuts, residuals x 0.1, no normaliser": {6: [1.5]},
    }


def test_growth_a_doubling():
    """From 3 to 6 in two doublings; a kind with one depth has no growth."""
    assert start.growth(ROWS) == (
        "The mean path length before training, parameter-free shortcuts: from 3.0 at 6 modules to "
        "6.0 at 24, 1.5 a doubling."
    )
    assert start.growth(ROWS[2:]) == start.growth([]) == ""


def test_shares_of_both_shortcuts():
    subsample, projection = start.shares(ROWS, depth=14)
    assert subsample == (ROWS[0]["value"],) and projection == (ROWS[2]["value"],)
    assert start.shares(ROWS, depth=50)[1] is None


def test_the_figure_shows_every_draw_and_the_mean(ax):
    figures.start_of_training(ax, start.lines(ROWS[:3]))
    (line, other) = ax.lines
    assert line.get_xydata().tolist() == [[6, 3], [24, 6]]
    assert other.get_xydata().tolist() == [[6, 1]]
    dots = np.concatenate([c.get_offsets() for c in ax.collections]).tolist()
    assert dots == [[6, 2], [6, 4], [24, 5], [24, 7], [6, 1]]
