"""Whether the costs of deletions add up, in lines of text."""

import numpy as np
import pytest

from study.text.additivity import additivity, correlation


def table(costs, orders, errors, intact=0.1):
    """Rows' values: single costs as shares, and the errors of draws that delete two modules."""
    single = {"intact": intact, "errors": [intact + cost for cost in costs]}
    several = {"intact": intact, "deleted": [1, 2], "orders": orders, "errors": [errors, errors]}
    return single, several


CHEAP = [0.01 * i for i in range(6)]
ORDERS = [[i, j] for i in range(6) for j in range(i)]


def test_costs_that_add_up_with_something_on_top():
    errors = [0.1 + 2 * (CHEAP[i] + CHEAP[j]) + 0.05 for i, j in ORDERS]
    (line,) = additivity(*table(CHEAP, ORDERS, errors), counts=(2,)).split("\n")
    above = 5 + np.mean([100 * (CHEAP[i] + CHEAP[j]) for i, j in ORDERS])
    assert line == (
        f" 2 deleted: correlation 1.00; in the 15 draws of cheap modules 1.00, "
        f"{above:+.1f} pt above the sum"
    )


def test_costs_that_work_against_each_other():
    errors = [0.6 - (CHEAP[i] + CHEAP[j]) for i, j in ORDERS]
    assert "correlation -1.00" in additivity(*table(CHEAP, ORDERS, errors))


def test_draws_of_a_costly_module_are_told_apart():
    """Module 5 costs 50 points; ten of the draws are without it, nine are too few."""
    costs = [*CHEAP[:5], 0.5]
    errors = [0.1 + costs[i] + costs[j] for i, j in ORDERS]
    assert "in the 10 draws of cheap modules 1.00, +0.0 pt" in additivity(
        *table(costs, ORDERS, errors)
    )
    fewer = table(costs, ORDERS[1:], errors[1:])
    assert additivity(*fewer) == " 2 deleted: correlation 1.00"


@pytest.mark.parametrize(
    "a, b", [([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0, 1.0]), ([1.0], [2.0])]
)
def test_where_nothing_varies_there_is_no_correlation(a, b):
    assert correlation(np.array(a), np.array(b)) == "not defined"
