"""What a picture is made of: curves with their draws, before any of it has a color."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntklin.validation.arrays import Array

# How the kinds of a curve are told from each other in words.
KINDS = {
    "network": "",
    "linearized": ", linearized",
    "interpolating": ", interpolating part",
    "closed": "",
}


@dataclass(frozen=True, kw_only=True)
class Series:
    """A curve with several draws at each place.

    Attributes
    ----------
    name : str
        What it is about.
    kind : str
        A key of KINDS: measured on trained networks, or computed.
    x : tuple of float
    draws : tuple of tuple of float
        At each x; at least one.
    look : str
        The key of its color: see style.py.
    error : {"std", "sem"}
        What its bars and bands show: the standard deviation or the standard error of the mean.
    """

    name: str
    kind: str = "network"
    x: tuple[float, ...]
    draws: tuple[tuple[float, ...], ...]
    look: str
    error: str = "std"

    @property
    def label(self) -> str:
        """Name and kind in words."""
        return self.name + KINDS[self.kind]

    @property
    def mean(self) -> Array:
        """At each x."""
        return np.array([np.mean(values) for values in self.draws])

    @property
    def std(self) -> Array:
        """The standard deviation at each x; NaN for one draw."""
        return np.array([np.std(v, ddof=1) if len(v) > 1 else np.nan for v in self.draws])

    @property
    def sem(self) -> Array:
        """The standard error of the mean at each x; NaN for one draw."""
        return self.std / np.sqrt([len(values) for values in self.draws])

    @property
    def half(self) -> Array:
        """Half a bar: the standard deviation or error."""
        return self.sem if self.error == "sem" else self.std


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A line to hold curves against.

    Attributes
    ----------
    label : str
    x, y : tuple of float
    look : str
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    look: str = "guide"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A pair of axes.

    Attributes
    ----------
    title, x_label, y_label : str
    series : tuple of Series
    guides : tuple of Guide
    x_scale, y_scale : {"log", "linear"}
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    guides: tuple[Guide, ...] = ()
    x_scale: str = "log"
    y_scale: str = "log"


# Of a picture, from above.
Rows = Sequence[Sequence[Panel]]
