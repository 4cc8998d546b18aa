"""Training that is killed, interrupted, moved or run twice: the same weights, or an error."""

import multiprocessing
import os
import random
import re
import signal
import time
from dataclasses import replace
from multiprocessing.pool import ThreadPool

import pytest
import torch

from study import data, files
from study.places import Places
from study.training import checkpoints, loop, resume
from study.training.recipes import TrainConfig
from tests.runs import SMALL, interrupt_at

# Killed and resumed.


KEEP = (0, 15, 40)


def train_in_a_child(config, folder, iterations_done):
    """Runs in a process of its own, which is there to be killed; saves fifty times a second and
    keeps the weights of the start, of the end, and of a moment between."""
    torch.set_num_threads(1)

    def progress(done, total, loss):
        iterations_done.value = done

    digits = data.load("digits")
    loop.train(config, digits, folder, save_seconds=0.02, keep=KEEP, progress=progress)


def child(config, folder):
    """A started process, and the number of its last iteration."""
    # Each child is a copy of one process that has imported what they need.
    context = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
    if hasattr(os, "fork"):
        context.set_forkserver_preload(["study.training", "sklearn.datasets"])
    done = context.Value("i", 0)
    process = context.Process(target=train_in_a_child, args=(config, folder, done))
    process.start()
    return process, done


@pytest.mark.parametrize("settings", [{}, {"active": 3}, {"survival": 0.5}])
def test_killed_three_times_and_resumed_to_the_same_weights(folder, digits, settings):
    """SIGKILL at random moments: bit for bit what an undisturbed run leaves behind, at the end
    and along the way."""
    config, moments = replace(SMALL, iterations=40, **settings), random.Random(len(settings))
    for earliest in (4, 12, 20):
        process, done = child(config, folder)
        target, deadline = earliest + moments.randrange(6), time.monotonic() + 60
        while done.value < target and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(moments.random() * 0.01)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "killed before it was finished"
    (partial,) = folder.glob("*.partial")
    saved = checkpoints.read(partial)[1]["iterations"]
    assert 0 < saved < config.iterations
    process, done = child(config, folder)
    process.join()
    assert process.exitcode == 0 and done.value == config.iterations
    other = folder.with_name("undisturbed")
    undisturbed, _ = child(config, other)
    undisturbed.join()
    names, expected = (
        sorted(f.name for f in place.glob("*.safetensors")) for place in (folder, other)
    )
    assert names == expected == sorted(file.name for file in folder.iterdir())
    iterations = []
    for name in names:
        found, about = checkpoints.read(folder / name)
        wanted, _ = checkpoints.read(other / name)
        assert found.keys() == wanted.keys()
        assert [n for n in wanted if not torch.equal(found[n], wanted[n])] == [], name
        iterations.append(about["iterations"])
    assert sorted(iterations) == [*KEEP, config.iterations]


def test_a_resumed_run_does_not_start_again(folder, digits, counted):
    config = replace(SMALL, iterations=8)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, digits, folder, save_seconds=0, progress=interrupt_at(5))
    loop.train(config, digits, folder, progress=counted)
    # The fifth iteration was interrupted before it could be saved.
    assert counted.done == [5, 6, 7, 8]


