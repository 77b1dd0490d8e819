"""For which learning rates training of the linearized network is stable, and what to say if not."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from ntklin.algebra import lanczos
from ntklin.algebra.operators import GramOperator
from ntklin.algebra.spectrum import require_kernel_in_range
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host
from ntklin.edge.checks import fits
from ntklin.edge.errors import DegenerateKernelError, DivergenceError, MemoryLimitError
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.optimizers import GradientDescent

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
    mu = optimizer.momentum
    if optimizer.nesterov:
        return (1 + mu) / (1 + 2 * mu), "2(1 + μ)N/((1 + 2μ) λ_max)"
    return 1 + mu, "2(1 + μ)N/λ_max"


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
            return float(np.linalg.eigvalsh(K.astype(np.float64, copy=False))[-1])

    def product(r: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            pulled = phi.T @ beside(r.astype(phi.dtype), phi.inputs)
            return host(phi @ pulled).astype(np.float64)

    largest = lanczos.largest_eigenvalue(product, n, max(1e-10, 4 * np.finfo(phi.dtype).eps))
    require_kernel_in_range(np.array([[largest]], phi.dtype))
    return largest


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
            f"{optimizer!r}"
        )
    if optimizer.learning_rate is None:
        return optimizer.with_learning_rate(default())
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
