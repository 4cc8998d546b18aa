"""Rows made by hand, right in every field, as of networks trained by the paper's recipe."""

from dataclasses import asdict

import numpy as np

from study.records import store
from study.training.recipes import TrainConfig

CONFIG = asdict(TrainConfig())
SPEED = {"plain": 2.0, "ours": 1.0}
BENCH = {"repeats": 5, "threads": 1}


def row(experiment, value, samples=10_000, seed=0, dataset="cifar10", **config):
    """A row; `config`: settings that differ from the paper's network by the paper's recipe."""
    return store.row(
        experiment=experiment,
        dataset=dataset,
        data_checksum="0123456789abcdef",
        model=f"a network, seed {seed}",
        checkpoint="fedcba9876543210",
        config=CONFIG | {"dataset": dataset, "seed": seed} | config,
        seed=seed,
        device="cpu (x86_64, 1 thread)",
        seconds=90.0,
        samples=samples,
        value=value,
    )


def shares(at, n=54):
    """Shares of lengths 0 to n, from those that are not zero."""
    found = np.zeros(n + 1)
    found[list(at)] = list(at.values())
    return found.tolist()


def examples():
    """A row of each experiment, by name; small networks of four modules."""
    lengths = [0.25, 0.5, 0.375, -0.25, 0.125]
    interval = [[s - 0.1, s + 0.1] for s in lengths]
    order = [1, 0, 2, 3]
    return {
        "training": row(
            "training", {"error": 0.02, "wrong": [3, 99], "modules": 4, "rounding": -0.0002}, 100
        ),
        "deletion": row(
            "deletion",
            {"intact": 0.1, "errors": [0.2, 0.1, 0.5, 0.15], "downsampling": [2], "classes": 10},
            100,
        ),
        "random_deletions": row(
            "random_deletions",
            {
                "deleted": [1, 2],
                "errors": [[0.2, 0.3], [0.4, 0.3]],
                "intact": 0.1,
                "orders": [[3, 0], [1, 2]],
            },
            2,
            images=10,
        ),
        "reordering": row(
            "reordering",
            {
                "tau": [1.0, 2 / 3],
                "errors": [0.1, 0.3],
                "intact": 0.1,
                "swaps": [0, 1],
                "orders": [sorted(order), order],
            },
            2,
            images=10,
        ),
        "by_length": row(
            "by_length",
            {
                "norms": [1.0, 0.5, 0.25, 0.1, 0.0],
                "squares": [1.0, 0.3, 0.1, 0.02, 0.0],
                "shares": lengths,
                "by_image": lengths,
                "intervals": interval,
                "by_image_intervals": interval,
            },
            64,
        ),
        "by_module": row(
            "by_module",
            {"shares": [0.5, 0.25, 0.25, -0.1], "by_image": [0.4, 0.2, 0.2, 0.1]}
            | {"intervals": interval[:4], "by_image_intervals": interval[:4]},
            64,
        ),
        "sampled_norms": row(
            "sampled_norms",
            {"lengths": [1, 2, 4], "mean": [0.5, 0.2, 0.0], "modules": 4}
            | {"p10": [0.1, 0.0, 0.0], "p50": [0.2, 0.1, 0.0], "p90": [0.9, 0.5, 0.0]},
            50,
        ),
        "signed_norms": row(
            "signed_norms",
            {
                "sum_of_squares": [1.0, 1.0, 1.5, 1.0, 0.25],
                "error": [0.1] * 5,
                "rms": [1.0, 0.5, 0.5, 0.5, 0.5],
            },
            128,
        ),
        "dynamics": row(
            "dynamics",
            {
                "iterations": [0, 64_000],
                "shares": [lengths, lengths[::-1]],
                "norms": [[1.0] * 5, [0.5] * 5],
                "loss": [2.3, 0.1],
                "gamma": [1.0, 0.4],
            },
            64,
        ),
        "scaling": row(
            "scaling",
            {"start": 1.0, "end": 3.0, "scales_only": 2.0, "weights_only": 2.5, "stem_only": 1.5}
            | {"shares": {"start": lengths, "end": lengths[::-1]}},
            64,
        ),
        "test_time": row("test_time", {"scaled": 0.1, "unscaled, new statistics": 0.9}, 10),
        "gates": row(
            "gates",
            {"mean": [0.1, 0.2], "start": 0.05, "p10": [0.0, 0.1], "p90": [0.2, 0.3]},
            100,
            model="highway",
        ),
        "start_of_training": row(
            "start_of_training", {"mean_length": [0.5, 1.5], "shares": [0.75, 0.25]}, 2
        ),
        "bench exact": row("bench exact", SPEED | {"goal": 2, "note": "a"}, 5, **BENCH),
        "bench growth": row("bench growth", [SPEED | {"modules": 2}], 5, **BENCH),
    }
