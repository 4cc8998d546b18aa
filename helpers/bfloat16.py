"""Modules made ready for inference in bfloat16, where the hardware has it.

The copy computes what the original does: a convolution absorbs the batch norm after it, its weights
and all activations are bfloat16.  Batch norm on its own and sums keep float32 inside.
"""

from copy import deepcopy
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from helpers.network import PlainLayer, ResidualModule, Scaled, Subsample, is_a


class Autocast(nn.Module):
    """Any module, each part in the precision that autocast gives it."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return self.module(x).bfloat16()


def bfloat16(module: nn.Module) -> nn.Module:
    """A module in eval mode as one that takes and returns bfloat16.

    Of any shape.  The original is left as it is; the copy is right as long as its weights do not
    change.

    >>> layers = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.ReLU()).eval()
    >>> [type(layer).__name__ for layer in bfloat16(layers)]
    ['Conv2d', 'ReLU']
    """
    if isinstance(module, ResidualModule) and is_a(ResidualModule, module):
        return ResidualModule(bfloat16(module.skip), bfloat16(module.residual))
    if isinstance(module, PlainLayer) and is_a(PlainLayer, module):
        return PlainLayer(bfloat16(module.skip), bfloat16(module.layer))
    if isinstance(module, Scaled) and is_a(Scaled, module):
        return Scaled(bfloat16(module.module), module.factor)
    in_a_row = [module]
    if isinstance(module, nn.Sequential) and is_a(nn.Sequential, module):
        in_a_row = list(module)
    layers: list[nn.Module] = []
    for layer in in_a_row:
        last = layers[-1] if layers else None
        own = isinstance(last, nn.Conv2d | nn.BatchNorm2d)
        if isinstance(last, nn.Conv2d) and fuses(layer):
            layers[-1] = fuse_conv_bn_eval(last, layer)
        elif is_a(nn.Conv2d, layer):
            layers.append(deepcopy(layer))
        elif is_a(nn.ReLU, layer):
            # In place only where the tensor was made here.
            layers.append(nn.ReLU(inplace=own))
        elif is_a(nn.Sequential, layer):
            layers.append(bfloat16(layer))
        elif is_a(nn.BatchNorm2d, layer) or is_a(nn.Identity, layer) or is_a(Subsample, layer):
            layers.append(layer)
        else:
            layers.append(Autocast(layer))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.to(torch.bfloat16)
    return nn.Sequential(*layers) if len(layers) != 1 else layers[0]


def fuses(layer: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Whether a convolution can absorb this layer: batch norm by fixed statistics."""
    return (
        isinstance(layer, nn.BatchNorm2d)
        and is_a(nn.BatchNorm2d, layer)
        and layer.running_mean is not None
    )
