"""Features that can also be had in another precision, and at a scale well within the range."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from ntklin.algebra.operators import as_destination
from ntklin.edge.arrays import Array
from ntklin.edge.backends import namespace
from ntklin.edge.checks import as_float_dtype
from ntklin.edge.sendable import Sendable
from ntklin.networks.memory import require_jacobian_memory
from ntklin.networks.network import FeatureOperator

REMEDY = (
    "outputs scale like σ^L |x|, kernels like their squares, and both grow with θ: change sigma, X "
    "or theta, or use float64 for all of them"
)


class BalancedFeatures(Sendable, FeatureOperator):
    """Features φ = 2^e φ' of which φ' is made from the same passes, and kept.

    Parameters
    ----------
    dtype : dtype
    shape : (N, P)
    exponents : tuple of int or None
        Those of the activations, the last one e; None for features at their own scale.
    """

    exponents: tuple[int, ...] | None

    def __init__(
        self, dtype: DTypeLike, shape: tuple[int, int], exponents: tuple[int, ...] | None
    ) -> None:
        super().__init__(np.dtype(dtype), shape)
        self.exponents = exponents
        self._balanced: dict[np.dtype[Any], Self | None] = {}

    @abstractmethod
    def _made_for(self, dtype: np.dtype[Any]) -> Self | None:
        """The balanced features in ``dtype``, None for these themselves."""

    def balanced(self, dtype: DTypeLike | None = None) -> tuple[Self, int]:
        """The same features at a scale where neither they nor their kernel leave the range.

        Parameters
        ----------
        dtype : dtype, optional
            The precision of their passes; that of these when not given.

        Returns
        -------
        features : of the type of these
            These where they need no change.
        exponent : int
            e with φ = 2^e φ', exactly.
        """
        dtype = self.dtype if dtype is None else as_float_dtype(dtype)
        if self.exponents is not None and dtype == self.dtype:
            return self, 0
        if dtype not in self._balanced:
            self._balanced[dtype] = self._made_for(dtype)
        even = self._balanced[dtype]
        if even is None:  # not kept: it would keep itself alive
            return self, 0
        return even, 0 if self.exponents or not even.exponents else even.exponents[-1]

    def _destination(self, out: Array | None) -> Array:
        """Where ``toarray`` writes: a new array, or one that is given and fits."""
        xp = namespace(self.inputs)
        if out is None:
            require_jacobian_memory(*self.shape, self.dtype.itemsize, self.inputs)
            return xp.empty(self.shape, self.dtype)
        return as_destination(out, self)

    def _sent(self) -> dict[str, Any]:
        # A twin at another scale is made again where it is asked for.
        return super()._sent() | {"_balanced": {}}
