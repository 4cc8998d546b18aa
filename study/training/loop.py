"""Training that can be killed at any moment and resumed to the same weights.

Everything an iteration draws (order, crops, active modules) follows from the seed and the number of
the iteration alone, so a resumed run needs no more than weights, momentum and that number.

    python -m study.training --help
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from helpers.devices import autocast, describe, find_device
from helpers.network import Network
from study.data import Dataset
from study.places import HERE, Places
from study.records import commit
from study.training import checkpoints, recipes, resume
from study.training.recipes import TrainConfig


def trained(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path | None = None,
    checkpoint: str = "",
    places: Places = HERE,
    **options,
) -> tuple[Network, Path]:
    """The network of a run, in eval mode, and its checkpoint; trains if there is none yet.

    `checkpoint` names a file to take.  Without it, looks among the book's checkpoints, then in
    `folder` (default: `places.trained`), where one counts only if the code as it is now made it.
    `options`: see `train`.
    """
    if checkpoint:
        path = Path(checkpoint)
    elif not (path := places.checkpoints / file_name(config, dataset)).is_file():
        path = train(config, dataset, folder or places.trained, **options)
    return load(config, dataset, path), path


def subject(config: TrainConfig, dataset: Dataset, path: Path) -> dict:
    """The fields of a result row that say which network was measured, and where."""
    return {
        "dataset": dataset.name,
        "model": config.label,
        "checkpoint": checkpoints.digest(path),
        "device": describe(find_device()),
    }


def load(config: TrainConfig, dataset: Dataset, path: Path) -> Network:
    """The network in a checkpoint of such a run, in eval mode, as it is tested."""
    tensors, _ = checkpoints.read(path)
    network = new_network(config, dataset)
    checkpoints.fill(network, tensors, path)
    network.to(find_device(), memory_format=torch.channels_last)
    return recipes.at_test_time(config, network).eval()


def train(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path = HERE.trained,
    save_seconds: float = 60,
    keep: Sequence[int] = (),
    progress: Callable[..., None] | None = None,
) -> Path:
    """Train, resuming a killed run where it was last saved, and return the checkpoint's path.

    A run that is finished, by the code as it is now, returns at once.  `keep`: numbers of
    iterations, 0 to all of them, whose weights are kept beside it (`snapshot`).  `progress` is
    called after each iteration with the number done, the number of all, and the loss.  Raises
    ArithmeticError if the weights are no longer finite; OSError if `folder` cannot be written.
    """
    path = Path(folder) / file_name(config, dataset)
    kept = {number: snapshot(path, number) for number in keep}
    # Weights that other code kept are as good as lost: they belong to another course.
    lost = [number for number, file in kept.items() if not is_current(file)]
    if not lost and is_current(path):
        return path
    if config.batch_size > len(dataset.train.labels):
        raise ValueError(
            f"batch_size {config.batch_size}: {dataset.name} has {len(dataset.train.labels)} images"
        )
    if outside := [k for k in keep if not 0 <= k <= config.iterations]:
        raise ValueError(f"keep {outside}: expected numbers from 0 to {config.iterations}")
    device, partial = find_device(), path.with_suffix(".partial")
    network = new_network(config, dataset).to(device, memory_format=torch.channels_last).train()
    optimizer = new_optimizer(config, network)
    about = {
        "config": asdict(config),
        "code": code_digest(),
        "version": commit.code_version(),
        "iterations": 0,
        "seconds": 0.0,
    }
    if partial.is_file():
        about = resume.resume(partial, network, optimizer, code_digest(), lost) or about
    # Fails at once, not after the first minutes, if the folder cannot be written.
    resume.save(partial, network, optimizer, about)
    split, begin = dataset.train.to(device), time.monotonic() - about["seconds"]
    saved = time.monotonic()
    if about["iterations"] in kept:
        checkpoints.write(kept[about["iterations"]], network.state_dict(), about)
    for iteration in range(about["iterations"], config.iterations):
        loss = step(config, dataset, split.images, split.labels, network, optimizer, iteration)
        now = time.monotonic()
        about |= {"iterations": iteration + 1, "seconds": now - begin}
        if iteration + 1 in kept:
            checkpoints.write(kept[iteration + 1], network.state_dict(), about)
        if progress:
            progress(iteration + 1, config.iterations, loss=loss)
        if now - saved >= save_seconds:
            resume.check_finite(network, iteration)
            resume.save(partial, network, optimizer, about)
            saved = now
    resume.check_finite(network, config.iterations)
    about |= {"device": describe(device), "data_checksum": dataset.train.checksum}
    checkpoints.write(path, network.state_dict(), about)
    partial.unlink(missing_ok=True)  # Another process may have made the same run.
    return path


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
        network = network.with_blocks([b if is_active else b.skip for b, is_active in pairs])
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


def new_network(config: TrainConfig, dataset: Dataset) -> Network:
    """The untrained network that fits a data set.  ValueError if too many modules are active."""
    network = recipes.build(config, dataset.channels, len(dataset.classes))
    recipes.survival_probabilities(config, len(network.blocks))
    return network


def new_optimizer(config: TrainConfig, network: Network) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; `step` sets the learning rate."""
    return torch.optim.SGD(
        network.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=True,
    )


def snapshot(path: Path, iteration: int) -> Path:
    """Where `train` keeps the weights that the run of checkpoint `path` had after an iteration."""
    return path.with_name(f"{path.stem}-at{iteration}.safetensors")


def is_current(path: Path) -> bool:
    """Whether there is a checkpoint that the code as it is now made."""
    return path.is_file() and checkpoints.read(path)[1]["code"] == code_digest()


def file_name(config: TrainConfig, dataset: Dataset) -> str:
    """The checkpoint's name: settings, data and nothing else decide it."""
    return f"{config.label}-{config.digest(dataset.train.checksum)[:10]}.safetensors"


def code_digest() -> str:
    """A hash of the code that the weights depend on."""
    instrument = "combinatorics devices models network"
    own = "data.__init__ data.image_files training.loop training.recipes training.resume"
    files = [f"helpers.{name}" for name in instrument.split()]
    return commit.digest(*files, *(f"study.{name}" for name in own.split()))
