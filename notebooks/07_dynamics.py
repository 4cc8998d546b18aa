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
# # How the paths change in training
#
# The paper looks at networks that are trained. {cite:t}`littwin2016loss` analyse what happens on the
# way, with the tools of spin glasses, and arrive at a moving picture: at the start the ensemble of
# paths sits mostly below half the network's depth, training makes it deeper and deeper, and the force
# behind that is the scaling that batch normalisation introduces. They measured no gradients of
# paths. Here they are measured, exactly and by length ({doc}`04_path_gradients`), at several times of
# a training run. The recorded runs differ in their seeds alone, and the first is shown.
#
# Three rules, for three of their statements, were fixed before the runs: the *mean length*
# $\sum_k k\, \text{share}_k$ says how deep the ensemble is, with every path and every cancellation
# counted.

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
from torch.nn import functional as F

from helpers import batchnorm, gradients
from helpers.devices import find_device
from study import claims, figures, notebook
from study.claims.dynamics import mean_length
from study.data import Split, load
from study.figures.sliders import picture, slider
from study.progress import Progress
from study.records import store
from study.text import summary
from study.training import loop
from study.training.recipes import milestones, reference

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
dataset: str = "digits"  # digits, cifar10 or folder:PATH
depth: int = 56  # layers of the resnet, 6m + 2; 56 layers are 27 modules, the paper's 110 are 54
iterations: int = 0  # of training; 0: the book's own number for this data set; -1: the paper's
image_size: int = 224  # pixels, side of a folder's images
seed: int = 0  # of the weights, the training order and the images below
n_images: int = 32  # training images for the gradients, drawn at random
n_statistics: int = 1280  # training images for batch norm's statistics, at least 128
runs_dir: str = "runs"  # where checkpoints and rows go, from the root

# %% tags=["remove-cell"]
notebook.check(In)  # noqa: F821

# %% [markdown]
# ## One run, looked at again and again
#
# The weights are kept at the start, at doublings of the iteration up to a quarter of the run, and then
# at every eighth of it.

# %% tags=["nbval-ignore-output"]
data = load(dataset, image_size=image_size)
folder, rows_file = root / runs_dir / "checkpoints", root / runs_dir / "results/07_dynamics.jsonl"
config = reference(dataset, iterations, depth=depth, seed=seed)
times = milestones(config.iterations)
path = loop.train(config, data, folder, keep=times, progress=Progress(config.label))

# %%
generator = torch.Generator().manual_seed(seed)
chosen = torch.randperm(len(data.train.labels), generator=generator)
few, some = (
    Split(data.train.images[rows], data.train.labels[rows]).to(find_device())
    for rows in (chosen[:n_images], chosen[-n_statistics:])
)
images, calibration = data.normalise(few.images), data.normalise(some.images)
n = (depth - 2) // 2
print(f"{n} modules, looked at after {', '.join(map(str, times))} iterations")

# %% [markdown]
# Batch norm needs care. In test mode it uses running statistics, which in the first iterations have
# not arrived at what the weights make of the images. So the statistics are measured anew for each
# set of weights, on other training images than those whose gradients are taken.

# %% tags=["nbval-ignore-output"]
begin, loss, by_time = time.monotonic(), [], []
for iteration in times:
    net = loop.load(config, data, loop.snapshot(path, iteration))
    net = batchnorm.with_statistics_of(net, calibration)
    with torch.inference_mode():
        loss.append(float(F.cross_entropy(net(images), few.labels)))
    progress = Progress(f"iteration {iteration}, exact, by length")
    by_time.append(gradients.by_length(net, images, few.labels, progress=progress))
shares = [gradients.shares(g).tolist() for g in by_time]
norms = [gradients.norms(g).mean(1).tolist() for g in by_time]

# %% tags=["hide-input"]
common = loop.subject(config, data, path)
common |= {"config": asdict(config) | {"images": n_images, "n_statistics": n_statistics}}
common |= {"data_checksum": few.checksum, "seed": seed, "samples": n_images}
dynamics = store.row(
    **common,
    experiment="dynamics",
    seconds=time.monotonic() - begin,
    value={"iterations": times, "shares": shares, "norms": norms, "loss": loss},
)

# %% [markdown]
# ## How much gradient comes from each length, and when
#
# {numref}`fig-dynamics` answers the question that the paper could not ask: it is the exact version of
# its Figure 6c, at several times. Early and late need not look alike, and a share may be negative.

# %%
recorded = store.read(root / "book/results")
shown = claims.example(recorded, "dynamics", **claims.FULL)
if shown:
    print("recorded: iteration, loss, mean length, share of 5 to 17 and beyond 20 modules")
    table = shown["value"]
    for t, mean_loss, s in zip(table["iterations"], table["loss"], np.array(table["shares"]), strict=True):
        parts = f"{100 * s[5:18].sum():7.1f} % {100 * s[21:].sum():7.2f} %"
        print(f"{t:6,} {mean_loss:6.2f} {mean_length(s):6.2f} {parts}")

# %%
print("here: iteration, loss, mean length, share of 5 to 17 modules")
for t, mean_loss, s in zip(times, loss, np.array(shares), strict=True):
    print(f"{t:6,} ~{mean_loss:.2f} ~{mean_length(s):.2f} ~{100 * s[5:18].sum():.1f} %")

