"""Orders with a given number of inversions: pairs that have changed places.

An order of m modules is built by inserting one after the other: module j is put in front of the
last d_j of the j modules that are there, 0 <= d_j <= j, which makes d_j inversions.  Each order
comes from exactly one such table d_0, ..., d_{m-1} (Knuth, The Art of Computer Programming, volume
3, Section 5.1.1), so that drawing tables of one sum uniformly draws orders uniformly.
"""

from itertools import accumulate

import torch


def most_inversions(sizes: list[int]) -> int:
    """The inversions of an order that reverses each of several runs of modules.

    >>> most_inversions([18, 17, 17])
    425
    """
    return sum(m * (m - 1) // 2 for m in sizes)


def count_tables(limits: list[int]) -> list[list[int]]:
    """ways[i][s]: how many sequences of i numbers, the j-th from 0 to limits[j], add up to s.

    Exact integers, for i = 0 to the number of limits and every sum that there is.

    >>> count_tables([0, 1, 2])[-1]
    [1, 2, 2, 1]
    """
    ways = [[1]]
    for limit in limits:
        fewer = ways[-1]
        # The number added last is 0 to `limit`: a sum over a window, by its two ends.
        up_to = [0, *accumulate(fewer)]
        last, sums = len(fewer), range(len(fewer) + limit)
        ways.append([up_to[min(s + 1, last)] - up_to[max(s - limit, 0)] for s in sums])
    return ways


def draw_orders(
    sizes: list[int], inversions: list[int], generator: torch.Generator
) -> list[list[list[int]]]:
    """For each number in `inversions`, an order of each of the runs of `sizes` modules.

    An order is a list of 0..m-1 for a run of m.  The orders of all runs have so many inversions
    together, and every choice of orders that does is equally likely.  The numbers must be from 0 to
    `most_inversions(sizes)`.

    >>> draw_orders([3, 2], [0, 4], torch.Generator().manual_seed(0))
    [[[0, 1, 2], [0, 1]], [[2, 1, 0], [1, 0]]]
    """
    limits = [j for m in sizes for j in range(m)]
    ways = count_tables(limits)
    found = []
    for left in inversions:
        numbers: list[int] = []
        for limit, fewer in zip(reversed(limits), reversed(ways[:-1]), strict=True):
            fits = [fewer[left - d] if 0 <= left - d < len(fewer) else 0 for d in range(limit + 1)]
            # Divided as integers: the counts may be too large for a float, their ratios never are.
            chances = torch.tensor([w / sum(fits) for w in fits], dtype=torch.float64)
            numbers.append(int(torch.multinomial(chances, 1, generator=generator)))
            left -= numbers[-1]
        following = iter(reversed(numbers))
        found.append([insert([next(following) for _ in range(m)]) for m in sizes])
    return found


def insert(table: list[int]) -> list[int]:
    """The order of 0..m-1 in which each j was put in front of the last table[j] of those before.

    >>> insert([0, 1, 0])
    [1, 0, 2]
    """
    order: list[int] = []
    for j, passed in enumerate(table):
        order.insert(j - passed, j)
    return order
