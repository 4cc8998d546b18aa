"""McNemar's test on pairs of networks, in words."""

import pytest
from scipy.stats import binomtest

from study.text.paired import paired
from tests import rows


def trained(wrong, seed, **config):
    value = {"error": len(wrong) / 1000, "wrong": wrong, "modules": 54}
    return rows.row("training", value, samples=1000, seed=seed, **config)


def test_pairs_are_compared_image_by_image():
    """Seed 0: 30 wrong in both, 20 in the first alone, 5 in the other alone."""
    both, first, other = list(range(30)), list(range(100, 120)), list(range(200, 205))
    found = [
        trained(both + first, 0), trained([1], 1),
        trained(both + other, 0, active=23), trained([1], 1, active=23),
    ]  # fmt: skip
    lines = paired(found).split("\n")
    p = binomtest(20, 25).pvalue
    assert lines[0] == f"seed 0: trained on all 5, part 20; McNemar p = {p:.2g}"
    assert lines[1] == "seed 1: trained on all 0, part 0; McNemar p = 1"


def test_a_probability_below_what_a_float_can_hold(monkeypatch):
    monkeypatch.setattr("study.text.paired.sweep.mcnemar", lambda a, b: 0.0)
    assert paired([trained([0], 0), trained([1], 0, active=23)]).endswith("McNemar p < 1e-300")


def test_without_rows():
    assert paired([]) == ""
    with pytest.raises(ValueError):
        paired([trained([0], 0)])
