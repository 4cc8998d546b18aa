"""The numbers that claims are judged by: arithmetic, intervals, fits, and words for them."""

import numpy as np
import pytest
from scipy import stats

from helpers import combinatorics
from study import claims
from study.claims import arithmetic, dynamics, equivalence, gradients, lesions, unrolling
from study.claims.claim import CORRECTED, NOT_REPRODUCED, REPRODUCED, Missing
from study.claims.words import listed, middle, recipe, several, spread
from tests.claim_rows import SHORT, course, means, trained, vgg
from tests.rows import row

# Arithmetic.


def test_arithmetic_verdicts():
    found = {c: claims.judge(c, []) for c in claims.LEDGER if c[0] == "A"}
    assert {v.verdict for v in found.values()} == {REPRODUCED, CORRECTED}
    corrected = {c for c, v in found.items() if v.verdict == CORRECTED}
    assert corrected == {"A1", "A5", "A8", "A9", "A11"}
    ours = {c: v.ours for c, v in found.items()}
    assert "8 paths through 3 modules" in ours["A1"] and "is no sum" in ours["A1"]
    assert "27" in ours["A2"] and "98.02%" in ours["A3"] and "20 to 34" in ours["A3"]
    assert "95.98%" in ours["A3"] and ours["A4"] == "0.4537%"
    assert "9.8e-04" in ours["A5"] and "20 deletions" in ours["A5"] and "56" in ours["A6"]
    assert "34.3%, 8.0%, 1.5%" in ours["A7"]
    assert "1.87%" in ours["A8"] and "0.012%" in ours["A8"] and "1.5e+12" in ours["A8"]
    assert "99.34%" in ours["A9"] and "0.53%" in ours["A9"] and "mean 11.5" in ours["A9"]
    assert "256 paths of 8 modules become 128; in a plain network 1 becomes 0" in ours["A10"]
    assert "2 x (5 to 17) layers are 10 to 34" in ours["A12"]


def test_unrolled_networks():
    """With linear modules the forward pass is a sum over paths as well: A1 would hold."""
    deep, linear = unrolling.unrolled(), unrolling.unrolled(linear=True)
    assert (deep.modules, deep.paths) == (3, 8) and unrolling.unrolled(4).paths == 16
    assert deep.tree_is_chain and deep.gradient_is_sum and not deep.forward_is_sum
    assert linear.tree_is_chain and linear.gradient_is_sum and linear.forward_is_sum
    # A single module is a sum of two paths, nonlinear or not.
    assert unrolling.unrolled(1).forward_is_sum


def test_a_highway_network_of_half_open_gates():
    found = unrolling.highway()
    assert not found.equal
    assert found.homogeneous_up_to_scale and not found.biased_up_to_scale


@pytest.mark.parametrize(
    "function, field, value, expected",
    [
        ("unrolled", "tree_is_chain", False, NOT_REPRODUCED),
        ("unrolled", "gradient_is_sum", False, NOT_REPRODUCED),
        ("unrolled", "forward_is_sum", True, REPRODUCED),
        ("highway", "equal", True, REPRODUCED),
        ("highway", "homogeneous_up_to_scale", False, NOT_REPRODUCED),
        ("highway", "biased_up_to_scale", True, NOT_REPRODUCED),
    ],
)
def test_verdicts_on_functions_follow_what_was_tried(monkeypatch, function, field, value, expected):
    found = getattr(unrolling, function)()
    changed = type(found)(**vars(found) | {field: value})
    monkeypatch.setattr(unrolling, function, lambda: changed)
    claim = "A1" if function == "unrolled" else "A11"
    assert claims.judge(claim, []).verdict == expected


