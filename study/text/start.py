"""What untrained networks show, as lines of a figure and as a sentence, from recorded rows."""

from math import log2

import numpy as np

SHORTCUTS = {"subsample": "parameter-free shortcuts", "projection": "1x1 projections"}


def untrained(rows: list[dict]) -> list[dict]:
    """The rows of untrained networks."""
    return [row for row in rows if row["experiment"] == "start_of_training"]


def kind(row: dict) -> str:
    """What an untrained network is, depth apart, in words."""
    config = row["config"]
    name = SHORTCUTS.get(config["shortcuts"], config["shortcuts"])
    if config["scaling"] != 1:
        name += f", residuals x {config['scaling']:g}"
    return name if config["normaliser"] == "batch norm" else f"{name}, no normaliser"


def lines(rows: list[dict]) -> dict[str, dict[int, list[float]]]:
    """For each kind of network, from the number of modules to the mean length of each draw."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        value = row["value"]
        found.setdefault(kind(row), {})[len(value["shares"])] = value["mean_length"]
    return found


def shares(rows: list[dict], depth: int) -> list[tuple[dict] | None]:
    """The values of the networks of a depth with parameter-free shortcuts and with projections, as
    `figures.both` draws them; None for one that there is not."""
    plain = {"depth": depth, "scaling": 1, "normaliser": "batch norm"}
    found = {
        row["config"]["shortcuts"]: (row["value"],)
        for row in rows
        if plain.items() <= row["config"].items()
    }
    return [found.get(name) for name in SHORTCUTS]


def growth(rows: list[dict]) -> str:
    """How the mean length grows with depth; empty without rows of two depths."""
    told = []
    for name, line in lines(untrained(rows)).items():
        modules = sorted(line)
        if len(modules) < 2:
            continue
        first, last = (float(np.mean(line[n])) for n in (modules[0], modules[-1]))
        doublings = log2(modules[-1] / modules[0])
        told.append(
            f"{name}: from {first:.1f} at {modules[0]} modules to {last:.1f} at {modules[-1]:,}, "
            f"{(last - first) / doublings:.1f} a doubling"
        )
    return f"The mean path length before training, {'; '.join(told)}." if told else ""
