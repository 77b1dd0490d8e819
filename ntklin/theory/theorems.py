"""Thms 3 and 6 on a linearized network of small size, by their product formulas."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, as_array, rows_of
from ntklin.edge.backends import host
from ntklin.edge.checks import (
    as_learning_rate,
    as_list,
    as_new_inputs,
    as_step,
    as_vector,
    require_memory,
)
from ntklin.edge.errors import DegenerateKernelError, DivergenceError
from ntklin.edge.faces.shown import Shown
from ntklin.edge.sendable import Sendable
from ntklin.edge.values import said
from ntklin.networks.network import FeatureOperator
from ntklin.runs.batches import BatchSource, SampleWeights
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.stability import with_learning_rate
from ntklin.theory.products import Solver, product_form

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ProductForm(Shown, Sendable):
    r"""The linearized network after t steps by the product formulas of Thms 3 and 6, in float64.

    .. math::

        f_t(x) = f_0(x) + \varphi(x) A_t\, [1 - \Pi]\, (Y - f_0(X)) + \varphi(x) B_t

    with the paper's letters as attributes; see ``ntklin.theory.products.product_form``. Made by
    ``Linearization.theorem3`` and ``theorem6``.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,) or (N, C)
    learning_rate : float
    steps : int
        t.
    A : ndarray, shape (P, N·C), or None
        A_t; there is none for t = 0.
    B : ndarray, shape (P,)
        B_t, which includes the factor Y − f_0(X).
    fitted : ndarray, shape (N,) or (N, C)
        [1 − Π](Y − f_0(X)) = f_t(X) − f_0(X).
    """

    linearization: Linearization
    targets: Array
    learning_rate: float
    steps: int
    A: Array | None
    B: Array
    fitted: Array

    @cached_property
    def interpolating_displacement(self) -> Array:
        """A_t [1 − Π](Y − f_0(X)), (P,)."""
        return np.zeros_like(self.B) if self.A is None else self.A @ self.fitted.reshape(-1)

    @property
    def path_dependent_displacement(self) -> Array:
        """B_t, (P,)."""
        return self.B

    @property
    def parameters(self) -> Array:
        """θ_t, (P,)."""
        start = host(self.linearization.features.parameters)
        return start + self.interpolating_displacement + self.B

    def predict(self, X_new: ArrayLike) -> Array:
        """f_t(X_new), (N_new,) or (N_new, C)."""
        X_new = as_new_inputs(X_new, self.linearization.features)
        return self.interpolating(X_new) + self.path_dependent(X_new)

    def interpolating(self, X_new: ArrayLike) -> Array:
        """f_0(X_new) + φ(X_new) A_t [1 − Π](Y − f_0(X)), (N_new,) or (N_new, C)."""
        new = self._features(X_new)
        J = host(new.toarray()).astype(np.float64)
        outputs = host(new.outputs)
        return outputs + (J @ self.interpolating_displacement).reshape(outputs.shape)

    def path_dependent(self, X_new: ArrayLike) -> Array:
        """φ(X_new) B_t, (N_new,) or (N_new, C)."""
        new = self._features(X_new)
        return (host(new.toarray()).astype(np.float64) @ self.B).reshape(new.outputs.shape)

    def _features(self, X_new: ArrayLike) -> FeatureOperator:
        phi = self.linearization.features
        X_new = as_new_inputs(X_new, phi)
        return phi.network.features(phi.parameters, X_new)


def product_formula(
    linearization: Linearization,
    Y: ArrayLike,
    preconditioners: Optimizer | Iterable[ArrayLike],
    *,
    learning_rate: float | None,
    steps: int | None,
    batches: BatchSource | None,
) -> ProductForm:
    """See ``Linearization.theorem6``.

    Returns
    -------
    ProductForm

    Raises
    ------
    ValueError
        If steps, learning rate or batches are missing, or are told twice.
    DivergenceError
        If the products leave the range of float64.
    """
    lin, phi = linearization, linearization.features
    (m, P), n = phi.shape, lin.n_samples
    Y = host(lin.source.targets(Y))
    if isinstance(preconditioners, Optimizer):
        optimizer = _covered(preconditioners, learning_rate, lin)
        if steps is None:
            raise ValueError("steps must be given with an optimizer")
        given, rate = [], float(optimizer.learning_rate)
    else:
        optimizer, given = None, _as_sequence(preconditioners, P)
        if learning_rate is None:
            raise ValueError("learning_rate must be given with a sequence of D_t")
        rate = as_learning_rate(learning_rate)
        steps = len(given) if steps is None else steps
    steps = as_step(steps, name="steps")
    if optimizer is None and steps > len(given):
        raise ValueError(f"steps = {steps}, but there are only {len(given)} matrices D_t")
    require_memory(
        8 * P * (5 * m + (steps if optimizer is not None else 0)),
        f"the product formula for {n} inputs, {P} parameters and {steps} steps",
        "use train(), which gives the same split at any size",
    )
    weights = SampleWeights(batches, n).take(steps, np.dtype(float))
    if len(weights) < steps:
        raise ValueError(f"batches has only {len(weights)} batches for {steps} steps")
    J = host(phi.toarray()).astype(np.float64)
    residual = lin.source.residual(Y)[:, 0]
    weights = np.repeat(weights, m // n, axis=1)  # a sample's outputs are in a batch together
    if optimizer is not None:
        given = _sequence_of(optimizer, J, residual, weights)
    with np.errstate(over="ignore", invalid="ignore"):
        A, B, fitted = product_form(J, residual, given[:steps], weights, rate, _solver())
    if not (np.isfinite(fitted).all() and np.isfinite(B).all()):
        raise DivergenceError(
            f"the products of {steps} steps leave the range of float64: the learning rate "
            f"{rate:.6g} is too large for so many",
            learning_rate=rate,
        )
    return ProductForm(
        linearization=lin,
        targets=Y,
        learning_rate=rate,
        steps=steps,
        A=A,
        B=B,
        fitted=fitted.reshape(Y.shape),
    )


def _covered(
    optimizer: Optimizer, learning_rate: float | None, linearization: Linearization
) -> Optimizer:
    """The optimizer with its learning rate, if Eq. (6) covers it."""
    if optimizer.weight_decay:
        raise ValueError(
            f"{type(optimizer).__name__} has weight decay, so that its steps are not −η D_t ∇L "
            "(Eq. 6) and the theorem does not cover it; train() splits its end state"
        )
    if not optimizer.is_preconditioner:
        raise ValueError(
            f"{type(optimizer).__name__} carries a velocity, so that its steps are not −η D_t ∇L "
            "(Eq. 6) and the theorem does not cover it; train() splits its end state"
        )
    if optimizer.has_schedule:
        raise ValueError(
            "the product formula has one learning rate for all steps; pass the sequence of "
            "(η_t/η) D_t with learning_rate=η in the place of an optimizer with a schedule"
        )
    if learning_rate is not None:
        raise ValueError("learning_rate is the optimizer's own; give it with a sequence of D_t")
    return with_learning_rate(optimizer, linearization.default_learning_rate)


def _as_sequence(preconditioners: Iterable[ArrayLike], n_parameters: int) -> list[Any]:
    """D_0, D_1, … as float64 scalars, diagonals and matrices."""
    P, preconditioners = n_parameters, rows_of(preconditioners, "preconditioners")
    try:
        entries = as_list(preconditioners, name="preconditioners")
    except TypeError:
        raise TypeError(
            "preconditioners must be an optimizer or a sequence of D_t, got "
            f"{said(preconditioners)}"
        ) from None
    checked = []
    for t, D in enumerate(entries):
        D = as_array(D, f"preconditioners[{t}]")
        shape = D.shape
        if shape not in ((), (P,), (P, P)):
            raise ValueError(
                f"preconditioners[{t}] must be a number or an array of shape ({P},) or ({P}, {P}), "
                f"got shape {shape}"
            )
        flat = as_vector(D.reshape(-1), math.prod(shape), name=f"preconditioners[{t}]", dtype=float)
        checked.append(host(flat).reshape(shape))
    return checked


def _sequence_of(optimizer: Optimizer, J: Array, residual: Array, weights: Array) -> list[Any]:
    """D_0, D_1, … of the optimizer's own path, by dense steps."""
    theta = np.zeros(J.shape[1])
    state, preconditioners = optimizer.init(theta), []
    for w in weights:
        gradient = J.T @ (w * (J @ theta - residual))
        state = optimizer.step(state, theta, gradient)
        preconditioners.append(optimizer.preconditioner(state))
    return preconditioners


def _solver() -> Solver:
    """M^{-1} R, refusing a K_{D_t} that is singular to working precision; called step by step."""
    step = -1

    def solve(M: Array, R: Array) -> Array:
        nonlocal step
        step += 1
        condition = float(np.linalg.cond(M))
        if not condition < 0.1 / (len(M) * np.finfo(float).eps):
            raise DegenerateKernelError(
                f"K_D of D_{step} is singular to working precision (condition {condition:.3g}), "
                f"so that there is no A_{step + 1}: the theorem needs independent rows of φ(X) and "
                "a D_t that trains enough coordinates"
            )
        return np.linalg.solve(M, R)

    return solve
