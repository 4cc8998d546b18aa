"""Files: whole or not at all, and one process at a time."""

import errno
import multiprocessing
import os
import subprocess
import sys
import time
from multiprocessing.pool import ThreadPool

import pytest

from study import files


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "a.safetensors"


def names(folder):
    """What is in a folder."""
    return sorted(p.name for p in folder.iterdir())


# Writing.


def test_writing_again_replaces_the_file(path):
    for content in (b"1", b"2"):
        files.replace(path, content)
        assert path.read_bytes() == content
    assert names(path.parent) == [path.name]


def disk_full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("fails, error", [(disk_full, OSError), (interrupted, KeyboardInterrupt)])
def test_a_failure_leaves_the_old_file_and_no_part(path, monkeypatch, call, fails, error):
    files.replace(path, b"old")
    monkeypatch.setattr(os, call, fails)
    with pytest.raises(error) as caught:
        files.replace(path, b"new")
    if error is OSError:
        assert str(caught.value) == (
            f"{path} cannot be written (No space left on device): choose another folder"
        )
    assert path.read_bytes() == b"old" and names(path.parent) == [path.name]


def test_the_old_file_stands_until_the_new_one_is_whole(path, monkeypatch):
    """What a kill just before the last step would leave."""
    files.replace(path, b"old")
    seen, replace = [], os.replace

    def look(source, target):
        seen.append((source.read_bytes(), target.read_bytes()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    files.replace(path, b"new")
    assert seen == [(b"new", b"old")]


def test_no_two_part_files_have_one_name(path, monkeypatch):
    """Whatever host and process they are of: two containers may agree in both."""
    parts, replace = set(), os.replace
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(os, "replace", lambda a, b: parts.add(a) or replace(a, b))
    for _ in range(20):
        files.replace(path, b"x")
    assert len(parts) == 20 and {part.parent for part in parts} == {path.parent}


def test_writers_at_once_leave_a_whole_file(path):
    """Eight threads, which are all one process on one host, and a reader of every state."""
    contents = [bytes([i]) * 100_000 for i in range(8)]
    files.replace(path, contents[0])
    with ThreadPool(8) as pool:
        written = pool.map_async(lambda c: [files.replace(path, c) for _ in range(5)], contents)
        seen = {files.read(path) for _ in range(200)}
        written.get()
    assert seen <= set(contents) and names(path.parent) == [path.name]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "runs").write_text("not a folder")
    path = tmp_path / "runs" / "a"
    with pytest.raises(OSError, match=f"^{path} cannot be written .*: choose another folder$"):
        files.replace(path, b"")
    with pytest.raises(OSError, match=f"^{path} cannot be written .*: choose another folder$"):
        with files.only_writer(path, "a"):
            pass
    assert (tmp_path / "runs").read_text() == "not a folder"


# Reading.


def test_a_file_that_is_not_there_and_one_that_cannot_be_read(path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=f"^{path}: there is no such file$"):
        files.read(path)
    path.mkdir(parents=True)
    with pytest.raises(OSError, match=rf"^{path} cannot be read \(Is a directory\)$"):
        files.read(path)

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(OSError, match=rf"^{path} cannot be read \(Permission denied\)$"):
        files.read(path)


# One writer.


def test_what_killed_processes_left_is_cleared_and_nothing_else(path):
    path.parent.mkdir()
    left = {f".{path.name}.0a1b.part", f".{path.stem}.partial.2c.part", f".{path.stem}-at3.x.part"}
    others = {
        path.name,
        f".b{path.name}.0a.part",
        f".{path.name}.txt",
        "a.part",
        ".b.partial.0.part",
    }
    for name in left | others:
        (path.parent / name).write_bytes(b"half")
    with files.only_writer(path, "a"):
        assert set(names(path.parent)) == others | {f".{path.stem}.lock"}
    assert set(names(path.parent)) == others


def test_a_name_that_looks_like_a_pattern(tmp_path):
    (tmp_path / ".[ab].x.part").touch()
    (tmp_path / ".a.x.part").touch()
    with files.only_writer(tmp_path / "[ab].safetensors", "it"):
        assert names(tmp_path) == [".[ab].lock", ".a.x.part"]


def test_what_cannot_be_cleared_is_no_hindrance(path):
    """Such as a folder in the place of a part file."""
    (path.parent / f".{path.name}.0.part").mkdir(parents=True)
    with files.only_writer(path, "a"):
        files.replace(path, b"1")
    assert path.read_bytes() == b"1"


def test_an_error_gives_the_lock_back(path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), files.only_writer(path, "a"):
            raise KeyboardInterrupt
    assert names(path.parent) == []


def count(path, times):
    """Adds to the number in a file, slowly enough for others to come between."""
    for _ in range(times):
        with files.only_writer(path, "the count"):
            before = int(path.read_text()) if path.exists() else 0
            time.sleep(0.002)
            files.replace(path, str(before + 1).encode())


def test_processes_take_turns(path):
    """Each gives back the lock and its file; no turn is lost on the way."""
    context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    workers = [context.Process(target=count, args=(path, 10)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text() == "30" and names(path.parent) == [path.name]


HOLD = """
import sys
from pathlib import Path
from study import files

with files.only_writer(Path(sys.argv[1]), "a run"):
    print("held", flush=True)
    input()
"""


def test_a_second_process_says_whom_it_waits_for(path, capsys):
    """And goes on when the first is killed, although its lock file is still there."""
    words = [sys.executable, "-c", HOLD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as first, ThreadPool(1) as pool:
        assert first.stdout.readline() == b"held\n"
        waits = pool.apply_async(count, (path, 1))
        time.sleep(0.3)
        assert not waits.ready()
        first.kill()
        waits.get(timeout=30)
    assert path.read_text() == "1" and names(path.parent) == [path.name]
    lock = path.with_name(f".{path.stem}.lock")
    expected = f"another process makes the count (it holds {lock}): waiting for it\n"
    assert capsys.readouterr().err == expected
