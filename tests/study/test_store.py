"""Result rows: complete, appended whole, read back in order."""

import errno
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import pytest

from study.records import store

FIELDS = {
    "experiment": "deletion",
    "dataset": "digits",
    "data_checksum": "0123456789abcdef",
    "model": "resnet110-digits-s0",
    "checkpoint": "fedcba9876543210",
    "config": {"seed": 0},
    "seed": 0,
    "device": "cpu (x86_64, 2 threads)",
    "seconds": 1.25,
    "samples": 360,
    "value": {"error": [0.5, 0.25]},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows" / "a.jsonl"


def row(**changes):
    return store.row(**FIELDS | changes)


def test_a_row_says_how_to_measure_it_again():
    found = row()
    assert {name: found[name] for name in FIELDS} == FIELDS
    assert set(found) == {*FIELDS, "date", "code", "versions"}
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
    first, second, third = row(value=1), row(value=2, experiment="reordering"), row(value=3)
    store.append(path, first)
    store.append(path, second, third)
    assert store.read(path.parent) == [first, second, third]
    assert store.read(path.parent, "deletion") == [first, third]
    assert store.read(path.parent, "nothing") == []
    assert path.read_bytes().count(b"\n") == 3


def test_oldest_first_across_files(path):
    dates = ["2026-03-01", "2026-01-01", "2026-02-01", "2026-04-01"]
    for name, date in zip("abab", dates, strict=True):
        store.append(path.with_name(f"{name}.jsonl"), row() | {"date": f"{date}T00:00:00+00:00"})
    assert [r["date"][:10] for r in store.read(path.parent)] == sorted(dates)


def test_no_folder_no_rows(tmp_path):
    assert store.read(tmp_path / "nowhere") == []


def test_a_row_is_one_write(path, monkeypatch):
    """So rows of two processes do not mix."""
    calls, write = [], os.write
    monkeypatch.setattr(os, "write", lambda file, raw: calls.append(raw) or write(file, raw))
    store.append(path, row(), row())
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
    store.append(path, row(value=1))
    before = path.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(OSError) as caught:
        patch.setattr(os, "write", full(room))
        store.append(path, row(value=2))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before
    store.append(path, row(value=3))
    assert [r["value"] for r in store.read(path.parent)] == [1, 3]


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {1, 2}])
def test_a_value_that_is_no_json(path, value):
    with pytest.raises((ValueError, TypeError)):
        store.append(path, row(value=1), row(value=value))
    assert not path.exists()


@pytest.mark.parametrize("damage", [b'{"a": 1', b"", b"[1, 2]", b"7", b"{}", b"\xff\xfe\x00"])
def test_a_damaged_line_is_named(path, damage):
    store.append(path, row(), row())
    path.write_bytes(path.read_bytes() + damage + b"\n" + json.dumps(row()).encode())
    with pytest.raises(store.RowError) as caught:
        store.read(path.parent, "deletion")
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3 is no row") and "\n" not in message


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "runs").write_text("not a folder")
    path = tmp_path / "runs" / "a.jsonl"
    with pytest.raises(OSError, match=f"^{path} cannot be written .*: choose another folder$"):
        store.append(path, row())


def test_provenance():
    known = {"date": "2026-11-21T06:00:00+00:00", "code": {"commit": "a" * 40, "dirty": False}}
    assert store.provenance(row() | known) == (
        "deletion: 360 images of digits (data 0123456789), resnet110-digits-s0 (checkpoint "
        "fedcba9876), seed 0, commit aaaaaaaaaa, cpu (x86_64, 2 threads), 2026-11-21, 1.2 s"
    )


def test_provenance_of_samples_that_are_no_images():
    told = store.provenance(row(config={"images": 1000}, samples=50))
    assert told.startswith("deletion: 50 samples on 1,000 images of digits (")
    assert "on" not in store.provenance(row(config={"images": 50}, samples=50)).split()


def test_provenance_of_less():
    code = {"commit": "b" * 40, "dirty": True}
    found = store.provenance(row(checkpoint=None) | {"code": code})
    assert "(checkpoint none)" in found and "commit bbbbbbbbbb*," in found
    nowhere = {"code": {"commit": None, "dirty": None}}
    assert "commit unknown," in store.provenance(row() | nowhere)
