"""Claims B2 to B8: lesions of a trained network.  "pt" is short for percentage points."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from study.claims.rows import FULL, PLAIN, Claim, Finding, Missing, select, several

DEAR = 10  # Points of test error: more than B3 allows an ordinary module to cost.


def costs(found: list[dict]) -> np.ndarray:
    """Cost in pt of deleting each module, from rows of single deletions, mean over networks."""
    values = [r["value"] for r in found]
    return np.mean([100 * (np.array(v["errors"]) - v["intact"]) for v in values], axis=0)


def dear(cost: np.ndarray) -> list[int]:
    """The modules, counted from 1, that cost more than `DEAR` points alone."""
    return [int(i) + 1 for i in np.flatnonzero(cost > DEAR)]


def small_and_modest(found: list[dict]) -> tuple[tuple[bool, str], tuple[bool, str]]:
    """The rules of B3, about ordinary modules, and B4, about downsampling, each with a sentence."""
    every = costs(found)
    is_down = np.isin(np.arange(len(every)), found[0]["value"]["downsampling"])
    ordinary, down = every[~is_down], every[is_down]
    small, bar = (ordinary < 1).mean(), np.quantile(ordinary, 0.9)
    return (
        (
            small >= 0.9 and ordinary.max() <= 10,
            f"{100 * small:.1f}% cost < 1 pt, the worst {ordinary.max():.2f} pt",
        ),
        (
            bar < down.mean() < 50,
            f"mean {down.mean():.2f} pt; 90th percentile of the others {bar:.2f} pt",
        ),
    )


def median_errors(rows: list[dict]) -> tuple[dict[int, float], str, list[dict]]:
    """Median error in % for each number of deleted modules, draws of all networks pooled; how many
    draws, and the rows."""
    found = select(rows, "random_deletions", "random deletions", **FULL)
    pooled: dict[int, list[float]] = {}
    for r in found:
        for k, errors in zip(r["value"]["deleted"], r["value"]["errors"], strict=True):
            pooled.setdefault(k, []).extend(errors)
    medians = {k: 100 * float(np.median(errors)) for k, errors in sorted(pooled.items())}
    draws = min(len(errors) for errors in pooled.values())
    return medians, f"{draws} draws each, {several(len(found), 'network')}", found


def at(medians: dict[int, float], deleted: int) -> float:
    """The median error at a number of deletions; Missing if it was not measured."""
    if deleted not in medians:
        raise Missing(f"no rows with {deleted} modules deleted")
    return medians[deleted]


def _b2(rows):
    found = select(rows, "deletion", "deletions from VGG", **PLAIN)
    errors = np.mean([r["value"]["errors"] for r in found], axis=0)
    ours = f"the least error after a deletion is {100 * errors.min():.1f}%"
    samples = f"{len(errors)} layers, {several(len(found), 'network')}"
    return Finding(errors.min() >= 0.8, ours, samples, found)


def _b3(rows):
    found = select(rows, "deletion", "single deletions", **FULL)
    (holds, ours), _ = small_and_modest(found)
    ordinary = len(costs(found)) - len(found[0]["value"]["downsampling"])
    return Finding(holds, ours, f"{ordinary} modules, {several(len(found), 'network')}", found)


def _b4(rows):
    found = select(rows, "deletion", "single deletions", **FULL)
    _, (holds, ours) = small_and_modest(found)
    down = len(found[0]["value"]["downsampling"])
    return Finding(holds, ours, f"{down} modules, {several(len(found), 'network')}", found)


def _b5(rows):
    medians, samples, found = median_errors(rows)
    steps = np.diff([at(medians, k) for k in range(1, 21)])
    ours = f"steps of the median from {steps.min():.1f} to {steps.max():.1f} pt"
    return Finding(steps.min() >= -0.5 and steps.max() < 15, ours, samples, found)


def _b6(rows):
    medians, samples, found = median_errors(rows)
    ten = at(medians, 10)
    return Finding(10 <= ten <= 30, f"median {ten:.1f}%", samples, found)


def _b7(rows):
    medians, samples, found = median_errors(rows)
    ten, twenty = at(medians, 10), at(medians, 20)
    ours = f"median {ten:.1f}% at 10, {twenty:.1f}% at 20"
    return Finding(twenty >= 2 * ten and twenty >= 40, ours, samples, found)


def tau_medians(tau: ArrayLike, errors: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Lower edges of bins of Kendall's tau, 0.05 wide, and the median error in each."""
    tau, errors = np.asarray(tau), np.asarray(errors)
    bins = np.floor(np.round(tau / 0.05, 6))
    # A bin of a few draws has no median worth the name.
    kept = np.array([b for b in np.unique(bins) if (bins == b).sum() >= 5])
    return kept * 0.05, np.array([np.median(errors[bins == b]) for b in kept])


def _b8(rows):
    found = select(rows, "reordering", "reorderings", **FULL)
    tau = np.concatenate([r["value"]["tau"] for r in found])
    edges, medians = tau_medians(tau, np.concatenate([r["value"]["errors"] for r in found]))
    if len(edges) < 3:
        raise Missing("too few reorderings: fewer than three bins of tau hold five")
    rank, gap = stats.spearmanr(edges, medians).statistic, 100 * np.abs(np.diff(medians)).max()
    ours = f"Spearman {rank:.3f}, largest gap {gap:.1f} pt"
    samples = f"{len(tau)} orders in {len(edges)} bins of 0.05"
    return Finding(rank <= -0.9 and gap <= 15, ours, samples, found)


LEDGER = {
    "B2": Claim(
        "S4.1, Fig 3",
        "deleting any VGG layer gives chance",
        "90%",
        "every layer: error >= 80%",
        _b2,
        "fig-deletion",
    ),
    "B3": Claim(
        "S4.1, Fig 3",
        "deleting any one module has minimal impact",
        "minimal",
        "ordinary modules: at least 90% cost < 1 pt, none > 10 pt",
        _b3,
        "fig-deletion",
    ),
    "B4": Claim(
        "S4.1, Fig 3",
        "downsampling modules cost modestly more",
        "modest",
        "their mean cost is above the others' 90th percentile and < 50 pt",
        _b4,
        "fig-deletion",
    ),
    "B5": Claim(
        "S4.2, Fig 5a",
        "error rises smoothly with the number of deleted modules",
        "smoothly",
        "k = 1..20: the median never falls by > 0.5 pt nor rises by 15 pt in one step",
        _b5,
        "fig-random-deletions",
    ),
    "B6": Claim(
        "S4.2",
        "error is around 0.2 after 10 deletions",
        "about 20%",
        "median in 0.10 to 0.30",
        _b6,
        "fig-random-deletions",
    ),
    "B7": Claim(
        "S6",
        "slight up to 10, severe at 20",
        "severe at 20",
        "median at 20 is at least twice that at 10, and >= 0.4",
        _b7,
        "fig-random-deletions",
    ),
    "B8": Claim(
        "S4.3, Fig 5b",
        "error rises smoothly as Kendall tau falls",
        "smoothly",
        "Spearman of tau and error <= -0.9 over bin medians, no gap > 15 pt",
        _b8,
        "fig-reordering",
    ),
}
