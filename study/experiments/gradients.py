"""Experiments with the gradient of paths: exact, sampled and signed (Section 5; Figure 6).

`images` are training images as they are, without crops.  Gradients are taken at the first module's
input or, with `at_image`, at the image.  `seed` is the one that the images were drawn by; sampled
paths and signs are drawn by it too.
"""

import numpy as np
import torch

from helpers import combinatorics
from helpers import gradients as engine
from helpers.by_module import module_products
from helpers.signed import mean_squares
from study.data import Split
from study.experiments import shares
from study.experiments.subject import Measurement, Report, Subject, generator
from study.progress import Progress


def by_length(
    subject: Subject,
    images: Split,
    seed: int,
    at_image: bool = False,
    batch_statistics: bool = False,
    progress: Report | None = None,
) -> dict:
    """The gradient of all paths of each length together, exactly.

    Value, from length 0 to n: `norms`, mean over the images; `squares`, mean of the squared norms;
    `shares`, of the gradient of all images, which add up to 1, and `by_image`, the mean of each
    image's own; `intervals` and `by_image_intervals` of both, 95%, over images.  With
    `batch_statistics` batch norm takes those of the images, as in training, and each image's
    gradient depends on the others.
    """
    measurement, network = Measurement(subject, "by_length", images, seed), subject.residual
    network.train(batch_statistics)
    try:
        found = engine.by_length(
            network, *subject.ready(images), at_image=at_image,
            progress=progress or Progress("exact, by length"),
        )  # fmt: skip
    finally:
        network.eval()
    norms = engine.norms(found, found.dim() - 2)
    value = {"norms": norms.mean(1).tolist(), "squares": (norms**2).mean(1).tolist()}
    products = engine.products(found)
    value |= shares.told(products, products.sum(0), generator(seed))
    settings = {"batch_statistics": True} if batch_statistics else {}
    return measurement.row(
        value,
        samples=len(images.labels),
        at_image=at_image,
        images=len(images.labels),
        **settings,
    )


def by_module(
    subject: Subject,
    images: Split,
    seed: int,
    at_image: bool = False,
    progress: Report | None = None,
) -> dict:
    """The gradient of all paths that enter each module, exactly.

    Value, one a module: `shares`, `by_image` and their intervals, as in `by_length`.  The shares of
    all modules add up to the mean path length.
    """
    measurement = Measurement(subject, "by_module", images, seed)
    products, squares = module_products(
        subject.residual, *subject.ready(images), at_image=at_image,
        progress=progress or Progress("exact, by module"),
    )  # fmt: skip
    return measurement.row(
        shares.told(products, squares, generator(seed)),
        samples=len(images.labels),
        at_image=at_image,
        images=len(images.labels),
    )


def sampled_norms(
    subject: Subject,
    images: Split,
    samples: int,
    seed: int,
    at_image: bool = False,
    progress: Report | None = None,
) -> dict:
    """The paper's measurement: norms of gradients along random paths of each length, 1 to n.

    Value: `lengths`; `mean`, `p10`, `p50` and `p90` over the `samples` of a length; `modules`, n.
    """
    measurement, n = (
        Measurement(subject, "sampled_norms", images, seed),
        len(subject.network.blocks),
    )
    lengths = list(range(1, n + 1))
    norms = engine.sampled_norms(
        subject.residual, *subject.ready(images), lengths, samples, generator(seed),
        at_image=at_image, progress=progress or Progress("sampled paths"),
    ).numpy()  # fmt: skip
    quantiles = np.quantile(norms, (0.1, 0.5, 0.9), axis=1).tolist()
    value = {"lengths": lengths, "mean": norms.mean(1).tolist(), "modules": n}
    return measurement.row(
        value | dict(zip(("p10", "p50", "p90"), quantiles, strict=True)),
        samples=samples,
        at_image=at_image,
        images=len(images.labels),
    )


def signed_norms(
    subject: Subject,
    images: Split,
    draws: int,
    seed: int,
    at_image: bool = False,
    progress: Report | None = None,
) -> dict:
    """Squared norms of all paths of a length, from passes with random signs.

    Value, from length 0 to n: `sum_of_squares`, over the paths of a length, mean over the images;
    `error`, its standard error; `rms`, the root mean square norm of one path.
    """
    measurement, n = Measurement(subject, "signed_norms", images, seed), len(subject.network.blocks)
    squares, error = mean_squares(
        subject.residual, *subject.ready(images), draws, generator(seed),
        at_image=at_image, progress=progress or Progress("signed passes"),
    )  # fmt: skip
    counts = torch.tensor(
        [float(c) for c in combinatorics.counts_by_length(n)], dtype=torch.float64
    )
    value = {"sum_of_squares": squares, "error": error, "rms": (squares / counts).sqrt()}
    return measurement.row(
        {name: tensor.tolist() for name, tensor in value.items()},
        samples=draws * len(images.labels),
        at_image=at_image,
        images=len(images.labels),
    )
