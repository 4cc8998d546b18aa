"""The combinatorics of paths: literals from the paper's claims, and identities."""

from itertools import combinations
from math import comb, prod

import pytest
import torch
from scipy.stats import binom, chisquare

from helpers import combinatorics


def test_counts():
    assert combinatorics.count(3) == 8
    assert combinatorics.count(54) == 18_014_398_509_481_984


def test_lengths_are_exact_integers():
    assert combinatorics.counts_by_length(4) == [1, 4, 6, 4, 1]
    assert combinatorics.counts_by_length(54)[27] == 1_946_939_425_648_112
    assert sum(combinatorics.counts_by_length(54)) == 2**54


def test_shares_are_binomial():
    shares = combinatorics.length_shares(54)
    assert shares == pytest.approx([binom.pmf(k, 54, 0.5) for k in range(55)], rel=1e-9)
    assert sum(shares) == pytest.approx(1, abs=1e-12)


def test_the_shares_that_section_5_speaks_of():
    assert combinatorics.mean_length(54) == pytest.approx(27, abs=1e-12)
    assert combinatorics.share_between(54, 5, 17) == pytest.approx(0.004537, abs=5e-7)
    assert combinatorics.share_between(54, 19, 35) == pytest.approx(0.9802, abs=5e-5)
    assert combinatorics.share_between(54, 20, 34) == pytest.approx(0.9598, abs=5e-5)
    assert combinatorics.share_between(54, 0, 54) == 1


def test_section_5_trained_on_23_modules():
    assert combinatorics.mean_length(23) == pytest.approx(11.5, abs=1e-12)
    assert combinatorics.share_between(23, 5, 17) == pytest.approx(0.9934, abs=5e-5)
    assert combinatorics.share_between(23, 18, 23) == pytest.approx(0.0053, abs=5e-5)


def test_tightest_band():
    assert combinatorics.tightest_band(54, 0.95) == (20, 34)
    assert combinatorics.tightest_band(3, 0.5) == (1, 2)
    assert combinatorics.tightest_band(3, 1) == (0, 3)
    with pytest.raises(ValueError, match="share 1.5"):
        combinatorics.tightest_band(3, 1.5)


def test_remaining_is_equation_8():
    """Literals for 10 of 54 deleted; and as a product, the chance that no draw hits a deletion."""
    left = combinatorics.remaining(54, 10)
    assert [left[5], left[11], left[17]] == pytest.approx([0.343, 0.080, 0.015], abs=5e-4)
    for k in range(55):
        assert left[k] == pytest.approx(prod((44 - j) / (54 - j) for j in range(k)), rel=1e-12)
    assert left[44] > 0 and left[45:] == [0] * 10


def test_remaining_counts_the_paths_that_avoid_the_deleted_modules():
    survivors = combinatorics.every(6)[~combinatorics.every(6)[:, [1, 4]].any(1)]
    counts = survivors.sum(1).bincount(minlength=7).tolist()
    expected = [
        c * left
        for c, left in zip(combinatorics.counts_by_length(6), combinatorics.remaining(6, 2), strict=True)
    ]
    assert counts == pytest.approx(expected)


def test_remaining_between():
    assert combinatorics.remaining_between(54, 10, 5, 17) == pytest.approx(0.0187, abs=5e-5)
    assert combinatorics.remaining_between(54, 20, 5, 17) == pytest.approx(0.00012, abs=5e-6)
    assert combinatorics.remaining_between(54, 10, 0, 54) == pytest.approx(2**-10, rel=1e-12)
    assert combinatorics.remaining_between(54, 10, 11, 11) == combinatorics.remaining(54, 10)[11]


def test_from_code():
    assert combinatorics.from_code("0110").tolist() == [False, True, True, False]
    for wrong in ("", "012", "1 0"):
        with pytest.raises(ValueError, match="expected a string of 0s and 1s"):
            combinatorics.from_code(wrong)


def test_every():
    assert combinatorics.every(2).tolist() == [
        [False, False],
        [False, True],
        [True, False],
        [True, True],
    ]
    assert combinatorics.every(0).shape == (1, 0)
    codes = ["".join("01"[b] for b in row) for row in combinatorics.every(5).tolist()]
    assert codes == [f"{number:05b}" for number in range(32)]
    for wrong in (-1, 21):
        with pytest.raises(ValueError, match="expected 0 to 20"):
            combinatorics.every(wrong)


@pytest.mark.parametrize("length", [1, 3, 5])
def test_sampled_paths_are_uniform(length, generator):
    """Chi-square over all C(6, k) paths."""
    drawn = combinatorics.sample(6, length, 6000, generator)
    assert drawn.dtype == torch.bool and drawn.shape == (6000, 6)
    assert (drawn.sum(1) == length).all()
    _, counts = drawn.unique(dim=0, return_counts=True)
    assert len(counts) == comb(6, length)
    assert chisquare(counts).pvalue > 0.01


def test_a_sample_of_the_only_path(generator):
    assert not combinatorics.sample(4, 0, 3, generator).any()
    assert combinatorics.sample(4, 4, 3, generator).all()
    assert combinatorics.sample(4, 2, 0, generator).shape == (0, 4)


def test_subsets_are_uniform(generator):
    drawn = [tuple(combinatorics.subset(5, 2, generator)) for _ in range(3000)]
    counts = [drawn.count(pair) for pair in combinations(range(5), 2)]
    assert sum(counts) == 3000, "sorted, without repetition"
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.usefixtures("no_global_draws")
def test_the_same_seed_gives_the_same_draws():
    def draws(seed):
        generator = torch.Generator().manual_seed(seed)
        return combinatorics.sample(20, 7, 5, generator).tolist(), combinatorics.subset(
            20, 7, generator
        )

    assert draws(3) == draws(3)
    assert draws(3)[0] != draws(4)[0]
    assert draws(3)[1] != draws(4)[1]


@pytest.mark.parametrize("length", [-1, 55])
def test_a_length_outside_the_network(length, generator):
    for ask in (
        lambda: combinatorics.sample(54, length, 1, generator),
        lambda: combinatorics.share_between(54, 0, length),
        lambda: combinatorics.share_between(54, length, 54),
        lambda: combinatorics.remaining_between(54, 0, length, 54),
    ):
        with pytest.raises(ValueError, match=f"path length {length}: expected 0 to 54"):
            ask()
    for ask in (
        lambda: combinatorics.remaining(54, length),
        lambda: combinatorics.subset(54, length, generator),
    ):
        with pytest.raises(ValueError, match=f"number of .*modules {length}: expected 0 to 54"):
            ask()
