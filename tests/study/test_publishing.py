"""The shelf: half the size, the same network, and never a network that rounding spoiled."""

from dataclasses import replace

import pytest
import torch

from helpers import devices, sweep
from study import data
from study.training import checkpoints, loop, publishing
from study.training.recipes import TrainConfig

CONFIG = TrainConfig(
    dataset="digits",
    depth=8,
    recipe="compact",
    iterations=30,
    batch_size=32,
    learning_rate=0.1,
    precision="float32",
)


@pytest.fixture(scope="module")
def digits():
    """With a hundred test images, so that they can be looked at one by one."""
    found = data.load("digits")
    found.test = found.test.first(100)
    return found


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A finished run, where it was trained."""
    return loop.train(CONFIG, digits, tmp_path_factory.mktemp("runs"))


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
def any_rounding(monkeypatch):
    """Rounding may move the error as far as it likes: one of 100 images would be too much."""
    monkeypatch.setattr(publishing, "ROUNDING", 1.0)


@pytest.fixture
def fragile(run, tmp_path):
    """Writes the run with a classifier so small, times `factor`, that half precision makes it zero:
    class 0 whatever the image."""

    def write(factor=1):
        tensors, about = checkpoints.read(run)
        tensors["head.4.weight"] *= 1e-9 * factor
        tensors["head.4.bias"].zero_()
        path = tmp_path / "fragile" / run.name
        checkpoints.write(path, tensors, about)
        return path

    return write


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


@pytest.mark.usefixtures("any_rounding")
def test_a_file_of_half_the_size_under_the_same_name(run, digits, place):
    before = content(run.parent)
    publishing.publish(CONFIG, digits, run, place)
    assert list(content(place)) == [run.name]
    assert 0.48 < (place / run.name).stat().st_size / run.stat().st_size < 0.55
    assert content(run.parent) == before


@pytest.mark.usefixtures("any_rounding")
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


@pytest.mark.usefixtures("any_rounding")
def test_a_file_on_the_shelf_stays_as_it_is(run, digits, place):
    publishing.publish(CONFIG, digits, run, place)
    before = content(place)
    row = publishing.publish(CONFIG, digits, place / run.name, place)
    assert content(place) == before
    assert row["value"]["rounding"] == 0
    assert row["checkpoint"] == checkpoints.digest(place / run.name)


@pytest.mark.usefixtures("any_rounding")
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


@pytest.mark.usefixtures("any_rounding")
def test_the_row_is_that_of_the_file_on_the_shelf(run, digits, place):
    row = publishing.publish(CONFIG, digits, run, place)
    wrong = wrong_by_hand(place / run.name, digits)
    assert 0 < len(wrong) < 80, "better than chance, and not perfect"
    moved = (len(wrong) - len(wrong_by_hand(run, digits))) / 100
    expected = {"error": len(wrong) / 100, "wrong": wrong, "modules": 3, "rounding": moved}
    assert row["value"] == expected
    assert (row["experiment"], row["dataset"], row["samples"]) == ("training", "digits", 100)
    assert row["data_checksum"] == digits.test.checksum
    assert row["checkpoint"] == checkpoints.digest(place / run.name)
    assert row["seconds"] == checkpoints.read(run)[1]["seconds"]
    assert TrainConfig(**{k: row["config"][k] for k in vars(CONFIG)}) == CONFIG
    assert row["config"]["test_precision"] == "float32"


@pytest.mark.usefixtures("any_rounding")
@pytest.mark.parametrize("factor, sign", [(1, 1), (-1, -1)])
def test_what_rounding_does_to_the_error(fragile, digits, place, factor, sign):
    """A small classifier loses everything; one that took the worst class instead gains by it."""
    path = fragile(factor)
    before = len(wrong_by_hand(path, digits))
    value = publishing.publish(CONFIG, digits, path, place)["value"]
    assert value["wrong"] == not_zero(digits)
    assert value["rounding"] == (len(value["wrong"]) - before) / 100
    assert value["rounding"] * sign > 0.01


@pytest.mark.parametrize("factor", [1, -1])
def test_rounding_that_moves_the_error_leaves_nothing(fragile, digits, place, factor):
    path = fragile(factor)
    moved = 100 * (len(not_zero(digits)) - len(wrong_by_hand(path, digits))) / 100
    with pytest.raises(publishing.RoundingError) as caught:
        publishing.publish(CONFIG, digits, path, place)
    assert str(caught.value) == (
        f"{path.name}: half precision moves the test error by {moved:+.2f} points"
    )
    assert content(place) == {}


def test_rounding_that_moves_the_error_leaves_the_older_file(fragile, run, digits, place):
    place.mkdir()
    (place / run.name).write_bytes(run.read_bytes())
    with pytest.raises(publishing.RoundingError):
        publishing.publish(CONFIG, digits, fragile(), place)
    assert content(place) == {run.name: run.read_bytes()}


def test_rounding_may_move_the_error_up_to_its_limit(fragile, digits, place, monkeypatch):
    path = fragile()
    moved = (len(not_zero(digits)) - len(wrong_by_hand(path, digits))) / 100
    monkeypatch.setattr(publishing, "ROUNDING", moved - 1e-9)
    with pytest.raises(publishing.RoundingError):
        publishing.publish(CONFIG, digits, path, place)
    monkeypatch.setattr(publishing, "ROUNDING", moved)
    assert publishing.publish(CONFIG, digits, path, place)["value"]["rounding"] == moved


def test_the_limit_is_two_images_in_two_thousand():
    assert publishing.ROUNDING * publishing.ROUNDING_IMAGES == 2
    assert publishing.ROUNDING_IMAGES == 2000


@pytest.mark.usefixtures("any_rounding")
def test_rounding_is_measured_on_the_first_images(fragile, digits, place, monkeypatch):
    """The error on all of them."""
    path = fragile()
    before, after = wrong_by_hand(path, digits), not_zero(digits)

    def moved(count):
        return (sum(i < count for i in after) - sum(i < count for i in before)) / count

    count = next(n for n in range(20, 100) if moved(n) not in (0, moved(100)))
    monkeypatch.setattr(publishing, "ROUNDING_IMAGES", count)
    value = publishing.publish(CONFIG, digits, path, place)["value"]
    assert value["rounding"] == moved(count)
    assert value["wrong"] == after and value["error"] == len(after) / 100


@pytest.mark.usefixtures("any_rounding")
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


@pytest.mark.usefixtures("any_rounding")
def test_interrupted_between_two_tests_nothing_is_left(run, digits, place, monkeypatch):
    def wrong_images(config, dataset, path, *how):
        if path != run:
            raise KeyboardInterrupt
        return []

    monkeypatch.setattr(publishing, "wrong_images", wrong_images)
    with pytest.raises(KeyboardInterrupt):
        publishing.publish(CONFIG, digits, run, place)
    assert content(place) == {}


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


@pytest.mark.usefixtures("any_rounding")
def test_the_card_of_a_published_network(run, digits, place):
    row = publishing.publish(CONFIG, digits, run, place)
    last = publishing.card([row], place).splitlines()[-1]
    assert f"`{run.name}`" in last and f"{100 * row['value']['error']:.2f}%" in last
    assert "not recorded" not in last


def test_the_card_of_an_empty_shelf(place):
    assert publishing.card([], place).splitlines()[-1] == "|---|---|---|---|---|---|"
