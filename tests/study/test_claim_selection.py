"""Which rows a claim is judged from."""

from dataclasses import fields

import numpy as np
import pytest

from study import claims
from study.claims.claim import Missing
from study.claims.rows import DEFAULTS, by_recipe, matching, pairs, same_recipe, select, stacked
from study.training.recipes import TrainConfig
from tests.claim_rows import SHORT, THIRD, course, deletion, exact, sampled, trained, vgg
from tests.rows import row

OTHER_SUM = {"weight_decay": 1e-5}


def small(seed=0, **config):
    """Single deletions, two ordinary modules."""
    return deletion([1, 2], seed=seed, **config)


@pytest.mark.parametrize(
    "experiment, make, variant",
    [
        ("training", lambda **c: trained(610, **c), {"shortcuts": "projection"}),
        ("training", lambda **c: trained(610, **c), {"active": 23}),
        ("deletion", small, {"survival": 0.5}),
        ("deletion", small, {"batch_size": 64}),
        ("deletion", small, {"momentum": 0.0}),
        ("sampled_norms", lambda **c: sampled(lambda k: 0.3**k, **c), {"at_image": True}),
        ("by_length", lambda **c: exact({10: 1}, **c), {"batch_statistics": True}),
        ("by_length", lambda **c: exact({10: 1}, **c), {"spare_downsampling": True}),
        ("by_length", lambda **c: exact({10: 1}, **c), {"decay_only": True}),
    ],
)
def test_rows_of_a_variant_do_not_decide(experiment, make, variant):
    """Nor do they weigh in where there are others."""
    usual, other = make(), make(**variant)
    assert matching([other], experiment, **claims.FULL) == []
    assert matching([other, usual, other], experiment, **claims.FULL) == [usual]
    said = make(**{name: DEFAULTS[name] for name in variant})
    assert matching([said], experiment, **claims.FULL) == [said]
    assert matching([usual, other], experiment, **claims.FULL | variant) == [other]


def test_the_defaults_are_those_of_a_training():
    """A setting that is not given makes no variant."""
    settings = {field.name: field.default for field in fields(TrainConfig)}
    both = DEFAULTS.keys() & settings.keys()
    assert {name: settings[name] for name in both} == {name: DEFAULTS[name] for name in both}


def test_of_a_network_measured_twice_the_last_row_counts():
    """However it was tested."""
    once = trained(610)
    other_way = {"test_precision": "float32", "images": 10_000, "n_statistics": 128}
    again = once | {"config": once["config"] | other_way}
    assert matching([once, again], "training", **claims.FULL) == [again]
    assert len(matching([once, trained(610, seed=1)], "training", **claims.FULL)) == 2
    digits = trained(610, dataset="digits")
    assert len(matching([once, digits], "training", **claims.FULL)) == 2


def test_networks_of_strangers_are_left_out():
    foreign = small() | {"config": {"model": "foreign/resnet56"}}
    assert matching([foreign], "deletion", model=None) == []
    assert claims.judge("B3", [foreign]).verdict == claims.NOT_RUN


def test_a_setting_that_may_be_anything():
    rows = [small(), small(survival=0.5), vgg(9000), trained(610)]
    assert matching(rows, "deletion", **claims.FULL) == rows[:1]
    assert matching(rows, "deletion", **claims.FULL | {"survival": None}) == rows[:2]
    assert matching(rows, "deletion", model=None) == [rows[0], rows[2]]


ORDER = [
    {},
    SHORT,
    THIRD,
    THIRD | {"depth": 56},
    OTHER_SUM,
    SHORT | {"weight_decay": 1e-4},
    {"dataset": "digits"},
    {"dataset": "digits"} | OTHER_SUM,
]


