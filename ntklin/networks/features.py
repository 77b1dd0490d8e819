"""φ(X) = ∇_θ f_θ(X) as a linear operator: products, Gram matrices and P_F without storing J."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.operators import columns_at_a_time
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import contiguous, freeze, host, is_mapped, kernels, namespace
from ntklin.edge.checks import BLOCK, as_flag, as_weights, require_memory
from ntklin.edge.errors import FloatRangeError
from ntklin.edge.ranges import COMFORT, exponent, in_range, is_far, largest_exponent, shift
from ntklin.edge.threads import reproducible
from ntklin.kernels.structures import Activations, Layers, Passes
from ntklin.networks.balanced import REMEDY, BalancedFeatures
from ntklin.networks.layers import LayeredNetwork, LayerList, forward, layers_and_inputs
from ntklin.networks.memory import last_signals, require_passes_memory
from ntklin.networks.network import as_rows
from ntklin.networks.streamed import StreamedFeatures


class FeatureMap(BalancedFeatures):
    """The feature map φ(X) of a network, an (N C, P) operator that never stores J.

    Row n C + c is that of output c of input n.

    One forward and one backward pass are kept, O(N Σ m_l) numbers; every product with J or J^T then
    costs 2NP flops, and the Gram matrix O(N² Σ m_l). Usable wherever SciPy takes a LinearOperator.

    Parameters
    ----------
    network : MLP
        Or another network of layers.
    theta : array_like, shape (P,)
    X : array_like, shape (N, d)
    exponents : tuple of int, optional
        The units of the activations, as powers of two; see ``balanced``.

    Attributes
    ----------
    network, parameters, inputs
        What it was made from. X is copied, but for one that is mapped from a file, such as a
        ``numpy.memmap``, which must not change; ``parameters`` is θ itself, not to be changed in
        place.
    outputs : ndarray, shape (N,), or (N, C) of more than one output
        f_θ(X), a by-product of the forward pass.
    passes : Passes
    is_extreme : bool
        Whether the passes may have left the range, so that products go by the balanced features.
    """

    network: LayeredNetwork

    def __init__(
        self,
        network: LayeredNetwork,
        theta: ArrayLike,
        X: ArrayLike,
        *,
        exponents: tuple[int, ...] | None = None,
    ) -> None:
        self.network = network
        theta = as_array(theta, "theta")
        layers, X, unseen = layers_and_inputs(network, theta, X)
        require_passes_memory(network, len(X), X.itemsize, X)
        self.parameters = theta
        shape = (len(X) * network.n_outputs, network.n_parameters)
        super().__init__(X.dtype, shape, exponents)
        of_file = is_mapped(X)
        X = X if of_file else X.copy()
        self.inputs = freeze(X.view()) if of_file else X
        scales = network.weight_scales, network.bias_scales
        if exponents is not None:
            X = shift(X, -exponents[0])
            scales = rescaled(*scales, exponents)
        layers = Layers(layers, *scales, network.activation.body)
        activations, self.outputs = forward(layers, X, unseen)
        deltas = self._kernels.backward(layers, activations)
        self.passes = Passes(activations, deltas, *scales)
        self.is_extreme = exponents is None and not self._is_comfortable(
            self._exponents([]), self.dtype
        )
        if exponents is None and (self.is_extreme or not bool(np.isfinite(self.outputs).all())):
            even, e = self.balanced()
            self.outputs = bounded(shift(even.outputs, e), "f(X)")

    # Balanced features: f = 2^e f', φ = 2^e φ', from the same passes with w_l and v_l changed by
    # powers of two. Γ_l is the exponent of h^l, Γ_0 that of x:
    #     w'_l = 2^(Γ_{l−1} − Γ_l) w_l,  v'_l = 2^(−Γ_l) v_l,  x' = 2^(−Γ_0) x
    # give h'^l = 2^(−Γ_l) h^l, δ'^l = 2^(Γ_l − Γ_L) δ^l and φ' = 2^(−Γ_L) φ in all its parts. That
    # needs α(c h) = c α(h); other activations have Γ_l = 0 below the output.

    def _made_for(self, dtype: np.dtype[Any]) -> FeatureMap | None:
        """The balanced features in ``dtype``, None for these themselves."""
        exponents = self.exponents
        if exponents is None:
            exponents = self._exponents(self.network.unpack(self.parameters))
            if self._is_comfortable(exponents, dtype):
                if dtype == self.dtype and not self.is_extreme:
                    return None
                exponents = (0,) * len(exponents)
        passes = (a.astype(dtype, copy=False) for a in (self.parameters, self.inputs))
        return FeatureMap(self.network, *passes, exponents=exponents)

    def certain_outputs(self) -> Array:
        """f(X), or an error where it leaves the range.

        Returns
        -------
        ndarray, as ``outputs``

        Raises
        ------
        FloatRangeError
            If an output overflows, or all of them underflow.
        """
        even, e = self.balanced()
        return in_range(even.outputs, self.dtype, "f(X)", REMEDY, scale=e)

    def output_rounding(self) -> Array:
        """What the rounding errors of ``outputs`` are expected to stay below, float64.

        A preactivation is a sum of n = m_{l−1} products, whose partial sums none exceed ‖W_i‖‖a‖,
        so that n independent roundings move it by λ √n (eps/2) ‖W_i‖‖a‖ at most but for a
        probability 2 exp(−λ²/2); λ = 8 here. To f they add up through δ, as independent errors do.

        Returns
        -------
        ndarray, shape (N C,)
        """
        even, exponent = self.balanced()
        if even is not self:
            return shift(even.output_rounding(), exponent)
        layers = self.network.unpack(self.parameters)
        scales = self.passes.w
        lengths = [_row_lengths(W, w) for (W, _), w in zip(layers, scales, strict=True)]
        # Squares and last signals of all would be as large as the activations.
        size = max(1, BLOCK // max(self.network.widths))
        runs = (slice(i, i + size) for i in range(0, len(self.inputs), size))
        squares = np.concatenate([_squared_rounding(self.rows(run), lengths) for run in runs])
        return 4 * float(np.finfo(self.dtype).eps) * np.sqrt(squares)

    def at(self, X_new: ArrayLike) -> FeatureMap:
        """The features of other inputs, in the same units as these.

        Parameters
        ----------
        X_new : ndarray, shape (N_new, d)

        Returns
        -------
        FeatureMap, shape (N_new C, P)
        """
        return FeatureMap(self.network, self.parameters, X_new, exponents=self.exponents)

    def rows(self, index: slice) -> FeatureMap:
        """The features of a run of these inputs, from the same passes.

        Parameters
        ----------
        index : slice

        Returns
        -------
        FeatureMap, shape (n C, P)
        """
        index = as_rows(index)
        # Neither twins at another scale nor the spectrum are those of all rows.
        kept = {k: v for k, v in self.__dict__.items() if k != "_spectrum"}
        part: Any = object.__new__(FeatureMap)
        part.__dict__.update(kept, _balanced={})
        part.inputs, part.outputs = self.inputs[index], self.outputs[index]
        activations: Any = self.passes.activations
        deltas: Any = self.passes.deltas
        part.passes = self.passes._replace(
            activations=activations.rows(index), deltas=deltas.rows(index)
        )
        part.shape = (len(part.inputs) * self.network.n_outputs, self.shape[1])
        return part

    def _exponents(self, layers: LayerList) -> tuple[int, ...]:
        """Γ_0, …, Γ_L for parameters of size 1, or of the size of those given."""
        is_homogeneous = self.network.activation.is_homogeneous
        here = largest_exponent(self.inputs) if is_homogeneous else 0
        found, widths = [here], self.network.widths
        scales = zip(self.network.weight_scales, self.network.bias_scales, strict=True)
        for l, (w, v) in enumerate(scales):
            W, b = layers[l] if layers else (None, None)
            size = 0 if W is None else largest_exponent(W) - 2  # of the largest of many
            here += exponent(w) + exponent(widths[l]) // 2 + size
            if v:
                here = max(here, exponent(v) + (0 if b is None else max(largest_exponent(b), 0)))
            here = here if is_homogeneous or l == len(widths) - 2 else 0
            found.append(here)
        return tuple(found)

    def _is_comfortable(self, exponents: tuple[int, ...], dtype: DTypeLike) -> bool:
        """Whether activations, signals, scales and their products stay well within the range."""
        reach = COMFORT[np.dtype(dtype)]
        scales = [exponent(s) for s in (*self.network.weight_scales, *self.network.bias_scales)]
        above = [exponents[-1] - e for e in exponents]
        return all(abs(e) <= reach for e in (*exponents, *above, *scales))

    @property
    def _kernels(self) -> Any:
        return kernels(self.inputs)

    def _sent(self) -> dict[str, Any]:
        # The backward signals hold θ once more and are as large as the activations; they are made
        # again where they arrive.
        return super()._sent() | {"passes": self.passes._replace(deltas=[])}

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        activations, _, w, v = self.passes
        body = self.network.activation.body
        layers = Layers(self.network.unpack(self.parameters), w, v, body)
        self.passes = self.passes._replace(deltas=self._kernels.backward(layers, activations))

    def _matvec(self, v: Array) -> Array:
        return self._matmat(v.reshape(-1, 1))[:, 0]

    def _rmatvec(self, r: Array) -> Array:
        return self._rmatmat(r.reshape(-1, 1))[:, 0]

    # Columns lie one after the other, in what is taken and in what is returned.

    def _matmat(self, X: Array) -> Array:
        out = namespace(self.inputs).empty((X.shape[1], self.shape[0]), self.dtype)
        unpack = self.network.unpack
        for some, V in self._in_groups(X):
            if self.is_extreme:
                out[some] = self._balanced_product(V, lambda even, V: even @ V, "J v")
            else:
                out[some] = self._kernels.jacobian_vectors(self.passes, unpack(V))
        return out.T

    def _rmatmat(self, X: Array) -> Array:
        out = namespace(self.inputs).empty((X.shape[1], self.shape[1]), self.dtype)
        unpack = self.network.unpack
        for some, r in self._in_groups(X):
            if self.is_extreme:
                out[some] = self._balanced_product(r, lambda even, r: even.T @ r, "J^T r")
            else:
                self._kernels.vectors_jacobian(self.passes, r, unpack(out[some]))
        return out.T

    def _in_groups(self, X: Array) -> Iterator[tuple[slice, Array]]:
        """Some columns of X at a time, as rows, and which ones."""
        some = columns_at_a_time(self.shape[1], self.dtype)
        for start in range(0, X.shape[1], some):
            part = slice(start, start + some)
            yield part, real_rows(X.T[part], self.dtype)

    def _balanced_product(self, rows: Array, product: Any, what: str) -> Array:
        """A product of each row with the balanced features, in a unit of the row's own."""
        even, e = self.balanced()
        sizes = [largest_exponent(row) for row in rows]
        scaled = [shift(row, -size) for row, size in zip(rows, sizes, strict=True)]
        results = product(even, namespace(rows).stack(scaled, axis=1)).T
        shifted = [shift(row, e + size) for row, size in zip(results, sizes, strict=True)]
        return bounded(namespace(rows).stack(shifted), what)

    def toarray(self, out: Array | None = None) -> Array:
        """The dense J.

        Parameters
        ----------
        out : ndarray, shape (N C, P), optional
            C-contiguous, of this operator's dtype; overwritten and returned.

        Returns
        -------
        ndarray, shape (N C, P)

        Raises
        ------
        MemoryLimitError
            If ``out`` is not given and J does not fit.
        FloatRangeError
            If J leaves the range of its dtype.
        """
        out = self._destination(out)
        if self.is_extreme:
            even, e = self.balanced()
            even.toarray(out)
            out[...] = in_range(out, self.dtype, "the Jacobian", REMEDY, scale=e)
            return out
        self._kernels.jacobian(self.passes, self.network.has_bias, out)
        return out

    def gram(
        self,
        other: FeatureMap | StreamedFeatures | None = None,
        weights: ArrayLike | None = None,
        *,
        blocks: bool = False,
    ) -> Array:
        """The Gram matrix K(X, X') = φ(X) D φ(X')^T.

        K = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩; with a diagonal D see
        ``ntklin.kernels.cpu.weighted``. J is not built.

        Parameters
        ----------
        other : FeatureMap, optional
            φ(X'); this one when not given, and then the symmetric work is done once.
        weights : ndarray, shape (P,), optional
            The diagonal of D ≥ 0; 1 when not given.
        blocks : bool
            Whether each pair of inputs has a C × C block of its own; a view of the same numbers.

        Returns
        -------
        ndarray, shape (N C, N' C), or (N, N', C, C) with ``blocks``

        Raises
        ------
        ValueError
            If ``other`` is of another network.
        FloatRangeError
            If entries overflow, or all of them underflow.
        MemoryLimitError
            If the kernel does not fit.
        """
        if as_flag(blocks, name="blocks"):
            C = self.network.n_outputs
            K = self.gram(other, weights)
            return K.reshape(len(self.inputs), C, -1, C).swapaxes(1, 2)
        if other is self:
            other = None
        if isinstance(other, StreamedFeatures):
            return other.gram(self, weights).T
        if other is not None and (
            not isinstance(other, FeatureMap) or other.network != self.network
        ):
            raise ValueError("other must be a FeatureMap of the same network")
        dtype = self.dtype if other is None else np.result_type(self.dtype, other.dtype)
        self._require_gram_memory(other, weights is not None, dtype)
        size = 0
        if weights is not None:
            weights = as_weights(weights, self.shape[1])
            size = largest_exponent(weights)
            if abs(size) <= COMFORT[dtype]:
                size = 0
            weights = shift(weights, -size).astype(dtype, copy=False)
        is_extreme = self.is_extreme or (other is not None and other.is_extreme)
        if not is_extreme:
            K = _kernel(self, other, weights, dtype)
            size_of_K = K.diagonal().max() if other is None else max(K.max(), -K.min())
            is_extreme = self.exponents is None and is_far(float(size_of_K), dtype)
        scale = size
        if is_extreme:
            even, e = self.balanced(dtype)
            second, other_e = (None, e) if other is None else _in_units_of(even, other, dtype)
            scale += e + other_e
            K = _kernel(even, second, weights, dtype)
        elif size == 0:
            return K
        what = "the kernel" if weights is None else "the kernel of these weights"
        return in_range(K, dtype, what, REMEDY, scale=scale)

    def _require_gram_memory(
        self, other: FeatureMap | None, is_weighted: bool, dtype: np.dtype[Any]
    ) -> None:
        """Refuse a kernel that does not fit, with what its computation takes beside it."""
        shape = (self.shape[0], (self if other is None else other).shape[0])
        copies, product = self._kernels.gram_copies(shape, max(self.network.widths)), "(phi.T @ r)"
        n_rows = shape[0] + (other is not None) * shape[1]
        beside_it = last_signals(self.network, n_rows)
        if is_weighted:
            # Activations and backward signals of a layer in another order, transposed and padded.
            layers = zip(self.network.widths[:-1], self.network.widths[1:], strict=True)
            beside_it += 2 * n_rows * max(map(sum, layers))
            copies = self._kernels.weighted_gram_copies(shape, dtype.itemsize)
            product = f"(weights * {product})"
        require_memory(
            (copies * shape[0] * shape[1] + beside_it) * dtype.itemsize,
            f"a kernel of shape {shape}",
            "take fewer rows at a time, net.features(theta, X[i:j]).gram(phi, weights), or apply "
            f"phi @ {product} to vectors r, which forms no kernel",
            beside=self.inputs,
        )

    def linearized(self, rule: str) -> Any:
        """The linearized network at rest, θ = θ_0, in the layout of its fused steps.

        Parameters
        ----------
        rule : str
            An optimizer's rule; see ``ntklin.kernels.cpu.rules``.

        Returns
        -------
        LinearizedNetwork
            See ``ntklin.kernels.cpu.linearized``.
        """
        return self._kernels.LinearizedNetwork(self.passes, self.network.has_bias, rule)


