"""How cost grows: with the number of modules, of images and of variants."""

import torch

from benchmarks import paths, plain, sweeps
from benchmarks.subject import Subject, untrained
from benchmarks.timing import alternately
from helpers import gradients, sweep

MODULES, IMAGES, VARIANTS = (18, 36, 54, 108), (1, 4, 16, 64), (1, 10, 100, 1000)


def with_modules(subject: Subject, repeats: int, images: int = 4) -> dict[str, list[dict]]:
    """The exact method and the paper's protocol for networks of 18 to 108 modules."""
    x, y = subject.images(images)
    table = []
    for n in MODULES:
        deep = untrained(subject, n)
        lengths = list(range(1, n + 1, n // 6))
        generator = torch.Generator().manual_seed(0)
        seconds = alternately(
            repeats,
            plain=paths.protocol(deep, x, y, lengths, generator),
            ours=lambda deep=deep: gradients.by_length(deep.network, x, y),
        )
        protocol = seconds["plain"] / len(lengths) * n * paths.PATHS
        table.append({"modules": n, "plain": protocol, "ours": seconds["ours"]})
    return {"growth with modules": table}


def with_images(subject: Subject, repeats: int) -> dict[str, list[dict]]:
    """The exact method for batches of 1 to 64 images."""
    table = []
    for images in IMAGES:
        x, y = subject.images(images)
        ours = alternately(
            repeats, ours=lambda x=x, y=y: gradients.by_length(subject.network, x, y)
        )
        table.append({"images": images, "ours": ours["ours"]})
    return {"growth with images": table}


def with_variants(subject: Subject, repeats: int, images: int = 16) -> dict[str, list[dict]]:
    """The prefix tree for 1 to 1,000 random deletions; plain scaled from ten variants."""
    x, _ = subject.images(images, "test")
    everything = sweeps.random_deletions(subject.network, sweeps.DRAWS)
    wide, table = x.contiguous(memory_format=torch.channels_last), []
    for count in VARIANTS:
        variants = everything[:: len(everything) // count]
        few = variants[:: max(1, count // 10)]
        seconds = alternately(
            repeats,
            plain=lambda few=few: plain.predictions(few, wide, images),
            ours=lambda variants=variants: sweep.predictions(variants, x, images),
        )
        protocol = seconds["plain"] / len(few) * count
        table.append({"variants": count, "plain": protocol, "ours": seconds["ours"]})
    return {"growth with variants": table}
