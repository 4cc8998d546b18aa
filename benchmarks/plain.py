"""What is measured against: plain PyTorch, as a careful user would write it today.

Each does the same as a function of `helpers` and nothing that is not needed: no gradients of
weights, no graph where none is used.  `test_plain.py` shows that the answers are equal.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.network import Network, ResidualNetwork

# Keeps long paths above the range in which CPUs count slowly; exact, as a power of two.
SCALE = 2.0**80


def path_gradient(network: ResidualNetwork, images: Tensor, labels: Tensor, path: Tensor) -> Tensor:
    """The paper's protocol (Section 5): a forward pass, then a backward pass along one path.

    `path`: bool (n,).  The weights must not require gradients.  Returns float64, at the first
    module's input.
    """
    x = first = network.stem(images).requires_grad_()
    for block, on in zip(network.blocks, path.tolist(), strict=True):
        if on:
            x = block.skip(x).detach() + block.residual(x)
        else:
            with torch.no_grad():
                residual = block.residual(x)
            x = block.skip(x) + residual
    loss = F.cross_entropy(network.head(x), labels, reduction="sum") * SCALE
    return torch.autograd.grad(loss, first)[0].double() / SCALE


@torch.inference_mode()
def predictions(variants: list[Network], images: Tensor, batch_size: int) -> Tensor:
    """The class that each variant predicts for each image, one variant after the other."""
    return torch.stack(
        [torch.cat([v(batch).argmax(1) for batch in images.split(batch_size)]) for v in variants]
    )


def train_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> Tensor:
    """One iteration on a batch that is ready; returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()
