"""The picture of a benchmark: its files."""

from os import PathLike
from pathlib import Path

from ntklin.apps.plots import png, without_tex
from ntklin.apps.plots.axes import pdf
from ntklin.apps.plots.speed import speed_figure
from ntklin.apps.report.result_files import write_files
from ntklin.validation.benchmarks.standings import Standings

NAMES = ("bench.png", "bench.pdf")
DPI = 200


def write_speed(found: Standings, folder: str | PathLike[str]) -> list[Path]:
    """Write the picture into ``folder``; replaces its own files and touches no others.

    Parameters
    ----------
    found : Standings
        At least one.
    folder : path
        Created if need be.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    OSError
        Naming the files that could not be written, and those that were.
    """
    with without_tex():
        figure = speed_figure(found)
        return write_files(folder, NAMES, (png(figure, DPI), pdf(figure)))
