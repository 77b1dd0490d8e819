"""Linear operators that SciPy takes as its own, and that take CuPy arrays too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse.linalg import LinearOperator

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import namespace
from ntklin.edge.checks import as_number

Product = Callable[[Array], Array]

# Bytes of the columns that products take at a time: what P numbers a column take beside the result
# stays bounded, and so many columns gain nothing from more.
COLUMNS_BYTES = 1 << 28


def columns_at_a_time(n_rows: int, dtype: DTypeLike) -> int:
    """How many columns of so many numbers a product takes at a time."""
    return max(1, COLUMNS_BYTES // max(1, n_rows * np.dtype(dtype).itemsize))


class Operator(LinearOperator):
    """A real operator whose ``@`` serves arrays of the namespace of its ``inputs``.

    SciPy turns every operand into a NumPy array, which CuPy refuses and which a mask would not
    survive. Subclasses have ``_matvec`` and ``_rmatvec``, as SciPy wants them, and ``_matmat`` and
    ``_rmatmat`` where these can do better than column by column.

    Attributes
    ----------
    inputs : ndarray
        An array of the namespace, and on the device, where products are computed.
    """

    inputs: Array
    dtype: np.dtype[Any]
    shape: tuple[int, int]

    def dot(self, x: Any) -> Any:
        """The product with a vector, a matrix or an operator; ``@`` is the same."""
        if namespace(self.inputs, x) is np:
            x = _operand(x)
            if isinstance(x, np.ndarray):
                _require_fitting(self, x)
            return super().dot(x)
        return _product(self, x, self._matvec, self._matmat)

    @overload
    def __matmul__(self, x: LinearOperator) -> LinearOperator: ...
    @overload
    def __matmul__(self, x: ArrayLike) -> Array: ...
    def __matmul__(self, x: Any) -> Any:
        return super().__matmul__(x)

    def __rmatmul__(self, x: Any) -> Any:
        return super().__rmatmul__(_operand(x))

    @property
    def T(self) -> Operator:
        """The transpose."""
        return self._transpose()

    def _matmat(self, X: Array) -> Array:
        return _by_columns(self, X, self._matvec, self.shape[0])

    def _rmatmat(self, X: Array) -> Array:
        return _by_columns(self, X, self._rmatvec, self.shape[1])

    def _transpose(self) -> Operator:
        return Transposed(self, (self._rmatvec, self._rmatmat), (self._matvec, self._matmat))

    def _adjoint(self) -> Any:
        return self._transpose()


class Transposed(Operator):
    """The transpose of an operator.

    Parameters
    ----------
    operator : Operator
    products, transposed : pair of callable
        Its transpose's and its own products with a vector and with a matrix.
    """

    def __init__(
        self,
        operator: Operator,
        products: tuple[Product, Product],
        transposed: tuple[Product, Product],
    ) -> None:
        self.inputs = operator.inputs
        self._operator, self._products, self._transposed = operator, products, transposed
        super().__init__(operator.dtype, operator.shape[::-1])

    def _matvec(self, x: Array) -> Array:
        return self._products[0](x)

    def _matmat(self, X: Array) -> Array:
        return self._products[1](X)

    def _rmatvec(self, x: Array) -> Array:
        return self._transposed[0](x)

    def _rmatmat(self, X: Array) -> Array:
        return self._transposed[1](X)

    def _transpose(self) -> Operator:
        return self._operator


class GramOperator(Operator, ABC):
    """An operator J ∈ R^{N×P} of which Gram matrices J D J^T can be had, too."""

    @abstractmethod
    def gram(self, other: Any = None, weights: ArrayLike | None = None) -> Array:
        """J D J'^T.

        Parameters
        ----------
        other : GramOperator, optional
            J'; this one when not given.
        weights : array_like, shape (P,), optional
            The diagonal of D ≥ 0; 1 when not given.

        Returns
        -------
        ndarray, shape (N, N')
        """

    def gram_product(self, R: ArrayLike) -> Array:
        """K R = J (J^T R) without K, for some columns of R at a time.

        J^T R has P numbers a column, of which there are never more than fill ``COLUMNS_BYTES``, or
        one column.

        Parameters
        ----------
        R : array_like, shape (N,) or (N, k)

        Returns
        -------
        ndarray, of the shape of R

        Raises
        ------
        ValueError
            For another shape.
        """
        xp = namespace(self.inputs, R)
        R = as_array(R, "R")
        if R.ndim not in (1, 2) or len(R) != self.shape[0]:
            raise ValueError(
                f"R must have shape ({self.shape[0]},) or ({self.shape[0]}, k), got {R.shape}"
            )
        if R.ndim == 1:
            return self @ (self.T @ R)
        out = xp.empty(R.shape, self.dtype)
        some = columns_at_a_time(self.shape[1], self.dtype)
        for start in range(0, R.shape[1], some):
            part = slice(start, start + some)
            out[:, part] = self @ (self.T @ R[:, part])
        return out

    def toarray(self, out: Array | None = None) -> Array:
        """The dense J, row by row.

        Parameters
        ----------
        out : ndarray, shape (N, P), optional
            Overwritten and returned.

        Returns
        -------
        ndarray, shape (N, P)
        """
        xp = namespace(self.inputs)
        J = xp.empty(self.shape, self.dtype) if out is None else as_destination(out, self)
        for row, unit in zip(J, xp.eye(self.shape[0], dtype=self.dtype), strict=True):
            row[...] = self.T @ unit
        return J


def as_destination(out: Any, operator: Operator) -> Array:
    """An array that the dense operator can be written into.

    Parameters
    ----------
    out : ndarray
    operator : Operator

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        For what is no array of the operator's namespace.
    ValueError
        For one of another shape, dtype or layout.
    """
    xp, shape, dtype = namespace(operator.inputs), operator.shape, operator.dtype
    if not isinstance(out, xp.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be an array of {xp.__name__}, got {type(out).__name__}")
    usable = out.flags.carray if xp is np else out.flags.c_contiguous
    if out.shape != shape or out.dtype != dtype or not usable:
        raise ValueError(
            f"out must be a C-contiguous, aligned and writable {dtype} array of shape {shape}, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out


def _operand(x: Any) -> Any:
    """What is multiplied: another operator, a number, or an array of real numbers."""
    if isinstance(x, LinearOperator):
        return x
    return as_number(x, "the operand") if np.isscalar(x) else as_array(x, "the operand")


def _require_fitting(operator: Operator, x: Array) -> None:
    if x.ndim not in (1, 2) or x.shape[0] != operator.shape[1]:
        raise ValueError(
            f"dimension mismatch: the operand has shape {x.shape}, and an operator of shape "
            f"{operator.shape} takes ({operator.shape[1]},) or ({operator.shape[1]}, k)"
        )


def _product(operator: Operator, x: Array, vector: Product, matrix: Product) -> Array:
    _require_fitting(operator, x)
    return vector(x) if x.ndim == 1 else matrix(x)


def _by_columns(operator: Operator, X: Array, vector: Product, n: int) -> Array:
    out = namespace(operator.inputs).empty((n, X.shape[1]), operator.dtype)
    for k, column in enumerate(X.T):
        out[:, k] = vector(column)
    return out
