"""The covariance over initializations, which training takes from f_0 to f_t."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.theory.source import Source


class Prior:
    """Σ, the covariance of f_0, between two sets of new inputs and X.

    Parameters
    ----------
    source : Source
        Which knows Σ.
    X_new : array_like or None
        x; X when not given.
    X2 : array_like, optional
        x', where it is not x.

    Attributes
    ----------
    inputs : list of one or two ndarrays or None
        x, and x' where it is not x, read and checked; None for X.
    shape : tuple of two ints
        Of the covariances.
    """

    def __init__(
        self, source: Source, X_new: ArrayLike | None, X2: ArrayLike | None = None
    ) -> None:
        first = None if X_new is None else source.new_inputs(X_new)
        second = first if X2 is None else source.new_inputs(X2)
        self.inputs = [first] if X2 is None else [first, second]
        self._here = _double(source.covariance(first, second))
        self._first = _double(source.covariance(first))
        self._second = self._first if X2 is None else _double(source.covariance(second))
        self._training = _double(source.covariance())
        self.shape = self._here.shape

    def propagated(self, S: Array, S2: Array | None = None) -> Array:
        """The covariance of f_0(x) − S(x) f_0(X) and f_0(x') − S(x') f_0(X).

            Σ(x, x') − S(x) Σ(X, x') − Σ(x, X) S(x')^T + S(x) Σ(X, X) S(x')^T

        Parameters
        ----------
        S, S2 : ndarray, shapes (N_1, N) and (N_2, N)
            Of x and x'; the latter that of x when not given.

        Returns
        -------
        ndarray, shape (N_1, N_2)
        """
        S2 = S if S2 is None else S2
        left = self._first - S @ self._training
        covariance = self._here - S @ self._second.T - left @ S2.T
        return (covariance + covariance.T) / 2 if len(self.inputs) == 1 else covariance


def _double(a: Array) -> Array:
    return host(a).astype(np.float64, copy=False)
