"""The book's checkpoints: rounded to half precision, tested, described.

Weights of two and more dimensions are kept in 16 bits; what batch norm measures and learns stays in
32, since it is small and its range is wide.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from helpers import sweep
from helpers.devices import find_device, resolve
from helpers.network import Network
from study.data import Dataset, Split
from study.records import store
from study.training import checkpoints, drift, loop, recipes, resume
from study.training.recipes import TrainConfig

# How far rounding may move the error of so many test images, as a share: a tenth of a point.  Both
# sides are tested in float32: bfloat16 would hide the small change under one of its own.
ROUNDING, ROUNDING_IMAGES = 0.001, 2000


class RoundingError(ArithmeticError):
    """Half precision is not enough for a network."""


def rounded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network as the shelf keeps them."""
    return {name: t.half() if is_wide(t) else t for name, t in tensors.items()}


def is_wide(tensor: Tensor) -> bool:
    """Whether a tensor is a weight that half precision suffices for."""
    return tensor.dim() > 1 and tensor.dtype == torch.float32


def publish(config: TrainConfig, dataset: Dataset, path: Path, shelf: Path) -> dict:
    """Round a finished checkpoint onto the shelf, and return a row of its test error.

    The row's value holds `error`, `wrong` (indices of test images), `modules`, `rounding`, how much
    the error of `ROUNDING_IMAGES` images moved, and how far the weights have come from their random
    start: `decay_sum`, `cosine_with_start`, `gamma_mean` (see `drift`).  What is on the shelf is
    tested as it is.  Raises RoundingError, with nothing written, if a rounded weight is not finite
    or the error moved by more than `ROUNDING`; CheckpointError if the checkpoint is of another run.
    """
    tensors, about = checkpoints.read(path)
    resume.check_run(about, asdict(config), dataset.train.checksum, path)
    is_there = path.resolve().parent == shelf.resolve()
    place = path if is_there else shelf / loop.file_name(config, dataset)
    kept = tensors if is_there else rounded(tensors)
    if not all(torch.isfinite(t).all() for t in kept.values()):
        raise RoundingError(f"{path.name}: half precision cannot hold a weight")
    full, half = (loop.network_of(config, dataset, t, path) for t in (tensors, kept))
    some = dataset.test.first(min(ROUNDING_IMAGES, len(dataset.test.labels)))
    before, after = (len(wrong_images(n, dataset, some, "float32")) for n in (full, half))
    moved = (after - before) / len(some.labels)
    if abs(moved) > ROUNDING:
        raise RoundingError(
            f"{path.name}: half precision moves the test error by {100 * moved:+.2f} points"
        )
    wrong = wrong_images(half, dataset, dataset.test, "auto")
    if not is_there:
        checkpoints.write(place, kept, about)
    trained, start = (loop.new_network(config, dataset) for _ in range(2))
    checkpoints.fill(trained, kept, path)
    return store.row(
        dataset=dataset.name,
        model=config.label,
        checkpoint=checkpoints.weights_digest(kept),
        # The seconds below were spent where the network was trained.
        device=about["device"],
        experiment="training",
        data_checksum=dataset.test.checksum,
        config=asdict(config) | {"test_precision": resolve(find_device(), "auto")},
        seed=config.seed,
        seconds=about["seconds"],
        samples=len(dataset.test.labels),
        value={
            "error": len(wrong) / len(dataset.test.labels),
            "wrong": wrong,
            "modules": len(trained.blocks),
            "rounding": moved,
            "decay_sum": recipes.decay_of(config),
            "cosine_with_start": drift.cosine_with_start(trained, start),
            "gamma_mean": drift.gamma_means(trained),
        },
    )


def wrong_images(network: Network, dataset: Dataset, split: Split, precision: str) -> list[int]:
    """The indices of the images of a split that a network gets wrong."""
    images = dataset.normalise(split.to(find_device()).images)
    (predicted,) = sweep.predictions([network], images, precision=precision)
    return (predicted != split.labels.cpu()).nonzero().flatten().tolist()


def card(rows: list[dict], shelf: Path) -> str:
    """The model card of the checkpoints in a folder, Markdown, from their files and `rows`."""
    lines = [
        "# The checkpoints of this book",
        "",
        "Networks trained on CIFAR-10 by `python -m study.reference`, for the experiments of",
        "this book and for nothing else: they are small, short of the state of the art, and know",
        "ten classes of 32 x 32 pixel images. Those named after digits are smaller still, and are",
        "those of the live results; without them the chapters train their own.",
        "",
        "Convolutions and classifiers are stored in 16 bits unless the table says otherwise, batch",
        "norm in 32. Test errors are those of the stored weights, on all test images.",
        "",
        "| file | recipe | test error | moved by rounding | trained on | weights, SHA-256 |",
        "|---|---|---|---|---|---|",
    ]
    by_digest = {r["checkpoint"]: r for r in rows if r["experiment"] == "training"}
    for path in sorted(shelf.glob("*.safetensors")):
        tensors, about = checkpoints.read(path)
        digest, config = checkpoints.weights_digest(tensors), about["config"]
        row = by_digest.get(digest)
        error = f"{100 * row['value']['error']:.2f}%" if row else "not recorded"
        moved = f"{100 * row['value']['rounding']:+.2f} pt" if row else ""
        if any(is_wide(tensor) for tensor in tensors.values()):
            moved = "not rounded"
        lines.append(
            f"| `{path.name}` | {config['recipe']}, {config['iterations']:,} iterations | {error} "
            f"| {moved} | {about['device']}, {about['seconds'] / 60:.0f} min | `{digest[:16]}` |"
        )
    return "\n".join(lines) + "\n"
