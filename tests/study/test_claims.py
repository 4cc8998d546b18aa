"""The ledger's rules: rows made by hand on either side of every threshold."""

import itertools
from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from helpers import combinatorics
from study import claims
from study.claims.rows import DEFAULTS, Missing, by_recipe, matching, pairs, select, several
from study.records import store
from study.training.recipes import TrainConfig

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


def deletion(cost=0.002, worst=0.002, down=0.08, intact=0.06, **config):
    """54 modules: 3 of the ordinary ones at `worst`, the others at `cost`; all in shares."""
    errors = np.full(54, intact + cost)
    errors[:3] = intact + worst
    errors[[18, 36]] = intact + down
    value = {"intact": intact, "errors": errors.tolist(), "downsampling": [18, 36]}
    return row("deletion", value, **config)


def imagenet(classes=1000, dataset="folder:imagenet", **costs):
    """The network and the data of Figure 4."""
    found = deletion(**costs, model="resnet200", dataset=dataset)
    found["value"]["classes"] = classes
    return found


def stochastic(**costs):
    """Two networks, the second trained with stochastic depth: its costs.

    Of 52 ordinary modules of the first 3 cost 15 pt, 49 cost 2 pt; downsampling ones 20 pt."""
    costs = {"cost": 0.02, "worst": 0.15, "down": 0.20} | costs
    return [deletion(cost=0.02, worst=0.15, down=0.20), deletion(**costs, survival=0.5)]


def vgg(least, **config):
    errors = [0.9] * 12 + [least]
    value = {"intact": 0.07, "errors": errors, "downsampling": []}
    return row("deletion", value, **{"model": "vgg15"} | config)


def deletions(medians, **config):
    """Three draws around each median for k = 1..20."""
    errors = [[m - 0.01, m, m + 0.02] for m in medians]
    value = {"deleted": list(range(1, 21)), "errors": errors, "intact": 0.06}
    return row("random_deletions", value, **config)


def reordering(error_at, **config):
    """Eight orders in each bin of tau from 0.70 to 0.95."""
    tau = np.repeat(np.arange(0.70, 0.99, 0.05), 8) + 0.02
    value = {"swaps": [1] * len(tau), "tau": tau.tolist(), "errors": error_at(tau).tolist()}
    return row("reordering", value | {"intact": 0.06}, **config)


def sampled(norm, up_to=54, **config):
    lengths = list(range(1, up_to + 1))
    value = {"lengths": lengths, "mean": [norm(k) for k in lengths], "modules": 54}
    return row("sampled_norms", value, samples=1000, **config)


def shares_at(at):
    """Shares of lengths 0 to 54, from those that are not zero."""
    shares = np.zeros(55)
    shares[list(at)] = list(at.values())
    return shares.tolist()


def exact(at, **config):
    return row("by_length", {"shares": shares_at(at), "norms": [1.0] * 55}, **config)


def gates(below, above=54, start=0.01, gate=0.1):
    """A highway network whose first gates are at `gate`, the others, up to 54, half open."""
    value = {"mean": [gate] * below + [0.5] * (above - below), "start": start}
    return row("gates", value, model="highway")


def start(at, **config):
    """The gradient over training: shares before training, and long paths alone after it."""
    value = {"iterations": [0, 64_000], "shares": [shares_at(at), shares_at({54: 1})]}
    return row("dynamics", value, samples=64, **config)


def course(*means):
    """The gradient over training, by its mean length at one time after the other."""
    shares = [shares_at({int(m): 1 - m % 1, int(m) + 1: m % 1}) for m in means]
    value = {"iterations": [100 * i for i in range(len(means))], "shares": shares}
    return row("dynamics", value, samples=64)


