"""What a `TrainConfig` decides: rates, active modules, names."""

import hashlib
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest
import torch

from helpers import models
from helpers.network import HighwayModule, Subsample
from study.training import recipes
from study.training.recipes import TrainConfig


def test_the_defaults_are_the_paper():
    config = TrainConfig()
    assert (config.depth, config.batch_size, config.iterations) == (110, 128, 64_000)
    assert (config.learning_rate, config.momentum, config.weight_decay) == (0.1, 0.9, 1e-4)
    assert (config.active, config.survival, config.shortcuts) == (0, 1, "subsample")


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        TrainConfig().depth = 20


@pytest.mark.parametrize(
    "iteration, rate",
    [
        (0, 0.01),
        (399, 0.01),
        (400, 0.1),
        (31_999, 0.1),
        (32_000, 0.01),
        (47_999, 0.01),
        (48_000, 0.001),
        (63_999, 0.001),
    ],
)
def test_learning_rate_of_the_paper(iteration, rate):
    assert recipes.learning_rate(TrainConfig(), iteration) == pytest.approx(rate, rel=1e-12)


def test_learning_rate_of_one_cycle():
    """Up for a fifth, then down; the middle of each iteration lies on the two straight lines."""
    config = TrainConfig(recipe="compact", iterations=20, learning_rate=0.4)
    rates = [recipes.learning_rate(config, i) for i in range(20)]
    assert rates[:4] == pytest.approx([0.05, 0.15, 0.25, 0.35])
    assert rates[4:] == pytest.approx([0.4 * (15.5 - i) / 16 for i in range(16)])
    # The area under the triangle.
    assert sum(rates) == pytest.approx(0.4 * 20 / 2)


def test_the_decay_sum_of_the_paper():
    """400 iterations at 0.01, 31,600 at 0.1, 16,000 each at 0.01 and 0.001, times 0.0001."""
    assert recipes.decay_of(TrainConfig()) == pytest.approx(0.334, rel=1e-12)


@pytest.mark.parametrize("iterations", [1, 20, 5850, 17_550])
@pytest.mark.parametrize("settings", [{}, {"model": "vgg15-plain"}, {"learning_rate": 0.01}])
def test_a_compact_run_decays_its_start_as_the_paper_does(iterations, settings):
    config = recipes.reference("cifar10", iterations, **settings)
    assert recipes.decay_of(config) == pytest.approx(0.334, rel=1e-12)
    # One cycle covers the area of a triangle: the law of the short recipe in closed form.
    wanted = 0.334 / (iterations * config.learning_rate / 2)
    assert iterations == 1 or config.weight_decay == pytest.approx(wanted, rel=0.01)
    other = recipes.reference("cifar10", iterations, decay_sum=0.03, **settings)
    assert recipes.decay_of(other) == pytest.approx(0.03, rel=1e-12)
    assert replace(other, weight_decay=config.weight_decay) == config


def test_images_grow_in_the_compact_recipe_alone():
    config = TrainConfig(recipe="compact", iterations=100)
    sides = [recipes.image_side(config, i, 32) for i in range(100)]
    assert sides == [16] * 40 + [24] * 30 + [32] * 30
    assert {recipes.image_side(TrainConfig(), i, 32) for i in (0, 63_999)} == {32}
    assert [recipes.image_side(config, i, 24) for i in (0, 40, 99)] == [16, 16, 24]
    assert [recipes.image_side(config, i, 16) for i in (0, 40, 99)] == [16, 16, 16]
    assert [recipes.image_side(config, i, 4) for i in (0, 40, 99)] == [4, 4, 4]


