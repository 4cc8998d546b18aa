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
# # Deleting modules
#
# Take a network that is fully trained. Remove one of its layers, change nothing else, and test it.
# The layers of a plain network are its only road from input to output, so one expects ruin. Section 4 of
# the paper {cite}`veit2016residual` does this to a residual network and finds that hardly anything
# happens. Its reason: a module that computes
#
# $$ y_i = y_{i-1} + f_i(y_{i-1}) $$ (eq-module)
#
# turns into $y'_i = y_{i-1}$ when its residual is deleted. The skip connection stays, downsampling
# included. Of the $2^n$ paths through $n$ modules, the half that entered $f_i$ is gone. The routes of
# the other half stay, though the modules behind the gap now see another input than they were trained
# on. A plain network has one path, and loses it.
#
# Two experiments follow: one module at a time (Figure 3 of the paper), then many at random
# (Figure 5a).

# %% tags=["remove-cell"]
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "helpers/__init__.py").is_file())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown

from helpers import combinatorics, lesions, sweep
from helpers.devices import find_device, resolve
from helpers.models import resnet
from study import claims, figures, notebook
from study.data import load
from study.figures.sliders import picture, slider
from study.progress import Progress
from study.records import store
from study.text import summary
from study.training import loop
from study.training.recipes import reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH (ImageNet: with model resnet200)
model: str = "resnet"  # resnet, or resnet200 for images of 224 pixels
depth: int = 110  # layers of the resnet, 6m + 2; 110 layers are 54 modules
shortcuts: str = "subsample"  # at downsampling: subsample (no parameters), projection or shared
survival: float = 1.0  # in training, of the last module's residual (stochastic depth; 1: off)
iterations: int = 0  # of training; 0: the book's own number for this data set; -1: the paper's
checkpoint: str = ""  # a trained network's file; empty: the book's, or train one
with_plain: bool = True  # compare with VGG-15, trained first (Figure 3); False: Figure 4
plain_model: str = "vgg15"  # vgg15, or vgg15-plain without batch norm
plain_iterations: int = 0  # of its training; 0: as for the residual network
image_size: int = 224  # pixels, side of a folder's images
seed: int = 0  # of the weights, the training order and the draws below
n_images: int = 0  # test images; 0: all
n_images_random: int = 0  # test images for random deletions; 0: the same
max_deleted: int = 20  # the largest number of modules deleted at once
n_draws: int = 10  # random choices of modules for each number deleted (recorded: 50)
spare_downsampling: bool = False  # random deletions: leave the downsampling modules alone
precision: str = "auto"  # auto, float32 or bfloat16
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
notebook.check(In)  # noqa: F821

# %% [markdown]
# ## Two trained networks
#
# The residual network has pre-activation modules: batch norm and ReLU come before each convolution.
# Beside it stands VGG-15 {cite}`simonyan2014vgg` with 128 channels in all its layers, so that
# taking one out leaves shapes that fit. Its first convolution, which makes 128 channels out of the
# image, has to stay.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
folder, rows_file = root / runs_dir / "checkpoints", root / runs_dir / "results/01_deletion.jsonl"
settings = {"model": model, "depth": depth, "shortcuts": shortcuts, "survival": survival, "seed": seed}
config = reference(dataset, iterations, **settings)
network, path = loop.trained(config, data, folder, checkpoint, progress=Progress(config.label))
subjects = [(network, config, path)]
if with_plain:
    plain_config = reference(dataset, plain_iterations or iterations, model=plain_model, seed=seed)
    progress = Progress(plain_config.label)
    plain, plain_path = loop.trained(plain_config, data, folder, progress=progress)
    subjects.append((plain, plain_config, plain_path))

# %%
test = data.test.first(n_images or len(data.test.labels)).to(find_device())
images, labels = data.normalise(test.images), test.labels
down = lesions.downsampling(network)
print(f"{len(labels)} test images, {len(network.blocks)} residual modules,")
print(f"those that downsample: {[i + 1 for i in down]}")

# %% [markdown]
# ## One module at a time
#
# Deletion is a view: `lesions.delete` returns a new sequence of modules over the same weights.
# All variants go into one prefix tree. What two of them share is computed once, so that testing every
# deletion costs about half of what separate tests would.

