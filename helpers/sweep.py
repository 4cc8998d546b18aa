"""The error of many lesioned variants of a network at once, and paired statistics.

A variant is a sequence of modules; all variants together are a prefix tree, walked depth first over
each batch, so that what variants share is computed once.
"""

from collections.abc import Callable, Sequence

import numpy as np
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

    def __init__(self) -> None:
        self.children: dict[nn.Module, Node] = {}
        self.variants: list[int] = []
        self.size = 0  # Module applications in the subtree.


def prefix_tree(variants: Sequence[Network]) -> Node:
    """The tree of the variants' module sequences.  Identities are left out: they change nothing.

    >>> from helpers import lesions, models
    >>> network = models.resnet(depth=14)
    >>> prefix_tree([network, lesions.delete(network, [3])]).size  # Six, and the last two again.
    8
    """
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
    variants: Sequence[Network],
    images: Tensor,
    batch_size: int = 128,
    precision: str = "float32",
    progress: Callable[..., None] | None = None,
) -> Tensor:
    """The class each variant predicts for each image: int64 (variants, N, ...), on the CPU.

    `images`: whatever the stem takes, (N, ...), on the networks' device: normalised images
    (N, C, H, W), vectors (N, D), tokens (N, T).  The head returns logits (N, ..., classes), such as
    (N, classes), or (N, T, classes) for a class a token.  The variants must share stem and head
    (ValueError otherwise): views of one network.  Evaluated in eval mode, modes put back
    afterwards.  `precision`: see `devices.resolve`; in bfloat16 the head still counts in float32.
    `progress` is called with the images done and N.

    Raises ArithmeticError, with the number of the variant, where no class has the largest logit
    because some are nan or infinite.

    >>> from helpers import lesions, models
    >>> network = models.resnet(depth=14)
    >>> views = [network, lesions.delete(network, [1]), lesions.delete(network, [1, 4])]
    >>> predictions(views, torch.zeros(5, 3, 8, 8)).shape
    torch.Size([3, 5])
    """
    check_sweep(variants, images, batch_size)
    stem, head = variants[0].stem, variants[0].head
    root, found = prefix_tree(variants), torch.empty(0, dtype=torch.int64)
    with in_eval_mode(*variants):
        halved = resolve(images.device, precision) == "bfloat16"
        parts = {stem, *(block for v in variants for block in v.blocks)}
        ready = {part: bfloat16(part) if halved else part for part in parts}
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            x = laid_out(images[batch])
            stack = [(root, stem, x.bfloat16() if halved and x.is_floating_point() else x)]
            while stack:
                node, block, x = stack.pop()
                x = ready[block](x)
                if node.variants:
                    classes = largest(head(x.float() if halved else x), node.variants, start)
                    if not len(found):
                        # A tensor made in inference mode could not be written to by the caller.
                        with torch.inference_mode(False):
                            shape = len(variants), len(images), *classes.shape[1:]
                            found = torch.empty(shape, dtype=torch.int64)
                    found[node.variants, batch] = classes
                # Heavy branches lie lower on the stack than light ones, so the activations held
                # at any time are no more than log2 of the number of variants.
                heavy_first = sorted(node.children.items(), key=lambda kv: -kv[1].size)
                stack.extend((child, block, x) for block, child in heavy_first)
                del x
            if progress:
                progress(min(start + batch_size, len(images)), len(images))
    return found


def check_sweep(variants: Sequence[Network], images: Tensor, batch_size: int) -> None:
    """ValueError unless there are views of one network, images, and a size of batches."""
    if not variants:
        raise ValueError("no variants: expected at least one network")
    stem, head = variants[0].stem, variants[0].head
    if any(v.stem is not stem or v.head is not head for v in variants):
        raise ValueError("variants with another stem or head: expected views of one network")
    check_batches(images, batch_size)


def check_batches(images: Tensor, batch_size: int) -> None:
    """ValueError unless there are images, and batches of at least one."""
    if not len(images):
        raise ValueError(f"no images: found shape {tuple(images.shape)}, expected at least one")
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size}: expected at least 1")


def laid_out(batch: Tensor) -> Tensor:
    """Images with channels last, which is faster; anything else as it is."""
    return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch


