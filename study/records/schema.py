"""What the value of a row holds: one frozen dataclass for each experiment.

A field says what its numbers are (a `Kind`) and what its lists run over; lists of one value that
run over the same thing have the same length.  A new field is optional, so that rows recorded
before it stay good; a new experiment is a dataclass, and a line of `EXPERIMENTS`.
"""

from collections.abc import Mapping
from typing import Any

from study.records.gradients import (
    ByLength,
    ByModule,
    Dynamics,
    SampledNorms,
    Scaling,
    SignedNorms,
    StartOfTraining,
)
from study.records.kinds import REAL, TEXT, SchemaError, Value, parse
from study.records.lesions import (
    Deletion,
    Gates,
    RandomDeletions,
    Reordering,
    TestTime,
    Training,
)


def bench(value: Any) -> None:
    """Check what a benchmark found: numbers and a note by name, or a list of such lines."""
    lines = value if isinstance(value, list) else [value]
    if not lines or not all(isinstance(line, Mapping) and line for line in lines):
        raise SchemaError("value: expected numbers by name, or a list of such")
    for name, entry in (item for line in lines for item in line.items()):
        (TEXT if name == "note" else REAL).check(name, entry)
        if name in ("plain", "ours", "goal", "limit") and entry <= 0:
            raise SchemaError(f"{name} is {entry}: expected more than 0")
    for line in lines:
        if "plain" in line and "ours" not in line:
            raise SchemaError("ours is missing: expected the time of both")
    if isinstance(value, Mapping) and "plain" in value and "note" not in value:
        raise SchemaError("note is missing: expected what was timed")


BENCH = "bench "
EXPERIMENTS: dict[str, type[Value]] = {
    "training": Training,
    "deletion": Deletion,
    "random_deletions": RandomDeletions,
    "reordering": Reordering,
    "by_length": ByLength,
    "by_module": ByModule,
    "sampled_norms": SampledNorms,
    "signed_norms": SignedNorms,
    "dynamics": Dynamics,
    "scaling": Scaling,
    "test_time": TestTime,
    "gates": Gates,
    "start_of_training": StartOfTraining,
}


def check(experiment: str, value: Any, samples: int, images: int) -> None:
    """SchemaError, naming the field, unless `value` is what the experiment measures.

    `samples`: images, draws or seeds behind it; `images`: that its errors were counted on.
    """
    if experiment.startswith(BENCH):
        return bench(value)
    if experiment not in EXPERIMENTS:
        raise SchemaError(f"experiment {experiment!r:.40}: expected {', '.join(EXPERIMENTS)}")
    kind = EXPERIMENTS[experiment]
    # The ways of testing are the names of a table, not the fields of a class.
    table = {"errors": value} if kind is TestTime else value
    parse(kind, table).relations(samples, images)