@pytest.mark.parametrize(
    "name, broken, expected",
    [
        ("remaining", lambda n, d: [1.0] * (n + 1), {"A7"}),
        ("counts_by_length", lambda n: [1] * (n + 1), {"A2"}),
        ("mean_length", lambda n: n / 3, {"A2", "A6"}),
        ("share_between", lambda n, low, high: 0.0, {"A3", "A4", "A9"}),
        ("count", lambda n: 4**n, {"A3", "A4", "A5"}),
        ("remaining_between", lambda n, d, low, high: 0.6, {"A8"}),
        ("EFFECTIVE", range(5, 17), {"A4", "A12"}),
    ],
)
def test_verdicts_of_arithmetic_can_come_out_otherwise(monkeypatch, name, broken, expected):
    """Each rests on a count: with another count there is another verdict."""
    before = {c: claims.judge(c, []).verdict for c in claims.LEDGER if c[0] == "A"}
    if name == "EFFECTIVE":
        monkeypatch.setattr(arithmetic, "SHORTEST", broken[0])
        monkeypatch.setattr(arithmetic, "LONGEST", broken[-1])
    else:
        monkeypatch.setattr(combinatorics, name, broken)
        monkeypatch.setattr(combinatorics, "tightest_band", lambda n, share: (0, n))
    after = {c: claims.judge(c, []).verdict for c in before}
    assert expected <= {c for c in before if after[c] != before[c]}


def test_paths_left_by_looking_at_each():
    """C(8 - d, k) / C(8, k)."""
    assert arithmetic.left_by_one(0) == [1.0] * 9
    assert arithmetic.left_by_one(8) == [1.0] + [0.0] * 8
    assert arithmetic.left_by_one(2)[1] == 6 / 8 and arithmetic.left_by_one(2)[2] == 15 / 28


@pytest.mark.parametrize("paths, plain", [(np.ones, 0), (np.zeros, 1)])
def test_a_deletion_that_does_not_halve_the_paths(monkeypatch, paths, plain):
    import torch

    every = torch.from_numpy(paths((4, arithmetic.FEW))).bool()
    monkeypatch.setattr(combinatorics, "every", lambda n: every)
    assert claims.judge("A10", []).verdict == CORRECTED


# Intervals.


