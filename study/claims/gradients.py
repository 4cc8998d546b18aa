"""Claims B9 to B11: the gradient by path length."""

import numpy as np
from scipy import stats

from helpers import combinatorics
from study.claims.rows import FULL, Claim, Finding, Missing, select


def sampled(rows: list[dict]) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """Path lengths, mean gradient norms (over networks), and the rows."""
    found = select(rows, "sampled_norms", "gradients along sampled paths", **FULL)
    lengths = np.array(found[0]["value"]["lengths"])
    return lengths, np.mean([r["value"]["mean"] for r in found], axis=0), found


def product_shares(lengths: np.ndarray, mean: np.ndarray, n: int) -> np.ndarray:
    """The paper's product, number of paths times mean norm, as a share of its sum (Figure 6c)."""
    counts = combinatorics.counts_by_length(n)
    product = np.array([counts[k] for k in lengths], dtype=float) * mean
    return product / product.sum()


def effective(lengths: np.ndarray, shares: np.ndarray) -> float:
    """The part of the shares, one for each of `lengths`, that the effective paths carry."""
    return float(shares[np.isin(lengths, combinatorics.EFFECTIVE)].sum())


def exact_shares(rows: list[dict]) -> tuple[np.ndarray, list[dict]]:
    """Exact share of the gradient by length, from 0, mean over networks; and the rows."""
    found = select(rows, "by_length", "exact gradients by length", **FULL)
    return np.mean([r["value"]["shares"] for r in found], axis=0), found


def arrived(lengths: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Which lengths, from 1, let any gradient arrive: bool, one for each."""
    return (mean > 0) & (lengths > 0)


def decay(sampled_norms: dict):
    """The line through log10 of the mean norms against path length, as `scipy.stats.linregress`
    gives it, from the value of a row; lengths at which nothing arrived are left out."""
    lengths, mean = np.array(sampled_norms["lengths"]), np.array(sampled_norms["mean"])
    seen = arrived(lengths, mean)
    return stats.linregress(lengths[seen], np.log10(mean[seen]))


def share_curves(sampled_norms: dict, signed_norms: dict, by_length: dict) -> dict[str, tuple]:
    """Figure 6c by three estimators, from the values of rows: name -> (lengths, shares)."""
    lengths, n = np.array(sampled_norms["lengths"]), sampled_norms["modules"]
    every = np.arange(n + 1)
    return {
        "count x mean norm (paper)": (
            lengths,
            product_shares(lengths, np.array(sampled_norms["mean"]), n),
        ),
        "count x RMS norm (signed)": (
            every,
            product_shares(every, np.array(signed_norms["rms"]), n),
        ),
        "exact share": (every, np.array(by_length["shares"])),
    }


def _b9(rows):
    lengths, mean, found = sampled(rows)
    fit = decay({"lengths": lengths, "mean": mean})
    ours = f"R^2 {fit.rvalue**2:.4f}, a factor of {10**fit.slope:.2g} a module"
    used = lengths[arrived(lengths, mean)]
    span = f"lengths {used.min()} to {used.max()}, {found[0]['samples']} paths each"
    return Finding(fit.rvalue**2 >= 0.95, ours, span, found)


def _b10(rows):
    lengths, mean, found = sampled(rows)
    n = found[0]["value"]["modules"]
    inside = effective(lengths, product_shares(lengths, mean, n))
    shares, exact_rows = exact_shares(rows)
    exact = effective(np.arange(n + 1), shares)
    ours = f"count x norm: {100 * inside:.1f}% within 5 to 17; exact share {100 * exact:.1f}%"
    samples = f"{found[0]['samples']} paths a length"
    return Finding(inside >= 0.9, ours, samples, found + exact_rows)


def _b11(rows):
    lengths, mean, found = sampled(rows)
    n = found[0]["value"]["modules"]
    if lengths.max() < n:
        raise Missing(f"no rows of sampled paths up to length {n}")
    product = product_shares(lengths, mean, n)[lengths > 20].sum()
    # Shares of either sign must not hide each other.
    shares, exact_rows = exact_shares(rows)
    exact = np.abs(shares[21:]).sum()
    ours = f"beyond 20: count x norm {100 * product:.2g}%, exact {100 * exact:.2g}%"
    samples = f"{found[0]['samples']} paths a length"
    return Finding(product < 0.01 and exact < 0.01, ours, samples, found + exact_rows)


LEDGER = {
    "B9": Claim(
        "S5, Fig 6b",
        "the gradient norm of a path decays exponentially with its length",
        "exponentially",
        "log10 norm is linear in length, R^2 >= 0.95",
        _b9,
        "fig-gradient-norms",
    ),
    "B10": Claim(
        "S5, Fig 6c",
        "almost all gradient comes from lengths 5 to 17",
        "almost all",
        "count x mean norm: >= 90% within 5 to 17",
        _b10,
        "fig-gradient-shares",
    ),
    "B11": Claim(
        "Fig 6",
        "paths longer than about 20 contribute nothing noticeable",
        "nothing",
        "< 1% beyond 20, by the product and exactly",
        _b11,
        "fig-gradient-shares",
    ),
}
