"""Image data sets as tensors: `digits` (embedded), `cifar10`, `folder:PATH`."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from study.data import folders
from study.data.image_files import DataError, find_cifar10, read_cifar10
from study.places import ROOT


@dataclass(frozen=True)
class Split:
    """Images, uint8 (N, C, H, W), and their labels, int64 (N,)."""

    images: Tensor
    labels: Tensor

    def first(self, n: int) -> "Split":
        """The first n images; ValueError if there are fewer."""
        if not 1 <= n <= len(self.labels):
            raise ValueError(f"{n} images: expected 1 to {len(self.labels)}, all there are")
        return Split(self.images[:n], self.labels[:n])

    def to(self, device: torch.device | str) -> "Split":
        """The same split on a device."""
        return Split(self.images.to(device), self.labels.to(device))

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of every pixel and label."""
        digest = hashlib.sha256(self.images.cpu().numpy().tobytes())
        digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()


class Dataset:
    """A named pair of splits, read when first used.

    `pad` (pixels) and `flip` say how `augment` may change a training image; `mean` and `std` are
    per channel, of pixels scaled to [0, 1].
    """

    def __init__(
        self,
        name: str,
        classes: list[str],
        pad: int,
        flip: bool,
        read: Callable[[str], Split],
        statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    ):
        self.name, self.classes, self.pad, self.flip = name, classes, pad, flip
        self._read, self._statistics = read, statistics

    @cached_property
    def train(self) -> Split:
        """The training images."""
        return self._read("train")

    @cached_property
    def test(self) -> Split:
        """The test images."""
        return self._read("test")

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.test.images.shape[1]

    @cached_property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the training images."""
        if self._statistics:
            return self._statistics
        pixels = self.train.images.transpose(0, 1).flatten(1)
        counts = torch.stack([channel.bincount(minlength=256) for channel in pixels]).double()
        values = torch.arange(256, dtype=torch.float64) / 255
        mean = (counts @ values) / counts.sum(1)
        variance = (counts @ values**2) / counts.sum(1) - mean**2
        return tuple(mean.tolist()), tuple(variance.sqrt().tolist())

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) to float32 with mean 0 and variance 1 a channel, channels last."""
        mean, std = (images.new_tensor(s, dtype=torch.float32) for s in self.statistics)
        x = (images.float() / 255 - mean[:, None, None]) / std[:, None, None]
        return x.contiguous(memory_format=torch.channels_last)

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Random crop after padding with zeros, and mirror image; float (B, C, H, W), same shape.

        The draws come from `generator` (on the CPU), so the same generator state gives the same
        crops on every device.
        """
        batch, _, height, width = x.shape
        span = 2 * self.pad + 1
        top, left = torch.randint(span, (2, batch, 1), generator=generator)
        mirror = torch.randint(2 if self.flip else 1, (batch, 1), generator=generator)
        rows = top + torch.arange(height)
        columns = torch.arange(width).expand(batch, width)
        columns = left + torch.where(mirror.bool(), columns.flip(1), columns)
        image = torch.arange(batch)[:, None, None].to(x.device)
        padded = F.pad(x, (self.pad,) * 4)
        # Advanced indices around a slice put the channels last: (B, H, W, C).
        crops = padded[image, :, rows[:, :, None].to(x.device), columns[:, None].to(x.device)]
        return crops.permute(0, 3, 1, 2)


def load(name: str, data_dir: str | Path | None = None, image_size: int = 224) -> Dataset:
    """The data set called `name`: "digits", "cifar10" or "folder:PATH".

    "cifar10-tuning" is for choosing settings without a look at the test images: it trains on the
    first 45,000 of CIFAR-10's training images and tests on the last 5,000.

    `data_dir` is where CIFAR-10 lies or is to be put (default: $DATA_DIR, else data/ at the root);
    `image_size` is the side, in pixels, that a folder's images are cropped to.  Raises ValueError
    for another name, DataError for missing or damaged files.
    """
    if name == "digits":
        return _digits()
    if name in ("cifar10", "cifar10-tuning"):
        root = Path(data_dir or os.environ.get("DATA_DIR") or ROOT / "data")
        return _cifar10(root, name)
    if name.startswith("folder:"):
        return _folder(Path(name.removeprefix("folder:")).expanduser(), image_size)
    raise ValueError(f"dataset {name!r}: expected 'digits', 'cifar10' or 'folder:PATH'")


def _digits() -> Dataset:
    """1,797 handwritten digits of 8x8 pixels from scikit-learn, enlarged to 16x16; every fifth
    image is for the test."""
    from sklearn.datasets import load_digits  # Only here: training elsewhere must not need it.

    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
    images = F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    images = images.round().to(torch.uint8)
    labels = torch.from_numpy(digits.target).long()
    is_test = torch.arange(len(labels)) % 5 == 0

    def read(split: str) -> Split:
        chosen = is_test if split == "test" else ~is_test
        return Split(images[chosen], labels[chosen])

    return Dataset("digits", [str(d) for d in range(10)], pad=2, flip=False, read=read)


def _cifar10(root: Path, name: str) -> Dataset:
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    find_cifar10(root)

    def read(split: str) -> Split:
        return Split(*read_cifar10(root, split))

    def read_tuning(split: str) -> Split:
        kept = slice(45_000, None) if split == "test" else slice(45_000)
        images, labels = read_cifar10(root, "train")
        return Split(images[kept], labels[kept])

    reader = read_tuning if name == "cifar10-tuning" else read
    return Dataset(name, names, pad=4, flip=True, read=reader)


def _folder(root: Path, image_size: int) -> Dataset:
    """An ImageFolder, with the scaling that is customary for ImageNet."""
    places = folders.splits(root)
    classes = folders.classes(root, places)

    def read(split: str) -> Split:
        if split not in places:
            raise DataError(f"{root}: expected the folder train/ in it, there is none to train on")
        return Split(*folders.read(places[split], classes, image_size))

    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return Dataset(f"folder:{root.name}", classes, image_size // 8, True, read, imagenet)
