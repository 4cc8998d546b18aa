"""Training: killed and resumed to the same weights, and only what is active is computed."""

import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.pool import ThreadPool

import pytest
import torch
from PIL import Image
from torch import nn

from study import commands, data, files
from study.places import Places
from study.training import checkpoints, command, loop, older, recipes, resume
from study.training.iteration import stream
from study.training.recipes import TrainConfig

ROOT = data.ROOT
SMALL = TrainConfig(
    dataset="digits",
    depth=14,
    recipe="compact",
    iterations=30,
    batch_size=64,
    learning_rate=0.05,
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture
def folder(tmp_path):
    """Where checkpoints go."""
    return tmp_path / "checkpoints"


@pytest.fixture
def counted():
    """A progress callback; `done` lists the iterations it was called with."""

    def progress(done, total, loss):
        progress.done.append(done)

    progress.done = []
    return progress


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


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


def interrupt_at(iteration):
    """A progress callback that stops training as Ctrl-C does."""

    def progress(done, total, loss):
        if done == iteration:
            raise KeyboardInterrupt

    return progress


def test_a_resumed_run_does_not_start_again(folder, digits, counted):
    config = replace(SMALL, iterations=8)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, digits, folder, save_seconds=0, progress=interrupt_at(5))
    loop.train(config, digits, folder, progress=counted)
    # The fifth iteration was interrupted before it could be saved.
    assert counted.done == [5, 6, 7, 8]


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


# Weights kept along a run.

FEW = replace(SMALL, depth=8, iterations=6, batch_size=16, precision="float32")


@pytest.fixture(scope="module")
def course(digits):
    """The weights of a run after 0, 1, ..., 6 iterations, by calling `step`."""
    device, split = loop.find_device(), digits.train.to(loop.find_device())
    network = loop.new_network(FEW, digits).to(device, memory_format=torch.channels_last)
    optimizer, states = loop.new_optimizer(FEW, network.train()), []
    for iteration in range(FEW.iterations + 1):
        states.append({n: t.detach().cpu().clone() for n, t in network.state_dict().items()})
        loop.step(FEW, digits, split.images, split.labels, network, optimizer, iteration)
    return states


def are_equal(path, state):
    """Whether a checkpoint holds exactly these weights."""
    found, _ = checkpoints.read(path)
    return found.keys() == state.keys() and all(torch.equal(found[n], state[n]) for n in state)


def kept_in(folder):
    """The snapshots in a folder, by the number of their iteration."""
    files = folder.glob("*-at*.safetensors")
    return {int(file.stem.split("-at")[1]): file for file in files}


def test_the_place_of_a_snapshot(tmp_path):
    path = tmp_path / "resnet8-digits-s0-0123456789.safetensors"
    expected = tmp_path / "resnet8-digits-s0-0123456789-at7.safetensors"
    assert loop.snapshot(path, 7) == expected


def test_kept_weights_are_those_after_so_many_steps(folder, digits, course):
    path = loop.train(FEW, digits, folder, keep=(3, 6, 0))
    found = kept_in(folder)
    assert found == {number: loop.snapshot(path, number) for number in (0, 3, 6)}
    for number, file in found.items():
        assert are_equal(file, course[number])
        about = checkpoints.read(file)[1]
        assert about["iterations"] == number and TrainConfig(**about["config"]) == FEW
        assert about["code"] == loop.code_digest()
    assert are_equal(path, course[6])
    assert not any(are_equal(found[a], course[b]) for a, b in ((0, 3), (3, 6), (6, 0)))
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("stopped", [1, 3, 4, 5])
def test_weights_are_kept_by_a_resumed_run(folder, digits, course, stopped):
    """Stopped before, at and after a moment that is kept; saved last an iteration earlier."""
    keep = (0, 2, 4, 6)
    with pytest.raises(KeyboardInterrupt):
        stop = interrupt_at(stopped)
        loop.train(FEW, digits, folder, save_seconds=0, keep=keep, progress=stop)
    path = loop.train(FEW, digits, folder, keep=keep)
    assert sorted(kept_in(folder)) == [*keep]
    assert all(are_equal(file, course[number]) for number, file in kept_in(folder).items())
    assert are_equal(path, course[6])


