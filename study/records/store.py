"""A result row: one measured value with everything needed to measure it again."""

import json
import os
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from study.records.commit import code_version

FIELDS = (
    "experiment dataset data_checksum model checkpoint config seed device seconds samples value"
).split()


class RowError(ValueError):
    """A row with a field missing, or a file of rows with a damaged line."""


def row(**fields) -> dict:
    """A row of the given fields plus date, code version and library versions.

    Every name in `FIELDS` must be given and no other: RowError otherwise.  `value` is a number or a
    JSON-able table; `config` the experiment's full settings; `samples` the number of images,
    draws or seeds behind the value; `seconds` what it took.
    """
    if wrong := set(fields) ^ set(FIELDS):
        raise RowError(f"row fields {sorted(wrong)}: each of {FIELDS} is needed, and no other")
    return {
        **fields,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(),
        "versions": library_versions(),
    }


@cache
def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a number can depend on."""
    found = {"python": platform.python_version()}
    for name in ("torch", "torchvision", "numpy", "scipy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def append(path: Path, *rows: dict) -> None:
    """Add rows to a JSON-lines file; a kill leaves whole lines only.

    Raises OSError, naming the path, where it cannot be written.
    """
    lines = "".join(json.dumps(r, sort_keys=True, allow_nan=False) + "\n" for r in rows).encode()
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as problem:
        raise OSError(
            f"{path} cannot be written ({problem.strerror}): choose another folder"
        ) from problem
    try:
        # One write call appends all or, on a full disk, a part that is cut off again.
        size = os.fstat(file).st_size
        try:
            written = os.write(file, lines)
        except OSError:
            written = 0
        if written != len(lines):
            os.ftruncate(file, size)
            raise OSError(f"{path}: the disk is full, no row was added")
    finally:
        os.close(file)


def read(folder: Path, experiment: str | None = None) -> list[dict]:
    """All rows of the `*.jsonl` files in a folder, oldest first; of one experiment if named.

    A folder that is not there holds no rows.  RowError, naming file and line, for a damaged one.
    """
    rows = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                found = json.loads(line)
            except ValueError as problem:
                raise RowError(f"{path}, line {number} is no row ({problem})") from None
            if not isinstance(found, dict) or not {*FIELDS, "date"} <= found.keys():
                raise RowError(f"{path}, line {number} is no row (fields are missing)")
            rows.append(found)
    rows.sort(key=lambda r: r["date"])
    return [r for r in rows if experiment in (None, r["experiment"])]


def provenance(r: dict) -> str:
    """Where a number comes from, in one line for under a figure.

    Samples are images, unless the configuration says on how many `images` they were taken.
    """
    images = r["config"].get("images", r["samples"])
    samples = f"{r['samples']:,} samples on " if images != r["samples"] else ""
    commit = (r["code"]["commit"] or "unknown")[:10] + ("*" if r["code"]["dirty"] else "")
    return (
        f"{r['experiment']}: {samples}{images:,} images of {r['dataset']} "
        f"(data {r['data_checksum'][:10]}), {r['model']} (checkpoint "
        f"{(r['checkpoint'] or 'none')[:10]}), seed {r['seed']}, commit {commit}, "
        f"{r['device']}, {r['date'][:10]}, {r['seconds']:.1f} s"
    )
