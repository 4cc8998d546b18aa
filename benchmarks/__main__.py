"""Every speed of this project against plain PyTorch, in one run: `make bench`.

    python -m benchmarks --help

Prints a table and writes the rows to runs/bench.json; with --record also to book/results/, where
they take the place of those of the same names, and where the book's page reads them.
"""

import argparse
import json
import sys
import time

import torch

from benchmarks import growth, paths, subject, sweeps
from study.data import ROOT
from study.records import commit, store
from study.text import benchmarks

EXPERIMENTS = {
    "exact": paths.exact,
    "exactness": paths.exactness,
    "memory": lambda *on: subject.apart("paths.memory", *on),
    "sampled": paths.sampled,
    "signed": paths.signed,
    "single": sweeps.figure_3,
    "sweeps": sweeps.figure_5,
    "training": lambda *on: subject.apart("steps.training_steps", *on),
    "modules": growth.with_modules,
    "images": growth.with_images,
    "variants": growth.with_variants,
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--dataset", default="cifar10", help="of the network (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each timing (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--record", action="store_true", help="write to book/results/, too")
    parser.add_argument(
        "--unknown-commit", action="store_true", help="record where git does not tell the code"
    )
    options = parser.parse_args()
    try:
        if options.record:
            commit.require(options.unknown_commit)
        on = subject.load(options.dataset)
    except (ValueError, OSError, RuntimeError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    rows = []
    for name in options.only:
        begin = time.monotonic()
        found = EXPERIMENTS[name](on, options.repeats)
        seconds = time.monotonic() - begin
        for what, value in found.items():
            rows.append(row(on, options.repeats, what, value, seconds))
            print(line(what, value), flush=True)
    write(rows, options.record)
    return 0


def row(on: subject.Subject, repeats: int, what: str, value, seconds: float) -> dict:
    """A result row; `seconds` of the experiment that it belongs to."""
    return store.row(
        **on.about,
        experiment=benchmarks.PREFIX + what,
        config={"repeats": repeats, "threads": torch.get_num_threads()},
        seed=0,
        seconds=seconds,
        samples=repeats,
        value=value,
    )


def line(what: str, value) -> str:
    """One line of the table."""
    if not isinstance(value, dict) or "plain" not in value:
        return f"{what:44} {json.dumps(value)}"
    ratio = value["plain"] / value["ours"]
    goal = f"goal {value['goal']:g}" if "goal" in value else ""
    limit = f"limit {value['limit']:.3f}" if "limit" in value else ""
    times = f"{value['plain']:10.4g} s  {value['ours']:9.4g} s"
    return f"{what:44} {times}  {ratio:8.4g}x  {goal:10} {limit:13} {value['note']}"


def write(rows: list[dict], record: bool) -> None:
    """The rows of this run; recorded ones replace those of the same names."""
    path = ROOT / "runs" / "bench.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{rows[0]['device']}: {path.relative_to(ROOT)}")
    if record:
        recorded = ROOT / "book" / "results" / "bench.jsonl"
        again = {r["experiment"] for r in rows}
        kept = [
            r for r in store.read(recorded.parent) if r["experiment"].startswith(benchmarks.PREFIX)
        ]
        recorded.unlink(missing_ok=True)
        store.append(recorded, *(r for r in kept if r["experiment"] not in again), *rows)


if __name__ == "__main__":
    sys.exit(main())
