"""How far shares of the gradient depend on which images were drawn: bootstrap intervals."""

import torch
from torch import Tensor

DRAWS = 2000
ENDS = (0.025, 0.975)


def shares(products: Tensor, squares: Tensor, generator: torch.Generator) -> dict[str, list]:
    """Shares of the gradient and their 95% intervals over images (Efron 1979, percentiles).

    `products`: <G_k, g> of each image, (K, B), for parts G_k of its gradient g, such as those of a
    path length; `squares`: <g, g>, (B,).  Returns `shares` (K,), of the gradient of all images as
    one vector, in which images with a large gradient weigh most, and their `intervals` (K, 2);
    `by_image` (K,), the mean of each image's own shares, and `by_image_intervals`.  Images without
    a gradient have no shares, and are left out of both.
    """
    products, squares = products.cpu().double(), squares.cpu().double()
    products, squares = products[:, squares > 0], squares[squares > 0]
    each, images = products / squares, len(squares)
    chosen = torch.randint(images, (DRAWS, images), generator=generator)
    # How often each image is in a draw, (DRAWS, B).
    counts = torch.zeros(DRAWS, images, dtype=torch.float64)
    counts.scatter_add_(1, chosen, torch.ones(DRAWS, images, dtype=torch.float64))
    together = (products @ counts.T) / (counts @ squares)
    own = each @ counts.T / images
    return {
        "shares": (products.sum(1) / squares.sum()).tolist(),
        "intervals": interval(together),
        "by_image": each.mean(1).tolist(),
        "by_image_intervals": interval(own),
    }


def interval(draws: Tensor) -> list[list[float]]:
    """The ends of the interval of each row: (K, DRAWS) to (K, 2)."""
    return torch.quantile(draws, torch.tensor(ENDS, dtype=draws.dtype), dim=1).T.tolist()
