"""Sliders: pictures drawn beforehand, one of which is seen."""

import base64
import io
import re

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from helpers import sliders


def drawn(color="red", alt="a square", says="what it shows"):
    figure = plt.figure(figsize=(2, 1), facecolor=color)
    return sliders.picture(figure, alt, says)


def pixels(html):
    """The image inside a picture."""
    data = re.search(r'src="data:image/webp;base64,([^"]+)"', html)[1]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def test_a_picture_is_the_figure_and_the_figure_is_closed():
    before = plt.get_fignums()
    found = pixels(drawn("red"))
    assert found.size == (288, 144) and found.getcolors() == [(288 * 144, (255, 0, 0))]
    assert plt.get_fignums() == before


def test_words_are_text_not_markup():
    html = drawn(alt='tau < 0.5 & "more"', says="a<b>")
    assert 'alt="tau &lt; 0.5 &amp; &quot;more&quot;"' in html
    assert "<figcaption>a&lt;b&gt;</figcaption>" in html


@pytest.mark.parametrize("words", [{"alt": ""}, {"says": " "}])
def test_a_picture_needs_words(words):
    with pytest.raises(ValueError, match="expected alternative text and a line below it"):
        drawn(**words)


PICTURES = {"one": "<p>1</p>", "two": "<p>2</p>", "three": "<p>3</p>"}


@pytest.mark.parametrize("start, first", [("", 0), ("one", 0), ("three", 2)])
def test_the_slider_chooses_the_picture(start, first):
    box = sliders.slider("number", PICTURES, start)
    handle, stack = box.children
    assert list(handle.options) == list(PICTURES) and handle.description == "number"
    assert [page.value for page in stack.children] == list(PICTURES.values())
    assert handle.index == stack.selected_index == first


def test_they_are_joined_where_the_page_is_seen(monkeypatch):
    """By a link in the browser: there is no kernel behind a published page."""
    joined = []
    monkeypatch.setattr(sliders.widgets, "jslink", lambda a, b: joined.append((a, b)))
    handle, stack = sliders.slider("number", PICTURES).children
    assert joined == [((handle, "index"), (stack, "selected_index"))]


def test_one_picture_is_no_choice():
    with pytest.raises(ValueError, match="1 pictures: expected at least two"):
        sliders.slider("number", {"one": "1"})


def test_a_start_that_is_none():
    with pytest.raises(ValueError, match="start 'four': expected one of one, two, three"):
        sliders.slider("number", PICTURES, "four")
