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
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

from dataclasses import fields

import matplotlib.pyplot as plt
import numpy as np

from helpers import combinatorics
from study import claims, experiments, figures, notebook
from study.claims.lesions import costs
from study.data import load
from study.training.recipes import TrainConfig, reference

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
chapter = notebook.begin(In)  # noqa: F821

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

# %% mystnb={"image": {"alt": "What remains, on a logarithmic axis, against the number of deleted modules, two curves: the count of all paths falls by half with each deletion, the share of the gradient falls much more slowly."}, "figure": {"name": "fig-surviving", "caption": "What random deletions leave, if paths are counted and if they are weighted by their exact share of the gradient of the intact network. Recorded: 54 modules, CIFAR-10."}}
shown, left = chapter.find("by_length"), {}
for value in notebook.values(*shown):
    n = len(value["shares"]) - 1
    ways = {"all paths, by count": combinatorics.length_shares(n), "paths by share of gradient": value["shares"]}
    left = {way: [combinatorics.surviving(n, d, w) for d in range(21)] for way, w in ways.items()}
figures.one(figures.surviving, (left,) if left else None)
plt.show()

# %%
for way, remaining in left.items():
    listed = ", ".join(f"{100 * remaining[d]:.3g} % after {d}" for d in (1, 10, 20))
    print(f"{way}: {listed}")

# %% tags=["remove-input"]
chapter.sources(*shown)

# %% [markdown]
# ## Stochastic depth (Figure 8)
#
# In stochastic depth the probability that module $l$ of $n$ is active falls linearly,
# $p_l = 1 - \frac{l}{n}(1 - p_n)$, and a test multiplies each residual by its $p_l$. Every module of a
# network trained so, and of one trained without, is deleted alone, as in {doc}`01_deletion`. The cost
# of a deletion is counted from the error of the intact network, which differs between the two. The
# claim is about the mean; single modules may well cost more.

# %% mystnb={"image": {"alt": "Cost in points of test error of deleting each single module, a line for a network trained with stochastic depth and one for a network trained without; circles mark the downsampling modules."}, "figure": {"name": "fig-stochastic-depth", "caption": "The cost of deleting each module, with and without stochastic depth in training (the paper's Figure 8). Recorded: 54 modules, CIFAR-10."}}
shown = claims.matched(chapter.recorded, "deletion", claims.FULL, claims.STOCHASTIC)
figures.one(figures.stochastic_depth, notebook.values(*shown))
plt.show()

# %%
if shown:
    before, after = (costs([found]) for found in shown)
    print(f"{(after > before).sum()} of {len(after)} modules cost more with stochastic depth;")
    print(f"the most costly one {after.max():.1f} pt, without it {before.max():.1f} pt")

# %% tags=["remove-input"]
chapter.sources(*shown)

# %% [markdown]
# The figure shows one network of each kind. Networks that differ in their seeds alone do not agree on
# the module that costs most ({doc}`../deviations`); the verdict below takes the mean over all that are
# recorded.
#
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

# %% mystnb={"image": {"alt": "Transfer gate of each highway module after training: mean with a band from the 10th to the 90th percentile, beside a dashed line at the mean before training and a dotted line at one half; logarithmic."}, "figure": {"name": "fig-gates", "caption": "How far the gates of a highway network are open to the transformed input, over images, channels and places. Recorded: 54 modules, CIFAR-10."}}
shown = chapter.find("gates", claims.HIGHWAY)
figures.one(figures.gates, notebook.values(*shown))
plt.show()

# %%
for found in shown:
    gates, start = np.array(found["value"]["mean"]), found["value"]["start"]
    settings = {f.name for f in fields(TrainConfig)} & found["config"].keys()
    config = TrainConfig(**{name: found["config"][name] for name in settings})
    decayed = experiments.gate_without_loss(config, start)
    print(f"mean gate {gates.mean():.2g}, before training {start:.2g}")
    print(f"weight decay alone would take it to {decayed:.2g}")
    print(f"the gates add up to {gates.sum():.2g} of {len(gates)} modules")

# %% tags=["remove-input"]
chapter.sources(*shown)

# %% [markdown]
# ## It runs here
#
# The three measurements on this machine, by default of shallow networks trained on digits. They decide
# no verdict.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
test = data.test.first(n_images or len(data.test.labels))
same = {"depth": depth, "seed": seed}
plain = chapter.trained(reference(dataset, iterations, **same), data)
stochastic = chapter.trained(reference(dataset, iterations, survival=survival, **same), data)
config = reference(dataset, highway_iterations or iterations, model="highway", **same)
highway = chapter.trained(config, data)

# %% tags=["nbval-ignore-output"]
exact = experiments.by_length(plain, data.train.first(n_gradients), seed)
deleted = [experiments.deletion(network, test, precision) for network in (plain, stochastic)]
opened = experiments.gates(highway, test)
chapter.keep(exact, *deleted, opened)

# %%
shares = exact["value"]["shares"]
n = len(shares) - 1
left = [100 * combinatorics.surviving(n, 3, weights) for weights in (combinatorics.length_shares(n), shares)]
print(f"3 of {n} modules deleted: {left[0]:.3g} % of the paths are left, ~{left[1]:.1f} % of the gradient")
for kind, found in zip(("without", "with"), deleted, strict=True):
    print(f"{kind} stochastic depth a deletion costs ~{costs([found]).mean():.2f} pt on average")
gate, start = np.mean(opened["value"]["mean"]), opened["value"]["start"]
print(f"mean gate ~{gate:.2g}, before training ~{start:.2g}")

# %% mystnb={"image": {"width": "60%", "alt": "The cost of deleting each module with and without stochastic depth, for the small networks of this machine."}, "figure": {"name": "fig-stochastic-depth-here", "caption": "The cost of deleting each module, measured on this machine on the data set named above."}}
figures.one(figures.stochastic_depth, notebook.values(*deleted))
plt.show()

# %% tags=["remove-input"]
chapter.sources(exact, *deleted, opened)

# %% [markdown]
# ## Verdicts
#
# By rules that were fixed before any result was seen, applied to the recorded results: 110 layers on
# CIFAR-10.

# %% tags=["hide-input"]
chapter.verdicts("A7", "A8", "B13", "B14")

# %% [markdown]
# ## Try it
#
# Gentler stochastic depth, on deeper networks:
#
# ```
# mkdir -p runs
# papermill notebooks/06_discussion.ipynb runs/06.ipynb -p depth 56 -p survival 0.8
# ```
