"""The shelf: half the size, the same network, and never a network that rounding spoiled."""

import multiprocessing
import os
from dataclasses import replace

import pytest
import torch

from helpers import devices, sweep
from study import data
from study.training import checkpoints, drift, loop, older, publishing, recipes
from study.training.recipes import TrainConfig

CONFIG = TrainConfig(
    dataset="digits",
    depth=8,
    recipe="compact",
    iterations=3,
    batch_size=32,
    learning_rate=0.1,
    precision="float32",
)
# How good the network is does not matter: its labels are what it says, but for every fifth.
WRONG = list(range(0, 100, 5))


def says(config, dataset, path, images):
    """What the network in a file, rounded, takes images for, and by what margin."""
    tensors = publishing.rounded(checkpoints.read(path)[0])
    network = loop.network_of(config, dataset, tensors, path)
    with torch.no_grad():
        best = network(dataset.normalise(images)).cpu().topk(2)
    return best.indices[:, 0], (best.values[:, 0] - best.values[:, 1]) / best.values.abs().amax(1)


def labelled(dataset, labels):
    """The data set with other labels for the test."""
    copy = data.load("digits")
    copy.test = data.Split(dataset.test.images, labels)
    return copy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, where it was trained."""
    return loop.train(CONFIG, data.load("digits"), tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def digits(run):
    """With a hundred test images of which the network is so sure that no rounding turns one."""
    found = data.load("digits")
    said, margin = says(CONFIG, found, run, found.test.images)
    sure = margin.argsort(descending=True)[:100]
    assert margin[sure].min() > 0.01
    labels = said[sure]
    labels[WRONG] = (labels[WRONG] + 1) % 10
    found.test = data.Split(found.test.images[sure], labels)
    return found


@pytest.fixture
def place(tmp_path):
    """A shelf with nothing on it."""
    return tmp_path / "shelf"


@pytest.fixture(autouse=True)
def one_way_to_count(monkeypatch):
    """Everything is tested in float32 on the CPU, so that a plain loop finds the same images."""
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda device: False)
    for module in (publishing, loop):
        monkeypatch.setattr(module, "find_device", lambda: torch.device("cpu"))


@pytest.fixture
def fragile(run, digits, tmp_path):
    """The run with a classifier so small that half precision makes it zero: class 0 whatever the
    image, where it said class 1 for most, by a wide margin."""
    tensors, about = checkpoints.read(run)
    tensors["head.4.bias"].zero_()
    path = tmp_path / "fragile" / run.name
    checkpoints.write(path, tensors, about)
    said, _ = says(CONFIG, digits, path, digits.test.images)
    common = int(said.bincount().argmax())
    tensors["head.4.weight"] = tensors["head.4.weight"].roll(1 - common, 0) * 1e-9
    checkpoints.write(path, tensors, about)
    return path


@pytest.fixture
def any_rounding(monkeypatch):
    """Rounding may move the error as far as it likes."""
    monkeypatch.setattr(publishing, "ROUNDING", 1.0)


def wrong_by_hand(path, dataset):
    """The test images that the network in a file gets wrong, one at a time."""
    network = loop.new_network(CONFIG, dataset).eval()
    network.load_state_dict(checkpoints.read(path)[0])
    wrong = []
    for i, label in enumerate(dataset.test.labels):
        with torch.no_grad():
            logits = network(dataset.normalise(dataset.test.images[i : i + 1]))
        wrong += [i] if logits.argmax() != label else []
    return wrong


def not_zero(dataset):
    """The test images that a network gets wrong which takes all for class 0."""
    return (dataset.test.labels != 0).nonzero().flatten().tolist()


def content(folder):
    """Every file in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What is kept.


def test_a_file_of_half_the_size_under_the_same_name(run, digits, place):
    before = content(run.parent)
    publishing.publish(CONFIG, digits, run, place)
    assert list(content(place)) == [run.name]
    assert 0.48 < (place / run.name).stat().st_size / run.stat().st_size < 0.55
    assert content(run.parent) == before


