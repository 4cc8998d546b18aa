"""What the reference study holds: its sizes, its networks, its experiments.

Beside it stand the small networks of the book's live results, which are trained on digits.
"""

from dataclasses import dataclass, replace
from typing import Any

from study.training.recipes import TrainConfig, reference


@dataclass(frozen=True)
class Size:
    """How large a study is.

    `main`: iterations of the network that most chapters look at; `others`: of networks that are
    compared with each other, and of the `highway` network (-1: the paper's recipe); test images
    (0: all) for the single deletions in which networks are `compared`, and for `random` deletions
    and orders by the hundred.
    """

    main: int
    others: int
    highway: int
    compared: int
    random: int


SIZES = {"paper": Size(-1, -1, -1, 0, 0), "short": Size(5850, 1560, 390, 2000, 2000)}
SEEDS = 3  # of the networks that are compared, and of the courses of training


@dataclass(frozen=True)
class Chapter:
    """A notebook with parameters, and which of its rows are recorded: of some experiments, and of
    networks whose configuration holds one of `where`."""

    notebook: str
    parameters: dict
    records: tuple[str, ...]
    where: tuple[dict, ...] = ({},)

    def keeps(self, row: dict) -> bool:
        """Whether a row of the notebook is recorded."""
        wanted = any(kind.items() <= row["config"].items() for kind in self.where)
        return row["experiment"] in self.records and wanted


def networks(size: Size) -> dict[str, TrainConfig]:
    """The networks of the study, by the name of their part."""
    some: dict[str, Any] = {"dataset": "cifar10", "iterations": size.others}
    found = {"resnet110": reference("cifar10", size.main)}
    for seed in range(SEEDS):
        found[f"all-modules-{seed}"] = reference(**some, seed=seed)
        found[f"23-modules-{seed}"] = reference(**some, seed=seed, active=23)
        stochastic = "stochastic-depth" + f"-{seed}" * (seed > 0)
        found[stochastic] = reference(**some, seed=seed, survival=0.5)
    found |= {
        "highway": reference("cifar10", size.highway, model="highway"),
        "vgg15": reference(**some, model="vgg15"),
        "vgg15-plain": reference(**some, model="vgg15-plain"),
        "projection": reference(**some, shortcuts="projection"),
        "shared": reference(**some, shortcuts="shared"),
        "23-modules-long": reference("cifar10", size.main, active=23),
    }
    # At the paper's size all are trained as long as the main network, and some are the same.
    first: dict[TrainConfig, str] = {}
    for name, config in found.items():
        first.setdefault(config, name)
    return {name: config for config, name in first.items()}


def chapters(size: Size) -> dict[str, Chapter]:
    """The experiments of the study, by the name of their part."""
    main = {"dataset": "cifar10", "iterations": size.main}
    others = main | {"iterations": size.others}
    paths = main | {"n_images": 512, "n_images_sampled": 1024, "n_samples": 1000, "n_signed": 8}
    at_image = paths | {"at_image": True, "n_signed": 4}
    lesions = main | {"n_images_random": size.random, "n_draws": 200}
    spared = lesions | {"n_images": 1, "with_plain": False, "spare_downsampling": True}
    # Single deletions and nothing else.
    single = {"n_images": size.compared, "max_deleted": 1, "n_draws": 1, "n_images_random": 1}
    alone = others | single | {"with_plain": False}
    bare = others | single | {"plain_model": "vgg15-plain"}
    orders = main | {"n_images": size.random, "n_orders": 1000}
    deep = others | {"depth": 110}
    # Stochastic depth is compared with a network that, trained as long as the main one, is the main
    # one: then `deletion` records it.
    is_main = size.others == size.main
    discussed = ({"survival": 0.5}, {"model": "highway"}) if is_main else ({},)
    one, several = ("deletion",), ("random_deletions",)
    gradients = ("by_length", "by_module", "sampled_norms", "signed_norms")
    found = {
        "gradients": Chapter("04_path_gradients", paths, gradients),
        "deletion": Chapter(
            "01_deletion", lesions | {"plain_iterations": size.others}, one + several
        ),
        "reordering": Chapter("02_reordering", orders, ("reordering",)),
        "dynamics": Chapter("07_dynamics", deep | {"n_images": 64}, ("dynamics", "scaling")),
        "discussion": Chapter(
            "06_discussion",
            deep | {"n_images": size.compared, "highway_iterations": size.highway},
            ("deletion", "gates"),
            discussed,
        ),
        "effective": Chapter("05_effective_paths", deep, ("test_time",)),
        "gradients-at-image": Chapter("04_path_gradients", at_image, gradients),
        "deletion-spared": Chapter("01_deletion", spared, several),
        "deletion-projection": Chapter("01_deletion", alone | {"shortcuts": "projection"}, one),
        "deletion-shared": Chapter("01_deletion", alone | {"shortcuts": "shared"}, one),
        "deletion-vgg15-plain": Chapter("01_deletion", bare, one, ({"model": "vgg15-plain"},)),
    }
    # Before training: no network is needed, and a thousand layers are within reach.
    start = {"dataset": "cifar10", "depths": [20, 56, 110, 218, 434, 998]}
    start |= {"n_gradients": 8, "n_draws": 3}
    found["start-of-training"] = Chapter("what_decides", start, ("start_of_training",))
    for seed in range(1, SEEDS):
        course, again = found["dynamics"], alone | {"seed": seed}
        stochastic = again | {"survival": 0.5}
        found |= {
            f"dynamics-{seed}": replace(course, parameters=course.parameters | {"seed": seed}),
            f"deletion-{seed}": Chapter("01_deletion", again, one),
            f"deletion-stochastic-depth-{seed}": Chapter("01_deletion", stochastic, one),
        }
    if not is_main:
        long = deep | main | {"n_seeds": 1}
        found["effective-long"] = Chapter("05_effective_paths", long, ("test_time",))
    return found


def small_networks() -> list[TrainConfig]:
    """The networks on digits that the chapters look at unless told otherwise."""
    shallow: dict[str, Any] = {"depth": 20, "iterations": 440}
    pairs: list[dict[str, Any]] = [
        {"seed": seed, "active": active} for seed in range(3) for active in (0, 4)
    ]
    others: list[dict[str, Any]] = [{"survival": 0.5}, {"model": "highway"}]
    return [
        reference("digits"),
        reference("digits", model="vgg15"),
        *(reference("digits", **shallow | settings) for settings in pairs + others),
    ]