def interrupted_run(digits, folder, keep=()):
    """A run that was saved after four of its six iterations."""
    with pytest.raises(KeyboardInterrupt):
        stop = interrupt_at(5)
        loop.train(FEW, digits, folder, save_seconds=0, keep=keep, progress=stop)


@pytest.mark.parametrize(
    "keep, done",
    [((2,), range(1, 7)), ((0, 5), range(1, 7)), ((5,), range(5, 7)), ((6,), range(5, 7))],
)
def test_a_resumed_run_may_be_asked_to_keep_more(folder, digits, course, counted, keep, done):
    """It starts again only for weights that are past."""
    interrupted_run(digits, folder)
    loop.train(FEW, digits, folder, keep=keep, progress=counted)
    assert counted.done == list(done)
    assert sorted(kept_in(folder)) == [*keep]
    assert all(are_equal(file, course[number]) for number, file in kept_in(folder).items())


def test_a_lost_snapshot_is_made_again(folder, digits, course, counted):
    interrupted_run(digits, folder, keep=(1, 3))
    kept_in(folder)[1].unlink()
    loop.train(FEW, digits, folder, keep=(1, 3), progress=counted)
    assert counted.done == list(range(1, 7))
    assert are_equal(kept_in(folder)[1], course[1])


def test_a_finished_run_without_its_snapshots_is_run_again(folder, digits, course, counted):
    path = loop.train(FEW, digits, folder)
    assert loop.train(FEW, digits, folder, keep=(1, 6), progress=counted) == path
    assert counted.done == list(range(1, 7))
    assert all(are_equal(kept_in(folder)[number], course[number]) for number in (1, 6))
    loop.train(FEW, digits, folder, keep=(6,), progress=counted)
    loop.train(FEW, digits, folder, keep=(1, 6), progress=counted)
    assert counted.done == list(range(1, 7)), "everything is there by now"


def test_snapshots_of_another_code_are_made_again(folder, digits, counted, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loop, "code_digest", lambda: "other")
        loop.train(FEW, digits, folder, keep=(1,))
    loop.train(FEW, digits, folder)
    loop.train(FEW, digits, folder, keep=(1,), progress=counted)
    assert counted.done == list(range(1, 7))
    assert checkpoints.read(kept_in(folder)[1])[1]["code"] == loop.code_digest()


def test_a_resumed_run_takes_no_snapshot_of_other_code(
    folder, digits, course, counted, monkeypatch
):
    """The partial file is of the code as it is now; what was kept on the way is not."""
    with monkeypatch.context() as patch:
        patch.setattr(loop, "code_digest", lambda: "other")
        loop.train(FEW, digits, folder, keep=(1,))
    interrupted_run(digits, folder)
    loop.train(FEW, digits, folder, keep=(1,), progress=counted)
    assert counted.done == list(range(1, 7))
    assert checkpoints.read(kept_in(folder)[1])[1]["code"] == loop.code_digest()
    assert are_equal(kept_in(folder)[1], course[1])


@pytest.mark.parametrize("keep, outside", [((-1, 0), "[-1]"), ((3, 7, 6, 9), "[7, 9]")])
def test_weights_that_a_run_never_has(folder, digits, keep, outside):
    with pytest.raises(ValueError) as caught:
        loop.train(FEW, digits, folder, keep=keep)
    assert str(caught.value) == f"keep {outside}: expected numbers from 0 to 6"
    assert not folder.exists()


# What an iteration does.


def one_step(config, dataset, network, iteration=0):
    """One step from scratch; the optimizer, as `train` makes it."""
    optimizer = torch.optim.SGD(
        network.parameters(), 0.1, momentum=0.9, weight_decay=0.1, nesterov=True
    )
    split = dataset.train
    loop.step(config, dataset, split.images, split.labels, network, optimizer, iteration)
    return optimizer


