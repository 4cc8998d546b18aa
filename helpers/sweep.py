"""The error of many lesioned variants of a network at once, and paired statistics.

A variant is a sequence of modules; all variants together are a prefix tree, walked depth first over
each batch, so that what variants share is computed once.
"""

from collections.abc import Callable

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from helpers.bfloat16 import bfloat16
from helpers.devices import resolve
from helpers.eval_mode import in_eval_mode
from helpers.network import HighwayModule, Network

# Gates are counted in so many bins of [0, 1]: all values of a test set would not fit into memory.
BINS = 2**16


class Node:
    """A node of the prefix tree: the state after a sequence of modules."""

    def __init__(self):
        self.children: dict[nn.Module, Node] = {}
        self.variants: list[int] = []
        self.size = 0  # Module applications in the subtree.


def prefix_tree(variants: list[Network]) -> Node:
    """The tree of the variants' module sequences.  Identities are left out: they change nothing."""
    root = Node()
    for index, variant in enumerate(variants):
        node, path = root, [root]
        for block in variant.blocks:
            if not isinstance(block, nn.Identity):
                new = block not in node.children
                node = node.children.setdefault(block, Node())
                if new:
                    for above in path:
                        above.size += 1
                path.append(node)
        node.variants.append(index)
    return root


@torch.inference_mode()
def predictions(
    variants: list[Network],
    images: Tensor,
    batch_size: int = 128,
    precision: str = "float32",
    progress: Callable[..., None] | None = None,
) -> Tensor:
    """The class each variant predicts for each image: int64 (variants, N), on the CPU.

    `images`: normalised, (N, C, H, W).  The variants must share stem and head (ValueError
    otherwise): views of one network.  Evaluated in eval mode, modes put back afterwards.
    `precision`: see `devices.resolve`; in bfloat16 the head still counts in float32.
    `progress` is called with the images done and N.
    """
    if not variants:
        raise ValueError("no variants: expected at least one network")
    stem, head = variants[0].stem, variants[0].head
    if any(v.stem is not stem or v.head is not head for v in variants):
        raise ValueError("variants with another stem or head: expected views of one network")
    root, found = prefix_tree(variants), torch.empty(len(variants), len(images), dtype=torch.int64)
    with in_eval_mode(*variants):
        halved = resolve(images.device, precision) == "bfloat16"
        parts = {stem, *(block for v in variants for block in v.blocks)}
        ready = {part: bfloat16(part) if halved else part for part in parts}
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            x = images[batch].contiguous(memory_format=torch.channels_last)
            stack = [(root, stem, x.bfloat16() if halved else x)]
            while stack:
                node, block, x = stack.pop()
                x = ready[block](x)
                if node.variants:
                    found[node.variants, batch] = head(x.float() if halved else x).argmax(1).cpu()
                # Heavy branches lie lower on the stack than light ones, so the activations held
                # at any time are no more than log2 of the number of variants.
                heavy_first = sorted(node.children.items(), key=lambda kv: -kv[1].size)
                stack.extend((child, block, x) for block, child in heavy_first)
                del x
            if progress:
                progress(min(start + batch_size, len(images)), len(images))
    return found


def errors(
    variants: list[Network], images: Tensor, labels: Tensor, batch_size: int = 128, **options
) -> list[float]:
    """The share of `images` that each variant gets wrong, 0 to 1; see `predictions`."""
    wrong = predictions(variants, images, batch_size, **options) != labels.cpu()
    return wrong.double().mean(1).tolist()


@torch.inference_mode()
def gates(network: Network, images: Tensor, batch_size: int = 128) -> dict[str, list[float]]:
    """The transfer gates t of a highway network (Eq 3) on normalised images (N, C, H, W).

    `mean`, `p10` and `p90` of the values of each module's gate, over images, channels and places;
    the percentiles, which are counted and not sorted, to within half of 1 / `BINS`.  Evaluated in
    eval mode, modes put back afterwards.  Raises TypeError for a module without a gate.
    """
    if not all(isinstance(block, HighwayModule) for block in network.blocks):
        raise TypeError("gates are asked of a network without them: expected a highway network")
    sums = torch.zeros(len(network.blocks), dtype=torch.float64)
    counts = torch.zeros(len(network.blocks), BINS, dtype=torch.int64)
    with in_eval_mode(network):
        for batch in images.split(batch_size):
            x = network.stem(batch.contiguous(memory_format=torch.channels_last))
            for i, block in enumerate(network.blocks):
                # On the CPU, since not every device knows float64.
                t = block.gate(x).flatten().cpu()
                sums[i] += t.double().sum()
                counts[i] += torch.bincount((t * BINS).long().clamp(max=BINS - 1), minlength=BINS)
                x = block(x)
    total, up_to = counts.sum(1), counts.cumsum(1)
    found = {"mean": (sums / total).tolist()}
    for name, share in (("p10", 0.1), ("p90", 0.9)):
        # As many bins end before the value sought; the middle of the next one stands for it.
        before = (up_to < share * total[:, None]).sum(1)
        found[name] = ((before + 0.5) / BINS).tolist()
    return found


def mcnemar(right_a: Tensor, right_b: Tensor) -> float:
    """Exact McNemar test on paired predictions: the p-value of "a and b err equally often".

    `right_a`, `right_b`: bool (N,), whether each image was classified right.
    """
    only_a = int((right_a & ~right_b).sum())
    only_b = int((right_b & ~right_a).sum())
    return binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
