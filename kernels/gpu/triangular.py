"""Solutions with a lower triangle, by cuBLAS."""


def solve_lower(L, B, transposed=False, overwrite=False):
    """L^{-1} B, or L^{-T} B.

    Parameters
    ----------
    L : ndarray, shape (n, n)
        C-contiguous, of which nothing above the diagonal counts: cuBLAS, column by column, sees L^T
        in it, so that neither is copied.
    B : ndarray, shape (n, k)
    transposed, overwrite : bool
        Whether it is L^T, and whether B may hold the result, as it does where it is F-contiguous.

    Returns
    -------
    ndarray, shape (n, k)
    """
    from cupyx.scipy.linalg import solve_triangular

    return solve_triangular(
        L.T, B, trans=0 if transposed else 1, lower=False, overwrite_b=overwrite
    )
