"""How far long work has come: one line on standard error, now and then."""

import sys
import time
from datetime import timedelta


class Progress:
    """Call it with the units done and in all; it prints at most every half second at a terminal,
    every 20 seconds elsewhere (nothing for shorter work), with the time left."""

    def __init__(self, what: str):
        self.what = what
        self.terminal = sys.stderr.isatty()
        self.begin = self.shown = time.monotonic()
        self.first: int | None = None

    def __call__(self, done: int, total: int, **values) -> None:
        """Say where the work is; `values`, such as a loss, are shown as numbers."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.begin = done, now
        last = self.terminal and done == total
        if now - self.shown < (0.5 if self.terminal else 20) and not last:
            return
        self.shown = now
        rate = (done - self.first) / max(now - self.begin, 1e-9)
        left = timedelta(seconds=round((total - done) / rate)) if rate else "?"
        extra = "".join(f", {name} {float(value):.3g}" for name, value in values.items())
        line = f"{self.what}: {done}/{total}{extra}, {rate:.3g}/s, {left} left"
        if self.terminal:
            print(f"\r\x1b[K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
