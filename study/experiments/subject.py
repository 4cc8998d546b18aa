"""What is measured: a trained network with what names it in a row, and images drawn for it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.network import Network, ResidualNetwork
from study.data import Dataset, Split
from study.places import HERE, Places
from study.progress import Progress
from study.records import store
from study.training import loop
from study.training.recipes import TrainConfig

Report = Callable[..., None]


@dataclass(frozen=True)
class Subject:
    """A network in eval mode, the run that made it, its data set and its checkpoint."""

    network: Network
    config: TrainConfig
    data: Dataset
    path: Path

    @classmethod
    def trained(
        cls,
        config: TrainConfig,
        data: Dataset,
        places: Places = HERE,
        checkpoint: str = "",
        keep: Sequence[int] = (),
    ) -> "Subject":
        """The network of a run: from `checkpoint` if one is named, else from the book, else from
        this machine, where it is trained first if it is not there (`loop.trained`).

        With `keep`, numbers of iterations whose weights are wanted as well, from this machine.
        """
        progress = Progress(config.label)
        if keep:
            path = loop.train(config, data, places.trained, keep=keep, progress=progress)
            return cls(loop.load(config, data, path), config, data, path)
        network, path = loop.trained(
            config, data, checkpoint=checkpoint, places=places, progress=progress
        )
        return cls(network, config, data, path)

    @property
    def residual(self) -> ResidualNetwork:
        """The network, if it has paths; TypeError otherwise."""
        if not isinstance(self.network, ResidualNetwork):
            raise TypeError(
                f"{self.config.label} is no residual network: expected one, which has 2^n paths"
            )
        return self.network

    def at(self, path: Path) -> "Subject":
        """The same run with the weights of another checkpoint, such as one kept along the way."""
        return Subject(loop.load(self.config, self.data, path), self.config, self.data, path)

    def ready(self, split: Split) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), normalised, and labels (B,), where and as precise as the network."""
        weights = next(self.network.parameters())
        images = self.data.normalise(split.images.to(weights.device))
        return images.to(weights.dtype), split.labels.to(weights.device)


def drawn(split: Split, n: int, seed: int, skip: int = 0) -> Split:
    """n images of a split, drawn without replacement; those of one seed begin alike.

    `skip`: so many of the draw are left out, such as those that serve another purpose.  ValueError
    if there are not enough.
    """
    there = len(split.labels) - skip
    if not 1 <= n <= there:
        raise ValueError(f"{n} images: expected 1 to {there}, all there are")
    order = torch.randperm(len(split.labels), generator=generator(seed))
    chosen = order[skip : skip + n]
    return Split(split.images[chosen], split.labels[chosen])


def generator(seed: int) -> torch.Generator:
    """The generator that all draws of an experiment come from."""
    return torch.Generator().manual_seed(seed)


class Measurement:
    """A row in the making: begins the clock, and ends as a row."""

    def __init__(self, subject: Subject, experiment: str, split: Split, seed: int):
        self.subject, self.experiment, self.split, self.seed = subject, experiment, split, seed
        self.begin = time.monotonic()

    def row(self, value: dict[str, Any], samples: int, **settings: Any) -> dict[str, Any]:
        """The row of a value; `settings`: how it was measured, beside how the network was made."""
        subject = self.subject
        return store.row(
            **loop.subject(subject.config, subject.data, subject.path),
            experiment=self.experiment,
            data_checksum=self.split.checksum,
            config=asdict(subject.config) | {"dataset": subject.data.name} | settings,
            seed=self.seed,
            seconds=time.monotonic() - self.begin,
            samples=samples,
            value=value,
        )
