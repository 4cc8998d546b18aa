"""The fields of a row, around its value: which there are, and what each may hold."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from study.records import schema
from study.records.kinds import COUNT, INDEX, SHARE, SIZE, TEXT, Kind, SchemaError

SCHEMA = 2  # 1: rows of the first study, which name no version.
FIELDS = (
    "experiment dataset data_checksum model checkpoint config seed device seconds samples value"
).split()
ADDED = ["schema", "date", "code", "versions"]
# Networks of strangers are named by this, not by the settings they were trained by.
FOREIGN = "foreign/"
# The settings of a training: a row names all of them, for a network that was trained here.
TRAINED: dict[str, Kind] = {
    "dataset": TEXT,
    "model": TEXT,
    "depth": COUNT,
    "shortcuts": TEXT,
    "recipe": TEXT,
    "iterations": COUNT,
    "batch_size": COUNT,
    "learning_rate": SIZE,
    "momentum": SHARE,
    "weight_decay": SIZE,
    "active": INDEX,
    "survival": SHARE,
    "seed": INDEX,
}
MEASURED: dict[str, Kind] = {"images": COUNT, "n_statistics": COUNT}


class RowError(ValueError):
    """A row that is not whole or not right, or a file of rows with such a line."""


def check(row: Mapping[str, Any]) -> None:
    """RowError, naming the field, unless a row is whole and every entry is what it should be."""
    try:
        if absent := {*FIELDS, *ADDED} - row.keys():
            raise SchemaError(f"fields are missing: {', '.join(sorted(absent))}")
        if unknown := row.keys() - {*FIELDS, *ADDED}:
            raise SchemaError(f"fields are unknown: {', '.join(sorted(map(str, unknown)))}")
        if row["schema"] not in range(1, SCHEMA + 1) or isinstance(row["schema"], bool):
            raise SchemaError(f"schema {row['schema']!r}: expected 1 to {SCHEMA}")
        for name in ("experiment", "dataset", "data_checksum", "model", "device"):
            TEXT.check(name, row[name])
        if row["checkpoint"] is not None:
            TEXT.check("checkpoint", row["checkpoint"])
        INDEX.check("seed", row["seed"])
        SIZE.check("seconds", row["seconds"])
        COUNT.check("samples", row["samples"])
        check_origin(row)
        check_config(row)
        images = row["config"].get("images", row["samples"])
        schema.check(row["experiment"], row["value"], row["samples"], images)
    except SchemaError as problem:
        raise RowError(str(problem)) from None


def check_origin(row: Mapping[str, Any]) -> None:
    """Date, code and versions."""
    TEXT.check("date", row["date"])
    try:
        datetime.fromisoformat(row["date"])
    except ValueError:
        raise SchemaError(f"date {row['date']!r:.40}: expected an ISO date and time") from None
    code, versions = row["code"], row["versions"]
    if not isinstance(code, Mapping) or code.keys() != {"commit", "dirty"}:
        raise SchemaError("code: expected commit and dirty")
    if not isinstance(code["dirty"], bool | None):
        raise SchemaError(f"dirty is {code['dirty']!r:.40}: expected true, false or null")
    if code["commit"] is not None:
        TEXT.check("commit", code["commit"])
    if not isinstance(versions, Mapping):
        raise SchemaError("versions: expected a version of each library")
    for name, found in versions.items():
        TEXT.check(f"version of {name}", found)


def check_config(row: Mapping[str, Any]) -> None:
    """Settings: single entries, and for a network that was trained here all of its training's."""
    config = row["config"]
    if not isinstance(config, Mapping):
        raise SchemaError("config: expected settings by name")
    for name, entry in config.items():
        if isinstance(entry, float | int) and not isinstance(entry, bool):
            Kind("a finite number").check(f"config {name}", entry)
        elif not isinstance(entry, str | bool | None):
            raise SchemaError(f"config {name} is {entry!r:.40}: expected a number or a name")
    if row["experiment"].startswith(schema.BENCH):
        return
    TEXT.check("config model", config.get("model"))
    named = config["model"].startswith(FOREIGN) or row["experiment"] == "start_of_training"
    for name, kind in (TRAINED | MEASURED).items():
        if name in config:
            kind.check(f"config {name}", config[name])
        elif name in TRAINED and not named:
            raise SchemaError(f"config {name} is missing: expected every setting of the training")
    if config.get("dataset", row["dataset"]) != row["dataset"]:
        raise SchemaError(f"config dataset is not {row['dataset']!r:.40}, that of the row")


def identity(row: Mapping[str, Any]) -> str:
    """What is measured: two rows that agree in it hold one measurement twice."""
    names = ("experiment", "config", "seed", "dataset", "checkpoint")
    return json.dumps([row[name] for name in names], sort_keys=True)