# %% mystnb={"image": {"alt": "Exact share of the gradient by path length, six curves from light, before training, to dark, at its end, which show how the lengths that carry gradient move in training."}, "figure": {"name": "fig-dynamics", "caption": "The exact share of the gradient by path length at six times of a training run. Above: recorded, 54 modules, CIFAR-10. Below: measured on this machine, on the data set named above."}}
there = shown and (shown["value"]["iterations"], shown["value"]["shares"])
fig, axes = figures.both(figures.dynamics, there, (times, shares), height=4)
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [dynamics]))

# %% [markdown]
# The slider goes through all the times. Beside the exact share stands the norm of each length's
# gradient, as a part of the sum of these norms: it counts what a length sends back without asking
# whether other lengths send the opposite.

# %% tags=["hide-input"]
table = shown["value"] if shown else dynamics["value"]
sizes = [np.array(v) / sum(v) for v in table["norms"]]
top = 105 * max(np.max(table["shares"]), np.max(sizes))
pictures = {}
for t, share, size in zip(table["iterations"], np.array(table["shares"]), sizes, strict=True):
    ks = np.arange(len(share))
    fig, (ax,) = figures.canvas(3.4)
    curves = {"exact share": (ks, share), "by norm": (ks, size)}
    figures.gradient_shares(ax, curves).set(ylim=(100 * np.min(table["shares"]) - 1, top))
    says = f"iteration {t:,}: mean length {mean_length(share):.1f} by exact share, {ks @ size:.1f} by norm"
    alt = f"Two curves of the share of the gradient against path length at iteration {t:,}. The exact"
    alt += f" share is highest at length {share.argmax()}, the share by norm at {size.argmax()}."
    pictures[f"{t:,}"] = picture(fig, alt, says)
slider("iteration", pictures)

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [] if shown else [dynamics]))

# %% mystnb={"image": {"alt": "Mean path length of the gradient against the training iteration, a line with a dot for each time, and thin ones for other seeds, below a dotted line at half the number of modules."}, "figure": {"name": "fig-mean-length", "caption": "The mean path length of the gradient, by exact share, over a training run. Above: recorded, 54 modules, CIFAR-10; thin lines are other seeds. Below: measured on this machine, on the data set named above."}}
here, runs = (times, mean_length(shares), n), claims.runs(recorded, "dynamics", **claims.FULL)
if shown:
    others = [mean_length(run["value"]["shares"]) for run in runs[1:]]
    there = (*there[:1], mean_length(there[1]), len(there[1][0]) - 1, others)
fig, axes = figures.both(figures.mean_length, there, here)
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources(runs, [dynamics]))

# %% tags=["remove-input"]
Markdown(summary.told(summary.dynamics(recorded)))

# %% [markdown]
# ## Is it the scales of batch norm?
#
# If the scales that batch norm learns drive the change, they should bring it about alone. So they are
# exchanged between the first and the last weights of the run: the first weights with the last scales,
# and the last weights with the first scales, which are all one. The statistics are measured anew for
# both. How much of the way from the first to the last mean length do the scales alone cover? The
# rule takes the mean of the two answers: scales put on the first weights, and taken off the last.

# %% tags=["nbval-ignore-output"]
begin = time.monotonic()
first, last = (loop.load(config, data, loop.snapshot(path, t)) for t in (0, times[-1]))
hybrids = {
    "scales_only": batchnorm.with_scales_of(first, last),
    "weights_only": batchnorm.with_scales_of(last, first),
}
curves = {"start": shares[0], "end": shares[-1]}
for name, net in hybrids.items():
    net = batchnorm.with_statistics_of(net, calibration)
    g = gradients.by_length(net, images, few.labels, progress=Progress(name))
    curves[name] = gradients.shares(g).tolist()
scaling = store.row(
    **common,
    experiment="scaling",
    seconds=time.monotonic() - begin,
    value={name: float(mean_length(s)) for name, s in curves.items()} | {"shares": curves},
)
store.append(rows_file, dynamics, scaling)

# %%
print("here: " + ", ".join(f"{name} ~{mean_length(s):.2f}" for name, s in curves.items()))
shown = claims.example(recorded, "scaling", **claims.FULL)
if shown:
    print("recorded: " + ", ".join(f"{name} {shown['value'][name]:.2f}" for name in curves))

# %% mystnb={"image": {"alt": "Exact share of the gradient by path length for four networks: the first weights, the last weights, the first weights with the last scales of batch norm, and the last weights with the first scales."}, "figure": {"name": "fig-scaling", "caption": "The exact share of the gradient by path length before and after training, and with the scales of batch norm exchanged between the two. Above: recorded, 54 modules, CIFAR-10. Below: measured on this machine, on the data set named above."}}
there = shown and (shown["value"]["shares"],)
fig, axes = figures.both(figures.exchanged_scales, there, (curves,), height=4)
plt.show()

# %% tags=["remove-input"]
Markdown(claims.sources([shown], [scaling]))

# %% [markdown]
# ## Verdicts
#
# *Recorded* is judged from the reference rows of this book, 110 layers on CIFAR-10; *here* from the
# rows above, where the rule is an indication and no more. The analysis of Littwin and Wolf is about
# weights of members of an ensemble in a simplified model; these verdicts are about the gradient of
# trained networks, which that model stands for.

# %% tags=["hide-input"]
Markdown(claims.report(["L1", "L2", "L3"], recorded, [dynamics, scaling]))

# %% [markdown]
# ## Try it
#
# Another depth:
#
# ```
# mkdir -p runs
# papermill notebooks/07_dynamics.ipynb runs/07.ipynb -p depth 20 -p iterations 440
# ```
