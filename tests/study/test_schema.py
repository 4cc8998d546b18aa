"""What a row's value may hold: each experiment's fields, their kinds, and how they agree."""

import copy
import random

import pytest

from study import claims
from study.records import fields, kinds, schema, store
from tests.rows import examples, row

EXAMPLES = examples()
NAMED = {name: r for name, r in EXAMPLES.items() if not name.startswith("bench")}


def changed(experiment, **changes):
    """The example of an experiment, with other entries in its value; None: without it."""
    value = EXAMPLES[experiment]["value"] | changes
    return EXAMPLES[experiment] | {"value": {k: v for k, v in value.items() if v is not ...}}


def refused(r, match):
    with pytest.raises(store.RowError, match=match):
        fields.check(r)


def test_every_experiment_has_an_example():
    assert NAMED.keys() == schema.EXPERIMENTS.keys()
    for r in EXAMPLES.values():
        fields.check(r)


@pytest.mark.parametrize("experiment", NAMED.keys() - {"test_time"})
def test_a_field_that_is_missing_or_unknown(experiment):
    kind = schema.EXPERIMENTS[experiment]
    for name, described in kind.__dataclass_fields__.items():
        less = changed(experiment, **{name: ...})
        if described.default is None:
            fields.check(less)
        else:
            refused(less, f"^{name} is missing: expected ")
    refused(changed(experiment, colour=1), "^'colour' is unknown: expected ")


def spoiled(value, entry):
    """The table with its first number replaced, for each of its fields."""
    for name, held in value.items():
        if name != "shortcuts" and not isinstance(held, dict):
            found = copy.deepcopy(value)
            inner, key = found, name
            while isinstance(inner[key], list):
                inner, key = inner[key], 0
            inner[key] = entry
            yield found


@pytest.mark.parametrize("entry", [float("nan"), float("inf"), None, "1", [], {}, True, 1e300])
@pytest.mark.parametrize("experiment", NAMED)
def test_an_entry_that_is_no_number(experiment, entry):
    r = EXAMPLES[experiment]
    for value in spoiled(r["value"], entry):
        if value != r["value"] and None not in value.values():
            with pytest.raises(store.RowError):
                fields.check(r | {"value": value})


