"""Panels as a picture."""

import io
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ntklin.edge.files.names import without_math
from ntklin.validation.figures.panel import KINDS, Panel, Rows, Series
from ntklin.validation.figures.style import DASHES, HOLLOW, LOOKS, PANEL_SIZE, publication

FEW_DECADES = 100
LESS_THAN_A_DECADE = 8
MAX_TICKS = 9
CAPTION_SIZE = 7.5
CUT = 0.1
CHARACTERS_PER_INCH = 18.5
ENTRY_WIDTH = 1.3  # inches


def draw(rows: Rows, caption: str = "") -> Canvas:
    """A picture of panels in rows, with one legend above them, and the caption.

    Parameters
    ----------
    rows : sequence of sequence of Panel
    caption : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_columns = max(map(len, rows))
    with publication():
        width, height = PANEL_SIZE
        canvas = Canvas(figsize=(width * n_columns, height * len(rows) + 0.5), layout="constrained")
        grid = canvas.subplots(len(rows), n_columns, squeeze=False)
        handles = {}
        for axes_row, panels in zip(grid, rows, strict=True):
            for axes in axes_row[len(panels) :]:
                axes.set_axis_off()
            for axes, panel in zip(axes_row, panels, strict=False):
                draw_panel(axes, panel, handles)
        add_legend(canvas, handles)
        if caption:
            width_in_characters = round(width * n_columns * CHARACTERS_PER_INCH)
            lines = textwrap.wrap(without_math(caption), width_in_characters)
            text = "\n".join(lines).replace("θ_0", r"$\theta_0$")
            canvas.supxlabel(text, fontsize=CAPTION_SIZE, color="#3A3A3A", ha="center")
    return canvas


def image(canvas: Canvas, kind: str, **options: Any) -> bytes:
    """The picture as the bytes of a file."""
    buffer = io.BytesIO()
    with publication():  # fonts are looked up when the file is written
        canvas.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def add_legend(canvas: Canvas, handles: dict[tuple[str, str], Line2D]) -> None:
    """One legend for all panels: a column for each name, a row for each kind of curve.

    Where hardly any name has several kinds, its entries follow one another instead.
    """
    names = list(dict.fromkeys(name for name, _ in handles))
    kinds = [kind for kind in KINDS if any((name, kind) in handles for name in names)]
    blank = Line2D([], [], linestyle="none", label=" ")
    entries, n_columns = list(handles.values()), len(names)
    if len(kinds) * len(names) < 2 * len(handles):
        entries = [handles.get((name, kind), blank) for name in names for kind in kinds]
    else:
        n_columns = min(n_columns, int(canvas.get_figwidth() / ENTRY_WIDTH))
    canvas.legend(handles=entries, loc="outside upper center", ncols=n_columns)


def draw_panel(axes: Axes, panel: Panel, handles: dict[tuple[str, str], Line2D]) -> None:
    """Draw one panel; ``handles`` collects what the legend has to explain, by name and kind."""
    for guide in panel.guides:
        color, _ = LOOKS[guide.look]
        axes.plot(guide.x, guide.y, color=color, linewidth=1, linestyle=(0, (3, 1, 1, 1)), zorder=1)
        place = {"transform": axes.transAxes, "ha": "left", "va": "top"}
        axes.text(0.04, 0.96, guide.label, fontsize=8.5, color=color, **place)
    axes.set_xscale(panel.x_scale)
    axes.set_yscale(panel.y_scale)
    for series in panel.series:
        if series.x:
            handles.setdefault((series.name, series.kind), draw_series(axes, series, panel))
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    places = sorted({x for series in panel.series for x in series.x})
    if panel.x_scale == "log" and 0 < len(places) <= MAX_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(places))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    if panel.y_scale == "log" and high / low < FEW_DECADES:
        few = high / low < LESS_THAN_A_DECADE
        axes.yaxis.set_major_locator(MaxNLocator(5) if few else LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_locator(NullLocator())


def draw_series(axes: Axes, series: Series, panel: Panel) -> Line2D:
    """A line of means, with error bars for networks and a band for what is computed.

    On a logarithmic scale what would reach below zero is cut at CUT times the mean.

    Returns
    -------
    Line2D
        For the legend.
    """
    color, marker = LOOKS[series.look]
    marks = {"marker": marker, **HOLLOW.get(series.look, {})} if series.kind == "network" else {}
    x, mean = np.array(series.x, float), series.mean
    half = np.nan_to_num(series.half)
    low, high = mean - half, mean + half
    if panel.y_scale == "log":
        low = np.maximum(low, CUT * mean)
    if series.kind == "network":
        look = marks | {"color": color, "linestyle": DASHES[series.kind], "zorder": 4}
        bars = mean - low, high - mean
        axes.errorbar(x, mean, bars, capsize=2, elinewidth=0.9, **look)
    else:
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0, zorder=2)
        axes.plot(x, mean, color=color, linestyle=DASHES[series.kind], zorder=3)
    return Line2D([], [], **marks, color=color, linestyle=DASHES[series.kind], label=series.label)
