"""How fast a training learns, and how far that decays its random start: by its settings alone.

Rows are judged by it without the code that trains, and training takes its rates from here.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

PAPER = 0.334  # Of the paper's recipe: 64,000 iterations, weight decay 1e-4.


def learning_rate(recipe: str, iterations: int, highest: float, iteration: int) -> float:
    """The learning rate at an iteration counted from 0; `highest`: the largest of the run."""
    done = iteration / iterations
    if recipe != "paper":
        # The first and the last iteration are half a step away from zero, so none is wasted.
        done += 0.5 / iterations
        return highest * min(done / 0.2, (1 - done) / 0.8)
    if iteration < 400:
        return highest / 10
    return highest * (0.01 if done >= 0.75 else 0.1 if done >= 0.5 else 1)


def decay_sum(config: Mapping[str, Any]) -> float:
    """Learning rate x weight decay, added up over the iterations of a training.

    With momentum m, weights that the loss leaves alone end at exp(-sum / (1 - m)) of their start:
    at 3.5% by the paper's recipe, whose sum is 0.334.  A module that is active in a part of the
    iterations only decays in that part.  `config`: recipe, iterations, learning_rate, weight_decay.
    """
    rates = sum_of_rates(config["recipe"], config["iterations"], config["learning_rate"])
    return config["weight_decay"] * rates


@cache
def sum_of_rates(recipe: str, iterations: int, highest: float) -> float:
    """The learning rates of a run, added up."""
    each = (learning_rate(recipe, iterations, highest, i) for i in range(iterations))
    return math.fsum(each)


def is_papers(config: Mapping[str, Any]) -> bool:
    """Whether a training's decay sum is the paper's, within 1%."""
    return abs(decay_sum(config) / PAPER - 1) <= 0.01