@pytest.mark.parametrize(
    "dataset, iterations, recipe, length",
    [
        ("digits", 0, "compact", 220),
        ("cifar10", 0, "compact", 17_550),
        ("cifar10-tuning", 0, "compact", 17_550),
        ("folder:/a", 0, "paper", 64_000),
        ("digits", -1, "paper", 64_000),
        ("cifar10", -1, "paper", 64_000),
        ("folder:/a", -1, "paper", 64_000),
        ("cifar10", 7, "compact", 7),
        ("folder:/a", 7, "compact", 7),
    ],
)
def test_the_run_of_a_chapter(dataset, iterations, recipe, length):
    found = recipes.reference(dataset, iterations, depth=20, seed=3)
    settings = {"learning_rate": {"paper": 0.1, "compact": 0.2}[recipe], "recipe": recipe}
    settings |= {"weight_decay": found.weight_decay if recipe == "compact" else 1e-4}
    settings |= {"dataset": dataset, "iterations": length, "depth": 20, "seed": 3}
    assert found == TrainConfig(**settings)


@pytest.mark.parametrize("iterations, usual", [(0, 0.2), (7, 0.2), (-1, 0.1)])
def test_networks_that_need_a_lower_learning_rate_get_it(iterations, usual):
    """Without batch norm, unless another one is asked for."""
    assert set(recipes.LOWER_RATES) == {"vgg15-plain"}
    for model, expected in {"resnet": usual, "vgg15": usual, "vgg15-plain": 0.05}.items():
        assert recipes.reference("cifar10", iterations, model=model).learning_rate == expected
        settings = {"model": model, "learning_rate": 0.3}
        assert recipes.reference("cifar10", iterations, **settings).learning_rate == 0.3


def test_milestones_double_and_then_keep_step():
    """Of 64,000: 250 and its doublings up to a quarter, then every eighth."""
    doublings, eighths = [250 * 2**i for i in range(7)], [8000 * i for i in range(3, 9)]
    assert doublings[-1] == 64_000 / 4
    assert recipes.milestones(64_000) == [0, *doublings, *eighths]


def test_milestones_of_a_length_that_has_no_eighths():
    assert recipes.milestones(5850) == (
        [0, 22, 45, 91, 182, 365, 731, 1462, 2193, 2925, 3656, 4387, 5118, 5850]
    )


@pytest.mark.parametrize("iterations", [1, 2, 3, 7, 100, 255, 256, 1560])
def test_milestones_begin_at_the_start_and_end_at_the_end(iterations):
    found = recipes.milestones(iterations)
    assert (found[0], found[-1]) == (0, iterations)
    assert found == sorted(set(found))


def test_survival_decays_linearly():
    """p_l = 1 - l / n (1 - p_n), Huang et al. 2016."""
    config = TrainConfig(survival=0.5)
    assert recipes.survival_probabilities(config, 4) == [0.875, 0.75, 0.625, 0.5]
    assert recipes.survival_probabilities(TrainConfig(), 3) == [1, 1, 1]
    assert recipes.survival_probabilities(TrainConfig(active=3), 4) == [0.75] * 4


def test_all_modules_are_active_unless_told_otherwise(generator):
    for _ in range(50):
        assert all(recipes.active_modules(TrainConfig(), 54, generator))


def test_exactly_k_modules_are_active(generator):
    draws = [recipes.active_modules(TrainConfig(active=23), 54, generator) for _ in range(500)]
    assert {sum(active) for active in draws} == {23}
    share = torch.tensor(draws).double().mean(0)
    # Five standard deviations of a share of 500.
    assert (share - 23 / 54).abs().max() < 5 * (23 / 54 * 31 / 54 / 500) ** 0.5


def test_stochastic_depth_draws_each_module_with_its_probability(generator):
    config = TrainConfig(survival=0.5)
    draws = torch.tensor([recipes.active_modules(config, 10, generator) for _ in range(1000)])
    p = torch.tensor(recipes.survival_probabilities(config, 10))
    error = (draws.double().mean(0) - p).abs() / (p * (1 - p) / 1000).sqrt()
    assert error.max() < 4
    pairs = torch.corrcoef(draws.T.double())[~torch.eye(10, dtype=torch.bool)]
    assert pairs.abs().max() < 0.16, "independently"


