"""Kernels by themselves, without a network, as what a linearization is of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ntklin.algebra.lanczos import largest_eigenvalue
from ntklin.algebra.preconditioners import Constant, Weights, times
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, freeze, host, namespace, refuse_mixed
from ntklin.edge.checks import as_finite, as_inputs, as_positive
from ntklin.edge.errors import NoParametersError
from ntklin.edge.faces.shown import Facts, outline
from ntklin.edge.ranges import COMFORT, largest_exponent, shift
from ntklin.networks.network import FeatureOperator
from ntklin.theory.columns import Columns
from ntklin.theory.kernel_checks import as_kernel, as_matrix, as_outputs
from ntklin.theory.source import Expansion, Source, runs

# From so many inputs on, what can do without K(X, X) of a function does not make it.
LARGE = 8192

# X_1, X_2 ↦ the (N_1, N_2) matrix of a kernel, and X ↦ f_0(X).
KernelFunction = Callable[[Array, Array], ArrayLike]
OutputFunction = Callable[[Array], ArrayLike]


class KernelSource(Source):
    """K, f_0 and its covariance Σ, whatever they are of.

    Parameters
    ----------
    f0 : None, ndarray or callable
        f_0: 0, known on X alone, or a function of inputs.
    covariance : None, ndarray or callable
        Σ: not known, known on X alone, or a function of two sets of inputs.
    n_outputs : int or None
        C; None where the targets decide.
    """

    remedy = "scale K, f0 and Y, or use float64 for all of them"
    without_kernel = "take fewer inputs"

    def __init__(self, f0: Any, covariance: Any, n_outputs: int | None) -> None:
        self._f0: Any = f0
        self._covariance: Any = covariance
        self.columns = Columns(rows=1, n_outputs=n_outputs)

    @property
    @abstractmethod
    def training_inputs(self) -> Array | None:
        """X, of which f0 and the covariance are functions; None where there is none."""

    @property
    def known_inputs(self) -> Array | None:
        """X, where the kernel is a function."""
        return self.training_inputs

    @property
    def features(self) -> FeatureOperator:
        """There are none."""
        _refuse_parameters()

    @property
    def rank_bound(self) -> None:
        """None but the size."""
        return None

    @property
    def output_rounding(self) -> Array:
        """Nobody knows better than 0."""
        return np.zeros(1)

    def constant(self, weights: Weights) -> Constant:
        """A number, which is all that a D can be without θ."""
        if weights is not None and not np.isscalar(weights):
            _refuse_parameters()
        return None if weights is None else as_finite(weights, name="weights")

    def preconditioner(self, weights: Weights) -> Constant:
        """A number > 0."""
        weights = self.constant(weights)
        return None if weights is None else as_positive(weights, name="weights")

    def product(self, V: Array, weights: Constant = None) -> Array:
        """K V, by blocks on and below the diagonal; each of them is made, used and dropped."""
        product, rows = np.zeros(V.shape), runs(self.n_samples)
        for j, columns in enumerate(rows):
            for i in rows[j:]:
                K = self.block(i, columns).astype(np.float64, copy=False)
                product[i] += K @ V[columns]
                if i != columns:
                    product[columns] += K.T @ V[i]
        return times(product, weights)

    def expansion(self, coefficients: Array, weights: Constant = None) -> Expansion:
        """K(x, X) α, in blocks of rows of x."""

        def at(X_new: Array) -> tuple[Array | None, Array]:
            outputs, products = [], []
            for i in runs(len(X_new)):
                start, K = self.between(X_new[i], weights)
                outputs.append(start)
                products.append(K @ beside(coefficients, K))
            xp = namespace(X_new)
            known = None if outputs[0] is None else xp.concatenate(outputs)
            return known, xp.concatenate(products)

        return at

    def columns_of(self, inputs: NDArray[np.int64], weights: Constant = None) -> Array:
        """K(X, X_i)."""
        rows = [self.block(slice(i, i + 1), slice(0, self.n_samples), weights) for i in inputs]
        return np.concatenate(rows).T

    def largest_eigenvalue(self) -> float:
        """λ_max by Lanczos' recursion."""
        tolerance = max(1e-10, 4 * float(np.finfo(self.dtype).eps))
        if self.is_there or self.n_samples <= LARGE:
            K = host(self.kernel()).astype(np.float64, copy=False)
            return largest_eigenvalue(lambda r: K @ r, len(K), tolerance)
        by_blocks = 1e-4  # from above all the same, and a product costs a kernel
        product = self.product
        return largest_eigenvalue(lambda r: product(r[:, None])[:, 0], self.n_samples, by_blocks)

    @property
    @abstractmethod
    def is_there(self) -> bool:
        """Whether K(X, X) is in memory."""

    @abstractmethod
    def largest_entry(self) -> float:
        """The largest one of K(X, X), which is on its diagonal."""

    def balanced(self, dtype: DTypeLike) -> tuple[Source, int]:
        """K and f_0 divided by powers of two, where K is far from 1."""
        largest = self.largest_entry()
        e = largest_exponent(np.array([largest]))
        if abs(e) <= COMFORT[np.dtype(self.dtype)]:
            return self, 0
        return ScaledKernel(self, e // 2), e // 2

    @cached_property
    def outputs(self) -> Array:
        """f_0(X), (N,) or (N, C), read-only."""
        return freeze(self._outputs_at(None))

    def _outputs_at(self, X_new: Array | None) -> Any:
        """f_0 at new inputs, X when there are none; None where nobody knows it."""
        n = self.n_samples if X_new is None else len(X_new)
        if self._f0 is None:
            C = self.columns.n_outputs
            shape = (n, C) if C is not None and C > 1 else (n,)
            return namespace(self.anchor).zeros(shape, self.dtype)
        if not callable(self._f0):
            return self._f0 if X_new is None else None
        at = self.training_inputs if X_new is None else X_new
        f0: Any = self._f0(at)
        return as_outputs(f0, n, "f0(X)", self.columns.n_outputs)

    @cached_property
    def _training_covariance(self) -> Array:
        Sigma, X = self._covariance, self.training_inputs
        if callable(Sigma):
            Sigma: Any = Sigma(X, X)
        return freeze(as_kernel(Sigma, "covariance", self.n_samples))

    def covariance(self, first: Array | None = None, second: Array | None = None) -> Array:
        """Σ(X_1, X_2)."""
        if self._covariance is None:
            raise ValueError(
                "the covariance of f_0 over initializations is not known: pass covariance= to "
                "linearize_kernel, or take ntklin.InfiniteMLP(net).linearize(X), which has it"
            )
        if first is None and second is None:
            return self._training_covariance
        if not callable(self._covariance):
            raise ValueError(
                "covariance was given as an array, Σ(X, X), which says nothing of other inputs "
                "than X: leave X_new out for that of f_t(X), or give K and covariance as functions"
            )
        X: Any = self.training_inputs
        X1, X2 = (X if A is None else A for A in (first, second))
        Sigma: Any = self._covariance(X1, X2)
        return as_matrix(Sigma, (len(X1), len(X2)), "covariance(X1, X2)")


class MatrixKernel(KernelSource):
    """K(X, X) as an array; what is asked of new inputs is asked of the rows K(X_new, X).

    Parameters
    ----------
    K : ndarray, shape (N, N)
        As ``as_kernel`` returns it.
    f0, covariance, n_outputs
        See :class:`KernelSource`.
    """

    def __init__(self, K: Array, f0: Any, covariance: Any, n_outputs: int | None) -> None:
        super().__init__(f0, covariance, n_outputs)
        self._K = freeze(K)

    @property
    def in_words(self) -> Facts:
        """A matrix, and its size."""
        title, rows = super().in_words
        return Facts(title, (("kernel", outline(self._K)), *rows))

    @property
    def training_inputs(self) -> None:
        """There are none, but K."""
        return None

    @property
    def anchor(self) -> Array:
        """K."""
        return self._K

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of K."""
        return self._K.dtype

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self._K)

    @property
    def is_there(self) -> bool:
        """Yes."""
        return True

    def largest_entry(self) -> float:
        """The largest one of K."""
        return float(self._K.diagonal().max())

    def kernel(self, weights: Constant = None) -> Array:
        """K times a number."""
        return times(self._K, weights)

    def tile(self, rows: slice, columns: slice, weights: Constant = None) -> Array:
        """A block of K."""
        return times(self._K[rows, columns], weights)

    def product(self, V: Array, weights: Constant = None) -> Array:
        """K V."""
        if self._K.dtype != np.float64:
            return super().product(V, weights)
        return times(host(self._K @ beside(V, self._K)), weights)

    def new_inputs(self, X_new: ArrayLike) -> Array:
        """K(X_new, X), (N_new, N)."""
        rows = as_array(X_new, "X_new")
        refuse_mixed(self._K, rows)
        if rows.ndim != 2 or rows.shape[1] != self.n_samples:
            raise ValueError(
                "X_new must be K(X_new, X), since K was given as an array: shape (N_new, "
                f"{self.n_samples}), got shape {rows.shape}"
            )
        return as_inputs(rows, name="X_new")

    def between(self, X_new: Array, weights: Constant = None) -> tuple[Array | None, Array]:
        """f_0 and the rows that were given."""
        return self._outputs_at(X_new), times(X_new, weights)


class FunctionKernel(KernelSource):
    """K as a function of two sets of inputs.

    Parameters
    ----------
    function : callable
        X_1, X_2 ↦ K(X_1, X_2), (N_1, N_2).
    X : ndarray, shape (N, d)
    f0, covariance, n_outputs
        See :class:`KernelSource`.
    """

    def __init__(
        self,
        function: KernelFunction,
        X: Array,
        f0: Any = None,
        covariance: Any = None,
        n_outputs: int | None = None,
    ) -> None:
        super().__init__(f0, covariance, n_outputs)
        self._function, self._X = function, X

    @property
    def in_words(self) -> Facts:
        """The function's name; not its dtype, which its values tell."""
        title, rows = super().in_words
        name = getattr(self._function, "__qualname__", type(self._function).__name__)
        return Facts(title, (("kernel", outline(name)), *rows))

    @property
    def training_inputs(self) -> Array:
        """X."""
        return self._X

    @property
    def anchor(self) -> Array:
        """X."""
        return self._X

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """That of K(X, X); of many inputs that of K for one of them, which is all that is made."""
        if self.is_there or self.n_samples <= LARGE:
            return self._K.dtype
        return as_array(self._function(self._X[:1], self._X[:1]), "K(X, X)").dtype

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self._X)

    @cached_property
    def _K(self) -> Array:
        K = self._function(self._X, self._X)
        return freeze(as_kernel(K, "K(X, X)", self.n_samples))

    @property
    def is_there(self) -> bool:
        """Whether it has been asked for."""
        return "_K" in self.__dict__

    def largest_entry(self) -> float:
        """The largest one of K(X, X); of many inputs by blocks on the diagonal."""
        if self.is_there or self.n_samples <= LARGE:
            return float(self._K.diagonal().max())
        small = runs(self.n_samples, 64)
        return max(float(self.block(i, i).diagonal().max()) for i in small)

    def kernel(self, weights: Constant = None) -> Array:
        """K(X, X) times a number."""
        return times(self._K, weights)

    def tile(self, rows: slice, columns: slice, weights: Constant = None) -> Array:
        """K between two runs of inputs, by the function; of K(X, X) where that is there."""
        if self.is_there:
            return times(self._K[rows, columns], weights)
        first = self._X[rows]
        second = first if rows == columns else self._X[columns]
        K = as_matrix(self._function(first, second), (len(first), len(second)), "K(X, X)")
        return times(K, weights)

    def columns_of(self, inputs: NDArray[np.int64], weights: Constant = None) -> Array:
        """K(X, X_i), by the function."""
        shape = self.n_samples, len(inputs)
        some = self._X[beside(inputs, self._X)]
        K = as_matrix(self._function(self._X, some), shape, "K(X, X)")
        return times(host(K), weights)

    def new_inputs(self, X_new: ArrayLike) -> Array:
        """Inputs of the function."""
        X_new = as_inputs(X_new, name="X_new")
        refuse_mixed(self._X, X_new)
        if X_new.shape[1] != self._X.shape[1]:
            d = self._X.shape[1]
            raise ValueError(f"X_new must have shape (N_new, {d}), as X has, got {X_new.shape}")
        return X_new.astype(np.result_type(X_new, self._X), copy=False)

    def between(self, X_new: Array, weights: Constant = None) -> tuple[Array | None, Array]:
        """f_0(X_new) and K(X_new, X)."""
        shape = len(X_new), self.n_samples
        K = as_matrix(self._function(X_new, self._X), shape, "K(X_new, X)")
        return self._outputs_at(X_new), times(K, weights)

    def balanced(self, dtype: DTypeLike) -> tuple[Source, int]:
        """The function of inputs in this precision, and divided by a power of two if need be."""
        if self._X.dtype == dtype or np.dtype(dtype) != np.float64:
            return super().balanced(dtype)
        options = self._f0, self._covariance, self.columns.n_outputs
        double = FunctionKernel(self._function, self._X.astype(dtype), *options)
        return double.balanced(dtype)


