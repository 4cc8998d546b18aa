"""How much gradient flows along which paths.

With S_i the Jacobian of module i's skip connection and J_i that of its residual, the gradient at
the first module is (prod_i (S_i + J_i))^T g_out: a sum over 2^n paths, each taking S_i or J_i at
every module.  Everything here is linear in g_out, so one forward pass serves all paths.

Gradients are those of the cross-entropy summed over the images, so that in eval mode each image has
its own.  A network in train mode is taken with its batch statistics.  The network is not changed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import paths as combinatorics
from helpers.models import ResidualModule, ResidualNetwork

# Long paths carry gradients below the range of float32.  The loss is scaled up by a power of two,
# which rounds nothing, and the results are scaled back in float64.
SCALE = 2.0**80


def whole(
    network: ResidualNetwork, images: Tensor, labels: Tensor, at_image: bool = False
) -> Tensor:
    """The gradient over all paths, by autograd: float64, shape of the first module's input.

    `images`: normalised, (B, C, H, W); `labels`: (B,).  `at_image`: at the image instead.
    """
    with unchanged(network), torch.enable_grad():
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
    signs: Tensor | None = None,
    progress: Callable[..., None] | None = None,
) -> Tensor:
    """G[k], the sum of the gradients of all C(n, k) paths of length k, exactly.

    Going down the modules, G_new[k] = S_i^T G[k] + J_i^T G[k-1]: n(n+1)/2 module VJPs for 2^n
    paths.  Returns float64 (K, B, ...), K = max_length + 1 (default n + 1), at the first module's
    input, or at the image.  `sum_k G[k]` is the whole gradient if no length is cut off.
    `signs`: ±1, (n, B), multiplies each J_i, see `signed_squared_norms`.  `progress` is called with
    modules done and n.  Raises ValueError for a max_length outside 0..n.
    """
    n = len(network.blocks)
    longest = n if max_length is None else max_length
    combinatorics.check_length(n, longest)
    with unchanged(network):
        inputs, g = forward(network, images, labels)
        lengths = g[None]
        for done, i in enumerate(reversed(range(n)), 1):
            skip, residual = routes(network.blocks[i])
            stay = vjp(skip, inputs[i], lengths)
            enter = vjp(residual, inputs[i], lengths[:longest])
            if signs is not None:
                enter = enter * signs[i].to(enter)[:, None, None, None]
            lengths = F.pad(stay, (0, 0) * (stay.dim() - 1) + (0, len(enter) + 1 - len(stay)))
            lengths[1:] += enter
            if progress:
                progress(done, n)
        if at_image:
            lengths = vjp(network.stem, images, lengths)
    return unscaled(lengths)


def signed_squared_norms(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    draws: int,
    generator: torch.Generator,
    max_length: int | None = None,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
) -> Tensor:
    """Unbiased estimates of the sum over all paths of length k of ||g_p||^2.

    Each J_i is multiplied by an independent random sign, in eval mode a fresh one for every image.
    In the square of the sum over paths, the cross terms of different paths vanish in expectation.
    Returns float64 (draws, K, B); its mean over C(n, k) is the mean square of the path norm.
    """
    if draws < 1:
        raise ValueError(f"{draws} draws: expected at least 1")
    n, found = len(network.blocks), []
    for done in range(1, draws + 1):
        # In train mode batch statistics join the images: a path is one choice for all of them.
        columns = 1 if network.training else len(images)
        signs = torch.randint(2, (n, columns), generator=generator) * 2 - 1
        found.append(norms(by_length(network, images, labels, max_length, at_image, signs)) ** 2)
        if progress:
            progress(done, draws)
    return torch.stack(found)


def along_paths(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    paths: Tensor,
    at_image: bool = False,
) -> Tensor:
    """The gradient of each image along a path of its own, routed as in Section 5.

    `paths`: bool (B, n), see `paths.sample`.  The forward pass is the whole network's; on the way
    back, image b passes only through the residual of module i where paths[b, i], else only through
    the skip.  Returns float64 (B, ...).  Raises ValueError for paths of another shape, or for
    differing paths in train mode, where batch statistics join the images.
    """
    if tuple(paths.shape) != (len(images), len(network.blocks)) or paths.dtype != torch.bool:
        raise ValueError(
            f"paths {tuple(paths.shape)} {paths.dtype}: expected {len(images)} images x "
            f"{len(network.blocks)} modules, bool"
        )
    if network.training and bool((paths != paths[0]).any()):
        raise ValueError("differing paths need eval mode: batch statistics join the images")
    with unchanged(network):
        inputs, g = forward(network, images, labels)
        for block, x, enters in zip(
            reversed(network.blocks), reversed(inputs), reversed(paths.unbind(1)), strict=True
        ):
            received = torch.empty_like(x)
            for route, takes in zip(routes(block), (~enters, enters), strict=True):
                rows = takes.nonzero().squeeze(1).to(x.device)
                if len(rows):
                    received[rows] = vjp(route, x[rows], g[rows][None])[0]
            g = received
        if at_image:
            g = vjp(network.stem, images, g[None])[0]
    return unscaled(g)


def sampled_norms(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    length: int,
    samples: int,
    generator: torch.Generator,
    batch_size: int = 128,
    at_image: bool = False,
) -> Tensor:
    """The paper's measurement (Section 5): gradient norms along random paths of one length.

    Each sample is an image drawn from `images` and a path drawn uniformly: float64 (samples,).
    Raises ValueError for a length outside 0..n.
    """
    chosen = torch.randint(len(images), (samples,), generator=generator)
    paths = combinatorics.sample(len(network.blocks), length, samples, generator)
    return torch.cat(
        [
            norms(along_paths(network, images[rows], labels[rows], on, at_image))
            for rows, on in zip(chosen.split(batch_size), paths.split(batch_size), strict=True)
        ]
    )


def forward(
    network: ResidualNetwork, images: Tensor, labels: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Every module's input, and the (scaled) gradient at the last module's output.

    Raises TypeError for a network that is not residual: it has no routes to choose from.
    """
    if not isinstance(network, ResidualNetwork):
        raise TypeError(f"{type(network).__name__}: expected a ResidualNetwork, only it has paths")
    inputs = []
    with torch.no_grad():
        x = network.stem(images)
        for block in network.blocks:
            inputs.append(x)
            x = block(x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        loss = F.cross_entropy(network.head(x), labels, reduction="sum") * SCALE
        return inputs, torch.autograd.grad(loss, x)[0]


def routes(block: nn.Module) -> tuple[nn.Module, nn.Module | None]:
    """A module's skip connection and its residual; what is left of a deleted one is all skip."""
    if isinstance(block, ResidualModule):
        return block.skip, block.residual
    return block, None


def vjp(route: nn.Module | None, x: Tensor, gradients: Tensor) -> Tensor:
    """K gradients (K, B, ...) times the Jacobian of `route` at x; no route has Jacobian zero."""
    if isinstance(route, nn.Identity):
        return gradients
    received = gradients.new_zeros(len(gradients), *x.shape)
    if route is None:
        return received
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = route(x)
        for k, g in enumerate(gradients):
            received[k] = torch.autograd.grad(y, x, g, retain_graph=True)[0]
    return received


def unscaled(gradients: Tensor) -> Tensor:
    """Gradients of the loss itself, in float64; on the CPU where the device has no float64."""
    return (gradients.cpu() if gradients.device.type == "mps" else gradients).double() / SCALE


def norms(gradients: Tensor) -> Tensor:
    """The L2 norm of each image's gradient: (..., B, C, H, W) to (..., B)."""
    return torch.linalg.vector_norm(gradients, dim=(-3, -2, -1))


def shares(lengths: Tensor) -> Tensor:
    """The exact share of each path length in the gradient, <G_k, g> / <g, g> with g = sum_k G_k.

    `lengths`: (K, B, ...) of `by_length`, the batch taken as one vector.  Returns (K,), which sums
    to 1; a share is negative where the paths of a length point against the whole.
    """
    flat = lengths.flatten(1)
    g = flat.sum(0)
    return flat @ g / (g @ g)


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Put back the running statistics that a pass in train mode moves."""
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
