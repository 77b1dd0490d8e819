"""What others may implement: a network, and its features φ(X) = ∇_θ f_θ(X) as an operator.

``train`` and ``linearize`` take whatever has the members of :class:`Network`, inherited or not, and
of its features what :class:`FeatureOperator` requires.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.operators import GramOperator
from ntklin.algebra.spectrum import Spectrum, degenerate_error, factorize
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, host
from ntklin.edge.checks import advising, as_float_dtype, require_finite, require_memory
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.ranges import largest_exponent, shift
from ntklin.edge.values import said


@runtime_checkable
class Network(Protocol):
    """A function f_θ(x) of a flat θ, and its features: all that training asks for.

    One of C > 1 outputs also has ``n_outputs`` = C.
    """

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """The input dimension d."""
        raise NotImplementedError

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """P, the length of θ."""
        raise NotImplementedError

    @abstractmethod
    def apply(self, theta: Array, X: Array, /) -> Array:
        """The outputs f_θ(X).

        Parameters
        ----------
        theta : ndarray, shape (P,)
        X : ndarray, shape (N, d)

        Returns
        -------
        ndarray, shape (N,), or (N, C) of more than one output
        """
        raise NotImplementedError

    @abstractmethod
    def features(self, theta: Array, X: Array, /) -> FeatureOperator:
        """The features φ(X) = ∇_θ f_θ(X).

        Parameters
        ----------
        theta : ndarray, shape (P,)
        X : ndarray, shape (N, d)

        Returns
        -------
        FeatureOperator, shape (N C, P)
        """
        raise NotImplementedError


def require_network(net: Any, *, name: str = "net") -> None:
    """Refuse what has not the members of a network, or is a class of them.

    Raises
    ------
    TypeError
    """
    if isinstance(net, type) or not isinstance(net, Network):
        raise TypeError(
            f"{name} must be a network, with n_inputs, n_parameters, apply and features, got "
            f"{net.__name__ if isinstance(net, type) else type(net).__name__}"
        )


def as_rows(index: Any) -> slice:
    """A run of inputs, as users pass it."""
    try:
        index.indices(0)
    except (AttributeError, TypeError, ValueError):
        raise TypeError(f"index must be a slice of integers, got {said(index)}") from None
    return index


def n_outputs_of(net: Network) -> int:
    """C; 1 where a network does not say."""
    return int(getattr(net, "n_outputs", 1))


def named(net: Network) -> str:
    """A network in few words: its class, and its widths where it tells them."""
    widths = getattr(net, "widths", None)
    return type(net).__name__ + (said(widths) if isinstance(widths, tuple) else "")


class NetworkAround(Network):
    """A network made of another one, which has the same inputs, outputs and parameters.

    Attributes
    ----------
    network : Network
        The other one.
    """

    network: Network

    @property
    def n_inputs(self) -> int:
        """The input dimension d."""
        return self.network.n_inputs

    @property
    def n_outputs(self) -> int:
        """The number of outputs C."""
        return n_outputs_of(self.network)

    @property
    def n_parameters(self) -> int:
        """P, that of the network within."""
        return self.network.n_parameters


class FeatureOperator(Shown, GramOperator):
    """φ(X) at a θ, an (N C, P) operator: row n C + c is that of output c of input n.

    To implement are ``_matvec`` and ``_rmatvec``, as for any ``LinearOperator`` of SciPy, and
    ``gram``; and the attributes are to be set. What else there is has a default, and is there for
    those who can do better.

    Attributes
    ----------
    network : Network
    parameters : ndarray, shape (P,)
        θ.
    inputs : ndarray, shape (N, d)
        X.
    outputs : ndarray, shape (N,), or (N, C) of more than one output
        f_θ(X).
    """

    network: Network
    parameters: Array
    outputs: Array

    @property
    def n_outputs(self) -> int:
        """C."""
        return self.shape[0] // max(1, len(self.inputs))

    def _facts(self) -> Facts:
        shape = f"{self.shape} {self.dtype}"
        network = named(self.network)
        return facts(type(self).__name__, network=network, inputs=self.inputs, features=shape)

    def at(self, X_new: Array) -> FeatureOperator:
        """The features of other inputs, such that ``gram`` can take both.

        Parameters
        ----------
        X_new : ndarray, shape (N_new, d)

        Returns
        -------
        FeatureOperator, shape (N_new C, P)
        """
        return as_feature_operator(self.network.features(self.parameters, X_new))

    def rows(self, index: slice) -> FeatureOperator:
        """The features of a run of these inputs, such that ``gram`` can take both.

        Parameters
        ----------
        index : slice
            Of inputs.

        Returns
        -------
        FeatureOperator
        """
        return self.at(self.inputs[as_rows(index)])

    def balanced(self, dtype: DTypeLike | None = None) -> tuple[FeatureOperator, int]:
        """The same features at a scale where neither they nor their kernel leave the range.

        Parameters
        ----------
        dtype : dtype, optional
            The precision of their passes; that of these when not given.

        Returns
        -------
        features : FeatureOperator
            These where they need no change.
        exponent : int
            e with φ = 2^e φ', exactly; 0 where nobody knows better.
        """
        dtype = self.dtype if dtype is None else as_float_dtype(dtype)
        if dtype == self.dtype:
            return self, 0
        theta, X = self.parameters.astype(dtype), self.inputs.astype(dtype)
        return as_feature_operator(self.network.features(theta, X)), 0

    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below, float64.

        0 where nobody knows better.

        Returns
        -------
        ndarray, shape (N C,)
        """
        return np.zeros(self.shape[0])

    def along_parameters(self) -> Array:
        """φ(X) θ, by which f changes as θ shrinks to 0; in the units of ``outputs``.

        Returns
        -------
        ndarray, shape (N C,)
        """
        return self @ self.parameters

    def step(self, z: Array) -> Array:
        """What the step z in the coordinates of these features moves θ by: z, if they are θ's own.

        Parameters
        ----------
        z : ndarray, of the length of the features

        Returns
        -------
        ndarray, shape (P,)
        """
        return z

    def linearized(self, rule: str) -> Any:
        """The linearized network in the layout of compiled steps; None where there is none.

        Parameters
        ----------
        rule : str
            An optimizer's rule; see ``ntklin.kernels.cpu.rules``.

        Returns
        -------
        LinearizedNetwork or None
            See ``ntklin.kernels.cpu.linearized``.
        """
        return None

    def project(self, v: ArrayLike) -> Array:
        """P_F v with P_F = φ^T (φ φ^T)^{-1} φ, the projector onto the data's feature space (Thm 1).

        Parameters
        ----------
        v : array_like, shape (P,) or (P, k)

        Returns
        -------
        ndarray, of the shape of ``v``

        Raises
        ------
        DegenerateKernelError
            If K(X, X) is singular to working precision; the message names the rows.
        ValueError
            For another shape, NaN or infinity.
        """
        # P_F is the same for all multiples of φ.
        even, _ = self.balanced()
        if even is not self:
            return even.project(v)
        v = as_array(v, "v")
        if v.ndim not in (1, 2) or len(v) != self.shape[1]:
            n = self.shape[1]
            raise ValueError(f"v must have shape ({n},) or ({n}, k), got shape {v.shape}")
        require_finite(v, "v")
        # Of a multiple it is the multiple, and near 1 no product leaves the range.
        e = largest_exponent(v)
        v = shift(v.astype(np.result_type(v, np.float32), copy=False), -e)
        V, inverse = self._spectrum.vectors, self._spectrum.inverse()
        products = host(self @ v).astype(np.float64, copy=False)
        r = V @ ((V.T @ products).T * inverse).T
        found = shift(self.T @ beside(r.astype(self.dtype), v), e)
        require_finite(found, "P_F v")
        return found

    @cached_property
    def _spectrum(self) -> Spectrum:
        """That of the kernel, which is to be invertible."""
        n = self.shape[0]
        advice = (
            "without a kernel, P_F v is phi.T @ r for r = scipy.sparse.linalg.lsmr(phi.T, v)[0]"
        )
        require_memory(5 * 8 * n * n, f"factorizing the kernel of {n} inputs", advice)
        with advising(advice):
            K = self.gram()
        spectrum = factorize(K, rank_bound=self.shape[1])
        if spectrum.is_degenerate:
            raise degenerate_error(K, spectrum, "Remove the cause: P_F needs independent rows")
        return spectrum


