"""What stands around a computation of gradients: full precision, and nothing left behind."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from helpers.layouts import room
from helpers.losses import SCALE


@contextmanager
def exactly(network: nn.Module) -> Iterator[None]:
    """Arithmetic in the network's own precision: no TF32, autocast or inference mode of the caller;
    and no gradients but where they are asked for.

    By default convolutions on recent GPUs round their factors to 10 bits, and other operations do
    so where a user has allowed it.  Afterwards, also after an error, all settings are as found, and
    so are running statistics, which a pass in train mode moves.  Raises ValueError for weights made
    in inference mode.

    >>> with torch.autocast("cpu"), exactly(nn.Linear(2, 2)):
    ...     torch.is_autocast_enabled("cpu"), torch.backends.cudnn.conv.fp32_precision
    (False, 'ieee')
    """
    tensors = list(chain(network.parameters(), network.buffers()))
    if any(tensor.is_inference() for tensor in tensors):
        raise ValueError("weights made in inference mode have no gradients: deepcopy the network")
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for kind in {"cpu", *(tensor.device.type for tensor in tensors)}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(full_float32())
        try:
            yield
        finally:
            for buffer, value in before:
                buffer.copy_(value)


@contextmanager
def full_float32() -> Iterator[None]:
    """No operation rounds the factors of float32 products to fewer bits."""
    every: Any = torch.backends
    chains = [
        (every, every.cudnn, every.cudnn.conv),
        (every, every.cudnn, every.cudnn.rnn),
        (every, every.cudnn, every.cuda.matmul),
        # PyTorch 2.12 writes what is given to `mkldnn.fp32_precision` to `every`.
        (every, every.mkldnn.conv),
        (every, every.mkldnn.rnn),
        (every, every.mkldnn.matmul),
    ]
    before = [own_precision(*settings) for settings in chains]
    try:
        for *_, operation in chains:
            operation.fp32_precision = "ieee"
        yield
    finally:
        for (*_, operation), precision in zip(chains, before, strict=True):
            operation.fp32_precision = precision


def own_precision(*settings: Any) -> str:
    """What the last of the settings was given itself; "none" where it follows the one above.

    PyTorch tells only what holds, so what stands above is changed for a moment.  Written back as
    its own, a value that was only followed would no longer follow.
    """
    *above, setting = settings
    if not above:
        return setting.fp32_precision
    kept, seen = own_precision(*above), set()
    for value in ("ieee", "tf32"):
        above[-1].fp32_precision = value
        seen.add(setting.fp32_precision)
    above[-1].fp32_precision = kept
    return seen.pop() if len(seen) == 1 else "none"


def unscaled(gradients: Tensor) -> Tensor:
    """Gradients of the loss itself, in float64.  ArithmeticError unless all are finite."""
    return finite(room(gradients, *gradients.shape).copy_(gradients).div_(SCALE))


def finite(values: Tensor) -> Tensor:
    """The same values.  ArithmeticError if one is nan or infinite.

    >>> finite(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if not bool(values.sum().isfinite()):
        raise ArithmeticError(
            "a gradient is not finite: are the weights, the images and the loss?  Where float32 "
            "overflows, take network.double() and images.double()"
        )
    return values
