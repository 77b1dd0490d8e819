"""Closed forms and minimizers of any kernel, without a network."""

from __future__ import annotations

from numpy.typing import ArrayLike

from ntklin.edge.backends import refuse_mixed
from ntklin.edge.checks import as_inputs
from ntklin.theory.kernel_checks import as_kernel, as_outputs
from ntklin.theory.kernel_source import (
    FunctionKernel,
    KernelFunction,
    MatrixKernel,
    OutputFunction,
)
from ntklin.theory.linearization import Linearization


def linearize_kernel(
    K: ArrayLike | KernelFunction,
    X: ArrayLike | None = None,
    f0: ArrayLike | OutputFunction | None = None,
    *,
    covariance: ArrayLike | KernelFunction | None = None,
) -> Linearization:
    """A linearization of which only the kernel and f_0 are known: f_t as of any network with them.

    All closed forms need K(X, X), K(x, X) and f_0 only: those of ``gradient_descent``, minimizers
    with ridge, rank cut or a number for D, numbers of steps. So they hold for the limit of infinite
    width, for kernels of another library, or for one of your own. What needs parameters θ raises a
    NoParametersError.

    Targets may be (N,), or (N, C) for C outputs, which then have the kernel K ⊗ 1_C: one N×N
    factorization serves all of them.

    Parameters
    ----------
    K : array_like, shape (N, N), or callable
        K(X, X), symmetric and positive semidefinite up to the rounding of its dtype; or a function
        of X_1 and X_2 that returns K(X_1, X_2), (N_1, N_2). With an array, whatever asks for
        ``X_new`` takes K(X_new, X) in its place, (N_new, N).
    X : array_like, shape (N, d), optional
        Training inputs, for a function and for nothing else. Copied.
    f0 : array_like, shape (N,) or (N, C), or callable, optional
        f_0(X); or a function of inputs, where K is one. 0 when not given. With an array f_0 is not
        known at new inputs: the training loss is, ``predict`` is refused.
    covariance : array_like, shape (N, N), or callable, optional
        Σ, the covariance of f_0 over initializations, for ``covariance`` of what is asked later:
        Σ(X, X), or a function of X_1 and X_2, where K is one.

    Returns
    -------
    Linearization
        A function is called when its values are first asked for.

    Raises
    ------
    ValueError
        If K or the covariance is not symmetric, not positive semidefinite, or not finite, and for
        other shapes.
    TypeError
        If f0 or the covariance is a function although K is an array.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> X = np.linspace(-1, 1, 5)[:, None]
    >>> def K(X1, X2):
    ...     return np.exp(-4 * (X1 - X2.T) ** 2)
    >>> lin = ntklin.linearize_kernel(K, X)
    >>> gd = lin.gradient_descent(np.sin(3 * X[:, 0]))
    >>> gd.predict(X, t=[0, 100]).shape
    (2, 5)
    """
    for name, value in (("f0", f0), ("covariance", covariance)):
        if callable(value) and not callable(K):
            raise TypeError(f"{name} can be a function of inputs only where K is one, too")
    if callable(K):
        if X is None:
            raise ValueError("X must be given with a function K: the training inputs, (N, d)")
        on_x = X = as_inputs(X).copy()
    else:
        if X is not None:
            raise ValueError(
                "X is for a function K; where K is an array, new inputs are given by K(X_new, X)"
            )
        on_x = K = as_kernel(K, "K")
    refuse_mixed(on_x, *(a for a in (f0, covariance) if not callable(a)))
    C, n = None, len(on_x)
    if f0 is not None and not callable(f0):
        f0 = as_outputs(f0, n, "f0", None).copy()
        C = f0.shape[1] if f0.ndim == 2 else 1
    if covariance is not None and not callable(covariance):
        covariance = as_kernel(covariance, "covariance", n)
    if callable(K):
        return Linearization(FunctionKernel(K, on_x, f0, covariance, C))
    return Linearization(MatrixKernel(on_x, f0, covariance, C))
