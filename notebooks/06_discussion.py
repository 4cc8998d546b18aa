# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Discussion: what deletion leaves, stochastic depth, highways
#
# The last section of the paper {cite}`veit2016residual` puts three observations beside its
# experiments. Deleting modules takes long paths first and leaves many short ones, which would explain
# why performance falls slowly (Figure 7). Training with stochastic depth
# {cite}`huang2016stochastic`, which drops modules at random, should make paths still less dependent
# on each other, but improves resilience only slightly (Figure 8). And highway networks
# {cite}`srivastava2015highway`, which can choose between residual and skip connection, choose the
# skip connection more often: they, too, use short paths.

# %% tags=["remove-cell"]
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "helpers/__init__.py").is_file())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown

from helpers import combinatorics, gradients, lesions, sweep
from helpers.devices import find_device, resolve
from study import claims, figures, notebook
from study.claims.lesions import costs
from study.data import load
from study.progress import Progress
from study.records import store
from study.training.loop import new_network, new_optimizer, subject, trained
from study.training.recipes import TrainConfig, learning_rate, reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH
depth: int = 20  # layers of all networks, 6m + 2; 20 layers are 9 modules, the paper's 110 are 54
iterations: int = 440  # of training; 0: the book's own number for this data set; -1: the paper's
highway_iterations: int = 0  # of the highway network's training; 0: the same
survival: float = 0.5  # stochastic depth: the probability that the last module is active
image_size: int = 224  # pixels, side of a folder's images
seed: int = 0  # of the weights and the training order
n_images: int = 0  # test images; 0: all
n_gradients: int = 32  # training images for the gradient by path length
precision: str = "auto"  # of the test: auto, float32 or bfloat16
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
notebook.check(In)  # noqa: F821

# %% [markdown]
# ## Three networks
#
# A residual network, the same trained with stochastic depth, and a highway network of the same depth. In stochastic depth the probability that module $l$ of $n$ is active falls linearly,
# $p_l = 1 - \frac{l}{n}(1 - p_n)$, and a test multiplies each residual by its $p_l$.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
folder, rows_file = root / runs_dir / "checkpoints", root / runs_dir / "results/06_discussion.jsonl"
same = {"depth": depth, "seed": seed}
configs = {
    "plain": reference(dataset, iterations, **same),
    "stochastic": reference(dataset, iterations, survival=survival, **same),
    "highway": reference(dataset, highway_iterations or iterations, model="highway", **same),
}
nets, files = {}, {}
for kind, config in configs.items():
    nets[kind], files[kind] = trained(config, data, folder, progress=Progress(config.label))

# %%
test = data.test.first(n_images or len(data.test.labels)).to(find_device())
images, labels = data.normalise(test.images), test.labels
n, recorded = len(nets["plain"].blocks), store.read(root / "book/results")
print(f"{n} modules, {len(labels)} test images")

# %% [markdown]
# ## What is left after deletions (Figure 7)
#
# {doc}`03_path_distribution` counts the paths of each length that deletion leaves (Eq 8, the paper's
# Figure 7). By count, little is left of the effective paths after ten deletions. But a path that
# carries no gradient is no loss. Weighted with the exact share $\text{share}_k$ of the gradient
# ({doc}`04_path_gradients`), what is left after $d$ deletions is
#
# $$ \sum_k \text{share}_k \binom{n-d}{k} \Big/ \binom{n}{k} . $$ (eq-surviving)
#
# This is a statement about the gradient of the intact network: which part of it belongs to paths that
# a random choice of $d$ modules does not touch. It is more than the count where the paths that carry
# gradient are shorter than half the modules. In a shallow network they need not be.

# %% tags=["nbval-ignore-output"]
few = data.train.first(n_gradients).to(find_device())
shares = gradients.shares(gradients.by_length(nets["plain"], data.normalise(few.images), few.labels))
shown = claims.example(recorded, "by_length", **claims.FULL)
both = {"live": shares.tolist()} | ({"recorded": shown["value"]["shares"]} if shown else {})
tables = {}
for name, weights in both.items():
    length = len(weights) - 1
    ways = {"all paths, by count": combinatorics.length_shares(length), "paths by share of gradient": weights}
    counts = range(min(length, 20) + 1)
    tables[name] = {way: [combinatorics.surviving(length, d, w) for d in counts] for way, w in ways.items()}

# %%
for way, left in tables.get("recorded", {}).items():
    listed = ", ".join(f"{100 * left[d]:.3g} % after {d}" for d in (1, 10, 20))
    print(f"recorded, {way}: {listed}")

# %% mystnb={"image": {"alt": "What remains, on a logarithmic axis, against the number of deleted modules, two curves in each panel: the count of all paths falls by half with each deletion; recorded, the share of the gradient falls much more slowly."}, "figure": {"name": "fig-surviving", "caption": "What random deletions leave, if paths are counted and if they are weighted by their exact share of the gradient of the intact network. Above: recorded, 54 modules, CIFAR-10. Below: measured on this machine, on the data set named above."}}
above = (tables["recorded"],) if shown else None
fig, axes = figures.both(figures.surviving, above, (tables["live"],))
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources([shown], []))

# %% [markdown]
# ## Stochastic depth (Figure 8)
#
# Every module of both networks is deleted alone, as in {doc}`01_deletion`. The cost of a deletion is
# counted from the error of the intact network, which is another one for each. The claim is about the
# mean; single modules may well cost more.

