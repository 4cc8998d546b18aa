"""Experiments with whole networks: test error, scaling at test time, gates of a highway network."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from helpers import batchnorm, sweep
from helpers.network import Network
from study.data import Split
from study.experiments.lesions import precision_of
from study.experiments.subject import Measurement, Subject
from study.training import checkpoints, loop, recipes
from study.training.recipes import TrainConfig


def training(subject: Subject, test: Split, precision: str = "auto") -> dict:
    """The test error of a trained network; the row's seconds are those that its training took.

    Value: `error`; `wrong`, the indices of the images it gets wrong; `modules`, how many it has.
    """
    measurement = Measurement(subject, "training", test, subject.config.seed)
    images, labels = subject.ready(test)
    (predicted,) = sweep.predictions([subject.network], images, precision=precision)
    wrong = (predicted != labels.cpu()).nonzero().flatten().tolist()
    value = {"error": len(wrong) / len(labels), "wrong": wrong}
    row = measurement.row(
        value | {"modules": len(subject.network.blocks)},
        samples=len(labels),
        **precision_of(subject, precision),
    )
    return row | {"seconds": checkpoints.read(subject.path)[1]["seconds"]}


def test_time(subject: Subject, test: Split, calibration: Split, precision: str = "auto") -> dict:
    """The error of a network trained on a part of its modules, tested in four ways.

    Value: the error with residuals `scaled` by the part of the steps in which they were active,
    and `unscaled`; each also with `new statistics` for batch norm, those of the `calibration`
    images (at least 128) with all modules active.
    """
    measurement = Measurement(subject, "test_time", test, subject.config.seed)
    all_active = replace(subject.config, active=0, survival=1.0)
    unscaled = loop.load(all_active, subject.data, subject.path)
    (images, labels), (others, _) = subject.ready(test), subject.ready(calibration)
    value = {}
    for name, network in {"scaled": subject.network, "unscaled": unscaled}.items():
        anew = batchnorm.with_statistics_of(network, others)
        for way, variant in {name: network, f"{name}, new statistics": anew}.items():
            (value[way],) = sweep.errors([variant], images, labels, precision=precision)
    return measurement.row(
        value,
        samples=len(labels),
        n_statistics=len(calibration.labels),
        **precision_of(subject, precision),
    )


def gates(subject: Subject, test: Split) -> dict:
    """How far the gates of a highway network are open (Section 6).

    Value, one a module: `mean`, `p10` and `p90` over images, channels and places; and `start`, the
    mean before training.
    """
    measurement = Measurement(subject, "gates", test, subject.config.seed)
    images, _ = subject.ready(test)
    untrained = loop.new_network(subject.config, subject.data).to(images)
    # Their weights begin at zero: before training a gate is the same for every image.
    start = float(np.mean(sweep.gates(untrained, images[:1])["mean"]))
    value = sweep.gates(subject.network, images) | {"start": start}
    return measurement.row(value, samples=len(test.labels))


def gate_without_loss(config: TrainConfig, start: float) -> float:
    """Where weight decay alone takes a gate that begins at `start`, in a run without a loss."""
    gate = Network(nn.Identity(), [nn.Linear(1, 1, bias=False)], nn.Identity())
    (bias,) = gate.parameters()
    nn.init.constant_(bias, math.log(start / (1 - start)))
    optimizer = loop.new_optimizer(config, gate)
    for iteration in range(config.iterations):
        optimizer.param_groups[0]["lr"] = recipes.learning_rate(config, iteration)
        bias.grad = torch.zeros_like(bias)
        optimizer.step()
    return bias.sigmoid().item()
