"""Claims B13 to B15: stochastic depth, highway gates, ImageNet (Sections 4 and 6)."""

import numpy as np

from study.claims.lesions import costs, small_and_modest
from study.claims.rows import FULL, HIGHWAY, STOCHASTIC, Claim, Finding, pairs, select, several


def _b13(rows):
    plain, stochastic = pairs(rows, "deletion", FULL, STOCHASTIC)
    before, after = costs(plain), costs(stochastic)
    drop, down = before - after, plain[0]["value"]["downsampling"]
    intact = [100 * np.mean([r["value"]["intact"] for r in f]) for f in (stochastic, plain)]
    ours = (
        f"intact {intact[0]:.1f}%, without stochastic depth {intact[1]:.1f}%; mean cost "
        f"{after.mean():.2f} pt and {before.mean():.2f} pt; the drop is "
        f"{drop[down].mean():.2f} pt at downsampling, "
        f"{np.delete(drop, down).mean():.2f} pt elsewhere, largest at module {drop.argmax() + 1}"
    )
    holds = after.mean() < before.mean() and int(drop.argmax()) in down
    networks = f"{len(stochastic)} and {several(len(plain), 'network')}"
    samples = f"{len(drop)} modules, {plain[0]['samples']:,} images, {networks}"
    return Finding(holds, ours, samples, plain + stochastic)


def _b14(rows):
    found = select(rows, "gates", "the gates of a trained highway network", **HIGHWAY)
    gates = np.mean([r["value"]["mean"] for r in found], axis=0)
    below = (gates < 0.5).mean()
    start = np.mean([r["value"]["start"] for r in found])
    ours = (
        f"below 0.5 in {100 * below:.0f}% of layers; mean gate {gates.mean():.2g}, "
        f"{start:.2g} before training"
    )
    return Finding(
        below > 0.5, ours, f"{len(gates)} layers, {several(len(found), 'network')}", found
    )


def is_of_imagenet(row: dict) -> bool:
    """Whether a row is of single deletions, tested on a folder of as many classes as ImageNet."""
    if row["experiment"] != "deletion" or not row["dataset"].startswith("folder:"):
        return False
    return row["value"].get("classes") == 1000


def _b15(rows):
    what = "deletions from ResNet-200 on ImageNet: the data set cannot be handed on with the book"
    on_imagenet = [r for r in rows if is_of_imagenet(r)]
    found = select(on_imagenet, "deletion", what, model="resnet200")
    (small, some), (modest, more) = small_and_modest(found)
    samples = f"{len(costs(found))} modules, {several(len(found), 'network')}"
    return Finding(small and modest, f"{some}; downsampling: {more}", samples, found)


LEDGER = {
    "B13": Claim(
        "S6, Fig 8",
        "stochastic depth improves resilience slightly, mainly at downsampling",
        "slightly",
        "the mean cost of a deletion is lower, and the drop is largest at a downsampling module",
        _b13,
        "fig-stochastic-depth",
    ),
    "B14": Claim(
        "S6",
        "highway gates deviate from 0.5, biased to the skip connection",
        "below 0.5",
        "trained: mean transfer gate < 0.5 in more than half of the layers",
        _b14,
        "fig-gates",
    ),
    "B15": Claim(
        "S4, Fig 4",
        "ImageNet, 200 layers: comparable results; downsampling matters more",
        "comparable",
        "B3 and B4 on ImageNet",
        _b15,
        "fig-deletion",
    ),
}
