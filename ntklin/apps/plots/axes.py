"""What all figures share: matplotlib's object interface, no pyplot, no global state."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

from ntklin.edge.faces import pictures
from ntklin.edge.faces.pictures import label_few_decades

MAX_SIGMA_TICKS = 8
# Reports are on white.
GRID = {"color": "#D9D9D9", "linewidth": 0.7}


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


def tidy(axes: Axes) -> None:
    """Grid, open frame and legend."""
    pictures.tidy(axes, grid=GRID)


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
