"""The ledger's rules: rows made by hand on either side of every threshold."""

import itertools

import numpy as np
import pytest
from scipy import stats

from helpers import claims, paths

NET = {"model": "resnet", "depth": 110, "active": 0, "survival": 1.0}
NET |= {"recipe": "paper", "iterations": 64_000}
SEEDS = itertools.count()


def row(experiment, value, samples=50, dataset="cifar10", **config):
    """A row as of a network of its own, by the paper's recipe."""
    return {
        "experiment": experiment,
        "dataset": dataset,
        "seed": next(SEEDS),
        "config": NET | config,
        "samples": samples,
        "value": value,
    }


def verdict(claim, *rows):
    return claims.judge(claim, list(rows)).verdict


def deletion(cost=0.002, worst=0.002, down=0.08, intact=0.06):
    """54 modules: 3 of the ordinary ones at `worst`, the others at `cost`; all in shares."""
    errors = np.full(54, intact + cost)
    errors[:3] = intact + worst
    errors[[18, 36]] = intact + down
    return row("deletion", {"intact": intact, "errors": errors.tolist(), "downsampling": [18, 36]})


def vgg(least):
    errors = [0.9] * 12 + [least]
    value = {"intact": 0.07, "errors": errors, "downsampling": []}
    return row("deletion", value, model="vgg15")


def deletions(medians):
    """Three draws around each median for k = 1..20."""
    errors = [[m - 0.01, m, m + 0.02] for m in medians]
    value = {"deleted": list(range(1, 21)), "errors": errors, "intact": 0.06}
    return row("random_deletions", value)


def reordering(error_at):
    """Eight orders in each bin of tau from 0.70 to 0.95."""
    tau = np.repeat(np.arange(0.70, 0.99, 0.05), 8) + 0.02
    value = {"swaps": [1] * len(tau), "tau": tau.tolist(), "errors": error_at(tau).tolist()}
    return row("reordering", value | {"intact": 0.06})


def sampled(norm, up_to=54):
    lengths = list(range(1, up_to + 1))
    value = {"lengths": lengths, "mean": [norm(k) for k in lengths], "modules": 54}
    return row("sampled_norms", value, samples=1000)


def exact(**at):
    shares = np.zeros(55)
    for length, share in at.items():
        shares[int(length[1:])] = share
    return row("by_length", {"shares": shares.tolist(), "norms": [1.0] * 55})


def trained(error, active=0, **more):
    value = {"error": error, "wrong": [], "modules": 54}
    return row("training", value, active=active, **more)


def rising(last=0.6):
    return np.linspace(0.07, last, 20)


HOLD, FAIL = claims.REPRODUCED, claims.NOT_REPRODUCED
CASES = [
    ("B1", HOLD, [trained(0.0655), trained(0.0600)]),
    ("B1", FAIL, [trained(0.0670), trained(0.0665)]),
    ("B2", HOLD, [vgg(0.80)]),
    ("B2", FAIL, [vgg(0.79)]),
    ("B3", HOLD, [deletion(worst=0.09)]),
    ("B3", FAIL, [deletion(worst=0.11)]),
    ("B3", FAIL, [deletion(cost=0.011)]),
    ("B4", HOLD, [deletion(down=0.10)]),
    ("B4", FAIL, [deletion(down=0.001)]),
    ("B4", FAIL, [deletion(down=0.51)]),
    ("B5", HOLD, [deletions(rising())]),
    ("B5", FAIL, [deletions(np.r_[rising()[:10], rising()[10:] - 0.05])]),
    ("B5", FAIL, [deletions(np.r_[rising()[:10], rising()[10:] + 0.14])]),
    ("B6", HOLD, [deletions(rising(0.45))]),
    ("B6", FAIL, [deletions(rising() / 4)]),
    ("B7", HOLD, [deletions(rising() ** 2 * 1.5)]),
    ("B7", FAIL, [deletions(rising(0.38))]),
    ("B7", FAIL, [deletions(np.full(20, 0.5))]),
    ("B8", HOLD, [reordering(lambda tau: 1.2 - 1.2 * tau)]),
    ("B8", FAIL, [reordering(lambda tau: 0.3 + 0 * tau + 0.01 * np.sin(40 * tau))]),
    ("B8", FAIL, [reordering(lambda tau: np.where(tau < 0.85, 0.7, 0.1) - 0.01 * tau)]),
    ("B9", HOLD, [sampled(lambda k: 0.3**k)]),
    ("B9", FAIL, [sampled(lambda k: 1 / k)]),
    ("B10", HOLD, [sampled(lambda k: 0.25**k), exact(k10=1.0)]),
    ("B10", FAIL, [sampled(lambda k: 1.0), exact(k10=1.0)]),
    ("B11", HOLD, [sampled(lambda k: 0.2**k), exact(k10=1.0)]),
    ("B11", FAIL, [sampled(lambda k: 1.0), exact(k10=1.0)]),
    # Opposite shares beyond 20 must not cancel.
    ("B11", FAIL, [sampled(lambda k: 0.2**k), exact(k10=1.0, k25=0.02, k26=-0.02)]),
    (
        "B12",
        HOLD,
        [trained(0.061 + d) for d in (0, 0.001, 0.002)]
        + [trained(0.064 + d, 23) for d in (0, 0.001, 0.002)],
    ),
    (
        "B12",
        FAIL,
        [trained(0.061 + d) for d in (0, 0.001, 0.002)]
        + [trained(0.081 + d, 23) for d in (0, 0.001, 0.002)],
    ),
    (
        "B12",
        HOLD,
        [trained(e) for e in (0.05, 0.06, 0.07)] + [trained(e, 23) for e in (0.05, 0.07, 0.09)],
    ),
]


