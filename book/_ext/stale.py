"""Sphinx extension: a page is never older than the code, the rows and the weights behind it.

The cache of executed notebooks looks only at their own code cells, so an edit in helpers/ or study/
would leave old results on the pages.  Here each state of the watched files has a cache of its own,
and the path of the cache is a setting that Sphinx compares between builds.  When it is new, Sphinx
reads every page again and finds nothing in the cache; when it is not, nothing runs.  When only the
extensions have changed, pages are read and written again from the cache.
"""

import hashlib
import shutil
from pathlib import Path

WATCHED = (
    "requirements.txt",
    "helpers/**/*.py",
    "study/**/*.py",
    "book/_ext/figure_kernel.py",
    "book/results/**/*",
    "book/checkpoints/**/*",
)
TOOLS = ("book/_ext/*.py", "book/_templates/**/*")


def digest(root: Path, patterns: tuple[str, ...] = WATCHED) -> str:
    """SHA-256 over names and contents of files under `root`, in hexadecimal."""
    total = hashlib.sha256()
    files = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    for path in sorted(files):
        total.update(f"{path.relative_to(root).as_posix()}\n".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def choose_cache(app, config):
    """Point myst-nb at the cache of the present state, and remove those of earlier ones."""
    root = Path(app.srcdir).parent
    config.page_tools = digest(root, TOOLS)
    caches = Path(app.outdir).parent / ".jupyter_cache"
    current = caches / digest(root)[:16]
    for other in caches.glob("*/"):
        if other != current:
            shutil.rmtree(other)
    config.nb_execution_cache_path = str(current)


def setup(app):
    """Called by Sphinx."""
    app.add_config_value("page_tools", "", "env")
    app.connect("config-inited", choose_cache)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