def scaling(start, end, scales_only, weights_only):
    names = ("start", "end", "scales_only", "weights_only")
    values = (start, end, scales_only, weights_only)
    return row("scaling", dict(zip(names, values, strict=True)), samples=64)


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
    ("B3", HOLD, [deletion(worst=0.05), deletion(worst=0.14)]),
    ("B3", FAIL, [deletion(worst=0.05), deletion(worst=0.16)]),
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
    ("B10", HOLD, [sampled(lambda k: 0.25**k), exact({10: 1.0})]),
    ("B10", FAIL, [sampled(lambda k: 1.0), exact({10: 1.0})]),
    ("B11", HOLD, [sampled(lambda k: 0.2**k), exact({10: 1.0})]),
    ("B11", FAIL, [sampled(lambda k: 1.0), exact({10: 1.0})]),
    # Opposite shares beyond 20 must not cancel.
    ("B11", FAIL, [sampled(lambda k: 0.2**k), exact({10: 1.0, 25: 0.02, 26: -0.02})]),
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
    # The two downsampling modules gain 20 pt together: others may lose 20, and none gain 10.
    ("B13", HOLD, stochastic(down=0.10)),
    ("B13", HOLD, stochastic(down=0.10, cost=0.024)),
    ("B13", FAIL, stochastic(down=0.10, cost=0.0241)),
    ("B13", HOLD, stochastic(down=0.10, worst=0.051)),
    ("B13", FAIL, stochastic(down=0.10, worst=0.049)),
    ("B13", FAIL, stochastic()),
    ("B14", HOLD, [gates(28)]),
    ("B14", FAIL, [gates(27)]),
    ("B14", HOLD, [gates(54, gate=0.49)]),
    ("B14", FAIL, [gates(54, gate=0.5)]),
    ("B14", HOLD, [gates(54, gate=0.40), gates(54, gate=0.55)]),
    ("B14", FAIL, [gates(54, gate=0.40), gates(54, gate=0.65)]),
    ("B15", HOLD, [imagenet(worst=0.09)]),
    ("B15", FAIL, [imagenet(worst=0.11)]),
    ("B15", FAIL, [imagenet(cost=0.011)]),
    ("B15", FAIL, [imagenet(down=0.001)]),
    ("B15", FAIL, [imagenet(down=0.51)]),
    ("L1", HOLD, [start({26: 0.51, 27: 0.49})]),
    ("L1", FAIL, [start({26: 0.5, 27: 0.5})]),
    # A mean length of 26.75 and of 27, most of the weight below either.
    ("L1", HOLD, [start({18: 0.75, 53: 0.25})]),
    ("L1", FAIL, [start({18: 0.75, 54: 0.25})]),
    # Magnitudes count: 1.4 of 2 below, although only 0.4 of 1 by signed shares.
    ("L1", HOLD, [start({5: 0.9, 10: -0.5, 30: 0.6})]),
    ("L1", FAIL, [start({5: 0.6, 30: 1.0, 40: -0.6})]),
    ("L1", HOLD, [start({10: 1.0}), start({30: 0.9, 10: 0.1})]),
    ("L1", FAIL, [start({10: 1.0}), start({54: 0.9, 10: 0.1})]),
    ("L2", HOLD, [course(5, 5.25, 5.5, 6)]),
    ("L2", FAIL, [course(5, 5.25, 5.5, 5.75)]),
    ("L2", FAIL, [course(9, 8, 7, 6)]),
    # Ranks of ten: squared differences of 16 make 0.903, of 18 make 0.891.
    ("L2", HOLD, [course(3, 2, 1, 4, 5, 6, 9, 8, 7, 10)]),
    ("L2", FAIL, [course(4, 2, 3, 1, 5, 6, 7, 8, 9, 10)]),
    ("L2", HOLD, [course(5, 6, 7, 8), course(5, 4.5, 4, 5)]),
    ("L2", FAIL, [course(5, 6, 7, 8), course(5, 4, 3, 1)]),
    ("L3", HOLD, [scaling(5, 9, 7, 7)]),
    ("L3", FAIL, [scaling(5, 9, 7, 7.01)]),
    ("L3", FAIL, [scaling(5, 9, 6.99, 7)]),
    ("L3", HOLD, [scaling(5, 9, 9, 9)]),
    ("L3", HOLD, [scaling(5, 9, 5, 5)]),
    # The way may lead down; without a way nothing covers it.
    ("L3", HOLD, [scaling(9, 5, 7, 7)]),
    ("L3", FAIL, [scaling(9, 5, 7.01, 7)]),
    ("L3", FAIL, [scaling(5, 5, 7, 3)]),
    ("L3", HOLD, [scaling(5, 9, 9, 5), scaling(5, 9, 5, 9)]),
    ("L3", FAIL, [scaling(5, 9, 9, 5), scaling(5, 9, 4.9, 9)]),
]