class ScaledKernel(KernelSource):
    """Another source divided by powers of two: f = 2^e f', K = 4^e K', Σ = 4^e Σ'.

    Parameters
    ----------
    source : KernelSource
    exponent : int
        e.
    """

    def __init__(self, source: KernelSource, exponent: int) -> None:
        super().__init__(None, None, source.columns.n_outputs)
        self._source, self._exponent = source, exponent

    @property
    def training_inputs(self) -> Array | None:
        """X."""
        return self._source.training_inputs

    @property
    def anchor(self) -> Array:
        """Of the source."""
        return self._source.anchor

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the source."""
        return self._source.dtype

    @property
    def n_samples(self) -> int:
        """N."""
        return self._source.n_samples

    @cached_property
    def outputs(self) -> Array:
        """f'_0(X)."""
        return freeze(shift(self._source.outputs, -self._exponent))

    @property
    def is_there(self) -> bool:
        """As it is of the source."""
        return self._source.is_there

    def largest_entry(self) -> float:
        """The largest one of K'."""
        return shift(self._source.largest_entry(), -2 * self._exponent)

    def tile(self, rows: slice, columns: slice, weights: Constant = None) -> Array:
        """A block of K'."""
        K = self._source.tile(rows, columns)
        return times(shift(K, -2 * self._exponent), weights)

    def kernel(self, weights: Constant = None) -> Array:
        """K'(X, X)."""
        return times(shift(self._source.kernel(), -2 * self._exponent), weights)

    def new_inputs(self, X_new: ArrayLike) -> Array:
        """As the source takes them."""
        return self._source.new_inputs(X_new)

    def between(self, X_new: Array, weights: Constant = None) -> tuple[Array | None, Array]:
        """f'_0(X_new) and K'(X_new, X)."""
        outputs, K = self._source.between(X_new)
        outputs = None if outputs is None else shift(outputs, -self._exponent)
        return outputs, times(shift(K, -2 * self._exponent), weights)

    def balanced(self, dtype: DTypeLike) -> tuple[Source, int]:
        """As it is."""
        return self, 0

    def covariance(self, first: Array | None = None, second: Array | None = None) -> Array:
        """Σ'."""
        return shift(self._source.covariance(first, second), -2 * self._exponent)


def _refuse_parameters() -> NoReturn:
    raise NoParametersError(
        "this linearization is of a kernel, which has no parameters θ: parameters, train, "
        "theorem3, theorem6 and weights other than a number need those of a network, "
        "ntklin.linearize(net, theta, X)"
    )