@pytest.mark.usefixtures("no_global_draws")
@pytest.mark.parametrize("settings", [{"active": 5}, {"survival": 0.5}])
def test_the_same_seed_gives_the_same_modules(settings):
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return recipes.active_modules(TrainConfig(**settings), 12, generator)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_at_test_time(new_network, images):
    """Residuals are scaled by how often they were there; otherwise nothing is added."""
    network = new_network()
    assert recipes.at_test_time(TrainConfig(), network) is network
    for settings, factors in (
        ({"active": 2}, [2 / 6] * 6),
        ({"survival": 0.4}, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]),
    ):
        y = network.stem(images)
        for block, factor in zip(network.blocks, factors, strict=True):
            y = block.skip(y) + factor * block.residual(y)
        found = recipes.at_test_time(TrainConfig(**settings), network)(images)
        assert torch.allclose(found, network.head(y), rtol=1e-12, atol=0)
        assert not torch.allclose(found, network(images), rtol=0.01)


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"recipe": "adam"}, "recipe 'adam': expected 'paper' or 'compact'"),
        ({"iterations": 0}, "iterations 0: expected at least 1"),
        ({"batch_size": 0}, "batch_size 0: expected at least 1"),
        ({"survival": 0.0}, "survival 0.0: expected more than 0, up to 1"),
        ({"survival": 1.5}, "survival 1.5: expected more than 0, up to 1"),
        ({"active": 3, "survival": 0.5}, "expected one of them"),
        ({"precision": "float8"}, "precision 'float8': expected"),
        ({"model": "vgg16", "depth": 16}, "model 'vgg16': expected one of resnet, "),
    ],
)
def test_settings_that_make_no_run(settings, reason):
    with pytest.raises(ValueError, match=reason):
        TrainConfig(**settings)


@pytest.mark.parametrize("model", models.ARCHITECTURES)
@pytest.mark.parametrize("name, value", [("depth", 8), ("shortcuts", "projection")])
def test_a_setting_is_used_or_refused(model, name, value):
    """It makes another network, or none: a label never tells of what the network has not."""
    usual, changed = {"model": model, "iterations": 1}, {name: value}
    try:
        config = TrainConfig(**usual, **changed)
    except ValueError as problem:
        default = getattr(TrainConfig, name)
        assert str(problem) == (
            f"{name} {value!r}: the model {model!r} has no such choice, "
            f"expected the default, {default!r}"
        )
        assert model in ("resnet200", "vgg15", "vgg15-plain") or (model, name) == (
            "highway",
            "shortcuts",
        )
        assert TrainConfig(**usual, **{name: default}) == TrainConfig(**usual)
    else:
        with torch.device("meta"):
            one, other = (recipes.build(c, 3, 10) for c in (TrainConfig(**usual), config))
        assert one.state_dict().keys() != other.state_dict().keys()
        assert config.label != TrainConfig(**usual).label


@pytest.mark.parametrize("model", ["highway", "vgg15", "vgg15-plain"])
@pytest.mark.parametrize("settings", [{"active": 2}, {"survival": 0.5}])
def test_only_residual_modules_can_be_left_out(model, settings):
    config = TrainConfig(model=model, **settings)
    with pytest.raises(ValueError, match=f"model '{model}': active and survival need residual"):
        recipes.survival_probabilities(config, 54)
    assert recipes.survival_probabilities(TrainConfig(model=model), 2) == [1, 1]


@pytest.mark.parametrize("active", [-1, 55])
def test_a_number_of_modules_that_is_not_there(active):
    with pytest.raises(ValueError, match=f"active modules {active}: expected 0 to 54"):
        recipes.survival_probabilities(TrainConfig(active=active), 54)