# %% tags=["nbval-ignore-output"]
live = []
for net, cfg, file in subjects:
    begin = time.monotonic()
    variants = [net] + [lesions.delete(net, [i]) for i in range(len(net.blocks))]
    intact, *errors = sweep.errors(
        variants, images, labels, precision=precision, progress=Progress("single deletions")
    )
    row = store.row(
        **loop.subject(cfg, data, file),
        experiment="deletion",
        data_checksum=test.checksum,
        config=asdict(cfg) | {"test_precision": resolve(images.device, precision)},
        seed=seed,
        seconds=time.monotonic() - begin,
        samples=len(labels),
        value={"intact": intact, "errors": errors, "downsampling": lesions.downsampling(net)}
        | {"classes": len(data.classes)},
    )
    live.append(row)
store.append(rows_file, *live)

# %%
residual, *vgg = (row["value"] for row in live)
for name, value in zip(("ResNet", "VGG-15"), (residual, *vgg), strict=False):
    cost = sorted(100 * (error - value["intact"]) for error in value["errors"])
    print(f"{name}: intact ~{100 * value['intact']:.1f} % error; one deletion costs")
    print(f"  ~{cost[0]:.1f} to ~{cost[-1]:.1f} pt, median ~{cost[len(cost) // 2]:.1f} pt")

# %% [markdown]
# {numref}`fig-deletion` is the paper's Figure 3. Three things to look for: does the plain network fall
# to chance wherever it is cut? Is the line of the residual network flat? And which modules stand out
# above it? The paper finds peaks at the modules that downsample, where the skip connection alone has
# to halve the image. A network that was trained for a minute on an easy task need not be as even as
# the paper's.

# %% mystnb={"image": {"alt": "Test error after deleting each single module of a residual network, dots near the intact error for most modules, and after deleting each layer of VGG-15, diamonds near chance level. Circles mark the downsampling modules."}, "figure": {"name": "fig-deletion", "caption": "Test error after one module of the residual network, or one layer of VGG-15, is deleted (the paper's Figure 3). Above: recorded, 110 layers on CIFAR-10. Below: measured on this machine, on the data set named above."}}
recorded = store.read(root / "book/results")
shown = claims.examples(recorded, "deletion", claims.FULL, claims.PLAIN)
tables = tuple(row["value"] for row in shown) or None
fig, axes = figures.both(figures.deletion, tables, (residual, *vgg), chance=1 - 1 / len(data.classes))
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources(shown, live))

# %% tags=["remove-input"]
Markdown(summary.told(summary.deletion(recorded)))

# %% [markdown]
# ## Many modules at random
#
# An ensemble that loses members gets worse little by little. If the paths of a residual network are
# an ensemble, its error should rise smoothly with the number of modules deleted: each deletion takes
# away half of the remaining paths. After $k$ deletions $2^{n-k}$ are left. For each $k$ we draw
# several sets of modules, downsampling modules among them, and test each.

# %% tags=["nbval-ignore-output"]
begin, n = time.monotonic(), len(network.blocks)
generator = torch.Generator().manual_seed(seed)
spared = down if spare_downsampling else []
counts = list(range(1, min(max_deleted, n - len(spared)) + 1))
lesions = lesions.random_lesions(network, counts, n_draws, generator, spared)
variants = [network] + [lesions.delete(network, few) for sets in lesions for few in sets]
few = data.test.first(n_images_random or len(labels)).to(images.device)
intact, *errors = sweep.errors(
    variants, data.normalise(few.images), few.labels, precision=precision,
    progress=Progress("random deletions"),
)

# %% tags=["hide-input"]
draws = [errors[i * n_draws : (i + 1) * n_draws] for i in range(len(counts))]
row = store.row(
    **loop.subject(config, data, path),
    experiment="random_deletions",
    data_checksum=few.checksum,
    config=asdict(config)
    | {"test_precision": resolve(images.device, precision), "images": len(few.labels)}
    | {"spare_downsampling": spare_downsampling},
    seed=seed,
    seconds=time.monotonic() - begin,
    samples=n_draws,
    value={"deleted": counts, "errors": draws, "intact": intact},
)
store.append(rows_file, row)
live.append(row)

# %%
for k, errors in zip(counts, draws, strict=True):
    if k in (1, 2, 5, 10, 15, 20):
        print(f"{k:2} deleted, 2^{n - k} paths left: median error ~{100 * median(errors):.1f} %")

# %% [markdown]
# Each dot of {numref}`fig-random-deletions` is one choice of modules. The paper reports an error
# "around 0.2" at ten deletions, and a smooth rise. The spread of the dots says how much it matters
# which modules go: a median can be smooth while single choices are ruinous.

