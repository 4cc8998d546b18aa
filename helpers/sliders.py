"""A slider through pictures that are drawn beforehand.

It needs no kernel, so that it works in a notebook and on a published page alike.  Every picture
brings its alternative text and a line that says what it shows.
"""

import base64
import io
from html import escape

import ipywidgets as widgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

WIDTH = "34rem"  # At most, of the slider and of what is below it.


def picture(figure: Figure, alt: str, says: str) -> str:
    """A figure as HTML, with its alternative text and the line below it; closes the figure.

    Raises ValueError without either text.
    """
    if not alt.strip() or not says.strip():
        raise ValueError("a picture without words: expected alternative text and a line below it")
    drawn, image = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=144)
    plt.close(figure)
    # A page holds all its pictures.  Line drawings need few colours and no loss.
    Image.open(drawn).convert("RGB").quantize(64).save(image, "webp", lossless=True)
    data = base64.b64encode(image.getvalue()).decode()
    return (
        f'<figure class="state" style="max-width: {WIDTH}; margin: 0"><img alt="{escape(alt)}" '
        f'src="data:image/webp;base64,{data}" style="width: 100%">'
        f"<figcaption>{escape(says)}</figcaption></figure>"
    )


def slider(label: str, pictures: dict[str, str], start: str = "") -> widgets.VBox:
    """A slider named `label` above the picture that it has chosen.

    `pictures`: from `picture`, by what the slider shows beside itself, in its order; `start`: the
    first to be seen.  Raises ValueError for fewer than two pictures, or another `start`.
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
    stack = widgets.Stack([widgets.HTML(html) for html in pictures.values()], selected_index=first)
    widgets.jslink((handle, "index"), (stack, "selected_index"))
    return widgets.VBox([handle, stack])
