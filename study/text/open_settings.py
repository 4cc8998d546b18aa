"""What the variants of settings that the paper leaves open change: recorded rows as Markdown."""

from contextlib import suppress

import numpy as np

from helpers import lesions, models
from study.claims.claim import Missing
from study.claims.dynamics import mean_length
from study.claims.gradients import decay, effective, product_shares
from study.claims.lesions import DEAR, costs, dear, small_and_modest
from study.claims.rows import FULL, PLAIN, example, matched, matching
from study.claims.words import listed, recipe
from study.decay import decay_sum
from study.text.escape import plain
from study.text.summary import BAND

NOT_RECORDED = "*Not recorded yet.*"


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; says so where there is nothing to show."""
    if not lines:
        return NOT_RECORDED
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def length_of_training(rows: list[dict]) -> str:
    """The networks trained on CIFAR-10, recipe, decay sum and error, by name and length of
    training."""
    trained = [
        r
        for r in rows
        if r["experiment"] == "training" and r["dataset"] == "cifar10" and "recipe" in r["config"]
    ]
    trained.sort(key=lambda r: (r["model"], r["config"]["iterations"]))
    lines = [
        [
            plain(r["model"]),
            recipe(r),
            f"{decay_sum(r['config']):.2g}",
            f"{100 * r['value']['error']:.2f}%",
            f"{r['seconds'] / 60:.0f} min",
        ]
        for r in trained
    ]
    return table(["network", "recipe", "decay sum", "test error", "training took"], lines)


def shortcuts(rows: list[dict], kind: str) -> str:
    """Single deletions with our shortcuts and with those of another kind, for networks trained
    alike, and what B4 asks about."""
    found = matched(rows, "deletion", FULL, FULL | {"shortcuts": kind})
    lines = [
        [
            *deletion(r, plain(r["config"]["shortcuts"]))[:4],
            *small_and_modest([r])[1][1].split("; "),
        ]
        for r in found
    ]
    return table([*DELETION_HEAD[:4], "downsampling modules", "others"], lines)


def robustness(rows: list[dict]) -> str:
    """Single deletions from networks that differ in how long they were trained, and their seeds."""
    found = matching(rows, "deletion", **FULL)
    found.sort(key=lambda r: (r["config"]["iterations"], r["seed"]))
    lines = []
    for r in found:
        *cells, _, images, trained = deletion(r, plain(r["model"]))
        lines.append([*cells, listed(dear(costs([r]))), images, trained])
    more = f"modules that cost more than {DEAR} pt"
    return table([*DELETION_HEAD[:4], more, *DELETION_HEAD[5:]], lines)


def vgg(rows: list[dict]) -> str:
    """Single deletions from VGG-15, with batch norm and without."""
    kinds = {"batch norm": PLAIN, "none": {"model": "vgg15-plain"}}
    found = {name: example(rows, "deletion", **kind) for name, kind in kinds.items()}
    return table(DELETION_HEAD, [deletion(r, name) for name, r in found.items() if r])


DELETION_HEAD = ["", "intact", "cost of one deletion: median", "largest", "least error"]
DELETION_HEAD += ["test images", "recipe"]


def deletion(row: dict, name: str) -> list[str]:
    """A line about the single deletions of a network."""
    cost, value = costs([row]), row["value"]
    return [
        name,
        f"{100 * value['intact']:.2f}%",
        f"{np.median(cost):.2f} pt",
        f"{cost.max():.2f} pt",
        f"{100 * min(value['errors']):.1f}%",
        f"{row['samples']:,}",
        recipe(row),
    ]


def gradient(rows: list[dict]) -> str:
    """Decay and shares of the gradient by where, and with which statistics, it is measured."""
    kinds: dict[str, dict] = {
        "first module's input, test mode": {},
        "at the image": {"at_image": True},
        "batch norm as in training": {"batch_statistics": True},
    }
    lines = []
    for name, kind in kinds.items():
        if exact := example(rows, "by_length", **FULL | kind):
            shares = np.array(exact["value"]["shares"])
            within = effective(np.arange(len(shares)), shares)
            inside = f"{100 * within:.1f}%", f"{mean_length(shares):.2f}"
            # Single paths are sampled where images have gradients of their own: in test mode.
            single = "", ""
            sampled = example(rows, "sampled_norms", **FULL | kind)
            with suppress(Missing):
                value = sampled["value"] if sampled else {"lengths": [], "mean": []}
                fit, lengths = decay(value), np.array(value["lengths"])
                product = product_shares(lengths, np.array(value["mean"]), value["modules"])
                within = effective(lengths, product)
                single = f"{10**fit.slope:.3f}, R^2 {fit.rvalue**2:.3f}", f"{100 * within:.1f}%"
            lines.append([name, *single, *inside, recipe(exact)])
    bands = f"product, {BAND}", f"exact, {BAND}"
    return table(["measured", "factor a module", *bands, "mean length", "recipe"], lines)


def spared(rows: list[dict]) -> str:
    """Median error after random deletions, with and without the downsampling modules."""
    kinds: dict[str, dict] = {"any module": {}, "downsampling spared": {"spare_downsampling": True}}
    lines = []
    for name, kind in kinds.items():
        if row := example(rows, "random_deletions", **FULL | kind):
            by_count = dict(zip(row["value"]["deleted"], row["value"]["errors"], strict=True))
            if not {1, 5, 10, 20} <= by_count.keys():
                continue
            medians = [f"{100 * np.median(by_count[k]):.1f}%" for k in (1, 5, 10, 20)]
            lines.append([name, *medians, f"{row['config']['images']:,}", recipe(row)])
    return table(["deleted", "1", "5", "10", "20", "test images", "recipe"], lines)


def tau() -> str:
    """How many pairs of modules there are, in all and within stages."""
    network = models.build("resnet", 0)
    n, runs = len(network.blocks), lesions.stages(network)
    pairs, within = n * (n - 1) // 2, sum(len(s) * (len(s) - 1) // 2 for s in runs)
    return (
        f"Of {pairs:,} pairs {within} are within stages, so that "
        rf"$1 - \tau$ is {pairs / within:.2f} times as large."
    )


def test_time(rows: list[dict]) -> str:
    """Test errors of networks trained on 23 of 54 modules, tested in four ways."""
    found = matching(rows, "test_time", **FULL | {"active": 23})
    if not found:
        return NOT_RECORDED
    ways = list(found[0]["value"])
    lines = [
        [f"seed {r['seed']}", *(f"{100 * r['value'][way]:.2f}%" for way in ways), recipe(r)]
        for r in found
        if r["value"].keys() == found[0]["value"].keys()
    ]
    return table(["", *map(plain, ways), "recipe"], lines)
