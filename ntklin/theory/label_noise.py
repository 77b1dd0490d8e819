"""What an optimizer makes of noise in the labels, along its whole path."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host
from ntklin.edge.errors import NonMonotoneLossWarning
from ntklin.edge.ranges import in_range

if TYPE_CHECKING:
    from ntklin.theory.linearized_run import LinearizedRun


def label_sensitivity(run: LinearizedRun, X_new: ArrayLike, relative_step: float) -> Array:
    """∂f_t(x)/∂Y by central differences of runs, ``LinearizedRun.label_sensitivity``.

    Parameters
    ----------
    run : LinearizedRun
    X_new : array_like, shape (N_new, d)
    relative_step : float

    Returns
    -------
    ndarray, shape (N_new, N) or (N_new, C, N, C)

    Raises
    ------
    ValueError
        If the run's batches were an iterator.
    """
    if isinstance(run.batches, Iterator) or run.batches == ():
        raise ValueError(
            "the run's batches were an iterator, which is used up: train with ntklin.Batches or a "
            "list of batches"
        )
    lin = run.linearization
    Y = host(run.targets).astype(np.float64)
    unit = float(np.sqrt(np.mean((Y - host(lin.initial_outputs)) ** 2)))
    step = relative_step * (unit or 1.0)
    largest = float(np.abs(Y).max(initial=0.0))
    if not largest + step > largest or not np.isfinite(largest + step):
        raise ValueError(
            f"relative_step = {relative_step:.3g} is too {'small' if step < 1 else 'large'}: "
            f"labels up to {largest:.3g} cannot be moved by {step:.3g}"
        )
    options: dict[str, Any] = {"batches": run.batches, "loss": run.loss, "method": run.method}

    def outputs(labels: Array) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NonMonotoneLossWarning)
            labels = beside(labels, lin.source.anchor)
            trained = lin.train(labels, run.optimizer, run.steps, **options)
        return host(trained.predict(X_new)).astype(np.float64)

    slopes = []
    for index in np.ndindex(Y.shape):
        upper, lower = Y.copy(), Y.copy()
        upper[index] += step
        lower[index] -= step
        with np.errstate(over="ignore"):
            slopes.append((outputs(upper) - outputs(lower)) / (upper[index] - lower[index]))
    found = np.moveaxis(np.array(slopes), 0, -1)
    found = found.reshape(*found.shape[:-1], *Y.shape)
    found = in_range(found, np.float64, "the sensitivity to labels", lin.source.remedy)
    return beside(found, lin.source.anchor)