@pytest.mark.parametrize(("claim", "expected", "rows"), CASES)
def test_a_rule_decides_at_its_threshold(claim, expected, rows):
    assert verdict(claim, *rows) == expected


@pytest.mark.parametrize("claim", [c for c in claims.LEDGER if not c.startswith("A")])
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
    assert verdict("B11", sampled(lambda k: 0.2**k, up_to=30), exact({10: 1})) == claims.NOT_RUN

    assert verdict("B15", deletion()) == claims.NOT_RUN
    assert verdict("B3", imagenet()) == claims.NOT_RUN
    # The network of Figure 4 is not enough: small pictures, other folders, rows that do not say.
    assert verdict("B15", imagenet(dataset="cifar10")) == claims.NOT_RUN
    assert verdict("B15", imagenet(classes=10)) == claims.NOT_RUN
    assert verdict("B15", deletion(model="resnet200", dataset="folder:a")) == claims.NOT_RUN
    assert verdict("B15", imagenet(dataset="digits")) == claims.NOT_RUN
    # A value may be a number.
    assert verdict("B15", row("loss", 0.5, dataset="folder:a")) == claims.NOT_RUN
    assert verdict("B14", row("gates", gates(54)["value"])) == claims.NOT_RUN
    assert verdict("L1", start({10: 1}, active=23)) == claims.NOT_RUN
    assert verdict("B13", *stochastic(down=0.1)[:1]) == claims.NOT_RUN
    assert verdict("B13", *stochastic(down=0.1)[1:]) == claims.NOT_RUN
    assert verdict("B13", deletion(), deletion(survival=0.8)) == claims.NOT_RUN


def powers(factor, **config):
    return [sampled(lambda k: factor**k, **config)]


VARIANTS = [
    ("B1", lambda **c: [trained(0.061, **c)], {"shortcuts": "projection"}),
    ("B3", lambda **c: [deletion(**c)], {"shortcuts": "projection"}),
    ("B6", lambda **c: [deletions(rising(0.45), **c)], {"spare_downsampling": True}),
    ("B8", lambda **c: [reordering(lambda tau: 1.2 - 1.2 * tau, **c)], {"survival": 0.5}),
    ("B9", lambda **c: powers(0.3, **c), {"at_image": True}),
    ("B9", lambda **c: powers(0.3, **c), {"batch_statistics": True}),
    ("B10", lambda **c: [*powers(0.25, **c), exact({10: 1}, **c)], {"at_image": True}),
    ("L1", lambda **c: [start({10: 1}, **c)], {"batch_statistics": True}),
    ("L1", lambda **c: [start({10: 1}, **c)], {"shortcuts": "projection"}),
    # Other settings of the training are another recipe: no seeds of this one.
    ("B1", lambda **c: [trained(0.061, **c)], {"learning_rate": 0.05}),
    ("B2", lambda **c: [vgg(0.9, **c)], {"weight_decay": 0.0}),
    ("B3", lambda **c: [deletion(**c)], {"batch_size": 64}),
    ("B6", lambda **c: [deletions(rising(0.45), **c)], {"momentum": 0.0}),
    ("B12", lambda **c: [trained(0.06, m, **c) for m in (0, 23) * 3], {"learning_rate": 0.2}),
]


