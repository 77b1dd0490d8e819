"""A linear operator that SciPy takes as its own, and that takes CuPy arrays too."""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntklin.backends import namespace, refuse_mixed


class Operator(LinearOperator):
    """A real operator whose ``@`` serves arrays of the namespace of its ``inputs``.

    SciPy turns every operand into a NumPy array, which CuPy refuses. Subclasses have ``_matvec``,
    ``_matmat``, ``_rmatvec`` and ``_rmatmat``, as SciPy wants them.
    """

    def dot(self, x):
        """The product with a vector or a matrix; ``@`` is the same."""
        if namespace(self.inputs, x) is np:
            return super().dot(x)
        return _product(self, x, self._matvec, self._matmat)

    def _transpose(self):
        return super()._transpose() if namespace(self.inputs) is np else _Transposed(self)

    _adjoint = _transpose


class _Transposed(LinearOperator):
    """The transpose of an operator on CuPy arrays."""

    def __init__(self, operator):
        self._operator = operator
        super().__init__(operator.dtype, operator.shape[::-1])

    def dot(self, x):
        """The product with a vector or a matrix; ``@`` is the same."""
        refuse_mixed(self._operator.inputs, x)
        return _product(self, x, self._operator._rmatvec, self._operator._rmatmat)

    def _matvec(self, x):
        return self._operator._rmatvec(x)

    def _transpose(self):
        return self._operator

    _adjoint = _transpose


def _product(operator, x, vector, matrix):
    if x.ndim not in (1, 2) or x.shape[0] != operator.shape[1]:
        raise ValueError(f"dimension mismatch: {operator.shape} times {x.shape}")
    return vector(x) if x.ndim == 1 else matrix(x)
