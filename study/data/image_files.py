"""CIFAR-10's files, in both layouts, read into tensors and checked."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

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


def read_cifar10(root: Path, split: str) -> tuple[Tensor, Tensor]:
    """The "train" or "test" split of CIFAR-10 under `root`: images, uint8 (N, 3, 32, 32), and
    labels, int64 (N,).  DataError for missing or damaged files."""
    binary = root / "cifar-10-batches-bin"
    if not binary.is_dir():
        return _read_pickled(root, split)
    files = CIFAR10_TEST if split == "test" else CIFAR10_TRAIN
    records = np.concatenate([_read_binary(binary / f, sha1) for f, sha1 in files.items()])
    images = torch.from_numpy(records[:, 1:]).reshape(-1, 3, 32, 32)
    return images, torch.from_numpy(records[:, 0]).long()


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


def _read_pickled(root: Path, split: str) -> tuple[Tensor, Tensor]:
    """torchvision's layout; the MD5 sums are torchvision's own."""
    cifar = datasets.CIFAR10
    # torchvision asks for all of them, whichever split is read.
    meta = (cifar.meta["filename"], cifar.meta["md5"])
    for name, md5 in [*cifar.train_list, *cifar.test_list, meta]:
        path = root / cifar.base_folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing: delete its folder to download CIFAR-10 again")
        found = hashlib.md5(path.read_bytes()).hexdigest()
        if found != md5:
            raise DataError(f"{path} has MD5 {found}, not {md5}: it is damaged, fetch it again")
    data = cifar(root, train=split == "train")
    return torch.from_numpy(data.data).permute(0, 3, 1, 2), torch.tensor(data.targets)


def find_cifar10(root: Path) -> None:
    """See that CIFAR-10 is under `root` in one of its layouts, or download it; DataError if not.

    The download is torchvision's, with its progress bar, moved into place only when it is whole.
    """
    if any((root / f"cifar-10-batches-{layout}").is_dir() for layout in ("bin", "py")):
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as part:
            datasets.CIFAR10(part, download=True)
            shutil.move(Path(part) / datasets.CIFAR10.base_folder, root)
    except (OSError, RuntimeError) as problem:
        raise DataError(
            f"CIFAR-10 is not under {root} and could not be downloaded ({problem}): set DATA_DIR "
            "to a folder that holds cifar-10-batches-bin or cifar-10-batches-py"
        ) from None  # A page of errors of the connection would bury this one.
