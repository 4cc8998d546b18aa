"""What several tests of the engines need."""

import pytest
import torch


@pytest.fixture
def logits(generator):
    """Four "images" for `toy`: three logits each."""
    return torch.randn(4, 3, 1, 1, generator=generator, dtype=torch.float64)


@pytest.fixture
def targets():
    """A label for each of `logits`."""
    return torch.tensor([0, 1, 2, 1])
