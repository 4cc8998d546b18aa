"""The error of many lesioned variants at once."""

import torch
from torch import nn

from benchmarks import plain
from benchmarks.subject import Subject
from benchmarks.timing import alternately
from helpers import lesions, sweep
from helpers.combinatorics import subset
from helpers.devices import has_fast_bfloat16
from helpers.network import Network

BATCH, FEW, DRAWS = 128, 1024, 50


def single_deletions(network: Network) -> list[Network]:
    """Figure 3: each module deleted."""
    return [lesions.delete(network, [i]) for i in range(len(network.blocks))]


def random_deletions(network: Network, draws: int) -> list[Network]:
    """Figure 5a: 1 to 20 random modules deleted, `draws` times each."""
    generator, n = torch.Generator().manual_seed(0), len(network.blocks)
    counts = [k for k in range(1, min(20, n) + 1) for _ in range(draws)]
    return [lesions.delete(network, subset(n, k, generator)) for k in counts]


def reorderings(network: Network, draws: int) -> list[Network]:
    """Figure 5b: 1 to 20 random swaps, `draws` times each."""
    generator = torch.Generator().manual_seed(0)
    orders = [lesions.swapped(network, k, generator) for k in range(1, 21) for _ in range(draws)]
    return [lesions.reorder(network, order) for order in orders]


def limit(variants: list[Network]) -> float:
    """The modules that the plain loop applies over those of the prefix tree."""
    applied = sum(not isinstance(b, nn.Identity) for v in variants for b in v.blocks)
    return applied / sweep.prefix_tree(variants).size


def figure_3(subject: Subject, repeats: int) -> dict[str, dict]:
    """Single deletions, in float32 and in mixed precision."""
    images, labels = subject.images(BATCH, "test")
    wide = images.contiguous(memory_format=torch.channels_last)
    ours, as_made = single_deletions(subject.network), single_deletions(subject.contiguous())
    functions = {
        "plain": lambda: plain.predictions(as_made, images, BATCH),
        "last": lambda: plain.predictions(ours, wide, BATCH),
        "tree": lambda: sweep.predictions(ours, images, BATCH),
    }
    halved = has_fast_bfloat16(subject.device)
    if halved:
        functions["half"] = lambda: sweep.predictions(ours, images, BATCH, "bfloat16")
    seconds = alternately(repeats, **functions)
    fastest = min(seconds["plain"], seconds["last"])
    rows = {
        "single deletions": {
            "plain": fastest,
            "ours": seconds["tree"],
            "goal": 1.9,
            "limit": limit(ours),
            "note": f"float32, {BATCH} images; plain in its faster layout",
        }
    }
    if halved:
        rows["single deletions, mixed precision"] = {
            "plain": fastest,
            "ours": seconds["half"],
            "goal": 8,
            "note": f"plain: float32, its faster layout; ours: bfloat16; {BATCH} images",
        } | rounding(subject, ours)
    return rows


def rounding(subject: Subject, variants: list[Network]) -> dict:
    """How bfloat16 moves the error, in points: intact on all test images, lesioned on some."""
    count = len(subject.dataset.test.labels)
    images, labels = subject.images(count, "test")
    found = {}
    for name, networks, some in (("intact", [subject.network], count), ("lesioned", variants, FEW)):
        one, other = (
            sweep.errors(networks, images[:some], labels[:some], precision=precision)
            for precision in ("float32", "bfloat16")
        )
        moved = [100 * (b - a) for a, b in zip(one, other, strict=True)]
        found[f"points_{name}"] = sum(moved) / len(moved)
        found[f"images_{name}"] = some
    return found


def figure_5(subject: Subject, repeats: int, images: int = 16) -> dict[str, dict]:
    """Random deletions and reorderings; the plain loop on one in ten of them, and scaled."""
    batch, _ = subject.images(images, "test")
    wide, rows = batch.contiguous(memory_format=torch.channels_last), {}
    for name, build in (("5a", random_deletions), ("5b", reorderings)):
        variants = build(subject.network, DRAWS)
        some = variants[::10]
        seconds = alternately(
            repeats,
            plain=lambda some=some: plain.predictions(some, wide, images),
            ours=lambda variants=variants: sweep.predictions(variants, batch, images),
        )
        rows[f"sweep of Figure {name}"] = {
            "plain": seconds["plain"] * 10,
            "ours": seconds["ours"],
            "limit": limit(variants),
            "goal": 0.9 * limit(variants),
            "note": f"float32, {len(variants)} variants, {images} images; plain: {len(some)} "
            "variants measured and scaled; goal: 90% of the prefix tree's limit",
        }
    return rows
