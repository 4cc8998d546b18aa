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
# vectors, and may cancel. So this chapter measures three ways, on the same images:
#
# - **Sampled paths**: the paper's measurement, norms of single paths.
# - **Signed passes**: each $J_i$ times a random sign. Squared norms then add up over *all* paths of a
#   length in expectation, which gives the root-mean-square norm of a path.
# - **Exact, by length**: the sum $G_k$ of the gradients of all $\binom{n}{k}$ paths of length $k$,
#   none left out.

# %% tags=["remove-cell"]
import sys
import time
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "helpers/__init__.py").is_file())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown

from helpers import combinatorics, gradients
from helpers.devices import find_device
from helpers.signed import mean_squares
from study import claims, figures, notebook
from study.claims.gradients import decay, share_curves
from study.data import Split, load
from study.figures.sliders import picture, slider
from study.progress import Progress
from study.records import store
from study.text import summary
from study.training import loop
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
n_samples: int = 100  # sampled paths for each length (paper: 1000)
n_signed: int = 8  # signed passes an image on average, at least 2
at_image: bool = False  # measure at the image, not at the first module's input
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
notebook.check(In)  # noqa: F821

# %% [markdown]
# ## Network and images
#
# A trained network in test mode, with the running statistics in its batch norms, and images drawn
# from the training set without augmentation. In test mode each image has a gradient of its own.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
folder, rows_file = root / runs_dir / "checkpoints", root / runs_dir / "results/04_gradients.jsonl"
config = reference(dataset, iterations, model=model, depth=depth, seed=seed)
network, path = loop.trained(config, data, folder, checkpoint, progress=Progress(config.label))

# %%
generator = torch.Generator().manual_seed(seed)
chosen = torch.randperm(len(data.train.labels), generator=generator)[:n_images]
batch = Split(data.train.images[chosen], data.train.labels[chosen]).to(find_device())
images, labels = data.normalise(batch.images), batch.labels
n, common = len(network.blocks), loop.subject(config, data, path)
common |= {"data_checksum": batch.checksum, "seed": seed}
common |= {"config": asdict(config) | {"at_image": at_image, "images": n_images}}
print(f"{n} modules, 2^{n} paths, {len(labels)} training images")

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
# automatic differentiation gives. In double precision it is:

# %%
twin = deepcopy(network).cpu().double()
few = images[:2].cpu().double(), labels[:2].cpu()
by_length, whole = gradients.by_length(twin, *few), gradients.whole(twin, *few)
difference = float((by_length.sum(0) - whole).norm() / whole.norm())
print(f"relative difference below 1e-12: {difference < 1e-12}")

# %% tags=["nbval-ignore-output"]
begin = time.monotonic()
by_length = gradients.by_length(
    network, images, labels, at_image=at_image, progress=Progress("exact, by length")
)
each, shares = gradients.norms(by_length), gradients.shares(by_length)
norms, mean_square = each.mean(1), (each**2).mean(1)
exact = store.row(
    **common,
    experiment="by_length",
    seconds=time.monotonic() - begin,
    samples=n_images,
    value={"norms": norms.tolist(), "squares": mean_square.tolist(), "shares": shares.tolist()},
)

# %% [markdown]
# ## The paper's measurement: sampled paths
#
# For each length, draw images and paths. The forward pass is the whole network's; on the way back
# the gradient goes through the residual of the $k$ modules on the path, and through the skip
# connection of the others.

# %% tags=["nbval-ignore-output"]
begin, lengths = time.monotonic(), list(range(1, n + 1))
samples = gradients.sampled_norms(
    network, images, labels, lengths, n_samples, generator,
    at_image=at_image, progress=Progress("sampled paths"),
)
quantiles = np.quantile(samples.numpy(), (0.1, 0.5, 0.9), axis=1).tolist()
sampled = store.row(
    **common,
    experiment="sampled_norms",
    seconds=time.monotonic() - begin,
    samples=n_samples,
    value={"lengths": lengths, "mean": samples.mean(1).tolist(), "modules": n}
    | dict(zip(("p10", "p50", "p90"), quantiles, strict=True)),
)

# %% [markdown]
# ## Signed passes
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

