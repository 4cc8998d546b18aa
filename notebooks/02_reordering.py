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
# # Reordering modules
#
# Deleting a module removes paths. Putting modules in another order is stranger: it removes paths and
# puts in their place new ones that the network never saw in training, with a late transformation
# before an early one. The paper {cite}`veit2016residual` (Section 4.3) swaps $k$ random pairs of
# modules in a trained network, leaves out the downsampling modules, and swaps only what fits.
#
# How far an order is from the original is measured by Kendall's rank correlation
# {cite}`kendall1938new`: of all pairs of modules, the share that kept their order minus the share
# that lost it,
#
# $$ \tau = \frac{\text{pairs in order} - \text{pairs out of order}}{n (n - 1) / 2} $$ (eq-tau)
#
# It is 1 for the original order and falls as modules move. We take it over all $n$ positions.

# %% tags=["remove-cell"]
import sys
import time
from dataclasses import asdict
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "helpers/__init__.py").is_file())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown

from helpers import lesions, sweep
from helpers.devices import find_device, resolve
from helpers.models import resnet
from study import claims, figures, notebook
from study.claims.lesions import tau_medians
from study.data import load
from study.figures.sliders import picture, slider
from study.progress import Progress
from study.records import store
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
seed: int = 0  # of the weights, the training order and the swaps below
n_images: int = 0  # test images; 0: all
max_swaps: int = 40  # the largest number of swaps; 1, 2, 3, 4 and steps of 4 from there
n_draws: int = 10  # random orders for each number of swaps (recorded: 50)
precision: str = "auto"  # auto, float32 or bfloat16
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
notebook.check(In)  # noqa: F821

# %% [markdown]
# ## What fits where
#
# Modules with an identity skip connection give back the shape they take. Between two downsampling
# modules all shapes are the same, so any two modules there can change places. Such a run of modules
# is a stage.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
folder, rows_file = root / runs_dir / "checkpoints", root / runs_dir / "results/02_reordering.jsonl"
config = reference(dataset, iterations, model=model, depth=depth, seed=seed)
network, path = loop.trained(config, data, folder, checkpoint, progress=Progress(config.label))

# %%
for number, stage in enumerate(lesions.stages(network), 1):
    print(f"stage {number}: modules {stage[0] + 1} to {stage[-1] + 1} can change places")
print(f"stay where they are: {[i + 1 for i in lesions.downsampling(network)]}")

# %% [markdown]
# A swap is drawn uniformly from all pairs that fit. One order of each size shows how slowly $\tau$
# falls: a swap of neighbours changes one pair of $n(n-1)/2$, a swap across a stage many more.

# %%
generator = torch.Generator().manual_seed(seed)
for swaps in (1, 4, 16, 40):
    order = lesions.swapped(network, swaps, generator)
    print(f"{swaps:2} swaps: tau {lesions.kendall_tau(order):.3f}")

# %% [markdown]
# ## Error and disorder
#
# Every order is a view over the same weights, and all of them go through one prefix tree, as in
# {doc}`01_deletion`.

# %% tags=["nbval-ignore-output"]
test = data.test.first(n_images or len(data.test.labels)).to(find_device())
images, labels = data.normalise(test.images), test.labels
sizes = [k for k in (1, 2, 3, *range(4, max_swaps + 1, 4)) if k <= max_swaps]
swaps = [k for k in sizes for _ in range(n_draws)]
begin, generator = time.monotonic(), torch.Generator().manual_seed(seed)
orders = [lesions.swapped(network, k, generator) for k in swaps]
variants = [network] + [lesions.reorder(network, order) for order in orders]
intact, *errors = sweep.errors(
    variants, images, labels, precision=precision, progress=Progress("reorderings")
)

# %% tags=["hide-input"]
tau = [lesions.kendall_tau(order) for order in orders]
row = store.row(
    **loop.subject(config, data, path),
    experiment="reordering",
    data_checksum=test.checksum,
    config=asdict(config)
    | {"test_precision": resolve(images.device, precision), "images": len(labels)},
    seed=seed,
    seconds=time.monotonic() - begin,
    samples=len(orders),
    value={"swaps": swaps, "tau": tau, "errors": errors, "intact": intact},
)
store.append(rows_file, row)

