"""Combinatorics of paths: a residual network of n modules is a collection of 2^n paths.

A path is a binary code b in {0, 1}^n (Section 3): b_i = 1 iff it enters residual module i, 0 iff it
takes the skip connection.  Its length is the number of ones.
"""

from math import comb

import torch

# The lengths, in modules, that carry almost all gradient by the paper's measurement (Section 5).
EFFECTIVE = range(5, 18)


def count(n: int) -> int:
    """The number of paths through n modules, 2^n (Section 3)."""
    return 2**n


def counts_by_length(n: int) -> list[int]:
    """How many paths have length 0, 1, ..., n: C(n, k), exact integers (Section 5)."""
    return [comb(n, k) for k in range(n + 1)]


def length_shares(n: int) -> list[float]:
    """The share of all paths that has length 0, 1, ..., n: Binomial(n, 1/2), Figure 6a."""
    return [c / count(n) for c in counts_by_length(n)]


def share_between(n: int, shortest: int, longest: int) -> float:
    """The share of all paths with shortest <= length <= longest.  ValueError outside 0..n."""
    check_length(n, shortest)
    check_length(n, longest)
    return sum(counts_by_length(n)[shortest : longest + 1]) / count(n)


def mean_length(n: int) -> float:
    """The mean path length, from the exact counts (n / 2)."""
    return sum(k * c for k, c in enumerate(counts_by_length(n))) / count(n)


def tightest_band(n: int, share: float) -> tuple[int, int]:
    """The narrowest band of lengths around the middle that holds at least `share` of all paths."""
    for half in range(n // 2 + 1):
        low, high = n // 2 - half, n - n // 2 + half
        if share_between(n, low, high) >= share:
            return low, high
    raise ValueError(f"share {share}: expected a number from 0 to 1")


def remaining(n: int, deleted: int) -> list[float]:
    """Eq 8: the fraction of the paths of length 0..n left after deleting `deleted` modules."""
    check_length(n, deleted, "number of deleted modules")
    return [comb(n - deleted, k) / comb(n, k) for k in range(n + 1)]


def remaining_between(n: int, deleted: int, shortest: int, longest: int) -> float:
    """The fraction, by count, of the paths of these lengths left after `deleted` deletions."""
    check_length(n, deleted, "number of deleted modules")
    check_length(n, shortest)
    check_length(n, longest)
    band = range(shortest, longest + 1)
    return sum(comb(n - deleted, k) for k in band) / sum(comb(n, k) for k in band)


def from_code(code: str) -> torch.Tensor:
    """The path of a binary code such as "101": bool tensor (n,).  ValueError if not binary."""
    if not code or set(code) - {"0", "1"}:
        raise ValueError(f"path code {code!r}: expected a string of 0s and 1s such as '101'")
    return torch.tensor([c == "1" for c in code])


def every(n: int) -> torch.Tensor:
    """All 2^n paths, bool tensor (2^n, n), module 1 changing slowest.  For small n."""
    if not 0 <= n <= 20:
        raise ValueError(f"every path of {n} modules: expected 0 to 20, there would be 2^{n}")
    codes = torch.arange(2**n)
    return (codes[:, None] >> torch.arange(n - 1, -1, -1) & 1).bool()


def sample(n: int, length: int, samples: int, generator: torch.Generator) -> torch.Tensor:
    """Paths of one length drawn uniformly, with replacement between draws: bool (samples, n).

    This is the draw of Section 5, "we randomly sample k residual blocks".  Raises ValueError for a
    length outside 0..n.
    """
    check_length(n, length)
    ranks = torch.rand(samples, n, generator=generator).argsort(dim=1)
    return ranks < length


def subset(n: int, size: int, generator: torch.Generator) -> list[int]:
    """`size` of n module indices (from 0) drawn uniformly without replacement, in order."""
    check_length(n, size, "number of modules")
    return sorted(torch.randperm(n, generator=generator)[:size].tolist())


def check_length(n: int, length: int, what: str = "path length") -> None:
    """ValueError unless 0 <= length <= n."""
    if not 0 <= length <= n:
        raise ValueError(f"{what} {length}: expected 0 to {n}, the network has {n} modules")


def surviving(n: int, deleted: int, weights: list[float]) -> float:
    """The part of the weight that is left after `deleted` deletions at random, on average.

    `weights`: of all paths of length 0..n together; of those of length k, Eq 8 remains.
    """
    left = sum(w * r for w, r in zip(weights, remaining(n, deleted), strict=True))
    return left / sum(weights)
