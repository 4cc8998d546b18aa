"""Claims B13 to B15: stochastic depth, highway gates, ImageNet (Sections 4 and 6)."""

import numpy as np

from study.claims.claim import Claim, decided
from study.claims.lesions import costs, small_and_modest
from study.claims.quality import setting
from study.claims.rows import (
    DECAY_ONLY,
    FULL,
    HIGHWAY,
    STOCHASTIC,
    common,
    matching,
    pairs,
    runs,
    same_recipe,
    select,
    stacked,
    trained_alike,
)
from study.claims.training import errors
from study.claims.words import several


def _b13(rows):
    plain, stochastic = pairs(rows, "deletion", FULL, STOCHASTIC)
    before, after = costs(plain), costs(stochastic)
    drop, down = before - after, common(plain + stochastic, "downsampling")
    intact = [100 * np.mean([r["value"]["intact"] for r in f]) for f in (stochastic, plain)]
    ours = (
        f"intact {intact[0]:.1f}%, without stochastic depth {intact[1]:.1f}%; mean cost "
        f"{after.mean():.2f} pt and {before.mean():.2f} pt; the drop is "
        f"{drop[down].mean():.2f} pt at downsampling, "
        f"{np.delete(drop, down).mean():.2f} pt elsewhere, largest at module {drop.argmax() + 1}"
    )
    holds = bool(after.mean() < before.mean() and int(drop.argmax()) in down)
    networks = f"{len(stochastic)} and {several(len(plain), 'network')}"
    samples = f"{len(drop)} modules, {plain[0]['samples']:,} images, {networks}"
    behind = plain + stochastic
    return decided(holds, ours, samples, behind, setting(behind, rows))


def moved(found: list[dict]) -> float:
    """How far gates are from where they began, mean over modules and networks."""
    return float(np.abs(stacked(found, "mean") - stacked(found, "start")[:, None]).mean())


def learned(found: list[dict], rows: list[dict]) -> tuple[list[str], str]:
    """Amendment 3, what is lacking and what was found: highway networks that learned no worse than
    the residual network, and whose gates went further than weight decay alone takes them."""
    lacking, said = [], ""
    trained = matching(rows, "training", **HIGHWAY)
    own = [r for r in trained if trained_alike(r) == trained_alike(found[0])]
    residual = runs(
        [r for r in rows if "recipe" in r["config"] and same_recipe(r, found[0])],
        "training",
        **FULL,
    )
    if not own or not residual:
        lacking.append("the error of the highway network or of the residual one is not recorded")
    else:
        error, theirs = errors(own).mean(), errors(residual).mean()
        said = f"; error {error:.2f}%, of the residual network {theirs:.2f}%"
        if round(error - theirs, 9) > 5:
            lacking.append("it is more than 5 pt worse than the residual network")
    alone = [
        r
        for r in matching(rows, "gates", **DECAY_ONLY)
        if trained_alike(r) == trained_alike(found[0])
    ]
    if not alone:
        lacking.append("no run by weight decay alone is recorded, to compare the gates with")
    else:
        said += f"; gates moved by {moved(found):.2g}, by decay alone by {moved(alone):.2g}"
        if moved(found) <= moved(alone):
            lacking.append("the gates moved no further than weight decay alone takes them")
    return lacking, said


def _b14(rows):
    found = select(rows, "gates", "the gates of a trained highway network", **HIGHWAY)
    gates = stacked(found, "mean").mean(0)
    below = (gates < 0.5).mean()
    start = stacked(found, "start").mean()
    lacking, said = learned(found, rows)
    ours = (
        f"below 0.5 in {100 * below:.0f}% of layers; mean gate {gates.mean():.2g}, "
        f"{start:.2g} before training{said}"
    )
    samples = f"{len(gates)} layers, {several(len(found), 'network')}"
    return decided(bool(below > 0.5), ours, samples, found, lacking)


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
    return decided(small and modest, f"{some}; downsampling: {more}", samples, found)


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
        "mean transfer gate < 0.5 in more than half of the layers of a network that has learned: "
        "within 5 pt of the residual network, gates moved further than by weight decay alone",
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
