"""Sliders: pictures drawn beforehand, one of which is seen."""

import base64
import csv
import io
import re
from urllib.parse import unquote

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from study.figures import sliders
from study.figures.sliders import Picture


def drawn(color="red", alt="a square", says="what it shows"):
    figure = plt.figure(figsize=(2, 1), facecolor=color)
    return sliders.picture(figure, alt, says)


def pixels(picture):
    """The image inside a picture."""
    data = re.search(r'src="data:image/webp;base64,([^"]+)"', picture.html)[1]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def test_a_picture_is_the_figure_and_the_figure_is_closed():
    before = plt.get_fignums()
    found = pixels(drawn("red"))
    assert found.size == (288, 144) and found.getcolors() == [(288 * 144, (255, 0, 0))]
    assert plt.get_fignums() == before


def test_words_are_text_not_markup():
    html = drawn(alt='tau < 0.5 & "more"', says="a<b>").html
    assert 'alt="tau &lt; 0.5 &amp; &quot;more&quot;"' in html
    assert "<figcaption>a&lt;b&gt;</figcaption>" in html


@pytest.mark.parametrize("words", [{"alt": ""}, {"says": " "}])
def test_a_picture_needs_words(words):
    with pytest.raises(ValueError, match="expected alternative text and a line below it"):
        drawn(**words)


PICTURES = {name: Picture(f"<p>{name}</p>", "words", []) for name in ("one", "two", "three")}


@pytest.mark.parametrize("start, first", [("", 0), ("one", 0), ("three", 2)])
def test_the_slider_chooses_the_picture(start, first):
    box = sliders.slider("number", PICTURES, start)
    handle, stack = box.children
    assert list(handle.options) == list(PICTURES) and handle.description == "number"
    assert [page.value for page in stack.children] == [p.html for p in PICTURES.values()]
    assert handle.index == stack.selected_index == first


def test_they_are_joined_where_the_page_is_seen(monkeypatch):
    """By a link in the browser: there is no kernel behind a published page."""
    joined = []
    monkeypatch.setattr(sliders.widgets, "jslink", lambda a, b: joined.append((a, b)))
    handle, stack = sliders.slider("number", PICTURES).children
    assert joined == [((handle, "index"), (stack, "selected_index"))]


def test_one_picture_is_no_choice():
    with pytest.raises(ValueError, match="1 pictures: expected at least two"):
        sliders.slider("number", {"one": PICTURES["one"]})


def test_a_start_that_is_none():
    with pytest.raises(ValueError, match="start 'four': expected one of one, two, three"):
        sliders.slider("number", PICTURES, "four")


def plotted(heights, alt):
    """A picture of a line that all share, and of a bar chart of its own."""
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot([1, 2], [3, 4], label="line")
    ax.bar([1, 2], heights, label="bars")
    return sliders.picture(figure, alt, "what it shows")


def offered(box):
    """The name of the file below a slider, and its lines."""
    *_, link = box.children
    name, data = re.search(
        r'download="(.+?)" href="data:text/csv;charset=utf-8,(.+?)"', link.value
    ).groups()
    return name, list(csv.reader(io.StringIO(unquote(data))))


def test_the_numbers_of_all_pictures():
    """What all have in common once, and of each the rest, after its words."""
    pictures = {"a": plotted([5, 6], 'one, "quoted"'), "b": plotted([5, 7], "100 % & more")}
    name, (header, *lines) = offered(sliders.slider("Kendall's tau", pictures))
    assert name == "kendall-s-tau.csv"
    assert header == [
        "Kendall's tau",
        "panel",
        "series",
        "x label",
        "y label",
        "x",
        "y",
        "low",
        "high",
    ]
    assert [(line[0], line[2], *line[5:7]) for line in lines] == [
        ("all", "line", "1", "3"),
        ("all", "line", "2", "4"),
        ("all", "bars", "1", "5"),
        ("a", "in words", 'one, "quoted"', ""),
        ("a", "bars", "2", "6"),
        ("b", "in words", "100 % & more", ""),
        ("b", "bars", "2", "7"),
    ]


def test_a_picture_without_numbers_among_others():
    pictures = {"none": drawn(alt="a square"), "some": plotted([5, 6], "bars")}
    _, (_, *lines) = offered(sliders.slider("number", pictures))
    assert [(line[0], line[2]) for line in lines] == [
        ("none", "in words"),
        ("some", "in words"),
        *[("some", "line")] * 2,
        *[("some", "bars")] * 2,
    ]


def test_drawings_have_no_numbers_to_offer():
    assert len(sliders.slider("number", {"red": drawn("red"), "blue": drawn("blue")}).children) == 2
