"""Which paths a network uses before it has learned anything: its architecture alone decides.

The mean path length of the gradient is the sum of its modules' shares (`helpers.by_module`), which
takes as many steps as there are modules: networks of a thousand layers are within reach.
"""

import time
from dataclasses import asdict, dataclass

import torch

from helpers import batchnorm, models
from helpers.by_module import module_shares
from helpers.devices import describe, find_device
from helpers.network import ResidualNetwork, scale_residuals
from study.data import Dataset, Split
from study.experiments.subject import Report
from study.progress import Progress
from study.records import store

NORMALISERS = ("batch norm", "none")


@dataclass(frozen=True)
class Untrained:
    """A network before training: `depth` layers, its `shortcuts` (`models.resnet`), the factor
    `scaling` on every residual, and its `normaliser`: "batch norm" with the statistics of images,
    or "none": batch norm that hands on what it gets.

    Raises ValueError for another normaliser.
    """

    depth: int
    shortcuts: str = "subsample"
    scaling: float = 1.0
    normaliser: str = "batch norm"

    def __post_init__(self):
        if self.normaliser not in NORMALISERS:
            expected = ", ".join(NORMALISERS)
            raise ValueError(f"normaliser {self.normaliser!r}: expected one of {expected}")

    def build(self, seed: int, data: Dataset, calibration: Split) -> ResidualNetwork:
        """The network with weights drawn from `seed`, in eval mode; statistics, if it has any, are
        those of the images `calibration`, at least 128."""
        settings = {"depth": self.depth, "shortcuts": self.shortcuts}
        sizes = {"in_channels": data.channels, "classes": len(data.classes)}
        network = models.build("resnet", seed, **settings, **sizes).to(find_device()).eval()
        assert isinstance(network, ResidualNetwork)
        network = scale_residuals(network, [self.scaling] * len(network.blocks))
        if self.normaliser == "none":
            return network
        images = data.normalise(calibration.images.to(find_device()))
        return batchnorm.with_statistics_of(network, images)


def start_of_training(
    untrained: Untrained,
    data: Dataset,
    images: Split,
    calibration: Split,
    draws: int,
    seed: int = 0,
    progress: Report | None = None,
) -> dict:
    """The mean path length of the gradient of an untrained network, for `draws` of its weights.

    `images`: whose gradients are taken, as one vector; `seed`: of the first draw, others follow.
    Value: `mean_length`, one a draw; `shares`, one a module, mean over the draws.
    """
    begin, shares = time.monotonic(), []
    on = images.to(find_device())
    for draw in range(draws):
        network = untrained.build(seed + draw, data, calibration)
        found, _ = module_shares(network, data.normalise(on.images), on.labels)
        shares.append(found.cpu())
        (progress or Progress(f"{untrained.depth} layers, untrained"))(draw + 1, draws)
    every = torch.stack(shares)
    return store.row(
        experiment="start_of_training",
        dataset=data.name,
        data_checksum=images.checksum,
        model=f"resnet{untrained.depth}-untrained",
        checkpoint=None,
        config=asdict(untrained)
        | {"model": "resnet", "images": len(on.labels), "n_statistics": len(calibration.labels)},
        seed=seed,
        device=describe(find_device()),
        seconds=time.monotonic() - begin,
        samples=draws,
        value={"mean_length": every.sum(1).tolist(), "shares": every.mean(0).tolist()},
    )
