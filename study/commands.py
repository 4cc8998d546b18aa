"""How the commands begin and end: Ctrl-C is one line, at whatever moment it comes."""

import importlib
import os
import signal
import sys


def run(module: str, advice: str) -> int:
    """Import the `module` of a command, which may take seconds, and return what its `main` does.

    Where Ctrl-C ends it, 130; `advice` says what to do then.
    """

    def stop(*_: object) -> None:
        # An exception could end up in somebody's half-imported module.
        say_interrupted(advice)
        os._exit(130)

    before = signal.signal(signal.SIGINT, stop)
    main = importlib.import_module(module).main
    signal.signal(signal.SIGINT, before)
    try:
        return main()
    except KeyboardInterrupt:
        say_interrupted(advice)
        return 130


def say_interrupted(advice: str) -> None:
    """Below the line of progress, if there is one."""
    begin = "\n" if sys.stderr.isatty() else ""
    print(f"{begin}interrupted: {advice}", file=sys.stderr, flush=True)
