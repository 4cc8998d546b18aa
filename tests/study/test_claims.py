"""The ledger's rules: rows on either side of every threshold, as close as images can be counted."""

import numpy as np
import pytest

from helpers import combinatorics
from study import claims
from tests.claim_rows import (
    DOWN,
    N,
    course,
    deletion,
    deletions,
    exact,
    judged,
    means,
    ordinary,
    product,
    reordering,
    rising,
    sampled,
    scaling,
    three,
    trained,
    vgg,
)

HOLD, FAIL = claims.REPRODUCED, claims.NOT_REPRODUCED


def lesions(rule, *costs, **settings):
    """Three networks, each with costs of its own or all with the same."""
    each = costs if len(costs) == 3 else costs * 3
    return [deletion(c, seed=s, **settings) for s, c in enumerate(each)]


def steps(at, by, base=400, longer=0):
    """Medians that stay the same but for one step, `by` so many of 2,000 images at `at` to at + 1;
    `longer`: medians beyond twenty, far below."""
    return [base] * at + [base + by] * (20 - at) + [0] * longer


def line(amplitude):
    """Norms at lengths 1 to 4 around a line of slope -1 in log10.

    The signs +, -, -, + are at right angles to any line: R^2 is 5 / (5 + 4 amplitude^2)."""
    return sampled(lambda k: 10.0 ** (-k + amplitude * (1, -1, -1, 1)[k - 1]), range(1, 5))


def amplitude(r_squared):
    return np.sqrt(5 / 4 * (1 / r_squared - 1))


# A hundred modules of which so many cost little; a hundred and one that cost 0, 1, 2, ... images.
LADDER = list(range(101))
# Ten bins; squared rank differences of 16 make a Spearman of -0.903, of 18 -0.891.
RANKED = [DOWN[i] for i in (2, 1, 0, 3, 4, 5, 8, 7, 6, 9)]
UNRANKED = [DOWN[i] for i in (3, 1, 2, 0, 4, 5, 6, 7, 8, 9)]
OUTSIDE = {4: 0.05, 18: 0.05}