def test_welch():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 9.0])
    # t = 3 / sqrt(1/3 + 13/3); degrees of freedom by Welch and Satterthwaite.
    t, freedom = 3 / np.sqrt(14 / 3), (14 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (13 / 3) ** 2 / 2)
    assert equivalence.welch(a, b) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(14 / 3)
    assert equivalence.interval(a, b) == pytest.approx((3 - half, 3 + half), rel=1e-9)
    # The interval of 1 - p ends at no difference.
    assert equivalence.interval(b, a) == pytest.approx((-3 - half, -3 + half), rel=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sizes", [(1, 1), (1, 3), (3, 1)])
def test_welch_of_a_single_seed_is_no_number(sizes):
    a, b = (np.linspace(0.1, 0.2, size) + i for i, size in enumerate(sizes))
    assert np.isnan(equivalence.welch(a, b))


@pytest.mark.filterwarnings("error")
def test_where_seeds_agree():
    same = np.array([0.5, 0.5, 0.5])
    assert equivalence.welch(same, same) == 1
    assert equivalence.welch(same, same + 0.1) == 0
    assert 0 < equivalence.welch(same, np.array([0.5, 0.6, 0.7])) < 1
    assert equivalence.interval(same, same + 0.25) == (0.25, 0.25)
    assert equivalence.half_width((0.0, 0.01), (3, 3)) > 0


@pytest.mark.parametrize(
    "difference, half, expected",
    [
        (0.5, 9.0, True),
        (-0.5, 9.0, True),
        (0.51, 0.49, True),
        (0.51, 0.50, None),
        (-0.51, 0.49, True),
        (-0.51, 0.50, None),
        (1.2, 0.69, False),
        (1.2, 0.70, None),
        (-1.2, 0.69, False),
        (-1.2, 0.70, None),
        (9.0, 0.0, False),
        (0.51, 0.0, True),
    ],
)
def test_equivalence(difference, half, expected):
    assert equivalence.verdict_of(difference, half) is expected


def test_seeds_needed():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    # A difference of 1, variances of 1: the half must be less than 0.5.
    halves = {n: stats.t.ppf(0.975, 2 * n - 2) * np.sqrt(2 / n) for n in (31, 32, 33, 34)}
    expected = next(n for n in range(3, 99) if stats.t.ppf(0.975, 2 * n - 2) * np.sqrt(2 / n) < 0.5)
    assert equivalence.seeds_needed(a, b) == expected and expected - 1 in halves
    assert equivalence.seeds_needed(a, a) == 3
    assert equivalence.seeds_needed(100 * a, 100 * a + 1) is None


@pytest.mark.parametrize("factor, expected", [(0.9999, 1000), (1.0001, None)])
def test_more_than_a_thousand_seeds_are_not_counted(factor, expected):
    """A difference of 1: half of the interval is 0.5 where t^2 2 v / 1000 is 0.25."""
    v = factor * 0.25 * 1000 / 2 / stats.t.ppf(0.975, 1998) ** 2
    a = np.array([0.0, np.sqrt(2 * v)])
    assert equivalence.seeds_needed(a, a + 1) == expected


# Fits and shares.


def test_product_shares_are_the_papers_product():
    shares = gradients.product_shares(np.arange(4), np.array([1, 0.5, 0.25, 0.125]), 3)
    # C(3, k) / 2^k = 1, 3/2, 3/4, 1/8
    assert shares == pytest.approx(np.array([8, 12, 6, 1]) / 27)


def test_share_curves():
    """Three modules; norms that halve with each, from length 1 on where paths were sampled."""
    sampled_norms = {"lengths": [1, 2, 3], "mean": [0.5, 0.25, 0.125], "modules": 3}
    signed = {"rms": [1, 0.5, 0.25, 0.125]}
    curves = gradients.share_curves(sampled_norms, signed, {"shares": [0.5, 0.75, -0.25, 0]})
    found = {name: (k.tolist(), values) for name, (k, values) in curves.items()}
    (_, paper), (_, rms), (_, shares) = found.items()
    assert [name.split()[2] for name in list(found)[:2]] == ["mean", "RMS"]
    # C(3, k) / 2^k is 1, 3/2, 3/4, 1/8: 8, 12, 6, 1 of 27, without length 0 of 19.
    assert paper == ([1, 2, 3], pytest.approx(np.array([12, 6, 1]) / 19))
    assert rms == ([0, 1, 2, 3], pytest.approx(np.array([8, 12, 6, 1]) / 27))
    assert shares == ([0, 1, 2, 3], pytest.approx([0.5, 0.75, -0.25, 0]))


def test_decay_is_a_line_through_what_arrived():
    """A tenth each module, where any gradient arrived at all."""
    fit = gradients.decay({"lengths": [0, 1, 2, 3, 4], "mean": [9.0, 0.1, 0.01, 0.0, 1e-4]})
    assert (fit.slope, fit.intercept) == (pytest.approx(-1), pytest.approx(0))
    assert fit.rvalue**2 == pytest.approx(1)
    with pytest.raises(Missing, match="fewer than three lengths"):
        gradients.decay({"lengths": [0, 1, 2], "mean": [9.0, 0.1, 0.01]})


def test_effective_lengths():
    """Shares that are powers of two tell which were added up."""
    lengths = np.arange(1, 31)
    assert gradients.effective(lengths, 2.0**lengths) == sum(2**k for k in range(5, 18))


def test_mean_length_of_all_paths_is_half_the_modules():
    assert dynamics.mean_length(combinatorics.length_shares(54)) == pytest.approx(27)
    assert dynamics.mean_length([[0.5, 0, 0.5], [0, 2, -1]]).tolist() == [1, 0]


def test_distance_from_the_binomial_law():
    """Of Binomial(2, 1/2), 1/4, 1/2, 1/4: no distance, at any sign; of two ends, a half."""
    law = [0.25, 0.5, 0.25]
    ends = [0.5, 0.0, 0.5]
    found = dynamics.distance_from_binomial(np.array([law, ends, [-0.5, 1.0, 0.5]]))
    assert found == pytest.approx([0, 0.5, 0])
    # Mean 2/3: p = 1/3, so 4/9, 4/9, 1/9 against 1/3, 2/3, 0.
    assert dynamics.distance_from_binomial(np.array([1 / 3, 2 / 3, 0])) == pytest.approx(2 / 9)


def test_medians_over_bins_of_tau():
    """Bins of 0.05, five or more orders each."""
    tau = np.array([0.5] * 5 + [0.549] * 4 + [0.55] * 4 + [0.6] * 5)
    errors = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 1, 1, 1, 1, 0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.9])
    edges, found = lesions.tau_medians(tau, errors)
    assert edges == pytest.approx([0.5, 0.6]) and found.tolist() == [0.9, 0.3]


