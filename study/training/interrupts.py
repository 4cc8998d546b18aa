"""Ctrl-C in the middle of an iteration: it is finished and saved first."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """A context in which the first Ctrl-C only makes the function it yields return True; a second
    one stops at once.

    Does nothing outside the main thread, and where somebody else has a say in what Ctrl-C does.
    """
    pressed: list[int] = []

    def note(number: int, frame: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    is_main = threading.current_thread() is threading.main_thread()
    ours = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
