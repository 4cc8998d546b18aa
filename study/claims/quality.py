"""What a verdict needs besides its rule: networks of the paper's quality, and samples enough.

Each function gives what is lacking, in words; a verdict with anything lacking is undecided.
"""

from collections.abc import Sequence

from study.claims.rows import DEFAULTS, FULL, MEASURED, matching, trained_alike
from study.claims.words import several
from study.decay import PAPER, decay_sum, is_papers

WORST = 7.6  # Test error in %: the paper's 6.10 and 1.5 points.
NETWORKS = 3
ALL_IMAGES, SWEEP_IMAGES, DRAWS = 10_000, 2_000, 50


def setting(found: Sequence[dict], rows: list[dict]) -> list[str]:
    """Amendment 1: trained as the paper's, on its data, to its quality."""
    for row in found:
        config = row["config"]
        if row["dataset"] != "cifar10" or config["depth"] != 110:
            return ["not tested at the paper's setting: CIFAR-10, 110 layers"]
    lacking = []
    if other := sorted(
        {f"{decay_sum(r['config']):.2g}" for r in found if not is_papers(r["config"])}
    ):
        lacking.append(f"the decay sum is {' and '.join(other)}, the paper's {PAPER}")
    errors = [error for row in found if (error := test_error(row, rows)) is not None]
    if len(errors) < len(found):
        lacking.append("the test error of these networks or of their control is not recorded")
    elif (worst := max(errors)) > WORST:
        said = f"test errors of up to {worst:.2f}%, expected at most {WORST}%"
        lacking.append(f"not tested at the paper's setting: {said}")
    return lacking


def test_error(row: dict, rows: list[dict]) -> float | None:
    """The test error in % of a row's network; of a variant, the largest of its controls, which are
    trained alike on all modules with our shortcuts.  None where it is not recorded."""
    own = network(row)
    controls = [
        r for r in matching(rows, "training", **FULL) if trained_alike(r) == trained_alike(row)
    ]
    same = [r for r in controls if network(r) == own] if is_full(row) else controls
    return max((100 * r["value"]["error"] for r in same), default=None)


def is_full(row: dict) -> bool:
    """Whether a network was trained on all modules, with our shortcuts."""
    config = DEFAULTS | row["config"]
    return all(config[name] == DEFAULTS[name] for name in ("active", "survival", "shortcuts"))


def network(row: dict) -> dict:
    """The settings that make a network, without those of how it is looked at."""
    looked_at = (*MEASURED, "at_image", "batch_statistics", "spare_downsampling")
    return {name: entry for name, entry in row["config"].items() if name not in looked_at}


def sampling(found: Sequence[dict], images: int, draws: int = 0) -> list[str]:
    """Amendment 5: networks, test images, and draws enough."""
    lacking = []
    if len(found) < NETWORKS:
        lacking.append(f"{several(len(found), 'network')}, expected at least {NETWORKS}")
    fewest = min(row["config"].get("images", row["samples"]) for row in found)
    if fewest < images:
        lacking.append(f"{several(fewest, 'test image')}, expected at least {images:,}")
    drawn = min(row["samples"] for row in found)
    if draws and drawn < draws:
        lacking.append(f"{several(drawn, 'draw')}, expected at least {draws}")
    return lacking
