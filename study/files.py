"""Files that are written whole or not at all, and by one process at a time."""

import contextlib
import glob
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path` in one step; after a kill the old file or the new one is
    there.  OSError, naming the path, where it cannot be written."""
    path = Path(path)
    # No host and no process: containers that share a folder may agree in both.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
        raise unwritable(path, problem) from problem


def read(path: Path) -> bytes:
    """All bytes of a file, read at once: another process may replace it meanwhile.

    FileNotFoundError where there is none, OSError where it cannot be read; both name the path.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except OSError as problem:
        raise OSError(f"{path} cannot be read ({problem.strerror})") from problem


@contextlib.contextmanager
def only_writer(path: Path, what: str) -> Iterator[None]:
    """A context in which no other process writes `path` and the files named after it.

    Waits for a process that does, and says so: `what` is being made, and which file is the lock.
    What killed processes left half-written is cleared.  OSError where the folder cannot be written.
    """
    path = Path(path)
    lock_file = path.with_name(f".{path.stem}.lock")
    lock = FileLock(lock_file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say = f"another process makes {what} (it holds {lock_file}): waiting for it"
            print(say, file=sys.stderr, flush=True)
            lock.acquire()
    except OSError as problem:
        raise unwritable(path, problem) from problem
    try:
        # Nobody else writes here, so every part file is of a process that is gone.
        for part in path.parent.glob(f".{glob.escape(path.stem)}*.part"):
            with contextlib.suppress(OSError):  # Clearing is a courtesy: no reason not to write.
                part.unlink()
        yield
    finally:
        # While it is held: whoever waits sees that the file is gone, and makes it anew.
        lock_file.unlink(missing_ok=True)
        lock.release()


def unwritable(path: Path, problem: OSError) -> OSError:
    """The error of a file that cannot be written."""
    return OSError(f"{path} cannot be written ({problem.strerror}): choose another folder")
