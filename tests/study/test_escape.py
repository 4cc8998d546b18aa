"""Names of people's making show as they are, and do nothing else."""

import html
import string

import pytest
from markdown_it import MarkdownIt

from study.text.escape import plain

NAMES = [
    "folder:<img src=x onerror=alert(1)>",
    "a | b",
    "*stars*, _lines_ and __more__",
    "[link](javascript:alert(1))",
    "{doc}`intro`",
    "`code` $x^2$ ~~gone~~ &lt; \\",
    "![](x) # a",
    "<script>alert(1)</script>",
    string.punctuation,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_shows_as_it_is(name):
    """As a reader of Markdown sees it: no tag, no emphasis, nothing but its own characters."""
    shown = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"a {plain(name)} z")
    assert html.unescape(shown) == f"<p>a {name} z</p>\n"
    assert shown.count("<") == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_name_within_html_is_text(name):
    assert not set(plain(name)) & set("<>\"'|`{}[]")
    assert html.unescape(plain(name)) == name


def test_line_ends_become_spaces():
    assert plain("a\n\n# b\r\x00c\u2028d") == "a  &#35; b  c d"


def test_plain_names_stay_readable():
    for name in ("resnet110-cifar10-s0", "cpu (x86_64, 2 threads)", "folder:a/b", "12.5%, é"):
        assert plain(name) == name