@pytest.fixture
def heeded():
    """Ctrl-C as Python handles it, also where these tests were begun in the background of a shell,
    which then has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_saves_the_iteration_it_comes_in(folder, digits, counted):
    """Long before the next save is due; and the run ends as if nothing had been."""
    config = replace(SMALL, depth=8, iterations=6)

    def press(done, total, loss):
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop.train(config, digits, folder, progress=press)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (partial,) = folder.iterdir()
    assert checkpoints.read(partial)[1]["iterations"] == 4
    path = loop.train(config, digits, folder, progress=counted)
    assert counted.done == [5, 6]
    other = loop.train(config, digits, folder.with_name("undisturbed"))
    assert checkpoints.digest(path) == checkpoints.digest(other)


@pytest.mark.usefixtures("heeded")
def test_a_second_ctrl_c_stops_at_once(folder, digits):
    def press(done, total, loss):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on")

    with pytest.raises(KeyboardInterrupt):
        loop.train(replace(SMALL, depth=8, iterations=6), digits, folder, progress=press)
    (partial,) = folder.iterdir()
    assert checkpoints.read(partial)[1]["iterations"] == 0


def test_ctrl_c_is_left_to_those_who_handle_it(folder, digits, monkeypatch):
    """A handler that is not Python's own is called, and training goes on; so it does outside the
    main thread, where no handler can be set."""
    calls = []

    def press(done, total, loss):
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        config = replace(SMALL, depth=8, iterations=2)
        loop.train(config, digits, folder, progress=press)
        with ThreadPool(1) as pool:
            pool.apply(loop.train, (replace(config, seed=1), digits, folder))
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == [1, 1] and len(list(folder.iterdir())) == 2


# Begun here, gone on elsewhere.


def begun(digits, folder, config=SMALL):
    """The file of a run that was interrupted after two iterations."""
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, digits, folder, save_seconds=0, progress=interrupt_at(3))
    (partial,) = folder.iterdir()
    return partial


@pytest.fixture
def two_threads():
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(1)


def test_another_number_of_threads_is_refused(folder, digits, counted, two_threads):
    config = replace(SMALL, depth=8, iterations=4, precision="float32")
    partial = begun(digits, folder, config)
    before = partial.read_bytes()
    two_threads()
    with pytest.raises(resume.ResumeError) as caught:
        loop.train(config, digits, folder, progress=counted)
    message = str(caught.value)
    assert message.startswith(f"{partial} was begun on ") and "\n" not in message
    assert " 1 thread) in float32, this is " in message and " 2 threads) in float32:" in message
    assert "OMP_NUM_THREADS" in message and "--elsewhere" in message
    assert counted.done == [] and partial.read_bytes() == before
    path = loop.train(config, digits, folder, progress=counted, elsewhere=True)
    assert counted.done == [3, 4]
    device = checkpoints.read(path)[1]["device"]
    assert re.fullmatch(r".* 1 thread\), then .* 2 threads\)", device)


def test_another_precision_is_refused(folder, digits, monkeypatch):
    """ "auto" may mean another one on another machine."""
    config = replace(SMALL, depth=8, iterations=4)
    monkeypatch.setattr(loop, "resolve", lambda *_: "bfloat16")
    begun(digits, folder, config)
    monkeypatch.setattr(loop, "resolve", lambda *_: "float32")
    with pytest.raises(resume.ResumeError, match="in bfloat16, this is .* in float32"):
        loop.train(config, digits, folder)
    path = loop.train(config, digits, folder, elsewhere=True)
    about = checkpoints.read(path)[1]
    assert about["precision"] == "bfloat16, then float32" and "then" not in about["device"]


def test_a_run_that_moved_may_be_interrupted_again_where_it_is(folder, digits, monkeypatch):
    config = replace(SMALL, depth=8, iterations=6)
    for place in ("a", "b"):
        monkeypatch.setattr(loop, "describe", lambda _, place=place: place)
        with pytest.raises(KeyboardInterrupt):
            stop = interrupt_at({"a": 3, "b": 5}[place])
            loop.train(config, digits, folder, 0, progress=stop, elsewhere=place == "b")
    path = loop.train(config, digits, folder)
    assert checkpoints.read(path)[1]["device"] == "a, then b"


# Files that are not what their names say.


def test_a_checkpoint_under_the_name_of_another_run(folder, digits, counted):
    """The architecture is the same: nothing else would tell."""
    config = replace(SMALL, depth=8, iterations=2)
    other = loop.train(replace(config, seed=1), digits, folder)
    path = folder / loop.file_name(config, digits)
    other.rename(path)
    with pytest.raises(checkpoints.CheckpointError, match=f"^{path} is of another run than its"):
        loop.train(config, digits, folder, progress=counted)
    places = Places(folder.parent)
    files.replace(places.checkpoints / path.name, path.read_bytes())
    with pytest.raises(checkpoints.CheckpointError, match="is of another run than its name says"):
        loop.trained(config, digits, folder, places=places)
    assert counted.done == []


def test_the_state_of_another_run(folder, digits, counted):
    partial = begun(digits, folder, replace(SMALL, seed=1))
    path = (folder / loop.file_name(SMALL, digits)).with_suffix(".partial")
    partial.rename(path)
    with pytest.raises(checkpoints.CheckpointError, match=f"^{path} is of another run"):
        loop.train(SMALL, digits, folder, progress=counted)
    assert counted.done == []


def test_an_empty_state_is_not_taken_for_a_run(folder, digits, counted):
    partial = begun(digits, folder)
    partial.write_bytes(b"")
    with pytest.raises(checkpoints.CheckpointError, match=f"^{partial} is damaged"):
        loop.train(SMALL, digits, folder, progress=counted)
    assert counted.done == []


@pytest.mark.parametrize("suffix", [".safetensors", ".partial"])
def test_a_folder_in_the_place_of_a_file(folder, digits, counted, suffix):
    """Noticed before training."""
    path = (folder / loop.file_name(SMALL, digits)).with_suffix(suffix)
    path.mkdir(parents=True)
    with pytest.raises(OSError, match=rf"^{path} cannot be read \(Is a directory\)$"):
        loop.train(SMALL, digits, folder, progress=counted)
    assert counted.done == []


# Two processes.


def test_two_processes_make_one_run(folder, digits):
    """One trains, one waits: the weights are those of an undisturbed run, and nothing is left."""
    config = replace(SMALL, depth=8, iterations=40)
    children = [child(config, folder) for _ in range(2)]
    for process, _ in children:
        process.join()
    assert [process.exitcode for process, _ in children] == [0, 0]
    assert sorted(done.value for _, done in children) == [0, 40], "the other did nothing"
    path = loop.train(config, digits, folder.with_name("undisturbed"))
    assert checkpoints.digest(folder / path.name) == checkpoints.digest(path)
    assert {file.suffix for file in folder.iterdir()} == {".safetensors"}


def test_a_finished_run_is_read_where_nothing_can_be_written(folder, digits, monkeypatch):
    config = replace(SMALL, depth=8, iterations=1)
    path = loop.train(config, digits, folder)
    monkeypatch.setattr(files, "only_writer", None)
    assert loop.train(config, digits, folder) == path


def test_another_state_of_the_code_starts_again(folder, digits, counted, monkeypatch):
    config = replace(SMALL, iterations=4)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, digits, folder, save_seconds=0, progress=interrupt_at(3))
    monkeypatch.setattr(loop, "code_digest", lambda: "changed")
    path = loop.train(config, digits, folder, progress=counted)
    assert counted.done == [1, 2, 3, 4]
    monkeypatch.setattr(loop, "code_digest", lambda: "changed again")
    loop.train(config, digits, folder, progress=counted)
    assert counted.done == [1, 2, 3, 4] * 2
    assert checkpoints.read(path)[1]["code"] == "changed again"


def test_a_finished_run_returns_at_once(folder, digits, counted):
    config = replace(SMALL, iterations=2)
    path = loop.train(config, digits, folder)
    before = path.stat()
    assert loop.train(config, digits, folder, progress=counted) == path
    after = path.stat()
    # Reading it may move the time of its last access.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert counted.done == []
    assert [p.name for p in folder.iterdir()] == [path.name]


def test_what_a_checkpoint_says(folder, digits):
    config = replace(SMALL, iterations=2)
    path = loop.train(config, digits, folder)
    _, about = checkpoints.read(path)
    assert TrainConfig(**about["config"]) == config
    assert about["iterations"] == 2 and about["seconds"] > 0
    assert about["data_checksum"] == digits.train.checksum
    assert about["code"] == loop.code_digest()
    assert set(about["version"]) == {"commit", "dirty"}
    assert path.name.startswith("resnet14-digits-s0-")


def test_a_partial_file_of_another_kind(folder, digits, counted):
    """Damaged, it is refused with its name; it is never silently used."""
    config = replace(SMALL, iterations=3)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, digits, folder, save_seconds=0, progress=interrupt_at(2))
    (partial,) = folder.iterdir()
    partial.write_bytes(partial.read_bytes()[:-1])
    with pytest.raises(checkpoints.CheckpointError, match=str(partial)):
        loop.train(config, digits, folder, progress=counted)
    assert counted.done == []
