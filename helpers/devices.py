"""Where the computation runs, and in which precision."""

import platform
from contextlib import AbstractContextManager, nullcontext

import torch


def find_device() -> torch.device:
    """The fastest device this machine has: cuda, then mps, then cpu.

    >>> find_device().type in ("cuda", "mps", "cpu")
    True
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def has_fast_bfloat16(device: torch.device | str) -> bool:
    """Whether bfloat16 arithmetic is native on `device`, and so worth using.

    >>> has_fast_bfloat16("mps")
    False
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # On a CPU without these instructions bfloat16 is emulated and slower than float32.
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def resolve(device: torch.device | str, precision: str) -> str:
    """What `precision` means on `device`: "float32" or "bfloat16".

    "auto" is bfloat16 where `has_fast_bfloat16` says so.  Raises ValueError for any other word.

    >>> resolve("mps", "auto"), resolve("cpu", "bfloat16")
    ('float32', 'bfloat16')
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision {precision!r}: expected 'auto', 'float32' or 'bfloat16'")
    if precision == "auto":
        return "bfloat16" if has_fast_bfloat16(device) else "float32"
    return precision


def autocast(device: torch.device | str, precision: str = "auto") -> AbstractContextManager[object]:
    """A context for the forward pass in a precision that `resolve` knows.

    bfloat16 is mixed: convolutions and products only.

    >>> with autocast("cpu", "bfloat16"):
    ...     torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype
    torch.bfloat16
    """
    if resolve(device, precision) == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def describe(device: torch.device | str) -> str:
    """The device in words, for a result row: "cpu (x86_64, 2 threads)" or the GPU's name.

    >>> describe("cpu").startswith("cpu (")
    True
    """
    device = torch.device(device)
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"{device.type} ({platform.machine()}, {threads} thread{'s' * (threads != 1)})"
