"""The mean square of path norms for every length at once, by signed passes.

With every J_i multiplied by an independent random sign, the cross terms of different paths vanish
in expectation from the square of the sum over all paths of a length: what is left is the sum of
their squared norms, of all C(n, k) paths from one pass.

Arguments are those of `helpers.gradients`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from helpers.exactness import exactly, finite
from helpers.gradients import norms
from helpers.groups import check_first, check_rows, grouped, longest_of
from helpers.linearised import Linearised, joined
from helpers.losses import SCALE, Loss, cross_entropy
from helpers.network import ResidualNetwork


def mean_squares(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    draws: int,
    generator: torch.Generator,
    max_length: int | None = None,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
    loss: Loss = cross_entropy,
) -> tuple[Tensor, Tensor]:
    """The sum over all paths of length k of ||g_p||^2, mean over the images, and standard error.

    Both (K,), K as in `gradients.by_length`.  Divided by C(n, k), the mean square of a path's norm.
    There are `draws` passes an image on average, shared out by `allocate`.  `progress` is called
    with the passes done and all of them.
    """
    rows = allocate(network, images, labels, draws, loss)
    squares = squared_norms(
        network, images, labels, rows, generator, max_length, at_image, progress, loss
    )
    if joined(network):
        # A draw is one choice of signs for all images.
        by_draw = squares.unflatten(0, (draws, len(images))).mean(1)
        return by_draw.mean(0), by_draw.std(0) / draws**0.5
    counts = rows.bincount(minlength=len(images)).to(squares)[:, None]
    sums = squares.new_zeros(len(images), squares.shape[1])
    means = sums.index_add(0, rows, squares) / counts
    spread = sums.index_add(0, rows, (squares - means[rows]) ** 2) / (counts - 1)
    return means.mean(0), (spread / counts).sum(0).sqrt() / len(images)


def allocate(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    draws: int,
    loss: Loss = cross_entropy,
) -> Tensor:
    """Which image each of draws x B passes is for, in ascending order: (draws * B,).

    Two for each image, the others in proportion to the square of the gradient above the last
    module, which every path starts with: what arrives grows with it, and so does the spread of a
    draw (Neyman's allocation).  Most go to the few images that are misclassified.  In train mode,
    which joins the images, all get the same.  Raises ValueError for fewer than 2 draws.
    """
    if draws < 2:
        raise ValueError(f"{draws} draws: expected at least 2, to know their spread")
    every = torch.arange(len(images))
    if joined(network):
        return every.repeat(draws)
    with exactly(network):
        parts = grouped(network, images, labels, 32)
        of_groups = [Linearised(network, images[rows], labels[rows], loss=loss) for rows in parts]
        top = torch.cat([at.g.cpu().double() for at in of_groups])
    size = finite(norms(top, top.dim() - 1) ** 2)
    share = size.cumsum(0) / size.sum() if size.any() else every.add(1) / len(images)
    # Rounded as a running total, so that the sum is right.
    more = (share * (draws - 2) * len(images)).round().long().diff(prepend=torch.zeros(1).long())
    return every.repeat_interleave(2 + more)


def squared_norms(
    network: ResidualNetwork,
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    generator: torch.Generator,
    max_length: int | None = None,
    at_image: bool = False,
    progress: Callable[..., None] | None = None,
    loss: Loss = cross_entropy,
) -> Tensor:
    """Unbiased estimates of the sum over all paths of length k of ||g_p||^2: (S, K).

    `rows`: (S,), the image that each pass is for; each has signs of its own.  In train mode, which
    joins the images, `rows` is all of them in order, once or more times, with one choice of signs
    for each time.  K as in `gradients.by_length`.  `progress` is called with the passes done and S.
    """
    longest, n, count = longest_of(network, max_length), len(network.blocks), len(images)
    groups = grouped(network, images, labels, 32)
    check_rows(rows, count)
    together = joined(network)
    if together and not torch.equal(rows, torch.arange(count).repeat(len(rows) // count)):
        raise ValueError("passes for single images need eval mode: batch statistics join them")
    columns = len(rows) // count if together else len(rows)
    signs = (torch.randint(2, (n, columns), generator=generator) * 2 - 1).to(images)
    done = 0
    with exactly(network):
        found = torch.empty(len(rows), longest + 1 + (longest < n), dtype=torch.float64)
        if not together:
            check_first(network, images, labels, at_image, loss)
        for group in groups:
            at = Linearised(network, images[group], labels[group], at_image, loss)
            mine = ((rows >= group.start) & (rows < group.stop)).nonzero().squeeze(1)
            for part in mine.split(count if together else 16) if len(mine) else ():
                of_part = signs[:, done // count, None] if together else signs[:, part]
                of_group = None if together else rows[part] - group.start
                lengths = at.by_length(longest, of_group, of_part)
                found[part] = (norms(lengths, lengths.dim() - 2) / SCALE).square().T.cpu()
                done += len(part)
                if progress:
                    progress(done, len(rows))
    return finite(found)
