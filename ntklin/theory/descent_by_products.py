"""Gradient descent at given steps without the spectrum, by products with φ and φ^T alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.krylov import function_of_operator
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, freeze, host, namespace
from ntklin.edge.faces.shown import Shown
from ntklin.edge.ranges import in_range, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.discrete_time import as_steps
from ntklin.theory.source import certain_outputs

if TYPE_CHECKING:
    from ntklin.theory.descent_modes import DescentModes
    from ntklin.theory.descent_without_spectrum import DescentWithoutSpectrum

# Products at most, where memory does not say less.
MOST = 1000


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class DescentByProducts(Shown, Sendable):
    """f_t and θ_t of gradient descent by c_t = g_t(K)(Y − f_0(X)), of which no spectrum is needed.

    g_t is the closed form's, (1 − (1 − η(λ + ridge)/N)^t)/(λ + ridge) of plain descent, and what
    momentum or a schedule have in its place. Lanczos' recursion takes one product with φφ^T an
    iteration; about √(t η λ_max/N) of them, and for large t as many as conjugate gradients take to
    the minimizer. Made by ``LinearizedGradientDescent.by_products``.

    Attributes
    ----------
    descent : DescentWithoutSpectrum
    shape : tuple of int
        Of t.
    error : float
        An estimate of ‖Δc_t‖/‖c_t‖, the largest over t and outputs.
    iterations : int
    """

    descent: DescentWithoutSpectrum
    shape: tuple[int, ...]
    error: float
    iterations: int
    _modes: DescentModes
    _moves: Array

    @property
    def coefficients(self) -> Array:
        """c_t in units of its own, t.shape + (M, k), read-only: K' c_t is f'_t − f'_0."""
        return self._moves.reshape(*self.shape, *self._moves.shape[1:])

    @cached_property
    def _columns(self) -> Array:
        """All c_t as columns, (M, T k)."""
        T, m, k = self._moves.shape
        return np.moveaxis(self._moves, 0, 1).reshape(m, T * k)

    @cached_property
    def _expansion(self) -> Any:
        return self._modes.units.linearization.source.expansion(self._columns)

    def _sent(self) -> dict[str, Any]:
        return {k: v for k, v in super()._sent().items() if k != "_expansion"}

    def predict(self, X_new: ArrayLike) -> Array:
        """The outputs f_t(X_new); new inputs pass in runs of rows.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape t.shape + (N_new,), or t.shape + (N_new, C)
        """
        units, given = self._modes.units, self.descent.linearization.source
        source, columns = units.linearization.source, given.columns
        start, product = self._expansion(source.new_inputs(X_new))
        start = host(columns.of(certain_outputs(start))).astype(np.float64)
        T, _, k = self._moves.shape
        moved = np.moveaxis(host(product).reshape(len(start), T, k), 1, 0)
        outputs = in_range(
            start + moved, given.dtype, "f_t(X_new)", given.remedy, scale=units.exponent
        )
        outputs = outputs.reshape(*self.shape, *outputs.shape[1:])
        return beside(columns.shown(outputs, self.descent.targets), given.anchor)

    @cached_property
    def parameters(self) -> Array:
        """The parameters θ_t, t.shape + (P,), read-only."""
        given, units = self.descent.linearization.features, self._modes.units
        phi = units.linearization.features
        columns = beside(np.ascontiguousarray(self._columns, phi.dtype), phi.inputs)
        xp, steps = namespace(columns), [phi.step(z) for z in (phi.T @ columns).T]
        moved = xp.stack(steps) if steps else xp.zeros((0, len(given.parameters)), phi.dtype)
        theta = (given.parameters + moved).astype(given.dtype, copy=False)
        theta = in_range(theta, given.dtype, "θ_t", self.descent.linearization.source.remedy)
        return freeze(theta.reshape(*self.shape, theta.shape[1]))

    @cached_property
    def loss(self) -> float | Array:
        """The training loss ‖f_t(X) − Y‖²/(2N), summed over outputs, of each t."""
        modes, (T, m, k) = self._modes, self._moves.shape
        units = modes.units
        source = units.linearization.source
        residual = source.residual(self.descent.targets, units.exponent)
        moved = shift(source.product(self._columns).reshape(m, T, k), units.exponent)
        left = [norm((residual - moved[:, i]).reshape(-1)) for i in range(T)]
        losses = np.array([v / (2 * modes.n_samples) * v for v in left]).reshape(self.shape)
        return losses if self.shape else float(losses)


def descend_by_products(
    descent: DescentWithoutSpectrum,
    modes: DescentModes,
    t: ArrayLike,
    tolerance: float,
    progress: Any = None,
) -> DescentByProducts:
    """c_t by Lanczos' recursion, for all t from one basis.

    Parameters
    ----------
    descent : DescentWithoutSpectrum
        Without weight decay.
    modes : DescentModes
        Its rule and units.
    t : int or array_like of int
    tolerance : float
    progress : callable, optional
        Called as ``progress(iteration, error)``.

    Returns
    -------
    DescentByProducts
    """
    steps = as_steps(t)
    units = modes.units
    source = units.linearization.source
    # f' = 2^(−e) f: the residual in the units of K', in which c' = g'(K') r'.
    right = shift(source.residual(descent.targets, units.exponent), -units.exponent)

    def growth(values: Array) -> Array:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return modes.rule.growth(values + modes.penalty, steps)

    found = function_of_operator(
        source.product, right, growth, tolerance=tolerance, most=MOST, progress=progress
    )
    return DescentByProducts(
        descent=descent,
        shape=steps.shape,
        error=found.error,
        iterations=found.iterations,
        _modes=modes,
        _moves=freeze(found.values),
    )
