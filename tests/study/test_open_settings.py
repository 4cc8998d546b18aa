"""Tables of variants and sentences of findings: from rows, and only from rows."""

from dataclasses import asdict

import numpy as np
import pytest

from helpers import combinatorics
from study.text import open_settings, summary
from study.training.recipes import reference

NET = {"model": "resnet", "depth": 110, "active": 0, "survival": 1.0, "shortcuts": "subsample"}
SHORT = {"recipe": "compact", "iterations": 1560}


def row(experiment, value, seed=0, samples=1000, **config):
    """A row with what the tables read."""
    return {
        "experiment": experiment,
        "dataset": "cifar10",
        "model": "a network",
        "seed": seed,
        "seconds": 90.0,
        "samples": samples,
        "config": NET | SHORT | {"images": 1000} | config,
        "value": value,
    }


def deletion(worst, intact=0.1, **config):
    """Four modules; one deletion costs nothing, two 1 pt, one up to `worst`."""
    errors = [intact, intact + 0.01, intact + 0.01, worst]
    return row("deletion", {"intact": intact, "errors": errors, "downsampling": [3]}, **config)


def cells(table, line):
    """The cells of a line of a Markdown table, counted from 0 below its head."""
    return [cell.strip() for cell in table.split("\n")[2 + line].strip("|").split("|")]


@pytest.mark.parametrize(
    "tell",
    ["length_of_training", "robustness", "vgg", "gradient", "spared", "test_time"],
)
def test_without_rows_a_table_says_so(tell):
    assert getattr(open_settings, tell)([]) == open_settings.NOT_RECORDED


def test_training():
    rows = [row("training", {"error": 0.1234, "rounding": -0.0002, "wrong": [], "modules": 54})]
    found = cells(open_settings.length_of_training(rows), 0)
    assert found == ["a network", "short recipe, 1,560 iterations", "12.34%", "2 min"]


def test_trained_networks_are_in_order():
    names = [("b", 10), ("a", 2000), ("a", 300)]
    value = {"error": 0.1, "wrong": [], "modules": 54}
    rows = [row("training", value, iterations=i) | {"model": name} for name, i in names]
    rows.append(row("training", value) | {"dataset": "digits"})
    assert len(open_settings.length_of_training(rows).split("\n")) == 2 + len(names)
    found = [cells(open_settings.length_of_training(rows), i)[:2] for i in range(3)]
    lengths = [f"short recipe, {i} iterations" for i in ("300", "2,000", "10")]
    assert found == [list(pair) for pair in zip("aab", lengths, strict=True)]


@pytest.mark.parametrize("kind", ["projection", "shared"])
def test_shortcuts_compares_networks_trained_alike(kind):
    rows = [
        deletion(0.3),
        deletion(0.9, iterations=5850),
        deletion(0.2, shortcuts=kind),
        deletion(0.5, shortcuts="another"),
    ]
    found = open_settings.shortcuts(rows, kind)
    assert len(found.split("\n")) == 4
    name, intact, median, worst, down, others = cells(found, 0)
    assert (name, intact, median, worst) == ("subsample", "10.00%", "1.00 pt", "20.00 pt")
    assert (down, others) == ("mean 20.00 pt", "90th percentile of the others 1.00 pt")
    assert cells(found, 1)[0] == kind and cells(found, 1)[3] == "10.00 pt"


@pytest.mark.parametrize("other", [{"recipe": "paper"}, {"depth": 20}, {"learning_rate": 0.2}])
def test_shortcuts_of_networks_that_were_not_trained_alike_are_not_compared(other):
    """As many iterations are not enough."""
    rows = [deletion(0.3), deletion(0.2, **{"shortcuts": "projection"} | other)]
    assert open_settings.shortcuts(rows, "projection") == open_settings.NOT_RECORDED
    assert open_settings.shortcuts([], "shared") == open_settings.NOT_RECORDED


def test_robustness_by_length_of_training_and_seed():
    """One module costs the most; only more than 10 points make it dear."""
    rows = [deletion(0.2, iterations=5850), deletion(0.3) | {"seed": 1}, deletion(0.4)]
    found = open_settings.robustness(rows)
    assert [cells(found, i)[3] for i in range(3)] == ["30.00 pt", "20.00 pt", "10.00 pt"]
    assert [cells(found, i)[4] for i in range(3)] == ["4", "4", "none"]


def test_vgg_with_and_without_batch_norm():
    """Each trained at the rate that the book's chapters use for it."""
    configs = [reference("cifar10", model=model) for model in ("vgg15", "vgg15-plain")]
    assert configs[0].learning_rate != configs[1].learning_rate
    rows = [deletion(e, **asdict(c)) for e, c in zip((0.9, 0.8), configs, strict=True)]
    found = open_settings.vgg(rows)
    assert [cells(found, i)[0] for i in (0, 1)] == ["batch norm", "none"]
    assert cells(found, 1)[3] == "70.00 pt"


def test_gradient_by_place():
    lengths = list(range(1, 55))
    sampled = {"lengths": lengths, "mean": [0.2**k for k in lengths], "modules": 54}
    shares = np.zeros(55)
    shares[[4, 10, 20]] = 0.25, 0.65, 0.10
    exact = {"shares": shares.tolist(), "norms": [1.0] * 55}
    rows = [
        row("sampled_norms", sampled),
        row("by_length", exact),
        row("by_length", exact, batch_statistics=True),
    ]
    found = open_settings.gradient(rows)
    _, factor, product, inside, mean, recipe = cells(found, 0)
    weights = np.array([combinatorics.counts_by_length(54)[k] * 0.2**k for k in lengths])
    expected = 100 * weights[4:17].sum() / weights.sum()
    assert (factor, product) == ("0.200, R^2 1.000", f"{expected:.1f}%")
    assert (inside, mean) == ("65.0%", f"{0.25 * 4 + 6.5 + 2:.2f}")
    assert recipe == "short recipe, 1,560 iterations"
    assert cells(found, 1) == ["batch norm as in training", "", "", inside, mean, recipe]


