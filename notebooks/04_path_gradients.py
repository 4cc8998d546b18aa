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
# # The gradient of paths
#
# Most paths are of middling length. Do they matter? In training, what counts is the gradient that
# comes back along a path. Let $g$ be the gradient of the loss at the last module's output, and let
# module $i$ have the Jacobians $S_i$ of its skip connection and $J_i$ of its residual. Then the
# gradient at the first module's input is
#
# $$ \bigl( (S_n + J_n) \cdots (S_1 + J_1) \bigr)^{\top} g \;=\; \sum_{b \in \{0,1\}^n} g_b $$ (eq-gradient-paths)
#
# Multiplied out, it is a sum over all $2^n$ paths, and this sum is exact, whatever the modules are:
# a Jacobian is linear. The path $b$ takes $J_i$ where $b_i = 1$ and $S_i$ where $b_i = 0$.
#
# Section 5 of the paper {cite}`veit2016residual` samples paths of each length $k$, finds that the norm
# of $g_b$ falls exponentially with $k$ (Figure 6b), and multiplies the mean norm by the number of
# paths of that length (Figure 6c). Nearly all of the product belongs to paths of 5 to 17 modules.
#
# That product is an upper bound, not a share of the gradient: the gradients of different paths are
# vectors, and may cancel or add up. So this chapter measures in three ways, on the same training
# images, with the network as it is tested:
#
# - **Sampled paths**: the paper's measurement, norms of single paths.
# - **Signed passes**: each $J_i$ times a random sign. Squared norms then add up over *all* paths of a
#   length in expectation, which gives the root-mean-square norm of a path.
# - **Exact, by length**: the sum $G_k$ of the gradients of all $\binom{n}{k}$ paths of length $k$,
#   none left out.

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np

from helpers import combinatorics, gradients
from study import claims, experiments, figures, notebook
from study.claims.dynamics import mean_length
from study.claims.gradients import decay, effective, share_curves
from study.data import load
from study.figures import state_sliders
from study.text import summary
from study.training.recipes import reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH
model: str = "resnet"  # resnet, or resnet200 for images of 224 pixels
depth: int = 110  # layers of the resnet, 6m + 2; 110 layers are 54 modules
iterations: int = 0  # of training; 0: the book's own number for this data set; -1: the paper's
checkpoint: str = ""  # a trained network's file; empty: the book's, or train one
image_size: int = 224  # pixels, side of a folder's images
seed: int = 0  # of the weights, the training order and the draws below
n_images: int = 32  # training images, drawn at random
n_images_sampled: int = 0  # those that paths are sampled on; 0: the same
n_samples: int = 100  # sampled paths for each length (paper: 1000)
n_signed: int = 8  # signed passes an image on average, at least 2
at_image: bool = False  # measure at the image, not at the first module's input
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
chapter = notebook.begin(In, n_images=(1, None))  # noqa: F821
band = combinatorics.EFFECTIVE

# %% [markdown]
# ## All paths at once, exactly
#
# Multiply {eq}`eq-gradient-paths` out from the loss down, and keep one vector for each number of
# $J$'s met so far:
#
# $$ G^{\text{new}}_k = S_i^{\top} G_k + J_i^{\top} G_{k-1} $$ (eq-by-length)
#
# After the last module, $G_k$ is the sum over all paths of length $k$. That takes $n(n+1)/2$ products
# with a module's Jacobian, instead of $2^n$ paths. The sum of all $G_k$ has to be the gradient that
# automatic differentiation gives. In double precision it is, here for a small network trained on
# digits and two of its images:

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
config = reference(dataset, iterations, model=model, depth=depth, seed=seed)
subject = chapter.trained(config, data, checkpoint)

# %%
images, labels = subject.ready(data.train.first(2))
network, images, labels = deepcopy(subject.network).cpu().double(), images.cpu().double(), labels.cpu()
by_length = gradients.by_length(network, images, labels)
whole = gradients.whole(network, images, labels)
difference = float((by_length.sum(0) - whole).norm() / whole.norm())
n = len(network.blocks)
print(f"{n} modules, 2^{n} paths: relative difference below 1e-12: {difference < 1e-12}")

