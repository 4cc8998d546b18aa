"""Claims L1 to L4 (Littwin and Wolf 2016): the gradient by path length over training.

They speak of an ensemble whose members get more or less weight.  Here the weight of length k is its
exact share of the gradient, and the mean length is sum_k k share_k; both count cancellation.
"""

import numpy as np
from scipy import stats

from study.claims.claim import Claim, Missing, decided
from study.claims.quality import setting
from study.claims.rows import FULL, common, select, stacked
from study.claims.words import middle, several, spread


def mean_length(shares) -> np.ndarray:
    """The mean path length sum_k k share_k, from shares (..., n + 1) that sum to 1."""
    shares = np.asarray(shares, dtype=float)
    return shares @ np.arange(shares.shape[-1])


def courses(rows: list[dict]) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """Of courses of training: the iterations (times,), the shares (networks, times, n + 1), and
    the rows."""
    found = select(rows, "dynamics", "the gradient over training", **FULL)
    return np.array(common(found, "iterations")), stacked(found, "shares"), found


def _l1(rows):
    _, shares, found = courses(rows)
    start = shares[:, 0].mean(0)
    n, weight, mean = len(start) - 1, np.abs(start), float(mean_length(start))
    short = round(weight[: (n + 1) // 2].sum() / weight.sum(), 9)
    told = f"mean length {spread(mean_length(shares[:, 0]))}"
    ours = f"{100 * short:.1f}% below {n / 2:g} modules before training, {told}"
    return decided(short > 0.5 and round(mean, 9) < n / 2, ours, samples(found), found)


def _l2(rows):
    times, shares, found = courses(rows)
    each = mean_length(shares).round(9)
    means = each.mean(0)
    if len(times) < 3:
        raise Missing("no rows of the gradient at three or more times")
    rank = round(float(stats.spearmanr(times, means).statistic), 9) if np.ptp(means) else 0.0
    before, after = spread(each[:, 0]), spread(each[:, -1])
    ours = f"mean length {before} before, {after} after training, Spearman {rank:.2f}"
    basis = f"{len(means)} times, {samples(found)}"
    holds = rank >= 0.9 and round(means[-1] - means[0], 9) >= 1
    return decided(holds, ours, basis, found, setting(found, rows))


def _l3(rows):
    found = select(rows, "scaling", "networks with exchanged scales", **FULL)
    names = ("start", "end", "scales_only", "weights_only")
    start, end, scales_only, weights_only = (stacked(found, name).mean() for name in names)
    way = end - start
    # The scales alone may be put onto the first weights, or taken back from the last ones.
    put_on, taken_off = (
        (there - begin) / way if way else 0.0
        for begin, there in ((start, scales_only), (weights_only, end))
    )
    covered = round((put_on + taken_off) / 2, 9)
    ours = (
        f"{100 * covered:.0f}% of the way, the mean of {100 * put_on:.0f}% (scales put on) and "
        f"{100 * taken_off:.0f}% (taken off); mean length {start:.2f} before, {end:.2f} after, "
        f"{scales_only:.2f} with the scales alone, {weights_only:.2f} with all but the scales"
    )
    return decided(covered >= 0.5, ours, samples(found), found, setting(found, rows))


def distance_from_binomial(shares: np.ndarray) -> np.ndarray:
    """How far magnitudes of shares (..., n + 1), as parts of their sum, are from the binomial law
    with their mean: total variation distance, from 0 to 1.

    Weights C(n, r) beta^r are such a law, with the probability beta / (1 + beta).
    """
    size = np.abs(shares) / np.abs(shares).sum(-1, keepdims=True)
    n = size.shape[-1] - 1
    law = stats.binom.pmf(np.arange(n + 1), n, mean_length(size)[..., None] / n)
    return np.abs(size - law).sum(-1) / 2


def _l4(rows):
    times, shares, found = courses(rows)
    if times[0] != 0 or any(times[-1] != r["config"]["iterations"] for r in found):
        raise Missing("no rows of a full course of training, from its start to its end")
    distances = distance_from_binomial(shares).round(9)
    largest = distances.max(1)
    last = middle(distances[:, -1], digits=3)
    ours = f"largest distance {middle(largest, digits=3)}, at the end {last}"
    basis = f"{len(times)} times, {samples(found)}"
    lacking = setting(found, rows)
    return decided(bool(largest.max() <= 0.1), ours, basis, found, lacking)


def samples(rows: list[dict]) -> str:
    """On how much these rows rest, in words."""
    return f"{rows[0]['samples']} images, {several(len(rows), 'network')}"


LEDGER = {
    "L1": Claim(
        "Littwin & Wolf",
        "at the start of training the ensemble sits mostly below half the depth",
        "below 27 of 54",
        "before training, more than half of the shares' magnitude and the mean are below n / 2",
        _l1,
        "fig-dynamics",
    ),
    "L2": Claim(
        "Littwin & Wolf",
        "as training goes on the ensemble becomes deeper and deeper",
        "deeper",
        "mean length: Spearman with the iteration >= 0.9, at the end at least one module longer",
        _l2,
        "fig-mean-length",
    ),
    "L3": Claim(
        "Littwin & Wolf",
        "the force behind it is the scaling that batch norm introduces",
        "the scales",
        "exchanging batch norm's scales alone covers at least half of the way of the mean length",
        _l3,
        "fig-scaling",
    ),
    "L4": Claim(
        "Littwin & Wolf",
        "the ensemble's orders follow C(n, r) beta^r",
        "beta",
        "at every checkpoint of a full course, to the paper's quality: magnitudes of the shares "
        "within a total variation distance of 0.10 from the binomial law of their mean",
        _l4,
        "fig-dynamics",
    ),
}
