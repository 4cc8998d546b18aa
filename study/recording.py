"""What `python -m study.reference` does: it trains and measures what is not recorded yet."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from helpers.devices import find_device
from study import files, reference
from study.data import load
from study.places import HERE, ROOT, Places
from study.plan import SEEDS, SIZES, Chapter, chapters, networks, small_networks
from study.progress import Progress
from study.records import commit, store
from study.training import loop, publishing, recipes
from study.training.recipes import TrainConfig


def run_network(config: TrainConfig, keep: bool, places: Places = HERE) -> list[dict]:
    """Train a network unless it is on the shelf, put it there, and return its row.

    `keep`: whether weights are kept along the run, for the chapter on training's course.
    """
    data = load(config.dataset)
    path = loop.find(places.checkpoints, config, data)
    if not path.exists():
        times = recipes.milestones(config.iterations) if keep else ()
        progress = Progress(config.label)
        path = loop.train(config, data, places.trained, keep=times, progress=progress)
    return [publishing.publish(config, data, path, places.checkpoints)]


def run_small_networks(places: Places = HERE) -> list[dict]:
    """Train the networks of the live results, put them on the shelf, and return their rows."""
    return [row for config in small_networks() for row in run_network(config, False, places)]


def run_chapter(name: str, chapter: Chapter, places: Places = HERE) -> list[dict]:
    """Run a notebook by papermill and return the rows that are to be recorded.

    Raises CalledProcessError if a cell failed; papermill has said which by then.
    """
    folder = places.runs / "reference" / name
    folder.mkdir(parents=True, exist_ok=True)
    places.trained.mkdir(parents=True, exist_ok=True)
    if not (folder / "checkpoints").exists():
        # Weights kept along a run belong to no shelf; all parts find them in one place.
        (folder / "checkpoints").symlink_to(places.trained)
    for old in folder.glob("results/*.jsonl"):
        old.unlink()  # Of a run that was interrupted.
    notebook = ROOT / "notebooks" / f"{chapter.notebook}.ipynb"
    settings = folder / "parameters.json"
    settings.write_text(json.dumps(chapter.parameters | {"runs_dir": str(folder)}))
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / "out.ipynb")]
    command += ["-f", str(settings), "-k", "python3", "--log-output", "--no-progress-bar"]
    subprocess.run(command, check=True, cwd=ROOT)
    return [row for row in store.read(folder / "results") if chapter.keeps(row)]


def run(
    parts: dict[str, Callable[[Places], list[dict]]],
    places: Places = HERE,
    unknown_commit: bool = False,
) -> None:
    """Run the parts that are not finished, one after the other, and record their rows.

    Raises RuntimeError if the code differs from its commit, or if that is not known and not
    accepted as an `unknown_commit`: a row must say what made it.
    """
    missing = [name for name in parts if not is_finished(name, places)]
    if missing:
        commit.require(unknown_commit)
    begin = time.monotonic()
    for number, name in enumerate(missing, 1):
        say(f"part {number} of {len(missing)}: {name}")
        with files.only_writer(place_of(name, places), f"part {name}"):
            # Another process may have made it meanwhile.
            count = 0 if is_finished(name, places) else record(name, parts[name], places)
        taken = time.monotonic() - begin
        left = timedelta(seconds=round(taken / number * (len(missing) - number)))
        say(f"{name}: {count} rows recorded; at this pace {left} left")


def record(name: str, part: Callable[[Places], list[dict]], places: Places) -> int:
    """Run a part, write its rows and the card of the checkpoints; how many rows there are."""
    rows = part(places)
    if not rows:
        raise RuntimeError(f"part {name} left no rows to record")
    files.replace(place_of(name, places), store.lines(rows))
    card = publishing.card(store.read(places.results), places.checkpoints)
    files.replace(places.checkpoints / "README.md", card.encode())
    return len(rows)


def is_finished(part: str, places: Places) -> bool:
    """Whether the rows of a part are recorded: a file without any does not count."""
    place = place_of(part, places)
    return place.exists() and bool(files.read(place).strip())


def place_of(part: str, places: Places) -> Path:
    """Where the rows of a part are recorded."""
    return places.results / f"{part}.jsonl"


def say(text: str) -> None:
    """Tell the person at the terminal, beside the progress of a part."""
    print(text, file=sys.stderr, flush=True)


def main(places: Places = HERE) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m study.reference",
        description=reference.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", help="names of parts; none: all")
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="paper" if find_device().type == "cuda" else "short",
        help="the paper's recipe and counts, or what two cores can do (here: %(default)s)",
    )
    parser.add_argument("--list", action="store_true", help="list the parts and stop")
    parser.add_argument(
        "--unknown-commit",
        action="store_true",
        help="record rows also where git does not tell which code makes them",
    )
    options = parser.parse_args()
    size = SIZES[options.size]
    watched = [recipes.reference("cifar10", size.others, seed=seed) for seed in range(SEEDS)]
    parts: dict[str, Callable[[Places], list[dict]]]
    parts = {n: partial(run_network, c, c in watched) for n, c in networks(size).items()}
    parts |= {n: partial(run_chapter, n, c) for n, c in chapters(size).items()}
    parts["digits"] = run_small_networks
    if unknown := [name for name in options.parts if name not in parts]:
        parser.error(f"no part is called {unknown[0]}: expected one of {', '.join(parts)}")
    if options.list:
        for name in parts:
            print(f"{'finished' if is_finished(name, places) else 'to do   '}  {name}")
        return 0
    try:
        run({name: parts[name] for name in options.parts or parts}, places, options.unknown_commit)
    except (ValueError, OSError, RuntimeError, ArithmeticError) as problem:
        say(f"error: {problem}")
        return 1
    except subprocess.CalledProcessError as problem:
        say(f"error: the notebook stopped ({problem.returncode}); see above for the cell")
        return 1
    return 0
