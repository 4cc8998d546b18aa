"""What the claims about trained networks share: a claim, and the rows it is judged from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np


class Missing(LookupError):
    """The rows do not hold what a rule needs."""


@dataclass(frozen=True)
class Finding:
    """Whether a rule is met, what was measured, on how many samples, and the rows behind it."""

    holds: bool
    ours: str
    samples: str
    rows: list[dict]


@dataclass(frozen=True)
class Claim:
    """Where the paper makes a claim, what it says and its number, the rule, what rows find, and
    the figure of this book that shows it."""

    where: str
    says: str
    paper: str
    rule: str
    finding: Callable[[list[dict]], Finding]
    figure: str


# The ledger's defaults where the paper leaves a setting open.  Rows of a variant do not decide.
DEFAULTS = {
    "batch_size": 128,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "shortcuts": "subsample",
    "active": 0,
    "survival": 1.0,
    "at_image": False,
    "batch_statistics": False,
    "spare_downsampling": False,
}
# How a network was tested: no reason to count it as another one.
MEASURED = ("test_precision", "images", "n_statistics")
FULL = {"model": "resnet"}
PLAIN = {"model": "vgg15"}
HIGHWAY = {"model": "highway"}
STOCHASTIC = {"model": "resnet", "survival": 0.5}


def matching(rows: list[dict], experiment: str, **wanted) -> list[dict]:
    """The rows of an experiment whose configuration is `wanted`, and by default elsewhere.

    A setting given as None may be anything.  Of a network measured twice, the last row.
    """
    wanted = DEFAULTS | wanted
    found = {}
    for row in rows:
        config = DEFAULTS | row["config"]
        if row["experiment"] == experiment and all(
            value is None or config[name] == value for name, value in wanted.items()
        ):
            network = tuple(sorted(c for c in config.items() if c[0] not in MEASURED))
            found[network, row["dataset"], row["seed"]] = row
    return list(found.values())


def by_recipe(rows: list[dict]) -> list[list[dict]]:
    """Rows that `matching` found, by how long and on what the networks were trained, the longest
    training first; those of a group differ in their seeds alone.

    What else makes a recipe, such as the learning rate, `matching` has settled: it may differ
    between the models that are compared.
    """
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        config = row["config"]
        alike = (config["iterations"], config["depth"], config["recipe"], row["dataset"])
        groups.setdefault(alike, []).append(row)
    return [groups[key] for key in sorted(groups, reverse=True)]


def runs(rows: list[dict], experiment: str, **wanted) -> list[dict]:
    """`matching` rows of the longest recipe, in the order of their seeds; empty without rows.

    Rows of several networks of a kind (seeds) are averaged by the rules, never chosen from.
    """
    found = by_recipe(matching(rows, experiment, **wanted))
    return sorted(found[0], key=lambda row: row["seed"]) if found else []


def select(rows: list[dict], experiment: str, what: str, **wanted) -> list[dict]:
    """The `runs`; Missing, with `what`, if there are none."""
    found = runs(rows, experiment, **wanted)
    if not found:
        raise Missing(f"no rows of {what}")
    return found


def alike(
    rows: list[dict], experiment: str, one: dict, other: dict
) -> Iterator[tuple[list[dict], list[dict]]]:
    """Rows of two kinds of network, for each recipe that has both, the longest first."""
    for a in by_recipe(matching(rows, experiment, **one)):
        for b in by_recipe(matching(rows, experiment, **other)):
            if by_recipe(a + b) == [a + b]:
                yield a, b


def pairs(
    rows: list[dict], experiment: str, one: dict, other: dict, least: int = 1
) -> tuple[list[dict], list[dict]]:
    """Rows of two kinds of network by the same recipe, at least `least` seeds of each.

    The longest recipe that has them; Missing if none does.
    """
    for a, b in alike(rows, experiment, one, other):
        if min(len(a), len(b)) >= least:
            return a, b
    raise Missing(f"no rows of {experiment} with {least} or more seeds of both kinds by one recipe")


def example(rows: list[dict], experiment: str, **wanted) -> dict | None:
    """The first of the `runs`; None without rows."""
    return next(iter(runs(rows, experiment, **wanted)), None)


def examples(rows: list[dict], experiment: str, *kinds: dict) -> list[dict]:
    """The `example` of each kind, up to the first kind that has none: a figure that draws several
    tells them apart by their order."""
    return list(takewhile(bool, (example(rows, experiment, **kind) for kind in kinds)))


def matched(rows: list[dict], experiment: str, one: dict, other: dict) -> list[dict]:
    """Of the rows that `pairs` would give, the first seed's of each kind; empty without rows."""
    try:
        found = pairs(rows, experiment, one, other)
    except Missing:
        return []
    return [min(kind, key=lambda row: row["seed"]) for kind in found]


def spread(values: Sequence[float], unit: str = "") -> str:
    """The mean and, of several, the standard deviation over networks: "11.35 ± 0.28"."""
    values = np.asarray(values)
    deviation = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{deviation}{unit}"


def listed(things: list) -> str:
    """Things as words: "1, 5 and 19"; "none"."""
    *some, last = map(str, things or ["none"])
    return f"{', '.join(some)} and {last}" if some else last


def several(count: int, thing: str) -> str:
    """A number and what it counts: "1 seed", "3 seeds"."""
    return f"{count} {thing}{'s' * (count != 1)}"


def recipe(row: dict) -> str:
    """How the network of a row was trained, in words."""
    if row["config"]["recipe"] == "paper":
        return "the paper's recipe"
    return f"short recipe, {row['config']['iterations']:,} iterations"
