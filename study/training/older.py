"""Checkpoints of earlier versions of this project: how they were named, and how they are brought up
to date.

    python -m study.training.older FILE ...

Until version 0.2 a checkpoint said nothing by which it could be verified, and its name followed
from every setting, so that a new one would have orphaned it.  The command adds what a checkpoint
holds now; neither weights nor description change.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from study import files
from study.training import checkpoints
from study.training.recipes import TrainConfig

SETTINGS = (
    "dataset model depth shortcuts recipe iterations batch_size learning_rate momentum "
    "weight_decay active survival seed precision"
).split()


def name(config: TrainConfig, data_checksum: str) -> str:
    """The name that a run's checkpoint had."""
    settings = json.dumps({setting: getattr(config, setting) for setting in SETTINGS})
    digest = hashlib.sha256((settings + data_checksum).encode()).hexdigest()
    return f"{config.label}-{digest[:10]}.safetensors"


def update(path: Path) -> bool:
    """Bring a checkpoint up to date, in its place; False if it is already.

    CheckpointError if the file is damaged, as far as that can be seen.
    """
    tensors, metadata = checkpoints.parse(files.read(path), path)
    if "weights" in metadata:
        checkpoints.read(path)
        return False
    checkpoints.write(path, tensors, json.loads(metadata.get("about", "{}")))
    return True


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser("python -m study.training.older", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="checkpoints")
    for path in parser.parse_args().files:
        try:
            print(f"{'updated' if update(path) else 'up to date'}  {path}")
        except (OSError, RuntimeError, ValueError) as problem:
            print(f"error: {problem}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
