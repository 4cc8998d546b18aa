"""Bootstrap intervals: closed forms, coverage, and what must be refused."""

from itertools import product
from math import sqrt

import pytest
import torch

from helpers import gradients, intervals


def mean(drawn):
    return drawn.mean(1)


def test_two_observations_have_four_samples(generator):
    """0 and 1: means of 0, 1/2, 1/2 and 1, a quarter of the draws each."""
    values = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for level, expected in ((0.4, [0.5, 0.5]), (0.6, [0, 1])):
        found = intervals.bootstrap(values, mean, generator, level=level)
        assert found.tolist() == expected


def test_three_observations_against_every_sample(generator):
    """All 27 of them, weighed alike."""
    values = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    every = torch.tensor([sum(s) / 3 for s in product(values.tolist(), repeat=3)])
    found = intervals.bootstrap(values, mean, generator, draws=50_000, level=0.9)
    assert found.tolist() == pytest.approx(
        every.quantile(torch.tensor([0.05, 0.95])).tolist(), abs=1e-6
    )


def test_the_mean_of_many(generator):
    """Known to about its standard error times 1.96."""
    values = torch.randn(400, generator=generator, dtype=torch.float64)
    low, high = intervals.bootstrap(values, mean, generator)
    half = float(1.96 * values.std() / 20)
    assert low == pytest.approx(float(values.mean() - half), abs=0.1 * half)
    assert high == pytest.approx(float(values.mean() + half), abs=0.1 * half)


def test_it_holds_the_truth_as_often_as_it_says(generator):
    """In 300 repetitions: 95% within four standard errors, less what 50 observations cost."""
    held = 0
    for _ in range(300):
        low, high = intervals.bootstrap(
            torch.randn(50, generator=generator), mean, generator, draws=200
        )
        held += bool(low < 0 < high)
    assert 0.88 < held / 300 < 0.95 + 4 * sqrt(0.95 * 0.05 / 300)


def test_any_statistic(generator):
    """A median of each of two columns: what is drawn is whole rows."""
    rows = torch.stack([torch.arange(101.0), -torch.arange(101.0)], dim=1)
    found = intervals.bootstrap(rows, lambda drawn: drawn.median(1).values, generator)
    assert found.shape == (2, 2)
    # The median of 101 lies between ranks 50 -+ 1.96 sqrt(101) / 2.
    assert found[0, 0] == pytest.approx(40.6, abs=2) and found[1, 0] == pytest.approx(60.4, abs=2)
    assert found[:, 1].tolist() == (-found[:, 0].flip(0)).tolist()


def test_shares_and_mean_length(generator):
    """As from the gradients themselves; an image that is all there is knows no doubt."""
    lengths = torch.randn(4, 6, 3, 2, generator=generator, dtype=torch.float64)
    products = gradients.products(lengths)
    rows = intervals.share_samples(products, products.sum(0))
    assert rows.shape == (6, 5)
    found = intervals.shares(rows[None])[0]
    assert torch.allclose(found, gradients.shares(lengths), rtol=1e-12)
    k = torch.arange(4.0).double()
    assert intervals.mean_length(rows[None])[0] == pytest.approx(float(k @ found))
    alone = intervals.bootstrap(rows[:1], intervals.shares, generator)
    assert torch.equal(alone[0], alone[1])
    assert torch.allclose(alone[0], gradients.shares_by_image(lengths)[:, 0], rtol=1e-12)


def test_a_few_images_that_hold_most_of_the_gradient(generator):
    """Two kinds of image, of shares (1, 0) and (0, 1), one of them with nearly all of |g|^2."""
    squares = torch.tensor([100.0] + [1.0] * 19, dtype=torch.float64)
    first = torch.tensor([1.0] + [0.0] * 19, dtype=torch.float64)
    rows = intervals.share_samples(torch.stack([first, 1 - first]) * squares, squares)
    low, high = intervals.bootstrap(rows, intervals.shares, generator)
    # That image is left out of a draw with probability (1 - 1/20)^20 = 36%.
    assert low.tolist() == [0, pytest.approx(16 / 416, abs=0.03)]
    assert high.tolist() == [pytest.approx(400 / 416, abs=0.03), 1]
    assert intervals.shares(rows[None])[0, 0] == pytest.approx(100 / 119)


@pytest.mark.usefixtures("no_global_draws")
def test_the_same_seed_gives_the_same_interval():
    values = torch.arange(20.0)

    def found(seed):
        return intervals.bootstrap(values, mean, torch.Generator().manual_seed(seed), draws=150)

    assert torch.equal(found(1), found(1)) and not torch.equal(found(1), found(2))


def test_what_must_be_refused(generator):
    values = torch.arange(3.0)
    with pytest.raises(ValueError, match="0 observations, 2000 draws: expected at least 1"):
        intervals.bootstrap(values[:0], mean, generator)
    with pytest.raises(ValueError, match="3 observations, 0 draws"):
        intervals.bootstrap(values, mean, generator, draws=0)
    for level in (0, 1, 95):
        with pytest.raises(ValueError, match=f"level {level}: expected between 0 and 1"):
            intervals.bootstrap(values, mean, generator, level=level)
