"""Do the costs of deleted modules add up?  A few lines of text from the values of two rows."""

import numpy as np

from study.claims.lesions import DEAR

ENOUGH = 10  # Draws, below which no correlation is told.


def additivity(single: dict, several: dict, counts: tuple[int, ...] = (2, 3, 5, 10, 15, 20)) -> str:
    """For each number of deleted modules, how the errors of its draws follow from single costs.

    `single`: the value of a deletion row; `several`: of one of random deletions with `orders`.
    Told are the correlation of the errors with the sum of the single costs, over the draws; the
    same over the draws without a module that costs more than `DEAR` points alone, if there are
    `ENOUGH`; and how many points the mean error of these lies above the intact network's plus that
    sum.
    """
    cost = 100 * (np.array(single["errors"]) - single["intact"])
    lines = []
    for k, errors in zip(several["deleted"], several["errors"], strict=True):
        if k not in counts:
            continue
        sets = [order[:k] for order in several["orders"]]
        added = np.array([cost[few].sum() for few in sets])
        found = 100 * np.array(errors)
        cheap = np.array([bool((cost[few] <= DEAR).all()) for few in sets])
        line = f"{k:2} deleted: correlation {correlation(added, found)}"
        if cheap.sum() >= ENOUGH:
            above = (found - 100 * several["intact"] - added)[cheap].mean()
            line += (
                f"; in the {cheap.sum()} draws of cheap modules "
                f"{correlation(added[cheap], found[cheap])}, {above:+.1f} pt above the sum"
            )
        lines.append(line)
    return "\n".join(lines)


def correlation(a: np.ndarray, b: np.ndarray) -> str:
    """Pearson's correlation in words; where one of the two does not vary there is none."""
    if min(len(a), np.ptp(a), np.ptp(b)) <= 0 or len(a) < 2:
        return "not defined"
    return f"{np.corrcoef(a, b)[0, 1]:.2f}"
