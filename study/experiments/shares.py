"""Shares of the gradient for a row: of all images and of each, and how far they depend on them."""

import torch
from torch import Tensor

from helpers import intervals


def told(products: Tensor, squares: Tensor, generator: torch.Generator) -> dict[str, list]:
    """Shares of the gradient and their 95% bootstrap intervals over images.

    `products`: <G_k, g> of each image, (K, B), for parts G_k of its gradient g, such as those of a
    path length; `squares`: <g, g>, (B,).  Returns `shares` (K,), of the gradient of all images as
    one vector, in which images with a large gradient weigh most, and their `intervals` (K, 2);
    `by_image` (K,), the mean of each image's own shares, and `by_image_intervals`.  Images without
    a gradient have no shares, and are left out.
    """
    products, squares = products.cpu().double(), squares.cpu().double()
    products, squares = products[:, squares > 0], squares[squares > 0]
    together, each = intervals.share_samples(products, squares), (products / squares).T
    return {
        "shares": intervals.shares(together[None])[0].tolist(),
        "intervals": intervals.bootstrap(together, intervals.shares, generator).T.tolist(),
        "by_image": each.mean(0).tolist(),
        "by_image_intervals": intervals.bootstrap(each, mean, generator).T.tolist(),
    }


def mean(drawn: Tensor) -> Tensor:
    """The mean over the images of each draw: (D, B, K) to (D, K)."""
    return drawn.mean(1)
