"""How sure a number is: intervals by drawing the observations anew (Efron's bootstrap)."""

from collections.abc import Callable

import torch
from torch import Tensor

Statistic = Callable[[Tensor], Tensor]


def bootstrap(
    samples: Tensor,
    statistic: Statistic,
    generator: torch.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Tensor:
    """The percentile interval of a statistic of N observations: (2, ...), low and high.

    `samples`: (N, ...).  `statistic`: takes (D, N, ...), D samples with as many observations, drawn
    with replacement, and returns (D, ...).  Observations that belong together, such as all numbers
    of an image, are one row.  Raises ValueError for nothing to draw from, or a level outside 0..1.

    >>> values = torch.arange(100.0)
    >>> bootstrap(values, lambda drawn: drawn.mean(1), torch.Generator().manual_seed(0)).round()
    tensor([44., 55.])
    """
    count = len(samples)
    if min(count, draws) < 1:
        raise ValueError(f"{count} observations, {draws} draws: expected at least 1 of each")
    if not 0 < level < 1:
        raise ValueError(f"level {level}: expected between 0 and 1, such as 0.95")
    chosen = torch.randint(count, (draws, count), generator=generator).to(samples.device)
    # Some at a time: all of them may be thousands of times the samples.
    found = torch.cat([statistic(samples[some]) for some in chosen.split(100)])
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=found.dtype)
    return found.quantile(tails.to(found.device), dim=0)


def share_samples(products: Tensor, squares: Tensor) -> Tensor:
    """What `bootstrap` draws from for shares of a gradient: a row for each image, (B, K + 1).

    `products`: <G_k, g> of each image, (K, B), from `gradients.products` or
    `by_module.module_products`; `squares`: <g, g>, (B,).
    """
    return torch.cat([products, squares[None]]).T


def shares(drawn: Tensor) -> Tensor:
    """A statistic of `share_samples`: the shares of the images as one vector, (D, K).

    >>> rows = share_samples(torch.tensor([[1.0, 4.0], [2.0, 1.0]]), torch.tensor([3.0, 5.0]))
    >>> shares(rows[None])
    tensor([[0.6250, 0.3750]])
    """
    sums = drawn.sum(1)
    return sums[:, :-1] / sums[:, -1:]


def mean_length(drawn: Tensor) -> Tensor:
    """A statistic of `share_samples` by length: the mean path length, sum_k k share_k, (D,).

    >>> rows = share_samples(torch.tensor([[1.0, 4.0], [2.0, 1.0]]), torch.tensor([3.0, 5.0]))
    >>> mean_length(rows[None])
    tensor([0.3750])
    """
    found = shares(drawn)
    return found @ torch.arange(found.shape[1]).to(found)
