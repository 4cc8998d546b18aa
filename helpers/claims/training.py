"""Claims B1 and B12: the error of trained networks."""

import warnings

import numpy as np
from scipy import stats

from helpers.claims.rows import Claim, Missing, is_full, select


def welch(a: np.ndarray, b: np.ndarray) -> float:
    """The p-value of Welch's t-test: "the means of the two populations are equal"."""
    if np.ptp(a) == np.ptp(b) == 0:
        return float(np.mean(a) == np.mean(b))
    with warnings.catch_warnings():
        # Seeds may well agree to the image; one sample without spread is no fault of the data.
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        return float(stats.ttest_ind(a, b, equal_var=False).pvalue)


def is_the_papers(row: dict) -> bool:
    """Whether a row is of the paper's full network on the paper's data."""
    return is_full(row) and row["dataset"] == "cifar10" and row["config"]["depth"] == 110


def _b1(rows):
    found = select(rows, "training", "ResNet-110 trained on CIFAR-10", is_the_papers)
    errors = 100 * np.array([r["value"]["error"] for r in found])
    return abs(errors.mean() - 6.10) <= 0.5, f"{errors.mean():.2f}%", f"{len(errors)} seeds"


def _b12(rows):
    every = select(rows, "training", "networks trained on all modules", is_full)
    some = select(rows, "training", "networks trained on a part", lambda r: r["config"]["active"])
    a, b = (100 * np.array([r["value"]["error"] for r in part]) for part in (every, some))
    if min(len(a), len(b)) < 3:
        raise Missing("fewer than three seeds each")
    difference, p = b.mean() - a.mean(), welch(a, b)
    k, n = some[0]["config"]["active"], some[0]["value"]["modules"]
    ours = f"{b.mean():.2f}% with {k} of {n}, {a.mean():.2f}% with all; Welch p = {p:.2g}"
    return abs(difference) <= 0.5 or p > 0.05, ours, f"{len(b)} and {len(a)} seeds"


LEDGER = {
    "B1": Claim("S5", "the full model has 6.10% error", "mean within 0.5 pt", _b1),
    "B12": Claim(
        "S5",
        "training on 23 of 54 modules is as good: 5.96% against 6.10%",
        "means differ by <= 0.5 pt, or Welch p > 0.05 over >= 3 seeds each",
        _b12,
    ),
}