def test_labels():
    assert TrainConfig().label == "resnet110-cifar10-s0"
    assert TrainConfig(depth=20, active=3, seed=7).label == "resnet20-cifar10-3active-s7"
    assert TrainConfig(survival=0.5).label == "resnet110-cifar10-survival0.5-s0"
    assert TrainConfig(model="vgg15").label == "vgg15-cifar10-s0"
    assert TrainConfig(model="vgg15-plain").label == "vgg15-plain-cifar10-s0"
    assert TrainConfig(model="highway").label == "highway110-cifar10-s0"
    assert TrainConfig(model="highway", depth=20, seed=1).label == "highway20-cifar10-s1"
    projection = TrainConfig(shortcuts="projection", active=3)
    assert projection.label == "resnet110-projection-cifar10-3active-s0"
    assert "/" not in TrainConfig(dataset="folder:/a/b").label


def test_every_setting_and_the_data_decide_the_name_of_a_run():
    others = {
        "dataset": "digits",
        "model": "vgg15",
        "shortcuts": "projection",
        "recipe": "compact",
        "precision": "float32",
        "survival": 0.5,
    }
    config = TrainConfig()
    digests = {config.digest("a"), config.digest("b")}
    for field in fields(TrainConfig):
        value = others.get(
            field.name, getattr(config, field.name) + 1 if field.type in (int, float) else None
        )
        digests.add(replace(config, **{field.name: value}).digest("a"))
    assert len(digests) == 2 + len(fields(TrainConfig))
    assert config.digest("a") == TrainConfig().digest("a")


def test_the_name_of_a_run_is_a_hash_of_what_differs_from_the_defaults():
    said = b'{"active": 23, "learning_rate": 0.2}' + b"0a1b"
    config = TrainConfig(learning_rate=0.2, active=23)
    assert config.digest("0a1b") == hashlib.sha256(said).hexdigest()
    assert TrainConfig().digest("0a1b") == hashlib.sha256(b"{}0a1b").hexdigest()


def test_a_new_setting_leaves_the_names_of_earlier_runs(monkeypatch):
    """If its default is what they did; whatever the order of the settings."""

    @dataclass(frozen=True)
    class Later(TrainConfig):
        label_smoothing: float = 0.0

    some = ({}, {"active": 23, "seed": 4})
    before = [TrainConfig(**settings).digest("a") for settings in some]
    monkeypatch.setattr(recipes, "TrainConfig", Later)
    assert [Later(**settings).digest("a") for settings in some] == before
    assert Later(label_smoothing=0.1).digest("a") not in before
    assert recipes.changed({"seed": 4, "depth": 110, "gone": 0}) == {"seed": 4, "gone": 0}


def test_equal_configurations_have_one_name():
    one, other = TrainConfig(learning_rate=1), TrainConfig(learning_rate=1.0)
    assert one == other and one.digest("a") == other.digest("a")


@pytest.mark.parametrize("iterations", [-2, -100])
def test_numbers_of_iterations_that_mean_nothing(iterations):
    with pytest.raises(ValueError) as caught:
        recipes.reference("cifar10", iterations)
    assert str(caught.value) == (
        f"iterations {iterations}: expected 1 or more, 0 for the book's own length, or -1 for the "
        "paper's recipe"
    )


def test_build():
    network = recipes.build(TrainConfig(depth=8, shortcuts="projection"), 1, 7)
    assert network.stem.in_channels == 1 and network.head[-1].out_features == 7
    assert not any(isinstance(part, Subsample) for part in network.modules())
    assert len(recipes.build(TrainConfig(model="vgg15"), 3, 10).blocks) == 13
    highway = recipes.build(TrainConfig(model="highway", depth=14), 1, 7)
    assert [type(block) for block in highway.blocks] == [HighwayModule] * 6
    assert highway.stem.in_channels == 1 and highway.head[-1].out_features == 7
    one, same, other = (recipes.build(TrainConfig(depth=8, seed=s), 3, 10) for s in (1, 1, 2))
    assert torch.equal(one.stem.weight, same.stem.weight)
    assert not torch.equal(one.stem.weight, other.stem.weight)
