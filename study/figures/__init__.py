"""The paper's plots: each takes a table of plain values and an `ax`, and returns the `ax`.

Errors come as shares, 0 to 1, and are shown in percent.
"""

from study.figures.gradients import (
    dynamics,
    exchanged_scales,
    gradient_norms,
    gradient_shares,
    mean_length,
    module_shares,
    start_of_training,
)
from study.figures.lesions import deletion, gates, random_deletions, reordering, stochastic_depth
from study.figures.networks import growth, training_errors
from study.figures.paths import path_lengths, remaining_paths, surviving
from study.figures.states import after_deletion, after_reordering
from study.figures.style import BLUE, GREEN, GREY, ORANGE, STYLE, canvas, fill, one
from study.figures.tables import COLUMNS, as_csv, table, written

__all__ = [
    "BLUE",
    "COLUMNS",
    "GREEN",
    "GREY",
    "ORANGE",
    "STYLE",
    "after_deletion",
    "after_reordering",
    "as_csv",
    "canvas",
    "deletion",
    "dynamics",
    "exchanged_scales",
    "fill",
    "gates",
    "gradient_norms",
    "gradient_shares",
    "growth",
    "mean_length",
    "module_shares",
    "one",
    "path_lengths",
    "random_deletions",
    "remaining_paths",
    "reordering",
    "start_of_training",
    "stochastic_depth",
    "surviving",
    "table",
    "training_errors",
    "written",
]
