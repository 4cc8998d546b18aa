"""Numbers and things in words, for what the claims say."""

from collections.abc import Sequence

import numpy as np

from study.text.escape import plain

RECIPES = {"compact": "compact recipe", "one-cycle": "the first study's short recipe"}


def spread(values: Sequence[float] | np.ndarray, unit: str = "") -> str:
    """The mean and, of several, the standard deviation over networks: "11.35 ± 0.28"."""
    values = np.asarray(values)
    deviation = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{deviation}{unit}"


def middle(values: Sequence[float] | np.ndarray, unit: str = "", digits: int = 1) -> str:
    """The median and, of several, the range over networks: "18.2% (17.0 to 19.3)"."""
    values = np.asarray(values)
    shown = f"{np.median(values):.{digits}f}{unit}"
    if len(values) == 1:
        return shown
    return f"{shown} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def listed(things: list) -> str:
    """Things as words: "1, 5 and 19"; "none"."""
    *some, last = map(str, things or ["none"])
    return f"{', '.join(some)} and {last}" if some else last


def several(count: int, thing: str) -> str:
    """A number and what it counts: "1 seed", "3 seeds"."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


def recipe(row: dict) -> str:
    """How the network of a row was trained, in words."""
    config = row["config"]
    if "recipe" not in config:
        return "a recipe of others"
    if config["recipe"] == "paper" and config["iterations"] == 64_000:
        return "the paper's recipe"
    name = RECIPES.get(config["recipe"], f"{plain(config['recipe'])} recipe")
    return f"{name}, {config['iterations']:,} iterations"
