"""NumPy or CuPy, decided by the arrays' own type."""

import sys

import numpy as np


def namespace(*arrays):
    """The array namespace that all ``arrays`` belong to.

    CuPy is never imported here: an array can only be a CuPy array when its owner imported CuPy.

    Parameters
    ----------
    *arrays : array_like
        Anything that is not a CuPy array (lists, scalars, None) counts as NumPy.

    Returns
    -------
    module
        ``numpy`` or ``cupy``.

    Raises
    ------
    TypeError
        If NumPy and CuPy arrays are mixed.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return np
    on_gpu = [isinstance(a, cupy.ndarray) for a in arrays]
    if not any(on_gpu):
        return np
    if any(isinstance(a, np.ndarray) for a in arrays):
        raise TypeError(
            "got NumPy and CuPy arrays in one call; move them to one side with "
            "cupy.asarray(...) or cupy.asnumpy(...)"
        )
    return cupy


def kernels(*arrays):
    """The compiled kernels for ``arrays``: the module ``ntklin.kernels.cpu``.

    Raises
    ------
    TypeError
        For CuPy arrays, which this version has no kernels for, and for mixed ones.
    """
    if namespace(*arrays) is not np:
        raise TypeError(
            "CuPy arrays have no compiled kernels in this version of ntklin; "
            "pass NumPy arrays, for example cupy.asnumpy(X)"
        )
    from ntklin.kernels import cpu

    return cpu