# %% [markdown]
# ## Single paths: sampled, and all of them by signs
#
# To sample, draw images and paths of each length. The forward pass is the whole network's; on the way
# back the gradient goes through the residual of the $k$ modules on the path, and through the skip
# connection of the others.
#
# With independent random signs $s_i$ in $\prod_i (S_i + s_i J_i)$, the cross terms of two different
# paths vanish on average, and
#
# $$ \mathbb{E}\, \lVert G^{\text{signed}}_k \rVert^2 = \sum_{|b| = k} \lVert g_b \rVert^2 . $$ (eq-signed)
#
# One pass says something about every length and every path. Divided by $\binom{n}{k}$, the mean over
# passes is the mean square of the path norm. An image that is classified well sends hardly any
# gradient back along any path, and its passes would tell little. So the passes are shared out by the
# size of the gradient that each image starts with, and the mean over images is taken at the end.
#
# ## How the norm falls with length (Figure 6b)

# %% tags=["remove-input"]
chapter.told(summary.norms)

# %% [markdown]
# If every module multiplied the gradient's norm by about the same factor, the norm would fall
# exponentially, a straight line on the logarithmic scale of {numref}`fig-gradient-norms`. That it is
# straight says little, since the norms of an untrained network fall on a line as well; the finding is
# the factor.

# %% mystnb={"image": {"alt": "Gradient norm of a path on a logarithmic axis against path length, by three estimators. The mean of sampled paths falls close to a straight line, the root mean square from signed passes lies above it, the norm of the average over all paths of a length lies below."}, "figure": {"name": "fig-gradient-norms", "caption": "The gradient that arrives along a path, by its length (the paper's Figure 6b). Sampled: mean and range over paths and images. Signed: root mean square over all paths and the images. Exact: norm of the average over all paths, mean over images, which is smaller where paths cancel. Recorded: 110 layers on CIFAR-10."}}
names = ("sampled_norms", "signed_norms", "by_length")
shown = sum([chapter.find(name) for name in names], [])
three = notebook.values(*shown)
figures.one(figures.gradient_norms, three and (*three, decay(three[0])), height=4)
plt.show()

# %% [markdown]
# Few images make most of the root mean square: those that the network is unsure of, since the others
# send almost no gradient back. Along the path of full length, of which there is one, images differ by
# orders of magnitude. That is also why sampled means are noisy: a small sample mostly misses the few
# images with large gradients.
#
# ## How much gradient comes from each length (Figure 6c)

# %% tags=["remove-input"]
chapter.told(summary.gradient)

# %% [markdown]
# The paper multiplies the mean norm by the number of paths. The exact share of length $k$ in the
# whole gradient $g = \sum_k G_k$ needs no such bound:
#
# $$ \text{share}_k = \frac{\langle G_k, g \rangle}{\langle g, g \rangle}, \qquad \sum_k \text{share}_k = 1 . $$ (eq-share)
#
# A share may be negative, where the paths of a length work against the rest. These are shares of the
# gradient of all images together, in which a few images with a large gradient weigh most. So intervals
# stand beside them, made by drawing the images anew, and the mean of each image's own shares.

# %% mystnb={"image": {"alt": "Share of the gradient by path length, three curves: the paper's product of count and mean norm, the product of count and root mean square norm, and the exact share. All peak at short lengths far below half the number of modules; the range of effective paths is shaded."}, "figure": {"name": "fig-gradient-shares", "caption": "How much of the gradient paths of each length contribute (the paper's Figure 6c), by its product and exactly. Shaded: the paper's effective paths. Recorded: 110 layers on CIFAR-10."}}
curves = share_curves(*three)
interval = three[2].get("intervals") if three else None
figures.one(figures.gradient_shares, (curves,), height=4, effective=band, interval=interval)
plt.show()

# %%
for name, (ks, values) in curves.items():
    inside, beyond = 100 * effective(ks, values), 100 * np.abs(values[ks > 20]).sum()
    print(f"{name}: {band[0]} to {band[-1]} {inside:.1f} %, beyond 20 {beyond:.2g} %, mean {ks @ values:.1f}")
for own in [np.array(value["by_image"]) for value in three[2:] if value.get("by_image")]:
    inside = 100 * effective(np.arange(len(own)), own)
    print(f"each image's own shares: {band[0]} to {band[-1]} {inside:.1f} %, mean {mean_length(own):.1f}")

