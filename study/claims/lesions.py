"""Claims B2 to B8: lesions of a trained network.  "pt" is short for percentage points."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from study.claims.claim import Claim, Missing, Verdict, decided
from study.claims.quality import ALL_IMAGES, DRAWS, NETWORKS, SWEEP_IMAGES, sampling, setting
from study.claims.rows import FULL, PLAIN, PROJECTION, common, select, stacked
from study.claims.words import middle, several

DEAR = 10  # Points of test error: more than B3 allows an ordinary module to cost.


def each_cost(found: list[dict]) -> np.ndarray:
    """Cost in pt of deleting each module, from rows of single deletions: (networks, modules)."""
    errors, intact = stacked(found, "errors"), stacked(found, "intact")
    # Errors are counts of images: what rounding leaves behind is no cost.
    return np.round(100 * (errors - intact[:, None]), 9)


def costs(found: list[dict]) -> np.ndarray:
    """Cost in pt of deleting each module, mean over networks."""
    return each_cost(found).mean(0)


def dear(cost: np.ndarray) -> list[int]:
    """The modules, counted from 1, that cost more than `DEAR` points alone."""
    return [int(i) + 1 for i in np.flatnonzero(cost > DEAR)]


def small_and_modest(found: list[dict]) -> tuple[tuple[bool, str], tuple[bool, str]]:
    """The rules of B3, about ordinary modules, and B4, about downsampling, each with a sentence.

    Of several networks, the median of each number.
    """
    every = each_cost(found)
    is_down = np.isin(np.arange(every.shape[1]), common(found, "downsampling"))
    ordinary, down = every[:, ~is_down], every[:, is_down].mean(1)
    small, worst = 100 * (ordinary < 1).mean(1), ordinary.max(1)
    bar = np.quantile(ordinary, 0.9, axis=1)
    return (
        (
            bool(np.median(small) >= 90 and np.median(worst) <= DEAR),
            f"{middle(small, '%')} cost < 1 pt, the worst {middle(worst, ' pt', 2)}",
        ),
        (
            bool(np.median(down - bar) > 0 and np.median(down) < 50),
            f"mean {middle(down, ' pt', 2)}; 90th percentile of the others {middle(bar, ' pt', 2)}",
        ),
    )


def _b2(rows):
    found = select(rows, "deletion", "deletions from VGG", **PLAIN)
    errors = np.round(stacked(found, "errors").mean(0), 9)
    ours = f"the least error after a deletion is {100 * errors.min():.1f}%"
    samples = f"{len(errors)} layers, {several(len(found), 'network')}"
    return decided(errors.min() >= 0.8, ours, samples, found)


def by_shortcut(rows: list[dict], claim: int) -> Verdict:
    """B3 (0) or B4 (1), which may depend on the shortcuts: the parameter-free ones decide, and what
    1x1 projections give stands beside it."""
    said, shown = {}, []
    for name, kind in (("parameter-free", FULL), ("1x1 projections", PROJECTION)):
        try:
            found = select(rows, "deletion", "single deletions", NETWORKS, **kind)
        except Missing:
            if kind is FULL:
                raise
            said[name] = "no rows"
            continue
        holds, ours = small_and_modest(found)[claim]
        lacking = setting(found, rows) + sampling(found, ALL_IMAGES)
        down = len(common(found, "downsampling"))
        modules = down if claim else each_cost(found).shape[1] - down
        samples = f"{several(modules, 'module')}, {several(len(found), 'network')}"
        verdict = decided(holds, ours, samples, found, lacking)
        said[name] = ours if kind is FULL else f"**{verdict.verdict}**, {ours}"
        shown.append(verdict)
    ours = "; ".join(f"{name}: {text}" for name, text in said.items())
    behind = tuple(r for verdict in shown for r in verdict.rows)
    return replace(shown[0], ours=ours, rows=behind)


def _b3(rows):
    return by_shortcut(rows, 0)


def _b4(rows):
    return by_shortcut(rows, 1)


def curves(rows: list[dict]) -> tuple[list[dict[int, float]], str, list[dict], list[str]]:
    """For each network, the median error in % by the number of deleted modules; on how much that
    rests, the rows, and what is lacking."""
    found = select(rows, "random_deletions", "random deletions", NETWORKS, **FULL)
    medians = [
        {
            k: round(100 * float(np.median(errors)), 9)
            for k, errors in zip(r["value"]["deleted"], r["value"]["errors"], strict=True)
        }
        for r in found
    ]
    samples = f"{min(r['samples'] for r in found)} draws each, {several(len(found), 'network')}"
    lacking = setting(found, rows) + sampling(found, SWEEP_IMAGES, DRAWS)
    return medians, samples, found, lacking


def at(medians: list[dict[int, float]], deleted: int) -> np.ndarray:
    """The median error at a number of deletions, one a network; Missing if it was not measured."""
    if any(deleted not in by_count for by_count in medians):
        raise Missing(f"no rows with {deleted} modules deleted")
    return np.array([by_count[deleted] for by_count in medians])


def _b5(rows):
    medians, samples, found, lacking = curves(rows)
    steps = np.diff([at(medians, k) for k in range(1, 21)], axis=0).round(9)
    falls, rises = steps.min(0), steps.max(0)
    if any(r["value"].get("orders") is None for r in found):
        # Sets drawn one by one scatter: a median that never falls would be luck.
        lacking = [*lacking, "the sets of deleted modules are not nested"]
    ours = f"steps of the median from {middle(falls, ' pt')} to {middle(rises, ' pt')}"
    holds = np.median(falls) >= -0.5 and np.median(rises) < 15
    return decided(bool(holds), ours, samples, found, lacking)


def _b6(rows):
    medians, samples, found, lacking = curves(rows)
    ten = at(medians, 10)
    return decided(
        10 <= np.median(ten) <= 30, f"median {middle(ten, '%')}", samples, found, lacking
    )


def _b7(rows):
    medians, samples, found, lacking = curves(rows)
    ten, twenty = at(medians, 10), at(medians, 20)
    ours = f"median {middle(ten, '%')} at 10, {middle(twenty, '%')} at 20"
    holds = np.median(twenty - 2 * ten) >= 0 and np.median(twenty) >= 40
    return decided(bool(holds), ours, samples, found, lacking)


def tau_medians(tau: ArrayLike, errors: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Lower edges of bins of Kendall's tau, 0.05 wide, and the median error in each."""
    tau, errors = np.asarray(tau), np.asarray(errors)
    bins = np.floor(np.round(tau / 0.05, 6))
    # A bin of a few draws has no median worth the name.
    kept = np.array([b for b in np.unique(bins) if (bins == b).sum() >= 5])
    return kept * 0.05, np.array([np.median(errors[bins == b]) for b in kept])


