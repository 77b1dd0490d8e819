"""The product formulas of Thms 3 and 6 to the letter: the definition, for verification.

Plain matrix algebra on arrays that may hold floats or exact fractions (``dtype=object``); whoever
calls brings the solver.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ntklin.edge.arrays import Array

# M, R ↦ M^{-1} R.
Solver = Callable[[Array, Array], Array]


def adaptive_map(phi: Array, D: Any, solve: Solver) -> tuple[Array, Array]:
    """A = D φ(X)^T K_D^{-1}, shape (P, N), and K_D = φ(X) D φ(X)^T, for one D.

    Parameters
    ----------
    phi : ndarray, shape (N, P)
    D : scalar, or ndarray, shape (P,) or (P, P)
        Need not be symmetric.
    solve : callable
        ``solve(M, R)`` returns M^{-1} R for M of shape (N, N) and R of shape (N, P).

    Returns
    -------
    A : ndarray, shape (P, N)
    K : ndarray, shape (N, N)
    """
    spread = D @ phi.T if np.ndim(D) == 2 else (phi * D).T
    K = phi @ spread
    return solve(K.T, spread.T).T, K


def product_form(
    phi: Array,
    residual: Array,
    preconditioners: Any,
    weights: Iterable[Array],
    learning_rate: Any,
    solve: Solver,
) -> tuple[Array | None, Array, Array]:
    r"""The A_t, B_t and bracket of Thm 3, Eq. (7), and of Thm 6, Eq. (17).

    .. math::

        \theta_t - \theta_0 &= A_t \Big[ 1 - \prod_{u=t-1}^{0}
            (1 - \eta\, K_{D_u} P_u) \Big] (Y - f_0(X)) + B_t \\
        A_t &= D_{t-1} \varphi(X)^T K_{D_{t-1}}^{-1} \\
        B_t &= \sum_{v=2}^{t} (A_{v-1} - A_v) \Big[ 1 - \prod_{w=v-2}^{0}
            (1 - \eta\, K_{D_w} P_w) \Big] (Y - f_0(X))

    with P_u = 1/N for the full batch (Thm 3). On a batch it is 1/|B_u| on the batch and else 0, for
    (η/N) φ D_u D_{B_u} φ^T = (η/|B_u|) K_{D_u} P_{B_u} with Thm 6's
    D_{B_u} = (N/|B_u|) (P_{B_u} φ)^T K^{-1} φ.

    Parameters
    ----------
    phi : ndarray, shape (N, P)
        φ(X).
    residual : ndarray, shape (N,)
        Y − f_0(X).
    preconditioners : sequence of t scalars or ndarrays, shapes (P,) or (P, P)
        D_0, …, D_{t−1}.
    weights : sequence of t ndarrays, shape (N,)
        The diagonals of P_0, …, P_{t−1}.
    learning_rate : scalar
        η.
    solve : callable
        See :func:`adaptive_map`.

    Returns
    -------
    A : ndarray, shape (P, N), or None
        A_t; there is none for t = 0.
    B : ndarray, shape (P,)
    fitted : ndarray, shape (N,)
        [1 − Π] (Y − f_0(X)), which is f_t(X) − f_0(X).
    """
    n, n_parameters = phi.shape
    one = np.eye(n, dtype=phi.dtype)
    A, B = None, np.zeros(n_parameters, phi.dtype)
    product, fitted = one, np.zeros(n, phi.dtype)
    for D, w in zip(preconditioners, weights, strict=True):
        previous, (A, K) = A, adaptive_map(phi, D, solve)
        if previous is not None:
            B = B + (previous - A) @ fitted
        product = (one - learning_rate * K * w) @ product
        fitted = (one - product) @ residual
    return A, B, fitted