def largest(logits: Tensor, variants: list[int], start: int) -> Tensor:
    """The class of the largest logit: (N, ..., classes) to (N, ...), on the CPU.

    `variants`, and `start`, the index of the first image, are told in errors.
    """
    if logits.ndim < 2:
        shape = tuple(logits.shape)
        raise ValueError(f"the head returns shape {shape}: expected logits (N, ..., classes)")
    # Without gradients, the first of several maxima, and nan if there is any, like argmax.
    values, classes = logits.max(-1)
    if not values.isfinite().all():
        names = ", ".join(map(str, variants))
        raise ArithmeticError(
            f"variant {names}: logits of images {start} to {start + len(logits) - 1} are nan or "
            "infinite; expected numbers: look for them in the weights and in the images"
        )
    return classes.cpu()


def errors(
    variants: Sequence[Network], images: Tensor, labels: Tensor, batch_size: int = 128, **options
) -> list[float]:
    """The share of wrong predictions of each variant, 0 to 1; see `predictions`.

    `labels`: the classes (N, ...), one for each prediction (ValueError otherwise): (N,) for images,
    (N, T) for tokens.

    >>> from helpers import models
    >>> network = models.vgg15().eval()
    >>> images = torch.zeros(2, 3, 16, 16)
    >>> errors([network], images, labels=network(images).argmax(1))
    [0.0]
    """
    predicted = predictions(variants, images, batch_size, **options)
    if labels.shape != predicted.shape[1:]:
        expected = tuple(predicted.shape[1:])
        raise ValueError(f"labels of shape {tuple(labels.shape)}: expected {expected}")
    return (predicted != labels.cpu()).flatten(1).double().mean(1).tolist()


@torch.inference_mode()
def gates(network: Network, images: Tensor, batch_size: int = 128) -> dict[str, list[float]]:
    """The transfer gates t of a highway network (Eq 3) on normalised images (N, ...).

    `mean`, `p10` and `p90` of the values of each module's gate, over images, channels and places;
    the percentiles, which are counted and not sorted, to within half of 1 / `BINS`.  Evaluated in
    eval mode, modes put back afterwards.  Raises TypeError for a module without a gate, and
    ArithmeticError for a gate that is nan or outside [0, 1].

    >>> from helpers import models
    >>> network = models.highway(depth=8, gate_bias=0)
    >>> gates(network, torch.zeros(1, 3, 8, 8))["mean"]
    [0.5, 0.5, 0.5]
    """
    modules = [block for block in network.blocks if isinstance(block, HighwayModule)]
    if len(modules) != len(network.blocks):
        raise TypeError("gates are asked of a network without them: expected a highway network")
    check_batches(images, batch_size)
    sums = torch.zeros(len(modules), dtype=torch.float64)
    counts = torch.zeros(len(modules), BINS, dtype=torch.int64)
    with in_eval_mode(network):
        for batch in images.split(batch_size):
            x = network.stem(laid_out(batch))
            for i, module in enumerate(modules):
                # On the CPU, since not every device knows float64.
                t = module.gate(x).flatten().cpu()
                if not ((t >= 0) & (t <= 1)).all():
                    raise ArithmeticError(f"the gate of module {i} is nan or outside [0, 1]")
                sums[i] += t.double().sum()
                counts[i] += torch.bincount((t * BINS).long().clamp(max=BINS - 1), minlength=BINS)
                x = module(x)
    total, up_to = counts.sum(1), counts.cumsum(1)
    found = {"mean": (sums / total).tolist()}
    for name, share in (("p10", 0.1), ("p90", 0.9)):
        # As many bins end before the value sought; the middle of the next one stands for it.
        before = (up_to < share * total[:, None]).sum(1)
        found[name] = ((before + 0.5) / BINS).tolist()
    return found


def mcnemar(right_a: Tensor | np.ndarray, right_b: Tensor | np.ndarray) -> float:
    """Exact McNemar test on paired predictions: the p-value of "a and b err equally often".

    `right_a`, `right_b`: bool, of one shape (N, ...), whether each image was classified right;
    ValueError otherwise.

    >>> labels, a, b = torch.zeros(9), torch.zeros(9), torch.ones(9)
    >>> mcnemar(a == labels, b == labels)  # a is right nine times, b never: 2 / 2^9.
    0.00390625
    """
    right_a, right_b = torch.as_tensor(right_a), torch.as_tensor(right_b)
    if right_a.shape != right_b.shape or {right_a.dtype, right_b.dtype} != {torch.bool}:
        found = [(tuple(right.shape), right.dtype) for right in (right_a, right_b)]
        raise ValueError(f"paired predictions {found}: expected two bool tensors of one shape")
    only_a = int((right_a & ~right_b).sum())
    only_b = int((right_b & ~right_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
