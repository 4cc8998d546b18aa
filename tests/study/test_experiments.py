"""Each experiment against direct computation on small networks in float64."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import combinatorics, gradients, lesions
from study import experiments
from study.data import Split, load
from study.experiments import Subject
from study.places import Places
from study.records import store
from study.training import checkpoints, loop
from study.training.recipes import TrainConfig

CONFIG = TrainConfig(dataset="digits", depth=20, iterations=4, recipe="compact", seed=3)
MEASURED_ANEW = ("date", "seconds")


@pytest.fixture(scope="module")
def digits():
    """The embedded images."""
    return load("digits")


@pytest.fixture
def subject(new_network, digits, tmp_path):
    """Nine modules for digits, in float64, never trained: their errors differ all the same."""
    network, path = new_network(depth=20), tmp_path / "net.safetensors"
    checkpoints.write(path, network.state_dict(), {"seconds": 7.5})
    return Subject(network, CONFIG, digits, path)


@pytest.fixture
def test(digits):
    """Forty test images."""
    return digits.test.first(40)


@pytest.fixture
def few(digits):
    """Three training images."""
    return experiments.drawn(digits.train, 3, seed=5)


def error(subject, network, split):
    """The share of a split that a network gets wrong, image by image."""
    x = subject.data.normalise(split.images).double()
    with torch.no_grad():
        wrong = [network(x[[i]]).argmax() != label for i, label in enumerate(split.labels)]
    return sum(map(int, wrong)) / len(wrong)


def without(network, modules):
    """A copy whose residuals of these modules answer zero."""
    copy = deepcopy(network)
    for i in modules:
        nn.init.zeros_(copy.blocks[i].residual[-1].weight)
    return copy


def without_times(row):
    """A row, less what every measurement has of its own."""
    return {name: entry for name, entry in row.items() if name not in MEASURED_ANEW}


RUNS = {
    "deletion": lambda s, test, few, **o: experiments.deletion(s, test, "float32", **o),
    "random_deletions": lambda s, test, few, **o: experiments.random_deletions(
        s, test, 4, 3, 1, precision="float32", **o
    ),
    "reordering": lambda s, test, few, **o: experiments.reordering(s, test, 5, 1, "float32", **o),
    "by_length": lambda s, test, few, **o: experiments.by_length(s, few, 5, **o),
    "by_module": lambda s, test, few, **o: experiments.by_module(s, few, 5, **o),
    "sampled_norms": lambda s, test, few, **o: experiments.sampled_norms(s, few, 2, 5, **o),
    "signed_norms": lambda s, test, few, **o: experiments.signed_norms(s, few, 2, 5, **o),
}
every_experiment = pytest.mark.parametrize("name", RUNS)


@every_experiment
def test_a_row_says_what_was_measured(name, subject, test, few):
    row = RUNS[name](subject, test, few)
    split = test if name in ("deletion", "random_deletions", "reordering") else few
    assert row["experiment"] == name and row["dataset"] == row["config"]["dataset"] == "digits"
    assert row["data_checksum"] == split.checksum
    assert row["checkpoint"] == loop.subject(CONFIG, subject.data, subject.path)["checkpoint"]
    assert row["config"]["depth"] == 20 and row["model"] == CONFIG.label
    assert row["config"].get("images", row["samples"]) == len(split.labels)
    assert 0 < row["seconds"] < 60


@every_experiment
def test_the_same_seed_gives_the_same_row(name, subject, test, few, no_global_draws):
    first, again = (without_times(RUNS[name](subject, test, few)) for _ in range(2))
    assert first == again


@every_experiment
def test_the_network_stays_as_it_was(name, subject, test, few, untouched):
    with untouched(subject.network):
        RUNS[name](subject, test, few)


@every_experiment
def test_work_that_is_stopped_leaves_no_row_and_the_network_as_it_was(
    name, subject, test, few, untouched, tmp_path
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with untouched(subject.network), pytest.raises(KeyboardInterrupt):
        RUNS[name](subject, test, few, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_a_deleted_module_is_one_whose_residual_is_zero(subject, test):
    value = experiments.deletion(subject, test, "float32")["value"]
    expected = [error(subject, without(subject.network, [i]), test) for i in range(9)]
    assert value["errors"] == expected and len(set(expected)) > 1
    assert value["intact"] == error(subject, subject.network, test)
    assert value["downsampling"] == [3, 6] and value["classes"] == 10


def test_the_recorded_orders_reproduce_the_errors(subject, test):
    """Each draw is an order of removal, whose first k modules are the set of k."""
    row = experiments.random_deletions(subject, test, 4, 3, seed=1, precision="float32")
    value = row["value"]
    assert value["deleted"] == [1, 2, 3, 4] and row["samples"] == 3
    for k, errors in zip(value["deleted"], value["errors"], strict=True):
        sets = [order[:k] for order in value["orders"]]
        assert errors == [error(subject, without(subject.network, few), test) for few in sets]
    assert len({tuple(order) for order in value["orders"]}) == 3
    other = experiments.random_deletions(subject, test, 4, 3, seed=2, precision="float32")
    assert other["value"]["orders"] != value["orders"]


def test_downsampling_modules_can_be_spared(subject, test):
    """No more are deleted than there are others."""
    row = experiments.random_deletions(
        subject, test, 20, 2, seed=0, spare_downsampling=True, precision="float32"
    )
    orders = row["value"]["orders"]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 4, 5, 7, 8]] * 2
    assert row["config"]["spare_downsampling"] is True


def test_the_recorded_orders_of_reordering_reproduce_the_errors(subject, test):
    value = experiments.reordering(subject, test, 5, seed=1, precision="float32")["value"]
    views = [
        subject.network.with_blocks([subject.network.blocks[i] for i in order])
        for order in value["orders"]
    ]
    assert value["errors"] == [error(subject, view, test) for view in views]
    assert value["tau"] == [lesions.kendall_tau(order) for order in value["orders"]]
    assert len({tuple(order) for order in value["orders"]}) > 1


def image_gradients(subject, split, skipped=None):
    """The gradient of each image's loss at the first module's input, by autograd: (B, C, H, W).

    With a module `skipped`, its residual passes no gradient.
    """
    x, labels = subject.data.normalise(split.images).double(), split.labels
    y = subject.network.stem(x).detach().requires_grad_()
    out = y
    for i, block in enumerate(subject.network.blocks):
        residual = block.residual(out)
        out = block.skip(out) + (residual.detach() if i == skipped else residual)
    F.cross_entropy(subject.network.head(out), labels, reduction="sum").backward()
    return y.grad


def test_exact_gradients_by_length(subject, few):
    """Of nine modules all 512 paths can be visited."""
    value = experiments.by_length(subject, few, seed=5)["value"]
    every = combinatorics.every(9)
    x, labels = subject.data.normalise(few.images).double(), few.labels
    g, lengths = image_gradients(subject, few), every.sum(1)
    along = torch.stack(
        [
            gradients.along_paths(
                subject.network, x, labels, every, rows=torch.full((512,), i)
            ).flatten(1)
            for i in range(3)
        ]
    )
    for k in range(10):
        of_length = along[:, lengths == k].sum(1)
        assert value["norms"][k] == pytest.approx(float(of_length.norm(dim=1).mean()), rel=1e-9)
        assert value["squares"][k] == pytest.approx(
            float((of_length.norm(dim=1) ** 2).mean()), rel=1e-9
        )
        share = float(of_length.flatten() @ g.flatten() / (g * g).sum())
        assert value["shares"][k] == pytest.approx(share, rel=1e-9, abs=1e-12)


def test_exact_gradients_by_module(subject, few):
    """What is lost from the gradient without the paths that enter a module."""
    value = experiments.by_module(subject, few, seed=5)["value"]
    g = image_gradients(subject, few).flatten(1)
    for i in range(9):
        rest = image_gradients(subject, few, skipped=i).flatten(1)
        through = ((g - rest) * g).sum(1)
        assert value["shares"][i] == pytest.approx(float(through.sum() / (g * g).sum()), rel=1e-9)
        own = (through / (g * g).sum(1)).mean()
        assert value["by_image"][i] == pytest.approx(float(own), rel=1e-9)
    by_length = experiments.by_length(subject, few, seed=5)["value"]
    for name in ("shares", "by_image"):
        mean = sum(k * share for k, share in enumerate(by_length[name]))
        assert sum(value[name]) == pytest.approx(mean, rel=1e-9)
        assert sum(by_length[name]) == pytest.approx(1, rel=1e-9)


def test_gradients_with_batch_statistics_are_those_of_training(subject, few):
    row = experiments.by_length(subject, few, seed=5, batch_statistics=True)
    assert row["config"]["batch_statistics"] is True and not subject.network.training
    twin = replace(subject, network=deepcopy(subject.network).train())
    x, labels = twin.ready(few)
    expected = gradients.shares(gradients.by_length(twin.network, x, labels)).tolist()
    assert row["value"]["shares"] == pytest.approx(expected, rel=1e-9)
    plain = experiments.by_length(subject, few, seed=5)
    assert "batch_statistics" not in plain["config"]
    assert plain["value"]["shares"] != pytest.approx(expected, rel=1e-3)


def test_at_the_image(subject, few):
    here, there = (experiments.by_length(subject, few, 5, at_image=at) for at in (False, True))
    assert (here["config"]["at_image"], there["config"]["at_image"]) == (False, True)
    assert here["value"]["norms"] != pytest.approx(there["value"]["norms"], rel=1e-3)


def test_sampled_norms_of_the_two_lengths_of_which_there_is_one_path(subject, few):
    """Along the path of full length every sample of an image is the same."""
    one = few.first(1)
    value = experiments.sampled_norms(subject, one, 3, seed=5)["value"]
    x, label = subject.ready(one)
    longest = gradients.along_paths(subject.network, x, label, torch.ones(1, 9, dtype=torch.bool))
    assert value["lengths"] == list(range(1, 10)) and value["modules"] == 9
    for name in ("mean", "p10", "p50", "p90"):
        assert value[name][-1] == pytest.approx(float(longest.norm()), rel=1e-9)
    assert value["p10"][0] < value["mean"][0] < value["p90"][0]


def test_signed_norms_of_the_shortest_and_the_longest_path(subject, few):
    """Of lengths 0 and n there is one path each, whose norm no sign changes."""
    row = experiments.signed_norms(subject, few, 2, seed=5)
    norms = experiments.by_length(subject, few, seed=5)["value"]["squares"]
    for k in (0, 9):
        assert row["value"]["sum_of_squares"][k] == pytest.approx(norms[k], rel=1e-9)
        assert row["value"]["rms"][k] == pytest.approx(norms[k] ** 0.5, rel=1e-9)
        assert row["value"]["error"][k] == pytest.approx(0, abs=1e-9 * norms[k])
    counts = combinatorics.counts_by_length(9)
    assert row["value"]["rms"][4] ** 2 * counts[4] == pytest.approx(
        row["value"]["sum_of_squares"][4], rel=1e-9
    )
    assert row["samples"] == 6


def test_training_tells_which_images_are_wrong(subject, test):
    row = experiments.training(subject, test, "float32")
    x, _ = subject.ready(test)
    with torch.no_grad():
        wrong = [i for i in range(40) if subject.network(x[[i]]).argmax() != test.labels[i]]
    assert row["value"] == {"error": len(wrong) / 40, "wrong": wrong, "modules": 9}
    assert row["seconds"] == 7.5  # As the checkpoint says: what the training took.


def test_drawn_images_are_others_where_some_are_skipped(digits):
    first, others = (experiments.drawn(digits.train, 50, 1, skip=n) for n in (0, 50))
    whole = experiments.drawn(digits.train, 100, 1)
    assert torch.equal(torch.cat([first.images, others.images]), whole.images)
    assert not torch.equal(experiments.drawn(digits.train, 50, 2).images, first.images)
    assert len({image.numpy().tobytes() for image in whole.images}) == 100


@pytest.mark.parametrize("n, skip", [(0, 0), (-1, 0), (6, 0), (3, 3)])
def test_no_more_images_can_be_drawn_than_there_are(n, skip):
    split = Split(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match=rf"{n} images: expected 1 to {5 - skip}"):
        experiments.drawn(split, n, 0, skip=skip)


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A run of four iterations, kept at its start and at its end."""
    places = Places(tmp_path_factory.mktemp("project"))
    return Subject.trained(replace(CONFIG, depth=14), digits, places, keep=(0, 4))