@pytest.mark.parametrize(
    "experiment, changes, match",
    [
        ("training", {"error": 0.03}, "error is 0.03: 2 of 100 are wrong"),
        ("training", {"wrong": [99, 3]}, "wrong: expected numbers that rise"),
        ("training", {"wrong": [3, 100]}, "wrong holds 100: expected less than 100"),
        ("training", {"modules": 0}, "modules is 0: expected a whole number from 1"),
        ("training", {"modules": 4.0}, "modules is 4.0: expected a whole number"),
        ("deletion", {"intact": 1.01}, "intact is 1.01: expected a share from 0 to 1"),
        ("deletion", {"errors": [0.1, -0.1, 0, 0]}, r"errors\[1\] is -0.1: expected a share"),
        ("deletion", {"errors": [0.1, 0.105, 0, 0]}, "errors holds 0.105: no share of 100 images"),
        ("deletion", {"errors": []}, "errors is empty"),
        ("deletion", {"downsampling": [4]}, "downsampling holds 4: expected less than 4"),
        ("random_deletions", {"deleted": [2, 1]}, "deleted: expected numbers that rise"),
        ("random_deletions", {"deleted": [1]}, "errors has 2 entries: expected 1"),
        ("random_deletions", {"errors": [[0.1, 0.2], [0.1]]}, r"errors\[1\] has 1 entries"),
        ("random_deletions", {"errors": [[0.1], [0.1]], "orders": ...}, "expected 2 draws"),
        ("random_deletions", {"orders": [[3, 3], [1, 2]]}, "expected 2 different modules a draw"),
        ("random_deletions", {"orders": [[3], [1]]}, "expected 2 different modules a draw"),
        ("reordering", {"tau": [1.0, 0.5]}, "tau is 0.5: its order has 0.66"),
        ("reordering", {"tau": [1.0, 1.5]}, "expected a rank correlation"),
        ("reordering", {"orders": [[0, 1, 2, 3], [1, 1, 2, 3]]}, "expected each module once"),
        ("reordering", {"errors": [0.1]}, "errors has 1 entries: expected 2, one for variants"),
        ("by_length", {"shares": [1.0, 0.1, 0, 0, 0]}, "shares add up to 1.1: expected 1"),
        ("by_length", {"by_image": [1.0, -0.1, 0, 0, 0]}, "by_image add up to 0.9: expected 1"),
        ("by_length", {"norms": [1.0, 0.6, 0, 0, 0]}, "less than the square of its norm"),
        ("by_length", {"intervals": [[0.2, 0.1]] * 5}, "intervals: expected"),
        ("by_length", {"intervals": [[0.2]] * 5}, r"intervals\[0\] has 1 entries: expected 2"),
        ("by_length", {"by_image_intervals": [[1, 0]] * 5}, "by_image_intervals: expected"),
        ("by_module", {"intervals": [[1, 0]] * 4}, "intervals: expected"),
        ("by_module", {"by_image": [0.4]}, "by_image has 1 entries"),
        ("sampled_norms", {"lengths": [1, 2, 5]}, "lengths holds 5: expected less than 5"),
        ("sampled_norms", {"mean": [-1.0, 0, 0]}, "expected a finite number from 0"),
        ("sampled_norms", {"p90": [0.0, 0.5, 0.0]}, "percentiles"),
        ("signed_norms", {"rms": [1.0, 0.5, 0.5, 0.5, 0.4]}, "rms of length 4 is 0.4"),
        ("dynamics", {"iterations": [0, 0]}, "iterations: expected numbers that rise"),
        ("dynamics", {"shares": [[1.0, 0, 0, 0, 0], [0.9, 0, 0, 0, 0]]}, "shares add up to 0.9"),
        ("dynamics", {"gamma": [1.0]}, "gamma has 1 entries: expected 2, one for times"),
        ("scaling", {"end": 2.7}, "end: expected the mean length of its shares, 3.0"),
        ("scaling", {"shares": {"nothing": [0.0, 1.0]}}, "nothing: expected the mean length"),
        ("scaling", {"shares": []}, "shares is .*: expected entries by name"),
        ("test_time", {"scaled": 0.11}, "no share of 10 images"),
        ("gates", {"p10": [0.3, 0.1]}, "percentiles"),
        ("start_of_training", {"mean_length": ["a"]}, r"mean_length\[0\] is 'a'"),
        ("bench exact", {"plain": 0.0}, "plain is 0.0: expected more than 0"),
        ("bench exact", {"note": 3}, "note is 3: expected a name"),
        ("bench exact", {"ours": ...}, "ours is missing"),
        ("bench exact", {"note": ...}, "note is missing"),
    ],
)
def test_a_value_that_does_not_agree(experiment, changes, match):
    refused(changed(experiment, **changes), match)


def test_an_unknown_experiment():
    refused(EXAMPLES["gates"] | {"experiment": "gate"}, "experiment 'gate': expected training, ")


@pytest.mark.parametrize("value", [1.0, None, [], [1], {}, "x"])
def test_a_value_that_is_no_table(value):
    for name in ("gates", "bench exact"):
        refused(EXAMPLES[name] | {"value": value}, "expected|missing")


@pytest.mark.parametrize("experiment", ["random_deletions", "reordering"])
def test_nothing_drawn_is_no_measurement(experiment):
    """As by n_draws 0 or max_swaps 0."""
    value = EXAMPLES[experiment]["value"]
    nothing = {k: [] if isinstance(v, list) else v for k, v in value.items()}
    with pytest.raises(store.RowError, match="samples is 0: expected a whole number from 1"):
        row(experiment, nothing, samples=0, images=10)
    with pytest.raises(store.RowError, match="is empty"):
        row(experiment, nothing, samples=1, images=10)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"seed": -1}, "seed is -1"),
        ({"samples": 1.5}, "samples is 1.5"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"dataset": ""}, "dataset is ''"),
        ({"checkpoint": 7}, "checkpoint is 7"),
        ({"schema": 0}, "schema 0: expected 1 to"),
        ({"schema": store.SCHEMA + 1}, f"schema {store.SCHEMA + 1}: expected 1 to"),
        ({"date": "yesterday"}, "date 'yesterday'"),
        ({"code": None}, "code: expected commit and dirty"),
        ({"code": {"commit": 3, "dirty": None}}, "commit is 3"),
        ({"code": {"commit": None, "dirty": "no"}}, "dirty is 'no'"),
        ({"versions": []}, "versions: expected"),
        ({"versions": {"torch": 2}}, "version of torch is 2"),
        ({"config": []}, "config: expected settings by name"),
        ({"colour": 1}, "fields are unknown: colour"),
    ],
)
def test_a_field_of_the_row(changes, match):
    refused(EXAMPLES["gates"] | changes, match)


