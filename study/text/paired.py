"""McNemar's test on pairs of trained networks, in words."""

import numpy as np
import torch

from helpers import sweep


def paired(rows: list[dict]) -> str:
    """Of the images that only one network of a pair gets right, how many each does; a line a pair.

    `rows`: of training, networks trained on all modules first, then as many trained on a part of
    them, in the same order of seeds and tested on the same images.
    """
    half = len(rows) // 2
    lines = []
    for whole, part in zip(rows[:half], rows[half:], strict=True):
        a, b = right(whole), right(part)
        # The number is below what a float can hold where two networks differ much.
        p = f"= {found:.2g}" if (found := sweep.mcnemar(a, b)) else "< 1e-300"
        counts = f"all {int((a & ~b).sum())}, part {int((b & ~a).sum())}"
        lines.append(f"seed {whole['seed']}: trained on {counts}; McNemar p {p}")
    return "\n".join(lines)


def right(row: dict) -> torch.Tensor:
    """Whether the network of a row of training got each test image right: bool (N,)."""
    found = np.ones(row["samples"], dtype=bool)
    found[row["value"]["wrong"]] = False
    return torch.from_numpy(found)
