"""The loss whose gradient is taken: any function (outputs, labels) -> a scalar that is a sum over
the images, so that each image has a gradient of its own.

`outputs`: what the network returns, (B, ...); `labels`: (B, ...), whatever the loss makes of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]

# Long paths carry gradients below the range of float32.  The loss is scaled up by a power of two,
# which rounds nothing, and results are scaled back in float64.
SCALE = 2.0**80


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy in nats, summed over the images: logits (B, classes), labels (B,).

    >>> cross_entropy(torch.zeros(3, 2), torch.tensor([0, 1, 1])) / 3
    tensor(0.6931)
    """
    return F.cross_entropy(outputs, labels, reduction="sum")


def scaled_up(loss: Loss, outputs: Tensor, labels: Tensor, apart: bool) -> Tensor:
    """SCALE times the loss.

    `apart`: the images know nothing of one another, and so the loss of all must be the sum of
    their losses.  Raises ValueError where it is not, or no scalar, or does not depend on the
    outputs; TypeError for float16.
    """
    if torch.finfo(outputs.dtype).max < SCALE:
        raise TypeError(
            f"{outputs.dtype}: too narrow for the gradients of long paths; convert network and "
            "images by .float() or .bfloat16()"
        )
    total = loss(outputs, labels)
    if total.dim():
        raise ValueError(f"loss {tuple(total.shape)}: expected a scalar, summed over the images")
    if not total.requires_grad:
        raise ValueError("the loss does not depend on the network's outputs")
    if apart and len(labels) > 1:
        with torch.no_grad():
            parts = [loss(outputs[:1], labels[:1]), loss(outputs[1:], labels[1:])]
        rounding = torch.finfo(outputs.dtype).eps ** 0.5 * (parts[0].abs() + parts[1].abs())
        if (total.detach() - parts[0] - parts[1]).abs() > rounding:
            raise ValueError(
                f"the loss of {len(labels)} images is {total.item():.4g}, but {float(parts[0]):.4g}"
                f" + {float(parts[1]):.4g} for the first and the others: expected a sum over the "
                'images, such as reduction="sum"'
            )
    return total * SCALE
