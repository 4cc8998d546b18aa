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
# # The distribution of path lengths
#
# A path through $n$ modules takes, at each of them, the residual or the skip connection. Its length
# is the number of residuals it goes through. There is one path of length 0, one of length $n$, and
# $\binom{n}{k}$ of length $k$. Picking a path at random means tossing a coin at every module, so the
# length follows a binomial distribution:
#
# $$ \Pr[\text{length} = k] = \binom{n}{k} \, 2^{-n} $$ (eq-binomial)
#
# Nothing here is measured. This chapter counts, in whole numbers, and compares what the paper
# {cite}`veit2016residual` says about path lengths with the exact values (Sections 1, 4.2, 5 and 6,
# Figures 6a and 7).

# %% tags=["remove-cell"]
from importlib.util import find_spec

assert find_spec("study"), "This notebook needs its repository: clone and install it as the README says, then open it there."

import matplotlib.pyplot as plt

from helpers import combinatorics
from study import figures, notebook

# %% tags=["parameters"]
# Parameters of this chapter: papermill sets any of them with -p
n_modules: int = 54  # residual modules; the paper's 110 layers are 54 modules
shortest: int = 5  # modules, the shortest effective path
longest: int = 17  # modules, the longest effective path
n_active: int = 23  # modules active in each training step of Section 5's retraining

# %% tags=["remove-cell"]
modules = {"n_modules": (1, 500), "n_active": (1, n_modules)}
chapter = notebook.begin(In, **modules, shortest=(0, longest), longest=(0, n_modules))  # noqa: F821
effective = range(shortest, longest + 1)

# %% [markdown]
# ## Most paths are of middling length
#
# The exact counts, and how closely they gather around the middle:

# %%
n, shares = n_modules, combinatorics.length_shares(n_modules)
print(f"{n} modules, {combinatorics.count(n):,} paths, mean length {combinatorics.mean_length(n):g}")
for k in (0, 1, n // 4, n // 2, n - 1, n):
    print(f"length {k:2}: {combinatorics.counts_by_length(n)[k]:,} paths, {100 * shares[k]:.3g} %")

# %% [markdown]
# The paper gives a band that holds "more than 95%" of the paths, 19 to 35 modules. The band is wider
# than it needs to be: the tightest one around the middle is narrower and still holds 95%.

# %%
low, high = combinatorics.tightest_band(n, 0.95)
bands = {"effective paths": (shortest, longest), "at least 95%": (low, high)}
for name, (first, last) in bands.items():
    print(f"{first} to {last} ({name}): {100 * combinatorics.share_between(n, first, last):.4f} % of paths")

# %% mystnb={"image": {"alt": "Bar chart of the share of all paths by path length, a bell shape centred at half the number of modules. Below it two bars mark the lengths of the effective paths, far to the left of the bell, and the central band with 95 percent of the paths."}, "figure": {"name": "fig-path-lengths", "caption": "How many paths have each length: a binomial distribution (the paper's Figure 6a). The effective paths lie in its left tail. Exact."}}
fig, (ax,) = figures.canvas()
figures.path_lengths(ax, shares, bands)
plt.show()

# %% [markdown]
# The *effective paths* are those that the paper finds to carry almost all of the gradient: in its
# network, paths of 5 to 17 modules. In {numref}`fig-path-lengths` they can hardly be seen. That is the
# paper's surprise: if they carry almost all of the gradient, then almost all paths carry almost none.
# Whether they do is the question of {doc}`04_path_gradients`.
#
# Each module of this network has two convolutions; with the first convolution and the classifier a
# path of length $k$ is $2k + 2$ layers deep.

# %%
print(f"mean depth {2 * combinatorics.mean_length(n) + 2:g} of {2 * n + 2} layers")
print(f"effective paths: {2 * shortest} to {2 * longest} layers, without the first and the last")

# %% [markdown]
# ## What deletion leaves
#
# Delete $d$ of the modules. A path of length $x$ survives if none of its modules is among them, which
# leaves this fraction of the paths of that length (Eq 8 of the paper):
#
# $$ \frac{\binom{n-d}{x}}{\binom{n}{x}} $$ (eq-remaining)

# %%
remaining = {d: combinatorics.remaining(n, d) for d in (1, 10, 20) if d <= n}
for d, left in remaining.items():
    kept = ", ".join(f"{100 * left[x]:.2g} % of length {x}" for x in (1, 5, 11, 17) if x <= n)
    print(f"{d:2} deleted, 2^{n - d} paths left: {kept}")

# %% mystnb={"image": {"alt": "Percentage of paths remaining against path length after deleting 1, 10 and 20 modules. The more modules are deleted, the faster the curve falls with length; the range of effective paths is shaded."}, "figure": {"name": "fig-remaining", "caption": "Fraction of the paths of each length that remains after 1, 10 and 20 modules are deleted (the paper's Figure 7, Eq 8). Shaded: the effective paths. Exact."}}
fig, (ax,) = figures.canvas()
figures.remaining_paths(ax, remaining, effective)
plt.show()

# %% [markdown]
# Deletion takes long paths first, as {numref}`fig-remaining` shows, and the paper concludes that after
# ten deletions "many" of the effective paths are still valid. As a share of them it is very few: the
# effective band holds many more long paths than short ones, and the long ones go.

# %%
for d in remaining:
    left = combinatorics.remaining_between(n, d, shortest, longest)
    print(f"{d:2} deleted: {100 * left:.3g} % of the paths of length {shortest} to {longest} remain,")
    print(f"   and {100 * 2.0**-d:.3g} % of all paths")

# %% [markdown]
# ## Training on some of the modules
#
# If only $m$ of the modules are active in a step, there are $2^m$ paths in it, and their lengths are
# binomial again, around $m/2$. The paper chooses $m = 23$ so that this distribution lies on the
# effective paths, and says that then no long path is ever used. Nearly none is:

# %%
m, top = n_active, min(longest, n_active)
print(f"{m} modules: mean length {combinatorics.mean_length(m):g}")
print(f"within {shortest} to {longest}: {100 * combinatorics.share_between(m, min(shortest, m), top):.2f} %")
print(f"longer than {longest}: {100 * (1 - combinatorics.share_between(m, 0, top)):.2f} %")

# %% [markdown]
# ## Verdicts
#
# All for 54 modules, by exact arithmetic. "With a correction" means that the claim points the right
# way and its number or its wording does not hold.

# %% tags=["hide-input"]
chapter.verdicts("A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A12")

# %% [markdown]
# ## Try it
#
# The same counts for a network of 200 layers, which has 66 modules:
#
# ```
# mkdir -p runs
# papermill notebooks/03_path_distribution.ipynb runs/03.ipynb -p n_modules 66
# ```
