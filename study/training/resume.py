"""The state of a training run that is not finished: weights, momentum and the iteration."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from study.training import checkpoints
from study.training.recipes import changed


class ResumeError(RuntimeError):
    """A run that was begun elsewhere, so that going on here would give other weights."""


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
    here: dict[str, Any],
    lost: Iterable[int],
    elsewhere: bool,
) -> dict[str, Any] | None:
    """Fill network and optimizer from an unfinished run and return what is known about it.

    `here`: what would be known about the run if it began here and now.  None, with network and
    optimizer as they were, if other code began it, or if it is past one of the iterations `lost`,
    whose weights are wanted and not there.  ResumeError if it was begun on another device, with
    another number of threads or in another precision, unless `elsewhere` accepts that.
    """
    tensors, about = checkpoints.read(path)
    if about.get("code") != here["code"] or any(number <= about["iterations"] for number in lost):
        return None
    check_run(about, here["config"], here["data_checksum"], path)
    for name in ("device", "precision"):
        # Of a run that went on elsewhere before, the last place counts.
        if about[name].split(", then ")[-1] == here[name]:
            continue
        if not elsewhere:
            raise ResumeError(
                f"{path} was begun on {about['device']} in {about['precision']}, this is "
                f"{here['device']} in {here['precision']}: the weights would be others.  Go on as "
                "it was begun (OMP_NUM_THREADS sets the number of threads), delete the file to "
                "begin again, or accept other weights by --elsewhere (elsewhere=True)"
            )
        about[name] += f", then {here[name]}"
    momentum = {name: tensors.pop(name) for name in list(tensors) if name.startswith("momentum.")}
    checkpoints.fill(network, tensors, path)
    for name, p in network.named_parameters():
        if f"momentum.{name}" in momentum:
            buffer = torch.empty_like(p.detach()).copy_(momentum[f"momentum.{name}"])
            optimizer.state[p]["momentum_buffer"] = buffer
    return about


def check_run(about: dict[str, Any], config: dict, data_checksum: str, path: Path) -> None:
    """CheckpointError unless a checkpoint's description is of the run with these settings on these
    training images."""
    if changed(about["config"]) != changed(config) or about["data_checksum"] != data_checksum:
        raise checkpoints.CheckpointError(
            f"{path} is of another run than its name says: delete it and train again"
        )


def check_finite(network: nn.Module, iteration: int) -> None:
    """ArithmeticError unless every weight is finite."""
    if not all(torch.isfinite(t).all() for t in network.state_dict().values()):
        raise ArithmeticError(
            f"training diverged before iteration {iteration}: try a lower learning rate"
        )