@pytest.mark.parametrize(
    "name, entry, match",
    [
        ("iterations", 0, "config iterations is 0"),
        ("iterations", ..., "config iterations is missing"),
        ("survival", 1.5, "config survival is 1.5"),
        ("model", None, "config model is None"),
        ("dataset", "digits", "config dataset is not 'cifar10'"),
        ("weight_decay", float("nan"), "weight_decay is nan"),
        ("images", 0, "config images is 0"),
        ("extra", [1], "config extra is"),
    ],
)
def test_a_setting(name, entry, match):
    config = {
        k: v for k, v in (EXAMPLES["gates"]["config"] | {name: entry}).items() if v is not ...
    }
    refused(EXAMPLES["gates"] | {"config": config}, match)


def test_a_network_of_strangers_is_known_by_its_name():
    r = EXAMPLES["deletion"]
    fields.check(r | {"config": {"model": "foreign/resnet56"}})
    refused(r | {"config": {"model": "resnet"}}, "config dataset is missing")


def test_kinds_hold_their_ends():
    for kind, good, bad in (
        (kinds.SHARE, [0, 1, 0.5], [-1e-9, 1 + 1e-9]),
        (kinds.COUNT, [1, 10**9], [0, 1.0]),
        (kinds.INDEX, [0], [-1]),
        (kinds.TAU, [-1, 1], [-1.01, 1.01]),
        (kinds.REAL, [-1e99, 1e99], [1e100, -1e100]),
    ):
        for entry in good:
            kind.check("it", entry)
        for entry in bad:
            with pytest.raises(kinds.SchemaError, match="^it is "):
                kind.check("it", entry)


# Mutations of whole files.


def mutate(raw, generator):
    """One change to the bytes of a file of rows, such as an editor or a disk makes."""
    lines = raw.splitlines(keepends=True)
    i = generator.randrange(len(lines))
    line, kind = lines[i], generator.randrange(6)
    at = generator.randrange(len(line))
    if kind == 0:
        lines[i] = line[:at] + bytes([line[at] ^ 1 << generator.randrange(8)]) + line[at + 1 :]
    elif kind == 1:
        lines[i] = line[:at]
    elif kind == 2:
        lines[i] = line + line
    elif kind == 3:
        del lines[i]
    elif kind == 4:
        places = [j for j, c in enumerate(line) if chr(c).isdigit()]
        j = generator.choice(places)
        lines[i] = line[:j] + generator.choice([b"NaN", b"-1", b"null", b"9"]) + line[j + 1 :]
    else:
        lines[i] = line[:at] + line[at + generator.randrange(1, 40) :]
    return b"".join(lines), kind == 3


def survive(tmp_path, rounds, seed):
    """Of mutated files, those that are read: each must tell the same, unless a line was lost."""
    generator, path = random.Random(seed), tmp_path / "rows.jsonl"
    store.append(path, *EXAMPLES.values())
    raw, rows = path.read_bytes(), store.read(tmp_path)
    told = [claims.scorecard(kind, rows) for kind in "BL"]
    for _ in range(rounds):
        mutated, lost = mutate(raw, generator)
        path.write_bytes(mutated)
        try:
            found = store.read(tmp_path)
        except store.RowError as problem:
            assert str(path) in str(problem) and "\n" not in str(problem)
            continue
        assert [claims.scorecard(kind, found) for kind in "BL"] == told or lost
        assert lost or found == rows


def test_mutated_files_are_refused_or_tell_the_same(tmp_path):
    survive(tmp_path, 30, seed=0)


@pytest.mark.slow
def test_many_mutated_files_are_refused_or_tell_the_same(tmp_path):
    survive(tmp_path, 1000, seed=1)
