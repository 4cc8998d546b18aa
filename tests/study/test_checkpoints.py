"""Checkpoints: whole or not at all, and refused when they do not fit."""

import errno
import hashlib
import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from study.training import checkpoints


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "a.safetensors"


def small():
    """A layer with odd shapes and a buffer."""
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    return network.to(memory_format=torch.channels_last)


def test_round_trip(path, generator):
    tensors = {
        "a": torch.randn(2, 3, 4, 5, generator=generator).to(memory_format=torch.channels_last),
        "b": torch.tensor(7),
        "c": torch.randn(3, generator=generator).half(),
        "d": torch.randn(4, 6, generator=generator).T,
    }
    about = {"config": {"seed": 1, "rate": 0.1}, "list": [1, "two", None]}
    checkpoints.write(path, tensors, about)
    found, said = checkpoints.read(path)
    assert said == about
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)


def test_layers_that_are_in_two_places(path):
    """Their tensors share memory, and come back under both names."""
    layer = nn.BatchNorm2d(2)
    checkpoints.write(path, nn.ModuleList([layer, layer]).state_dict(), {})
    tensors, _ = checkpoints.read(path)
    assert torch.equal(tensors["0.weight"], tensors["1.weight"]) and len(tensors) == 10
    checkpoints.fill(nn.ModuleList([layer, layer]), tensors, path)


def test_writing_again_replaces_the_file(path):
    for value in (1, 2):
        checkpoints.write(path, {"a": torch.tensor(value)}, {"n": value})
    tensors, about = checkpoints.read(path)
    assert (tensors["a"], about) == (2, {"n": 2})
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def disk_full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("fails, error", [(disk_full, OSError), (interrupted, KeyboardInterrupt)])
def test_a_failure_leaves_the_old_file_and_no_part(path, monkeypatch, call, fails, error):
    checkpoints.write(path, {"a": torch.tensor(1)}, {})
    before = path.read_bytes()
    monkeypatch.setattr(os, call, fails)
    with pytest.raises(error) as caught:
        checkpoints.write(path, {"a": torch.tensor(2)}, {})
    if error is OSError:
        assert str(caught.value) == (
            f"{path} cannot be written (No space left on device): choose another folder"
        )
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_old_file_stands_until_the_new_one_is_whole(path, monkeypatch):
    """What a kill just before the last step would leave."""
    checkpoints.write(path, {"a": torch.tensor(1)}, {})
    seen, replace = [], os.replace

    def look(source, target):
        seen.append((checkpoints.read(source)[0]["a"], checkpoints.read(target)[0]["a"]))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    checkpoints.write(path, {"a": torch.tensor(2)}, {})
    assert seen == [(2, 1)]


@pytest.fixture
def processes():
    """Numbers of two processes: one that runs, and one that is gone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        yield running.pid, gone.pid
        running.communicate(b"\n")


def test_what_a_killed_process_left_is_cleared(path, processes, monkeypatch):
    """And nothing else: a live process's part, another machine's, another file's."""
    running, gone = processes
    path.parent.mkdir()
    prefix = checkpoints.part_prefix(path)
    with monkeypatch.context() as patch:
        patch.setattr(platform, "node", lambda: "elsewhere")
        other_machine = checkpoints.part_prefix(path)
    left = f"{prefix}{gone}.part"
    others = {
        f"{prefix}{running}.part",
        f"{prefix}1.part",  # Always there, and another user's unless root asks.
        f"{other_machine}{gone}.part",
        f"{checkpoints.part_prefix(path.with_name('b'))}{gone}.part",
        f"{prefix}{gone}.part.txt",
        f"{prefix}x{gone}.part",
    }
    for name in {left, *others}:
        (path.parent / name).write_bytes(b"half")
    checkpoints.write(path, {"a": torch.tensor(1)}, {})
    assert {p.name for p in path.parent.iterdir()} == {path.name, *others}


def test_another_users_process_runs(monkeypatch):
    def refuse(process, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert checkpoints.is_running(1)


def test_no_process_is_asked_where_asking_would_end_it(monkeypatch):
    def ends(process, signal):
        raise AssertionError("ended")

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", ends)
        patch.setattr(os, "name", "nt")
        runs = checkpoints.is_running(1)
    assert runs


def test_what_cannot_be_cleared_is_no_hindrance(path, processes):
    """Such as a folder in the place of a part file."""
    _, gone = processes
    in_the_way = path.parent / f"{checkpoints.part_prefix(path)}{gone}.part"
    in_the_way.mkdir(parents=True)
    checkpoints.write(path, {"a": torch.tensor(1)}, {})
    assert checkpoints.read(path)[0]["a"] == 1


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "runs").write_text("not a folder")
    path = tmp_path / "runs" / "a.safetensors"
    with pytest.raises(OSError, match=f"^{path} cannot be written .*: choose another folder$"):
        checkpoints.write(path, {}, {})
    assert (tmp_path / "runs").read_text() == "not a folder"


def test_no_file(path):
    with pytest.raises(FileNotFoundError, match=f"{path}: there is no such checkpoint"):
        checkpoints.read(path)


def test_damaged_files(path):
    """Cut off anywhere, empty, or something else entirely."""
    checkpoints.write(path, small().state_dict(), {"config": {}})
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:9], whole[:3], b"", b"x" * 500):
        path.write_bytes(damaged)
        with pytest.raises(checkpoints.CheckpointError) as caught:
            checkpoints.read(path)
        message = str(caught.value)
        assert message.startswith(f"{path} is damaged") and "\n" not in message


def test_fill():
    source, target = small(), small()
    target[1].running_mean += 3
    checkpoints.fill(target, source.state_dict(), "a")
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor)
    assert target[0].weight is not source[0].weight


def test_half_precision_fills_a_float32_network():
    source, target = small(), small()
    halves = {n: t.half() if t.is_floating_point() else t for n, t in source.state_dict().items()}
    checkpoints.fill(target, halves, "a")
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, source[0].weight.half().float())
    assert target[1].num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize(
    "other, reason",
    [
        (nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4)), r"0.bias is \(4,\) there, \(3,\)"),
        (nn.Sequential(nn.Conv2d(2, 3, 1)), "1.bias is missing there"),
        (nn.Sequential(*small(), nn.Linear(1, 1)), "2.bias is .* there, missing in this network"),
    ],
)
def test_another_architecture(untouched, other, reason):
    network = small()
    with untouched(network), pytest.raises(checkpoints.CheckpointError, match=reason) as caught:
        checkpoints.fill(network, other.state_dict(), "a.safetensors")
    assert str(caught.value).startswith("a.safetensors holds another architecture: ")


def test_digest(path):
    checkpoints.write(path, {"a": torch.tensor(1)}, {})
    assert checkpoints.digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
