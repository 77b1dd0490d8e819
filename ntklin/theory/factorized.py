"""A kernel and f_0, factorized once and asked often."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.preconditioners import Weights, times
from ntklin.algebra.spectrum import Spectrum, as_ridge, factorize, modes, ridge_in_units
from ntklin.edge.arrays import Array
from ntklin.edge.backends import freeze
from ntklin.edge.checks import advising, as_float_dtype, as_positive, require_memory
from ntklin.edge.errors import MemoryLimitError
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.ranges import in_range
from ntklin.edge.sendable import Sendable
from ntklin.networks.network import FeatureOperator
from ntklin.runs import stability
from ntklin.theory.source import Evaluation, Source

_log = logging.getLogger("ntklin.theory")


@dataclass(frozen=True, eq=False, repr=False)
class FactorizedKernel(Shown, Sendable):
    """K(X, X) and f_0 of a source, the spectrum of K, and what follows from that alone.

    Attributes
    ----------
    source : Source
        Of a network's features, a ``FeatureSource``.
    precision : dtype, optional
        The one that decides the rank cut, where it is not that of the source.
    """

    source: Source
    _: KW_ONLY
    precision: DTypeLike | None = None
    _latest: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _units: dict[np.dtype[Any], Any] = field(default_factory=dict, init=False, repr=False)

    def _sent(self) -> dict[str, Any]:
        return super()._sent() | {"_latest": {}}

    def _facts(self) -> Facts:
        made = [name for name in ("kernel", "spectrum") if name in self.__dict__]
        kept = facts("", kept=" and ".join(made) or None)
        return Facts(type(self).__name__, (*self.source.in_words.rows, *kept.rows))

    @property
    def features(self) -> FeatureOperator:
        """φ(X), (N·C, P); a NoParametersError for a kernel without θ."""
        return self.source.features

    @property
    def n_samples(self) -> int:
        """N."""
        return self.source.n_samples

    @property
    def initial_outputs(self) -> Array:
        """f_0(X), (N,), or (N, C) for several outputs."""
        return self.source.outputs

    @cached_property
    def kernel(self) -> Array:
        """K(X, X), (N, N), read-only; of features with C outputs φφ^T, (N·C, N·C)."""
        _log.debug("computing %s", self.described_kernel)
        return freeze(self.source.kernel())

    @cached_property
    def spectrum(self) -> Spectrum:
        """The factorization of K(X, X), made at the first use and kept.

        In double precision for features in single, too, so that all eigenvalues have digits.
        """
        double = self.in_units(np.float64)
        if double.linearization is self:
            self.require_room()
            _log.debug("factorizing %s", self.described_kernel)
            return factorize(self.kernel, self.source.rank_bound, dtype=self.precision)
        return double.linearization.spectrum.scaled(2 * double.exponent)

    def in_units(self, dtype: DTypeLike | None = None) -> Rescaled:
        """The same at a scale at which no kernel leaves the range, f = 2^e f'.

        Parameters
        ----------
        dtype : dtype, optional
            The precision of its source; that of this one when not given.

        Returns
        -------
        Rescaled
        """
        dtype = np.dtype(self.source.dtype) if dtype is None else as_float_dtype(dtype)
        if dtype not in self._units:
            source, e = self.source.balanced(dtype)
            kept = None
            if source is not self.source:
                kept = type(self)(source, precision=self.precision or self.source.dtype)
            self._units[dtype] = kept, e
        kept, e = self._units[dtype]
        return Rescaled(linearization=kept or self, exponent=e)

    @property
    def has_spectrum(self) -> bool:
        """Whether the spectrum has been asked for, and is kept."""
        return "spectrum" in self.__dict__

    def require_room(self) -> None:
        """Refuse what needs the spectrum where that is not there and does not fit."""
        m = self.source.n_rows
        if not self.has_spectrum:
            what = f"factorizing {self.described_kernel}"
            require_memory(5 * 8 * m * m, what, self.source.without_kernel)

    @property
    def described_kernel(self) -> str:
        """The kernel in words."""
        n, rows = self.n_samples, self.source.columns.rows
        outputs = f" with {rows} outputs each" if rows > 1 else ""
        return f"the kernel of {n} training inputs{outputs}"

    @property
    def eigenvalues(self) -> Array:
        """λ of K(X, X), ascending, as computed: rounding can make the smallest negative."""
        return self.spectrum.values.astype(self.kernel.dtype)

    @cached_property
    def largest_eigenvalue(self) -> float:
        """λ_max of K(X, X); without a kernel where there are more than a few thousand inputs."""
        if self.source.n_rows <= stability.LARGE:
            with suppress(MemoryLimitError):
                return self.spectrum.largest
        return self.source.largest_eigenvalue()

    @property
    def max_learning_rate(self) -> float:
        """2N/λ_max: gradient descent without ridge converges for learning rates below it."""
        if self.in_units().exponent:
            return self.rate_bound(2.0)
        largest = self.largest_eigenvalue
        return 2 * self.n_samples / largest if largest > 0 else np.inf

    def default_learning_rate(self, ridge: float = 0.0) -> float:
        """0.5 N/(λ_max + ridge), a quarter of the stability bound (App. D).

        Parameters
        ----------
        ridge : float
            λ ≥ 0 of App. A, in units of the kernel.

        Returns
        -------
        float

        Raises
        ------
        DegenerateKernelError
            If K(X, X) = 0.
        """
        ridge = as_ridge(ridge)
        if self.in_units().exponent:
            bound = self.rate_bound(0.5, ridge)
            if bound < np.inf:
                return bound
        return stability.default_learning_rate(self.n_samples, self.largest_eigenvalue + ridge)

    def rate_bound(self, number: float, ridge: float = 0.0) -> float:
        """The learning rate number · N/(λ_max + ridge); infinite where that is N/0.

        Parameters
        ----------
        number : float
            2 for the bound below which gradient descent converges.
        ridge : float

        Returns
        -------
        float

        Raises
        ------
        FloatRangeError
            If it is out of range although the kernel is not 0.
        """
        number, ridge = as_positive(number, name="number"), as_ridge(ridge)
        units = self.in_units(np.float64)
        spectrum, e = units.linearization.spectrum, 2 * units.exponent
        curvature = spectrum.largest + ridge_in_units(ridge, e)
        if curvature == 0:
            return np.inf
        name = f"the learning rate {number:g} N/λ_max"
        rate, remedy = number * self.n_samples / curvature, self.source.remedy
        return in_range(rate, np.float64, name, remedy, scale=-e)

    def weighted_kernel(self, weights: Weights = None) -> Array:
        """K_D(X, X) = φ(X) D φ(X)^T for a constant D, computed anew; ``kernel`` without one.

        Parameters
        ----------
        weights : float, ndarray, shape (P,) or (P, P), or LowRank, optional
            D.

        Returns
        -------
        ndarray, shape (N, N)
        """
        weights = self.source.constant(weights)
        if weights is None:
            return self.kernel
        if isinstance(weights, float | int):
            return times(self.kernel, weights)
        return self.source.kernel(weights)

    def at(self, X_new: ArrayLike, weights: Weights = None) -> Evaluation:
        """f_0 and the kernel at new inputs; the latest ones are kept, so asking again is free.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        weights : float, ndarray, shape (P,) or (P, P), or LowRank, optional
            D, compared by identity.

        Returns
        -------
        Evaluation
        """
        X_new = self.source.new_inputs(X_new)
        weights = self.source.constant(weights)
        slot = "plain" if weights is None else "weighted"
        latest = self._latest.get(slot)
        if latest is not None and latest.weights is weights and _same(latest.inputs, X_new):
            return latest
        with advising("pass fewer rows of X_new at a time"):
            start, K = self.source.between(X_new, weights)
        self._latest[slot] = Evaluation(
            inputs=X_new.copy(),  # its owner may change X_new in place
            weights=weights,
            start=start,
            kernel=K,
        )
        return self._latest[slot]

    def modes_at(self, X_new: ArrayLike | None) -> tuple[Array, Array]:
        """K(X_new, X)V, in float64, what is certain of it and what is doubtful; kept like ``at``.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d), or None
            None for X itself, of which nothing is kept.

        Returns
        -------
        certain : ndarray, shape (N_new, N)
        doubtful : ndarray, shape (N_new, n)
            See ``spectral.modes``.
        """
        if X_new is None:
            return modes(self.kernel, self.spectrum)
        at = self.at(X_new)
        kept, projected = self._latest.get("modes", (None, None))
        if kept is not at:
            projected = modes(at.kernel, self.spectrum)
            self._latest["modes"] = at, projected
        return projected


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Rescaled(Shown):
    """A kernel and f_0 in units of their own: f = 2^e f', φ = 2^e φ', K = 4^e K', exactly.

    Attributes
    ----------
    linearization : FactorizedKernel
        Of f' and K'.
    exponent : int
        e.
    """

    linearization: Any
    exponent: int


def _same(kept: Array, X_new: Array) -> bool:
    return kept.shape == X_new.shape and bool((kept == X_new).all())
