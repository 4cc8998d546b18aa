"""What batch norm measures, its statistics, and what it learns, its scales: exchanged.

Both return a copy; the network is not changed.
"""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms of a network, in order.  ValueError if there are none.

    >>> norms(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2)))[0].num_features
    2
    """
    found = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    if not found:
        raise ValueError("this network has no batch norm: nothing to exchange")
    return found


@torch.no_grad()
def with_statistics_of(network: N, images: Tensor, batch_size: int = 128) -> N:
    """A copy in eval mode whose means and variances are those of `images`, with all modules active.

    `images`: normalised, (N, C, H, W); the statistics are the average over their whole batches.
    Raises ValueError if there is none.

    >>> images = torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1)
    >>> found = with_statistics_of(nn.Sequential(nn.BatchNorm2d(1)), images, batch_size=2)
    >>> found[0].running_mean, found[0].running_var
    (tensor([1.]), tensor([2.]))
    """
    if len(images) < batch_size:
        raise ValueError(f"{len(images)} images: expected at least a batch of {batch_size}")
    copy = deepcopy(network)
    before = [(part, part.momentum) for part in norms(copy)]
    for part, _ in before:
        part.reset_running_stats()
        part.momentum = None  # The average over all batches, all alike.
    copy.train()
    for start in range(0, len(images) - batch_size + 1, batch_size):
        x = images[start : start + batch_size]
        copy(x.contiguous(memory_format=torch.channels_last))
    for part, momentum in before:
        part.momentum = momentum
    return copy.eval()


@torch.no_grad()
def with_scales_of(network: N, other: nn.Module) -> N:
    """A copy whose batch norms multiply by the learned scales of `other`, a network of the same
    architecture (ValueError otherwise: the names and shapes of all weights decide); everything
    else stays.

    >>> one, other = nn.Sequential(nn.BatchNorm2d(1)), nn.Sequential(nn.BatchNorm2d(1))
    >>> _ = other[0].weight.data.fill_(3)
    >>> with_scales_of(one, other)[0].weight.tolist(), one[0].weight.tolist()
    ([3.0], [1.0])
    """
    ours, theirs = (
        {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        for net in (network, other)
    )
    if differing := ours.items() ^ theirs.items():
        name, _ = min(differing)
        raise ValueError(
            f"the two networks differ: {name} is {theirs.get(name, 'missing')} in the one that "
            f"gives its scales, {ours.get(name, 'missing')} in the other: expected one architecture"
        )
    copy = deepcopy(network)
    for mine, given in zip(norms(copy), norms(other), strict=True):
        mine.weight.copy_(given.weight)
    return copy