@pytest.mark.parametrize(("claim", "make", "variant"), VARIANTS)
def test_rows_of_a_variant_do_not_decide(claim, make, variant):
    """Nor do they weigh in where there are others."""
    usual, other = make(), make(**variant)
    assert verdict(claim, *other) == claims.NOT_RUN
    assert verdict(claim, *make(**{name: DEFAULTS[name] for name in variant})) == HOLD
    behind = claims.judge(claim, [*other, *usual, *other]).rows
    assert behind and all(r in usual for r in behind)


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


# Which rows decide.


def test_of_a_network_measured_twice_the_last_row_counts():
    early, late = vgg(0.9), vgg(0.5)
    late["seed"] = early["seed"]
    assert verdict("B2", early, late) == FAIL and verdict("B2", late, early) == HOLD
    late["seed"] += 1
    assert matching([early, late], "deletion", **claims.PLAIN) == [early, late]


def test_rows_of_other_data_are_of_another_network():
    one, other = vgg(0.9), vgg(0.9, dataset="digits")
    other["seed"] = one["seed"]
    assert len(matching([one, other], "deletion", **claims.PLAIN)) == 2


def test_a_setting_that_may_be_anything():
    rows = [deletion(), deletion(survival=0.5), vgg(0.9), trained(0.1)]
    assert matching(rows, "deletion", **claims.FULL) == rows[:1]
    assert matching(rows, "deletion", **claims.FULL | {"survival": None}) == rows[:2]
    assert matching(rows, "deletion", model=None) == [rows[0], rows[2]]
    assert matching(rows, "training", model=None) == rows[3:]


SHORT = {"recipe": "compact", "iterations": 1560}
LONGER = {"recipe": "compact", "iterations": 5850}


@pytest.mark.parametrize(
    "longer, shorter",
    [
        ({}, LONGER),
        (LONGER, SHORT),
        (SHORT, SHORT | {"depth": 20}),
        (LONGER | {"depth": 20}, SHORT),
        (SHORT | {"iterations": 10_000}, SHORT | {"iterations": 9000}),
    ],
)
def test_the_longest_training_decides_alone(longer, shorter):
    """Whatever comes first; the mean of both would decide otherwise."""
    good, bad = vgg(0.81, **longer), vgg(0.5, **shorter)
    assert verdict("B2", good, bad) == verdict("B2", bad, good) == HOLD
    assert select([bad, good], "deletion", "VGG", **claims.PLAIN) == [good]
    assert claims.example([bad, good], "deletion", **claims.PLAIN) == good


def test_networks_that_differ_in_their_seeds_alone_are_one_group():
    rows = [vgg(0.9, **c) for c in (SHORT, {}, SHORT, LONGER)]
    assert by_recipe(rows) == [[rows[1]], [rows[3]], [rows[0], rows[2]]]


def test_what_is_missing_is_said():
    with pytest.raises(Missing, match="^no rows of a thing$"):
        select([vgg(0.9)], "deletion", "a thing", **claims.FULL)


def test_pairs_were_trained_alike():
    """By the longest recipe that both kinds have; longer ones of one kind do not matter."""
    plain = [deletion(), deletion(**LONGER), deletion(**SHORT), deletion(**SHORT)]
    other = [deletion(survival=0.5, **c) for c in (SHORT, LONGER)]
    kinds = (claims.FULL, claims.STOCHASTIC)
    assert pairs(plain + other, "deletion", *kinds) == ([plain[1]], [other[1]])
    assert pairs(plain + other[:1], "deletion", *kinds) == (plain[2:], other[:1])
    with pytest.raises(Missing, match="no rows of deletion with 1 or more seeds of both kinds"):
        pairs([plain[0], *other], "deletion", *kinds)


def test_a_pair_may_need_two_learning_rates():
    """Without batch norm a network learns at its own rate only: it is compared all the same."""
    rows = [deletion(**SHORT), vgg(0.9, model="vgg15-plain", learning_rate=0.05, **SHORT)]
    plain = {"model": "vgg15-plain", "learning_rate": 0.05}
    assert pairs(rows, "deletion", claims.FULL, plain) == (rows[:1], rows[1:])