def test_weights_are_rounded_and_batch_norm_is_not(run, digits, place):
    publishing.publish(CONFIG, digits, run, place)
    (full, said), (kept, about) = (checkpoints.read(path) for path in (run, place / run.name))
    assert about == said and kept.keys() == full.keys()
    wide = {name for name, tensor in full.items() if tensor.dim() > 1}
    assert wide == {n for n in full if n.endswith("weight") and full[n].dim() in (2, 4)}
    assert len(wide) == CONFIG.depth
    for name, tensor in full.items():
        expected = tensor.half() if name in wide else tensor
        assert kept[name].dtype == expected.dtype and torch.equal(kept[name], expected), name
    assert not all(torch.equal(full[name], kept[name].float()) for name in wide)


@pytest.mark.parametrize(
    "tensor, expected",
    [
        (torch.zeros(2, 2), True),
        (torch.zeros(2, 2, 3, 3), True),
        (torch.zeros(2), False),
        (torch.tensor(1.0), False),
        (torch.zeros(2, 2, dtype=torch.float64), False),
        (torch.zeros(2, 2, dtype=torch.float16), False),
        (torch.zeros(2, 2, dtype=torch.int64), False),
    ],
)
def test_wide_tensors_are_float32_and_have_two_dimensions(tensor, expected):
    assert publishing.is_wide(tensor) is expected


def test_a_file_on_the_shelf_stays_as_it_is(run, digits, place):
    publishing.publish(CONFIG, digits, run, place)
    before = content(place)
    row = publishing.publish(CONFIG, digits, place / run.name, place)
    assert content(place) == before
    assert row["value"]["rounding"] == 0
    assert row["checkpoint"] == checkpoints.digest(place / run.name)


def test_the_row_says_where_the_network_was_trained(run, digits, place):
    """It gives the seconds that this took, wherever the network was tested afterwards."""
    tensors, about = checkpoints.read(run)
    elsewhere = place.parent / "elsewhere" / run.name
    checkpoints.write(elsewhere, tensors, about | {"device": "another machine", "seconds": 7.0})
    row = publishing.publish(CONFIG, digits, elsewhere, place)
    assert (row["device"], row["seconds"]) == ("another machine", 7.0)


def test_a_file_in_full_precision_on_the_shelf_stays_so(run, digits, place):
    place.mkdir()
    (place / run.name).write_bytes(run.read_bytes())
    publishing.publish(CONFIG, digits, place / run.name, place)
    assert content(place) == {run.name: run.read_bytes()}


# What is tested.


def test_the_row_is_that_of_the_file_on_the_shelf(run, digits, place):
    row = publishing.publish(CONFIG, digits, run, place)
    assert wrong_by_hand(run, digits) == wrong_by_hand(place / run.name, digits) == WRONG
    value = row["value"]
    assert (value["error"], value["wrong"], value["rounding"]) == (0.2, WRONG, 0)
    assert (row["experiment"], row["dataset"], row["samples"]) == ("training", "digits", 100)
    assert row["data_checksum"] == digits.test.checksum
    assert row["checkpoint"] == checkpoints.digest(place / run.name) != checkpoints.digest(run)
    assert row["seconds"] == checkpoints.read(run)[1]["seconds"]
    assert TrainConfig(**{k: row["config"][k] for k in vars(CONFIG)}) == CONFIG
    assert row["config"]["test_precision"] == "float32"


def test_the_row_says_how_far_the_weights_have_come(run, digits, place):
    value = publishing.publish(CONFIG, digits, run, place)["value"]
    network = loop.load(CONFIG, digits, place / run.name)
    start = loop.new_network(CONFIG, digits)
    rates = [recipes.learning_rate(CONFIG, i) for i in range(3)]
    assert value["decay_sum"] == pytest.approx(1e-4 * sum(rates), rel=1e-12)
    assert value["cosine_with_start"] == drift.cosine_with_start(network, start)
    assert 0.5 < value["cosine_with_start"] < 1 - 1e-6, "it has moved, and not far"
    assert value["gamma_mean"] == drift.gamma_means(network) and value["modules"] == 3
    assert len(value["gamma_mean"]) == 3