CASES = {
    "B1": [
        (HOLD, three(trained, 660)),
        (FAIL, three(trained, 661)),
        (HOLD, three(trained, 560)),
        (FAIL, three(trained, 559)),
        # The mean of the seeds, none of them alone.
        (HOLD, [trained(e, seed=s) for s, e in enumerate((520, 700, 700))]),
    ],
    "B2": [
        (HOLD, [vgg(8000)]),
        (FAIL, [vgg(7999)]),
        (HOLD, [vgg(9000), vgg(7000, seed=1)]),
        (FAIL, [vgg(8998), vgg(7000, seed=1)]),
    ],
    "B3": [
        (HOLD, lesions("B3", ordinary())),
        (FAIL, lesions("B3", ordinary(89, 11))),
        (FAIL, lesions("B3", ordinary(cost=100))),
        (FAIL, lesions("B3", ordinary(worst=1001))),
        # Medians over the networks: of the share that costs little, and of the worst.
        (HOLD, lesions("B3", ordinary(95, 5), ordinary(90, 10), ordinary(50, 50))),
        (FAIL, lesions("B3", ordinary(100, 0), ordinary(89, 11), ordinary(89, 11))),
        (HOLD, lesions("B3", *(ordinary(worst=w) for w in (500, 1000, 9000)))),
        (FAIL, lesions("B3", *(ordinary(worst=w) for w in (100, 1001, 1001)))),
        # What downsampling modules cost is no matter.
        (HOLD, lesions("B3", ordinary(), down=5000)),
    ],
    "B4": [
        (HOLD, lesions("B4", LADDER, down=91)),
        (FAIL, lesions("B4", LADDER, down=90)),
        (HOLD, lesions("B4", LADDER, down=4999)),
        (FAIL, lesions("B4", LADDER, down=5000)),
        (HOLD, [deletion(LADDER, seed=s, down=d) for s, d in enumerate((0, 91, 91))]),
        (FAIL, [deletion(LADDER, seed=s, down=d) for s, d in enumerate((90, 90, 9000))]),
    ],
    "B5": [
        (HOLD, three(deletions, steps(1, 299))),
        (FAIL, three(deletions, steps(1, 300))),
        (HOLD, three(deletions, steps(19, 299))),
        (FAIL, three(deletions, steps(19, 300))),
        (HOLD, three(deletions, steps(1, -10))),
        (FAIL, three(deletions, steps(1, -11))),
        (FAIL, three(deletions, steps(19, -11))),
        (HOLD, three(deletions, steps(10, 0, longer=1))),
        (HOLD, [deletions(steps(5, b), seed=s) for s, b in enumerate((-100, -10, 299))]),
        (FAIL, [deletions(steps(5, b), seed=s) for s, b in enumerate((-11, -11, 299))]),
        (FAIL, [deletions(steps(5, b), seed=s) for s, b in enumerate((300, 300, 0))]),
    ],
    "B6": [
        (HOLD, three(deletions, [0] * 9 + [200] + [900] * 10)),
        (FAIL, three(deletions, [210] * 9 + [199] + [210] * 10)),
        (HOLD, three(deletions, [900] * 9 + [600] + [900] * 10)),
        (FAIL, three(deletions, [590] * 9 + [601] + [590] * 10)),
        (HOLD, [deletions([m] * 20, seed=s) for s, m in enumerate((0, 600, 1900))]),
    ],
    "B7": [
        (HOLD, three(deletions, rising(400, 800))),
        (FAIL, three(deletions, rising(400, 799))),
        (FAIL, three(deletions, rising(399, 799))),
        (HOLD, three(deletions, rising(450, 900))),
        (FAIL, three(deletions, rising(450, 899))),
        (HOLD, [deletions(rising(400, t), seed=s) for s, t in enumerate((500, 800, 800))]),
    ],
    "B8": [
        (HOLD, three(reordering, RANKED)),
        (FAIL, three(reordering, UNRANKED)),
        # Of five bins with two neighbours exchanged, -0.9 exactly.
        (HOLD, three(reordering, [1000, 900, 800, 600, 700], orders=10)),
        (HOLD, three(reordering, [800, 500, 200], orders=17)),
        (FAIL, three(reordering, [801, 500, 200], orders=17)),
        (FAIL, three(reordering, [800, 500, 199], orders=17)),
        (FAIL, three(reordering, [200, 500, 800], orders=17)),
        (FAIL, three(reordering, [500, 500, 500], orders=17)),
        (HOLD, [reordering(m, seed=s) for s, m in enumerate((RANKED, RANKED, UNRANKED))]),
        (FAIL, [reordering(m, seed=s) for s, m in enumerate((RANKED, UNRANKED, UNRANKED))]),
    ],
    "B9": [
        (HOLD, [line(amplitude(0.9501))]),
        (FAIL, [line(amplitude(0.9499))]),
        (HOLD, [sampled(lambda k: 0.3**k if k < 40 else 0.0)]),
        (FAIL, [sampled(lambda k: 1 / k)]),
        # A path of no module is no further from the line than it likes to be.
        (HOLD, [sampled(lambda k: 0.3**k or 0.0 if k else 1e9, range(N + 1))]),
    ],
    "B10": [
        (HOLD, [product({5: 0.45, 17: 0.45} | OUTSIDE), exact({10: 1})]),
        (FAIL, [product({5: 0.45, 17: 0.449, 30: 0.001} | OUTSIDE), exact({10: 1})]),
        (FAIL, [product({10: 0.85, 4: 0.15}), exact({10: 1})]),
        (FAIL, [product({10: 0.85, 18: 0.15}), exact({10: 1})]),
    ],
    "B11": [
        (HOLD, [product({20: 0.9901, 21: 0.0099}), exact({20: 1})]),
        (FAIL, [product({20: 0.99, 21: 0.01}), exact({20: 1})]),
        (HOLD, [product({20: 1}), exact({20: 0.9901, 21: 0.0099})]),
        (FAIL, [product({20: 1}), exact({20: 0.99, 21: 0.01})]),
        # Opposite shares must not cancel.
        (FAIL, [product({20: 1}), exact({20: 1.0, 25: 0.02, 26: -0.02})]),
    ],
    "L1": [
        (HOLD, [course({26: 0.51, 27: 0.49}, {54: 1})]),
        (FAIL, [course({26: 0.5, 27: 0.5}, {5: 1})]),
        # A mean length of 26.75 and of 27, most of the weight below either.
        (HOLD, [course({18: 0.75, 53: 0.25}, {54: 1})]),
        (FAIL, [course({18: 0.75, 54: 0.25}, {5: 1})]),
        # Magnitudes count: 1.4 of 2 below, although only 0.4 of 1 by signed shares.
        (HOLD, [course({5: 0.9, 10: -0.5, 30: 0.6}, {54: 1})]),
        (FAIL, [course({5: 0.6, 30: 1.0, 40: -0.6}, {5: 1})]),
        (HOLD, [course({10: 1}, {54: 1}), course({30: 0.9, 10: 0.1}, {54: 1}, seed=1)]),
        (FAIL, [course({10: 1}, {54: 1}), course({54: 0.9, 10: 0.1}, {54: 1}, seed=1)]),
    ],
    "L2": [
        (HOLD, [means(5, 5.25, 5.5, 6)]),
        (FAIL, [means(5, 5.25, 5.5, 5.99)]),
        (FAIL, [means(9, 8, 7, 6)]),
        (FAIL, [means(5, 5, 5)]),
        # Ranks of ten: squared differences of 16 make 0.903, of 18 make 0.891.
        (HOLD, [means(3, 2, 1, 4, 5, 6, 9, 8, 7, 10)]),
        # Of five with two neighbours exchanged, 0.9 exactly.
        (HOLD, [means(1, 2, 3, 5, 4)]),
        (FAIL, [means(4, 2, 3, 1, 5, 6, 7, 8, 9, 10)]),
        (HOLD, [means(5, 6, 7, 8), means(5, 4.5, 4, 5, seed=1)]),
        (FAIL, [means(5, 6, 7, 8), means(5, 4, 3, 1, seed=1)]),
    ],
    "L3": [
        (HOLD, [scaling(5, 9, 7, 7)]),
        (FAIL, [scaling(5, 9, 7, 7.01)]),
        (FAIL, [scaling(5, 9, 6.99, 7)]),
        (HOLD, [scaling(5, 9, 9, 9)]),
        (HOLD, [scaling(5, 9, 5, 5)]),
        # The way may lead down; without a way nothing covers it.
        (HOLD, [scaling(9, 5, 7, 7)]),
        (FAIL, [scaling(9, 5, 7.01, 7)]),
        (FAIL, [scaling(5, 5, 7, 3)]),
        (HOLD, [scaling(5, 9, 9, 5), scaling(5, 9, 5, 9, seed=1)]),
        (FAIL, [scaling(5, 9, 9, 5), scaling(5, 9, 4.9, 9, seed=1)]),
    ],
}


