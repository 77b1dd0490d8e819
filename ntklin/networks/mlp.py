"""The network of Eq. (1): a multilayer perceptron with a flat θ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.edge.arrays import Array, as_array, rows_of
from ntklin.edge.backends import namespace
from ntklin.edge.checks import (
    as_float_dtype,
    as_generator,
    as_list,
    as_positive,
    as_step,
    as_vector,
    as_word,
    require_bulk,
)
from ntklin.edge.faces.shown import Facts, Shown, arguments_of
from ntklin.edge.ranges import is_far
from ntklin.edge.values import said
from ntklin.kernels.structures import Layers
from ntklin.networks.activations import Activation, as_activation
from ntklin.networks.features import FeatureMap
from ntklin.networks.layer_weights import LayerFactors, layer_weights
from ntklin.networks.layers import LayerList, as_layers, forward, layers_and_inputs
from ntklin.networks.memory import require_jacobian_memory
from ntklin.networks.network import Network
from ntklin.networks.streamed import StreamedFeatures

# Those that carry σ, so that one θ serves every σ, and all of them.
SCALED = ("fan_out", "fan_in", "eq1")
SCALINGS = (*SCALED, "standard")
BIASES = ("zero", "none", "normal")


# The seed of a draw, or what draws.
Rng = int | np.random.Generator | None

# Bytes of activations that one pass for outputs alone makes.
BLOCK = 1 << 27
# Random numbers that are drawn at a time.
DRAWN = 1 << 20


@dataclass(frozen=True)
class MLP(Shown, Network):
    r"""A multilayer perceptron, Eq. (1), with one output or several.

    .. math::

        a^0 = x, \quad h^l = w_l W^l a^{l-1} + v_l b^l, \quad a^l = \alpha(h^l)\ (l < L),
        \quad f(x) = h^L

    ============ ============ ======= =================================================
    scaling      w_l          v_l     what it is
    ============ ============ ======= =================================================
    ``fan_out``  σ/√m_l       σ/√m_l  the paper's, so that the limit Θ exists
    ``fan_in``   σ/√m_{l-1}   σ_b     the NTK parametrization of Jacot et al.
    ``eq1``      σ/√m_l       σ       Eq. (1) to the letter: no limit with biases
    ``standard`` 1            1       PyTorch's: σ lies in θ, the kernel has no limit
    ============ ============ ======= =================================================

    Parameters
    ----------
    widths : sequence of int
        m_0 = d, m_1, …, m_L = C, the number of outputs.
    sigma : float
        The initialization scale σ.
    scaling : {"fan_out", "fan_in", "eq1", "standard"}
    bias : {"zero", "none", "normal"}
        ``"none"``: no b in θ. ``"zero"``: b in θ, starts at 0, trained. ``"normal"``: starts
        N(0, 1), trained. W starts N(0, 1). With ``standard`` W starts N(0, σ²/m_{l-1}) and a normal
        b N(0, σ_b²), so that f_0 is that of ``fan_in``, while steps and kernel differ.
    sigma_b : float, optional
        The bias scale σ_b of ``fan_in`` and ``standard``; σ when not given.
    activation : str or Activation
        α, ``"relu"`` when not given; see :class:`ntklin.Activation` for the others.

    Notes
    -----
    θ is one flat vector, layer by layer, W^l (C order) then b^l, of length
    P = Σ_l (m_{l-1} + 1) m_l with biases.

    ``fan_out`` and ``eq1`` put 1/√m_l into the argument of α. An activation that is not homogeneous
    then sees preactivations of the size 1/√m_l, where it is nearly straight: the wider, the more
    linear is the network. ``fan_in`` is the scaling for these.

    Examples
    --------
    >>> net = MLP((784, 4000, 1), sigma=1.0)
    >>> net.depth, net.n_parameters
    (2, 3144001)
    """

    widths: tuple[int, ...]
    sigma: float = field(default=1.0, kw_only=True)
    scaling: Literal["fan_out", "fan_in", "eq1", "standard"] = field(
        default="fan_out", kw_only=True
    )
    bias: Literal["zero", "none", "normal"] = field(default="zero", kw_only=True)
    sigma_b: float | None = field(default=None, kw_only=True)
    activation: Activation = field(default="relu", kw_only=True)  # pyright: ignore

    def __post_init__(self) -> None:
        try:
            widths = as_list(rows_of(self.widths, "widths"), name="widths")
        except TypeError:
            raise TypeError(
                f"widths must be a sequence (m_0, …, m_L), got {said(self.widths)}"
            ) from None
        widths = tuple(as_step(m, name=f"widths[{l}]", minimum=1) for l, m in enumerate(widths))
        if len(widths) < 2:
            raise ValueError(f"widths needs at least an input and an output, got {widths}")
        object.__setattr__(self, "widths", widths)
        object.__setattr__(self, "sigma", as_positive(self.sigma, name="sigma"))
        as_word(self.scaling, SCALINGS, name="scaling")
        as_word(self.bias, BIASES, name="bias")
        if self.sigma_b is not None:
            if self.scaling not in ("fan_in", "standard"):
                raise ValueError(
                    f"sigma_b belongs to scaling='fan_in' or 'standard', not {self.scaling!r}"
                )
            object.__setattr__(self, "sigma_b", as_positive(self.sigma_b, name="sigma_b"))
        object.__setattr__(self, "activation", as_activation(self.activation))

    def _facts(self) -> Facts:
        return arguments_of(self, parameters=self.n_parameters)

    @property
    def depth(self) -> int:
        """The number of layers L."""
        return len(self.widths) - 1

    @property
    def n_inputs(self) -> int:
        """The input dimension d = m_0."""
        return self.widths[0]

    @property
    def n_outputs(self) -> int:
        """The number of outputs C = m_L."""
        return self.widths[-1]

    @property
    def has_bias(self) -> bool:
        """Whether the biases are in θ."""
        return self.bias != "none"

    @property
    def n_parameters(self) -> int:
        """P, the length of θ."""
        return sum(m * (k + self.has_bias) for k, m in self._shapes())

    @property
    def weight_scales(self) -> tuple[float, ...]:
        """w_1, …, w_L."""
        if self.scaling == "standard":
            return (1.0,) * self.depth
        fan = self.widths[:-1] if self.scaling == "fan_in" else self.widths[1:]
        return tuple(self.sigma / math.sqrt(m) for m in fan)

    @property
    def bias_scales(self) -> tuple[float, ...]:
        """v_1, …, v_L; zeros for a network without biases."""
        if not self.has_bias:
            return (0.0,) * self.depth
        if self.scaling in ("fan_out", "standard"):
            return self.weight_scales
        return (self._sigma_b,) * self.depth

    @property
    def _sigma_b(self) -> float:
        return self.sigma if self.sigma_b is None else self.sigma_b

    def _shapes(self) -> list[tuple[int, int]]:
        return list(zip(self.widths[:-1], self.widths[1:], strict=True))

    def init(self, rng: Rng = 0, dtype: DTypeLike = float) -> Array:
        """Draw θ_0: W ~ N(0, 1), b = 0 (``"zero"``) or b ~ N(0, 1) (``"normal"``).

        With ``scaling="standard"`` the same draw times σ/√m_{l-1} and σ_b, which it has no scales
        for.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None
            The seed; the same seed gives the same draw, up to rounding for float32.
        dtype : dtype
            float32 or float64.

        Returns
        -------
        ndarray, shape (P,)

        Raises
        ------
        TypeError
            For another dtype.
        MemoryLimitError
            If θ does not fit.
        """
        dtype = as_float_dtype(dtype)
        rng = as_generator(rng)
        P = self.n_parameters
        half = "" if dtype == np.float32 else ", or pass dtype='float32'"
        require_bulk(P * dtype.itemsize, f"θ with {P} parameters", f"take smaller widths{half}")
        theta = np.zeros(P, dtype)
        for W, b in self.unpack(theta):
            _draw(rng, W.reshape(-1))
            if self.bias == "normal" and b is not None:
                _draw(rng, b)
            if self.scaling == "standard":
                W *= self.sigma / math.sqrt(W.shape[1])
                if b is not None:
                    b *= self._sigma_b
        return theta

    def unpack(self, theta: ArrayLike) -> LayerList:
        """Views of a flat vector, layer by layer.

        Parameters
        ----------
        theta : ndarray, shape (P,)
            Or (S, P), the vectors of several networks.

        Returns
        -------
        list of (W^l, b^l or None)
            Views of shapes (m_l, m_{l-1}) and (m_l,), after an axis S if ``theta`` has one: writing
            to them writes to ``theta``.

        Raises
        ------
        ValueError
            For another length.
        """
        theta = as_array(theta, "theta")
        if theta.shape[-1:] != (self.n_parameters,):
            raise ValueError(
                f"theta must have shape ({self.n_parameters},) for widths {self.widths} and "
                f"bias={self.bias!r}, got shape {theta.shape}"
            )
        layers, start = [], 0
        for k, m in self._shapes():
            W = theta[..., start : start + m * k].reshape(*theta.shape[:-1], m, k)
            start += m * k
            b = None
            if self.has_bias:
                b = theta[..., start : start + m]
                start += m
            layers.append((W, b))
        return layers

    def pack(self, layers: Sequence[Any]) -> Array:
        """A flat θ from weights and biases made elsewhere.

        Parameters
        ----------
        layers : sequence of (W^l, b^l or None), or of W^l without biases
            Shapes (m_l, m_{l-1}) and (m_l,), without their scales: those of a network from
            elsewhere are W = W_theirs / w_l and b = b_theirs / v_l. ``ntklin.from_state_dict`` and
            ``ntklin.from_flax`` see to that.

        Returns
        -------
        ndarray, shape (P,)
            A copy; float32 if every array is float32, else float64.

        Raises
        ------
        ValueError
            For other shapes, and for biases that the network has not, or the other way around.
        """
        layers = as_layers(layers, self.depth)
        flat = []
        for l, ((k, m), layer) in enumerate(zip(self._shapes(), layers, strict=True), 1):
            if not isinstance(layer, tuple | list):
                layer = (layer, None)
            if len(layer) != 2:
                raise ValueError(
                    f"layer {l} must be W^{l} or (W^{l}, b^{l}), got {len(layer)} parts"
                )
            W, b = layer
            W = as_array(W, f"W^{l}")
            if W.shape != (m, k):
                raise ValueError(f"W^{l} must have shape ({m}, {k}), got {W.shape}")
            flat.append(as_vector(W.ravel(), m * k, name=f"W^{l}"))
            if not self.has_bias and b is not None:
                raise ValueError(f"layer {l} comes with a bias, but the network has bias='none'")
            if self.has_bias:
                if b is None:
                    raise ValueError(f"layer {l} comes without a bias, but bias={self.bias!r}")
                flat.append(as_vector(b, m, name=f"b^{l}"))
        return namespace(*flat).concatenate(flat)

    def layer_weights(self, factors: LayerFactors) -> Array:
        """The diagonal of D for frozen layers and learning rates of their own, layer by layer.

        See :func:`ntklin.networks.layer_weights.layer_weights`.

        Parameters
        ----------
        factors : mapping
            From l = 1 … L, "weight", "bias", (l, "weight") or (l, "bias") to a number ≥ 0, as
            ``{1: 0.0, "bias": 0.1}``.

        Returns
        -------
        ndarray, shape (P,)
        """
        return layer_weights(self, factors)

    def apply(self, theta: ArrayLike, X: ArrayLike) -> Array:
        """The outputs f_θ(X), Eq. (1), for so many rows of X at a time as need not much memory.

        Parameters
        ----------
        theta : ndarray, shape (P,)
        X : ndarray, shape (N, d)

        Returns
        -------
        ndarray, shape (N,), or (N, C) of more than one output

        Raises
        ------
        FloatRangeError
            If an output overflows, or all of them underflow.
        """
        layers, X, unseen = layers_and_inputs(self, theta, X)
        layers = Layers(layers, self.weight_scales, self.bias_scales, self.activation.body)
        rows = max(1, BLOCK // (sum(self.widths) * X.itemsize))
        parts, far = [], False
        for start in range(0, max(1, len(X)), rows):
            activations, outputs = forward(layers, X[start : start + rows], unseen)
            if self.activation.is_homogeneous:  # or no activation depends on the scale of another
                far = far or any(map(_is_far, activations[1:]))
            parts.append(outputs)
        outputs = parts[0] if len(parts) == 1 else namespace(X).concatenate(parts)
        if far or is_far(float(abs(outputs).max()), outputs.dtype):
            return FeatureMap(self, theta, X).certain_outputs()
        return outputs

    @overload
    def features(self, theta: ArrayLike, X: ArrayLike, *, rows: None = None) -> FeatureMap: ...
    @overload
    def features(self, theta: ArrayLike, X: ArrayLike, *, rows: int) -> StreamedFeatures: ...
    def features(
        self, theta: ArrayLike, X: ArrayLike, *, rows: int | None = None
    ) -> FeatureMap | StreamedFeatures:
        """The feature map φ(X) = ∇_θ f_θ(X) as a linear operator that never stores J.

        Parameters
        ----------
        theta : ndarray, shape (P,)
        X : ndarray, shape (N, d)
        rows : int, optional
            How many inputs have a forward and a backward pass at a time. These are then made anew
            for every product, and X is read in blocks and not copied. Without it the passes of all
            inputs are kept.

        Returns
        -------
        FeatureMap, or with ``rows`` StreamedFeatures, shape (N C, P)
            Row n C + c is that of output c of input n.

        Raises
        ------
        MemoryLimitError
            If a forward and a backward pass for all rows would not fit.
        """
        return (
            FeatureMap(self, theta, X)
            if rows is None
            else StreamedFeatures.of(self, theta, X, rows)
        )

    def jacobian(self, theta: ArrayLike, X: ArrayLike, out: Array | None = None) -> Array:
        """The dense Jacobian J = φ(X), Eq. (2).

        Parameters
        ----------
        theta : ndarray, shape (P,)
        X : ndarray, shape (N, d)
        out : ndarray, shape (N C, P), optional
            Where to write it; C-contiguous, of the result's dtype.

        Returns
        -------
        ndarray, shape (N C, P)

        Raises
        ------
        MemoryLimitError
            If it would not fit; ``features`` applies J without storing it.
        """
        X = as_array(X, "X")
        if out is None and X.ndim == 2:
            # Before anything of the size of X is made; float32 is the least that J can take.
            require_jacobian_memory(len(X) * self.n_outputs, self.n_parameters, 4, X)
        return self.features(theta, X).toarray(out=out)


def _is_far(a: Array) -> bool:
    """Whether activations may have lost digits to the ends of the range; not if all are 0."""
    size = max(float(a.max()), -float(a.min())) if a.size else 0.0
    return size > 0 and is_far(size, a.dtype)


def _draw(rng: np.random.Generator, flat: Array) -> None:
    """Fill a vector with the normal numbers that the generator gives next."""
    for start in range(0, len(flat), DRAWN):
        part = flat[start : start + DRAWN]
        part[...] = rng.standard_normal(len(part))
