"""From a user's options to a closed form in t."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from ntklin.algebra.preconditioners import Weights
from ntklin.algebra.spectrum import as_rank_cut, as_ridge
from ntklin.edge.backends import host
from ntklin.edge.checks import as_flag, as_fraction, as_nonnegative
from ntklin.networks.weighted import as_weighted
from ntklin.runs.schedules import LearningRate, as_rate
from ntklin.theory.descent_rules import bound_of
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.gradient_descent import LinearizedGradientDescent
from ntklin.theory.solver_choice import SMALL

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization

_log = logging.getLogger("ntklin.theory")


def descend(
    lin: Linearization,
    Y: ArrayLike,
    learning_rate: LearningRate | None,
    *,
    ridge: float,
    rcond: float | None,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    decoupled: bool,
    weights: Weights,
) -> LinearizedGradientDescent:
    """Check what ``Linearization.gradient_descent`` was given, and fill in the learning rate.

    Returns
    -------
    LinearizedGradientDescent

    Raises
    ------
    ValueError
        See there.
    """
    momentum = as_fraction(momentum, name="momentum")
    nesterov = as_flag(nesterov, name="nesterov")
    decoupled = as_flag(decoupled, name="decoupled")
    if nesterov and not momentum:
        raise ValueError("nesterov=True needs a momentum above 0")
    weight_decay = as_nonnegative(weight_decay, name="weight_decay")
    if weight_decay:
        _refuse_without_closed_form(momentum, decoupled, weights is not None)
        _ = lin.features  # a kernel has no θ that could decay
    if weights is not None:
        weights = lin.source.preconditioner(weights)
        weighted = FeatureSource(as_weighted(lin.features, weights))
        lin = type(lin)(weighted, precision=lin.precision)
    Y = host(lin.source.targets(Y))
    ridge, rcond = as_ridge(ridge), as_rank_cut(rcond)
    if learning_rate is None:
        if lin.source.n_rows <= SMALL or weight_decay or rcond is not None:
            lin.require_room()  # others can do without the spectrum
        plain = lin.default_learning_rate(ridge + lin.n_samples * weight_decay)
        learning_rate = bound_of(momentum, nesterov)[0] / 2 * plain
        _log.info("the default learning rate of gradient descent is %.6g", learning_rate)
    return LinearizedGradientDescent(
        linearization=lin,
        targets=Y,
        learning_rate=as_rate(learning_rate),
        ridge=ridge,
        rcond=rcond,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
    )


def _refuse_without_closed_form(momentum: float, decoupled: bool, weighted: bool) -> None:
    """Refuse a decay that mixes the eigendirections of the kernel with others."""
    instead = "; lin.train takes its steps"
    if momentum and (decoupled or weighted):
        other = "weights" if weighted else "decoupled=True"
        raise ValueError(f"weight_decay with momentum and {other} has no closed form{instead}")
    if weighted and not decoupled:
        raise ValueError(
            "weight_decay with weights D has a closed form for decoupled=True only, θ_{t+1} = "
            f"(1 − η w) θ_t − η D ∇L: else D scales the decay of each parameter{instead}"
        )