def test_the_defaults_are_those_of_a_training():
    """A setting that is not given makes no variant."""
    settings = {field.name: field.default for field in fields(TrainConfig)}
    both = DEFAULTS.keys() & settings.keys()
    assert {name: settings[name] for name in both} == {name: DEFAULTS[name] for name in both}
    # Rows are grouped by these; every rule asks for a model, and averages over seeds.  "auto" is
    # another precision on another device, so precision tells no recipes apart.
    grouped = {"dataset", "depth", "recipe", "iterations"}
    assert settings.keys() - both == grouped | {"model", "seed", "precision"}


def test_pairs_have_enough_seeds_of_both_kinds():
    every = [trained(0.06, **c) for c in [{}] * 3 + [LONGER] * 4 + [SHORT] * 3]
    some = [trained(0.06, 23, **c) for c in [{}] * 2 + [LONGER] * 3 + [SHORT] * 3]
    kinds = (claims.FULL, claims.FULL | {"active": 23})
    assert pairs(every + some, "training", *kinds) == (every[:3], some[:2])
    assert pairs(every + some, "training", *kinds, least=3) == (every[3:7], some[2:5])
    with pytest.raises(Missing, match="with 4 or more seeds"):
        pairs(every + some, "training", *kinds, least=4)


def test_two_recipes_do_not_make_three_seeds():
    rows = [trained(0.06, m, **c) for m in (0, 23) for c in (SHORT, SHORT, LONGER)]
    assert verdict("B12", *rows) == claims.NOT_RUN
    extra = [trained(0.06, m, **SHORT) for m in (0, 23)]
    assert verdict("B12", *rows, *extra) == HOLD


def test_the_example_is_the_first_seed():
    rows = [vgg(0.9), vgg(0.8)]
    assert claims.example(rows[::-1], "deletion", **claims.PLAIN) == rows[0]
    assert claims.example(rows, "deletion", **claims.FULL) is None


def test_examples_end_where_a_kind_is_missing():
    """Drawn by their order, those after it would be taken for another kind."""
    one, other = deletion(), vgg(0.9)
    kinds = (claims.FULL, claims.PLAIN)
    assert claims.examples([other, one], "deletion", *kinds) == [one, other]
    assert claims.examples([one], "deletion", *kinds) == [one]
    assert claims.examples([other], "deletion", *kinds) == []


def test_matched_examples_are_the_first_seeds_of_a_pair():
    rows = [deletion(), *(deletion(survival=s, **SHORT) for s in (1.0, 0.5, 1.0, 0.5))]
    kinds = (claims.FULL, claims.STOCHASTIC)
    assert claims.matched(rows[::-1], "deletion", *kinds) == [rows[1], rows[2]]
    assert claims.matched(rows[:2], "deletion", *kinds) == []


