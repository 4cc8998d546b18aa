"""Checkpoints: named tensors and a small description in one safetensors file, written whole and
verified whenever it is read.

The file's metadata holds two sums beside the description: of the tensors, by which result rows name
the weights, and of the description.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from study import files


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged or belongs to another network."""


def write(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    """Write `tensors` and the JSON-able `about`; after a kill the old file or the new one is there.

    Raises OSError, naming the path, where it cannot be written.
    """
    # Copies, since safetensors refuses tensors that share their memory, as shared layers do.
    packed = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    text = json.dumps(about)
    sums = {"weights": weights_digest(packed), "about_sum": sha256(text.encode())}
    files.replace(path, save(packed, {"about": text} | sums))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and the description in `path`.

    Raises FileNotFoundError or OSError where it is not there or cannot be read, and CheckpointError
    for a file that is not as it was written or whose weights are not finite.
    """
    tensors, metadata = parse(files.read(path), path)
    if not {"about", "weights", "about_sum"} <= metadata.keys():
        raise CheckpointError(
            f"{path} does not say which weights it should hold: if you know where it is from, "
            f"`python -m study.training.older {path}` adds that"
        )
    text = metadata["about"]
    right = {"about_sum": sha256(text.encode()), "weights": weights_digest(tensors)}
    if not right.items() <= metadata.items():
        raise damaged(path, "its content has changed since it was written")
    if wrong := [name for name, t in tensors.items() if not torch.isfinite(t).all()]:
        raise CheckpointError(f"{path}: {wrong[0]} is not finite, so no network can use it")
    return tensors, json.loads(text)


def parse(raw: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata in the bytes of a safetensors file, not yet verified.

    CheckpointError, naming `path`, if they are no such file.
    """
    if raw.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a pointer of Git LFS: fetch the file by `git lfs pull`")
    if raw.startswith((b"PK\x03\x04", b"\x80\x02")):
        raise CheckpointError(
            f"{path} is a file of torch.save, not of safetensors: load it where you trust it, and "
            "write its state_dict by study.training.checkpoints.write"
        )
    try:
        tensors = dict(sorted(load(raw).items()))
        length = int.from_bytes(raw[:8], "little")
        return tensors, json.loads(raw[8 : 8 + length]).get("__metadata__") or {}
    except (
        SafetensorError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        AssertionError,
    ) as problem:
        raise damaged(path, problem) from None


def damaged(path: Path, problem: object) -> CheckpointError:
    """The error of a file that is not as it was written."""
    return CheckpointError(f"{path} is damaged ({problem}): delete it and train again")


def fill(network: nn.Module, tensors: dict[str, Tensor], path: Path | str) -> None:
    """Copy `tensors`, read from `path`, into `network`; CheckpointError, with the network as it
    was, if they belong to another architecture."""
    expected = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if found != expected:
        name = min(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
        raise CheckpointError(
            f"{path} holds another architecture: {name} is {found.get(name, 'missing')} there, "
            f"{expected.get(name, 'missing')} in this network"
        )
    network.load_state_dict(tensors)


def weights_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, whatever the order: which weights these are."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        # As one row of bytes; a copy, since a lone number may lie at any address.
        found.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def digest(path: Path) -> str:
    """`weights_digest` of the checkpoint in `path`: which weights a result row was measured on.

    Raises what `read` does.
    """
    return weights_digest(read(path)[0])


def sha256(content: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
