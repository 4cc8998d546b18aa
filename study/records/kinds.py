"""Checked values: what an entry of a row may be, and how long its lists are.

A dataclass whose fields are made by `one`, `each` and `by_name` says what it holds; `parse` builds
it from what a JSON line holds, or says what is wrong with that.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import pairwise
from typing import Any, Protocol, TypeVar


class SchemaError(ValueError):
    """A value that is not what its experiment measures."""


LARGEST = 1e100  # Nothing that is measured here comes near it.


@dataclass(frozen=True)
class Kind:
    """What a single entry may be: its type, and the least and the largest value."""

    name: str
    whole: bool = False
    low: float = -math.inf
    high: float = math.inf

    def check(self, where: str, entry: Any) -> None:
        """SchemaError unless `entry` is a finite number of this kind."""
        number = int if self.whole else (int, float)
        if isinstance(entry, bool) or not isinstance(entry, number):
            raise SchemaError(f"{where} is {entry!r:.40}: expected {self.name}")
        # No comparison holds for NaN.
        if not (self.low <= entry <= self.high and abs(entry) < LARGEST):
            raise SchemaError(f"{where} is {entry!s:.40}: expected {self.name}")


REAL = Kind("a finite number")
SIZE = Kind("a finite number from 0", low=0)
SHARE = Kind("a share from 0 to 1", low=0, high=1)
TAU = Kind("a rank correlation from -1 to 1", low=-1, high=1)
COSINE = Kind("a cosine from -1 to 1", low=-1, high=1)
COUNT = Kind("a whole number from 1", whole=True, low=1)
INDEX = Kind("a whole number from 0", whole=True, low=0)


class Text(Kind):
    """A name."""

    def check(self, where: str, entry: Any) -> None:
        """SchemaError unless `entry` is a name."""
        if not isinstance(entry, str) or not entry:
            raise SchemaError(f"{where} is {entry!r:.40}: expected {self.name}")


TEXT = Text("a name")


def one(kind: Kind, optional: bool = False) -> Any:
    """A field that holds one entry."""
    return each(kind, optional=optional)


def each(kind: Kind, *over: str | int, optional: bool = False, named: bool = False) -> Any:
    """A field that holds a list over each name in `over`, one inside the other; a number: so many
    entries."""
    how = {"kind": kind, "over": over, "named": named}
    return field(default=None, metadata=how) if optional else field(metadata=how)


def by_name(kind: Kind, *over: str | int, optional: bool = False) -> Any:
    """A field that holds what `each` would, in a table by name."""
    return each(kind, *over, optional=optional, named=True)


class Value(Protocol):
    """What `parse` makes."""

    def relations(self, samples: int, images: int) -> None:
        """SchemaError unless the fields agree with each other and with the row's counts."""


T = TypeVar("T", bound=Value)


def parse(kind: type[T], value: Any) -> T:
    """The dataclass `kind` from a JSON-able table by name.  SchemaError, naming the field."""
    if not isinstance(value, Mapping):
        raise SchemaError(f"value is {value!r:.40}: expected a table of {names_of(kind)}")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(map(str, value.keys() - known.keys())):
        raise SchemaError(f"{unknown[0]!r} is unknown: expected {names_of(kind)}")
    sizes: dict[str, int] = {}
    for name, described in known.items():
        if name not in value:
            if described.default is MISSING:
                raise SchemaError(f"{name} is missing: expected {names_of(kind)}")
        elif value[name] is not None or described.default is MISSING:
            how = described.metadata
            entry = value[name]
            if how["named"]:
                if not isinstance(entry, Mapping) or not entry:
                    raise SchemaError(f"{name} is {entry!r:.40}: expected entries by name")
                for part, listed in entry.items():
                    walk(f"{name} of {part!r}", listed, how["kind"], how["over"], sizes)
            else:
                walk(name, entry, how["kind"], how["over"], sizes)
    return kind(**value)


def names_of(kind: type) -> str:
    """The names of a dataclass's fields."""
    return ", ".join(f.name for f in fields(kind))


def walk(
    name: str, entry: Any, kind: Kind, over: Sequence[str | int], sizes: dict[str, int]
) -> None:
    """Check an entry, or a list of them; `sizes`: what is known of the lengths of lists."""
    if not over:
        return kind.check(name, entry)
    what, *inner = over
    if not isinstance(entry, list):
        raise SchemaError(f"{name} is {entry!r:.40}: expected a list over {what}")
    if not entry:
        # Nothing may be downsampling, and nothing wrong; all else was measured.
        if what not in ("downsampling", "wrong"):
            raise SchemaError(f"{name} is empty: expected a list over {what}")
    wanted = what if isinstance(what, int) else sizes.setdefault(what, len(entry))
    if len(entry) != wanted:
        raise SchemaError(f"{name} has {len(entry)} entries: expected {wanted}, one for {what}")
    for i, part in enumerate(entry):
        walk(f"{name}[{i}]", part, kind, inner, sizes)


def ascending(name: str, numbers: Sequence[int], below: int | None = None) -> None:
    """SchemaError unless numbers rise, up to one less than `below`."""
    if any(a >= b for a, b in pairwise(numbers)):
        raise SchemaError(f"{name}: expected numbers that rise")
    if below is not None and numbers and numbers[-1] >= below:
        raise SchemaError(f"{name} holds {numbers[-1]}: expected less than {below}")


def of_images(name: str, errors: Iterable[float], images: int) -> None:
    """SchemaError unless each error is a number of images, divided by all of them."""
    for error in errors:
        if abs(error * images - round(error * images)) > 1e-4:
            raise SchemaError(f"{name} holds {error}: no share of {images} images")


def whole(name: str, shares: Sequence[float]) -> None:
    """SchemaError unless shares add up to 1."""
    total, size = math.fsum(shares), math.fsum(map(abs, shares))
    if abs(total - 1) > 1e-6 * max(size, 1):
        raise SchemaError(f"{name} add up to {total}: expected 1")


def in_order(*percentiles: Sequence[float] | None) -> None:
    """SchemaError unless each list is nowhere above the next; lists that are not there pass."""
    there = [p for p in percentiles if p is not None]
    for low, high in pairwise(there):
        if any(a > b for a, b in zip(low, high, strict=True)):
            raise SchemaError("percentiles: expected lower ones below higher ones")


def intervals(name: str, ends: Sequence[Sequence[float]] | None) -> None:
    """SchemaError unless each interval begins before it ends."""
    if any(low > high for low, high in ends or ()):
        raise SchemaError(f"{name}: expected [low, high]")
