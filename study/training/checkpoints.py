"""Checkpoints: named tensors and a small description in one safetensors file, written whole."""

import contextlib
import hashlib
import json
import os
import platform
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn


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
    replace(path, save(packed, {"about": json.dumps(about)}))


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path` in one step."""
    path = Path(path)
    part = path.with_name(f"{part_prefix(path)}{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # Clearing is a courtesy: no reason not to write.
            clear(path)
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as problem:
        with contextlib.suppress(OSError):
            part.unlink()
        if not isinstance(problem, OSError):
            raise
        message = f"{path} cannot be written ({problem.strerror}): choose another folder"
        raise OSError(message) from problem


def part_prefix(path: Path) -> str:
    """How the names of the part files of `path` begin that this machine writes; then the process.

    Several machines may share a folder, and each knows its own processes alone.
    """
    return f".{path.name}.{platform.node()}."


def clear(path: Path) -> None:
    """Delete the part files of `path` that processes of this machine left when they were killed."""
    pattern = re.compile(re.escape(part_prefix(path)) + r"(\d+)\.part")
    for part in path.parent.iterdir():
        found = pattern.fullmatch(part.name)
        if found and not is_running(int(found[1])):
            part.unlink(missing_ok=True)  # Another process may clear as well.


def is_running(process: int) -> bool:
    """Whether there is such a process on this machine; True where that cannot be asked."""
    if os.name != "posix":
        return True  # On Windows os.kill ends the process, whatever the signal.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # It is another user's.
    return True


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors (on the CPU) and the description in `path`.

    Raises FileNotFoundError, or CheckpointError for a file that is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about
    except (SafetensorError, ValueError) as problem:
        raise CheckpointError(f"{path} is damaged ({problem}): delete it and train again") from None


def fill(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
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


def digest(path: Path) -> str:
    """SHA-256 of the file: which weights a result row was measured on."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
