"""What the benchmarks are run on: the book's network and images, random networks of any depth."""

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from helpers import devices, models
from helpers.network import ResidualNetwork
from study import data
from study.training import loop, recipes


@dataclass
class Subject:
    """A network in eval mode whose weights need no gradients, images to test and to train on."""

    dataset: data.Dataset
    config: recipes.TrainConfig
    network: ResidualNetwork
    about: dict
    device: torch.device

    def images(self, count: int, split: str = "train") -> tuple[Tensor, Tensor]:
        """The first `count` images of a split, normalised, and their labels."""
        part = getattr(self.dataset, split)
        images = self.dataset.normalise(part.images[:count].to(self.device))
        return images, part.labels[:count].to(self.device)

    def contiguous(self) -> ResidualNetwork:
        """The network in the layout in which PyTorch makes one."""
        return deepcopy(self.network).to(memory_format=torch.contiguous_format)


def load(name: str) -> Subject:
    """The book's reference network for a data set; trained first if there is none yet."""
    dataset, config = data.load(name), recipes.reference(name)
    network, path = loop.trained(config, dataset)
    about = loop.subject(config, dataset, path) | {"data_checksum": dataset.train.checksum}
    return Subject(dataset, config, network.requires_grad_(False), about, devices.find_device())


def apart(function: str, on: Subject, repeats: int):
    """What a function of the benchmarks finds in a process of its own.

    Memory that others have held and freed changes how fast the next allocation is, and a peak.
    """
    code = (
        "import json; from benchmarks import paths, steps, subject; "
        f"print(json.dumps({function}(subject.load({on.dataset.name!r}), {repeats})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def untrained(on: Subject, modules: int) -> Subject:
    """The same with a network of that many modules and random weights."""
    size = {"depth": 2 * modules + 2, "in_channels": on.dataset.channels}
    network = models.build("resnet", 0, **size).eval().requires_grad_(False)
    network.to(on.device, memory_format=torch.channels_last)
    return replace(on, network=network, about={})