@pytest.mark.parametrize("settings", [{"active": 2}, {"survival": 0.3}])
def test_what_is_not_active_is_not_computed_and_does_not_move(digits, settings):
    config = replace(SMALL, precision="float32", **settings)
    counts = []
    for iteration in range(6):
        network = loop.new_network(config, digits).train()
        before = [{n: t.clone() for n, t in b.state_dict().items()} for b in network.blocks]
        calls = dict.fromkeys(range(6), 0)

        def hook(i, calls=calls):
            return lambda *_: calls.update({i: calls[i] + 1})

        for i, block in enumerate(network.blocks):
            block.residual.register_forward_hook(hook(i))
        optimizer = one_step(config, digits, network, iteration)
        for i, block in enumerate(network.blocks):
            state = block.state_dict()
            moved = [n for n, old in before[i].items() if not torch.equal(old, state[n])]
            # All but the mean and variance of a batch norm are parameters; all move or none.
            assert len(moved) == (len(state) if calls[i] else 0)
            parameters = set(block.parameters())
            assert len(parameters & set(optimizer.state)) == len(parameters) * bool(calls[i])
        counts.append(tuple(calls.values()))
    assert {c for count in counts for c in count} == {0, 1}
    assert len(set(counts)) > 2, "drawn anew in each iteration"
    if config.active:
        assert {sum(count) for count in counts} == {2}


def test_every_gate_learns(digits):
    """Not by weight decay alone: a gradient arrives, although the gates begin nearly shut.  Their
    convolutions begin at zero, so batch norm before them has to wait for the second step."""
    config = replace(SMALL, model="highway", depth=8, precision="float32")
    network = loop.new_network(config, digits).train()
    gates = [block.gate for block in network.blocks]
    before = [{n: p.detach().clone() for n, p in gate.named_parameters()} for gate in gates]
    for _ in range(2):
        one_step(config, digits, network)
    for gate, old in zip(gates, before, strict=True):
        for name, p in gate.named_parameters():
            assert p.grad.any() and not torch.equal(p, old[name])


def test_momentum_does_not_move_what_is_not_active(digits):
    config = replace(SMALL, active=2, precision="float32")
    network = loop.new_network(config, digits).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True)
    split, rested = digits.train, 0
    for iteration in range(8):
        before = [b.residual[2].weight.clone() for b in network.blocks]
        had_momentum = [b.residual[2].weight in optimizer.state for b in network.blocks]
        loop.step(config, digits, split.images, split.labels, network, optimizer, iteration)
        still = [
            torch.equal(old, b.residual[2].weight)
            for old, b in zip(before, network.blocks, strict=True)
        ]
        assert sum(still) == 4
        rested += sum(s and h for s, h in zip(still, had_momentum, strict=True))
    assert rested > 5


