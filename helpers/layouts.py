"""How tensors lie in memory: the same numbers, faster or slower, and once wrongly read.

PyTorch calls a tensor (B, C, H, W) "channels last" if the channels of a pixel are neighbours in
memory; convolutions on CPUs are fastest so.
"""

import torch
from torch import Tensor


def layout(x: Tensor) -> torch.memory_format:
    """Channels last, where there are channels and pixels: (B, C, H, W)."""
    return torch.channels_last if x.dim() == 4 else torch.contiguous_format


def settled(x: Tensor) -> Tensor:
    """The same numbers; one image alone as PyTorch makes it, contiguous.

    The batch dimension of one image may have any stride, by which PyTorch tells layouts apart: its
    normalisation layers on the CPU misread the pixels on the way back then, and return a wrong
    gradient.

    >>> image = torch.ones(8, 8, 3).permute(2, 0, 1)[None]
    >>> image.stride(), settled(image).stride()
    ((3, 1, 24, 3), (192, 64, 8, 1))
    """
    if len(x) != 1:
        return x
    # Not contiguous(), which lets such a stride pass.
    return torch.empty_like(x, memory_format=torch.contiguous_format).copy_(x)


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """x[rows], in the layout of x."""
    if x.dim() != 4:
        return x[rows.to(x.device)]
    last = x.permute(0, 2, 3, 1)
    # Whole rows of memory, where channels are last: faster than pixel by pixel.
    taken = last.flatten(1).index_select(0, rows.to(x.device))
    return taken.unflatten(1, last.shape[1:]).permute(0, 3, 1, 2)


def zeros(like: Tensor, *lead: int) -> Tensor:
    """Zeros (*lead, C, H, W) for images like (B, C, H, W), in the layout that suits a module."""
    if like.dim() != 4:
        return like.new_zeros(*lead, *like.shape[1:])
    channels, height, width = like.shape[1:]
    return like.new_zeros(*lead, height, width, channels).movedim(-1, -3)


def length(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The L2 norm over `dims`, in float64; on the CPU where the device has none."""
    x = x.cpu() if x.device.type == "mps" else x
    return torch.linalg.vector_norm(x, dim=dims, dtype=torch.float64)


def room(like: Tensor, *shape: int) -> Tensor:
    """An empty float64 tensor; on the CPU where the device has no float64."""
    device = "cpu" if like.device.type == "mps" else like.device
    return torch.empty(shape, dtype=torch.float64, device=device)
