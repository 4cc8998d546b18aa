"""Images of your own: a folder for each split, in it a folder for each class."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset
from torchvision.transforms import v2

from study.data.image_files import DataError

CLASSES = "classes.txt"


def splits(root: Path) -> dict[str, Path]:
    """Where the splits of an image folder lie: "test" is test/ or val/, "train", if it is there, is
    train/.  DataError unless there is something to test on."""
    test = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if test is None:
        raise DataError(f"{root}: expected the folders train/ and test/ (or val/) in it")
    train = root / "train"
    return {"train": train, "test": test} if train.is_dir() else {"test": test}


def classes(root: Path, places: dict[str, Path]) -> list[str]:
    """The names of the classes, in the order of their labels.

    They are the lines of classes.txt, if `root` holds it; else the folders of train/, sorted.
    Without either those of the test are taken, with a warning: nobody can tell whether they are all
    the classes of a network that was trained elsewhere.  DataError if a split holds a folder that
    is no class, or, without classes.txt, does not hold all.
    """
    listed = root / CLASSES
    if listed.is_file():
        names = [line.strip() for line in listed.read_text(encoding="utf8").splitlines()]
        names = [name for name in names if name]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DataError(f"{listed} holds {twice[0]!r} twice: expected each class once")
    else:
        names = _folders(places.get("train", places["test"]))
    for place in places.values():
        there = _folders(place)
        unknown, lacking = sorted(set(there) - set(names)), sorted(set(names) - set(there))
        if unknown or (lacking and not listed.is_file()):
            told = listed if listed.is_file() else "train/"
            wrong = f"too many: {', '.join(unknown) or '-'}; lacking: {', '.join(lacking) or '-'}"
            raise DataError(
                f"{place} does not hold the classes of {told} ({wrong}): list all of them, one a "
                f"line, in the order of their labels, in {listed}"
            )
    if "train" not in places and not listed.is_file():
        warnings.warn(
            f"{root}: neither train/ nor {CLASSES}, so the {len(names)} folders of "
            f"{places['test'].name}/ are numbered as they are; a network that was trained on other "
            f"classes would be tested wrongly. List its classes in {listed}",
            stacklevel=2,
        )
    return names


def _folders(place: Path) -> list[str]:
    """The folders in one split, sorted; DataError if there are none."""
    found = [p.name for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")]
    if not found:
        raise DataError(f"{place}: expected a folder of images for each class")
    return sorted(found)


def read(place: Path, classes: list[str], image_size: int) -> tuple[Tensor, Tensor]:
    """The images of one split, resized and cropped in the middle to `image_size` pixels, uint8
    (N, 3, H, W), and labels, int64 (N,).

    DataError, naming the file, for an image that cannot be read or would lose something on the way
    to 8 bits; naming the folder, for a class without images.
    """
    crop = v2.Compose([v2.PILToTensor(), v2.Resize(image_size * 8 // 7), v2.CenterCrop(image_size)])
    numbers = {name: label for label, name in enumerate(classes)}
    samples = make_dataset(place, numbers, extensions=IMG_EXTENSIONS, allow_empty=True)
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
    for name in _folders(place):
        if not (labels == numbers[name]).any():
            known = ", ".join(IMG_EXTENSIONS)
            raise DataError(f"{place / name}: expected images in it ({known}), there are none")
    return torch.stack([crop(open_image(Path(path))) for path, _ in samples]), labels


def open_image(path: Path) -> Image.Image:
    """An image of three colours, 8 bits each.

    Of 16 bits of grey the upper 8 are kept, rounded.  DataError for a file that is no image, for
    numbers without a known range, and for transparent pixels, which have no colour.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I;16"):
                levels = np.asarray(image).astype(np.float64)
                return Image.fromarray(np.rint(levels / 257).astype(np.uint8)).convert("RGB")
            if image.mode in ("I", "F"):
                raise DataError(
                    f"{path} holds numbers of 32 bits, and nothing says which of them is white: "
                    "save it with 8 or 16 bits"
                )
            if (
                image.has_transparency_data
                and np.asarray(image.convert("RGBA"))[..., 3].min() < 255
            ):
                raise DataError(
                    f"{path} has transparent pixels: save it on a background of your choice"
                )
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise DataError(f"{path} is no image that can be read ({problem})") from problem