def test_one_step_is_stochastic_gradient_descent(digits):
    """By hand: rows in the order of the epoch, crops of the iteration, Nesterov's first step."""
    config = replace(SMALL, precision="float32")
    network = loop.new_network(config, digits).train()
    twin = loop.new_network(config, digits).train()
    iteration = 25  # The third batch but one of the second epoch of 22.
    order = torch.randperm(1437, generator=stream(0, "order", 1))
    rows = order[3 * 64 : 4 * 64]
    generator = stream(0, "iteration", iteration)
    x = digits.augment(digits.normalise(digits.train.images[rows]), generator)
    nn.functional.cross_entropy(twin(x), digits.train.labels[rows]).backward()
    one_step(config, digits, network, iteration)
    rate = recipes.learning_rate(config, iteration)
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        expected = q - rate * 1.9 * (q.grad + 0.1 * q)
        assert torch.allclose(p, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(weights(network), weights(twin), rtol=1e-3)


def test_train_is_steps_of_the_recipe(folder, digits):
    """Nesterov momentum and weight decay as the settings say; without either it would show."""
    config = replace(SMALL, iterations=4, weight_decay=0.1, precision="float32")
    tensors, _ = checkpoints.read(loop.train(config, digits, folder))
    device = loop.find_device()
    split = digits.train.to(device)

    def distance(**changes):
        network = loop.new_network(config, digits).to(device).train()
        settings = {"lr": 1.0, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True} | changes
        optimizer = torch.optim.SGD(network.parameters(), **settings)
        for i in range(4):
            loop.step(config, digits, split.images, split.labels, network, optimizer, i)
        found = torch.cat([tensors[n].flatten() for n, _ in network.named_parameters()])
        return (found - weights(network).cpu()).abs().max()

    assert distance() < 1e-4
    for changes in ({"nesterov": False}, {"weight_decay": 0.0}, {"momentum": 0.8}):
        assert distance(**changes) > 1e-3


def test_each_epoch_sees_every_image_once_in_an_order_of_its_own(digits, monkeypatch):
    """But for the rest that fills no batch: 1,437 = 22 x 64 + 29."""
    seen, normalise = [], digits.normalise
    monkeypatch.setattr(digits, "normalise", lambda i: seen.append(i.clone()) or normalise(i))
    config = replace(SMALL, depth=8, precision="float32")
    network = loop.new_network(config, digits).train()
    for iteration in range(44):
        one_step(config, digits, network, iteration)
    epochs = [torch.cat(seen[:22]), torch.cat(seen[22:])]
    for epoch in epochs:
        assert len({image.numpy().tobytes() for image in epoch}) == 22 * 64
    assert not torch.equal(*epochs)


@pytest.mark.usefixtures("no_global_draws")
def test_the_seed_alone_decides_the_weights(digits, tmp_path):
    def final(name, seed):
        config = replace(SMALL, iterations=3, depth=8, seed=seed)
        tensors, _ = checkpoints.read(loop.train(config, digits, tmp_path / name))
        return torch.cat([t.flatten().double() for t in tensors.values()])

    assert torch.equal(final("a", 0), final("b", 0))
    assert not torch.equal(final("a", 0), final("a", 1))


def test_streams():
    """One for each seed, purpose and number."""
    asked = [(0, "order", 1), (1, "order", 0), (0, "iteration", 1), (0, "order", 11)]
    draws = {tuple(torch.randint(1000, (5,), generator=stream(*a)).tolist()) for a in asked}
    assert len(draws) == 4
    one, same = (torch.rand(5, generator=stream(0, "order", 1)) for _ in range(2))
    assert torch.equal(one, same)


def test_training_learns(folder, digits):
    """Some seconds on digits: below the 90% of chance, however long it takes to be good."""
    config = replace(SMALL, depth=8, iterations=80, learning_rate=0.1)
    network, _ = loop.trained(config, digits, folder)
    split = digits.test
    with torch.no_grad():
        logits = network(digits.normalise(split.images).to(next(network.parameters()).device))
    assert (logits.argmax(1).cpu() != split.labels).double().mean() < 0.7


# Loading.


@pytest.mark.parametrize("settings, factor", [({}, None), ({"active": 3}, 0.5)])
def test_trained(folder, digits, settings, factor, counted):
    """The weights of the checkpoint, in eval mode, residuals scaled as they were active."""
    config = replace(SMALL, iterations=2, **settings)
    network, path = loop.trained(config, digits, folder, progress=counted)
    assert path.parent == folder and counted.done == [1, 2]
    assert not any(part.training for part in network.modules())
    tensors, _ = checkpoints.read(path)
    plain = loop.new_network(config, digits).eval()
    plain.load_state_dict(tensors)
    x = y = digits.normalise(digits.test.images[:4])
    y = plain.stem(x)
    for block in plain.blocks:
        y = block.skip(y) + block.residual(y) * (factor or 1)
    with torch.no_grad():
        found = network(x.to(next(network.parameters()).device)).cpu()
    assert torch.allclose(found, plain.head(y), rtol=1e-4, atol=1e-5)


def test_the_shelf_comes_first(folder, digits, counted, monkeypatch):
    config = replace(SMALL, iterations=2)
    places = Places(folder.parent)
    loop.train(config, digits, places.checkpoints)
    monkeypatch.setattr(loop, "code_digest", lambda: "changed")
    _, path = loop.trained(config, digits, folder, places=places, progress=counted)
    assert path.parent == places.checkpoints and counted.done == []
    assert not folder.exists()


def test_a_checkpoint_with_a_name_of_an_earlier_version(folder, digits, counted):
    config = replace(SMALL, iterations=2)
    places = Places(folder.parent)
    path = loop.train(config, digits, places.checkpoints)
    old = path.rename(path.with_name(older.name(config, digits.train.checksum)))
    assert old != path
    _, found = loop.trained(config, digits, folder, places=places, progress=counted)
    assert found == old and counted.done == []
    path.write_bytes(old.read_bytes())
    assert loop.find(path.parent, config, digits) == path, "the name of today comes first"


def test_a_named_checkpoint(folder, digits, counted):
    """Taken whatever made it; here the run of another seed."""
    other = loop.train(replace(SMALL, iterations=2, seed=5), digits, folder)
    network, path = loop.trained(SMALL, digits, folder, checkpoint=str(other), progress=counted)
    assert path == other and counted.done == []
    expected = checkpoints.read(other)[0]["stem.weight"]
    assert torch.equal(network.stem.weight.cpu(), expected)


def test_a_checkpoint_of_another_architecture(folder, digits):
    path = loop.train(replace(SMALL, iterations=1, depth=8), digits, folder)
    with pytest.raises(checkpoints.CheckpointError, match="holds another architecture") as caught:
        loop.load(SMALL, digits, path)
    assert str(path) in str(caught.value)


def test_the_subject_of_a_row(folder, digits):
    config = replace(SMALL, iterations=1, depth=8)
    path = loop.train(config, digits, folder)
    subject = loop.subject(config, digits, path)
    assert subject["dataset"] == "digits" and subject["model"] == "resnet8-digits-s0"
    assert subject["checkpoint"] == checkpoints.digest(path)
    assert subject["device"].split()[0] in ("cpu", "cuda", "mps")


# What must be refused.


def test_divergence(folder, digits):
    config = replace(SMALL, learning_rate=1e30, iterations=6)
    with pytest.raises(ArithmeticError, match="training diverged .*: try a lower learning rate"):
        loop.train(config, digits, folder)
    assert not list(folder.glob("*.safetensors"))


def test_divergence_is_never_saved(folder, digits):
    config = replace(SMALL, learning_rate=1e30, iterations=6)
    with pytest.raises(ArithmeticError):
        loop.train(config, digits, folder, save_seconds=0)
    (partial,) = folder.iterdir()
    tensors, _ = checkpoints.read(partial)
    assert all(torch.isfinite(t).all() for t in tensors.values())


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"batch_size": 1438}, "batch_size 1438: digits has 1437 images"),
        ({"active": 7}, "number of active modules 7: expected 0 to 6"),
        ({"active": -1}, "number of active modules -1: expected 0 to 6"),
        ({"depth": 15}, "depth 15: expected 6m"),
        ({"model": "alexnet"}, "model 'alexnet'"),
        ({"model": "vgg15", "active": 3}, "vgg15"),
        ({"model": "vgg15", "survival": 0.5}, "vgg15"),
        ({"model": "highway", "active": 3}, "highway"),
        ({"model": "highway", "survival": 0.5}, "highway"),
    ],
)
def test_a_run_that_cannot_be(folder, digits, settings, reason):
    """Refused before anything is written."""
    with pytest.raises(ValueError, match=reason):
        loop.train(replace(SMALL, iterations=1, **settings), digits, folder)
    assert not folder.exists()


