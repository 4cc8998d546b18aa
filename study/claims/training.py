"""Claims B1 and B12: the error of trained networks."""

import numpy as np

from study.claims.claim import Claim, Missing, decided
from study.claims.equivalence import half_width, interval, seeds_needed, verdict_of, welch
from study.claims.quality import setting
from study.claims.rows import FULL, alike, common, matching, pairs, same_recipe, select
from study.claims.words import recipe, several, spread

__all__ = ["by_length_of_training", "compared", "comparisons", "welch"]
SEEDS = 3


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
    holds = abs(round(ours.mean() - 6.10, 9)) <= 0.5
    seeds = several(len(ours), "seed")
    return decided(bool(holds), spread(ours, "%"), seeds, found, setting(found, rows))


def gap(every: list[dict], some: list[dict]) -> float:
    """By how many points networks trained on a part of their modules are worse."""
    return round(float(errors(some).mean() - errors(every).mean()), 9)


def at_a_third(rows: list[dict], one: dict, other: dict, row: dict) -> float | None:
    """The `gap` after a third of a row's training, by the same recipe; None if not recorded."""
    for every, some in alike(rows, "training", one, other):
        long, short = row["config"]["iterations"], every[0]["config"]["iterations"]
        if same_recipe(every[0], row) and abs(3 * short / long - 1) <= 0.05:
            return gap(every, some)
    return None


def at_equal_compute(rows: list[dict], every: list[dict], other: dict, ratio: float) -> str:
    """How the networks trained on a part compare when trained for `ratio` times as long."""
    long = ratio * every[0]["config"]["iterations"]
    for r in matching(rows, "training", **other):
        if same_recipe(r, every[0]) and abs(r["config"]["iterations"] / long - 1) <= 0.05:
            difference, steps = gap(every, [r]), r["config"]["iterations"]
            return f"; at equal compute, {steps:,} iterations, {difference:+.2f} pt"
    return ""


def _b12(rows):
    trained = {r["config"].get("active") for r in rows if r["experiment"] == "training"}
    if not (parts := {m for m in trained if m}):
        raise Missing("no rows of networks trained on a part of their modules")
    m = max(parts)
    one, other = FULL, FULL | {"active": m}
    every, some = pairs(rows, "training", one, other, least=SEEDS)
    a, b = errors(every), errors(some)
    n = common(every + some, "modules")
    low, high = interval(a, b)
    between = gap(every, some)
    half = round(half_width((a.var(ddof=1), b.var(ddof=1)), (len(a), len(b))), 9)
    holds, lacking = verdict_of(between, half), setting(every + some, rows)
    third = at_a_third(rows, one, other, every[0])
    if third is None:
        lacking.append("the gap at a third of this training is not recorded: it may still close")
    elif abs(between) < abs(third) / 2:
        lacking.append(f"still closing: {third:.2f} pt at a third of this training")
    if holds is None:
        needed = seeds_needed(a, b)
        seeds = f"about {needed} seeds of each" if needed else "more than 1,000 seeds of each"
        lacking.append(f"the interval is too wide, {seeds} would do")
    ours = (
        f"{spread(b, '%')} with {m} of {n}, {spread(a, '%')} with all; difference {between:+.2f} "
        f"pt, 95% interval {low:+.2f} to {high:+.2f}{at_equal_compute(rows, every, other, n / m)}"
    )
    samples = f"{len(b)} and {several(len(a), 'seed')}"
    return decided(bool(holds), ours, samples, every + some, lacking)


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
        "at least 3 seeds each: means differ by <= 0.5 pt, or the 95% interval of the difference "
        "(Welch) lies within +-1 pt; not so if that interval excludes +-0.5 pt",
        _b12,
        "fig-effective",
    ),
}