@pytest.mark.parametrize(
    ("claim", "expected", "rows"),
    [(claim, *case) for claim, cases in CASES.items() for case in cases],
)
def test_a_rule_decides_at_its_threshold(claim, expected, rows):
    found = judged(claim, rows)
    assert (found.verdict, found.why) == (expected, "")


def binomial_but_for(moved, probability=0.2):
    """The binomial law of 54 modules, with part of its weight moved from length 10 and spread so
    that the mean stays: the distance is that part."""
    counts = combinatorics.counts_by_length(N)
    found = [c * probability**k * (1 - probability) ** (N - k) for k, c in enumerate(counts)]
    for k, change in ((10, -moved), (5, moved / 2), (15, moved / 2)):
        found[k] += change
    return dict(enumerate(found))


@pytest.mark.parametrize("part, expected", [(0.0, HOLD), (0.0999, HOLD), (0.1001, FAIL)])
@pytest.mark.parametrize("time", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_orders_follow_a_binomial_law(part, expected, time, sign):
    """At every time; magnitudes count, so that a share may have either sign."""
    at = [binomial_but_for(0.0)] * 3
    at[time] = binomial_but_for(part)
    if sign < 0:
        # What is left must still add up to 1.
        at[time] = {k: v * (-1 if k == 11 else 1) for k, v in at[time].items()}
        total = sum(at[time].values())
        at[time] = {k: v / total for k, v in at[time].items()}
    found = judged("L4", [course(*at), course(*[binomial_but_for(0.0)] * 3, seed=1)])
    assert found.verdict == expected


def test_only_a_full_course_tells_the_law():
    law = binomial_but_for(0.0)
    for times in ([1, 64_000], [0, 63_999]):
        found = judged("L4", [course(law, law, times=times)])
        assert found.verdict == claims.NOT_RUN and "full course" in found.ours
    assert judged("L4", [course(law, law)], wrong=761).verdict == claims.UNDECIDED


def test_the_ledger_is_whole():
    expected = [("A", 12), ("B", 15), ("L", 4), ("H", 1)]
    assert list(claims.LEDGER) == [f"{c}{i + 1}" for c, count in expected for i in range(count)]


@pytest.mark.parametrize("claim", [c for c in claims.LEDGER if not c.startswith("A")])
def test_without_rows_nothing_was_run(claim):
    found = claims.judge(claim, [])
    assert found.verdict == claims.NOT_RUN and "no rows" in found.ours


def test_what_was_not_measured_is_said():
    few = three(deletions, [400] * 15)
    assert judged("B5", few).ours == "no rows with 16 modules deleted"
    assert judged("B7", few).ours == "no rows with 20 modules deleted"
    two_bins = three(reordering, [800, 500], orders=30)
    assert judged("B8", two_bins).verdict == claims.NOT_RUN
    four_orders = three(reordering, [1000, *DOWN, 0, 0], orders=4, first=0.3)
    assert judged("B8", four_orders).verdict == claims.NOT_RUN
    short = [sampled(lambda k: 0.2**k, range(1, N)), exact({10: 1})]
    assert judged("B11", short).ours == f"no rows of sampled paths up to length {N}"
    assert judged("L2", [means(5, 6)]).verdict == claims.NOT_RUN
    assert judged("B9", [sampled(lambda k: float(k < 3))]).verdict == claims.NOT_RUN
    assert judged("B9", [sampled(lambda k: 0.3**k if k < 4 else 0.0)]).verdict == HOLD


def down_elsewhere(costs, **settings):
    """Single deletions from a network whose first two modules downsample."""
    found = deletion(costs, **settings)
    return found | {"value": found["value"] | {"downsampling": [0, 1]}}


def test_rows_that_do_not_fit_together_decide_nothing():
    pairs = {
        "B9": [sampled(lambda k: 0.2**k), sampled(lambda k: 0.2**k, range(1, 9), seed=1)],
        "B3": [deletion([1] * 5), deletion([1] * 6, seed=1), deletion([1] * 5, seed=2)],
        "B4": [*three(deletion, [1] * 5)[:2], down_elsewhere([1] * 5, seed=2)],
        "L2": [means(5, 6, 7), means(5, 6, 7, times=[0, 9, 64_000], seed=1)],
    }
    for claim, rows in pairs.items():
        found = judged(claim, rows)
        assert found.verdict == claims.NOT_RUN and "fit together" in found.ours


def test_unknown_claim():
    with pytest.raises(KeyError, match="'Z1'.*A1"):
        claims.judge("Z1", [])