# %% tags=["nbval-ignore-output"]
begin = time.monotonic()
squares, error = mean_squares(
    network, images, labels, n_signed, generator,
    at_image=at_image, progress=Progress("signed passes"),
)
counts = torch.tensor([float(c) for c in combinatorics.counts_by_length(n)], dtype=torch.float64)
rms = (squares / counts).sqrt()
signed = store.row(
    **common,
    experiment="signed_norms",
    seconds=time.monotonic() - begin,
    samples=n_signed * n_images,
    value={"sum_of_squares": squares.tolist(), "error": error.tolist(), "rms": rms.tolist()},
)
live = [exact, sampled, signed]

# %% [markdown]
# ## How the norm falls with length (Figure 6b)
#
# If every module multiplied the gradient's norm by about the same factor, the norm would fall
# exponentially, a straight line on a logarithmic scale.

# %%
value = sampled["value"]
fit = decay(value)
print(f"each module multiplies the norm by ~{10**fit.slope:.3f}; R^2 of the line ~{fit.rvalue**2:.4f}")
for k in (k for k in (1, 5, 10, 17, 30, 54) if k <= n):
    print(f"length {k:2}: mean ~{value['mean'][k - 1]:.1e}, RMS ~{signed['value']['rms'][k]:.1e},"
          f" all paths together ~{exact['value']['norms'][k]:.1e}")

# %% mystnb={"image": {"alt": "Gradient norm of a path on a logarithmic axis against path length, by three estimators. The mean of sampled paths falls close to a straight line, the root mean square from signed passes lies above it, the norm of the average over all paths of a length lies below."}, "figure": {"name": "fig-gradient-norms", "caption": "The gradient that arrives along a path, by its length (the paper's Figure 6b). Sampled: mean and range over paths and images. Signed: root mean square over all paths and the images. Exact: norm of the average over all paths, mean over images, which is smaller where paths cancel. Above: recorded, 110 layers on CIFAR-10. Below: measured on this machine, on the data set named above."}}
recorded = store.read(root / "book/results")
names = ("sampled_norms", "signed_norms", "by_length")
shown = [claims.example(recorded, name, **claims.FULL) for name in names]
here = [row["value"] for row in (sampled, signed, exact)]
there = [row["value"] for row in shown] if all(shown) else None
tables = there and (*there, decay(there[0]))
fig, axes = figures.both(figures.gradient_norms, tables, (*here, fit), height=4)
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources(shown, live))

# %% [markdown]
# Few images make most of the root mean square: those that the network is unsure of, since the others
# send almost no gradient back. Along a path of full length, of which there is one, images differ by
# orders of magnitude. That is also why sampled means are noisy: a small sample mostly misses what is
# loud.
#
# ## How much gradient comes from each length (Figure 6c)
#
# The paper multiplies the mean norm by the number of paths. The exact share of length $k$ in the
# whole gradient $g = \sum_k G_k$ needs no such bound:
#
# $$ \text{share}_k = \frac{\langle G_k, g \rangle}{\langle g, g \rangle}, \qquad \sum_k \text{share}_k = 1 . $$ (eq-share)
#
# A share may be negative, where the paths of a length work against the rest.

# %%
curves = share_curves(*here)
print("Here:")
for name, (ks, values) in curves.items():
    inside = 100 * values[(5 <= ks) & (ks <= 17)].sum()
    beyond = 100 * np.abs(values[ks > 20]).sum()
    print(f"{name}: 5 to 17 ~{inside:.1f} %, beyond 20 ~{beyond:.2g} %, mean ~{ks @ values:.1f}")

# %%
recorded_curves = share_curves(*there) if there else {}
print("Recorded:")
for name, (ks, values) in recorded_curves.items():
    inside = 100 * values[(5 <= ks) & (ks <= 17)].sum()
    beyond = 100 * np.abs(values[ks > 20]).sum()
    print(f"{name}: 5 to 17 {inside:.1f} %, beyond 20 {beyond:.2g} %, mean {ks @ values:.1f}")

# %% mystnb={"image": {"alt": "Share of the gradient by path length, three curves: the paper's product of count and mean norm, the product of count and root mean square norm, and the exact share. All peak at short lengths far below half the number of modules; the range of 5 to 17 modules is shaded."}, "figure": {"name": "fig-gradient-shares", "caption": "How much of the gradient paths of each length contribute (the paper's Figure 6c), by its product and exactly. Shaded: the paper's effective paths. Above: recorded, 110 layers on CIFAR-10. Below: measured on this machine, on the data set named above."}}
tables = (recorded_curves,) if there else None
fig, axes = figures.both(figures.gradient_shares, tables, (curves,), height=4)
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources(shown, live))

