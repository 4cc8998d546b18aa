"""How far a training decays its random start: the decay sum of a recipe, from a row's settings.

`study.training.recipes` has the learning rates themselves; their sums are here in closed form, so
that rows can be judged by them without the code that trains.
"""

from collections.abc import Mapping
from typing import Any

PAPER = 0.334  # Of the paper's recipe: 64,000 iterations, weight decay 1e-4.


def decay_sum(config: Mapping[str, Any]) -> float:
    """Learning rate x weight decay, added up over the iterations of a training.

    With momentum m, weights that the loss leaves alone end at exp(-sum / (1 - m)) of their start.
    `config`: recipe, iterations, learning_rate, weight_decay.
    """
    n = config["iterations"]
    unit = paper(n) if config["recipe"] == "paper" else one_cycle(n)
    return config["weight_decay"] * config["learning_rate"] * unit


def paper(n: int) -> float:
    """The sum of the rates of n iterations, as parts of the highest: 1/10 for the first 400, then
    1, from half of the run on 1/10, from three quarters on 1/100."""
    half, late = max(400, -(-n // 2)), max(400, -(-3 * n // 4))
    warm = min(400, n)
    return (
        0.1 * warm
        + max(0, half - 400)
        + 0.1 * max(0, min(late, n) - half)
        + 0.01 * max(0, n - late)
    )


def one_cycle(n: int) -> float:
    """The same, up over the first fifth and down to zero, each iteration at its middle."""
    up = (2 * n + 5) // 10
    down = n - up
    return (up**2 / 0.2 + down**2 / 0.8) / (2 * n)


def is_papers(config: Mapping[str, Any]) -> bool:
    """Whether a training's decay sum is the paper's, within 1%."""
    return abs(decay_sum(config) / PAPER - 1) <= 0.01