def _row_lengths(W: Array, scale: float) -> Array:
    """scale · ‖W_i‖ of each row, whatever the size of its entries."""
    units = abs(W).max(axis=1)
    units[units == 0] = 1
    return scale * units * np.sqrt(((W / units[:, None]) ** 2).sum(axis=1))


def _squared_rounding(phi: FeatureMap, lengths: list[Array]) -> Array:
    """The sum over layers of what a rounding of size 1 in each product gives, squared."""
    squares = np.zeros(phi.shape[0])
    layers = phi.network.unpack(phi.parameters)
    activations, deltas, _, scales = phi.passes
    for a, delta, v, (W, b), length in zip(
        activations, deltas, scales, layers, lengths, strict=True
    ):
        sizes = host(np.sqrt((a * a).sum(axis=1))).astype(np.float64)
        sizes = np.repeat(sizes, phi.network.n_outputs)
        signals = delta * delta
        with reproducible():  # a pass over the signals, as fast as memory on any threads
            total = sizes**2 * host(signals @ (length * length).astype(a.dtype))
            if b is not None:
                biases = v * abs(b)
                total += 2 * sizes * host(signals @ (length * biases).astype(a.dtype))
                total += host(signals @ (biases * biases).astype(a.dtype))
        squares = squares + (W.shape[1] + 3) * total
    return squares