# %%
edges, medians = tau_medians(np.array(tau), np.array(errors))
print(f"{len(orders)} orders, intact error ~{100 * intact:.1f} %")
for edge, median in list(zip(edges, medians, strict=True))[::-1]:
    print(f"tau {edge:.2f} to {edge + 0.05:.2f}: median error ~{100 * median:.1f} %")

# %% [markdown]
# {numref}`fig-reordering` is the paper's Figure 5b, with the intact network at the left and disorder
# growing to the right. "Smooth" would be a rising band without a cliff. Where the dots spread widely
# at one $\tau$, it matters less how many pairs are out of order than which.

# %% mystnb={"image": {"alt": "Test error of reordered networks against Kendall's tau, one dot for each order, with a line through the medians of bins. The tau axis runs from 1, the original order, at the left to lower values at the right."}, "figure": {"name": "fig-reordering", "caption": "Test error of networks with modules swapped within their stages, against Kendall's tau of the order (the paper's Figure 5b). Above: recorded, 110 layers on CIFAR-10. Below: measured on this machine, on the data set named above."}}
recorded = store.read(root / "book/results")
tables = None
if shown := claims.example(recorded, "reordering", **claims.FULL):
    value = shown["value"]
    tables = value, *tau_medians(np.array(value["tau"]), np.array(value["errors"]))
fig, axes = figures.both(figures.reordering, tables, (row["value"], edges, medians))
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [row]))

# %% [markdown]
# ### Order by order
#
# The slider goes from the original order to disorder: for each number of swaps, the draw of middling
# error. Its picture shows which module stands where, and where its error lies among all. The orders
# follow from the seed in the row; that they are the same ones, their $\tau$ tells:

# %%
told, net = (shown, resnet(shown["config"]["depth"])) if shown else (row, network)
table, generator = told["value"], torch.Generator().manual_seed(told["seed"])
orders = [lesions.swapped(net, k, generator) for k in table["swaps"]]
same = [lesions.kendall_tau(order) for order in orders] == table["tau"]
print(f"{len(orders)} orders drawn again, each tau is that of the row: {same}")

# %% tags=["hide-input"]
bins = tau_medians(np.array(table["tau"]), np.array(table["errors"]))
drawn = list(zip(table["errors"], table["tau"], orders, table["swaps"], strict=True))
chosen = [(table["intact"], 1.0, list(range(len(net.blocks))), 0)]
for k in dict.fromkeys(table["swaps"]):
    draws = sorted(draw for draw in drawn if draw[3] == k)
    chosen.append(draws[len(draws) // 2])
pictures = {}
for error, tau, order, k in sorted(chosen, key=lambda draw: -draw[1]):
    fig = figures.after_reordering(table, *bins, order, tau, error)
    moved = sum(i != module for i, module in enumerate(order))
    alt = f"Module against position: {moved} of {len(order)} modules have left the diagonal. Below, the"
    alt += f" errors of all orders against tau, a ring at tau {tau:.3f} and {100 * error:.1f} percent."
    says = f"{claims.rows.several(k, 'swap')}, {moved} modules moved, tau {tau:.3f}: error {100 * error:.1f} %"
    pictures[f"{tau:.3f}"] = picture(fig, alt, says)
slider("Kendall's tau", pictures)

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [] if shown else [row]))

# %% [markdown]
# ## Verdicts
#
# *Recorded* is judged from the reference rows of this book, 110 layers on CIFAR-10; *here* from the
# row above, where the rule is an indication and no more.

# %% tags=["hide-input"]
Markdown(claims.report(["B8"], recorded, [row]))

# %% [markdown]
# ## Try it
#
# ```
# mkdir -p runs
# papermill notebooks/02_reordering.ipynb runs/02.ipynb -p dataset cifar10 -p n_images 1000
# ```
