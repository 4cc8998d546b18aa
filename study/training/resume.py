"""The state of a training run that is not finished: weights, momentum and the iteration."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from study.training import checkpoints


def save(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, about: dict) -> None:
    """Write the state of an unfinished run."""
    moving = {
        f"momentum.{name}": optimizer.state[p]["momentum_buffer"]
        for name, p in network.named_parameters()
        if p in optimizer.state
    }
    checkpoints.write(path, network.state_dict() | moving, about)


def resume(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    code: str,
    lost: Iterable[int],
) -> dict | None:
    """Fill network and optimizer from an unfinished run and return what is known about it.

    None, with both as they were, if other `code` began it, or if it is past one of the iterations
    `lost`, whose weights are wanted and not there.
    """
    tensors, about = checkpoints.read(path)
    if about["code"] != code or any(number <= about["iterations"] for number in lost):
        return None
    momentum = {name: tensors.pop(name) for name in list(tensors) if name.startswith("momentum.")}
    checkpoints.fill(network, tensors, path)
    for name, p in network.named_parameters():
        if f"momentum.{name}" in momentum:
            buffer = torch.empty_like(p.detach()).copy_(momentum[f"momentum.{name}"])
            optimizer.state[p]["momentum_buffer"] = buffer
    return about


def check_finite(network: nn.Module, iteration: int) -> None:
    """ArithmeticError unless every weight is finite."""
    if not all(torch.isfinite(p).all() for p in network.parameters()):
        raise ArithmeticError(
            f"training diverged before iteration {iteration}: try a lower learning rate"
        )
