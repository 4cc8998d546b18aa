"""The decay sum, against its closed forms and the rates that training uses."""

import math
from dataclasses import asdict, replace

import pytest

from study import decay
from study.training.recipes import TrainConfig, decay_of, learning_rate, reference


def paper(n):
    """The sum of the rates of n iterations, as parts of the highest: 1/10 for the first 400, then
    1, from half of the run on 1/10, from three quarters on 1/100."""
    half, late = max(400, -(-n // 2)), max(400, -(-3 * n // 4))
    steps = 0.1 * min(400, n), max(0, half - 400)
    return sum(steps) + 0.1 * max(0, min(late, n) - half) + 0.01 * max(0, n - late)


def one_cycle(n):
    """The same, up over the first fifth and down to zero, each iteration at its middle."""
    up = (2 * n + 5) // 10
    return (up**2 / 0.2 + (n - up) ** 2 / 0.8) / (2 * n)


@pytest.mark.parametrize("recipe", ["paper", "compact", "one-cycle"])
@pytest.mark.parametrize(
    "iterations", [*range(1, 12), 399, 400, 401, 533, 534, 799, 801, 1560, 17_550]
)
def test_the_sum_is_that_of_the_rates(recipe, iterations):
    config = TrainConfig(recipe=recipe, iterations=iterations, learning_rate=0.3, weight_decay=2e-4)
    rates = math.fsum(learning_rate(config, i) for i in range(iterations))
    assert decay.decay_sum(asdict(config)) == pytest.approx(2e-4 * rates, rel=1e-12)
    assert decay_of(config) == pytest.approx(decay.decay_sum(asdict(config)), rel=1e-12)
    closed = paper(iterations) if recipe == "paper" else one_cycle(iterations)
    assert decay_of(config) == pytest.approx(0.3 * 2e-4 * closed, rel=1e-12)


def test_the_papers():
    assert decay.decay_sum(asdict(TrainConfig())) == pytest.approx(decay.PAPER, rel=1e-12)
    assert decay.is_papers(asdict(TrainConfig()))
    assert decay.is_papers(asdict(reference("cifar10", 5850, active=23)))


@pytest.mark.parametrize(
    "factor, expected", [(0.9901, True), (0.9899, False), (1.0099, True), (1.0101, False)]
)
def test_within_one_percent(factor, expected):
    config = replace(TrainConfig(), weight_decay=1e-4 * factor)
    assert decay.is_papers(asdict(config)) is expected


def test_the_first_study_had_another():
    """Of 5,850 iterations at most 0.1, weight decay 1e-4: 0.1 x 5,850 / 2 x 1e-4."""
    config = TrainConfig(recipe="one-cycle", iterations=5850)
    assert decay.decay_sum(asdict(config)) == pytest.approx(0.02925, rel=1e-6)
    assert not decay.is_papers(asdict(config))