# %% mystnb={"image": {"alt": "Test error against the number of randomly deleted modules: a dot for each draw, the median as a line that rises, though not at every step, and a band from the 10th to the 90th percentile."}, "figure": {"name": "fig-random-deletions", "caption": "Test error when several modules are deleted at random (the paper's Figure 5a). Above: recorded, 110 layers on CIFAR-10, on a part of the test images. Below: measured on this machine, on the data set named above."}}
shown = claims.example(recorded, "random_deletions", **claims.FULL)
fig, axes = figures.both(figures.random_deletions, shown and (shown["value"],), (row["value"],))
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [row]))

# %% tags=["remove-input"]
Markdown(summary.told(summary.random_deletions(recorded)))

# %% [markdown]
# ### Deletion by deletion
#
# What goes when $k$ modules go? The slider shows, for each number, the draw of middling error: which
# modules it deletes, the share of the paths of each length that remains
# (Eq 8, {doc}`03_path_distribution`), and its error among those of all draws. The draws follow from
# the seed in the row.

# %% tags=["hide-input"]
told, net = (shown, resnet(shown["config"]["depth"])) if shown else (row, network)
table, generator = told["value"], torch.Generator().manual_seed(told["seed"])
spared = lesions.downsampling(net) if told["config"]["spare_downsampling"] else []
n_each, total = len(table["errors"][0]), len(net.blocks)
draws = lesions.random_lesions(net, table["deleted"], n_each, generator, spared)
pictures = {}
for errors, sets in zip([[table["intact"]], *table["errors"]], [[[]], *draws], strict=True):
    error, gone = sorted(zip(errors, sets, strict=True))[len(errors) // 2]
    k, names = len(gone), ", ".join(str(i + 1) for i in gone) or "none"
    fig = figures.after_deletion(table, gone, combinatorics.remaining(total, k), error)
    alt = f"{total} modules in rows; deleted: {names}. Below them, the share of the paths that remains"
    alt += f" falls with their length; and the errors of all draws, a ring at {100 * error:.1f} percent."
    says = f"{k} of {total} modules deleted, 2^{total - k} paths left: error {100 * error:.1f} %"
    pictures[str(k)] = picture(fig, alt, says)
slider("deleted modules", pictures)

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [] if shown else [row]))

# %% [markdown]
# ### Do deletions add up?
#
# If modules did not depend on each other, the error of a draw would follow from what its modules cost
# one by one. The correlation of the two over the draws of each number is 1 where the error grows in
# proportion with the sum of the single costs. Much of it comes from the few modules that are dear
# alone, more than 10 points each, so it is given for the draws without one, too, if there are ten.
# The last number is how far the mean error of these lies above the intact network's plus the sum.

# %%
single = claims.example(recorded, "deletion", **claims.FULL) if shown else live[0]
cost = 100 * (np.array(single["value"]["errors"]) - single["value"]["intact"])
dear = set(np.flatnonzero(cost > summary.DEAR))
for errors, sets in zip(table["errors"], draws, strict=True):
    if len(sets[0]) in (2, 3, 5, 10, 15, 20):
        added, found = np.array([[cost[few].sum() for few in sets], 100 * np.array(errors)])
        cheap = np.array([dear.isdisjoint(few) for few in sets])
        both = [np.corrcoef(added[rows], found[rows])[0, 1] for rows in (cheap | True, cheap)]
        above = (found - 100 * table["intact"] - added)[cheap].mean()
        without = f"in {cheap.sum()} draws without dear modules {both[1]:.2f}, {above:+.1f} pt above the sum"
        print(f"{len(sets[0]):2} deleted: correlation {both[0]:.2f}", without * int(cheap.sum() >= 10), sep="; ")

# %% [markdown]
# ## Verdicts
#
# The rules were fixed before any result was seen. *Recorded* is judged from the reference rows of
# this book, 110 layers on CIFAR-10; *here* from the rows above, where the network is small or the
# training short, and the rule is an indication and no more. A5 and A10 are arithmetic.

# %% tags=["hide-input"]
Markdown(claims.report(["A5", "A10", "B2", "B3", "B4", "B5", "B6", "B7", "B15"], recorded, live))

# %% [markdown]
# ## Try it
#
# On CIFAR-10 the residual network comes with the book; VGG-15 is trained first, which takes a while
# without a GPU and resumes if it is stopped. On ImageNet (the paper's Figure 4), with a checkpoint of
# your own, as many images as fit into memory:
#
# ```
# mkdir -p runs
# papermill notebooks/01_deletion.ipynb runs/01.ipynb -p dataset cifar10 -p n_images 1000
# papermill notebooks/01_deletion.ipynb runs/01.ipynb -p dataset folder:/data/imagenet \
#     -p model resnet200 -p checkpoint resnet200.safetensors -p with_plain False -p n_images 2000
# ```
