"""Image data sets as tensors: `digits` (embedded), `cifar10`, `folder:PATH`."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import datasets

ROOT = Path(__file__).resolve().parent.parent

# SHA-1 of the official binary files of CIFAR-10 (one label byte, 3,072 pixel bytes a record).
CIFAR10_TRAIN = {
    "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
}
CIFAR10_TEST = {"test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c"}
CIFAR10_BYTES = 10_000 * 3_073


class DataError(RuntimeError):
    """Data that is missing, damaged or not what its name says."""


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

    `data_dir` is where CIFAR-10 lies or is to be put (default: $DATA_DIR, else data/ at the root);
    `image_size` is the side, in pixels, that a folder's images are cropped to.  Raises ValueError
    for another name, DataError for missing or damaged files.
    """
    if name == "digits":
        return _digits()
    if name == "cifar10":
        return _cifar10(Path(data_dir or os.environ.get("DATA_DIR") or ROOT / "data"))
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


def _cifar10(root: Path) -> Dataset:
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    binary, pickled = root / "cifar-10-batches-bin", root / "cifar-10-batches-py"
    if not binary.is_dir() and not pickled.is_dir():
        _download_cifar10(root)

    def read(split: str) -> Split:
        if not binary.is_dir():
            return _read_pickled(root, split)
        files = CIFAR10_TEST if split == "test" else CIFAR10_TRAIN
        records = np.concatenate([_read_binary(binary / f, sha1) for f, sha1 in files.items()])
        images = torch.from_numpy(records[:, 1:]).reshape(-1, 3, 32, 32)
        return Split(images, torch.from_numpy(records[:, 0]).long())

    return Dataset("cifar10", names, pad=4, flip=True, read=read)


def _read_binary(path: Path, sha1: str) -> np.ndarray:
    """The records of one official binary file, uint8 (10000, 3073)."""
    if not path.is_file():
        raise DataError(f"{path} is missing: unpack the official CIFAR-10 binary version there")
    raw = path.read_bytes()
    if len(raw) != CIFAR10_BYTES:
        raise DataError(f"{path} has {len(raw)} bytes, not {CIFAR10_BYTES}: fetch it again")
    found = hashlib.sha1(raw).hexdigest()
    if found != sha1:
        raise DataError(f"{path} has SHA-1 {found}, not {sha1}: it is damaged, fetch it again")
    return np.frombuffer(raw, np.uint8).reshape(-1, 3073).copy()


def _read_pickled(root: Path, split: str) -> Split:
    """torchvision's layout; the MD5 sums are torchvision's own."""
    cifar = datasets.CIFAR10
    for name, md5 in cifar.test_list if split == "test" else cifar.train_list:
        path = root / cifar.base_folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing: delete its folder to download CIFAR-10 again")
        found = hashlib.md5(path.read_bytes()).hexdigest()
        if found != md5:
            raise DataError(f"{path} has MD5 {found}, not {md5}: it is damaged, fetch it again")
    data = cifar(root, train=split == "train")
    return Split(torch.from_numpy(data.data).permute(0, 3, 1, 2), torch.tensor(data.targets))


def _download_cifar10(root: Path) -> None:
    """torchvision's download, with its progress bar; moved into place only when it is whole."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as part:
            datasets.CIFAR10(part, download=True)
            shutil.move(Path(part) / datasets.CIFAR10.base_folder, root)
    except (OSError, RuntimeError) as problem:
        raise DataError(
            f"CIFAR-10 is not under {root} and could not be downloaded ({problem}): set DATA_DIR "
            "to a folder that holds cifar-10-batches-bin or cifar-10-batches-py"
        ) from problem


def _folder(root: Path, image_size: int) -> Dataset:
    """An ImageFolder: train/ and test/ (or val/), a folder a class; ImageNet's preprocessing."""
    from torchvision.transforms import v2

    test = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if test is None or not (root / "train").is_dir():
        raise DataError(f"{root}: expected the folders train/ and test/ (or val/) in it")
    crop = v2.Compose([v2.PILToTensor(), v2.Resize(image_size * 8 // 7), v2.CenterCrop(image_size)])
    try:
        classes = datasets.ImageFolder(test).classes
    except FileNotFoundError as problem:
        raise DataError(f"{test}: expected a folder of images for each class") from problem

    def read(split: str) -> Split:
        files = datasets.ImageFolder(test if split == "test" else root / "train", crop)
        if files.classes != classes:
            raise DataError(f"{root}: train/ and {test.name}/ do not hold the same classes")
        images, labels = zip(*files, strict=True)
        return Split(torch.stack(images), torch.tensor(labels))

    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return Dataset(f"folder:{root.name}", classes, image_size // 8, True, read, imagenet)
