"""Whether two kinds of network are equally good: intervals for the difference of their means."""

import warnings

import numpy as np
from scipy import stats

MANY = 1000  # Seeds; nobody trains more.


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


def half_width(variances: tuple[float, float], sizes: tuple[int, int]) -> float:
    """Half of the 95% confidence interval of a difference of two means (Welch 1947).

    `variances`: of the two populations, estimated with n - 1; `sizes`: of the samples, from 2.
    """
    parts = [v / n for v, n in zip(variances, sizes, strict=True)]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(p**2 / (n - 1) for p, n in zip(parts, sizes, strict=True))
    return float(stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts)))


def interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The 95% confidence interval of mean(b) - mean(a), samples of 2 or more."""
    difference = float(np.mean(b) - np.mean(a))
    half = half_width((np.var(a, ddof=1), np.var(b, ddof=1)), (len(a), len(b)))
    return difference - half, difference + half


def verdict_of(difference: float, half: float) -> bool | None:
    """Amendment 2, in pt: True where two kinds are as good as each other, False where they are
    not, None where it cannot be told."""
    low, high = difference - half, difference + half
    if abs(difference) <= 0.5 or (low >= -1 and high <= 1):
        return True
    return False if low > 0.5 or high < -0.5 else None


def seeds_needed(a: np.ndarray, b: np.ndarray) -> int | None:
    """How many seeds of each kind would decide, if means and spreads stay as they are; None if
    more than `MANY`."""
    difference = float(np.mean(b) - np.mean(a))
    variances = float(np.var(a, ddof=1)), float(np.var(b, ddof=1))
    each = range(3, MANY + 1)
    decide = (n for n in each if verdict_of(difference, half_width(variances, (n, n))) is not None)
    return next(decide, None)
