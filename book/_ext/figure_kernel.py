"""Run by each kernel of the book's build at its start: figures also come as SVG with numbers.

Only there (figure_files.py sees to it): a notebook that is stored, or run by a reader, holds small
PNGs alone.  It runs among the notebook's own names, and leaves none behind.
"""


def _offer_svg(shell, file):
    """Replace the kernel's own way to SVG, which Matplotlib's figures do not take."""
    import sys
    from pathlib import Path

    from IPython.core.formatters import SVGFormatter
    from IPython.core.pylabtools import print_figure

    root = str(Path(file).resolve().parents[2])

    class FigureFormatter(SVGFormatter):
        """Matplotlib's figures as SVG, the same bytes each time; their numbers are its metadata."""

        def __call__(self, shown):
            # A kernel that draws nothing need not load Matplotlib.
            drawing = sys.modules.get("matplotlib.figure")
            if not (drawing and isinstance(shown, drawing.Figure)):
                return super().__call__(shown)
            import matplotlib

            if root not in sys.path:
                sys.path.append(root)
            from study import figures

            with matplotlib.rc_context({"svg.hashsalt": "fixed"}):
                svg = print_figure(shown, "svg", metadata={"Date": None})
            return svg, {"csv": figures.as_csv(shown)}

    display = shell.display_formatter
    display.formatters["image/svg+xml"] = FigureFormatter(parent=display)


_offer_svg(get_ipython(), __file__)  # noqa: F821
del _offer_svg
