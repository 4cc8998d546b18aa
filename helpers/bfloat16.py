"""Modules made ready for inference in bfloat16, where the hardware has it.

The copy computes what the original does: a convolution absorbs the batch norm after it, its weights
and all activations are bfloat16.  Batch norm on its own and sums keep float32 inside.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from helpers.network import PlainLayer, ResidualModule, Scaled, Subsample, is_a


class IntegerReLU(nn.Module):
    """ReLU of bfloat16, in place.

    A bfloat16 and the integer of the same 16 bits have the same sign, so the integer's maximum with
    zero is the ReLU.  CPUs are several times faster at it: they have arithmetic for such integers,
    while a bfloat16 is converted to float32 and back.
    """

    def forward(self, x: Tensor) -> Tensor:
        x.view(torch.int16).clamp_(min=0)
        return x


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

    The original is left as it is; the copy is right as long as its weights do not change.
    """
    if is_a(ResidualModule, module):
        return ResidualModule(bfloat16(module.skip), bfloat16(module.residual))
    if is_a(PlainLayer, module):
        return PlainLayer(bfloat16(module.skip), bfloat16(module.layer))
    if is_a(Scaled, module):
        return Scaled(bfloat16(module.module), module.factor)
    layers: list[nn.Module] = []
    for layer in module if is_a(nn.Sequential, module) else [module]:
        own = bool(layers) and isinstance(layers[-1], nn.Conv2d | nn.BatchNorm2d)
        if is_a(nn.BatchNorm2d, layer) and own and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
        elif is_a(nn.Conv2d, layer):
            layers.append(deepcopy(layer))
        elif is_a(nn.ReLU, layer):
            # In place only where the tensor was made here.
            layers.append(IntegerReLU() if own else nn.ReLU())
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
