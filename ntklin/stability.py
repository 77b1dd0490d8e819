"""For which learning rates training of the linearized network is stable, and what to say if not."""

from contextlib import suppress

import numpy as np

from ntklin.backends import host
from ntklin.errors import DivergenceError, MemoryLimitError
from ntklin.optimizers import GradientDescent, Momentum


def stability_factor(optimizer, loss, full):
    """What 2N/λ_max is multiplied by for the bound on η, and its formula; None where none is known.

    From the roots of the recursion on one eigenvector of K. The logistic loss curves by at most a
    quarter, which bounds gradient descent, but nothing with a velocity.

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
    if isinstance(optimizer, GradientDescent):
        return (1, "2N/λ_max") if loss.name == "squared" else (4, "8N/λ_max")
    if isinstance(optimizer, Momentum) and loss.name == "squared":
        mu = optimizer.momentum
        if optimizer.nesterov:
            return (1 + mu) / (1 + 2 * mu), "2(1 + μ)N/((1 + 2μ) λ_max)"
        return 1 + mu, "2(1 + μ)N/λ_max"
    return None, None


def stability_bound(net, theta, X):
    """2N/λ_max(K(X, X)) at θ; infinite where K = 0."""
    kernel = host(net.features(theta, X).gram()).astype(np.float64)
    largest = float(np.linalg.eigvalsh(kernel)[-1])
    return 2 * len(X) / largest if largest > 0 else np.inf


def divergence_error(optimizer, loss, full, losses, *, bound, search):
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
    step, rate, known = len(losses) - 1, optimizer.learning_rate, None
    name = type(optimizer).__name__
    factor, formula = stability_factor(optimizer, loss, full)
    if factor is None:
        advice = (
            f"no bound on η is known beforehand for {name}{'' if full else ' with mini-batches'} "
            f"and the {loss.name} loss, so take a smaller one; {search} finds the largest that "
            "keeps the loss monotone"
        )
    else:
        with suppress(MemoryLimitError):
            known = factor * bound()
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
