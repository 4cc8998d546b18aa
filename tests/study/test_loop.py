"""Runs: the weights that they keep, how their networks are loaded, what is refused."""

from dataclasses import replace

import pytest
import torch

from study.places import Places
from study.training import checkpoints, loop, older
from study.training.recipes import TrainConfig
from tests.runs import SMALL, interrupt_at

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
