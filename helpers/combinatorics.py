"""Combinatorics of paths: a residual network of n modules is a collection of 2^n paths.

A path is a binary code b in {0, 1}^n (Section 3): b_i = 1 iff it enters residual module i, 0 iff it
takes the skip connection.  Its length is the number of ones.
"""

from math import comb

import torch

# Lengths of the effective paths, by the paper's Section 5: in its network of 54 modules nearly all
# of the gradient comes from paths of 5 to 17 modules.
EFFECTIVE = range(5, 18)


def count(n: int) -> int:
    """The number of paths through n modules, 2^n (Section 3).  ValueError for a negative n.

    >>> count(54)
    18014398509481984
    """
    if n < 0:
        raise ValueError(f"{n} modules: expected 0 or more")
    return 2**n


def counts_by_length(n: int) -> list[int]:
    """How many paths have length 0, 1, ..., n: C(n, k), exact integers (Section 5).

    ValueError for a negative n.

    >>> counts_by_length(4)
    [1, 4, 6, 4, 1]
    """
    if n < 0:
        raise ValueError(f"{n} modules: expected 0 or more")
    return [comb(n, k) for k in range(n + 1)]


def length_shares(n: int) -> list[float]:
    """The share of all paths that has length 0, 1, ..., n: Binomial(n, 1/2), Figure 6a.

    >>> length_shares(2)
    [0.25, 0.5, 0.25]
    """
    return [c / count(n) for c in counts_by_length(n)]


def share_between(n: int, shortest: int, longest: int) -> float:
    """The share of all paths with shortest <= length <= longest.

    ValueError outside 0..n, and if `shortest` is the larger.

    >>> round(100 * share_between(54, EFFECTIVE[0], EFFECTIVE[-1]), 2)  # Percent.
    0.45
    """
    check_band(n, shortest, longest)
    return sum(counts_by_length(n)[shortest : longest + 1]) / count(n)


def mean_length(n: int) -> float:
    """The mean path length, from the exact counts (n / 2).

    >>> mean_length(54)
    27.0
    """
    return sum(k * c for k, c in enumerate(counts_by_length(n))) / count(n)


def tightest_band(n: int, share: float) -> tuple[int, int]:
    """The narrowest band of lengths around the middle that holds at least `share` of all paths.

    Shortest and longest length.  ValueError unless 0 <= share <= 1.

    >>> tightest_band(54, 0.95)  # The paper says 19 to 35, which hold 98%.
    (20, 34)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share {share}: expected a number from 0 to 1")
    for half in range(n // 2 + 1):
        low, high = n // 2 - half, n - n // 2 + half
        if share_between(n, low, high) >= share:
            break
    return low, high


def remaining(n: int, deleted: int) -> list[float]:
    """Eq 8: the fraction of the paths of length 0..n left after deleting `deleted` modules.

    ValueError unless 0 <= deleted <= n.

    >>> remaining(2, 1)
    [1.0, 0.5, 0.0]
    """
    check_length(n, deleted, "number of deleted modules")
    return [comb(n - deleted, k) / comb(n, k) for k in range(n + 1)]


def remaining_between(n: int, deleted: int, shortest: int, longest: int) -> float:
    """The fraction, by count, of the paths of these lengths left after `deleted` deletions.

    ValueError as `remaining` and `share_between`.

    >>> remaining_between(3, 1, 1, 2)  # Of 3 + 3 paths, 2 + 1 do without the first module.
    0.5
    """
    check_length(n, deleted, "number of deleted modules")
    check_band(n, shortest, longest)
    band = range(shortest, longest + 1)
    return sum(comb(n - deleted, k) for k in band) / sum(comb(n, k) for k in band)


def from_code(code: str) -> torch.Tensor:
    """The path of a binary code such as "101": bool tensor (n,).  ValueError if not binary.

    >>> from_code("101")
    tensor([ True, False,  True])
    """
    if not code or set(code) - {"0", "1"}:
        raise ValueError(f"path code {code!r}: expected a string of 0s and 1s such as '101'")
    return torch.tensor([c == "1" for c in code])


def every(n: int) -> torch.Tensor:
    """All 2^n paths, bool tensor (2^n, n), module 1 changing slowest.

    ValueError unless n is 0 to 20.

    >>> every(2).int().tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    if not 0 <= n <= 20:
        raise ValueError(f"every path of {n} modules: expected 0 to 20, there would be 2^{n}")
    codes = torch.arange(2**n)
    return (codes[:, None] >> torch.arange(n - 1, -1, -1) & 1).bool()


def sample(n: int, length: int, samples: int, generator: torch.Generator) -> torch.Tensor:
    """Paths of one length drawn uniformly, with replacement between draws: bool (samples, n).

    This is the draw of Section 5, "we randomly sample k residual blocks".  Raises ValueError for a
    length outside 0..n.

    >>> sample(6, 2, 4, torch.Generator()).sum(dim=1)
    tensor([2, 2, 2, 2])
    """
    check_length(n, length)
    ranks = torch.rand(samples, n, generator=generator).argsort(dim=1)
    return ranks < length


def subset(n: int, size: int, generator: torch.Generator) -> list[int]:
    """`size` of n module indices (from 0) drawn uniformly without replacement, in order.

    ValueError unless 0 <= size <= n.

    >>> subset(3, 3, torch.Generator())
    [0, 1, 2]
    """
    check_length(n, size, "number of modules")
    return sorted(torch.randperm(n, generator=generator)[:size].tolist())


def check_length(n: int, length: int, what: str = "path length") -> None:
    """ValueError unless 0 <= length <= n."""
    if not 0 <= length <= n:
        raise ValueError(f"{what} {length}: expected 0 to {n}, the network has {n} modules")


def check_band(n: int, shortest: int, longest: int) -> None:
    """ValueError unless 0 <= shortest <= longest <= n."""
    check_length(n, shortest)
    check_length(n, longest)
    if shortest > longest:
        raise ValueError(f"path lengths {shortest} to {longest}: expected the shortest first")


def surviving(n: int, deleted: int, weights: list[float]) -> float:
    """The part of the weight that is left after `deleted` deletions at random, on average.

    `weights`: n + 1 numbers, of all paths of length 0..n together; of those of length k, Eq 8
    remains.  ValueError for another number of weights, or if they add up to nothing.

    >>> surviving(2, 1, [1, 2, 1])  # As many as there are paths: one deletion halves them.
    0.5
    """
    if len(weights) != n + 1:
        raise ValueError(f"{len(weights)} weights: expected {n + 1}, for the lengths 0 to {n}")
    if not sum(weights):
        raise ValueError("weights that add up to nothing: expected a weight for each path length")
    left = sum(w * r for w, r in zip(weights, remaining(n, deleted), strict=True))
    return left / sum(weights)