@pytest.mark.parametrize("first", range(len(ORDER) - 1))
def test_the_papers_data_then_its_decay_then_the_longest_training(first):
    """Whatever comes first."""
    better, worse = (vgg(8100, **ORDER[i]) for i in (first, first + 1))
    for rows in ([better, worse], [worse, better]):
        assert by_recipe(rows) == [[better], [worse]]
        assert select(rows, "deletion", "VGG", **claims.PLAIN) == [better]
        assert claims.example(rows, "deletion", **claims.PLAIN) == better


def test_networks_that_differ_in_their_seeds_alone_are_one_group():
    rows = [vgg(9000, seed=s, **c) for s, c in enumerate((SHORT, {}, SHORT, OTHER_SUM))]
    assert by_recipe(rows) == [[rows[1]], [rows[0], rows[2]], [rows[3]]]
    assert claims.runs(rows, "deletion", **claims.PLAIN) == [rows[1]]


def test_rows_of_old_and_new_rates_are_not_one_group():
    """The same decay sum, and a tenth of it."""
    assert same_recipe(trained(610, **SHORT), trained(610, **THIRD))
    assert not same_recipe(trained(610, **SHORT), trained(610, **SHORT | OTHER_SUM))
    assert not same_recipe(trained(610, **SHORT), trained(610))
    assert not same_recipe(trained(610), trained(610, depth=56))
    assert not same_recipe(trained(610), trained(610, dataset="digits"))


def test_a_rule_may_need_several_networks():
    """The longest training that has so many; where none has, the longest."""
    long, short = [small()], [small(s, **SHORT) for s in (2, 0, 1)]
    third = [small(s, **THIRD) for s in range(3)]
    ask = {"experiment": "deletion", "what": "it"} | claims.FULL
    assert select([*short, *third, *long], **ask) == long
    found = select([*short, *third, *long], least=3, **ask)
    assert [r["seed"] for r in found] == [0, 1, 2] and found[0] == short[1]
    assert select([*long, *short], least=4, **ask) == long
    # Three networks of another decay sum, or of other data, do not stand in for one.
    others = [small(s, **OTHER_SUM) for s in range(3)]
    others += [small(s, dataset="digits") for s in range(3)]
    assert select([*others, *long], least=3, **ask) == long


def test_what_is_missing_is_said():
    with pytest.raises(Missing, match="^no rows of a thing$"):
        select([vgg(9000)], "deletion", "a thing", **claims.FULL)


def test_pairs_were_trained_alike():
    """By the longest recipe that both kinds have; longer ones of one kind do not matter."""
    plain = [small(), small(**SHORT), small(**THIRD), small(1, **THIRD)]
    other = [small(survival=0.5, **c) for c in (THIRD, SHORT)]
    kinds = (claims.FULL, claims.STOCHASTIC)
    assert pairs(plain + other, "deletion", *kinds) == ([plain[1]], [other[1]])
    assert pairs(plain + other[:1], "deletion", *kinds) == (plain[2:], other[:1])
    with pytest.raises(Missing, match="no rows of deletion with 1 or more seeds of both kinds"):
        pairs([plain[0], *other], "deletion", *kinds)


def test_pairs_have_enough_seeds_of_both_kinds():
    counts = [({}, 3, 2), (SHORT, 4, 3), (THIRD, 3, 3)]
    every = [trained(600, seed=s, **c) for c, n, _ in counts for s in range(n)]
    some = [trained(600, 23, seed=s, **c) for c, _, n in counts for s in range(n)]
    kinds = (claims.FULL, claims.FULL | {"active": 23})
    assert pairs(every + some, "training", *kinds) == (every[:3], some[:2])
    assert pairs(every + some, "training", *kinds, least=3) == (every[3:7], some[2:5])
    with pytest.raises(Missing, match="with 4 or more seeds"):
        pairs(every + some, "training", *kinds, least=4)


def test_the_example_is_the_first_seed():
    rows = [vgg(9000, seed=0), vgg(8000, seed=1)]
    assert claims.example(rows[::-1], "deletion", **claims.PLAIN) == rows[0]
    assert claims.example(rows, "deletion", **claims.FULL) is None
    assert claims.runs(rows[::-1], "deletion", **claims.PLAIN) == rows
    assert claims.runs(rows, "scaling", **claims.FULL) == []