def rank_and_gap(value: dict) -> tuple[float, float]:
    """Spearman's rank correlation of tau and error over bin medians, and the largest gap between
    neighbouring ones in pt, of a network's reorderings.  Missing with fewer than three bins."""
    edges, medians = tau_medians(value["tau"], value["errors"])
    if len(edges) < 3:
        raise Missing("no rows of reorderings enough: fewer than three bins of tau hold five")
    gap = round(100 * float(np.abs(np.diff(medians)).max()), 9)
    # Errors that are all the same go up with nothing.
    rank = round(float(stats.spearmanr(edges, medians).statistic), 9) if gap else 0.0
    return rank, gap


def _b8(rows):
    found = select(rows, "reordering", "reorderings", NETWORKS, **FULL)
    rank, gap = np.array([rank_and_gap(r["value"]) for r in found]).T
    ours = f"Spearman {middle(rank, digits=3)}, largest gap {middle(gap, ' pt')}"
    orders = min(len(r["value"]["tau"]) for r in found)
    samples = f"{orders} orders each, in bins of 0.05, {several(len(found), 'network')}"
    lacking = setting(found, rows) + sampling(found, SWEEP_IMAGES, DRAWS)
    holds = np.median(rank) <= -0.9 and np.median(gap) <= 15
    return decided(bool(holds), ours, samples, found, lacking)


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
        "k = 1..20, nested sets: the median never falls by > 0.5 pt nor rises by 15 pt in one step",
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
