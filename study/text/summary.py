"""What came out, in sentences made from recorded rows; none where the rows are missing."""

from collections.abc import Callable

import numpy as np

from helpers.combinatorics import EFFECTIVE
from study.claims import LEDGER, judge
from study.claims.claim import Missing
from study.claims.dynamics import mean_length
from study.claims.gradients import decay, effective, product_shares
from study.claims.lesions import DEAR, costs, dear
from study.claims.rows import FULL, PLAIN, example, runs
from study.claims.training import comparisons
from study.claims.words import listed, recipe, several, spread

BAND = f"{EFFECTIVE[0]} to {EFFECTIVE[-1]}"


def deletion(rows: list[dict]) -> str:
    """Single deletions from the residual network and from VGG."""
    residual, plain = (example(rows, "deletion", **kind) for kind in (FULL, PLAIN))
    if not (residual and plain):
        return ""
    cost, value = costs([residual]), plain["value"]
    found = (
        f"Deleting one of {len(cost)} modules ({recipe(residual)}) costs {np.median(cost):.2f} "
        f"points of test error at the median and {cost.max():.1f} at most; deleting any layer of "
        f"VGG-15 ({recipe(plain)}) leaves an error of {100 * min(value['errors']):.0f}% or more."
    )
    if alone := dear(cost):
        down = listed([i + 1 for i in residual["value"]["downsampling"]])
        which = f"module{'s' * (len(alone) > 1)} {listed(alone)}"
        found += f" More than {DEAR} points: {which} (downsampling: {down})."
    return found


def random_deletions(rows: list[dict]) -> str:
    """Many deletions at once."""
    row = example(rows, "random_deletions", **FULL)
    if not row:
        return ""
    by_count = dict(zip(row["value"]["deleted"], row["value"]["errors"], strict=True))
    if not {1, 5, 10, 20} <= by_count.keys():
        return ""
    medians = {k: f"{100 * np.median(by_count[k]):.0f}%" for k in (1, 5, 10, 20)}
    errors = ", ".join(f"{error} after {k}" for k, error in medians.items())
    return f"The median error when modules are deleted at random ({recipe(row)}): {errors}."


def norms(rows: list[dict]) -> str:
    """How the gradient along a path falls with its length."""
    row = example(rows, "sampled_norms", **FULL)
    if not row:
        return ""
    value = row["value"]
    means = dict(zip(value["lengths"], value["mean"], strict=True))
    if not {1, 17} <= means.keys():
        return ""
    try:
        fit = decay(value)
    except Missing:
        return ""
    return (
        f"Each further module on a path leaves {10**fit.slope:.2f} of the gradient's norm (R^2 "
        f"{fit.rvalue**2:.3f}; {recipe(row)}): from {means[1]:.1e} on a path of one module to "
        f"{means[17]:.1e} on one of 17."
    )


def gradient(rows: list[dict]) -> str:
    """How much of the gradient flows through which lengths, by the product and exactly."""
    exact, sampled = (example(rows, e, **FULL) for e in ("by_length", "sampled_norms"))
    if not (exact and sampled):
        return ""
    shares, value = np.array(exact["value"]["shares"]), sampled["value"]
    lengths = np.array(value["lengths"])
    product = product_shares(lengths, np.array(value["mean"]), value["modules"])
    within = effective(np.arange(len(shares)), shares)
    return (
        f"Paths of {BAND} modules carry {100 * within:.1f}% of the gradient "
        f"({recipe(exact)}) when every path and every cancellation is counted, exactly; shorter "
        f"ones carry {100 * shares[: EFFECTIVE.start].sum():.1f}%, longer ones "
        f"{100 * shares[EFFECTIVE.stop :].sum():.2g}%. "
        f"The mean length is {mean_length(shares):.1f} modules. The paper's product of count and "
        f"norm, which cannot see cancellation, gives {100 * effective(lengths, product):.1f}% and "
        f"a mean of {lengths @ product:.1f}."
    )


def training(rows: list[dict]) -> str:
    """Training on all modules and on 23 of them, for each length of training."""
    told = []
    for errors, found in reversed(comparisons(rows, 23)):
        kinds = ", ".join(f"{name} {spread(100 * np.array(e), '%')}" for name, e in errors.items())
        networks = several(len(found) // 2, "seed")
        told.append(f"after {found[0]['config']['iterations']:,} iterations ({networks}): {kinds}")
    return f"Test error {'; '.join(told)}." if told else ""


def dynamics(rows: list[dict]) -> str:
    """The mean path length and the share of the effective paths over training."""
    courses = runs(rows, "dynamics", **FULL)
    if not courses:
        return ""
    row = courses[0]
    shares, times = np.array(row["value"]["shares"]), row["value"]["iterations"]
    each = np.array([mean_length(r["value"]["shares"]) for r in courses])
    means, inside = each[0], 100 * shares[:, EFFECTIVE.start : EFFECTIVE.stop].sum(1)
    low, high = times[means.argmin()], times[means.argmax()]
    all_of_them = (
        f" In {len(courses)} runs with seeds of their own it goes from {spread(each[:, 0])} to "
        f"{spread(each[:, -1])}."
    )
    return (
        f"Before training, paths of {BAND} modules carry {inside[0]:.0f}% of the gradient, after "
        f"{times[-1]:,} iterations {inside[-1]:.0f}% (least {inside.min():.0f}%). The mean length "
        f"goes from {means[0]:.1f} to {means[-1]:.1f} modules; it is longest, {means.max():.1f}, "
        f"after {high:,} iterations and shortest, {means.min():.1f}, after {low:,}."
        f"{all_of_them if len(courses) > 1 else ''}"
    )


def told(sentence: str) -> str:
    """A sentence of this file as a paragraph below a figure."""
    return f"**Recorded.** {sentence}" if sentence else "Not recorded yet."


def judged(tell: Callable[[list[dict]], str], ids: list[str], rows: list[dict]) -> str:
    """What one of these functions tells, and the verdicts on the claims that it is about."""
    verdicts = (
        f"{claim}, *{LEDGER[claim].says}*: **{judge(claim, rows).verdict}**" for claim in ids
    )
    return f"{told(tell(rows))} ({'; '.join(verdicts)}.)"
