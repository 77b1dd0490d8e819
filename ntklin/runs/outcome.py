"""What every run leaves, of the real network or of its linearization, and how it is saved."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_path
from ntklin.edge.faces import pictures
from ntklin.edge.faces.shown import Facts, Shown, facts, outline
from ntklin.edge.files.names import shown
from ntklin.edge.files.writing import whole
from ntklin.edge.sendable import Sendable
from ntklin.runs import checkpoint
from ntklin.runs.monotone import Yardstick
from ntklin.runs.optimizer import Optimizer

if TYPE_CHECKING:
    from ntklin.edge.faces.pictures import Axes

_log = logging.getLogger("ntklin.runs")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Run(Shown, Sendable):
    """What every run leaves.

    Attributes
    ----------
    losses : ndarray, shape (steps + 1,)
        L(θ_0), …, L(θ_t), each on all samples.
    converged : bool
        Whether the loss fell below ``until``.
    ended_by : str or None
        What ended it: "steps", "until", "first rise", "time limit", the name of a stop condition of
        the caller's own, "batches" where an iterable of them ended, or "interrupt". None where
        that is not known.
    optimizer : Optimizer
        With the learning rate that was used.
    method : str
        The engine that took the steps.
    loss : {"squared", "logistic", "softmax"}
    rates : ndarray, shape (steps,), or None
        η_0, …, η_{t−1} where the learning rate depends on the step.
    identity : dict
        What the run is of: by it a saved run knows the network and data that it belongs to.
    arrays : dict of str to ndarray, or None
        Where the engine was; None of a run that cannot be continued.
    """

    losses: NDArray[np.float64]
    converged: bool
    ended_by: str | None = None
    optimizer: Optimizer
    method: str
    loss: str
    rates: NDArray[np.float64] | None = field(default=None, repr=False)
    identity: Mapping[str, Any] = field(repr=False)
    arrays: Mapping[str, Any] | None = field(repr=False)

    #: How its file says what it is.
    kind: ClassVar[str] = "training run"
    _line_style: ClassVar[dict[str, Any]] = pictures.NETWORK

    @property
    def steps(self) -> int:
        """The number of steps taken, t, counted from θ_0 also where the run was continued."""
        return len(self.losses) - 1

    @property
    def yardstick(self) -> Yardstick:
        """What ``losses`` are measured by."""
        zero = self.identity["loss_of_zero"]
        return Yardstick(float(self.losses[0]), zero, np.dtype(self.identity["dtype"]))

    def first_rise(self) -> int | None:
        """The first t with L(θ_t) > L(θ_{t−1}) by more than rounding explains; None without one.

        What ``train`` warns of, and what the searches for a learning rate go by.

        Returns
        -------
        int or None
        """
        return self.yardstick.first_rise(self.losses)

    def save(self, path: str | PathLike[str]) -> None:
        """Save all that it takes to continue the run by ``train(..., resume=path)``.

        One ``.npz`` file, written whole or not at all. It holds the parameters, the losses, the
        records and the optimizer's sums, but of θ_0, X and Y only fingerprints; and a digest of
        all that, by which a damaged file is known.

        Parameters
        ----------
        path : path
            Taken as it is, whatever its ending; an existing file is replaced, where a link leads
            if it is one. What killed processes left unfinished beside it is removed.

        Raises
        ------
        OSError
            If it cannot be written; an existing file is then unchanged.
        ValueError
            If the run is the beginning of another one, by ``at``, which cannot be continued.
        """
        if self.arrays is None:
            raise ValueError("the beginning of a run, as at(t) gives it, cannot be saved")
        with whole(as_path(path, name="path")) as f:
            self.write(f)
        _log.info("saved a %s of %d steps in %s", self.kind, self.steps, shown(path))

    def write(self, f: IO[bytes]) -> None:
        """Write what ``save`` saves into a file that is open for writing bytes."""
        checkpoint.write(f, self.kind, *self._parts())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loss against steps, and beside it how far θ came from θ_0 at recorded steps.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure of pyplot's when not given.

        Returns
        -------
        matplotlib.axes.Axes
            Those of the loss; the distance has others, on the right.

        Raises
        ------
        TypeError
            For what is no axes.
        """
        pictures.require_axes(ax)
        steps, distances = self._distances()
        ax = pictures.axes_or_new(ax)
        every = np.arange(len(self.losses))
        handles = [pictures.losses(ax, every, self.losses, self.kind, self._line_style)]
        if len(steps):
            handles.append(pictures.distances(ax, steps, distances))
        pictures.tidy(ax, handles)
        return ax

    def _distances(self) -> tuple[Array, Array]:
        """Recorded steps, and ‖θ_t − θ_0‖ there."""
        return np.zeros(0), np.zeros(0)

    def _subject(self) -> dict[str, Any]:
        """What it is a run of, label by label."""
        return {}

    def _facts(self) -> Facts:
        start, end = (outline(float(loss)) for loss in self.losses[[0, -1]])
        return facts(
            type(self).__name__,
            **self._subject(),
            optimizer=self.optimizer,
            engine=self.method,
            steps=self.steps,
            loss=f"{self.loss}, {start} to {end}",
            converged=self.converged,
            ended_by=self.ended_by,
        )

    def _parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a file holds of it: what JSON can hold, and arrays by their names."""
        engine = {checkpoint.ENGINE + name: a for name, a in (self.arrays or {}).items()}
        meta = {
            "identity": self.identity,
            "converged": self.converged,
            "ended_by": self.ended_by,
        }
        rates = {} if self.rates is None else {"rates": self.rates}
        return meta, {"losses": self.losses} | rates | engine

    def _holds(self, name: str, value: Any) -> bool:
        """Whether the engine keeps an array as it is, so that a file need not hold it twice."""
        kept = (self.arrays or {}).get(name)
        return kept is not None and bool(np.array_equal(kept, value))
