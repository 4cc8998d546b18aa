"""The plain versions that speeds are measured against give the answers of the fast ones."""

import json
from copy import deepcopy

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import growth, plain, steps, subject, sweeps, timing
from benchmarks import paths as paths_bench
from helpers import combinatorics, gradients, lesions, sweep
from study.data import Dataset, Split
from study.data import load as load_data
from study.records import commit, store
from study.training import loop, recipes
from study.training.iteration import stream


def test_path_gradient(new_network, images, labels, generator):
    network = new_network().requires_grad_(False)
    for path in combinatorics.sample(6, 3, 4, generator):
        expected = gradients.along_paths(network, images, labels, path.expand(5, 6))
        found = plain.path_gradient(network, images, labels, path)
        assert ((found - expected).norm() / expected.norm()).item() < 1e-12


def test_predictions(new_network, images):
    network = new_network(depth=20).eval()
    variants = sweeps.single_deletions(network)
    found = plain.predictions(variants, images, 2)
    assert torch.equal(found, sweep.predictions(variants, images, 3))


def test_train_step(generator):
    """Two steps: the weights are those after two steps of `training.step` on the same batches."""
    images = torch.randint(256, (16, 1, 8, 8), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.randint(10, (16,), generator=generator))
    data = Dataset("noise", [str(i) for i in range(10)], 0, False, lambda _: split)
    config = recipes.TrainConfig(
        dataset="noise", depth=8, batch_size=16, iterations=2, precision="float32"
    )
    ours = loop.new_network(config, data).train()
    theirs, mine = deepcopy(ours), loop.new_optimizer(config, ours)
    sgd = loop.new_optimizer(config, theirs)
    for iteration in range(2):
        order = torch.randperm(16, generator=stream(config.seed, "order", iteration))
        loss = loop.step(config, data, split.images, split.labels, ours, mine, iteration)
        for group in sgd.param_groups:
            group["lr"] = recipes.learning_rate(config, iteration)
        x = data.normalise(split.images[order])
        expected = plain.train_step(theirs, sgd, x, split.labels[order])
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_limit_of_single_deletions(new_network):
    """n (n - 1) modules one after the other, or those of the prefix tree: about half."""
    network = new_network(depth=56)
    variants, n = sweeps.single_deletions(network), 27
    plainly = n * (n - 1) + 2  # The two that downsample leave their skip connection.
    shared = sweep.prefix_tree(variants).size
    assert sweeps.limit(variants) == pytest.approx(plainly / shared)
    assert 1.8 < plainly / shared < 2


def test_sweeps_are_those_of_the_figures(new_network):
    network = new_network(depth=110)
    gone = [sum(b is not m for b, m in zip(v.blocks, network.blocks, strict=True))
            for v in sweeps.random_deletions(network, 2)]  # fmt: skip
    assert gone == [k for k in range(1, 21) for _ in range(2)]
    taus = [lesions.kendall_tau([list(network.blocks).index(b) for b in v.blocks])
            for v in sweeps.reorderings(network, 2)]  # fmt: skip
    assert len(taus) == 40 and max(taus) < 1


def test_alternately():
    """Once for warmth, then in turn; the median."""
    calls = []
    seconds = timing.alternately(3, a=lambda: calls.append("a"), b=lambda: calls.append("b"))
    assert "".join(calls) == "ab" + "ababab"
    assert set(seconds) == {"a", "b"} and min(seconds.values()) >= 0


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The smallest subject, few of everything, and a folder of its own."""
    data = load_data("digits")
    config = recipes.reference("digits", 2, depth=14, batch_size=8)
    network = loop.new_network(config, data).eval().requires_grad_(False)
    about = {"dataset": "digits", "model": "tiny", "checkpoint": "none", "device": "cpu"}
    about |= {"data_checksum": data.train.checksum}
    on = subject.Subject(data, config, network, about, torch.device("cpu"))
    monkeypatch.setattr(subject, "load", lambda name: on)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(commit, "code_version", lambda: {"commit": "a" * 40, "dirty": False})
    for module, name, value in (
        (growth, "MODULES", (6, 9)), (growth, "IMAGES", (1, 2)), (growth, "VARIANTS", (1, 10)),
        (paths_bench, "SAMPLES", 100), (paths_bench, "EACH", 5), (paths_bench, "IMAGES", 4),
        (sweeps, "BATCH", 16), (sweeps, "FEW", 16), (sweeps, "DRAWS", 10),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    here = {"paths.memory": paths_bench.memory, "steps.training_steps": steps.training_steps}
    monkeypatch.setattr(subject, "apart", lambda function, *on: here[function](*on))
    return tmp_path


@pytest.mark.filterwarnings("ignore")
def test_every_experiment_runs(tiny, monkeypatch, capsys):
    """Down to the file of rows, and the recorded one only where asked for."""
    monkeypatch.setattr("sys.argv", ["benchmarks", "--repeats", "1", "--dataset", "digits"])
    assert command.main() == 0
    rows = json.loads((tiny / "runs" / "bench.json").read_text())
    assert not (tiny / "book").exists()
    timed = [r["value"] for r in rows if "plain" in r["value"]]
    assert len(timed) >= 12
    assert all(v["plain"] > 0 and v["ours"] > 0 and v["note"] for v in timed)
    printed = capsys.readouterr().out
    for row in rows:
        assert row["experiment"].removeprefix("bench ") in printed
    for which in ("memory", "exactness", "memory"):
        argv = f"benchmarks --repeats 1 --only {which} --record".split()
        monkeypatch.setattr("sys.argv", argv)
        assert command.main() == 0
    recorded = store.read(tiny / "book" / "results")
    assert [r["experiment"] for r in recorded] == ["bench exactness", "bench memory"]
    assert recorded[0]["value"]["float64 against autograd"] < 1e-12


def test_data_that_is_not_there(monkeypatch, capsys):
    def missing(name):
        raise ValueError("no such data")

    monkeypatch.setattr(subject, "load", missing)
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    assert command.main() == 1
    assert "error: no such data" in capsys.readouterr().err


def test_nothing_is_recorded_by_code_of_no_known_commit(tiny, monkeypatch, capsys):
    monkeypatch.setattr(commit, "code_version", lambda: {"commit": None, "dirty": None})
    words = "benchmarks --repeats 1 --only exactness --record".split()
    monkeypatch.setattr("sys.argv", words)
    assert command.main() == 1
    assert "--unknown-commit" in capsys.readouterr().err and not (tiny / "book").exists()
    monkeypatch.setattr("sys.argv", [*words, "--unknown-commit"])
    assert command.main() == 0 and (tiny / "book").exists()


def test_a_process_of_its_own(monkeypatch):
    """What it prints last is what comes back."""
    on = subject.Subject(load_data("digits"), None, None, {}, torch.device("cpu"))
    here = "print('[1]'); print(json.dumps([len('digits'), 3]))"
    run = subject.subprocess.run
    monkeypatch.setattr(
        subject.subprocess,
        "run",
        lambda command, **more: (
            run([*command[:2], f"import json; {here}"], **more)
            if "paths.memory(subject.load('digits'), 3)" in command[2]
            else None
        ),
    )
    assert subject.apart("paths.memory", on, 3) == [6, 3]