def test_a_number_and_what_it_counts():
    assert [several(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]


# What is told.


def test_the_basis_names_samples_and_recipe():
    assert claims.judge("B2", [vgg(0.9)]).basis() == "13 layers, 1 network; the paper's recipe"
    short = claims.judge("B2", [vgg(0.9, **SHORT), vgg(0.9, **SHORT)])
    assert short.basis() == "13 layers, 2 networks; short recipe, 1,560 iterations"
    assert claims.sentence(short).endswith(
        "a deletion is 90.0% (13 layers, 2 networks; short recipe, 1,560 iterations)"
    )
    both = claims.judge("B10", [*powers(0.25, **SHORT), exact({10: 1})])
    assert both.basis() == (
        "1000 paths a length; short recipe, 1,560 iterations; the paper's recipe"
    )


def test_arithmetic_has_no_basis():
    found = claims.judge("A4", [])
    assert found.basis() == "" and claims.sentence(found) == "**reproduced**: 0.4537%"


def test_the_rows_behind_a_verdict():
    """Of both kinds, where two are compared; none that did not count."""
    rows = [*stochastic(down=0.1), vgg(0.9), *stochastic(down=0.1)]
    assert claims.judge("B13", rows).rows == (rows[0], rows[3], rows[1], rows[4])
    assert claims.judge("B2", rows).rows == (rows[2],)
    assert claims.judge("B14", rows).rows == ()


# The first rows that each claim holds on; those of L2 serve L1 as well.
FIRST = {claim: rows for claim, expected, rows in reversed(CASES) if expected == HOLD}
EVERYTHING = [r for claim, rows in FIRST.items() if claim != "L1" for r in rows]


@pytest.mark.parametrize("kind", "ABL")
@pytest.mark.parametrize("rows", [[], EVERYTHING])
def test_the_scorecard_has_a_line_for_each_claim(kind, rows):
    head, line, *lines = claims.scorecard(kind, rows).split("\n")
    expected = [c for c in claims.LEDGER if c.startswith(kind)]
    assert [line.split("**")[1] for line in lines] == expected
    assert {text.count("|") for text in (head, line, *lines)} == {5}
    for claim, text in zip(expected, lines, strict=True):
        entry, found = claims.LEDGER[claim], claims.judge(claim, rows)
        says, paper, ours, verdict = (cell.strip() for cell in text.strip("|").split("|"))
        assert says == f"**{claim}** ({entry.where}): {entry.says}<br>*Rule*: {entry.rule}"
        assert paper == entry.paper
        basis = found.basis()
        assert ours == (f"{found.ours}<br>*{basis}*" if basis else found.ours)
        role = "doc" if entry.figure.startswith("notebooks/") else "numref"
        assert verdict == f"**{found.verdict}**<br>{{{role}}}`{entry.figure}`"


def test_figures_are_pages_or_labels():
    for claim, entry in claims.LEDGER.items():
        assert entry.figure.startswith(("notebooks/", "fig-")), claim


def test_every_claim_is_counted_once():
    nothing = {HOLD: 7, claims.CORRECTED: 5, FAIL: 0, claims.NOT_RUN: 18}
    assert claims.counts([]) == nothing
    found = claims.counts([vgg(0.9)])
    assert found == nothing | {HOLD: 8, claims.NOT_RUN: 17}
    assert sum(claims.counts(EVERYTHING).values()) == len(claims.LEDGER)
    assert claims.counts([vgg(0.5)])[FAIL] == 1


def recorded(experiment):
    """A row with all that `results.provenance` tells."""
    fields = dict.fromkeys(store.FIELDS, "x") | {"experiment": experiment, "seconds": 1.0}
    return store.row(**fields | {"config": {}, "samples": 3})


def test_sources_say_where_the_numbers_come_from():
    a, b, c = (recorded(name) for name in "abc")
    opening, lines, closing = claims.sources([a, None, b], [c]).split("\n\n")
    assert lines.split("<br>") == [
        f"Recorded: {store.provenance(a)}",
        f"Recorded: {store.provenance(b)}",
        claims.live(f"Here: {store.provenance(c)}"),
    ]
    # Folded away, but what is inside can be told without unfolding it.
    said = "Where these numbers come from: 2 rows recorded, 1 row live"
    assert (opening, closing) == (f"<details><summary>{said}</summary>", "</details>")
    assert "1 row recorded</summary>" in claims.sources([a], [])
    assert claims.sources([None], []) == ""


def test_a_report_judges_each_claim_from_the_recorded_rows():
    head, line, a4, b2 = claims.report(["A4", "B2"], [vgg(0.5)]).split("\n")
    assert a4.count("|") == b2.count("|") == head.count("|") == line.count("|")
    assert "**not reproduced**: the least error" in b2 and "50.0%" in b2
    assert "**reproduced**" in a4 and "0.4537%" in a4


def test_unknown_claim():
    with pytest.raises(KeyError, match="'Z1'.*A1"):
        claims.judge("Z1", [])


def test_product_shares_are_the_papers_product():
    shares = claims.gradients.product_shares(np.arange(4), np.array([1, 0.5, 0.25, 0.125]), 3)
    # C(3, k) / 2^k = 1, 3/2, 3/4, 1/8
    assert shares == pytest.approx(np.array([8, 12, 6, 1]) / 27)
    assert combinatorics.counts_by_length(3) == [1, 3, 3, 1]


def test_welch():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 9.0])
    # t = 3 / sqrt(1/3 + 13/3); degrees of freedom by Welch and Satterthwaite.
    t, freedom = 3 / np.sqrt(14 / 3), (14 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (13 / 3) ** 2 / 2)
    assert claims.training.welch(a, b) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sizes", [(1, 1), (1, 3), (3, 1)])
