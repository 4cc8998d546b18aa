"""Claims B2 to B8: lesions of a trained network.  "pt" is short for percentage points."""

import numpy as np
from scipy import stats

from helpers.claims.rows import Claim, Missing, is_full, is_plain, select


def deletion_costs(rows: list[dict]) -> tuple[np.ndarray, np.ndarray, int]:
    """Cost in pt of deleting each ordinary and each downsampling module, mean over networks."""
    found = select(rows, "deletion", "single deletions", is_full)
    values = [r["value"] for r in found]
    costs = np.mean([100 * (np.array(v["errors"]) - v["intact"]) for v in values], axis=0)
    down = np.isin(np.arange(len(costs)), values[0]["downsampling"])
    return costs[~down], costs[down], len(found)


def median_errors(rows: list[dict]) -> tuple[dict[int, float], int]:
    """Median error in % for each number of deleted modules, draws of all networks pooled."""
    pooled: dict[int, list[float]] = {}
    for r in select(rows, "random_deletions", "random deletions", is_full):
        for k, errors in zip(r["value"]["deleted"], r["value"]["errors"], strict=True):
            pooled.setdefault(k, []).extend(errors)
    medians = {k: 100 * float(np.median(errors)) for k, errors in sorted(pooled.items())}
    return medians, min(len(errors) for errors in pooled.values())


def at(medians: dict[int, float], deleted: int) -> float:
    """The median error at a number of deletions; Missing if it was not measured."""
    if deleted not in medians:
        raise Missing(f"no rows with {deleted} modules deleted")
    return medians[deleted]


def _b2(rows):
    found = select(rows, "deletion", "deletions from VGG", is_plain)
    errors = np.mean([r["value"]["errors"] for r in found], axis=0)
    ours = f"the least error after a deletion is {100 * errors.min():.1f}%"
    return errors.min() >= 0.8, ours, f"{len(errors)} layers, {len(found)} networks"


def _b3(rows):
    ordinary, _, networks = deletion_costs(rows)
    small = (ordinary < 1).mean()
    ours = f"{100 * small:.1f}% cost < 1 pt, the worst {ordinary.max():.2f} pt"
    samples = f"{len(ordinary)} modules, {networks} networks"
    return small >= 0.9 and ordinary.max() <= 10, ours, samples


def _b4(rows):
    ordinary, down, networks = deletion_costs(rows)
    bar = np.quantile(ordinary, 0.9)
    ours = f"mean {down.mean():.2f} pt; 90th percentile of the others {bar:.2f} pt"
    return bar < down.mean() < 50, ours, f"{len(down)} modules, {networks} networks"


def _b5(rows):
    medians, draws = median_errors(rows)
    steps = np.diff([at(medians, k) for k in range(1, 21)])
    ours = f"steps of the median from {steps.min():.1f} to {steps.max():.1f} pt"
    return steps.min() >= -0.5 and steps.max() < 15, ours, f"{draws} draws each"


def _b6(rows):
    medians, draws = median_errors(rows)
    ten = at(medians, 10)
    return 10 <= ten <= 30, f"median {ten:.1f}%", f"{draws} draws"


def _b7(rows):
    medians, draws = median_errors(rows)
    ten, twenty = at(medians, 10), at(medians, 20)
    ours = f"median {ten:.1f}% at 10, {twenty:.1f}% at 20"
    return twenty >= 2 * ten and twenty >= 40, ours, f"{draws} draws each"


def tau_medians(tau: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower edges of bins of Kendall's tau, 0.05 wide, and the median error in each."""
    bins = np.floor(np.round(tau / 0.05, 6))
    # A bin of a few draws has no median worth the name.
    kept = np.array([b for b in np.unique(bins) if (bins == b).sum() >= 5])
    return kept * 0.05, np.array([np.median(errors[bins == b]) for b in kept])


def _b8(rows):
    found = select(rows, "reordering", "reorderings", is_full)
    tau = np.concatenate([r["value"]["tau"] for r in found])
    edges, medians = tau_medians(tau, np.concatenate([r["value"]["errors"] for r in found]))
    if len(edges) < 3:
        raise Missing("too few reorderings: fewer than three bins of tau hold five")
    rank, gap = stats.spearmanr(edges, medians).statistic, 100 * np.abs(np.diff(medians)).max()
    ours = f"Spearman {rank:.3f}, largest gap {gap:.1f} pt"
    return rank <= -0.9 and gap <= 15, ours, f"{len(tau)} orders in {len(edges)} bins of 0.05"


LEDGER = {
    "B2": Claim(
        "S4.1, Fig 3", "deleting any VGG layer gives chance", "every layer: error >= 80%", _b2
    ),
    "B3": Claim(
        "S4.1, Fig 3",
        "deleting any one module has minimal impact",
        "ordinary modules: at least 90% cost < 1 pt, none > 10 pt",
        _b3,
    ),
    "B4": Claim(
        "S4.1, Fig 3",
        "downsampling modules cost modestly more",
        "their mean cost is above the others' 90th percentile and < 50 pt",
        _b4,
    ),
    "B5": Claim(
        "S4.2, Fig 5a",
        "error rises smoothly with the number of deleted modules",
        "k = 1..20: the median never falls by > 0.5 pt nor rises by 15 pt in one step",
        _b5,
    ),
    "B6": Claim("S4.2", "error is around 0.2 after 10 deletions", "median in 0.10 to 0.30", _b6),
    "B7": Claim(
        "S6", "slight up to 10, severe at 20", "median at 20 is twice that at 10, and >= 0.4", _b7
    ),
    "B8": Claim(
        "S4.3, Fig 5b",
        "error rises smoothly as Kendall tau falls",
        "Spearman of tau and error <= -0.9 over bin medians, no gap > 15 pt",
        _b8,
    ),
}
