"""The command line of training: `python -m study.training --help`."""

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
        parser.add_argument(option, type=field.type, default=field.default, help="%(default)s")
    parser.add_argument("--folder", type=Path, default=HERE.trained, help="where checkpoints go")
    options = vars(parser.parse_args())
    folder = options.pop("folder")
    try:
        config = TrainConfig(**options)
        path = loop.train(
            config, load_data(config.dataset), folder, progress=Progress(config.label)
        )
    except (ValueError, OSError, RuntimeError, ArithmeticError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: the same command resumes where it was saved last", file=sys.stderr)
        return 130
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
