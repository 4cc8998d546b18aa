"""Post-activation ResNets for CIFAR-10 by Y. Idelbayev: 200 epochs, parameter-free shortcuts."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.models import cifar_shapes, conv3x3
from helpers.network import ResidualModule, ResidualNetwork
from study.foreign.files import File, Source, find

SOURCE = Source(
    "cifar10-postact",
    "akamaster/pytorch_resnet_cifar10",
    "d5489e8995e81e91ce6b1d69dcc98ad579b0b153",
    "BSD 2-Clause",
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHA256 = {
    20: "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
    32: "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850",
    44: "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4",
    56: "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367",
}
DEPTHS = tuple(SHA256)


class CentredSubsample(nn.Module):
    """Every second pixel, and as many new channels of zeros in front as behind."""

    def __init__(self, new_channels: int):
        super().__init__()
        self.half = new_channels // 2

    def forward(self, x: Tensor) -> Tensor:
        # (B, C, H, W) -> (B, C + 2 half, H/2, W/2)
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.half, self.half))


def load(depth: int, folder: Path | None = None) -> ResidualNetwork:
    """The network of `depth` layers, (depth - 2) / 6 modules a stage, in eval mode.

    A module is z -> skip(relu(z)) + residual(relu(z)), with z the sum before the ReLU in which the
    module before ends.  Takes images (B, 3, 32, 32), scaled to [0, 1], less `MEAN`, by `STD`.
    `folder`: see `files.find`.  ValueError for a depth that there is not, ForeignFileError for
    missing files.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth {depth}: expected one of {', '.join(map(str, DEPTHS))}")
    name = f"pretrained_models/resnet{depth}-{SHA256[depth][:8]}.th"
    path = find(File(SOURCE, name, SHA256[depth]), folder)
    network = build(depth)
    given = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    fill(network, {name.removeprefix("module."): tensor for name, tensor in given.items()})
    return network.eval()


def build(depth: int) -> ResidualNetwork:
    """The architecture, with random weights."""
    blocks = []
    for c_in, c_out, stride in cifar_shapes(depth):
        first = [conv3x3(c_in, c_out, stride=stride), nn.BatchNorm2d(c_out), nn.ReLU()]
        residual = nn.Sequential(nn.ReLU(), *first, conv3x3(c_out, c_out), nn.BatchNorm2d(c_out))
        skip = nn.ReLU()
        if c_in != c_out:
            skip = nn.Sequential(skip, CentredSubsample(c_out - c_in))
        blocks.append(ResidualModule(skip, residual))
    stem = nn.Sequential(conv3x3(3, 16), nn.BatchNorm2d(16))
    head = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return ResidualNetwork(stem, blocks, head)


def fill(network: ResidualNetwork, given: dict[str, Tensor]) -> None:
    """Copy the tensors of the original, by its names; KeyError or RuntimeError for another one."""
    parts = {"conv1": network.stem[0], "bn1": network.stem[1], "linear": network.head[-1]}
    for i, block in enumerate(network.blocks):
        stage, place = divmod(i, len(network.blocks) // 3)
        names = {"conv1": 1, "bn1": 2, "conv2": 4, "bn2": 5}
        for name, at in names.items():
            parts[f"layer{stage + 1}.{place}.{name}"] = block.residual[at]
    for name, part in parts.items():
        mine = {
            key: given[f"{name}.{key}"] for key in part.state_dict() if f"{name}.{key}" in given
        }
        # Networks of that time did not count their batches.
        part.load_state_dict(mine, strict="bn" not in name)
