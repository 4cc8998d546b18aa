"""Result rows: complete, appended whole, read back in order."""

import errno
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import pytest

from study.records import store
from tests.rows import CONFIG

FIELDS = {
    "experiment": "test_time",
    "dataset": "digits",
    "data_checksum": "0123456789abcdef",
    "model": "resnet110-digits-s0",
    "checkpoint": "fedcba9876543210",
    "config": CONFIG | {"dataset": "digits"},
    "seed": 0,
    "device": "cpu (x86_64, 2 threads)",
    "seconds": 1.25,
    "samples": 360,
    "value": {"scaled": 0.5, "unscaled": 0.25},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows" / "a.jsonl"


def row(**changes):
    return store.row(**FIELDS | changes)


def test_a_row_says_how_to_measure_it_again():
    found = row()
    assert {name: found[name] for name in FIELDS} == FIELDS
    assert set(found) == {*FIELDS, "schema", "date", "code", "versions"}
    assert found["schema"] == store.SCHEMA
    assert set(found["code"]) == {"commit", "dirty"}
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "torchvision", "numpy", "scipy", "scikit-learn"} < set(found["versions"])
    age = datetime.now(UTC) - datetime.fromisoformat(found["date"])
    assert timedelta(0) <= age < timedelta(minutes=1)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_needed(name):
    fields = {n: v for n, v in FIELDS.items() if n != name}
    with pytest.raises(store.RowError, match=name):
        store.row(**fields)


def test_no_other_field():
    with pytest.raises(store.RowError, match="colour"):
        row(colour="red")


def test_append_and_read(path):
    first, third = row(seed=1), row(seed=3)
    second = row(seed=2, experiment="by_module", value={"shares": [0.5, 0.25]})
    store.append(path, first)
    store.append(path, second, third)
    assert store.read(path.parent) == [first, second, third]
    assert store.read(path.parent, "test_time") == [first, third]
    assert store.read(path.parent, "nothing") == []
    assert path.read_bytes().count(b"\n") == 3


def test_oldest_first_across_files(path):
    dates = ["2026-03-01", "2026-01-01", "2026-02-01", "2026-04-01"]
    for seed, (name, date) in enumerate(zip("abab", dates, strict=True)):
        dated = row(seed=seed) | {"date": f"{date}T00:00:00+00:00"}
        store.append(path.with_name(f"{name}.jsonl"), dated)
    assert [r["date"][:10] for r in store.read(path.parent)] == sorted(dates)


def test_no_folder_no_rows(tmp_path):
    assert store.read(tmp_path / "nowhere") == []


def other(name):
    """The row of another measurement, by the field that makes it another."""
    others = {
        "seed": 1,
        "checkpoint": "0" * 16,
        "dataset": "cifar10",
        "config": FIELDS["config"] | {"depth": 20},
        "experiment": "by_module",
    }
    value = {"shares": [0.5]} if name == "experiment" else FIELDS["value"]
    config = FIELDS["config"] | ({"dataset": "cifar10"} if name == "dataset" else {})
    return row(**{"value": value, "config": config} | {name: others[name]})


def test_a_measurement_is_appended_once(path):
    """Whenever it was taken and whatever it found."""
    store.append(path, row(seed=5), row())
    before = path.read_bytes()
    again = row(seconds=9.0, value={"scaled": 0.25}) | {"date": "2027-01-01"}
    with pytest.raises(store.RowError, match=f"^{path}, line 2 already holds test_time"):
        store.append(path, row(seed=4), again)
    with pytest.raises(store.RowError, match="test_time of .* is there twice"):
        store.append(path, row(seed=4), row(seed=4))
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["seed", "checkpoint", "dataset", "config", "experiment"])
def test_what_makes_another_measurement(path, name):
    store.append(path, row())
    store.append(path, other(name))
    assert len(store.read(path.parent)) == 2


def test_what_is_measured_again_gives_way(path):
    rows = [row(seed=seed) for seed in range(3)]
    store.replace(path, *rows[:2])
    store.replace(path, rows[2])
    again = row(seed=1, value={"scaled": 0.25})
    store.replace(path, again)
    assert [r for _, r in store.numbered(path)] == [rows[0], rows[2], again]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_one_measurement_in_two_files_is_refused(path):
    first, second = path, path.with_name("b.jsonl")
    store.append(first, row(seed=7), row())
    store.append(second, row(seconds=3.0))
    said = f"^{second}, line 1 is that of {first}, line 2 once more"
    with pytest.raises(store.RowError, match=said):
        store.read(path.parent)


