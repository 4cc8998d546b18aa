"""Training that can be killed at any moment and resumed to the same weights.

python -m study.training --help
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from helpers.devices import describe, find_device, resolve
from helpers.network import Network
from study import files
from study.data import Dataset
from study.places import HERE, Places
from study.records import commit
from study.training import checkpoints, interrupts, older, recipes, resume
from study.training.iteration import step
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
    `options`: see `train`.  Raises what `checkpoints.read` and `train` do.
    """
    if checkpoint:
        path = Path(checkpoint)
    elif (path := find(places.checkpoints, config, dataset)).exists():
        about = checkpoints.read(path)[1]
        resume.check_run(about, asdict(config), dataset.train.checksum, path)
    else:
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
    return network_of(config, dataset, checkpoints.read(path)[0], path)


def network_of(config: TrainConfig, dataset: Dataset, tensors: dict, path: Path) -> Network:
    """`load`, of tensors that were read from `path`."""
    network = new_network(config, dataset)
    checkpoints.fill(network, tensors, path)
    return recipes.at_test_time(config, on(find_device(), network)).eval()


def train(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path = HERE.trained,
    save_seconds: float = 60,
    keep: Sequence[int] = (),
    progress: Callable[..., None] | None = None,
    elsewhere: bool = False,
) -> Path:
    """Train, resuming an interrupted run where it was last saved, and return the checkpoint's path.

    A run that is finished, by the code as it is now, returns at once; one that another process is
    making is waited for.  `keep`: numbers of iterations, 0 to all of them, whose weights are kept
    beside it (`snapshot`).  `progress` is called after each iteration with the number done, the
    number of all, and the loss.  `elsewhere`: whether to go on with a run that was begun on another
    device, with another number of threads or in another precision, which gives other weights.
    Ctrl-C saves first.

    Raises ValueError for a run that cannot be, ArithmeticError if the weights are no longer finite,
    OSError if `folder` cannot be written, `resume.ResumeError` and CheckpointError for the state of
    a run that cannot be gone on with.
    """
    path = Path(folder) / file_name(config, dataset)
    kept = {number: snapshot(path, number) for number in keep}
    if not missing(path, kept, config, dataset):
        return path
    if config.batch_size > len(dataset.train.labels):
        raise ValueError(
            f"batch_size {config.batch_size}: {dataset.name} has {len(dataset.train.labels)} images"
        )
    if outside := [k for k in keep if not 0 <= k <= config.iterations]:
        raise ValueError(f"keep {outside}: expected numbers from 0 to {config.iterations}")
    run = Run(config, dataset, path, kept)
    with files.only_writer(path, config.label):
        if wanted := missing(path, kept, config, dataset):
            run.begin(wanted, elsewhere)
            run.finish(save_seconds, progress)
    return path


class Run:
    """A training run under way, which only one process makes."""

    def __init__(self, config: TrainConfig, dataset: Dataset, path: Path, kept: dict[int, Path]):
        self.config, self.dataset, self.path, self.kept = config, dataset, path, kept
        self.partial = path.with_suffix(".partial")
        self.device = find_device()
        self.network = on(self.device, new_network(config, dataset)).train()
        self.optimizer = new_optimizer(config, self.network)
        self.about: dict[str, Any] = {
            "config": asdict(config),
            "code": code_digest(),
            "version": commit.code_version(),
            "iterations": 0,
            "seconds": 0.0,
            "device": describe(self.device),
            "precision": resolve(self.device, config.precision),
            "data_checksum": dataset.train.checksum,
        }

    def begin(self, wanted: list[Path], elsewhere: bool) -> None:
        """Take up the state of an unfinished run, if there is one that leads to all files `wanted`,
        and save it."""
        if self.partial.exists():
            lost = [number for number, file in self.kept.items() if file in wanted]
            state = self.network, self.optimizer, self.about
            self.about = resume.resume(self.partial, *state, lost, elsewhere) or self.about
        # Fails at once, not after the first minutes, if the folder cannot be written.
        self.save()
        self.keep()

    def finish(self, save_seconds: float, progress: Callable[..., None] | None) -> None:
        """All iterations that are left, and the checkpoint."""
        config, dataset, split = self.config, self.dataset, self.dataset.train.to(self.device)
        begin, saved = time.monotonic() - self.about["seconds"], time.monotonic()
        with interrupts.held_back() as is_interrupted:
            for number in range(self.about["iterations"], config.iterations):
                data = split.images, split.labels
                loss = step(config, dataset, *data, self.network, self.optimizer, number)
                now = time.monotonic()
                self.about |= {"iterations": number + 1, "seconds": now - begin}
                self.keep()
                if progress:
                    progress(number + 1, config.iterations, loss=loss)
                if is_interrupted() or now - saved >= save_seconds:
                    self.save()
                    saved = now
                if is_interrupted():
                    raise KeyboardInterrupt
        resume.check_finite(self.network, config.iterations)
        checkpoints.write(self.path, self.network.state_dict(), self.about)
        self.partial.unlink()

    def keep(self) -> None:
        """Keep the weights of this moment if they are asked for."""
        if self.about["iterations"] in self.kept:
            resume.check_finite(self.network, self.about["iterations"])
            kept = self.kept[self.about["iterations"]]
            checkpoints.write(kept, self.network.state_dict(), self.about)

    def save(self) -> None:
        """Keep what is needed to go on from here."""
        resume.check_finite(self.network, self.about["iterations"])
        resume.save(self.partial, self.network, self.optimizer, self.about)


def missing(path: Path, kept: dict[int, Path], config: TrainConfig, dataset: Dataset) -> list[Path]:
    """The files of a run that are yet to be made; weights that other code kept are as good as lost,
    since they belong to another course."""
    return [file for file in (path, *kept.values()) if not is_current(file, config, dataset)]


def new_network(config: TrainConfig, dataset: Dataset) -> Network:
    """The untrained network that fits a data set.  ValueError if too many modules are active."""
    network = recipes.build(config, dataset.channels, len(dataset.classes))
    recipes.survival_probabilities(config, len(network.blocks))
    return network


def on(device: torch.device, network: Network) -> Network:
    """The network itself, moved to a device, its channels last."""
    # PyTorch knows this argument, its type hints do not.
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


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


def is_current(path: Path, config: TrainConfig, dataset: Dataset) -> bool:
    """Whether there is a checkpoint of a run that the code as it is now made.  CheckpointError if
    it is damaged or of another run; OSError if it cannot be read."""
    if not path.exists():
        return False
    about = checkpoints.read(path)[1]
    resume.check_run(about, asdict(config), dataset.train.checksum, path)
    return about.get("code") == code_digest()


def file_name(config: TrainConfig, dataset: Dataset) -> str:
    """The checkpoint's name: settings, data and nothing else decide it."""
    return f"{config.label}-{config.digest(dataset.train.checksum)[:10]}.safetensors"


def find(folder: Path, config: TrainConfig, dataset: Dataset) -> Path:
    """The checkpoint of a run in a folder, by its name or the one that it had in earlier versions;
    its name if it is not there."""
    path = folder / file_name(config, dataset)
    earlier = folder / older.name(config, dataset.train.checksum)
    return earlier if earlier.exists() and not path.exists() else path


def code_digest() -> str:
    """A hash of the code that the weights depend on."""
    instrument = "combinatorics devices models network"
    data = "data.__init__ data.image_files data.folders"
    training = "decay training.iteration training.loop training.recipes training.resume"
    modules = [f"helpers.{name}" for name in instrument.split()]
    return commit.digest(*modules, *(f"study.{name}" for name in f"{data} {training}".split()))
