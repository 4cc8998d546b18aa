"""Checkpoints of earlier versions keep their names and are brought up to date."""

import json
import sys

import pytest
import safetensors.torch
import torch

from study.training import checkpoints, older
from study.training.recipes import TrainConfig

ABOUT = {"config": {"seed": 3}, "seconds": 7.25, "code": "0a"}


@pytest.fixture
def path(tmp_path, generator):
    """A file as version 0.2 wrote it."""
    tensors = {"a": torch.randn(3, 4, generator=generator).half(), "b": torch.tensor(7)}
    found = tmp_path / "a.safetensors"
    found.write_bytes(safetensors.torch.save(tensors, {"about": json.dumps(ABOUT)}))
    return found


@pytest.mark.parametrize(
    "settings, name",
    [
        ({}, "resnet110-cifar10-s0-a69a807dc1"),
        (
            {"depth": 20, "active": 3, "seed": 7, "weight_decay": 0.00123}
            | {"recipe": "compact", "iterations": 17_550},
            "resnet20-cifar10-3active-s7-1f2d7a88d1",
        ),
    ],
)
def test_names(settings, name):
    """As version 0.2 computed them from all settings in their order."""
    assert older.name(TrainConfig(**settings), "0a1b") == f"{name}.safetensors"


def test_the_settings_are_those_of_that_version():
    assert len(older.SETTINGS) == 14 and older.SETTINGS[0] == "dataset"
    assert older.SETTINGS[-1] == "precision"


def test_update(path):
    before = safetensors.torch.load_file(path)
    with pytest.raises(checkpoints.CheckpointError, match="study.training.older"):
        checkpoints.read(path)
    assert older.update(path)
    tensors, about = checkpoints.read(path)
    assert about == ABOUT and tensors.keys() == before.keys()
    for name, tensor in before.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
    raw = path.read_bytes()
    assert not older.update(path) and path.read_bytes() == raw


def test_a_file_that_was_damaged_after_its_update(path):
    """No second sum makes it good."""
    older.update(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(checkpoints.CheckpointError, match="is damaged"):
        older.update(path)


def test_the_command(path, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["older", *map(str, words)])
        return older.main(), *capsys.readouterr()

    assert run(path) == (0, f"updated  {path}\n", "")
    assert run(path) == (0, f"up to date  {path}\n", "")
    gone = path.with_name("gone")
    assert run(gone) == (1, "", f"error: {gone}: there is no such file\n")
