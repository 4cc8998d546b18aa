"""Train and eval mode, set for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_eval_mode(*networks: nn.Module) -> Iterator[None]:
    """All parts of networks are in eval mode; afterwards, also after an error, as they were.

    >>> layer = nn.Dropout().train()
    >>> with in_eval_mode(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    modes = {part: part.training for network in networks for part in network.modules()}
    try:
        for part in modes:
            part.training = False
        yield
    finally:
        for part, training in modes.items():
            part.training = training