def spoiled(fragile, digits, kind):
    """The digits with labels that the fragile network loses by rounding, or gains; and both errors
    in images: of the network as it is, and of one that says class 0 for all."""
    said, margin = says(CONFIG, digits, fragile, digits.test.images)
    before = torch.tensor(wrong_by_hand(fragile, labelled(digits, torch.zeros(100))))
    assert len(before) > 50, "class 0 for few"
    labels = torch.ones(100) if kind == "loses" else torch.zeros(100)
    labels[WRONG] = 5
    dataset = labelled(digits, labels.long())
    return dataset, len(wrong_by_hand(fragile, dataset)), int((labels != 0).sum())


@pytest.mark.usefixtures("any_rounding")
@pytest.mark.parametrize("kind, sign", [("loses", 1), ("gains", -1)])
def test_what_rounding_does_to_the_error(fragile, digits, place, kind, sign):
    dataset, before, after = spoiled(fragile, digits, kind)
    value = publishing.publish(CONFIG, dataset, fragile, place)["value"]
    assert value["wrong"] == dataset.test.labels.nonzero().flatten().tolist()
    assert value["rounding"] == (after - before) / 100
    assert value["rounding"] * sign > 0.2


@pytest.mark.parametrize("kind", ["loses", "gains"])
def test_rounding_that_moves_the_error_leaves_nothing(fragile, digits, place, kind):
    dataset, before, after = spoiled(fragile, digits, kind)
    with pytest.raises(publishing.RoundingError) as caught:
        publishing.publish(CONFIG, dataset, fragile, place)
    assert str(caught.value) == (
        f"{fragile.name}: half precision moves the test error by {after - before:+.2f} points"
    )
    assert not place.exists()


def test_rounding_that_moves_the_error_leaves_the_older_file(fragile, run, digits, place):
    place.mkdir()
    (place / run.name).write_bytes(run.read_bytes())
    with pytest.raises(publishing.RoundingError):
        publishing.publish(CONFIG, spoiled(fragile, digits, "loses")[0], fragile, place)
    assert content(place) == {run.name: run.read_bytes()}


def test_rounding_may_move_the_error_up_to_its_limit(fragile, digits, place, monkeypatch):
    dataset, before, after = spoiled(fragile, digits, "loses")
    moved = (after - before) / 100
    monkeypatch.setattr(publishing, "ROUNDING", moved - 1e-9)
    with pytest.raises(publishing.RoundingError):
        publishing.publish(CONFIG, dataset, fragile, place)
    monkeypatch.setattr(publishing, "ROUNDING", moved)
    assert publishing.publish(CONFIG, dataset, fragile, place)["value"]["rounding"] == moved


def test_a_weight_too_large_for_half_precision(run, digits, place):
    tensors, about = checkpoints.read(run)
    tensors["stem.weight"][0, 0, 0, 0] = 1e5
    path = place.parent / "large" / run.name
    checkpoints.write(path, tensors, about)
    expected = f"^{run.name}: half precision cannot hold a weight$"
    with pytest.raises(publishing.RoundingError, match=expected):
        publishing.publish(CONFIG, digits, path, place)
    assert not place.exists()


def test_a_checkpoint_of_another_run_is_not_published(run, digits, place):
    for other in (replace(CONFIG, seed=1), replace(CONFIG, weight_decay=0.1)):
        with pytest.raises(checkpoints.CheckpointError, match="is of another run"):
            publishing.publish(other, digits, run, place)
    assert not place.exists()


def test_the_limit_is_two_images_in_two_thousand():
    assert publishing.ROUNDING * publishing.ROUNDING_IMAGES == 2
    assert publishing.ROUNDING_IMAGES == 2000


@pytest.mark.usefixtures("any_rounding")
def test_rounding_is_measured_on_the_first_images(fragile, digits, place, monkeypatch):
    """The error on all of them."""
    dataset, _, _ = spoiled(fragile, digits, "gains")
    before = wrong_by_hand(fragile, dataset)
    after = dataset.test.labels.nonzero().flatten().tolist()

    def moved(count):
        return (sum(i < count for i in after) - sum(i < count for i in before)) / count

    assert moved(33) != moved(100)
    monkeypatch.setattr(publishing, "ROUNDING_IMAGES", 33)
    value = publishing.publish(CONFIG, dataset, fragile, place)["value"]
    assert value["rounding"] == moved(33)
    assert value["wrong"] == after and value["error"] == len(after) / 100


