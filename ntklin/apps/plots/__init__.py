"""Figures, drawn on matplotlib's object interface: no pyplot, no global state."""

from ntklin.apps.plots.axes import STYLE, finish, png, without_tex
from ntklin.apps.plots.study import study_figure

__all__ = ["STYLE", "finish", "png", "study_figure", "without_tex"]
