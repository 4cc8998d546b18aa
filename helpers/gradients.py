"""How much gradient flows along which paths.

With S_i the Jacobian of module i's skip connection and J_i that of its residual, the gradient at
the first module is (prod_i (S_i + J_i))^T g_out: a sum over 2^n paths, each taking S_i or J_i at
every module.  Everything here is linear in g_out, so one forward pass serves all paths.

`images`: normalised, (B, C, H, W), or whatever else (B, ...) the network takes; `labels`: (B, ...).
`loss`: any function (outputs, labels) -> scalar that is a sum over the images (`helpers.losses`),
by default the cross-entropy: so in eval mode each image has a gradient of its own.  A network in
train mode is taken with its batch statistics.  Gradients are taken at the first module's input or,
with `at_image`, at the images, and returned in float64.  The network is not changed.

Whatever is asked, ValueError says what does not fit together, TypeError what has no gradient along
paths (integers, float16, networks without skip connections), ArithmeticError that one is not
finite.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from helpers import combinatorics
from helpers.exactness import exactly, finite, unscaled
from helpers.groups import check_rows, grouped, longest_of, routed, steps
from helpers.layouts import length, room
from helpers.linearised import Linearised
from helpers.losses import SCALE, Loss, cross_entropy
from helpers.network import ResidualNetwork


def whole(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    at_image: bool = False,
    loss: Loss = cross_entropy,
) -> Tensor:
    """The gradient over all paths, by automatic differentiation: (B, ...)."""
    with exactly(network):
        return unscaled(Linearised(network, images, labels, at_image, loss, whole=True).whole)


def by_length(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    max_length: int | None = None,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
    loss: Loss = cross_entropy,
) -> Tensor:
    """G[k], the sum of the gradients of all C(n, k) paths of length k, exactly.

    Going down the modules, G_new[k] = S_i^T G[k] + J_i^T G[k-1]: n(n+1)/2 module VJPs for 2^n
    paths.  Returns (K, B, ...): lengths 0 to `max_length` (default n) and, if that cuts any off,
    one more entry, the sum over all longer paths.  So `sum_k G[k]` is always the whole gradient:
    it is compared with that of automatic differentiation, and ArithmeticError says how far it is
    off.  `progress` is called with the steps done and all of them.  Raises ValueError for a
    max_length outside 0..n.
    """
    longest = longest_of(network, max_length)
    groups = grouped(network, images, labels, 4)
    step, found = steps(progress, len(groups) * len(network.blocks)), torch.empty(0)
    with exactly(network):
        for rows in groups:
            at = Linearised(network, images[rows], labels[rows], at_image, loss, whole=True)
            part = at.by_length(longest, progress=step)
            if not found.dim() > 1:
                found = room(part, len(part), len(images), *part.shape[2:])
            found[:, rows] = part
            at.check_sum(part)
        return found.div_(SCALE)


def along_paths(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    paths: Tensor,
    at_image: bool = False,
    rows: Tensor | None = None,
    loss: Loss = cross_entropy,
) -> Tensor:
    """Gradients each along a path of its own, routed as in Section 5: (S, ...).

    `paths`: bool (S, n), see `combinatorics.sample`; `rows`: (S,), the image that each path is for,
    by default the first for the first and so on.  The forward pass is the whole network's; on the
    way back, gradient s passes only through the residual of module i where paths[s, i], else only
    through the skip.  Raises ValueError for other shapes, or where paths differ in train mode, in
    which batch statistics join the images.

    No single path can be checked against automatic differentiation cheaply.  What can be is the sum
    over all paths of the first image, in eval mode: ArithmeticError where that is off.
    """
    if rows is None:
        rows = torch.arange(len(images))
    check_rows(rows, len(images))
    n = len(network.blocks)
    if not len(rows) or tuple(paths.shape) != (len(rows), n) or paths.dtype != torch.bool:
        given, expected = f"{tuple(paths.shape)} {paths.dtype}", len(rows) or "some"
        raise ValueError(f"paths {given}: expected {expected} paths x {n} modules, bool")
    found = torch.empty(0)
    with exactly(network):
        for part, scaled in routed(network, images, labels, paths, rows, at_image, loss):
            if not found.numel():
                found = room(scaled, len(rows), *scaled.shape[1:])
            found[part] = scaled.to(found)
        return finite(found.div_(SCALE))


def sampled_norms(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    lengths: Sequence[int],
    samples: int,
    generator: torch.Generator,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
    loss: Loss = cross_entropy,
) -> Tensor:
    """The paper's measurement (Section 5): gradient norms along random paths: (lengths, samples).

    Each sample is an image drawn from `images` and a path drawn uniformly from those of its length.
    Checked as `along_paths`.  `progress` is called with the samples done and all of them.  Raises
    ValueError for a length outside 0..n, nothing to sample or a network in train mode.
    """
    if min(len(lengths), samples, len(images)) < 1:
        raise ValueError("no lengths, no samples or no images: expected at least 1 of each")
    n = len(network.blocks)
    paths = torch.cat([combinatorics.sample(n, k, samples, generator) for k in lengths])
    rows = torch.randint(len(images), (len(paths),), generator=generator)
    done = 0
    with exactly(network):
        found = torch.empty(len(paths), dtype=torch.float64)
        for part, scaled in routed(network, images, labels, paths, rows, at_image, loss):
            found[part] = norms(scaled, scaled.dim() - 1).cpu() / SCALE
            done += len(part)
            if progress:
                progress(done, len(paths))
    return finite(found).unflatten(0, (len(lengths), samples))


def norms(gradients: Tensor, dims: int = 3) -> Tensor:
    """The L2 norm of each image's gradient, which has `dims` dimensions: (..., B, C, H, W) to
    (..., B)."""
    return length(gradients, tuple(range(-dims, 0)))


def products(lengths: Tensor) -> Tensor:
    """The inner products <G_k, g> of each image, with g = sum_k G_k: (K, B, ...) to (K, B).

    Their sum over k is |g|^2, and `shares` and `shares_by_image` are made of them.
    """
    flat = lengths.flatten(2)
    return torch.einsum("kbi,bi->kb", flat, flat.sum(0))


def shares(lengths: Tensor) -> Tensor:
    """The exact share of each path length in the gradient, <G_k, g> / <g, g> with g = sum_k G_k.

    `lengths`: (K, B, ...) of `by_length`, the batch taken as one vector, in which images with a
    large gradient weigh most.  Returns (K,), which sums to 1; a share is negative where the paths
    of a length point against the whole.

    >>> shares(torch.tensor([[[3.0], [0.0]], [[1.0], [2.0]]]))
    tensor([0.6000, 0.4000])
    """
    each = products(lengths).sum(1)
    return each / each.sum()


def shares_by_image(lengths: Tensor) -> Tensor:
    """The shares in each image's gradient: (K, B, ...) of `by_length` to (K, B).

    Not a number where an image's gradient is zero.

    >>> shares_by_image(torch.tensor([[[3.0], [0.0]], [[1.0], [2.0]]]))
    tensor([[0.7500, 0.0000],
            [0.2500, 1.0000]])
    """
    each = products(lengths)
    return each / each.sum(0)


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