# %% tags=["remove-input"]
Markdown(summary.told(summary.gradient(recorded)))

# %% [markdown]
# One estimator at a time, on the same axes:

# %% tags=["hide-input"]
told, pictures = recorded_curves or curves, {}
top = 105 * max(values.max() for _, values in told.values())
for name, (ks, values) in told.items():
    fig, (ax,) = figures.canvas(3.4)
    figures.gradient_shares(ax, {name: (ks, values)}).set(xlim=(-1, ks[-1] + 1), ylim=(-0.05 * top, top))
    inside, mean = 100 * values[(5 <= ks) & (ks <= 17)].sum(), ks @ values
    says = f"{name}: {inside:.1f} % from paths of 5 to 17 modules, mean length {mean:.1f}"
    alt = f"Share of the gradient against path length by the estimator '{name}', highest at"
    alt += f" length {ks[values.argmax()]} with {100 * values.max():.1f} percent."
    pictures[name] = picture(fig, alt, says)
slider("estimator", pictures, start=list(pictures)[-1])

# %% tags=["remove-input"]
Markdown(claims.sources(shown, [] if told is recorded_curves else live))

# %% [markdown]
# ## With batch norm as in training
#
# So far batch norm used its running statistics. In training it uses those of the batch, through which
# gradient flows too, and an image's gradient depends on the others. Lengths are still separate and
# exact; batch norm's Jacobian, which joins the images of a batch, is now part of each residual's.

# %% tags=["nbval-ignore-output"]
begin = time.monotonic()
network.train()
joint = gradients.by_length(network, images, labels, at_image=at_image)
network.eval()
batch_shares = gradients.shares(joint).numpy()
in_training = store.row(
    **common | {"config": common["config"] | {"batch_statistics": True}},
    experiment="by_length",
    seconds=time.monotonic() - begin,
    samples=n_images,
    value={"norms": gradients.norms(joint).mean(1).tolist(), "shares": batch_shares.tolist()},
)
live.append(in_training)
store.append(rows_file, *live)

# %%
inside, mean = 100 * batch_shares[5:18].sum(), batch_shares @ np.arange(n + 1)
print(f"here, exact share with batch statistics: 5 to 17 ~{inside:.1f} %, mean length ~{mean:.1f}")
if row := claims.example(recorded, "by_length", **claims.FULL | {"batch_statistics": True}):
    values = np.array(row["value"]["shares"])
    inside, mean = 100 * values[5:18].sum(), values @ np.arange(len(values))
    print(f"recorded: 5 to 17 {inside:.1f} %, mean length {mean:.1f}")

# %% [markdown]
# ## Do the paths of a length agree?
#
# If all paths of length $k$ had the same gradient, $\lVert G_k \rVert^2$ would be $\binom{n}{k}$ times
# the sum of their squared norms; if their gradients were orthogonal on average, it would equal that
# sum. The ratio of the two, the coherence, says where they are between cancelling, below 1, and
# agreeing, above it.

# %%
measured = ({"recorded": ("", there)} if there else {}) | {"here": ("~", here)}
for where, (mark, (_, single, together)) in measured.items():
    count = combinatorics.counts_by_length(len(together["squares"]) - 1)
    for k in (k for k in (1, 2, 3, 5, 8, 12, 17, 25) if k < len(count)):
        ratio = together["squares"][k] / single["sum_of_squares"][k]
        print(f"{where}, length {k:2}: coherence {mark}{ratio:.3g} of at most {count[k]:.3g}")

# %% [markdown]
# ## Verdicts
#
# *Recorded* is judged from the reference rows of this book, 110 layers on CIFAR-10; *here* from the
# rows above, where the rule is an indication and no more.

# %% tags=["hide-input"]
Markdown(claims.report(["B9", "B10", "B11", "A12"], recorded, live))

# %% [markdown]
# ## Try it
#
# ```
# mkdir -p runs
# papermill notebooks/04_path_gradients.ipynb runs/04.ipynb -p dataset cifar10 -p n_images 64 -p n_samples 20
# ```
