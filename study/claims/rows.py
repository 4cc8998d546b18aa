"""Which rows a claim about trained networks is judged from."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from study.claims.claim import Missing
from study.decay import decay_sum, is_papers

# The ledger's defaults where the paper leaves a setting open.  Rows of a variant do not decide.
DEFAULTS = {
    "batch_size": 128,
    "momentum": 0.9,
    "shortcuts": "subsample",
    "active": 0,
    "survival": 1.0,
    "at_image": False,
    "batch_statistics": False,
    "spare_downsampling": False,
    "decay_only": False,
}
# How a network was tested: no reason to count it as another one.
MEASURED = ("test_precision", "images", "n_statistics")
FULL: dict[str, Any] = {"model": "resnet"}
PROJECTION = FULL | {"shortcuts": "projection"}
PLAIN: dict[str, Any] = {"model": "vgg15"}
HIGHWAY: dict[str, Any] = {"model": "highway"}
# A highway network that was trained by weight decay alone, without a loss.
DECAY_ONLY = HIGHWAY | {"decay_only": True}
STOCHASTIC = FULL | {"survival": 0.5}


def matching(rows: list[dict], experiment: str, **wanted: Any) -> list[dict]:
    """The rows of an experiment whose configuration is `wanted`, and by default elsewhere.

    A setting given as None may be anything.  Of a network measured twice, the last row.  Networks
    of others, whose training is not known, are left out.
    """
    wanted = DEFAULTS | wanted
    found = {}
    for row in rows:
        config = DEFAULTS | row["config"]
        if (
            row["experiment"] == experiment
            and "recipe" in config
            and all(value is None or config[name] == value for name, value in wanted.items())
        ):
            network = tuple(sorted(c for c in config.items() if c[0] not in MEASURED))
            found[network, row["dataset"], row["seed"]] = row
    return list(found.values())


def trained_alike(row: dict) -> tuple:
    """How a network was trained, the paper's way first when sorted downwards: on CIFAR-10, by the
    paper's decay sum, for long.

    What else makes a recipe, such as momentum, `matching` has settled; the learning rate may differ
    between the models that are compared.
    """
    config = row["config"]
    ours = row["dataset"] == "cifar10", is_papers(config), config["iterations"], config["depth"]
    return *ours, config["recipe"], row["dataset"], f"{decay_sum(config):.2g}"


def same_recipe(row: dict, other: dict) -> bool:
    """Whether two networks were trained alike, but for how long."""
    one, two = ([*trained_alike(r)[:2], *trained_alike(r)[3:]] for r in (row, other))
    return one == two


def by_recipe(rows: list[dict]) -> list[list[dict]]:
    """Rows that `matching` found, by how the networks were trained (`trained_alike`); those of a
    group differ in their seeds alone."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(trained_alike(row), []).append(row)
    return [groups[key] for key in sorted(groups, reverse=True)]


def runs(rows: list[dict], experiment: str, **wanted: Any) -> list[dict]:
    """`matching` rows of the first recipe, in the order of their seeds; empty without rows.

    Rows of several networks of a kind (seeds) are averaged by the rules, never chosen from.
    """
    found = by_recipe(matching(rows, experiment, **wanted))
    return sorted(found[0], key=lambda row: row["seed"]) if found else []


def select(
    rows: list[dict], experiment: str, what: str, least: int = 1, **wanted: Any
) -> list[dict]:
    """The rows that a rule is applied to: the `runs`, of the first recipe that `least` networks
    were trained by; where none has so many, of the first.  Missing, with `what`, without rows."""
    groups = by_recipe(matching(rows, experiment, **wanted))
    if not groups:
        raise Missing(f"no rows of {what}")
    first = groups[0]
    # Only networks that decay alike stand in for each other.
    many = [g for g in groups if trained_alike(g[0])[:2] == trained_alike(first[0])[:2]]
    found = next((g for g in many if len(g) >= least), first)
    return sorted(found, key=lambda row: row["seed"])


def stacked(found: list[dict], name: str) -> np.ndarray:
    """An entry of the values of several rows, a network a line; Missing if they do not fit."""
    try:
        return np.array([r["value"][name] for r in found], dtype=float)
    except ValueError:
        raise Missing(f"no rows that fit together: {name} differ in their number") from None


def common(found: list[dict], name: str) -> Any:
    """An entry that the values of several rows share; Missing if they do not fit."""
    first, *others = (r["value"][name] for r in found)
    if any(entry != first for entry in others):
        raise Missing(f"no rows that fit together: {name} differ")
    return first


def alike(
    rows: list[dict], experiment: str, one: dict, other: dict
) -> Iterator[tuple[list[dict], list[dict]]]:
    """Rows of two kinds of network, for each recipe that has both, the first of
    `by_recipe` first."""
    for a in by_recipe(matching(rows, experiment, **one)):
        for b in by_recipe(matching(rows, experiment, **other)):
            if by_recipe(a + b) == [a + b]:
                yield a, b


def pairs(
    rows: list[dict], experiment: str, one: dict, other: dict, least: int = 1
) -> tuple[list[dict], list[dict]]:
    """Rows of two kinds of network by the same recipe, at least `least` seeds of each.

    The first recipe that has them; Missing if none does.
    """
    for a, b in alike(rows, experiment, one, other):
        if min(len(a), len(b)) >= least:
            return a, b
    raise Missing(f"no rows of {experiment} with {least} or more seeds of both kinds by one recipe")


def example(rows: list[dict], experiment: str, **wanted: Any) -> dict | None:
    """The first of the `runs`; None without rows."""
    return next(iter(runs(rows, experiment, **wanted)), None)


def examples(rows: list[dict], experiment: str, *kinds: dict) -> list[dict]:
    """The `example` of each kind, up to the first kind that has none: a figure that draws several
    tells them apart by their order."""
    found = []
    for kind in kinds:
        if (row := example(rows, experiment, **kind)) is None:
            break
        found.append(row)
    return found


def matched(rows: list[dict], experiment: str, one: dict, other: dict) -> list[dict]:
    """Of the rows that `pairs` would give, the first seed's of each kind; empty without rows."""
    try:
        found = pairs(rows, experiment, one, other)
    except Missing:
        return []
    return [min(kind, key=lambda row: row["seed"]) for kind in found]