def test_a_run_is_made_once_and_found_again(run, digits):
    places = Places(run.path.parents[2])
    again = Subject.trained(run.config, digits, places)
    assert again.path == run.path
    named = Subject.trained(run.config, digits, checkpoint=str(run.path))
    for other in (again, named):
        for name, tensor in run.network.state_dict().items():
            assert torch.equal(tensor, other.network.state_dict()[name])


def test_the_course_of_a_run(run, digits, few):
    others = experiments.drawn(digits.train, 128, 5, skip=3)
    row = experiments.dynamics(run, [0, 4], few, others, seed=5)
    value = row["value"]
    assert value["iterations"] == [0, 4] and row["samples"] == 3
    assert value["gamma"][0] == 1 != value["gamma"][1]
    assert np.sum(value["shares"], axis=1) == pytest.approx([1, 1], abs=1e-5)
    # At the start by hand: with the statistics of one batch, and the first weights.
    first = loop.new_network(run.config, digits).train()
    for norm in (m for m in first.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 1.0
    with torch.no_grad():
        first(digits.normalise(others.images))
        loss = F.cross_entropy(first.eval()(digits.normalise(few.images)), few.labels)
    assert value["loss"][0] == pytest.approx(float(loss), rel=1e-4)
    assert value["loss"][1] != pytest.approx(float(loss), rel=1e-4)


def test_exchanged_scales(run, digits, few, untouched):
    others = experiments.drawn(digits.train, 128, 5, skip=3)
    with untouched(run.network):
        value = experiments.scaling(run, few, others, seed=5)["value"]
    course = experiments.dynamics(run, [0, 4], few, others, seed=5)["value"]
    assert value["shares"]["start"] == pytest.approx(course["shares"][0], abs=1e-6)
    assert value["shares"]["end"] == pytest.approx(course["shares"][1], abs=1e-6)
    for name, shares in value["shares"].items():
        assert value[name] == pytest.approx(sum(k * s for k, s in enumerate(shares)))
    assert len({round(value[name], 9) for name in value["shares"]}) == 5


def test_four_ways_to_test_a_network_trained_on_a_part(digits, test, tmp_path):
    config = replace(CONFIG, depth=14, active=2)
    subject = Subject.trained(config, digits, Places(tmp_path))
    few = digits.train.first(128)
    row = experiments.test_time(subject, test, few, "float32")
    assert list(row["value"]) == [
        "scaled", "scaled, new statistics", "unscaled", "unscaled, new statistics",
    ]  # fmt: skip
    plain = loop.load(replace(config, active=0), digits, subject.path)
    x, labels = subject.ready(test)
    with torch.no_grad():
        found = [net(x).argmax(1) != labels for net in (subject.network, plain)]
    wrong = [float(each.double().mean()) for each in found]
    assert [row["value"]["scaled"], row["value"]["unscaled"]] == pytest.approx(wrong)
    assert row["config"]["n_statistics"] == 128 and row["config"]["active"] == 2


def test_gates_and_where_weight_decay_alone_takes_them(digits, test, tmp_path):
    config = replace(CONFIG, model="highway", depth=14)
    subject = Subject.trained(config, digits, Places(tmp_path))
    value = experiments.gates(subject, test)["value"]
    assert len(value["mean"]) == 6
    bias = loop.new_network(config, digits).blocks[0].gate[-2].bias.detach()
    assert value["start"] == pytest.approx(float(bias.sigmoid().mean()), abs=1e-6)
    # Nesterov's momentum by hand, at the paper's first rate of 0.01: the decay is all the gradient.
    strong = replace(config, iterations=3, momentum=0.5, weight_decay=10.0, recipe="paper")
    bias, speed = math.log(0.1 / 0.9), 0.0
    for _ in range(3):
        speed = 0.5 * speed + 10 * bias
        bias -= 0.01 * (10 * bias + 0.5 * speed)
    expected = 1 / (1 + math.exp(-bias))
    assert experiments.gate_without_loss(strong, 0.1) == pytest.approx(expected, rel=1e-5)
    assert 0.12 < expected < 0.3


def test_every_row_can_be_written_and_read(subject, test, few, tmp_path):
    rows = [make(subject, test, few) for make in RUNS.values()]
    store.append(tmp_path / "rows.jsonl", *rows)
    assert len(store.read(tmp_path)) == len(rows)