@pytest.mark.parametrize(("claim", "expected", "rows"), CASES)
def test_a_rule_decides_at_its_threshold(claim, expected, rows):
    assert verdict(claim, *rows) == expected


@pytest.mark.parametrize("claim", [c for c in claims.LEDGER if c.startswith("B")])
def test_without_rows_nothing_was_run(claim):
    found = claims.judge(claim, [])
    assert found.verdict == claims.NOT_RUN
    assert "no rows" in found.ours


def test_rows_of_another_kind_do_not_count():
    assert verdict("B1", trained(0.061, dataset="digits")) == claims.NOT_RUN
    assert verdict("B1", trained(0.061, active=23)) == claims.NOT_RUN
    assert verdict("B1", trained(0.061, depth=20)) == claims.NOT_RUN
    assert verdict("B3", vgg(0.9)) == claims.NOT_RUN
    assert verdict("B5", row("random_deletions", deletions(rising())["value"], survival=0.5)) == (
        claims.NOT_RUN
    )
    assert verdict("B12", trained(0.06), trained(0.06, 23)) == claims.NOT_RUN
    assert verdict("B11", sampled(lambda k: 0.2**k, up_to=30), exact(k10=1)) == claims.NOT_RUN


def test_networks_of_a_kind_are_averaged_not_chosen_from():
    """One good and one bad network: neither the best nor the worst decides."""
    assert verdict("B2", vgg(0.95), vgg(0.70)) == HOLD
    assert verdict("B2", vgg(0.85), vgg(0.70)) == FAIL


def test_arithmetic_verdicts():
    corrected = {c for c in claims.LEDGER if c[0] == "A"} & {
        c for c in claims.LEDGER if claims.judge(c, []).verdict == claims.CORRECTED
    }
    assert corrected == {"A1", "A5", "A8", "A9", "A11"}
    ours = {c: claims.judge(c, []).ours for c in claims.LEDGER if c[0] == "A"}
    assert "27" in ours["A2"] and "98.02%" in ours["A3"] and "20 to 34" in ours["A3"]
    assert "95.98%" in ours["A3"] and ours["A4"] == "0.4537%"
    assert "9.8e-04" in ours["A5"] and "20 deletions" in ours["A5"] and "56" in ours["A6"]
    assert "34.3%, 8.0%, 1.5%" in ours["A7"]
    assert "1.87%" in ours["A8"] and "0.012%" in ours["A8"]
    assert "99.34%" in ours["A9"] and "0.53%" in ours["A9"]


def test_the_ledger_is_whole():
    expected = [("A", 12), ("B", 15), ("L", 3)]
    assert list(claims.LEDGER) == [f"{c}{i + 1}" for c, count in expected for i in range(count)]


def test_a_report_separates_recorded_from_live():
    text = claims.report(["A4", "B2"], [vgg(0.9)], [vgg(0.5)])
    head, line, a4, b2 = text.split("\n")
    assert a4.count("|") == b2.count("|") == head.count("|") == line.count("|")
    recorded, here = b2.split("<br>Here: ")
    assert "**reproduced**" in recorded and "90.0%" in recorded
    assert claims.live("**not reproduced**: the least error")[:-7] in here and "50.0%" in here
    assert "live" not in a4


def test_unknown_claim():
    with pytest.raises(KeyError, match="'Z1'.*A1"):
        claims.judge("Z1", [])


def test_product_shares_are_the_papers_product():
    shares = claims.gradients.product_shares(np.arange(4), np.array([1, 0.5, 0.25, 0.125]), 3)
    # C(3, k) / 2^k = 1, 3/2, 3/4, 1/8
    assert shares == pytest.approx(np.array([8, 12, 6, 1]) / 27)
    assert paths.lengths(3) == [1, 3, 3, 1]


def test_welch():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 9.0])
    # t = 3 / sqrt(1/3 + 13/3); degrees of freedom by Welch and Satterthwaite.
    t, freedom = 3 / np.sqrt(14 / 3), (14 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (13 / 3) ** 2 / 2)
    assert claims.training.welch(a, b) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9)


@pytest.mark.filterwarnings("error")
def test_welch_where_seeds_agree():
    same = np.array([0.5, 0.5, 0.5])
    assert claims.training.welch(same, same) == 1
    assert claims.training.welch(same, same + 0.1) == 0
    assert 0 < claims.training.welch(same, np.array([0.5, 0.6, 0.7])) < 1
