"""Figures, drawn on matplotlib's object interface: no pyplot, no global state."""

from ntklin.apps.plots.axes import finish, png, without_tex
from ntklin.apps.plots.study import study_figure
from ntklin.edge.faces.pictures import STYLE

__all__ = ["STYLE", "finish", "png", "study_figure", "without_tex"]
