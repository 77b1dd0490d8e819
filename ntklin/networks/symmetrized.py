"""Networks whose output is zero at initialization, the baselines that Sect. 8 compares with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.checks import as_inputs, as_vector, as_weights
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.networks.activations import Activation
from ntklin.networks.balanced import BalancedFeatures
from ntklin.networks.features import FeatureMap
from ntklin.networks.layer_weights import LayerFactors, layer_weights
from ntklin.networks.layers import LayerList, as_layers
from ntklin.networks.memory import require_passes_memory
from ntklin.networks.mlp import MLP, Rng
from ntklin.networks.network import Network


class AntisymmetricPair(Shown, Network):
    """The antisymmetrical pair of Zhang et al. (2020b): f(x) = (g(x; θ) − g(x; θ')) / √2.

    With θ = θ' at the start, f_0 = 0 and the kernel is that of g. The flat parameter vector is
    (θ, θ'), of length 2P. The interface is that of :class:`ntklin.MLP`.

    Parameters
    ----------
    network : MLP
        The network g.

    Attributes
    ----------
    factors : (1/√2, −1/√2)
    """

    factors = (1 / math.sqrt(2), -1 / math.sqrt(2))

    def __init__(self, network: MLP) -> None:
        if not isinstance(network, MLP):
            raise TypeError(f"network must be an ntklin.MLP, got {type(network).__name__}")
        self.network = network

    def __repr__(self) -> str:
        return f"AntisymmetricPair({self.network!r})"

    def _facts(self) -> Facts:
        network = repr(self.network)
        return facts("AntisymmetricPair", network=network, parameters=self.n_parameters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AntisymmetricPair) and self.network == other.network

    def __hash__(self) -> int:
        return hash((AntisymmetricPair, self.network))

    @property
    def depth(self) -> int:
        """The number of layers L."""
        return self.network.depth

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths m_0, …, m_L of each half."""
        return self.network.widths

    @property
    def n_inputs(self) -> int:
        """The input dimension d."""
        return self.network.n_inputs

    @property
    def n_outputs(self) -> int:
        """The number of outputs C."""
        return self.network.n_outputs

    @property
    def activation(self) -> Activation:
        """The activation α of each half."""
        return self.network.activation

    @property
    def has_bias(self) -> bool:
        """Whether the biases are in θ."""
        return self.network.has_bias

    @property
    def sigma(self) -> float:
        """The initialization scale σ of each half."""
        return self.network.sigma

    @property
    def scaling(self) -> str:
        """The scaling of each half; see :class:`ntklin.MLP`."""
        return self.network.scaling

    @property
    def bias(self) -> str:
        """The kind of bias of each half."""
        return self.network.bias

    @property
    def weight_scales(self) -> tuple[float, ...]:
        """w_1, …, w_L of each half."""
        return self.network.weight_scales

    @property
    def bias_scales(self) -> tuple[float, ...]:
        """v_1, …, v_L of each half."""
        return self.network.bias_scales

    @property
    def n_parameters(self) -> int:
        """2P, the length of (θ, θ')."""
        return 2 * self.network.n_parameters

    def init(self, rng: Rng = 0, dtype: DTypeLike = float) -> Array:
        """Draw θ_0 = (θ, θ) with θ from the network's own initialization."""
        return self.symmetrize(self.network.init(rng, dtype))

    def symmetrize(self, theta: ArrayLike) -> Array:
        """(θ, θ) for the network's own θ, shape (P,): f = 0 there."""
        return np.tile(as_vector(theta, self.network.n_parameters, name="theta"), 2)

    def halves(self, theta: ArrayLike) -> tuple[Array, Array]:
        """The views θ and θ' of a flat vector of length 2P."""
        theta = as_array(theta, "theta")
        if theta.shape != (self.n_parameters,):
            raise ValueError(
                f"theta must have shape ({self.n_parameters},), two copies of the network's, got "
                f"shape {theta.shape}"
            )
        return theta[: self.network.n_parameters], theta[self.network.n_parameters :]

    def unpack(self, theta: ArrayLike) -> LayerList:
        """Views of θ's layers, then of θ'’s: a list of 2L pairs (W^l, b^l or None)."""
        first, second = self.halves(theta)
        return self.network.unpack(first) + self.network.unpack(second)

    def pack(self, layers: Sequence[Any]) -> Array:
        """A flat (θ, θ') from 2L layers; see :meth:`ntklin.MLP.pack`."""
        layers = as_layers(layers, 2 * self.depth)
        halves = layers[: self.depth], layers[self.depth :]
        return np.concatenate([self.network.pack(half) for half in halves])

    def layer_weights(self, factors: LayerFactors) -> Array:
        """The diagonal of D, the same in both halves; see :meth:`ntklin.MLP.layer_weights`."""
        return layer_weights(self, factors)

    def apply(self, theta: ArrayLike, X: ArrayLike) -> Array:
        """The outputs f(X), shape (N,), or (N, C) of more than one output."""
        theta = as_vector(theta, self.n_parameters, name="theta")
        X = as_inputs(X, self.n_inputs)
        return _total(
            c * self.network.apply(half, X)
            for c, half in zip(self.factors, self.halves(theta), strict=True)
        )

    def features(self, theta: ArrayLike, X: ArrayLike) -> PairFeatures:
        """φ(X) = (φ_g(X; θ), −φ_g(X; θ')) / √2 as a linear operator, shape (N C, 2P)."""
        return PairFeatures(self, theta, X)

    def jacobian(self, theta: ArrayLike, X: ArrayLike, out: Array | None = None) -> Array:
        """The dense Jacobian, shape (N C, 2P)."""
        return self.features(theta, X).toarray(out=out)


class PairFeatures(BalancedFeatures):
    """φ(X) of an antisymmetrical pair; the interface of :class:`ntklin.FeatureMap`.

    Attributes
    ----------
    halves : list of FeatureMap
        φ_g(X; θ) and φ_g(X; θ').
    """

    network: AntisymmetricPair

    def __init__(
        self,
        pair: AntisymmetricPair,
        theta: ArrayLike,
        X: ArrayLike,
        *,
        exponents: tuple[int, ...] | None = None,
    ) -> None:
        self.network = pair
        theta, X = as_array(theta, "theta"), as_inputs(X, pair.n_inputs)
        require_passes_memory(pair.network, len(X), X.itemsize, X, networks=2)
        self.parameters = theta
        self.halves = [
            FeatureMap(pair.network, half, X, exponents=exponents)
            for half in pair.halves(self.parameters)
        ]
        self.inputs = self.halves[0].inputs
        dtype = self.halves[0].dtype
        super().__init__(dtype, (self.halves[0].shape[0], pair.n_parameters), exponents)
        self._factors = [dtype.type(c) for c in pair.factors]
        self.outputs = _total(c * phi.outputs for c, phi in self._parts())

    def _made_for(self, dtype: np.dtype[Any]) -> PairFeatures | None:
        """The balanced features in ``dtype``, None for these themselves."""
        units = [phi.balanced(dtype)[0].exponents for phi in self.halves]
        known = [e for e in units if e is not None]
        if not known:
            return None
        passes = (a.astype(dtype, copy=False) for a in (self.parameters, self.inputs))
        exponents = tuple(map(max, *known, known[0]))
        return PairFeatures(self.network, *passes, exponents=exponents)

    def output_rounding(self) -> Array:
        """The rounding errors of the outputs to expect; see ``FeatureMap.output_rounding``.

        Those of equal halves are the same and cancel.

        Returns
        -------
        ndarray, shape (N C,)
        """
        first, second = self.network.halves(self.parameters)
        if bool((first == second).all()):
            return np.zeros(self.shape[0])
        return _total(abs(c) * phi.output_rounding() for c, phi in self._parts())

    def at(self, X_new: ArrayLike) -> PairFeatures:
        """The features of other inputs in the same units; see :meth:`ntklin.FeatureMap.at`."""
        return PairFeatures(self.network, self.parameters, X_new, exponents=self.exponents)

    def _parts(self) -> Iterator[tuple[Any, FeatureMap]]:
        return zip(self._factors, self.halves, strict=True)

    def _split(self, v: Array) -> list[Array]:
        return np.split(v, 2, axis=0)

    def _matmat(self, X: Array) -> Array:
        return _total(
            c * (phi @ v) for (c, phi), v in zip(self._parts(), self._split(X), strict=True)
        )

    def _matvec(self, v: Array) -> Array:
        return self._matmat(v.reshape(-1))

    def _rmatmat(self, X: Array) -> Array:
        return np.concatenate([phi.T @ (c * X) for c, phi in self._parts()])

    def _rmatvec(self, r: Array) -> Array:
        return self._rmatmat(r.reshape(-1))

    def toarray(self, out: Array | None = None) -> Array:
        """The dense J, shape (N C, 2P); see :meth:`ntklin.FeatureMap.toarray`."""
        out = self._destination(out)
        half = self.shape[1] // 2
        for k, (c, phi) in enumerate(self._parts()):
            np.multiply(phi.toarray(), c, out=out[:, k * half : (k + 1) * half])
        return out

    def gram(
        self,
        other: PairFeatures | None = None,
        weights: ArrayLike | None = None,
        *,
        blocks: bool = False,
    ) -> Array:
        """K(X, X') = (K_g(θ) + K_g(θ')) / 2; see :meth:`ntklin.FeatureMap.gram`."""
        if other is not None and (
            not isinstance(other, PairFeatures) or other.network != self.network
        ):
            raise ValueError("other must be the features of the same pair")
        others = [None, None] if other is None else other.halves
        D = [None, None] if weights is None else self._split(as_weights(weights, self.shape[1]))
        parts = zip(self._parts(), others, D, strict=True)
        return _total(c * c * phi.gram(o, weights=d, blocks=blocks) for (c, phi), o, d in parts)


def _total(terms: Iterable[Array]) -> Array:
    """The sum of arrays."""
    return reduce(add, terms)


class DoubledNetwork(MLP):
    """The doubling trick of Chizat et al. (2019) on the last hidden layer.

    The last hidden layer has 2 m_{L-1} neurons: two copies of one draw, with output weights W^L and
    −W^L, so that f_0 = 0. For L = 2 the kernel is that of the undoubled network (``fan_in``, and
    ``fan_out`` with a homogeneous activation, which lets the 1/√2 of 2m neurons out); for L > 2
    the signals δ^l of the layers below cancel, so that they get no gradient at the start, which is
    the harm to training that Sect. 8 mentions.

    Parameters
    ----------
    network : MLP
        The undoubled network; ``widths`` here are the doubled ones.
    """

    network: MLP

    def __init__(self, network: MLP) -> None:
        if not isinstance(network, MLP):
            raise TypeError(f"network must be an ntklin.MLP, got {type(network).__name__}")
        if network.depth < 2:
            raise ValueError("doubling needs a hidden layer, but the network has depth 1")
        widths = (*network.widths[:-2], 2 * network.widths[-2], network.widths[-1])
        super().__init__(
            widths,
            sigma=network.sigma,
            scaling=network.scaling,
            bias=network.bias,
            sigma_b=network.sigma_b,
            activation=network.activation,
        )
        object.__setattr__(self, "network", network)

    def init(self, rng: Rng = 0, dtype: DTypeLike = float) -> Array:
        """Draw θ_0: the undoubled network's draw twice, output weights W^L and −W^L, b^L = 0."""
        return self.symmetrize(self.network.init(rng, dtype))

    def symmetrize(self, theta: ArrayLike) -> Array:
        """The undoubled network's θ with its last hidden layer twice, W^L and −W^L, b^L = 0."""
        layers = self.network.unpack(as_vector(theta, self.network.n_parameters, name="theta"))
        W, b = layers[-2]
        layers[-2] = np.concatenate([W, W]), None if b is None else np.concatenate([b, b])
        W, b = layers[-1]
        layers[-1] = np.concatenate([W, -W], axis=1), None if b is None else np.zeros_like(b)
        return self.pack(layers)
