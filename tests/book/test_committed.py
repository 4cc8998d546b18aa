"""What the repository carries: weights that fit their networks, rows that are found again from
them, and a card that says so."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from helpers import lesions, models, sweep
from study import claims, data, plan
from study.records import store
from study.training import checkpoints, loop, publishing, recipes
from study.training.recipes import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
SHELF = ROOT / "book" / "checkpoints"
ROWS = store.read(ROOT / "book" / "results")
FILES = {checkpoints.digest(path): path for path in sorted(SHELF.glob("*.safetensors"))}
# Measured on weights that were kept along a run, and on its end before it was rounded.
ALONG_A_RUN = {"dynamics", "scaling"}
IMAGES = 2000
CHANNELS, IMAGES_IN_ALL = {"cifar10": 3, "digits": 1}, {"cifar10": 10_000, "digits": 360}


def test_there_are_weights_and_rows():
    assert FILES and any(row["experiment"] == "training" for row in ROWS)


@pytest.mark.parametrize("path", FILES.values(), ids=lambda path: path.stem)
def test_weights_fit_the_network_that_they_say_they_are_of(path):
    tensors, about = checkpoints.read(path)
    config = TrainConfig(**about["config"])
    network = recipes.build(config, CHANNELS[config.dataset], classes=10)
    checkpoints.fill(network, tensors, path)
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())
    assert about["iterations"] == config.iterations and about["seconds"] > 0


@pytest.mark.parametrize("path", FILES.values(), ids=lambda path: path.stem)
def test_weights_are_where_the_chapters_look_for_them(path):
    """The name, or an earlier one, follows from the settings and the training images."""
    about = checkpoints.read(path)[1]
    config, checksum = TrainConfig(**about["config"]), about["data_checksum"]
    assert config.dataset in CHANNELS
    train = SimpleNamespace(checksum=checksum)
    assert loop.find(SHELF, config, SimpleNamespace(train=train)) == path


@pytest.mark.parametrize("path", FILES.values(), ids=lambda path: path.stem)
def test_every_network_has_a_row_of_its_error(path):
    digest, config = checkpoints.digest(path), checkpoints.read(path)[1]["config"]
    (row,) = [r for r in ROWS if r["experiment"] == "training" and r["checkpoint"] == digest]
    assert {name: row["config"][name] for name in config} == config
    assert row["value"]["error"] == len(row["value"]["wrong"]) / row["samples"]
    assert row["samples"] == IMAGES_IN_ALL[config["dataset"]] and row["value"]["modules"] > 0


def test_every_row_was_measured_on_weights_that_are_here():
    lost = {
        (row["experiment"], row["model"], row["checkpoint"][:10])
        for row in ROWS
        # Untrained networks have none: their seed is enough.
        if row["experiment"] not in {*ALONG_A_RUN, "start_of_training"}
        and row["checkpoint"] not in FILES
    }
    assert not lost


def test_the_card_is_that_of_these_files_and_rows():
    """As `python -m study.reference` writes it after each part."""
    assert (SHELF / "README.md").read_text(encoding="utf8") == publishing.card(ROWS, SHELF)


@pytest.mark.parametrize("kind", [claims.FULL, claims.PLAIN], ids=lambda kind: kind["model"])
def test_recorded_mistakes_are_found_again(cifar_dir, kind):
    """The first 2,000 test images through the committed weights.

    The row was measured in bfloat16 on a CPU that has it.  Another one, a GPU, or float32 rounds
    elsewhere, which can turn an image whose two best classes are all but equal: the number of
    mistakes may differ by four, 0.2 points, and eight may be of other images (float32: four).
    """
    row = claims.example(ROWS, "training", **kind)
    path, cifar = FILES[row["checkpoint"]], data.load("cifar10", cifar_dir)
    config = TrainConfig(**checkpoints.read(path)[1]["config"])
    assert checkpoints.read(path)[1]["data_checksum"] == cifar.train.checksum
    assert row["data_checksum"] == cifar.test.checksum
    network, few = loop.load(config, cifar, path), cifar.test.first(IMAGES)
    images = cifar.normalise(few.images).to(loop.find_device())
    (predicted,) = sweep.predictions([network], images, precision="auto")
    found = set((predicted != few.labels).nonzero().flatten().tolist())
    recorded = {i for i in row["value"]["wrong"] if i < IMAGES}
    assert abs(len(found) - len(recorded)) <= 4
    assert len(found ^ recorded) <= 8


@pytest.mark.parametrize("config", plan.small_networks(), ids=lambda config: config.label)
def test_small_networks_are_here_and_err_as_recorded(config):
    """What the chapters take unless told otherwise.  Another machine may turn two images."""
    digits = data.load("digits")
    path = loop.find(SHELF, config, digits)
    (row,) = [r for r in ROWS if r["checkpoint"] == checkpoints.digest(path)]
    network, images = loop.load(config, digits, path), digits.normalise(digits.test.images)
    (predicted,) = sweep.predictions([network], images.to(loop.find_device()))
    found = set((predicted != digits.test.labels).nonzero().flatten().tolist())
    assert len(found ^ set(row["value"]["wrong"])) <= 2


def drawn_again(experiment, places):
    """The row of an experiment with many draws, and lesions drawn once more from its seed: (draw of
    the row, view of the network, recorded error) for the draws of these numbers."""
    row = claims.example(ROWS, experiment, **claims.FULL)
    path, value = FILES[row["checkpoint"]], row["value"]
    generator = torch.Generator().manual_seed(row["seed"])
    network = models.resnet(row["config"]["depth"])
    if experiment == "reordering":
        errors = value["errors"]
        orders = [lesions.swapped(network, k, generator) for k in value["swaps"]]
        assert [lesions.kendall_tau(order) for order in orders] == value["tau"]
        views = [partial(lesions.reorder, order=order) for order in orders]
    else:
        errors = sum(value["errors"], [])
        counts, draws = value["deleted"], len(value["errors"][0])
        drawn = lesions.random_lesions(network, counts, draws, generator, [])
        views = [partial(lesions.delete, modules=m) for sets in drawn for m in sets]
    assert len(views) == len(errors)
    return row, path, [(views[i], errors[i]) for i in places]


@pytest.mark.parametrize("experiment", ["random_deletions", "reordering"])
def test_recorded_draws_can_be_drawn_again(cifar_dir, experiment):
    """The sliders show which modules a recorded draw deleted or moved: the same lesions, measured
    again, make the recorded errors.  Another machine may round otherwise: half a point is allowed.
    """
    row, path, draws = drawn_again(experiment, (3, 120, 333))
    cifar = data.load("cifar10", cifar_dir)
    few = cifar.test.first(row["config"]["images"])
    network = loop.load(TrainConfig(**checkpoints.read(path)[1]["config"]), cifar, path)
    images = cifar.normalise(few.images).to(loop.find_device())
    found = sweep.errors([view(network) for view, _ in draws], images, few.labels)
    recorded = [error for _, error in draws]
    assert len(set(recorded)) == 3 and found == pytest.approx(recorded, abs=0.005)
