"""What all figures share: matplotlib's object interface, no pyplot, no global state."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, NullLocator

# Okabe and Ito's palette; markers and dashes tell the series apart without color, too.
NETWORK: dict[str, Any] = {"color": "#0072B2", "marker": "o", "zorder": 4}
LINEARIZED: dict[str, Any] = {"color": "#D55E00", "marker": "x", "zorder": 5}
INTERPOLATOR: dict[str, Any] = {"color": "#009E73", "marker": "s", "zorder": 3}
GUIDE_COLOR = "#6B6B6B"
STYLE: dict[str, Any] = {"linewidth": 1.6, "markersize": 5.5}
MAX_SIGMA_TICKS = 8
FEW_DECADES = 100


@contextmanager
def without_tex() -> Iterator[None]:
    """matplotlib's own formulas inside, whatever its settings file says: TeX may not be there."""
    with matplotlib.rc_context({"text.usetex": False}):
        yield


def png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def pdf(figure: Figure) -> bytes:
    """The figure as the bytes of a PDF file, the same for the same figure."""
    buffer = BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", facecolor="white", metadata={"CreationDate": None})
    return buffer.getvalue()


def finish(axes: Axes, sigmas: Sequence[float]) -> None:
    """Two logarithmic scales, σ below, its values as ticks where they are few; grid and legend."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(r"initialization scale $\sigma$")
    if len(sigmas) <= MAX_SIGMA_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(sigmas))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%.3g"))
        axes.xaxis.set_minor_locator(NullLocator())
    label_few_decades(axes.yaxis)
    tidy(axes)


def tidy(axes: Axes) -> None:
    """Grid, open frame and legend."""
    axes.grid(True, which="major", color="#D9D9D9", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def label_few_decades(axis: Axis) -> None:
    """Label a logarithmic axis that spans less than two decades at 1, 2 and 5."""
    low, high = sorted(axis.get_view_interval())
    if high / low < FEW_DECADES:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())
