"""torchvision's ResNet-50 and ResNet-18, product-quantised by Martinez et al. (2021), and 1,300
images of ImageNet's validation set.

The weights fit into 3.8 and 1.7 MB and cost some points of accuracy; the images are an easier
sample.  They serve to compare lesions of one network, not to quote an accuracy.
"""

import io
import tarfile
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import v2

from helpers.network import ResidualNetwork
from helpers.unravel import unravel
from study.data import Split
from study.foreign.files import File, Source, find

SOURCE = Source(
    "imagenet",
    "uber-research/permute-quantize-finetune",
    "53a30bade862769f4f0523e38c4ee1333a2e48b1",
    "non-commercial",
)
WEIGHTS = {
    "resnet18": File(
        SOURCE,
        "compressed_models/resnet18.pth",
        "6b9fc5f66a841ee372a47570a5040ac5616359d374a2fe30d78b6626b0a52fe4",
    ),
    "resnet50": File(
        SOURCE,
        "compressed_models/resnet50_large.pth",
        "f237e2540d8fc39ad0a27b371634fbc7b8131cb9c3bd8409e10355dfa9152258",
    ),
}
IMAGES = File(
    Source(
        "imagenet",
        "VeriSilicon/acuity-dataset",
        "aded2e9f22cd8fe0745aa57356c68cb95457aad9",
        "none stated",
    ),
    "ILSVRC2012_VAL_SET/val-1300.tar",
    "9489a3ec6ed72e3e795f64dc26c0b2e111d376d57a5a7633a4817e85ebddc202",
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load(name: str, folder: Path | None = None) -> ResidualNetwork:
    """ "resnet18" or "resnet50" for images (B, 3, 224, 224), scaled to [0, 1], less `MEAN`, by
    `STD`; in eval mode, unravelled into 8 or 16 modules.

    ValueError for another name, ForeignFileError for missing files (see `files.find`).
    """
    if name not in WEIGHTS:
        raise ValueError(f"name {name!r}: expected one of {', '.join(WEIGHTS)}")
    given = torch.load(find(WEIGHTS[name], folder), map_location="cpu", weights_only=True)
    model = getattr(models, name)(weights=None)
    decode(model, given)
    probe = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return unravel(model.eval(), probe)


@torch.no_grad()
def decode(model: nn.Module, given: dict[str, Tensor]) -> None:
    """Fill the model: a quantised weight is a row of its codebook for each code.

    Batch norm is folded into its weight and bias, so its statistics are 0 and 1, its epsilon 0.
    """
    for name, part in model.named_modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.0
        for key, mine in part.named_parameters(recurse=False):
            place = f"{name}.{key}"
            if place in given:
                mine.copy_(given[place])
            else:
                codes, book = given[f"{name}.codes_matrix"], given[f"{name}.codebook"]
                mine.copy_(book.float()[codes.long()].reshape(mine.shape))


def images(folder: Path | None = None) -> Split:
    """The 1,300 images, cropped in the middle to 224 pixels, uint8 (1300, 3, 224, 224), and their
    classes, 0 to 999.

    They lie in a repository as single files and are not downloaded: put them into a tar file as
    `IMAGES` says, with `dataset.txt` beside them.
    """
    crop = v2.Compose([v2.PILToTensor(), v2.CenterCrop(224)])
    found, labels = [], []
    with tarfile.open(find(IMAGES, folder)) as archive:
        listed = archive.extractfile("dataset.txt").read().decode().split("\n")
        for line in filter(None, listed):
            path, label = line.split(",")
            raw = archive.extractfile(path.removeprefix("./")).read()
            found.append(crop(Image.open(io.BytesIO(raw)).convert("RGB")))
            labels.append(int(label))
    return Split(torch.stack(found), torch.tensor(labels))
