"""Seconds of several functions, measured side by side."""

import gc
import time
from collections.abc import Callable
from statistics import median


def alternately(repeats: int, **functions: Callable[[], object]) -> dict[str, float]:
    """The median seconds of each function, run in turn `repeats` times after one run for warmth.

    In turn, so that a machine that slows down slows all of them down.
    """
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, function in functions.items():
                begin = time.perf_counter()
                function()
                seconds[name].append(time.perf_counter() - begin)
    finally:
        gc.enable()
    return {name: median(values) for name, values in seconds.items()}
