"""How the pictures look: one set of colors, marks and sizes for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

# Okabe and Ito's palette, which color-blind readers can tell apart; so can marks and dashes.
LOOKS = {
    "gd": ("#0072B2", "o"),
    "sgd": ("#56B4E9", "s"),
    "adagrad": ("#D55E00", "^"),
    "rmsprop": ("#E69F00", "v"),
    "adam": ("#CC79A7", "D"),
    "prediction": ("#D55E00", ""),
    "interpolator": ("#009E73", ""),
    "narrow": ("#009E73", "o"),
    "middle": ("#E69F00", "s"),
    "wide": ("#0072B2", "^"),
    "guide": ("#6B6B6B", ""),
    "limit": ("#000000", ""),
}
# Of networks, from the smallest, and of whatever else there are three sizes of.
SIZES = ("narrow", "middle", "wide")
# Marks through which what lies below can be seen: SGD ends where GD ends.
HOLLOW = {"sgd": {"markerfacecolor": "none", "markersize": 7}}
DASHES = {
    "network": "-",
    "linearized": (0, (5, 2)),
    "interpolating": (0, (1, 1.5)),
    "closed": (0, (4, 1.5, 1, 1.5)),
}
LABELS = {"gd": "GD", "sgd": "SGD", "adagrad": "AdaGrad", "rmsprop": "RMSprop", "adam": "Adam"}
PANEL_SIZE = 3.3, 2.55  # inches
SETTINGS: dict[Any, Any] = {
    "font.family": "serif",
    "font.serif": ["STIXGeneral", "DejaVu Serif"],
    "mathtext.fontset": "stix",
    "text.usetex": False,
    "font.size": 10,
    "axes.titlesize": 10,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E2E2E2",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
}


@contextmanager
def publication() -> Iterator[None]:
    """matplotlib's settings for these pictures, and only for them."""
    with matplotlib.rc_context(SETTINGS):
        yield
