"""Sphinx extension: a page is never older than the code, the rows and the weights behind it.

The cache of executed notebooks looks only at their own code cells, so an edit in helpers/ or study/
would leave old results on the pages.  Here each state of the watched files has a cache of its own,
and the path of the cache is a setting that Sphinx compares between builds.  When it is new, Sphinx
reads every page again and finds nothing in the cache; when it is not, nothing runs.  When only the
extensions, templates or styles have changed, pages are read and written again from the cache.

A build that was killed leaves a mark.  The next one then makes every page again, since Sphinx would
take those that were not written for finished, and it looks whether the cache can still be read.
"""

import hashlib
import shutil
from pathlib import Path

from jupyter_cache import get_cache
from sphinx.environment import CONFIG_OK
from sphinx.util import logging

WATCHED = (
    "requirements.txt",
    "helpers/**/*.py",
    "study/**/*.py",
    "book/_ext/figure_kernel.py",
    "book/results/**/*",
    "book/checkpoints/**/*",
)
TOOLS = ("book/_ext/*.py", "book/_static/**/*", "book/_templates/**/*")


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
    if mark(app).exists():
        shutil.rmtree(app.doctreedir, ignore_errors=True)
    if not intact(current):
        say = logging.getLogger(__name__).info
        say("The executed notebooks of an interrupted build cannot be read: all run again.")
        shutil.rmtree(current)
    mark(app).touch()


def intact(cache: Path) -> bool:
    """Whether all of a cache of executed notebooks can be read; a cache not yet there is whole."""
    if not cache.exists():
        return True
    try:
        found = get_cache(cache)
        # Its version is written when its tables are complete.
        whole = (cache / "global.db").is_file() and bool(found.get_version())
        # A build reads every table but this one, which names notebooks that have failed.
        found.list_project_records()
        records = found.list_cache_records() if whole else []
        for record in records:
            found.get_cache_bundle(record.pk)
    except Exception:  # Whatever is wrong with a cache, it can be made again.
        return False
    folders = {folder.name for folder in (cache / "executed").glob("*")}
    return whole and folders == {record.hashkey for record in records}


def forget_sources(app, env, added, changed, removed) -> list[str]:
    """Have viewcode make its pages anew where every other page is: it looks at the code alone."""
    if env.config_status != CONFIG_OK:
        shutil.rmtree(Path(app.outdir) / "_modules", ignore_errors=True)
    return []


def mark(app) -> Path:
    """The file that is there while a site is being built."""
    return Path(app.outdir).parent / "unfinished"


def remove_mark(app, exception):
    """A build that ended by itself leaves nothing half done."""
    mark(app).unlink(missing_ok=True)


def setup(app):
    """Called by Sphinx."""
    app.add_config_value("page_tools", "", "env")
    app.connect("config-inited", choose_cache)
    app.connect("env-get-outdated", forget_sources)
    app.connect("build-finished", remove_mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