def test_welch_of_a_single_seed_is_no_number(sizes):
    a, b = (np.linspace(0.1, 0.2, size) + i for i, size in enumerate(sizes))
    assert np.isnan(claims.training.welch(a, b))


@pytest.mark.filterwarnings("error")
def test_welch_where_seeds_agree():
    same = np.array([0.5, 0.5, 0.5])
    assert claims.training.welch(same, same) == 1
    assert claims.training.welch(same, same + 0.1) == 0
    assert 0 < claims.training.welch(same, np.array([0.5, 0.6, 0.7])) < 1


def test_spread_over_seeds():
    """Mean and standard deviation with n - 1: of 1, 2, 3 it is 1."""
    assert claims.rows.spread([1.0, 2.0, 3.0], "%") == "2.00 ± 1.00%"
    assert claims.rows.spread(np.array([6.1])) == "6.10"


def test_runs_are_those_of_the_longest_recipe_by_their_seeds():
    rows = [
        start({10: 1}, iterations=length) | {"seed": s} for length, s in ((9, 2), (5, 0), (9, 1))
    ]
    found = claims.runs(rows, "dynamics", **claims.FULL)
    assert [(r["config"]["iterations"], r["seed"]) for r in found] == [(9, 1), (9, 2)]
    assert claims.example(rows, "dynamics", **claims.FULL) == found[0]
    assert claims.runs(rows, "scaling", **claims.FULL) == []


def test_courses_of_training_are_told_with_their_spread():
    rows = [course(*means) | {"seed": s} for s, means in enumerate(((5, 4), (7, 4)))]
    found = claims.judge("L2", rows)
    assert (
        found.ours == "mean length 6.00 ± 1.41 before, 4.00 ± 0.00 after training, Spearman -1.00"
    )
    assert found.samples == "2 times, 64 images, 2 networks"
    assert claims.judge("L1", rows).ours.endswith("mean length 6.00 ± 1.41")
    one = claims.judge("L1", rows[:1])
    assert one.ours.endswith("mean length 5.00") and one.samples == "64 images, 1 network"


def test_compared_networks_are_paired_by_seed():
    rows = []
    for seed, every, some in ((3, 0.06, 0.08), (1, 0.05, 0.07), (2, 0.04, None), (0, None, 0.09)):
        rows += [trained(every) | {"seed": seed}] if every else []
        rows += [trained(some, 23) | {"seed": seed}] if some else []
    rows += [trained(0.5, **SHORT) | {"seed": 1}, trained(0.5, 20) | {"seed": 1}]
    errors, found = claims.training.compared(rows, 23)
    assert errors == {"all 54 modules": [0.05, 0.06], "23 of 54 modules": [0.07, 0.08]}
    assert list(errors) == ["all 54 modules", "23 of 54 modules"]
    assert [(r["seed"], r["config"]["active"]) for r in found] == [(1, 0), (3, 0), (1, 23), (3, 23)]