def test_rounding_is_measured_in_float32_and_the_error_as_in_the_chapters(
    run, digits, place, monkeypatch
):
    asked, predictions = [], sweep.predictions

    def noted(*words, precision):
        asked.append(precision)
        return predictions(*words)

    monkeypatch.setattr(sweep, "predictions", noted)
    publishing.publish(CONFIG, digits, run, place)
    assert asked == ["float32", "float32", "auto"]


def test_interrupted_in_a_test_nothing_is_left(run, digits, place, monkeypatch):
    def wrong_images(network, dataset, split, precision):
        if precision == "auto":
            raise KeyboardInterrupt
        return []

    monkeypatch.setattr(publishing, "wrong_images", wrong_images)
    with pytest.raises(KeyboardInterrupt):
        publishing.publish(CONFIG, digits, run, place)
    assert not place.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a data set is handed to processes by fork")
def test_publications_of_one_network_at_once(run, digits, place):
    fork = multiprocessing.get_context("fork")
    words = (CONFIG, digits, run, place)
    workers = [fork.Process(target=publishing.publish, args=words) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert list(content(place)) == [run.name]
    assert wrong_by_hand(place / run.name, digits) == WRONG


def test_a_checkpoint_named_by_an_earlier_version(run, digits, place):
    """It is published under its name of today; where it lies on the shelf, it stays."""
    old = older.name(CONFIG, digits.train.checksum)
    assert old != run.name
    elsewhere = place.parent / "elsewhere" / old
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(run.read_bytes())
    publishing.publish(CONFIG, digits, elsewhere, place)
    assert list(content(place)) == [run.name]
    (place / run.name).rename(place / old)
    before = content(place)
    publishing.publish(CONFIG, digits, place / old, place)
    assert content(place) == before and loop.find(place, CONFIG, digits) == place / old


# The card.


def stored(place, name, seconds=90.0, **settings):
    """A file on the shelf, of one tensor, and its digest."""
    config = vars(replace(CONFIG, **settings))
    about = {"config": config, "device": "cpu (x86_64, 2 threads)", "seconds": seconds}
    checkpoints.write(place / name, {"a": torch.tensor(float(seconds))}, about)
    return checkpoints.digest(place / name)


def test_the_card_lists_every_file(place):
    """In the order of their names, each with the error of exactly this file, if it is recorded."""
    recorded = stored(place, "b.safetensors", seconds=5674.0, iterations=5850)
    other = stored(place, "a.safetensors", recipe="paper", iterations=64_000)
    rows = [
        {"checkpoint": "0" * 64, "experiment": "training", "value": {"error": 1.0, "rounding": 0}},
        {"checkpoint": recorded, "experiment": "training", "value": {"error": 1.0, "rounding": 1}},
        {
            "checkpoint": recorded,
            "experiment": "training",
            "value": {"error": 0.1106, "rounding": -0.0001},
        },
        {"checkpoint": recorded, "experiment": "test_time", "value": {"scaled": 0.5}},
        {"checkpoint": other, "experiment": "test_time", "value": {"scaled": 0.5}},
    ]
    text = publishing.card(rows, place)
    assert text.startswith("# ") and text.endswith("|\n")
    head, line, *files = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in (head, line, *files)} == {7}
    assert files == [
        "| `a.safetensors` | paper, 64,000 iterations | not recorded |  "
        f"| cpu (x86_64, 2 threads), 2 min | `{other[:16]}` |",
        "| `b.safetensors` | compact, 5,850 iterations | 11.06% | -0.01 pt "
        f"| cpu (x86_64, 2 threads), 95 min | `{recorded[:16]}` |",
    ]


def test_the_card_of_a_published_network(run, digits, place):
    row = publishing.publish(CONFIG, digits, run, place)
    last = publishing.card([row], place).splitlines()[-1]
    assert f"`{run.name}`" in last and f"{100 * row['value']['error']:.2f}%" in last
    assert "not recorded" not in last


def test_the_card_of_an_empty_shelf(place):
    assert publishing.card([], place).splitlines()[-1] == "|---|---|---|---|---|---|"