def test_errors_that_are_all_the_same_go_up_with_nothing():
    value = {"tau": np.repeat([0.5, 0.6, 0.7], 5), "errors": [0.5] * 15}
    assert lesions.rank_and_gap(value) == (0.0, 0.0)
    falling = value | {"errors": np.repeat([0.5, 0.4, 0.2], 5)}
    assert lesions.rank_and_gap(falling) == (-1.0, 20.0)


def test_dear_modules():
    assert lesions.dear(np.array([10.0, 10.01, -3, 50])) == [2, 4]


# Words.


def test_spread_and_middle():
    """Mean and standard deviation with n - 1: of 1, 2, 3 it is 1; median and range."""
    assert spread([1.0, 2.0, 3.0], "%") == "2.00 ± 1.00%"
    assert spread(np.array([6.1])) == "6.10" and spread([1.0, 3.0]) == "2.00 ± 1.41"
    assert middle([1.0, 2.0, 9.0], "%") == "2.0% (1.0 to 9.0)"
    assert middle([1.5], " pt", 2) == "1.50 pt"


def test_numbers_and_things():
    assert [several(n, "seed") for n in (0, 1, 2, 2000)] == [
        "0 seeds",
        "1 seed",
        "2 seeds",
        "2,000 seeds",
    ]
    assert [listed(x) for x in ([], [1], [1, 2], [1, 2, 3])] == [
        "none",
        "1",
        "1 and 2",
        "1, 2 and 3",
    ]


def test_recipes():
    assert recipe(trained(600)) == "the paper's recipe"
    assert recipe(trained(600, iterations=21_333)) == "paper recipe, 21,333 iterations"
    assert recipe(trained(600, **SHORT)) == "compact recipe, 5,850 iterations"
    old = trained(600, recipe="one-cycle", iterations=1560)
    assert recipe(old) == "the first study's short recipe, 1,560 iterations"
    assert recipe(old | {"config": {"model": "foreign/a"}}) == "a recipe of others"


def test_courses_are_told_with_their_spread():
    rows = [means(*m, seed=s) for s, m in enumerate(((5, 4.5, 4), (7, 5, 4)))]
    found = claims.judge("L2", rows)
    assert (
        found.ours == "mean length 6.00 ± 1.41 before, 4.00 ± 0.00 after training, Spearman -1.00"
    )
    assert found.samples == "3 times, 64 images, 2 networks"
    assert claims.judge("L1", rows).ours.endswith("mean length 6.00 ± 1.41")
    one = claims.judge("L1", rows[:1])
    assert one.ours.endswith("mean length 5.00") and one.samples == "64 images, 1 network"


def test_what_a_claim_says_of_the_numbers():
    assert claims.judge("B2", [vgg(9000)]).ours == "the least error after a deletion is 90.0%"
    half = [course({10: 0.5, 30: 0.5}, {54: 1})]
    assert claims.judge("L1", half).ours.startswith("50.0% below 27 modules before training")
    gates = row("gates", {"mean": [0.1, 0.5], "start": 0.01}, 10, model="highway")
    found = claims.judge("B14", [gates])
    assert found.ours == "below 0.5 in 50% of layers; mean gate 0.3, 0.01 before training"
