"""What a linearization is of: a kernel and f_0, of a network's features or by themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ntklin.algebra.preconditioners import Constant, Weights
from ntklin.edge.arrays import Array
from ntklin.edge.backends import host, refuse_mixed
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.ranges import shift
from ntklin.edge.sendable import Sendable
from ntklin.networks.network import FeatureOperator
from ntklin.theory.columns import Columns


class Source(Shown, Sendable, ABC):
    """What closed forms and minimizers are made from: K(X, X), f_0(X), and both at new inputs.

    Attributes
    ----------
    columns : Columns
        How outputs are arranged for the kernel.
    remedy : str
        What to do where numbers leave the range of floating point.
    without_kernel : str
        How to do without an N×N kernel where that does not fit into memory.
    """

    columns: Columns
    remedy: str
    without_kernel: str

    @property
    @abstractmethod
    def anchor(self) -> Array:
        """An array of the namespace, and on the device, where kernels are computed."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of outputs and kernels."""

    @property
    @abstractmethod
    def n_samples(self) -> int:
        """N."""

    @property
    def n_rows(self) -> int:
        """M, the size of the kernel."""
        return self.n_samples * self.columns.rows

    @property
    @abstractmethod
    def outputs(self) -> Array:
        """f_0(X), (N,) or (N, C)."""

    @property
    def in_words(self) -> Facts:
        """What it is, for all that is made of it; computes nothing."""
        return facts(type(self).__name__, samples=self.n_samples, outputs=self.columns.n_outputs)

    def _facts(self) -> Facts:
        return self.in_words

    @property
    def known_inputs(self) -> Array | None:
        """X, (N, d); None of a kernel that is an array."""
        return None

    def targets(self, Y: ArrayLike, dtype: DTypeLike = np.float64) -> Array:
        """Targets, checked, in a copy: (N,) for one output, else (N, C).

        Parameters
        ----------
        Y : array_like
        dtype : dtype

        Returns
        -------
        ndarray, shape (N,) or (N, C)

        Raises
        ------
        ValueError
            For another shape, which the message tells, NaN or infinity.
        """
        refuse_mixed(self.anchor, Y)
        Y = self.columns.targets(Y, self.n_samples, dtype).copy()
        if self.columns.n_outputs is None:
            shape = self.outputs.shape  # (N,) goes with any number of outputs, such as 0
            if len(shape) == 2 and Y.shape != shape:
                raise ValueError(f"Y must have the shape {shape} of f0(X), got shape {Y.shape}")
        return Y

    def residual(self, Y: Array, exponent: int = 0) -> Array:
        """Y − 2^exponent f_0(X) in columns that the kernel acts on, (M, k), float64, on the host.

        Parameters
        ----------
        Y : ndarray, shape (N,) or (N, C)
        exponent : int

        Returns
        -------
        ndarray, shape (M, k)
        """
        start = shift(host(self.outputs).astype(np.float64, copy=False), exponent)
        return self.columns.of(Y) - self.columns.of(start)

    @property
    @abstractmethod
    def features(self) -> FeatureOperator:
        """φ(X), where there is a θ that they are the derivatives by.

        Raises
        ------
        NoParametersError
            Where there is none.
        """

    @property
    @abstractmethod
    def rank_bound(self) -> int | None:
        """An upper bound on the rank of the kernel, P; None for none but its size."""

    @property
    @abstractmethod
    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below."""

    @abstractmethod
    def constant(self, weights: Weights) -> Constant:
        """A constant D that was given, of the right form; compared by identity if given again."""

    @abstractmethod
    def preconditioner(self, weights: Weights) -> Constant:
        """The same, checked to be a D ≥ 0 and copied."""

    @abstractmethod
    def kernel(self, weights: Constant = None) -> Array:
        """K_D(X, X), (M, M), computed anew.

        Parameters
        ----------
        weights : float, ndarray or LowRank, optional
            D, as ``constant`` returns it.

        Returns
        -------
        ndarray, shape (M, M)
        """

    @abstractmethod
    def tile(self, rows: slice, columns: slice, weights: Constant = None) -> Array:
        """K_D between two runs of the inputs X, beside them; nothing of N × N numbers is made.

        Parameters
        ----------
        rows, columns : slice
            Of inputs.
        weights : float, ndarray or LowRank, optional

        Returns
        -------
        ndarray
            A block of K_D(X, X).
        """

    def block(self, rows: slice, columns: slice, weights: Constant = None) -> Array:
        """The same on the host."""
        return host(self.tile(rows, columns, weights))

    @abstractmethod
    def product(self, V: Array, weights: Constant = None) -> Array:
        """K_D(X, X) V without a kernel, on the host in float64.

        Parameters
        ----------
        V : ndarray, shape (M, k)
        weights : float, ndarray or LowRank, optional

        Returns
        -------
        ndarray, shape (M, k)
        """

    @abstractmethod
    def expansion(self, coefficients: Array, weights: Constant = None) -> Expansion:
        """x ↦ f_0(x) and K_D(x, X) α, without a kernel.

        Parameters
        ----------
        coefficients : ndarray, shape (M, k)
            α.
        weights : float, ndarray or LowRank, optional

        Returns
        -------
        callable
        """

    @abstractmethod
    def columns_of(self, inputs: NDArray[np.int64], weights: Constant = None) -> Array:
        """The columns of K_D(X, X) that belong to some of the inputs, on the host, (M, n M/N)."""

    @abstractmethod
    def largest_eigenvalue(self) -> float:
        """λ_max of K(X, X) by products alone."""

    @abstractmethod
    def new_inputs(self, X_new: ArrayLike) -> Array:
        """New inputs, checked."""

    @abstractmethod
    def between(self, X_new: Array, weights: Constant = None) -> tuple[Array | None, Array]:
        """f_0 at new inputs and their kernel with X.

        Parameters
        ----------
        X_new : ndarray
            As ``new_inputs`` returns them.
        weights : float, ndarray or LowRank, optional

        Returns
        -------
        outputs : ndarray, shape (N_new,) or (N_new, C), or None
            None where nobody knows f_0 there.
        kernel : ndarray, shape (M_new, M)
            K_D(X_new, X).
        """

    @abstractmethod
    def balanced(self, dtype: DTypeLike) -> tuple[Source, int]:
        """The same at a scale where no kernel leaves the range.

        Parameters
        ----------
        dtype : dtype
            The precision that it is to be computed in, where it can be.

        Returns
        -------
        source : Source
            This one where it needs no change.
        exponent : int
            e with f = 2^e f' and K = 4^e K', exactly.
        """

    @abstractmethod
    def covariance(self, first: Array | None = None, second: Array | None = None) -> Array:
        """Σ(X_1, X_2), the covariance of f_0 over initializations, of any one output.

        Parameters
        ----------
        first, second : ndarray, optional
            As ``new_inputs`` returns them; X when not given.

        Returns
        -------
        ndarray, shape (N_1, N_2)

        Raises
        ------
        ValueError
            Where it is not known.
        """


# Inputs whose block of the kernel, or whose features, are made at once.
ROWS = 1024

# New inputs, as ``new_inputs`` returns them, to f_0(x), where it is known, and K_D(x, X) α.
Expansion = Callable[[Array], tuple[Array | None, Array]]


def runs(n: int, size: int = ROWS) -> list[slice]:
    """0 … n − 1 in runs of ``size``."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Evaluation(Shown):
    """What new inputs contribute to f_t, whatever t and Y.

    Attributes
    ----------
    inputs : ndarray, shape (N_new, d)
    weights : float, ndarray, LowRank or None
        D.
    start : ndarray, shape (N_new,) or (N_new, C), or None
        f_0(X_new), where it is known.
    kernel : ndarray, shape (N_new, N)
        K_D(X_new, X); of features with C outputs (N_new·C, N·C).
    """

    inputs: Array
    weights: Constant
    start: Array | None
    kernel: Array

    @property
    def outputs(self) -> Array:
        """f_0(X_new), (N_new,) or (N_new, C)."""
        return certain_outputs(self.start)


def certain_outputs(start: Array | None) -> Array:
    """f_0 at new inputs, or an error where nobody knows it.

    Parameters
    ----------
    start : ndarray or None

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        For None.
    """
    if start is None:
        raise ValueError(
            "f0 was given as an array, f_0(X), which says nothing of f_0(X_new): give f0 as a "
            "function of inputs, or leave it out, pass Y − f_0(X) for Y, and add f_0(X_new)"
        )
    return start
