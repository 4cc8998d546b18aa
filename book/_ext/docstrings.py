"""Sphinx extension: docstrings are plain English; bars and stars in them mark nothing up."""

import re


def escape(app, what, name, obj, options, lines):
    """Keep both from reStructuredText, except in code, between backticks."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "`".join(parts)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
