"""Claims L1 to L3 (Littwin and Wolf 2016): the gradient by path length over training.

They speak of an ensemble whose members get more or less weight.  Here the weight of length k is its
exact share of the gradient, and the mean length is sum_k k share_k; both count cancellation.
"""

import numpy as np
from scipy import stats

from study.claims.rows import FULL, Claim, Finding, select, several, spread


def mean_length(shares) -> np.ndarray:
    """The mean path length sum_k k share_k, from shares (..., n + 1) that sum to 1."""
    shares = np.asarray(shares, dtype=float)
    return shares @ np.arange(shares.shape[-1])


def _l1(rows):
    found = select(rows, "dynamics", "the gradient over training", **FULL)
    # (snapshots, n + 1) -> (n + 1,): the start, mean over networks.
    each = [r["value"]["shares"][0] for r in found]
    shares = np.mean(each, axis=0)
    n, weight, mean = len(shares) - 1, np.abs(shares), float(mean_length(shares))
    short = weight[: (n + 1) // 2].sum() / weight.sum()
    told = f"mean length {spread(mean_length(each))}"
    ours = f"{100 * short:.1f}% below {n / 2:g} modules before training, {told}"
    return Finding(short > 0.5 and mean < n / 2, ours, samples(found), found)


def _l2(rows):
    found = select(rows, "dynamics", "the gradient over training", **FULL)
    each = np.array([mean_length(r["value"]["shares"]) for r in found])
    means = each.mean(0)
    rank = stats.spearmanr(found[0]["value"]["iterations"], means).statistic
    before, after = spread(each[:, 0]), spread(each[:, -1])
    ours = f"mean length {before} before, {after} after training, Spearman {rank:.2f}"
    basis = f"{len(means)} times, {samples(found)}"
    return Finding(rank >= 0.9 and means[-1] - means[0] >= 1, ours, basis, found)


def _l3(rows):
    found = select(rows, "scaling", "networks with exchanged scales", **FULL)
    start, end, scales_only, weights_only = (
        np.mean([r["value"][name] for r in found])
        for name in ("start", "end", "scales_only", "weights_only")
    )
    way = end - start
    # The scales alone may be put onto the first weights, or taken back from the last ones.
    put_on, taken_off = (
        (there - begin) / way if way else 0.0
        for begin, there in ((start, scales_only), (weights_only, end))
    )
    covered = (put_on + taken_off) / 2
    ours = (
        f"{100 * covered:.0f}% of the way, the mean of {100 * put_on:.0f}% (scales put on) and "
        f"{100 * taken_off:.0f}% (taken off); mean length {start:.2f} before, {end:.2f} after, "
        f"{scales_only:.2f} with the scales alone, {weights_only:.2f} with all but the scales"
    )
    return Finding(covered >= 0.5, ours, samples(found), found)


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
}
