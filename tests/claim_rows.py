"""Rows on which a claim just holds or just fails, made by hand.

Errors are counted in images, so that every threshold can be met exactly: of 10,000 images 100 are a
point, of 2,000 images 20.
"""

import numpy as np

from helpers import combinatorics
from study import claims
from tests.rows import row, shares

N = 54
# Ten medians that fall by 100 images from bin to bin; from 1,000 on.
DOWN = [1000 - 100 * i for i in range(10)]
SHORT = {"recipe": "compact", "iterations": 5850, "learning_rate": 0.2}
# By which the compact recipe comes to the paper's decay sum.
SHORT |= {"weight_decay": 0.334 / (5850 * 0.1)}
THIRD = {"recipe": "compact", "iterations": 1950, "learning_rate": 0.2}
THIRD |= {"weight_decay": 0.334 / (1950 * 0.1)}
NOT_TRAINING = ("images", "test_precision", "at_image", "batch_statistics", "spare_downsampling")


def trained(wrong, active=0, seed=0, images=10_000, n=N, **config):
    """A trained network by the number of test images that it gets wrong."""
    value = {"error": wrong / images, "wrong": list(range(wrong)), "modules": n}
    return row("training", value, images, seed, active=active, **config)


def controls(rows, wrong=610):
    """A network trained on all modules with our shortcuts, for each recipe and seed in rows."""
    found = {}
    for r in rows:
        config = {k: v for k, v in r["config"].items() if k not in NOT_TRAINING}
        if r["experiment"] != "training" or config["model"] != "resnet":
            config |= {"model": "resnet", "active": 0, "survival": 1.0, "shortcuts": "subsample"}
            config.pop("decay_only", None)
            found[str(sorted(config.items()))] = trained(wrong, **config)
    return list(found.values())


def judged(claim, rows, wrong=610):
    """The verdict on a claim from rows, beside networks that get `wrong` test images wrong."""
    return claims.judge(claim, [*rows, *controls(rows, wrong)])


def three(make, *words, **settings):
    """Rows of three networks that differ in their seeds alone."""
    return [make(*words, seed=seed, **settings) for seed in range(3)]


def deletion(costs, down=800, intact=610, images=10_000, classes=10, **config):
    """Single deletions: costs in images of the ordinary modules, which come first, and of two
    downsampling ones."""
    errors = [(intact + cost) / images for cost in (*costs, down, down)]
    value = {"intact": intact / images, "errors": errors, "classes": classes}
    value["downsampling"] = [len(costs), len(costs) + 1]
    return row("deletion", value, images, **config)


def ordinary(small=90, dear=10, cost=99, worst=1000):
    """Costs of so many modules at `cost`, and of so many at `worst`."""
    return [cost] * small + [worst] * dear


def vgg(least, **config):
    """Layers that leave an error of nine tenths, but for one."""
    errors = [0.9] * 12 + [least / 10_000]
    value = {"intact": 0.07, "errors": errors, "downsampling": []}
    return row("deletion", value, model="vgg15", **config)


def deletions(medians, draws=50, images=2000, nested=True, **config):
    """Random deletions of 1, 2, ... modules by their median numbers of wrong images."""
    few = draws // 5
    spread = [-20] * (2 * few) + [0] * (draws - 4 * few) + [60] * (2 * few)
    value = {
        "deleted": list(range(1, len(medians) + 1)),
        "errors": [[max(m + s, 0) / images for s in spread] for m in medians],
        "intact": round(0.06 * images) / images,
    }
    if nested:
        largest = len(medians)
        value["orders"] = [[(i + j) % N for i in range(largest)] for j in range(draws)]
    return row("random_deletions", value, draws, images=images, **config)


def rising(at_ten=400, at_twenty=800):
    """Median wrong images, of 2,000, for 1 to 20 deletions: two lines that meet at ten."""
    first, second = np.linspace(140, at_ten, 10), np.linspace(at_ten, at_twenty, 11)[1:]
    return [*map(round, first), *map(round, second)]


def reordering(medians, orders=5, first=0.5, images=2000, **config):
    """So many orders in each bin of tau, by the median number of wrong images in it."""
    inside = [0.049 * i / orders for i in range(orders)]
    tau = [first + 0.05 * b + part for b in range(len(medians)) for part in inside]
    few = (orders - 1) // 4
    spread = [-100] * few + [0] * (orders - 2 * few) + [300] * few
    errors = [(m + s) / images for m in medians for s in spread]
    value = {"tau": [round(t, 9) for t in tau], "errors": errors}
    value["intact"] = round(0.06 * images) / images
    return row("reordering", value, len(tau), images=images, **config)


def sampled(norm, lengths=range(1, N + 1), **config):
    """Norms along sampled paths, by length."""
    value = {"lengths": list(lengths), "mean": [norm(k) for k in lengths], "modules": N}
    return row("sampled_norms", value, 1000, images=1000, **config)


def product(weights, **config):
    """Sampled norms whose product with the numbers of paths is `weights`, by length."""
    counts = combinatorics.counts_by_length(N)
    return sampled(lambda k: weights.get(k, 0.0) / counts[k], **config)


def exact(at, **config):
    """Exact shares of the gradient, by length."""
    value = {"shares": shares(at), "norms": [1.0] * (N + 1)}
    return row("by_length", value, 512, **config)


def gates(below, gate=0.1, start=0.01, above=N, **config):
    """A highway network whose first gates are at `gate`, the others half open."""
    value = {"mean": [gate] * below + [0.5] * (above - below), "start": start}
    return row("gates", value, 2000, **{"model": "highway"} | config)


def course(*at, times=None, **config):
    """The gradient over training, by its shares at one time after the other."""
    times = times or [64_000 * i // (len(at) - 1) for i in range(len(at))]
    value = {"iterations": times, "shares": [shares(a) for a in at]}
    return row("dynamics", value, 64, **config)


def means(*lengths, **config):
    """The gradient over training, by its mean length at one time after the other."""
    at = [{int(m): 1 - m % 1, int(m) + 1: m % 1} for m in lengths]
    return course(*at, **config)


def scaling(start, end, scales_only, weights_only, **config):
    """Mean lengths with batch norm's scales exchanged."""
    value = {"start": start, "end": end}
    value |= {"scales_only": scales_only, "weights_only": weights_only}
    return row("scaling", value, 64, **config)
