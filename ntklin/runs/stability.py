"""For which learning rates training of the linearized network is stable, and what to say if not."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from ntklin.algebra import lanczos
from ntklin.algebra.operators import GramOperator
from ntklin.algebra.spectrum import require_kernel_in_range
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host
from ntklin.edge.checks import as_step, fits
from ntklin.edge.errors import DegenerateKernelError, DivergenceError, MemoryLimitError
from ntklin.edge.threads import reproducible
from ntklin.edge.values import said
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.optimizers import AdaGrad, Adam, GradientDescent, Preconditioned, RMSprop

_log = logging.getLogger("ntklin.runs")

# From here on λ_max is found without the kernel, whose N² numbers and N³ operations nothing else in
# training may need.
LARGE = 2048

# One over the largest curvature ℓ'' of each loss, and 2N/λ_max over that curvature.
CURVED = {"squared": (1, "2N/λ_max"), "logistic": (4, "8N/λ_max"), "softmax": (2, "4N/λ_max")}


def stability_factor(
    optimizer: Optimizer, loss: Loss, full: bool
) -> tuple[float, str] | tuple[None, None]:
    """What 2N/λ_max is multiplied by for the bound on η, and its formula; None where none is known.

    From the roots of the recursion on one eigenvector of K. The logistic loss curves by at most a
    quarter and the softmax loss by at most a half, which bounds gradient descent, but nothing with
    a velocity. A learning rate that stays below the bound of gradient descent may also change.

    Parameters
    ----------
    optimizer : Optimizer
    loss : Loss
    full : bool
        Whether every step sees all samples.

    Returns
    -------
    factor : float or None
    formula : str or None
    """
    if not full:
        return None, None
    if not isinstance(optimizer, GradientDescent):
        return None, None
    if optimizer.rule == "descent":
        return CURVED[loss.name]
    knows_nothing = optimizer.has_schedule or (optimizer.weight_decay and optimizer.decoupled)
    if loss.name != "squared" or knows_nothing:
        return None, None
    formula = "2(1 + μ)N/((1 + 2μ) λ_max)" if optimizer.nesterov else "2(1 + μ)N/λ_max"
    return velocity_factor(optimizer), formula


def velocity_factor(optimizer: Optimizer) -> float:
    """What a velocity multiplies the bound 2/η on an eigenvalue by; NaN for unknown rules.

    From the roots of z² − (trace) z + (determinant) of the recursion on one eigenvector. Adam's
    mean is a velocity with β_1 at the rate (1 − β_1) η.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    float
    """
    if isinstance(optimizer, GradientDescent):
        mu = optimizer.momentum
        return (1 + mu) / (1 + 2 * mu) if optimizer.nesterov else 1 + mu
    if isinstance(optimizer, Adam):
        return (1 + optimizer.betas[0]) / (1 - optimizer.betas[0])
    return 1.0 if isinstance(optimizer, AdaGrad | RMSprop | Preconditioned) else np.nan


def sharpness_bound(optimizer: Optimizer, t: int) -> float:
    """The edge of stability: below which λ_max(K_D(X, X))/N the step t is stable, D being D_t.

    s/η_t with s = 2 of gradient descent, AdaGrad and RMSprop, 2(1 + μ) of momentum,
    2(1 + μ)/(1 + 2μ) of Nesterov's, and 2(1 + β_1)/(1 − β_1) of Adam once its bias correction has
    faded, all for the squared loss and the full batch. Weight decay λ makes it s/η_t − λ with
    D = 1, and s (2 − η_t λ)/(2 η_t) if it is decoupled. Other D with coupled decay have no bound on
    K_D alone.

    Parameters
    ----------
    optimizer : Optimizer
        With its learning rate.
    t : int
        The step.

    Returns
    -------
    float
        Infinite for η_t = 0, NaN where no bound is known.

    Raises
    ------
    TypeError
        For what is no optimizer.
    ValueError
        If the optimizer has no learning rate yet, or t is negative.

    Examples
    --------
    >>> import ntklin
    >>> ntklin.sharpness_bound(ntklin.Momentum(0.1), 0)
    38.0
    """
    t = as_step(t)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an ntklin optimizer, got {said(optimizer)}")
    if optimizer.learning_rate is None:
        raise ValueError("optimizer has no learning rate yet; that of a run has, run.optimizer")
    eta, decay = optimizer.rate(t), optimizer.weight_decay
    bound = 2 * velocity_factor(optimizer) / eta if eta else np.inf
    if optimizer.decoupled:
        return bound * (1 - eta * decay / 2)
    if decay and not isinstance(optimizer, GradientDescent):
        return np.nan
    return bound - decay


def with_decay(
    optimizer: Optimizer, factor: float, formula: str, bound: float | None
) -> tuple[str, float | None]:
    """A bound B on η as it is with weight decay λ, which adds λ to every eigenvalue of K/N.

    B/(1 + λ B/s), where B without decay is s N/λ_max over the loss's curvature.

    Parameters
    ----------
    optimizer : Optimizer
    factor, formula
        See :func:`stability_factor`.
    bound : float or None
        B, where it is known.

    Returns
    -------
    formula : str
    bound : float or None
    """
    decay = optimizer.weight_decay
    if not decay:
        return formula, bound
    s = 2 * factor if optimizer.rule == "momentum" else 2.0
    text = f"B/(1 + λ B/{s:.4g}) with B = {formula} and λ = {decay:.4g}"
    return text, None if bound is None else bound / (1 + decay * bound / s)


def largest_eigenvalue(phi: GramOperator) -> float:
    """λ_max(K(X, X)) of a feature operator, without K where there are many inputs.

    For N C ≤ LARGE from the kernel, to rounding, unless it does not fit into memory; else by
    Lanczos' recursion on r ↦ φ(X) φ(X)^T r, O(N C) numbers beside what φ holds, from above and to
    within 1e-10 of it or the rounding of the features.

    Parameters
    ----------
    phi : FeatureMap
        Or another operator, shape (N C, P), with ``gram``, ``inputs`` and ``dtype``.

    Returns
    -------
    float
    """
    n = phi.shape[0]
    if n <= LARGE and fits(3 * 8 * n * n):
        with suppress(MemoryLimitError):
            K = host(phi.gram())
            require_kernel_in_range(K)
            with reproducible():  # a default learning rate follows, and all bits of a run
                return float(np.linalg.eigvalsh(K.astype(np.float64, copy=False))[-1])

    largest = largest_by_products(phi, 1e-10)
    require_kernel_in_range(np.array([[largest]], phi.dtype))
    return largest


def largest_by_products(phi: GramOperator, tolerance: float) -> float:
    """λ_max(φ φ^T) by Lanczos' recursion on r ↦ φ φ^T r, without K.

    Parameters
    ----------
    phi : GramOperator, shape (N C, P)
    tolerance : float
        Relative; what the rounding of φ allows where that is more.

    Returns
    -------
    float
        Not finite where the products are not.
    """

    def product(r: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return host(phi.gram_product(beside(r.astype(phi.dtype), phi.inputs))).astype(float)

    rounding = 4 * float(np.finfo(phi.dtype).eps)
    return lanczos.largest_eigenvalue(product, phi.shape[0], max(tolerance, rounding))


def stability_bound(phi: GramOperator) -> float:
    """2N/λ_max(K(X, X)) of features of N samples at θ; infinite where K = 0."""
    largest = largest_eigenvalue(phi)
    return 2 * len(phi.inputs) / largest if largest > 0 else np.inf


def default_learning_rate(
    n_samples: int, curvature: float, *, name: str = "theta", remedy: str = "pass learning_rate="
) -> float:
    """0.5 N/(λ_max + ridge), a quarter of the stability bound (App. D).

    Parameters
    ----------
    n_samples : int
    curvature : float
        λ_max(K(X, X)) + ridge.
    name : str
        The argument that θ came by.
    remedy : str
        How to do without a default.

    Returns
    -------
    float

    Raises
    ------
    DegenerateKernelError
        If there is none, as K(X, X) = 0.
    """
    if not curvature > 0:
        raise DegenerateKernelError(
            "K(X, X) = 0: no output depends on θ, so there is no default learning rate; check X "
            f"and {name} for zeros, or {remedy}"
        )
    rate = 0.5 * n_samples / curvature
    if not np.isfinite(rate):
        raise DegenerateKernelError(
            f"λ_max(K(X, X)) = {curvature:.3g} is so small that there is no default learning "
            f"rate: 0.5 N/λ_max is beyond the range of floating point; scale X or {name} up, or "
            f"{remedy}"
        )
    return rate


def with_learning_rate(optimizer: Optimizer | None, default: Callable[[], float]) -> Optimizer:
    """The optimizer, ``GradientDescent()`` for None; with a rate, the default one if it has none.

    Parameters
    ----------
    optimizer : Optimizer or None
    default : callable
        Returns the default learning rate; called only where that is needed.

    Returns
    -------
    Optimizer

    Raises
    ------
    TypeError
        For what is no optimizer of ntklin.
    """
    optimizer = GradientDescent() if optimizer is None else optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be an optimizer of ntklin, such as ntklin.AdaGrad(0.01), got "
            f"{said(optimizer)}"
        )
    if optimizer.learning_rate is None:
        optimizer = optimizer.with_learning_rate(default())
        rate, kind = optimizer.learning_rate, type(optimizer).__name__
        _log.info("the default learning rate of %s is %.6g", kind, rate)
    return optimizer


def divergence_error(
    optimizer: Optimizer,
    loss: Loss,
    full: bool,
    losses: Sequence[float],
    *,
    bound: Callable[[], float],
    search: str,
) -> DivergenceError:
    """The error for a run whose loss has left all bounds.

    Parameters
    ----------
    optimizer, loss, full
        See :func:`stability_factor`.
    losses : sequence of float
        L at the start, …, at the step that shows divergence.
    bound : callable
        Returns 2N/λ_max; called only where the bound follows from it. Where the kernel does not
        fit into memory, the formula is all that can be told.
    search : str
        What finds a better learning rate where no bound is known.

    Returns
    -------
    DivergenceError
    """
    step, known = len(losses) - 1, None
    rate = optimizer.rate(max(step - 1, 0))
    name = type(optimizer).__name__
    factor, formula = stability_factor(optimizer, loss, full)
    if factor is None or formula is None:
        advice = (
            f"no bound on η is known beforehand for {name}{'' if full else ' with mini-batches'} "
            f"and the {loss.name} loss, so take a smaller one; {search} finds the largest that "
            "keeps the loss monotone"
        )
    else:
        with suppress(MemoryLimitError):
            known = factor * bound()
        formula, known = with_decay(optimizer, factor, formula, known)
        advice = (
            f"{'gradient descent' if name == 'GradientDescent' else name} on the linearized "
            f"network is stable for η < {formula}{'' if known is None else f' = {known:.4g}'}, so "
            "take a smaller one"
        )
    return DivergenceError(
        f"the loss rose from {losses[0]:.3g} to {losses[-1]:.3g} by step {step} with learning rate "
        f"η = {rate:.4g}; {advice}",
        learning_rate=rate,
        bound=known,
        step=step,
    )
