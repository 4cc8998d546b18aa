"""Experiments with the course of a training run: the gradient of paths at several times of it.

In test mode batch norm uses running statistics, which in the first iterations have not arrived at
what the weights make of the images.  So both experiments measure them anew for each set of weights,
on `calibration` images (at least 128), which are not those whose gradients are taken.
"""

import torch
from torch.nn import functional as F

from helpers import batchnorm, gradients
from helpers.network import ResidualNetwork
from study.data import Split
from study.experiments.subject import Measurement, Report, Subject
from study.progress import Progress
from study.training import loop


def dynamics(
    subject: Subject,
    times: list[int],
    images: Split,
    calibration: Split,
    seed: int,
    progress: Report | None = None,
) -> dict:
    """The exact share of the gradient by path length after each of `times` iterations of a run.

    The weights of these times lie beside the checkpoint (`loop.train`, `keep`).  Value:
    `iterations`; for each, from length 0 to n, `shares` and `norms` (mean over the images); `loss`,
    the mean cross-entropy; `gamma`, the mean magnitude of batch norm's scales, which begin at 1.
    """
    measurement = Measurement(subject, "dynamics", images, seed)
    others, _ = subject.ready(calibration)
    value: dict[str, list] = {name: [] for name in ("shares", "norms", "loss", "gamma")}
    for time in times:
        kept = subject.at(loop.snapshot(subject.path, time)).residual
        network = batchnorm.with_statistics_of(kept, others)
        x, labels = subject.ready(images)
        with torch.inference_mode():
            value["loss"].append(F.cross_entropy(network(x), labels).item())
        found = gradients.by_length(
            network, x, labels, progress=progress or Progress(f"iteration {time}, exact, by length")
        )
        value["shares"].append(gradients.shares(found).tolist())
        value["norms"].append(gradients.norms(found).mean(1).tolist())
        scales = torch.cat([norm.weight.detach() for norm in batchnorm.norms(network)])
        value["gamma"].append(scales.abs().double().mean().item())
    return measurement.row({"iterations": times} | value, **about(images, calibration))


def scaling(
    subject: Subject,
    images: Split,
    calibration: Split,
    seed: int,
    progress: Report | None = None,
) -> dict:
    """The mean path length with batch norm's scales exchanged between a run's start and its end.

    Value, each a mean length and under `shares` its exact shares: `start` and `end` of the run;
    `scales_only`, the first weights with the last scales; `weights_only`, the other way round; and
    as a control `stem_only`, the first weights with the last stem.
    """
    measurement = Measurement(subject, "scaling", images, seed)
    last, (others, _) = subject.residual, subject.ready(calibration)
    first = subject.at(loop.snapshot(subject.path, 0)).residual
    networks = {
        "start": first,
        "end": last,
        "scales_only": batchnorm.with_scales_of(first, last),
        "weights_only": batchnorm.with_scales_of(last, first),
        "stem_only": ResidualNetwork(last.stem, list(first.blocks), first.head),
    }
    shares = {}
    for name, network in networks.items():
        found = gradients.by_length(
            batchnorm.with_statistics_of(network, others), *subject.ready(images),
            progress=progress or Progress(name),
        )  # fmt: skip
        shares[name] = gradients.shares(found).tolist()
    means = {name: sum(k * s for k, s in enumerate(each)) for name, each in shares.items()}
    return measurement.row(means | {"shares": shares}, **about(images, calibration))


def about(images: Split, calibration: Split) -> dict[str, int]:
    """On how many images a row rests."""
    few = len(images.labels)
    return {"samples": few, "images": few, "n_statistics": len(calibration.labels)}
