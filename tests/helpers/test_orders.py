"""Orders of a given number of inversions: all of them, and each as often as the others."""

from collections import Counter
from itertools import permutations, product
from math import factorial

import pytest
import torch
from scipy.stats import chisquare

from helpers import orders


def inversions(order):
    """By brute force: pairs of which the later module runs first."""
    return sum(a > b for i, a in enumerate(order) for b in order[i + 1 :])


def test_each_table_is_an_order():
    """All 120 tables of five modules give all 120 orders, with as many inversions as they say."""
    tables = list(product(*(range(j + 1) for j in range(5))))
    found = [tuple(orders.insert(list(table))) for table in tables]
    assert sorted(found) == sorted(permutations(range(5)))
    assert [inversions(order) for order in found] == [sum(table) for table in tables]


def test_tables_are_counted():
    """Mahonian numbers by brute force; all orders of 18, 17 and 17 modules in exact integers."""
    expected = Counter(inversions(order) for order in permutations(range(5)))
    ways = orders.count_tables(list(range(5)))
    assert ways[-1] == [expected[s] for s in range(11)]
    sizes = [18, 17, 17]
    last = orders.count_tables([j for m in sizes for j in range(m)])[-1]
    assert sum(last) == factorial(18) * factorial(17) ** 2
    assert len(last) == orders.most_inversions(sizes) + 1
    assert last[:2] == [1, 49] and last[-1] == 1, "one adjacent pair: 17 + 16 + 16"


@pytest.mark.parametrize("number", [0, 1, 4, 6, 8, 9])
def test_drawn_uniformly(number):
    """From all pairs of orders of four and of three modules with so many inversions together."""
    every = [
        pair
        for pair in product(permutations(range(4)), permutations(range(3)))
        if sum(map(inversions, pair)) == number
    ]
    generator = torch.Generator().manual_seed(1)
    drawn = orders.draw_orders([4, 3], [number] * (100 * len(every)), generator)
    counts = Counter(tuple(map(tuple, pair)) for pair in drawn)
    assert set(counts) == set(every)
    if len(every) > 1:
        assert chisquare(list(counts.values())).pvalue > 0.01


def test_counts_beyond_floating_point(generator):
    """200! is about 1e375: the counts are integers, and a draw still has what was asked for."""
    most = orders.most_inversions([200])
    asked = [0, 1, 9950, most - 1, most]
    found = [order for (order,) in orders.draw_orders([200], asked, generator)]
    assert [inversions(order) for order in found] == asked
    assert found[0] == found[-1][::-1] == list(range(200))


@pytest.mark.usefixtures("no_global_draws")
def test_the_same_seed_gives_the_same_orders():
    def draw(seed):
        return orders.draw_orders([9, 4], [20], torch.Generator().manual_seed(seed))

    assert draw(1) == draw(1) != draw(2)
