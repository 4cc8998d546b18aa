"""Shares of the gradient, and how far they depend on the images."""

import pytest
import torch

from study.experiments import shares


def found(products, squares, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return shares.told(torch.tensor(products), torch.tensor(squares), generator)


def test_shares_of_all_images_and_of_each():
    """Image 1: 3 and 1 of 4; image 2: 0 and 1 of 1."""
    value = found([[3.0, 0.0], [1.0, 1.0]], [4.0, 1.0])
    assert value["shares"] == [0.6, 0.4]
    assert value["by_image"] == [0.375, 0.625]


def test_images_that_are_alike_leave_no_doubt():
    value = found([[1.0] * 9, [3.0] * 9], [4.0] * 9)
    assert value["shares"] == value["by_image"] == [0.25, 0.75]
    for name in ("intervals", "by_image_intervals"):
        assert value[name] == [pytest.approx([0.25] * 2), pytest.approx([0.75] * 2)]


def test_the_interval_of_a_mean():
    """Half of 400 images have share 1, half 0: the mean has a standard error of 0.025."""
    value = found([[1.0] * 200 + [0.0] * 200], [1.0] * 400)
    for name in ("intervals", "by_image_intervals"):
        ((low, high),) = value[name]
        assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
        assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_a_loud_image_widens_the_interval_of_all_and_not_the_other():
    """One image of 50 has 98% of the squared gradient, and another share than the rest."""
    squares = [1.0] * 49 + [2401.0]
    value = found(
        [[s * share for s, share in zip(squares, [0.2] * 49 + [0.8], strict=True)]], squares
    )
    ((low, high),), ((own_low, own_high),) = value["intervals"], value["by_image_intervals"]
    # Without it, which happens in 36% of the draws, the share is 0.2.
    assert low == pytest.approx(0.2) and high > 0.78
    assert 0.2 <= own_low < own_high < 0.26


def test_images_without_a_gradient_are_left_out():
    value = found([[1.0, 0.0, 3.0]], [2.0, 0.0, 4.0])
    assert value["shares"] == [pytest.approx(4 / 6)] and value["by_image"] == [0.625]


def test_the_same_seed_gives_the_same_intervals():
    products, squares = [[0.1, 0.9, 0.4, 0.3]], [1.0, 2.0, 1.0, 3.0]
    assert found(products, squares) == found(products, squares)
    assert found(products, squares) != found(products, squares, seed=1)
