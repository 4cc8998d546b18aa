"""A slider through pictures that are drawn beforehand.

It needs no kernel, so that it works in a notebook and on a published page alike.  Every picture
brings its alternative text, a line that says what it shows, and its numbers.
"""

import base64
import io
import re
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import ipywidgets as widgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from study import figures

WIDTH = "34rem"  # At most, of the slider and of what is below it.


@dataclass(frozen=True)
class Picture:
    """What a slider shows in one place: HTML; the picture in words; its numbers, the rows of
    `figures.table`."""

    html: str
    alt: str
    numbers: list[dict]


def picture(figure: Figure, alt: str, says: str) -> Picture:
    """A figure with its alternative text and the line below it; closes the figure.

    Raises ValueError without either text.
    """
    if not alt.strip() or not says.strip():
        raise ValueError("a picture without words: expected alternative text and a line below it")
    drawn, image, numbers = io.BytesIO(), io.BytesIO(), figures.table(figure)
    figure.savefig(drawn, format="png", dpi=144)
    plt.close(figure)
    # A page holds all its pictures.  Line drawings need few colours and no loss.
    Image.open(drawn).convert("RGB").quantize(64).save(image, "webp", lossless=True)
    data = base64.b64encode(image.getvalue()).decode()
    html = (
        f'<figure class="state" style="max-width: {WIDTH}; margin: 0"><img alt="{escape(alt)}" '
        f'src="data:image/webp;base64,{data}" style="width: 100%">'
        f"<figcaption>{escape(says)}</figcaption></figure>"
    )
    return Picture(html, alt, numbers)


def slider(label: str, pictures: dict[str, Picture], start: str = "") -> widgets.VBox:
    """A slider named `label` above the picture that it has chosen, and a link to the numbers of all
    pictures, unless they have none.

    `pictures`: by what the slider shows beside itself, in its order; `start`: the first to be seen.
    Raises ValueError for fewer than two pictures, or another `start`.
    """
    names = list(pictures)
    if len(names) < 2:
        raise ValueError(f"{len(names)} pictures: expected at least two, or nothing can be moved")
    if start and start not in names:
        raise ValueError(f"start {start!r}: expected one of {', '.join(names)}")
    first = names.index(start) if start else 0
    handle = widgets.SelectionSlider(
        options=names, index=first, description=label, tooltip=label,
        style={"description_width": "initial"}, layout={"width": "100%", "max_width": WIDTH},
    )  # fmt: skip
    shown = [widgets.HTML(picture.html) for picture in pictures.values()]
    stack = widgets.Stack(shown, selected_index=first)
    widgets.jslink((handle, "index"), (stack, "selected_index"))
    numbers = table(label, pictures)
    return widgets.VBox([handle, stack, *([widgets.HTML(link(label, numbers))] if numbers else [])])


def table(label: str, pictures: dict[str, Picture]) -> list[dict]:
    """The numbers of all pictures, which the first column tells apart; empty if there are none.

    What every picture shows comes once, first, for "all"; each begins with itself in words.
    """
    if not any(picture.numbers for picture in pictures.values()):
        return []
    keys = {name: [tuple(row.items()) for row in p.numbers] for name, p in pictures.items()}
    everywhere = set.intersection(*map(set, keys.values()))
    rows = [{label: "all", **dict(key)} for key in next(iter(keys.values())) if key in everywhere]
    for name, picture in pictures.items():
        words = {"series": "in words", "x": picture.alt}
        rows.append({label: name, **dict.fromkeys(figures.COLUMNS, ""), **words})
        rows += [{label: name, **dict(key)} for key in keys[name] if key not in everywhere]
    return rows


def link(label: str, rows: list[dict]) -> str:
    """A link that holds a table as comma-separated values, to be saved under the slider's name."""
    name = re.sub(r"\W+", "-", label).strip("-").lower()
    data = quote(figures.written(rows), safe=",")
    return (
        f'<p class="figure-files" style="max-width: {WIDTH}; margin: 0; text-align: center; '
        f'font-size: 0.85rem"><a download="{name}.csv" '
        f'href="data:text/csv;charset=utf-8,{data}">Data behind the slider (CSV)</a></p>'
    )