def test_spared():
    errors = [[0.1 + k / 100] * 3 for k in range(1, 21)]
    value = {"deleted": list(range(1, 21)), "errors": errors, "intact": 0.1}
    found = open_settings.spared([row("random_deletions", value, spare_downsampling=True)])
    medians, images = ["11.0%", "15.0%", "20.0%", "30.0%"], "1,000"
    recipe = "short recipe, 1,560 iterations"
    assert cells(found, 0) == ["downsampling spared", *medians, images, recipe]


def test_tau_within_stages():
    within = 18 * 17 // 2 + 2 * (17 * 16 // 2)
    assert f"Of 1,431 pairs {within} are within" in open_settings.tau()
    assert f"{1431 / within:.2f} times" in open_settings.tau()


def test_ways_of_testing():
    value = {"scaled": 0.2, "unscaled": 0.9}
    found = open_settings.test_time([row("test_time", value, seed=2, active=23)])
    assert cells(found, 0)[:3] == ["seed 2", "20.00%", "90.00%"]


def test_no_sentence_without_rows():
    told = (
        summary.deletion,
        summary.random_deletions,
        summary.norms,
        summary.gradient,
        summary.training,
        summary.dynamics,
    )
    assert {tell([]) for tell in told} == {""} and summary.told("") == "Not recorded yet."
    found = summary.judged(summary.norms, ["B9"], [])
    assert found.startswith("Not recorded yet. (B9, *") and found.endswith("*: **not run**.)")


def test_sentences():
    lengths = list(range(1, 55))
    shares = np.zeros((2, 55))
    shares[0, 4], shares[1, [2, 10]] = 1, (0.25, 0.75)
    errors = [[0.1 + k / 100] * 3 for k in range(1, 21)]
    training = [
        row("training", {"error": e, "wrong": [], "modules": 54}, seed=s, active=a)
        for s, e, a in ((0, 0.1, 0), (1, 0.2, 0), (0, 0.3, 23), (1, 0.3, 23))
    ]
    rows = [
        deletion(0.3),
        deletion(0.9, intact=0.85, model="vgg15"),
        row("random_deletions", {"deleted": list(range(1, 21)), "errors": errors, "intact": 0.1}),
        row("by_length", {"shares": shares[1].tolist(), "norms": [1.0] * 55}),
        row(
            "sampled_norms", {"lengths": lengths, "mean": [0.2**k for k in lengths], "modules": 54}
        ),
        row("dynamics", {"iterations": [0, 1560], "shares": shares.tolist()}),
        *training,
    ]
    one, many = summary.deletion(rows), summary.random_deletions(rows)
    gradient, trained, dynamics = (
        tell(rows) for tell in (summary.gradient, summary.training, summary.dynamics)
    )
    norms = summary.judged(summary.norms, ["B9", "B8"], rows)
    assert norms.startswith("**Recorded.** Each further module on a path leaves 0.20 of")
    assert "from 2.0e-01 on a path of one module to 1.3e-12 on one of 17. (B9, *the" in norms
    assert "its length*: **reproduced**; B8, *error" in norms and norms.endswith("**not run**.)")
    assert "costs 1.00 points" in one and "20.0 at most" in one and "85% or more" in one
    assert one.endswith(" More than 10 points: module 4 (downsampling: 4).")
    for told in (one, many, norms, gradient):
        assert "(short recipe, 1,560 iterations)" in told or "; short recipe, 1,560" in told
    assert "11% after 1, 15% after 5, 20% after 10, 30% after 20" in many
    assert "carry 75.0% of the gradient" in gradient and "shorter ones carry 25.0%" in gradient
    assert "length is 8.0 modules" in gradient
    assert trained == (
        "Test error after 1,560 iterations (2 seeds): all 54 modules 15.00 ± 7.07%, "
        "23 of 54 modules 30.00 ± 0.00%."
    )
    longer = [r | {"config": r["config"] | {"iterations": 5850}} for r in training if not r["seed"]]
    assert summary.training(rows + longer) == (
        f"{trained[:-1]}; after 5,850 iterations (1 seed): all 54 modules 10.00%, "
        "23 of 54 modules 30.00%."
    )
    assert "from 4.0 to 8.0 modules; it is longest, 8.0, after 1,560" in dynamics
    assert "carry 0% of the gradient, after 1,560 iterations 75% (least 0%)" in dynamics
    again = row("dynamics", {"iterations": [0, 1560], "shares": shares[::-1].tolist()}, seed=1)
    assert summary.dynamics([*rows, again]) == (
        f"{dynamics} In 2 runs with seeds of their own it goes from 6.00 ± 2.83 to 6.00 ± 2.83."
    )


def test_modules_that_are_dear_alone_are_named():
    """Of costs 0, 1, 1 and 10 points none is more than 10."""
    plain = deletion(0.9, intact=0.85, model="vgg15")
    assert "More than" not in summary.deletion([deletion(0.2), plain])
    errors = {"intact": 0.1, "errors": [0.3, 0.1, 0.4, 0.21], "downsampling": [2, 3]}
    told = summary.deletion([row("deletion", errors), plain])
    assert told.endswith(" More than 10 points: modules 1, 3 and 4 (downsampling: 3 and 4).")
