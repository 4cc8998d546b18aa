"""Pre-activation ResNets for CIFAR-10 by S. J. Mikler: the paper's kind of network, trained by the
paper's own 64,000 iterations, with 1x1 projections and biases in the convolutions."""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from helpers.models import cifar_shapes
from helpers.network import ResidualModule, ResidualNetwork
from study.foreign import tensor_bundle
from study.foreign.files import File, Source, find

SOURCE = Source(
    "cifar10-preact", "sjmikler/resnets", "682ec3aeebfa43046ca362cba76a510e67c18e54", "MIT"
)
DEPTHS = (20, 32, 44, 56)
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
# Of the index, then of the two files of data.
SHA256 = {
    20: (
        "33c9407738c3e14937a7798cbec0cebfe1f74a634c50b07065475734d926b52c",
        "d05f4e59e475100b9ce803bc9f2ee8863449e6bf04282daad4729e2bb214050f",
        "eafd68c14e7e5b4dd47b1cf5e51aca040580bdd70b19876436b835da949b5be9",
    ),
    32: (
        "0eafaacaa4e58085e54a494f5db7aa7720e49d01aea5fa465acb70b53037ee5d",
        "1705b6cc62228d1fb2368914679b5c369bdc0ea7ce656a557fcb7555ee6b64ed",
        "18bf669e07be01bc7979113d1c52d353896518dc5c7cb75644ce72b1ec72ae42",
    ),
    44: (
        "bc47391567d26e50637f50724d2d017731b309c2c4868d1a03ae999d8dc419a7",
        "b5ed9cc26f80f334fd274648a708e742245ce9cac26a8be26453593e37ac71a8",
        "760844a94822d5ba223331009e6978fc747d666475c644a0a4b95cc850b3c115",
    ),
    56: (
        "fabbf63c72efafb15b0ff8e23c18860ca874ecccfd18d8047df32f1fa5a370f6",
        "174163fde66fab4a85d825aeaa65fbd44f406181fb98bf4e5b1e453a6c21346e",
        "0f2f6d86151391f988fd44cb1594c1767165deca89c14743b0ff862a54e9d19d",
    ),
}
ENDINGS = ("index", "data-00000-of-00002", "data-00001-of-00002")


def load(depth: int, folder: Path | None = None) -> ResidualNetwork:
    """The network of `depth` layers, (depth - 2) / 6 modules a stage, in eval mode.

    Takes images (B, 3, 32, 32), scaled to [0, 1], less `MEAN`, by `STD`.  `folder`: see
    `files.find`.  ValueError for a depth that there is not, ForeignFileError for missing files.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth {depth}: expected one of {', '.join(map(str, DEPTHS))}")
    prefix = f"saved_models/cifar_resnet{depth}_preactivated.tf"
    sums = zip(ENDINGS, SHA256[depth], strict=True)
    index, *_ = [find(File(SOURCE, f"{prefix}.{end}", sha256), folder) for end, sha256 in sums]
    network = build(depth)
    fill(network, tensor_bundle.read(index.with_suffix("")))
    return network.eval()


def build(depth: int) -> ResidualNetwork:
    """The architecture, with random weights."""
    blocks = []
    for i, (c_in, c_out, stride) in enumerate(cifar_shapes(depth)):
        convolutions = [same(c_in, c_out, stride), same(c_out, c_out, 1)]
        # The stem ends in batch norm and ReLU: the first module has none in front.
        before = [] if i == 0 else [norm(c_in), nn.ReLU()]
        residual = nn.Sequential(
            *before, *convolutions[0], norm(c_out), nn.ReLU(), *convolutions[1]
        )
        skip = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1, stride)
        blocks.append(ResidualModule(skip, residual))
    stem = nn.Sequential(*same(3, 16, 1), norm(16), nn.ReLU())
    head = [norm(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return ResidualNetwork(stem, blocks, nn.Sequential(*head))


def same(c_in: int, c_out: int, stride: int) -> list[nn.Module]:
    """A 3x3 convolution with Keras' padding "same": at stride 2 all of it lies behind."""
    if stride == 1:
        return [nn.Conv2d(c_in, c_out, 3, padding=1)]
    return [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(c_in, c_out, 3, stride)]


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with Keras' epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3)


def layers(network: ResidualNetwork) -> list[nn.Module]:
    """The layers with weights in the order in which Keras numbers them: a projection comes before
    the last convolution of its module."""
    found = [part for part in network.stem if has_weights(part)]
    for block in network.blocks:
        *most, last = [part for part in block.residual if has_weights(part)]
        found += [*most, *([block.skip] if has_weights(block.skip) else []), last]
    return found + [part for part in network.head if has_weights(part)]


def has_weights(part: nn.Module) -> bool:
    """Whether a layer has parameters of its own."""
    return any(True for _ in part.parameters(recurse=False))


@torch.no_grad()
def fill(network: ResidualNetwork, tensors: dict[str, np.ndarray]) -> None:
    """Copy the tensors of a bundle into the network; BundleError if they are of another one."""
    named: dict[int, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        if found := re.fullmatch(r"layer_with_weights-(\d+)/(\w+)/.ATTRIBUTES/.*", name):
            named.setdefault(int(found[1]), {})[found[2]] = tensor
    wanted = layers(network)
    if sorted(named) != list(range(len(wanted))):
        raise tensor_bundle.BundleError(f"{len(named)} layers: expected {len(wanted)}")
    for number, layer in enumerate(wanted):
        given = named[number]
        if isinstance(layer, nn.BatchNorm2d):
            pairs = [
                (layer.weight, "gamma"),
                (layer.bias, "beta"),
                (layer.running_mean, "moving_mean"),
                (layer.running_var, "moving_variance"),
            ]
        else:
            pairs = [(layer.weight, "kernel"), (layer.bias, "bias")]
        for mine, key in pairs:
            copy(mine, torch.from_numpy(given[key].copy()), number)


def copy(mine: Tensor, given: Tensor, number: int) -> None:
    """Copy a tensor whose outputs come last, as Keras has them."""
    given = (
        given.permute(3, 2, 0, 1) if given.dim() == 4 else given.T if given.dim() == 2 else given
    )
    if mine.shape != given.shape:
        raise tensor_bundle.BundleError(
            f"layer {number} is {tuple(given.shape)} there, {tuple(mine.shape)} in this network"
        )
    mine.copy_(given)