def test_networks_are_compared_for_each_length_of_training():
    rows = [trained(e, m) | {"seed": 0} for e, m in ((0.06, 0), (0.08, 23))]
    short = [trained(e, m, **SHORT) for e, m in ((0.2, 0), (0.5, 23))]
    rows += [r | {"seed": seed} for r in short for seed in (1, 2)]
    (first, (long, _)), (second, (short, *_)) = (
        (errors, found[:2]) for errors, found in claims.training.comparisons(rows, 23)
    )
    assert first == {"all 54 modules": [0.06], "23 of 54 modules": [0.08]}
    assert second == {"all 54 modules": [0.2, 0.2], "23 of 54 modules": [0.5, 0.5]}
    # Where one is to be shown, that of most seeds, as the rule asks for.
    assert claims.training.compared(rows, 23)[0] == second
    table = claims.training.by_length_of_training(rows, 23).split("\n")
    assert [cell.strip() for cell in table[0].split("|")[2:4]] == list(first)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:]]
    recipe = claims.rows.recipe
    updates = [
        f"{steps:,} and {round(steps * 23 / 54):,}"
        for steps in (row["config"]["iterations"] for row in (short, long))
    ]
    assert cells == [
        [recipe(short), "20.00 ± 0.00%", "50.00 ± 0.00%", "30.00 pt", updates[0], "2 seeds"],
        [recipe(long), "6.00%", "8.00%", "2.00 pt", updates[1], "1 seed"],
    ]
    assert cells[0][0] != cells[1][0]


def test_nothing_to_compare():
    assert claims.training.by_length_of_training([trained(0.06)], 23) == ""
    assert claims.training.compared([trained(0.06), trained(0.07, 20)], 23) == ({}, [])


def test_mean_length_of_all_paths_is_half_the_modules():
    assert claims.dynamics.mean_length(combinatorics.length_shares(54)) == pytest.approx(27)
    found = claims.dynamics.mean_length([[0.5, 0, 0.5], [0, 2, -1]])
    assert found.tolist() == [1, 0]


def test_share_curves():
    """Three modules; norms that halve with each, from length 1 on where paths were sampled."""
    sampled_norms = {"lengths": [1, 2, 3], "mean": [0.5, 0.25, 0.125], "modules": 3}
    signed = {"rms": [1, 0.5, 0.25, 0.125]}
    curves = claims.gradients.share_curves(sampled_norms, signed, {"shares": [0.5, 0.75, -0.25, 0]})
    found = {name: (k.tolist(), values) for name, (k, values) in curves.items()}
    (_, paper), (_, rms), (_, shares) = found.items()
    assert [name.split()[2] for name in list(found)[:2]] == ["mean", "RMS"]
    # C(3, k) / 2^k is 1, 3/2, 3/4, 1/8: 8, 12, 6, 1 of 27, without length 0 of 19.
    assert paper == ([1, 2, 3], pytest.approx(np.array([12, 6, 1]) / 19))
    assert rms == ([0, 1, 2, 3], pytest.approx(np.array([8, 12, 6, 1]) / 27))
    assert shares == ([0, 1, 2, 3], pytest.approx([0.5, 0.75, -0.25, 0]))


def test_decay_is_a_line_through_what_arrived():
    """A tenth each module, where any gradient arrived at all."""
    fit = claims.gradients.decay({"lengths": [0, 1, 2, 3, 4], "mean": [9.0, 0.1, 0.01, 0.0, 1e-4]})
    assert (fit.slope, fit.intercept) == (pytest.approx(-1), pytest.approx(0))
    assert fit.rvalue**2 == pytest.approx(1)


def test_a_network_tested_in_two_ways_counts_once():
    once = trained(0.061)
    other_way = {"test_precision": "float32", "images": 2000, "n_statistics": 128}
    again = once | {"config": once["config"] | other_way}
    assert len(claims.rows.matching([once, again], "training", **claims.FULL)) == 1


def test_training_without_a_common_seed_compares_nothing():
    rows = [trained(0.06), trained(0.07, 23)]
    assert claims.training.compared(rows, 23) == ({}, [])
