"""A result row: one measured value with everything needed to measure it again."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from study.records import fields
from study.records.commit import code_version
from study.records.fields import FIELDS, SCHEMA, RowError
from study.text.escape import plain

__all__ = [
    "FIELDS",
    "SCHEMA",
    "RowError",
    "append",
    "lines",
    "provenance",
    "read",
    "replace",
    "row",
]


def row(**given: Any) -> dict:
    """A row of the given fields plus schema version, date, code version and library versions.

    Every name in `FIELDS` must be given and no other.  `value`: what `study.records.schema` says of
    the experiment; `config`: the experiment's full settings; `samples`: the number of images, draws
    or seeds behind the value; `seconds`: what it took.  Raises RowError, naming the field, for one
    that is missing, unknown, not finite or out of range, and for a value that does not fit.
    """
    if wrong := set(given) ^ set(FIELDS):
        raise RowError(f"row fields {sorted(wrong)}: each of {FIELDS} is needed, and no other")
    made = {
        **given,
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(),
        "versions": library_versions(),
    }
    fields.check(made)
    return made


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


def lines(rows: Iterable[dict]) -> bytes:
    """Rows as JSON lines, each sealed: with a hash of all the rest, so that damage is noticed.

    Raises RowError for a bad row, or one measurement twice.
    """
    found, seen = [], set()
    for r in rows:
        fields.check(r)
        if (same := fields.identity(r)) in seen:
            raise RowError(f"{r['experiment']} of {r['model']} is there twice: {DOUBLE}")
        seen.add(same)
        found.append(json.dumps(r | {"seal": seal(r)}, sort_keys=True, allow_nan=False) + "\n")
    return "".join(found).encode()


DOUBLE = "expected one row for an experiment on a network"


def seal(r: dict) -> str:
    """A hash of a row, all fields but the seal itself."""
    rest = {name: entry for name, entry in r.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def append(path: Path, *rows: dict) -> None:
    """Add rows to a JSON-lines file; a kill leaves whole lines only.

    Raises RowError for a bad row and, naming the line, for one whose measurement (experiment,
    configuration, seed, data and checkpoint) the file already holds: see `replace`.  Raises
    OSError, naming the path, where it cannot be written.
    """
    new, path = lines(rows), Path(path)
    held = {fields.identity(r): n for n, r in numbered(path)} if path.is_file() else {}
    for r in rows:
        if number := held.get(fields.identity(r)):
            raise RowError(f"{path}, line {number} already holds {r['experiment']}: {DOUBLE}")
    write(path, new)


def replace(path: Path, *rows: dict) -> None:
    """As `append`, but measurements that the file already holds give way to the new ones."""
    path, new = Path(path), {fields.identity(r) for r in rows}
    held = [r for _, r in numbered(path)] if path.is_file() else []
    kept = [r for r in held if fields.identity(r) not in new]
    if len(kept) == len(held):
        return append(path, *rows)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft, lines([*kept, *rows]))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write(path: Path, raw: bytes) -> None:
    """Add whole lines to a file; OSError, naming the path, where that cannot be."""
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
            written = os.write(file, raw)
        except OSError:
            written = 0
        if written != len(raw):
            os.ftruncate(file, size)
            raise OSError(f"{path}: the disk is full, no row was added")
    finally:
        os.close(file)


def read(folder: Path, experiment: str | None = None) -> list[dict]:
    """All rows of the `*.jsonl` files in a folder, oldest first; of one experiment if named.

    A folder that is not there holds no rows.  RowError, naming file and line, for a line that is
    damaged or no row, and for a measurement that two lines hold.
    """
    rows: list[dict] = []
    places: dict[str, str] = {}
    for path in sorted(Path(folder).glob("*.jsonl")):
        for number, found in numbered(path):
            same, place = fields.identity(found), f"{path}, line {number}"
            if same in places:
                raise RowError(f"{place} is that of {places[same]} once more: {DOUBLE}")
            places[same] = place
            rows.append(found)
    rows.sort(key=lambda r: r["date"])
    return [r for r in rows if experiment in (None, r["experiment"])]


def numbered(path: Path) -> list[tuple[int, dict]]:
    """The rows of a file with the numbers of their lines.  RowError, naming file and line."""
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append((number, parsed(line)))
        except (ValueError, RecursionError) as problem:
            raise RowError(f"{path}, line {number} is no row ({problem})") from None
    return found


def parsed(line: bytes) -> dict:
    """The row of a line, its seal checked and taken off.

    Rows of the first study have neither version nor seal: they are read as version 1.
    """
    found = json.loads(line, parse_constant=refuse, object_pairs_hook=unique)
    if not isinstance(found, dict):
        raise RowError("it is not a table of fields")
    sealed = found.pop("seal", None)
    if "schema" not in found:
        found = from_version_1(found)
    elif sealed is None:
        raise RowError("seal is missing")
    if sealed is not None and sealed != seal(found):
        raise RowError("its seal does not fit: it was changed after it was written")
    fields.check(found)
    return found


def from_version_1(r: dict) -> dict:
    """A row of the first study: its values have the fields that are not optional today."""
    return r | {"schema": 1}


def refuse(constant: str) -> None:
    """No NaN and no infinity."""
    raise RowError(f"{constant} is no number")


def unique(pairs: list[tuple[str, Any]]) -> dict:
    """A table of which no name is given twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RowError("a name is given twice")
    return found


def provenance(r: dict) -> str:
    """Where a number comes from, in one line of Markdown for under a figure.

    Samples are images, unless the configuration says on how many `images` they were taken.
    """
    images = r["config"].get("images", r["samples"])
    samples = f"{r['samples']:,} samples on " if images != r["samples"] else ""
    commit = (r["code"]["commit"] or "unknown")[:10] + ("*" if r["code"]["dirty"] else "")
    return plain(
        f"{r['experiment']}: {samples}{images:,} images of {r['dataset']} "
        f"(data {r['data_checksum'][:10]}), {r['model']} (checkpoint "
        f"{(r['checkpoint'] or 'none')[:10]}), seed {r['seed']}, commit {commit}, "
        f"{r['device']}, {r['date'][:10]}, {r['seconds']:.1f} s"
    )
