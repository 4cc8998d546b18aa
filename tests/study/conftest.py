"""What tests of training need."""

import pytest

from study import data


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture
def folder(tmp_path):
    """Where checkpoints go."""
    return tmp_path / "checkpoints"


@pytest.fixture
def counted():
    """A progress callback; `done` lists the iterations it was called with."""

    def progress(done, total, loss):
        progress.done.append(done)

    progress.done = []
    return progress