def test_examples_end_where_a_kind_is_missing():
    """Drawn by their order, those after it would be taken for another kind."""
    one, other = small(), vgg(9000)
    kinds = (claims.FULL, claims.PLAIN)
    assert claims.examples([other, one], "deletion", *kinds) == [one, other]
    assert claims.examples([one], "deletion", *kinds) == [one]
    assert claims.examples([other], "deletion", *kinds) == []


def test_matched_examples_are_the_first_seeds_of_a_pair():
    rows = [small(), *(small(s, survival=p, **SHORT) for s in (0, 1) for p in (1.0, 0.5))]
    kinds = (claims.FULL, claims.STOCHASTIC)
    assert claims.matched(rows[::-1], "deletion", *kinds) == [rows[1], rows[2]]
    assert claims.matched(rows[:2], "deletion", *kinds) == []


def test_stacked():
    rows = [small(), small(1)]
    assert stacked(rows, "errors").shape == (2, 4)
    assert stacked(rows, "intact") == pytest.approx(np.array([0.061, 0.061]))
    with pytest.raises(Missing, match="no rows that fit together: errors differ in their number"):
        stacked([*rows, deletion([1])], "errors")


def test_compared_networks_are_paired_by_seed():
    rows = [trained(w, seed=s) for s, w in ((3, 600), (1, 500), (2, 400))]
    rows += [trained(w, 23, seed=s) for s, w in ((3, 800), (1, 700), (0, 900))]
    rows += [trained(5000, seed=1, **SHORT), trained(5000, 20, seed=1)]
    errors, found = claims.ledger.training.compared(rows, 23)
    assert errors == {"all 54 modules": [0.05, 0.06], "23 of 54 modules": [0.07, 0.08]}
    assert list(errors) == ["all 54 modules", "23 of 54 modules"]
    assert [(r["seed"], r["config"]["active"]) for r in found] == [(1, 0), (3, 0), (1, 23), (3, 23)]


def test_networks_are_compared_for_each_length_of_training():
    training = claims.ledger.training
    rows = [trained(600), trained(800, 23)]
    rows += [trained(w, m, seed=s, **SHORT) for s in (1, 2) for w, m in ((2000, 0), (5000, 23))]
    (first, _), (second, _) = training.comparisons(rows, 23)
    assert first == {"all 54 modules": [0.06], "23 of 54 modules": [0.08]}
    assert second == {"all 54 modules": [0.2, 0.2], "23 of 54 modules": [0.5, 0.5]}
    # Where one is to be shown, that of most seeds, as the rule asks for.
    assert training.compared(rows, 23)[0] == second
    head, _, *lines = training.by_length_of_training(rows, 23).split("\n")
    assert [cell.strip() for cell in head.split("|")[2:4]] == list(first)
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines] == [
        ["compact recipe, 5,850 iterations", "20.00 ± 0.00%", "50.00 ± 0.00%", "30.00 pt"]
        + ["5,850 and 2,492", "2 seeds"],
        ["the paper's recipe", "6.00%", "8.00%", "2.00 pt", "64,000 and 27,259", "1 seed"],
    ]


def test_nothing_to_compare():
    training = claims.ledger.training
    assert training.by_length_of_training([trained(600)], 23) == ""
    assert training.compared([trained(600), trained(700, 20)], 23) == ({}, [])
    assert training.compared([trained(600), trained(700, 23, seed=1)], 23) == ({}, [])


def test_rows_that_name_no_recipe_are_shown_and_not_judged():
    value = {"mean_length": [0.5], "shares": [0.5]}
    start = row("start_of_training", value, samples=1)
    assert claims.judge("L1", [start, course({1: 1}, {1: 1})]).verdict == claims.REPRODUCED
