"""Matrices that are to be symmetric and positive semidefinite, up to rounding."""

import numpy as np
from scipy.linalg.lapack import dpotrf  # pyright: ignore

from ntklin.edge.arrays import Array
from ntklin.edge.checks import require_bulk

# Up to this size the smallest eigenvalue of what is refused is told.
SMALL = 2048


def as_semidefinite(A: Array, name: str, *, advice: str = "take fewer rows") -> Array:
    """A symmetric positive semidefinite matrix, exactly symmetric, in a copy.

    What rounding explains passes: entries (i, j) and (j, i) that differ by n · eps of the largest
    entry, and eigenvalues down to −n · eps · ‖A‖_1.

    Parameters
    ----------
    A : ndarray, shape (n, n), float32 or float64
        Finite.
    name : str
        The argument's name in messages.
    advice : str
        What takes less memory.

    Returns
    -------
    ndarray, shape (n, n)

    Raises
    ------
    ValueError
        If it is not symmetric, or not positive semidefinite.
    """
    n = len(A)
    require_bulk(3 * 8 * n * n, f"a matrix of shape ({n}, {n})", advice)
    rounding = n * float(np.finfo(A.dtype).eps)
    hint = ""
    if A.dtype == np.float64:
        hint = "; if that is the rounding of float32, pass it in float32"
    with np.errstate(over="ignore"):
        excess = np.abs(A - A.T)
    largest = float(np.abs(A).max())
    if float(excess.max()) > rounding * largest:
        i, j = np.unravel_index(int(excess.argmax()), A.shape)
        raise ValueError(
            f"{name} must be a symmetric matrix, but entries ({i}, {j}) and ({j}, {i}) are "
            f"{A[i, j]:.6g} and {A[j, i]:.6g}{hint}"
        )
    A = A / 2 + A.T / 2 if excess.any() else A.copy()
    if largest == 0:
        return A
    # Cholesky of A + ε‖A‖1 succeeds where no eigenvalue is below −ε‖A‖, at a tenth of eigh's cost.
    shifted = A / largest
    shifted = shifted.astype(np.float64, copy=False)
    shifted.flat[:: n + 1] += rounding * float(np.abs(shifted).sum(axis=1).max())
    order = dpotrf(shifted.T, lower=True, overwrite_a=True)[1]
    if order != 0:
        what = f"its first {order} rows and columns are not"
        if n <= SMALL:
            what = f"its smallest eigenvalue is {float(np.linalg.eigvalsh(A)[0]):.3g}"
        raise ValueError(f"{name} must be positive semidefinite, but {what}{hint}")
    return A
