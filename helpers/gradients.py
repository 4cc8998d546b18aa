"""How much gradient flows along which paths.

With S_i the Jacobian of module i's skip connection and J_i that of its residual, the gradient at
the first module is (prod_i (S_i + J_i))^T g_out: a sum over 2^n paths, each taking S_i or J_i at
every module.  Everything here is linear in g_out, so one forward pass serves all paths.

`images` are normalised, (B, C, H, W), `labels` (B,).  The loss is the cross-entropy summed over the
images, so that in eval mode each image has a gradient of its own; a network in train mode is taken
with its batch statistics.  Gradients are taken at the first module's input or, with `at_image`, at
the image, and returned in float64.  The network is not changed.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import combinatorics
from helpers.linearised import SCALE, Linearised, exactly, joined, room, unscaled
from helpers.network import ResidualNetwork


def whole(
    network: ResidualNetwork, images: Tensor, labels: Tensor, at_image: bool = False
) -> Tensor:
    """The gradient over all paths, by automatic differentiation: (B, ...)."""
    with exactly(network), torch.enable_grad():
        x = images.detach().requires_grad_()
        y = network.stem(x)
        where = x if at_image else y
        for block in network.blocks:
            y = block(y)
        loss = F.cross_entropy(network.head(y), labels, reduction="sum") * SCALE
        return unscaled(torch.autograd.grad(loss, where)[0])


def by_length(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    max_length: int | None = None,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
) -> Tensor:
    """G[k], the sum of the gradients of all C(n, k) paths of length k, exactly.

    Going down the modules, G_new[k] = S_i^T G[k] + J_i^T G[k-1]: n(n+1)/2 module VJPs for 2^n
    paths.  Returns (K, B, ...): lengths 0 to `max_length` (default n) and, if that cuts any off,
    one more entry, the sum over all longer paths.  So `sum_k G[k]` is always the whole gradient.
    `progress` is called with the steps done and all of them.  Raises ValueError for a max_length
    outside 0..n.
    """
    longest = longest_of(network, max_length)
    groups = grouped(network, images, labels, 4)
    step, found = steps(progress, len(groups) * len(network.blocks)), None
    with exactly(network):
        for rows in groups:
            at = Linearised(network, images[rows], labels[rows], at_image)
            part = at.by_length(longest, progress=step)
            if found is None:
                found = room(part, len(part), len(images), *part.shape[2:])
            found[:, rows] = part
    return found.div_(SCALE)


def along_paths(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    paths: Tensor,
    at_image: bool = False,
    rows: Tensor | None = None,
) -> Tensor:
    """Gradients each along a path of its own, routed as in Section 5: (S, ...).

    `paths`: bool (S, n), see `paths.sample`; `rows`: (S,), the image that each path is for, by
    default the first for the first and so on.  The forward pass is the whole network's; on the way
    back, gradient s passes only through the residual of module i where paths[s, i], else only
    through the skip.  Raises ValueError for other shapes, or where paths differ in train mode, in
    which batch statistics join the images.
    """
    if rows is None:
        rows = torch.arange(len(images))
    check_rows(rows, len(images))
    n = len(network.blocks)
    if not len(rows) or tuple(paths.shape) != (len(rows), n) or paths.dtype != torch.bool:
        found, expected = f"{tuple(paths.shape)} {paths.dtype}", len(rows) or "some"
        raise ValueError(f"paths {found}: expected {expected} paths x {n} modules, bool")
    found = None
    for part, scaled in routed(network, images, labels, paths, rows, at_image):
        if found is None:
            found = room(scaled, len(rows), *scaled.shape[1:])
        found[part] = scaled.to(found)
    return found.div_(SCALE)


def sampled_norms(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    lengths: Sequence[int],
    samples: int,
    generator: torch.Generator,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
) -> Tensor:
    """The paper's measurement (Section 5): gradient norms along random paths: (lengths, samples).

    Each sample is an image drawn from `images` and a path drawn uniformly from those of its length.
    `progress` is called with the samples done and all of them.  Raises ValueError for a length
    outside 0..n, nothing to sample or a network in train mode.
    """
    if min(len(lengths), samples, len(images)) < 1:
        raise ValueError("no lengths, no samples or no images: expected at least 1 of each")
    n = len(network.blocks)
    paths = torch.cat([combinatorics.sample(n, k, samples, generator) for k in lengths])
    rows = torch.randint(len(images), (len(paths),), generator=generator)
    found, done = torch.empty(len(paths), dtype=torch.float64), 0
    for part, scaled in routed(network, images, labels, paths, rows, at_image):
        found[part] = norms(scaled, scaled.dim() - 1).cpu() / SCALE
        done += len(part)
        if progress:
            progress(done, len(paths))
    return found.unflatten(0, (len(lengths), samples))


def routed(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    paths: Tensor,
    rows: Tensor,
    at_image: bool,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Which paths, and the gradients along them times SCALE, some hundreds at a time: images share
    a forward pass, and at each module all gradients that take it go through together."""
    together = joined(network)
    if together and (bool((paths != paths[0]).any()) or rows.tolist() != list(range(len(images)))):
        raise ValueError("differing paths need eval mode: batch statistics join the images")
    with exactly(network):
        if together:
            yield (
                torch.arange(len(rows)),
                Linearised(network, images, labels, at_image).along(paths[0]),
            )
            return
        # Paths of one image next to each other: the more of them, the more they share.
        order = rows.argsort(stable=True)
        for group in grouped(network, images, labels, 32):
            mine = order[(rows[order] >= group.start) & (rows[order] < group.stop)]
            if len(mine):
                at = Linearised(network, images[group], labels[group], at_image)
                for part in mine.split(256):
                    yield part, at.along_each(paths[part], rows[part] - group.start)


def norms(gradients: Tensor, dims: int = 3) -> Tensor:
    """The L2 norm of each image's gradient, which has `dims` dimensions: (..., B, C, H, W) to
    (..., B)."""
    if gradients.device.type == "mps":
        gradients = gradients.cpu()
    return torch.linalg.vector_norm(gradients, dim=tuple(range(-dims, 0)), dtype=torch.float64)


def shares(lengths: Tensor) -> Tensor:
    """The exact share of each path length in the gradient, <G_k, g> / <g, g> with g = sum_k G_k.

    `lengths`: (K, B, ...) of `by_length`, the batch taken as one vector.  Returns (K,), which sums
    to 1; a share is negative where the paths of a length point against the whole.
    """
    flat = lengths.flatten(1)
    g = flat.sum(0)
    return flat @ g / (g @ g)


def sufficient_length(lengths: Tensor, share: float) -> int:
    """The length beyond which all paths together carry no more than `share` of the gradient.

    `lengths`: of `by_length` with no length cut off.  The rest beyond k is the exact sum of all
    longer paths, and no image's may be longer than `share` times its whole gradient.  That bounds
    its part of the gradient, <rest, g> / <g, g>, by the inequality of Cauchy and Schwarz.
    """
    rest = lengths.flip(0).cumsum(0).flip(0)
    enough = norms(rest, lengths.dim() - 2) <= share * norms(rest[0], lengths.dim() - 2)
    found = enough.all(1).nonzero()
    return max(int(found[0]) - 1, 0) if len(found) else len(lengths) - 1


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
    if not n or tuple(labels.shape) != (n,):
        raise ValueError(f"{n} images, labels {tuple(labels.shape)}: expected a label for each")
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