def test_a_row_is_one_write(path, monkeypatch):
    """So rows of two processes do not mix."""
    calls, write = [], os.write
    monkeypatch.setattr(os, "write", lambda file, raw: calls.append(raw) or write(file, raw))
    store.append(path, row(), row(seed=1))
    assert len(calls) == 1 and calls[0].endswith(b"}\n")


def full(after):
    """A disk with room for so many bytes more; with none, it says so at once."""

    def write(file, raw, original=os.write):
        if not after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(file, raw[:after])

    return write


@pytest.mark.parametrize("room", [0, 1, 300])
def test_a_full_disk_leaves_whole_lines(path, monkeypatch, room):
    store.append(path, row(seed=1))
    before = path.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(OSError) as caught:
        patch.setattr(os, "write", full(room))
        store.append(path, row(seed=2))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before
    store.append(path, row(seed=3))
    assert [r["seed"] for r in store.read(path.parent)] == [1, 3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_a_value_that_is_no_number(path, value):
    bad = row() | {"value": {"scaled": value}}
    with pytest.raises(store.RowError, match="^scaled|^errors of 'scaled' is"):
        store.append(path, row(seed=1), bad)
    assert not path.exists()


def seals():
    """Lines that were sealed and then changed, and one that lost its seal."""
    good = store.lines([row(seed=9)])
    yield good.replace(b'"scaled": 0.5', b'"scaled": 0.6')
    yield good.replace(b"cpu", b"gpu")
    yield good.replace(b'"seal"', b'"sea1"')
    bare = json.loads(good)
    del bare["seal"]
    yield json.dumps(bare).encode()
    yield json.dumps(bare | {"schema": 3}).encode()


DAMAGED = [b'{"a": 1', b"", b"[1, 2]", b"7", b"{}", b"\xff\xfe\x00", b'{"a": 1, "a": 1}']
DAMAGED += [b"[" * 100_000, b'{"value": NaN}', b'{"value": -Infinity}', *seals()]


@pytest.mark.parametrize("damage", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_line_is_named(path, damage):
    store.append(path, row(), row(seed=1))
    path.write_bytes(path.read_bytes() + damage.strip() + b"\n" + json.dumps(row()).encode())
    with pytest.raises(store.RowError) as caught:
        store.read(path.parent, "test_time")
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3 is no row (") and "\n" not in message


def test_a_number_that_is_none_is_named():
    for constant in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(store.RowError, match=f"^{constant} is no number"):
            store.parsed(b'{"value": %s}' % constant.encode())


def test_rows_of_the_first_study_are_version_1(path):
    """They have neither version nor seal."""
    old = row()
    del old["schema"]
    path.parent.mkdir()
    path.write_text(json.dumps(old))
    assert store.read(path.parent) == [old | {"schema": 1}]
    path.write_text(json.dumps(old | {"value": {"scaled": 0.501}}))
    with pytest.raises(store.RowError, match="no share of 360 images"):
        store.read(path.parent)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "runs").write_text("not a folder")
    path = tmp_path / "runs" / "a.jsonl"
    with pytest.raises(OSError, match=f"^{path} cannot be written .*: choose another folder$"):
        store.append(path, row())


def test_provenance():
    known = {"date": "2026-11-21T06:00:00+00:00", "code": {"commit": "a" * 40, "dirty": False}}
    assert store.provenance(row() | known) == (
        "test_time: 360 images of digits (data 0123456789), resnet110-digits-s0 (checkpoint "
        "fedcba9876), seed 0, commit aaaaaaaaaa, cpu (x86_64, 2 threads), 2026-11-21, 1.2 s"
    )


def test_provenance_of_samples_that_are_no_images():
    config = FIELDS["config"]
    told = store.provenance(row(config=config | {"images": 1000}, samples=50))
    assert told.startswith("test_time: 50 samples on 1,000 images of digits (")
    alike = row(config=config | {"images": 60}, samples=60, value={"scaled": 0.5})
    assert "on" not in store.provenance(alike).split()


def test_provenance_of_less():
    code = {"commit": "b" * 40, "dirty": True}
    found = store.provenance(row(checkpoint=None) | {"code": code})
    assert "(checkpoint none)" in found and "commit bbbbbbbbbb&#42;," in found
    nowhere = {"code": {"commit": None, "dirty": None}}
    assert "commit unknown," in store.provenance(row() | nowhere)