def _kernel(
    phi: FeatureMap, other: FeatureMap | None, weights: Array | None, dtype: np.dtype[Any]
) -> Array:
    """φ D φ'^T of features in the same units, D in their dtype."""
    first = _in_dtype(phi.passes, dtype)
    second = None if other is None else _in_dtype(other.passes, dtype)
    if weights is None:
        return kernels(phi.inputs).gram(first, second)
    return kernels(phi.inputs).weighted_gram(first, phi.network.unpack(weights), second)


def _in_dtype(passes: Passes, dtype: np.dtype[Any]) -> Passes:
    """The same passes in another dtype; themselves where they have it."""
    if passes.activations[0].dtype == dtype:
        return passes
    slopes = getattr(passes.activations, "slopes", None)
    activations, deltas, slopes = (
        None if arrays is None else [a.astype(dtype, copy=False) for a in arrays]
        for arrays in (*passes[:2], slopes)
    )
    return passes._replace(activations=Activations(activations, slopes), deltas=deltas)


def bounded(a: Array, what: str) -> Array:
    """``a``, or an error where it has overflowed."""
    if not bool(np.isfinite(a).all()):
        raise FloatRangeError(f"{what} overflows {a.dtype}; {REMEDY}")
    return a


def rescaled(
    w: tuple[float, ...], v: tuple[float, ...], exponents: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """w'_l and v'_l of the balanced passes with these Γ_0, …, Γ_L."""
    steps = zip(w, exponents[:-1], exponents[1:], strict=True)
    return (
        tuple(shift(scale, below - here) for scale, below, here in steps),
        tuple(shift(scale, -here) for scale, here in zip(v, exponents[1:], strict=True)),
    )


def _in_units_of(
    phi: FeatureMap, other: FeatureMap, dtype: np.dtype[Any]
) -> tuple[FeatureMap, int]:
    """Features ψ that a Gram matrix with ``phi`` can take, and e with φ(X') = 2^e ψ.

    Without biases h^l is homogeneous in x, so that each X can have a unit of its own.

    Returns
    -------
    features : FeatureMap
    exponent : int
    """
    exponents = phi.exponents or (0,) * len(phi.network.widths)
    if phi.network.activation.is_homogeneous and not phi.network.has_bias:
        own = largest_exponent(other.inputs) - exponents[0]
        exponents = tuple(e + own for e in exponents)
    passes = (a.astype(dtype, copy=False) for a in (other.parameters, other.inputs))
    return FeatureMap(other.network, *passes, exponents=exponents), exponents[-1]


def real_rows(a: ArrayLike, dtype: DTypeLike) -> Array:
    """``a`` in ``dtype``; complex ones are refused, not truncated. A single row is contiguous."""
    a = as_array(a, "the operand")
    return contiguous(a, dtype) if len(a) == 1 else a.astype(dtype, copy=False)
