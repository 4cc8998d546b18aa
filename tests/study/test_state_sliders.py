"""Sliders through states: what is shown in each place, told in words."""

import re

import numpy as np
import pytest

from study.figures import state_sliders

NESTED = {
    "deleted": [1, 2],
    "intact": 0.1,
    # The second order is nearest to the medians, 0.3 and 0.5.
    "errors": [[0.2, 0.3, 0.9], [0.2, 0.6, 0.5]],
    "orders": [[0, 1], [2, 0], [1, 2]],
}
# 26 orders of four modules, the more disorder the more errors; the last but one differs.
ORDERS = {
    "intact": 0.05,
    "tau": [1 - i / 26 for i in range(26)],
    "errors": [0.1 + i / 100 for i in range(26)],
    "orders": [[0, 1, 2, 3]] * 13 + [[1, 0, 2, 3]] * 13,
}
CURVES = {"one": ([0, 1, 2], [0.25, 0.5, 0.25]), "two": ([0, 1, 2], [0.0, 0.25, 0.75])}
COURSE = {
    "iterations": [0, 1000],
    "shares": [[0.0, 0.0, 1.0], [0.0, 1.5, -0.5]],
    "norms": [[1.0, 1.0, 2.0], [3.0, 1.0, 0.0]],
}


def words(box):
    """What stands below each picture of a slider, by what the slider shows."""
    handle, stack = box.children[:2]
    said = [re.search("<figcaption>(.*?)</figcaption>", page.value)[1] for page in stack.children]
    return dict(zip(handle.options, said, strict=True))


def alternatives(box):
    """The alternative texts of a slider."""
    return [re.search('alt="(.*?)"', page.value)[1] for page in box.children[1].children]


def test_one_order_of_removal_module_by_module():
    box = state_sliders.by_deletion(NESTED, [[1.0, 0.5, 0.2, 0.1]] * 3, range(1, 3))
    assert words(box) == {
        "0": "0 of 3 modules deleted, 2^3 paths left: error 10.0 %",
        "1": "1 of 3 modules deleted, 2^2 paths left: error 30.0 %",
        "2": "2 of 3 modules deleted, 2^1 paths left: error 60.0 %",
    }
    deleted = [re.search("deleted: (.*?)\\.", text)[1] for text in alternatives(box)]
    assert deleted == ["none", "3", "3, 1"]


def test_from_the_original_order_to_disorder():
    box = state_sliders.by_order(ORDERS, np.array([0.5]), np.array([0.2]))
    said = words(box)
    assert list(said)[0] == "1.000" and len(said) == 13
    assert said["1.000"] == "0 modules moved, tau 1.000: error 5.0 %"
    taus = [float(name) for name in said]
    assert taus == sorted(taus, reverse=True)
    assert [text.split()[0] for text in said.values()][-1] == "2"


def test_fewer_orders_than_groups():
    few = {name: values[:2] if name != "intact" else values for name, values in ORDERS.items()}
    few["tau"] = [0.9, 0.8]
    assert len(words(state_sliders.by_order(few, np.array([]), np.array([])))) == 3


def test_one_estimator_at_a_time():
    box = state_sliders.by_estimator(CURVES, range(1, 2))
    assert words(box) == {
        "one": "one: 50.0 % from paths of 1 to 1 modules, mean length 1.0",
        "two": "two: 25.0 % from paths of 1 to 1 modules, mean length 1.8",
    }
    assert "highest at length 2 with 75.0 percent" in alternatives(box)[1]


def test_along_a_run():
    box = state_sliders.by_iteration(COURSE, range(1, 2))
    assert words(box) == {
        "0": "iteration 0: mean length 2.0 by exact share, 1.2 by norm",
        "1,000": "iteration 1,000: mean length 0.5 by exact share, 0.2 by norm",
    }
    assert "highest at length 1, the share by norm at 0" in alternatives(box)[1]


@pytest.mark.parametrize("start", ["00", "10"])
def test_every_path(start):
    paths = [[0, 0], [0, 1], [1, 0], [1, 1]]
    box = state_sliders.by_path(paths, [0.5, 0.25, 0.25, 0.0], start)
    assert words(box)["01"] == "path 01: length 1, 25.0 % of the gradient"
    assert box.children[0].options[box.children[0].index] == start
    assert alternatives(box)[0].endswith("it enters no module and goes around f1, f2.")
    assert alternatives(box)[2].endswith("it enters f1 and goes around f2.")
