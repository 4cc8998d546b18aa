"""What people name, data sets, folders and models, as plain text in Markdown and HTML."""

import re

# All that Markdown, MyST, TeX in Markdown and HTML give a meaning to, and that names may hold.
# An underscore within a word has none.
SPECIAL = re.compile(r"[&<>\"'`*\[\]{}|\\$~#!^]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """Text that shows as it is, within a line of Markdown or of HTML: a table's cell, a paragraph.

    Special characters become HTML's numeric references, which Markdown does not read again; line
    ends and other control characters become spaces.
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    return SPECIAL.sub(lambda found: f"&#{ord(found[0])};", shown)
