"""Indices of modules, in whatever form they are given."""

from collections import Counter
from collections.abc import Iterable
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from torch import Tensor

# A list, tuple, set or range of whole numbers, or a NumPy array or PyTorch tensor of integers.
Indices = Iterable[SupportsIndex]
ARRAYS = (Tensor, np.ndarray)


def module_indices(modules: Indices, n: int) -> list[int]:
    """Indices from 0 of some of n modules, as plain numbers in the order given.

    Raises TypeError for anything but whole numbers, a mask among them, and IndexError for a number
    outside 0..n-1, negative ones included.

    >>> module_indices(range(2, 4), n=6), module_indices(np.array([5, 0]), n=6)
    ([2, 3], [5, 0])
    """
    found = whole_numbers(modules)
    for i in found:
        if not 0 <= i < n:
            raise IndexError(f"module {i}: expected 0 to {n - 1}, the network has {n} modules")
    return found


def module_order(order: Indices, n: int | None = None) -> list[int]:
    """An order of n modules as plain numbers: which of them runs first, second, ...

    `n`: by default, as many as the order has.  Raises TypeError for anything but whole numbers, and
    for a set, which has no order; ValueError unless each of 0..n-1 occurs once.

    >>> module_order((2, 0, 1))
    [2, 0, 1]
    """
    if isinstance(order, set | frozenset):
        raise TypeError("order: a set has none, expected a list such as [1, 0, 2]")
    found = whole_numbers(order)
    n = len(found) if n is None else n
    times = Counter(found)
    wrong = [f"{i} comes {times[i]} times" for i in times if times[i] > 1]
    wrong += [f"there is no module {i}" for i in times if not 0 <= i < n]
    wrong += [f"{i} is missing" for i in range(n) if i not in times]
    if wrong:
        about = f"order of {len(found)} modules: expected each of 0 to {n - 1} once"
        raise ValueError(f"{about}; {wrong[0]}")
    return found


def whole_numbers(values: Indices) -> list[int]:
    """The values as plain numbers; TypeError that names the first that is not a whole number."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | dict):
        raise TypeError(f"{values!r}: expected a list of module indices such as [0, 2]")
    return [
        whole_number(value) for value in (values.tolist() if isinstance(values, ARRAYS) else values)
    ]


def whole_number(value: Any) -> int:
    """A whole number of any library as a plain one; TypeError for anything else."""
    if isinstance(value, ARRAYS) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | np.bool_):
        raise TypeError(
            f"{value}: expected module indices, not a mask; the indices of a mask are "
            "[i for i, chosen in enumerate(mask) if chosen]"
        )
    try:
        return index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{value!r} ({kind}): expected a module index, a whole number") from None