# The command line.


def run_command(monkeypatch, *words):
    """What `python -m study.training` returns, run here."""
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    return command.main()


def test_the_command_line(folder, monkeypatch, capsys):
    words = ["--dataset", "digits", "--depth", 8, "--iterations", 2, "--batch-size", 16]
    assert run_command(monkeypatch, *words, "--active", 2, "--folder", folder) == 0
    (path,) = folder.iterdir()
    assert capsys.readouterr().out.strip() == str(path)
    about = checkpoints.read(path)[1]
    expected = TrainConfig(dataset="digits", depth=8, iterations=2, batch_size=16, active=2)
    assert TrainConfig(**about["config"]) == expected


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--dataset", "mnist"], "dataset 'mnist'"),
        (["--dataset", "folder:/nowhere"], "/nowhere: expected the folders"),
        (["--depth", 9], "depth 9"),
        (["--active", 99], "active modules 99"),
        (["--recipe", "adam"], "recipe 'adam'"),
        (["--precision", "float8"], "precision 'float8'"),
        (["--learning-rate", -1], "learning rate"),
        (["--learning-rate", 1e30, "--iterations", 6], "training diverged"),
    ],
)
def test_a_wrong_option_is_one_line(folder, monkeypatch, capfd, words, reason):
    common = ["--dataset", "digits", "--depth", 8, "--batch-size", 16, "--folder", folder]
    assert run_command(monkeypatch, *common, *words) == 1
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
    assert reason in error
    assert not folder.exists() or reason == "training diverged", "nothing is left behind"