# %% [markdown]
# One estimator at a time, on the same axes:

# %% tags=["hide-input"]
state_sliders.by_estimator(curves, band)

# %% [markdown]
# ## Which modules carry it
#
# The same sums answer another question. The part of the gradient that comes through the residual of
# module $i$ belongs to the paths that enter it. Its shares add up to the mean path length, since a
# path of length $k$ enters $k$ modules.

# %% mystnb={"image": {"alt": "A bar for each module: the share of the gradient that comes through its residual."}, "figure": {"name": "fig-module-shares", "caption": "The exact share of the gradient that comes through each module's residual. Recorded: 110 layers on CIFAR-10."}}
modules = chapter.find("by_module")
figures.one(figures.module_shares, notebook.values(*modules))
plt.show()

# %% [markdown]
# ## With batch norm as in training
#
# So far batch norm used its running statistics, as it does in a test. In training it uses those of the
# batch, through which gradient flows too, and an image's gradient depends on the others. Lengths are
# still separate and exact; batch norm's Jacobian, which joins the images of a batch, is now part of
# each residual's.

# %%
in_training = chapter.find("by_length", claims.FULL | {"batch_statistics": True})
for value in notebook.values(*in_training):
    values, ks = np.array(value["shares"]), np.arange(len(value["shares"]))
    print(f"{band[0]} to {band[-1]}: {100 * effective(ks, values):.1f} %, mean length {ks @ values:.1f}")

# %% [markdown]
# ## Do the paths of a length agree?
#
# If all paths of length $k$ had the same gradient, $\lVert G_k \rVert^2$ would be $\binom{n}{k}$ times
# the sum of their squared norms; if their gradients were orthogonal on average, it would equal that
# sum. The ratio of the two, the coherence, says where they are between cancelling, below 1, and
# agreeing, above it. From a length of a few modules on it is far above 1: the paths of a length agree
# much better than independent ones would, and still much less than they could.

# %%
_, signed, exact = three
count = combinatorics.counts_by_length(len(exact["squares"]) - 1)
for k in (1, 2, 3, 5, 8, 12, 17, 25):
    ratio = exact["squares"][k] / signed["sum_of_squares"][k]
    print(f"length {k:2}: coherence {ratio:.3g} of at most {count[k]:.3g}")

# %% tags=["remove-input"]
chapter.sources(*shown, *modules, *in_training)

# %% [markdown]
# ## It runs here
#
# All of these measurements on this machine, by default of the small network trained on digits. They
# decide no verdict.

# %% tags=["nbval-ignore-output"]
few = experiments.drawn(data.train, n_images, seed)
more = experiments.drawn(data.train, n_images_sampled or n_images, seed)
measured = [
    experiments.sampled_norms(subject, more, n_samples, seed, at_image),
    experiments.signed_norms(subject, few, n_signed, seed, at_image),
    experiments.by_length(subject, few, seed, at_image),
    experiments.by_module(subject, few, seed, at_image),
    experiments.by_length(subject, few, seed, at_image, batch_statistics=True),
]
chapter.keep(*measured)

# %%
here = share_curves(*notebook.values(*measured[:3]))
for name, (ks, values) in here.items():
    inside = 100 * effective(ks, values)
    print(f"{name}: {band[0]} to {band[-1]} ~{inside:.1f} %, mean ~{ks @ values:.1f}")

# %% mystnb={"image": {"width": "60%", "alt": "The share of the gradient by path length and three estimators, for the small network of this machine."}, "figure": {"name": "fig-gradient-shares-here", "caption": "As in the figure of the recorded shares, measured on this machine on the data set named above."}}
figures.one(figures.gradient_shares, (here,), height=4, effective=band)
plt.show()

# %% tags=["remove-input"]
chapter.sources(*measured)

# %% [markdown]
# ## Verdicts
#
# By rules that were fixed before any result was seen, applied to the recorded results: 110 layers on
# CIFAR-10.

# %% tags=["hide-input"]
chapter.verdicts("B9", "B10", "B11", "A12")

# %% [markdown]
# ## Try it
#
# ```
# mkdir -p runs
# papermill notebooks/04_path_gradients.ipynb runs/04.ipynb -p dataset cifar10 -p n_images 64 -p n_samples 20
# ```
