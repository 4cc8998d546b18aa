"""Training steps of ResNet-110."""

from dataclasses import replace
from itertools import count

import torch

from benchmarks import plain
from benchmarks.subject import Subject
from benchmarks.timing import alternately
from study.data import Split
from study.training import loop
from study.training.recipes import TrainConfig

DRAWS = 8


def training_steps(subject: Subject, repeats: int) -> dict[str, dict]:
    """A full step against plain float32; 23 of 54 modules against the full step; augmentation."""
    config = replace(subject.config, active=0, precision="auto")
    n = len(subject.network.blocks)
    part = replace(config, active=round(n * 23 / 54))
    data, functions = subject.dataset, {}
    split = data.train.to(subject.device)
    # Modules differ in cost: several draws of them are timed together.
    for name, settings, steps in (("full", config, 1), ("part", part, DRAWS)):
        functions[name] = ready(settings, subject, split, steps)
    network = loop.new_network(config, data).to(subject.device).train()
    rows = slice(0, config.batch_size)
    x, y, sgd = (
        data.normalise(split.images[rows]),
        split.labels[rows],
        loop.new_optimizer(config, network),
    )
    seconds = alternately(
        repeats,
        plain=lambda: plain.train_step(network, sgd, x, y),
        **functions,
        augmentation=lambda: data.augment(
            data.normalise(split.images[rows]), torch.Generator().manual_seed(0)
        ),
    )
    return {
        "training step": {
            "plain": seconds["plain"], "ours": seconds["full"], "goal": 3.8,
            "note": f"batch {config.batch_size}; plain: float32, its batch ready; ours: "
            "bfloat16 where the hardware has it, batch drawn and augmented within",
        },
        f"training step, {part.active} of {n} modules": {
            "plain": seconds["full"], "ours": seconds["part"] / DRAWS, "goal": 2.2,
            "limit": n / part.active, "note": "plain: our step with all modules",
        },
        "augmentation": {
            "plain": seconds["full"], "ours": seconds["augmentation"], "goal": 50,
            "note": "against our whole step",
        },
    }  # fmt: skip


def ready(config: TrainConfig, subject: Subject, split: Split, steps: int):
    """Our step, each call the next iterations."""
    network = loop.new_network(config, subject.dataset)
    network.to(subject.device, memory_format=torch.channels_last).train()
    sgd, iterations = loop.new_optimizer(config, network), count()
    fixed = config, subject.dataset, split.images, split.labels, network, sgd
    return lambda: [loop.step(*fixed, next(iterations)) for _ in range(steps)]
