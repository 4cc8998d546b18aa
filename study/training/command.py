"""What `python -m study.training` does."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from study.data import load as load_data
from study.places import HERE
from study.progress import Progress
from study.training import loop
from study.training.recipes import TrainConfig


def main() -> int:
    """The command line: every field of `TrainConfig` is an option."""
    parser = argparse.ArgumentParser("python -m study.training", description=TrainConfig.__doc__)
    for field in fields(TrainConfig):
        option = "--" + field.name.replace("_", "-")
        kind = type(field.default)
        parser.add_argument(option, type=kind, default=field.default, help="%(default)s")
    parser.add_argument("--folder", type=Path, default=HERE.trained, help="where checkpoints go")
    parser.add_argument(
        "--elsewhere",
        action="store_true",
        help="go on with a run that was begun on another device, with another number of threads or "
        "in another precision, although that gives other weights",
    )
    options = vars(parser.parse_args())
    how = {"folder": options.pop("folder"), "elsewhere": options.pop("elsewhere")}
    try:
        config = TrainConfig(**options)
        data, progress = load_data(config.dataset), Progress(config.label)
        print(loop.train(config, data, progress=progress, **how))
    except (ValueError, OSError, RuntimeError, ArithmeticError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0
