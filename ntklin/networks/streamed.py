"""φ(X) of more inputs than there is memory for passes: made anew, some rows of X at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.operators import as_destination
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import namespace, refuse_mixed
from ntklin.edge.checks import as_count, as_flag, as_inputs, as_weights, require_memory
from ntklin.edge.sendable import Sendable
from ntklin.networks.memory import require_jacobian_memory
from ntklin.networks.network import FeatureOperator, Network, as_feature_operator, require_network


def _blocks_of_inputs(
    X: Array, dimension: int, rows: int, name: str = "X"
) -> Iterator[tuple[slice, Array]]:
    """Some rows of X at a time, checked, and which ones."""
    for start in range(0, len(X), rows):
        stop = min(start + rows, len(X))
        these = name if rows >= len(X) else f"{name}[{start}:{stop}]"
        yield slice(start, stop), as_inputs(X[start:stop], dimension, name=these)


class StreamedFeatures(Sendable, FeatureOperator):
    """The features φ(X) of a network, an (N C, P) operator that holds no pass over all of X.

    Every product, Gram matrix or Jacobian makes the passes over a block of rows, uses them, and
    forgets them: for all that is asked of it, it takes one forward pass more, and of memory what
    the features of ``rows`` inputs take, beside its result.

    X is read block by block and neither copied nor converted as a whole: it may be a
    ``numpy.memmap`` larger than the memory, of integers, too, and must not change.

    Parameters
    ----------
    features : FeatureOperator
        Those of a few inputs, at whose θ and in whose units all others are made, by ``at``.
    X : ndarray, shape (N, d)
        Of any real dtype.
    rows : int
        How many inputs have passes at a time.

    Attributes
    ----------
    network, parameters, inputs, outputs
        See ``FeatureOperator``; ``inputs`` is X itself.
    chunk_rows : int
        How many inputs have passes at a time.
    """

    def __init__(self, features: FeatureOperator, X: Array, rows: int) -> None:
        self._features, self.inputs, self.chunk_rows = features, X, rows
        self.network, self.parameters = features.network, features.parameters
        super().__init__(features.dtype, (features.n_outputs * len(X), features.shape[1]))

    @classmethod
    def of(cls, network: Network, theta: ArrayLike, X: ArrayLike, rows: int) -> StreamedFeatures:
        """The features of any network, whose rows have passes ``rows`` at a time.

        Parameters
        ----------
        network : Network
        theta : array_like, shape (P,)
        X : array_like, shape (N, d)
            Arrays of NumPy and CuPy are not copied.
        rows : int

        Returns
        -------
        StreamedFeatures, shape (N C, P)

        Raises
        ------
        ValueError
            If X has another shape.
        """
        require_network(network, name="network")
        theta, X = as_array(theta, "theta"), as_array(X, "X")
        refuse_mixed(theta, X)
        rows = as_count(rows, name="rows")
        if X.ndim != 2 or 0 in X.shape:
            as_inputs(X, network.n_inputs)  # names the shape
        # The units of features follow from the largest number in X.
        size, largest = -1.0, X[:1]
        for _, block in _blocks_of_inputs(X, network.n_inputs, rows):
            sizes = abs(block).max(axis=1)
            n = int(sizes.argmax())
            if float(sizes[n]) > size:
                size, largest = float(sizes[n]), block[n : n + 1]
        return cls(as_feature_operator(network.features(theta, largest)), X, rows)

    @cached_property
    def outputs(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """f_θ(X), made when it is first asked for."""
        return namespace(self.inputs).concatenate([phi.outputs for _, phi in self.blocks()])

    def blocks(self) -> Iterator[tuple[slice, FeatureOperator]]:
        """Block by block of inputs which rows of φ are theirs, and their features.

        Yields
        ------
        rows : slice
        features : FeatureOperator
        """
        C = self.n_outputs
        for part, X in _blocks_of_inputs(self.inputs, self.network.n_inputs, self.chunk_rows):
            features = self._features.at(X.astype(self.dtype, copy=False))
            yield slice(part.start * C, part.stop * C), features

    def at(self, X_new: ArrayLike) -> StreamedFeatures:
        """The features of other inputs, made in blocks of as many rows.

        Parameters
        ----------
        X_new : ndarray, shape (N_new, d)

        Returns
        -------
        StreamedFeatures, shape (N_new C, P)
        """
        X_new, d = as_array(X_new, "X_new"), self.network.n_inputs
        if X_new.ndim != 2 or 0 in X_new.shape or X_new.shape[1] != d:
            as_inputs(X_new, d, name="X_new")  # names the shape
        for _ in _blocks_of_inputs(X_new, d, self.chunk_rows, "X_new"):
            pass  # names what is not finite
        return StreamedFeatures(self._features, X_new, self.chunk_rows)

    def balanced(self, dtype: DTypeLike | None = None) -> tuple[FeatureOperator, int]:
        """The same features at a scale where neither they nor their kernel leave the range.

        Parameters
        ----------
        dtype : dtype, optional
            The precision of their passes; that of these when not given.

        Returns
        -------
        features : FeatureOperator
        exponent : int
            e with φ = 2^e φ', exactly.
        """
        even, e = self._features.balanced(dtype)
        if even is self._features:
            return self, 0
        return StreamedFeatures(even, self.inputs, self.chunk_rows), e

    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below, float64.

        Returns
        -------
        ndarray, shape (N C,)
        """
        return np.concatenate([phi.output_rounding() for _, phi in self.blocks()])

    def _matvec(self, v: Array) -> Array:
        return self._matmat(v.reshape(-1, 1))[:, 0]

    def _rmatvec(self, r: Array) -> Array:
        return self._rmatmat(r.reshape(-1, 1))[:, 0]

    def _matmat(self, X: Array) -> Array:
        out = namespace(self.inputs).empty((X.shape[1], self.shape[0]), self.dtype).T
        for block, phi in self.blocks():
            out[block] = phi @ X
        return out

    def _rmatmat(self, X: Array) -> Array:
        out = namespace(self.inputs).zeros((X.shape[1], self.shape[1]), self.dtype).T
        for block, phi in self.blocks():
            out += phi.T @ X[block]
        return out

    def gram(
        self,
        other: FeatureOperator | None = None,
        weights: ArrayLike | None = None,
        *,
        blocks: bool = False,
    ) -> Array:
        """The Gram matrix K(X, X') = φ(X) D φ(X')^T, by blocks of rows.

        Parameters
        ----------
        other : FeatureOperator, optional
            φ(X'), streamed or not; this one when not given, and then each pair of blocks is met
            once.
        weights : ndarray, shape (P,), optional
            The diagonal of D ≥ 0; 1 when not given.
        blocks : bool
            Whether each pair of inputs has a C × C block of its own; a view of the same numbers.

        Returns
        -------
        ndarray, shape (N C, N' C), or (N, N', C, C) with ``blocks``

        Raises
        ------
        TypeError
            If ``other`` is no features.
        MemoryLimitError
            If the kernel does not fit.
        """
        if as_flag(blocks, name="blocks"):
            C = self.n_outputs
            return self.gram(other, weights).reshape(len(self.inputs), C, -1, C).swapaxes(1, 2)
        if other is not None and not isinstance(other, FeatureOperator):
            raise TypeError(f"other must be features, got {type(other).__name__}")
        options = {} if weights is None else {"weights": as_weights(weights, self.shape[1])}
        second = self if other is None else other
        shape, dtype = (self.shape[0], second.shape[0]), np.result_type(self.dtype, second.dtype)
        advice = (
            "take fewer rows at a time, phi.at(X[i:j]).gram(phi), or apply phi.gram_product(r) to "
            "vectors r, which forms no kernel"
        )
        what = f"a kernel of shape {shape}"
        require_memory(shape[0] * shape[1] * dtype.itemsize, what, advice, beside=self.inputs)
        K = namespace(self.inputs).empty(shape, dtype)
        for i, (here, phi) in enumerate(self.blocks()):
            if second is self:
                K[here, here] = phi.gram(**options)
            for there, psi in islice(_blocks_of(second), i if second is self else None):
                K[here, there] = phi.gram(psi, **options)
                if second is self:
                    K[there, here] = K[here, there].T
        return K

    def toarray(self, out: Array | None = None) -> Array:
        """The dense J, a block of rows at a time; see :meth:`ntklin.FeatureMap.toarray`."""
        if out is None:
            require_jacobian_memory(*self.shape, self.dtype.itemsize, self.inputs)
            J = namespace(self.inputs).empty(self.shape, self.dtype)
        else:
            J = as_destination(out, self)
        for block, phi in self.blocks():
            phi.toarray(out=J[block])
        return J


def _blocks_of(features: FeatureOperator) -> Iterator[tuple[slice, FeatureOperator]]:
    """Blocks of rows of features, all at once where they are not streamed."""
    if isinstance(features, StreamedFeatures):
        return features.blocks()
    return iter([(slice(0, features.shape[0]), features)])
