"""A linear operator that SciPy takes as its own, and that takes CuPy arrays too."""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntklin.edge.arrays import as_array
from ntklin.edge.backends import namespace


class Operator(LinearOperator):
    """A real operator whose ``@`` serves arrays of the namespace of its ``inputs``.

    SciPy turns every operand into a NumPy array, which CuPy refuses and which a mask would not
    survive. Subclasses have ``_matvec``, ``_matmat``, ``_rmatvec`` and ``_rmatmat``, as SciPy wants
    them.
    """

    def dot(self, x):
        """The product with a vector, a matrix or an operator; ``@`` is the same."""
        if namespace(self.inputs, x) is np:
            return super().dot(_operand(x))
        return _product(self, x, self._matvec, self._matmat)

    def __rmatmul__(self, x):
        return super().__rmatmul__(_operand(x))

    def _transpose(self):
        return _Transposed(self)

    _adjoint = _transpose


class Balanced(Operator):
    """Features φ that can also be had in another precision, and at a scale well within the range.

    Subclasses have ``exponents``, None where they are at their own scale, a dict ``_balanced`` and
    ``_made_for(dtype)``, which returns None where they need no change.
    """

    def balanced(self, dtype):
        """The same features at a scale where neither they nor their kernel leave the range.

        Parameters
        ----------
        dtype : dtype
            The precision of their passes.

        Returns
        -------
        features : FeatureMap or PairFeatures
            These where they need no change.
        exponent : int
            e with φ = 2^e φ', exactly.
        """
        dtype = np.dtype(dtype)
        if self.exponents is not None and dtype == self.dtype:
            return self, 0
        if dtype not in self._balanced:
            self._balanced[dtype] = self._made_for(dtype)
        even = self._balanced[dtype] or self  # not kept: it would keep itself alive
        return even, 0 if even is self or self.exponents else even.exponents[-1]


class _Transposed(Operator):
    """The transpose of an operator."""

    def __init__(self, operator):
        self._operator, self.inputs = operator, operator.inputs
        super().__init__(operator.dtype, operator.shape[::-1])

    def _matvec(self, x):
        return self._operator._rmatvec(x)

    def _matmat(self, X):
        return self._operator._rmatmat(X)

    def _rmatvec(self, x):
        return self._operator._matvec(x)

    def _rmatmat(self, X):
        return self._operator._matmat(X)

    def _transpose(self):
        return self._operator

    _adjoint = _transpose


def _operand(x):
    """What is multiplied: another operator, a number, or an array of real numbers."""
    return x if isinstance(x, LinearOperator) or np.isscalar(x) else as_array(x, "the operand")


def _product(operator, x, vector, matrix):
    if x.ndim not in (1, 2) or x.shape[0] != operator.shape[1]:
        raise ValueError(f"dimension mismatch: {operator.shape} times {x.shape}")
    return vector(x) if x.ndim == 1 else matrix(x)
