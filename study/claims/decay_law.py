"""Claim H1, our own: what makes a network behave like an ensemble is how far training decays its
random initial weights."""

import numpy as np

from study.claims.claim import Claim, Missing, decided
from study.claims.dynamics import mean_length
from study.claims.rows import FULL, matching
from study.claims.words import several
from study.decay import decay_sum

SUMS = (0.03, 0.1, 0.33, 1.0)
TOLERANCE = 0.02  # Of a decay sum, relative: 0.334, the paper's, counts as 0.33.


def sum_of(row: dict) -> float | None:
    """Which of the decay sums a network was trained by."""
    found = decay_sum(row["config"])
    return next((s for s in SUMS if abs(found / s - 1) <= TOLERANCE), None)


def measured(rows: list[dict]) -> dict[str, tuple[dict[float, list[float]], list[dict]]]:
    """By experiment, for each decay sum what its networks came to, and the rows: test error in %,
    median error in % after 10 deletions, mean exact path length."""

    def after_ten(value: dict) -> float | None:
        by_count = dict(zip(value["deleted"], value["errors"], strict=True))
        return 100 * float(np.median(by_count[10])) if 10 in by_count else None

    look = {
        "training": lambda value: 100 * value["error"],
        "random_deletions": after_ten,
        "by_length": lambda value: float(mean_length(value["shares"])),
    }
    found: dict[str, tuple[dict[float, list[float]], list[dict]]] = {}
    for experiment, tell in look.items():
        numbers: dict[float, list[float]] = {}
        behind = []
        for row in matching(rows, experiment, **FULL):
            which, number = sum_of(row), tell(row["value"])
            if which is not None and number is not None:
                numbers.setdefault(which, []).append(number)
                behind.append(row)
        found[experiment] = numbers, behind
    return found


def _h1(rows):
    on_cifar = [r for r in rows if r["dataset"] == "cifar10" and "recipe" in r["config"]]
    lengths = {(r["config"]["recipe"], r["config"]["iterations"]) for r in on_cifar}
    for recipe, iterations in sorted(lengths, key=lambda length: -length[1]):
        alike = [
            r
            for r in on_cifar
            if (r["config"]["recipe"], r["config"]["iterations"]) == (recipe, iterations)
            and r["config"].get("depth") == 110
        ]
        found = measured(alike)
        if all(numbers.keys() == set(SUMS) for numbers, _ in found.values()):
            break
    else:
        raise Missing("no rows of networks of equal length of training at four decay sums")
    error, after_ten, length = (
        np.round([np.mean(numbers[s]) for s in SUMS], 9) for numbers, _ in found.values()
    )
    holds = (np.diff(after_ten) < 0).all() and (np.diff(length) < 0).all()
    holds &= abs(error[-1] - error[-2]) < 2

    def told(values: np.ndarray, unit: str) -> str:
        return ", ".join(f"{v:.1f}{unit}" for v in values)

    ours = (
        f"at decay sums {', '.join(map(str, SUMS))}: median error after 10 deletions "
        f"{told(after_ten, '%')}; mean path length {told(length, '')}; test error "
        f"{told(error, '%')}"
    )
    behind = [r for _, some in found.values() for r in some]
    networks = several(len(found["training"][1]), "network")
    return decided(bool(holds), ours, networks, behind)


LEDGER = {
    "H1": Claim(
        "this book",
        "whether a network behaves like an ensemble is set by how far training has decayed its "
        "random initial weights",
        "the decay sum",
        "equal length of training, decay sums 0.03, 0.1, 0.33 and 1.0: the median error after 10 "
        "deletions and the mean exact path length both fall with the sum, and the test errors of "
        "the last two differ by < 2 pt",
        _h1,
        "notebooks/what_decides",
    ),
}