# What features have to have, whoever made them.
MEMBERS = ("network", "parameters", "inputs", "outputs", "shape", "dtype", "gram", "T")


class Adopted(FeatureOperator):
    """Features that somebody made without inheriting, with the defaults for all they do not have.

    Parameters
    ----------
    features : object
        With ``network``, ``parameters``, ``inputs``, ``outputs``, ``shape``, ``dtype``, ``gram``,
        ``@`` and ``.T @``, as a FeatureOperator has them.
    """

    def __init__(self, features: Any) -> None:
        self.features = features
        self.network, self.parameters = features.network, features.parameters
        self.inputs, self.outputs = features.inputs, features.outputs
        super().__init__(np.dtype(features.dtype), features.shape)

    def _matvec(self, v: Array) -> Array:
        return self.features @ v.reshape(-1)

    def _rmatvec(self, r: Array) -> Array:
        return self.features.T @ r.reshape(-1)

    def gram(self, other: Any = None, weights: ArrayLike | None = None) -> Array:
        """J D J'^T, by the features themselves."""
        other = other.features if isinstance(other, Adopted) else other
        if weights is None:
            return self.features.gram(other)
        return self.features.gram(other, weights=weights)


def as_feature_operator(features: Any) -> FeatureOperator:
    """Features as a FeatureOperator, whoever made them.

    Parameters
    ----------
    features : FeatureOperator, or what has its required members

    Returns
    -------
    FeatureOperator
        ``features`` where they are one.

    Raises
    ------
    TypeError
        For what lacks a member.
    """
    if isinstance(features, FeatureOperator):
        return features
    missing = [name for name in MEMBERS if not hasattr(features, name)]
    if missing:
        raise TypeError(
            "what net.features(theta, X) returns must be features, but the "
            f"{type(features).__name__} has no {missing[0]}; see ntklin.FeatureOperator"
        )
    return Adopted(features)
