"""Claims B1 and B12: the error of trained networks."""

import warnings

import numpy as np
from scipy import stats

from study.claims.rows import FULL, Claim, Finding, alike, pairs, recipe, select, several, spread


def welch(a: np.ndarray, b: np.ndarray) -> float:
    """The p-value of Welch's t-test: "the means of the two populations are equal".

    Not a number for samples of one, which say nothing about the spread of their population.
    """
    if min(len(a), len(b)) < 2:
        return np.nan
    if np.ptp(a) == np.ptp(b) == 0:
        return float(np.mean(a) == np.mean(b))
    with warnings.catch_warnings():
        # Seeds may well agree to the image; one sample without spread is no fault of the data.
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        return float(stats.ttest_ind(a, b, equal_var=False).pvalue)


def errors(found: list[dict]) -> np.ndarray:
    """Test errors in %, one a network."""
    return 100 * np.array([r["value"]["error"] for r in found])


def comparisons(rows: list[dict], active: int) -> list[tuple[dict[str, list[float]], list[dict]]]:
    """Test errors, as shares, of networks trained on all modules and on `active` of them, by name
    and paired by seed, and the rows: for each recipe that both were trained by, the longest first.
    """
    found = []
    for pair in alike(rows, "training", FULL, FULL | {"active": active}):
        kinds = [{r["seed"]: r for r in kind} for kind in pair]
        common = sorted(kinds[0].keys() & kinds[1].keys())
        if not common:
            continue
        n = kinds[0][common[0]]["value"]["modules"]
        names = (f"all {n} modules", f"{active} of {n} modules")
        errors = {
            name: [kind[seed]["value"]["error"] for seed in common]
            for name, kind in zip(names, kinds, strict=True)
        }
        found.append((errors, [kind[seed] for kind in kinds for seed in common]))
    return found


def compared(rows: list[dict], active: int) -> tuple[dict[str, list[float]], list[dict]]:
    """Of the `comparisons` the one with most networks; both empty where there is none."""
    return max(comparisons(rows, active), key=lambda found: len(found[1]), default=({}, []))


def by_length_of_training(rows: list[dict], active: int) -> str:
    """The `comparisons` as a table in Markdown, the shortest training first; empty without any."""
    lines = []
    found = comparisons(rows, active)
    for errors, shown in reversed(found):
        every, some = (100 * np.array(values) for values in errors.values())
        steps, n = shown[0]["config"]["iterations"], shown[0]["value"]["modules"]
        gap, seeds = some.mean() - every.mean(), several(len(every), "seed")
        updates = f"{steps:,} and {steps * active / n:,.0f}"
        cells = (
            recipe(shown[0]),
            spread(every, "%"),
            spread(some, "%"),
            f"{gap:.2f} pt",
            updates,
            seeds,
        )
        lines.append(f"| {' | '.join(cells)} |")
    if not found:
        return ""
    head = f"| training | {' | '.join(found[0][0])} | difference | updates of a module | networks |"
    return "\n".join([head, "|---|---|---|---|---|---|", *lines])


def _b1(rows):
    on_cifar = [r for r in rows if r["dataset"] == "cifar10"]
    found = select(on_cifar, "training", "ResNet-110 trained on CIFAR-10", depth=110, **FULL)
    ours = errors(found)
    return Finding(
        abs(ours.mean() - 6.10) <= 0.5, spread(ours, "%"), f"{several(len(ours), 'seed')}", found
    )


def _b12(rows):
    trained = {r["config"]["active"] for r in rows if r["experiment"] == "training"}
    m = max(trained, default=0)
    every, some = pairs(rows, "training", FULL, FULL | {"active": m or 1}, least=3)
    a, b = errors(every), errors(some)
    difference, p = b.mean() - a.mean(), welch(a, b)
    n = some[0]["value"]["modules"]
    ours = f"{spread(b, '%')} with {m} of {n}, {spread(a, '%')} with all; Welch p = {p:.2g}"
    samples = f"{len(b)} and {several(len(a), 'seed')}"
    return Finding(abs(difference) <= 0.5 or p > 0.05, ours, samples, every + some)


LEDGER = {
    "B1": Claim(
        "S5",
        "the full model has 6.10% error",
        "6.10%",
        "mean within 0.5 pt",
        _b1,
        "notebooks/05_effective_paths",
    ),
    "B12": Claim(
        "S5",
        "training on 23 of 54 modules is as good, without a significant difference",
        "5.96% against 6.10%",
        "means differ by <= 0.5 pt, or Welch p > 0.05 over >= 3 seeds each",
        _b12,
        "fig-effective",
    ),
}
