"""One iteration of training.

Everything it draws (order, crops, active modules) follows from the seed and the number of the
iteration alone, so a run that was interrupted goes on as if it had not been.
"""

import hashlib
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from helpers.devices import autocast
from helpers.network import Network
from study.data import Dataset
from study.training import recipes
from study.training.recipes import TrainConfig


def step(
    config: TrainConfig,
    dataset: Dataset,
    images: Tensor,
    labels: Tensor,
    network: Network,
    optimizer: torch.optim.Optimizer,
    iteration: int,
) -> Tensor:
    """One iteration; returns the loss.  Modules that are not active are not computed, and neither
    weight decay nor momentum moves them."""
    epoch_length = len(labels) // config.batch_size
    epoch, batch = divmod(iteration, epoch_length)
    rows = order(config.seed, epoch, len(labels))[batch * config.batch_size :]
    rows = rows[: config.batch_size].to(images.device)
    generator = stream(config.seed, "iteration", iteration)
    x = dataset.augment(dataset.normalise(images[rows]), generator)
    x = shrink(x, recipes.image_side(config, iteration, x.shape[-1]))
    active = recipes.active_modules(config, len(network.blocks), generator)
    if not all(active):
        pairs = zip(network.blocks, active, strict=True)
        blocks = [b if is_active else b.get_submodule("skip") for b, is_active in pairs]
        network = network.with_blocks(blocks)
    for group in optimizer.param_groups:
        group["lr"] = recipes.learning_rate(config, iteration)
    optimizer.zero_grad(set_to_none=True)
    with autocast(x.device, config.precision):
        loss = F.cross_entropy(network(x), labels[rows])
    loss.backward()
    optimizer.step()
    return loss.detach()


def shrink(x: Tensor, side: int) -> Tensor:
    """Square images, float (B, C, H, H), at another side, antialiased; as they are at their own."""
    if side == x.shape[-1]:
        return x
    x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return x.contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=1)
def order(seed: int, epoch: int, count: int) -> Tensor:
    """The order of `count` images in an epoch."""
    return torch.randperm(count, generator=stream(seed, "order", epoch))


def stream(seed: int, purpose: str, number: int) -> torch.Generator:
    """A generator of its own for each seed, purpose and number."""
    digest = hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