# %% tags=["nbval-ignore-output"]
live = {}
for kind in ("plain", "stochastic"):
    begin, net = time.monotonic(), nets[kind]
    variants = [net] + [lesions.delete(net, [i]) for i in range(n)]
    intact, *errors = sweep.errors(
        variants, images, labels, precision=precision, progress=Progress("single deletions")
    )
    live[kind] = store.row(
        **subject(configs[kind], data, files[kind]),
        experiment="deletion",
        data_checksum=test.checksum,
        config=asdict(configs[kind]) | {"test_precision": resolve(images.device, precision)},
        seed=seed,
        seconds=time.monotonic() - begin,
        samples=len(labels),
        value={"intact": intact, "errors": errors, "downsampling": lesions.downsampling(net)},
    )

# %%
for kind, row in live.items():
    cost = costs([row])
    print(f"{kind}: intact ~{100 * row['value']['intact']:.2f} % error; one deletion costs "
          f"~{cost.mean():.2f} pt on average, ~{cost.max():.2f} pt at most")

# %% mystnb={"image": {"alt": "Cost in points of test error of deleting each single module, a line for a network trained with stochastic depth and one for a network trained without; circles mark the downsampling modules."}, "figure": {"name": "fig-stochastic-depth", "caption": "The cost of deleting each module, with and without stochastic depth in training (the paper's Figure 8). Above: recorded, 54 modules, CIFAR-10. Below: measured on this machine, on the data set named above."}}
shown = claims.matched(recorded, "deletion", claims.FULL, claims.STOCHASTIC)
if shown:
    before, after = (costs([row]) for row in shown)
    print(f"recorded: {(after > before).sum()} of {len(after)} modules cost more with stochastic depth; "
          f"the dearest {after.max():.1f} pt, without it {before.max():.1f} pt")
tables = tuple(row["value"] for row in shown) or None
here = tuple(row["value"] for row in live.values())
fig, axes = figures.both(figures.stochastic_depth, tables, here)
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources(shown, list(live.values())))

# %% [markdown]
# The figure shows one network of each kind. Networks that differ in their seeds alone do not agree on
# the module that is dearest ({doc}`../deviations`); the verdict below takes the mean over all that are
# recorded.

# %% [markdown]
# ## Gates of a highway network
#
# A highway module computes $f(x)\, t(x) + x\,(1 - t(x))$. The gate $t$ is learned. At $t = 0.5$ both
# routes count alike, as in a residual network up to scale ({doc}`00_unraveled_view`). The gates begin
# with a negative bias, as their inventors advise, since 54 gates at one half would let $2^{-54}$ of
# the signal through the skip connections. So the question is not only whether they are below one half
# after training, but also which way training moved them. The gates' weights begin at zero, so that
# before training every gate is what its bias makes of it, whatever the image. From there weight decay
# alone, without any gradient, draws the bias towards zero and opens the gate a little. Gates that
# stand where weight decay alone takes them have learned nothing, and claim B14 then holds because of
# where they began.

# %% tags=["nbval-ignore-output"]
begin = time.monotonic()
untrained = new_network(configs["highway"], data).to(images.device)
start = sweep.gates(untrained, images[:1])
value = sweep.gates(nets["highway"], images) | {"start": float(np.mean(start["mean"]))}
live["highway"] = store.row(
    **subject(configs["highway"], data, files["highway"]),
    experiment="gates",
    data_checksum=test.checksum,
    config=asdict(configs["highway"]),
    seed=seed,
    seconds=time.monotonic() - begin,
    samples=len(labels),
    value=value,
)
store.append(rows_file, *live.values())

# %%
shown = claims.example(recorded, "gates", **claims.HIGHWAY)
(error,) = sweep.errors([nets["highway"]], images, labels, precision=precision)
print(f"here: the highway network has ~{100 * error:.2f} % error")
print(f"here: mean gate ~{np.mean(value['mean']):.2g}, before training ~{value['start']:.2g}")
if shown:
    gates = np.array(shown["value"]["mean"])
    print(f"recorded: mean gate {gates.mean():.2g}, before training {shown['value']['start']:.2g}")
    print(f"recorded: the gates add up to {gates.sum():.2g} of {len(gates)} modules")
    config = TrainConfig(**{f.name: shown["config"][f.name] for f in fields(TrainConfig)})
    bias = torch.nn.ParameterList([torch.logit(torch.tensor(shown["value"]["start"]))])
    optimizer = new_optimizer(config, bias)
    for iteration in range(config.iterations):
        optimizer.param_groups[0]["lr"] = learning_rate(config, iteration)
        bias[0].grad = torch.zeros(())
        optimizer.step()
    print(f"weight decay alone would take them to {bias[0].sigmoid().item():.2g}")

# %% mystnb={"image": {"alt": "Transfer gate of each highway module after training: mean with a band from the 10th to the 90th percentile, beside a dashed line at the mean before training and a dotted line at one half; logarithmic."}, "figure": {"name": "fig-gates", "caption": "How far the gates of a highway network are open to the transformed input, over images, channels and places. Above: recorded, 54 modules, CIFAR-10. Below: measured on this machine, on the data set named above."}}
fig, axes = figures.both(figures.gates, shown and (shown["value"],), (value,))
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [live["highway"]]))

# %% [markdown]
# ## Verdicts
#
# *Recorded* is judged from the reference rows of this book, 110 layers on CIFAR-10; *here* from the
# rows above, where the rule is an indication and no more.

# %% tags=["hide-input"]
Markdown(claims.report(["A7", "A8", "B13", "B14"], recorded, list(live.values())))

# %% [markdown]
# ## Try it
#
# Gentler stochastic depth, on deeper networks:
#
# ```
# mkdir -p runs
# papermill notebooks/06_discussion.ipynb runs/06.ipynb -p depth 56 -p survival 0.8
# ```
