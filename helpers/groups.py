"""What is worked on together: images that share a forward pass, paths that share their way back."""

from collections.abc import Callable, Iterator
from itertools import count

import torch
from torch import Tensor, nn

from helpers import combinatorics
from helpers.linearised import Linearised, joined
from helpers.losses import Loss
from helpers.network import ResidualNetwork


def routed(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    paths: Tensor,
    rows: Tensor,
    at_image: bool,
    loss: Loss,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Which paths, and the gradients along them times SCALE, some hundreds at a time: images share
    a forward pass, and at each module all gradients that take it go through together."""
    if joined(network):
        if bool((paths != paths[0]).any()) or rows.tolist() != list(range(len(images))):
            raise ValueError("differing paths need eval mode: batch statistics join the images")
        at = Linearised(network, images, labels, at_image, loss)
        yield torch.arange(len(rows)), at.along(paths[0])
        return
    # Paths of one image next to each other: the more of them, the more they share.
    order = rows.argsort(stable=True)
    groups = grouped(network, images, labels, 32)
    check_first(network, images, labels, at_image, loss)
    for group in groups:
        mine = order[(rows[order] >= group.start) & (rows[order] < group.stop)]
        if len(mine):
            at = Linearised(network, images[group], labels[group], at_image, loss)
            for part in mine.split(256):
                yield part, at.along_each(paths[part], rows[part] - group.start)


def check_first(
    network: ResidualNetwork, images: Tensor, labels: Tensor, at_image: bool, loss: Loss
) -> None:
    """ArithmeticError unless all paths of the first image add up to automatic differentiation's
    gradient: a wrong way back shows, at the price of one image."""
    at = Linearised(network, images[:1], labels[:1], at_image, loss, whole=True)
    at.check_sum(at.along_all()[None])


def longest_of(network: ResidualNetwork, max_length: int | None) -> int:
    """The length up to which lengths are kept apart.  ValueError outside 0..n."""
    n = len(network.blocks)
    longest = n if max_length is None else max_length
    combinatorics.check_length(n, longest)
    return longest


def grouped(network: nn.Module, images: Tensor, labels: Tensor, size: int) -> list[slice]:
    """Images that are worked on together: all of them where they are joined.  ValueError unless
    each has a label."""
    n = len(images)
    if not n or not labels.dim() or len(labels) != n:
        raise ValueError(f"{n} images, labels {tuple(labels.shape)}: expected (B, ...) of each")
    size = n if joined(network) else size
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def check_rows(rows: Tensor, images: int) -> None:
    """ValueError unless each of `rows`, (S,), is an image's."""
    known = range(images)
    if rows.dim() != 1 or rows.dtype != torch.int64 or not all(r in known for r in rows.tolist()):
        raise ValueError(f"rows: expected (S,) int64, each from 0 to {images - 1}")


def steps(progress: Callable[..., None] | None, total: int) -> Callable[[], None] | None:
    """Counts its calls and reports each."""
    counts = count(1)
    return (lambda: progress(next(counts), total)) if progress else None