def test_a_folder_that_is_a_file(tmp_path, monkeypatch, capfd):
    (tmp_path / "runs").write_text("not a folder")
    words = ["--dataset", "digits", "--depth", 8, "--folder", tmp_path / "runs"]
    assert run_command(monkeypatch, *words) == 1
    _, error = capfd.readouterr()
    assert f"{tmp_path / 'runs'}" in error and error.count("\n") == 1
    assert "choose another folder" in error


def test_a_corrupt_checkpoint(folder, monkeypatch, capfd):
    words = ["--dataset", "digits", "--depth", 8, "--iterations", 1, "--batch-size", 16]
    assert run_command(monkeypatch, *words, "--folder", folder) == 0
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    capfd.readouterr()
    assert run_command(monkeypatch, *words, "--folder", folder) == 1
    _, error = capfd.readouterr()
    assert f"{path} is damaged" in error and error.count("\n") == 1


def test_interrupted(folder, monkeypatch, capfd):
    monkeypatch.setattr(loop, "step", lambda *_: interrupt_at(0)(0, 0, 0))
    words = ["--dataset", "digits", "--depth", 8, "--folder", folder]
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    assert commands.run("study.training.command", "the same command goes on from here") == 130
    assert capfd.readouterr().err == "interrupted: the same command goes on from here\n"


def test_help():
    """As typed; it names every setting."""
    done = subprocess.run(
        [sys.executable, "-m", "study.training", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == ""
    for name in TrainConfig.__dataclass_fields__:
        assert "--" + name.replace("_", "-") in done.stdout


BARE = """
import runpy, sys

ABSENT = ("sklearn scipy matplotlib IPython ipywidgets ipykernel papermill nbformat nbclient "
             "jupytext jupyter_book sphinx pandas tqdm requests yaml pytest").split()
sys.modules.update(dict.fromkeys(ABSENT))  # None stands for a module that is not there.
sys.argv = ["training"] + sys.argv[1:]
runpy.run_module("study.training", run_name="__main__")
"""


def test_a_machine_with_little_installed(tmp_path):
    """Only torch, torchvision, numpy and safetensors: a run on a folder of images, as typed."""
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "images" / place).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / place / "0.png")
    words = ["--depth", 8, "--iterations", 2, "--batch-size", 2, "--folder", tmp_path / "runs"]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            BARE,
            "--dataset",
            f"folder:{tmp_path / 'images'}",
            *map(str, words),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").iterdir()
    assert done.stdout.strip() == str(path) and done.stderr == ""
