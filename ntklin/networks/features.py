"""φ(X) = ∇_θ f_θ(X) as a linear operator: products, Gram matrices and P_F without storing J."""

import numpy as np

from ntklin.algebra.operators import Balanced
from ntklin.algebra.spectrum import degenerate_error, factorize
from ntklin.edge.arrays import as_array
from ntklin.edge.backends import beside, contiguous, host, kernels, namespace
from ntklin.edge.checks import advising, as_weights, require_memory
from ntklin.edge.errors import FloatRangeError
from ntklin.edge.ranges import COMFORT, exponent, in_range, is_far, largest_exponent, shift
from ntklin.edge.sendable import Sendable
from ntklin.kernels.structures import Layers, Passes
from ntklin.networks.mlp import require_jacobian_memory, require_passes_memory


class FeatureMap(Sendable, Balanced):
    """The feature map φ(X) of a network, an (N, P) operator that never stores J.

    One forward and one backward pass are kept, O(N Σ m_l) numbers; every product with J or J^T then
    costs 2NP flops, and the Gram matrix O(N² Σ m_l). Usable wherever SciPy takes a LinearOperator.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (P,)
    X : ndarray, shape (N, d)

    Attributes
    ----------
    network, parameters, inputs
        What it was made from. X is copied; ``parameters`` is θ itself, not to be changed in place.
    outputs : ndarray, shape (N,)
        f_θ(X), a by-product of the forward pass.
    """

    def __init__(self, network, theta, X, *, exponents=None):
        theta = as_array(theta, "theta")
        layers, X = network._arguments(theta, X)
        require_passes_memory(network, len(X), X.itemsize, X)
        X = X.copy()
        self.network = network
        self.parameters = theta
        self.inputs = X
        self.exponents = exponents
        w, v = network.weight_scales, network.bias_scales
        if exponents is not None:
            X = shift(X, -exponents[0])
            w, v = rescaled(w, v, exponents)
        layers = Layers(layers, w, v)
        activations, self.outputs = self._kernels.forward(layers, X)
        deltas = self._kernels.backward(layers, activations)
        self._passes = Passes(activations, deltas, w, v)
        super().__init__(X.dtype, (len(X), network.n_parameters))
        self._balanced = {}
        self._far = exponents is None and not self._is_comfortable(self._exponents(()), X.dtype)
        if exponents is None and (self._far or not bool(np.isfinite(self.outputs).all())):
            even, e = self.balanced(self.dtype)
            self.outputs = bounded(shift(even.outputs, e), "f(X)")

    # Balanced features: f = 2^e f', φ = 2^e φ', from the same passes with w_l and v_l changed by
    # powers of two. Γ_l is the exponent of h^l, Γ_0 that of x:
    #     w'_l = 2^(Γ_{l−1} − Γ_l) w_l,  v'_l = 2^(−Γ_l) v_l,  x' = 2^(−Γ_0) x
    # give h'^l = 2^(−Γ_l) h^l, δ'^l = 2^(Γ_l − Γ_L) δ^l and φ' = 2^(−Γ_L) φ in all its parts.

    def _made_for(self, dtype):
        """The balanced features in ``dtype``, None for these themselves."""
        exponents = self.exponents
        if exponents is None:
            exponents = self._exponents(self.network.unpack(self.parameters))
            if self._is_comfortable(exponents, dtype):
                if dtype == self.dtype and not self._far:
                    return None
                exponents = (0,) * len(exponents)
        passes = (a.astype(dtype, copy=False) for a in (self.parameters, self.inputs))
        return FeatureMap(self.network, *passes, exponents=exponents)

    def certain_outputs(self):
        """f(X), or an error where it leaves the range."""
        even, e = self.balanced(self.dtype)
        return in_range(even.outputs, self.dtype, "f(X)", REMEDY, scale=e)

    def output_rounding(self):
        """What the rounding errors of ``outputs`` are expected to stay below, (N,), float64.

        A preactivation is a sum of n = m_{l−1} products, whose partial sums none exceed ‖W_i‖‖a‖,
        so that n independent roundings move it by λ √n (eps/2) ‖W_i‖‖a‖ at most but for a
        probability 2 exp(−λ²/2); λ = 8 here. To f they add up through δ, as independent errors do.
        """
        squares = 0.0
        layers = self.network.unpack(self.parameters)
        for a, delta, w, v, (W, b) in zip(*self._passes, layers, strict=True):
            lengths = np.sqrt((W * W).sum(axis=1))
            sizes = w * host(np.sqrt((a * a).sum(axis=1))).astype(np.float64)
            signals = delta * delta
            total = sizes**2 * host(signals @ (lengths * lengths).astype(a.dtype))
            if b is not None:
                biases = abs(b)
                total += 2 * v * sizes * host(signals @ (lengths * biases).astype(a.dtype))
                total += v * v * host(signals @ (biases * biases).astype(a.dtype))
            squares = squares + (W.shape[1] + 3) * total
        return 4 * float(np.finfo(self.dtype).eps) * np.sqrt(squares)

    def at(self, X_new):
        """The features of other inputs, in the same units as these.

        Parameters
        ----------
        X_new : ndarray, shape (N_new, d)

        Returns
        -------
        FeatureMap, shape (N_new, P)
        """
        return FeatureMap(self.network, self.parameters, X_new, exponents=self.exponents)

    def _exponents(self, layers):
        """Γ_0, …, Γ_L for parameters of size 1, or of the size of those given."""
        here = largest_exponent(self.inputs)
        found, widths = [here], self.network.widths
        scales = zip(self.network.weight_scales, self.network.bias_scales, strict=True)
        for l, (w, v) in enumerate(scales):
            W, b = layers[l] if layers else (None, None)
            size = 0 if W is None else largest_exponent(W) - 2  # of the largest of many
            here += exponent(w) + exponent(widths[l]) // 2 + size
            if v:
                here = max(here, exponent(v) + (0 if b is None else max(largest_exponent(b), 0)))
            found.append(here)
        return tuple(found)

    def _is_comfortable(self, exponents, dtype):
        """Whether activations, signals, scales and their products stay well within the range."""
        reach = COMFORT[np.dtype(dtype)]
        scales = [exponent(s) for s in (*self.network.weight_scales, *self.network.bias_scales)]
        above = [exponents[-1] - e for e in exponents]
        return all(abs(e) <= reach for e in (*exponents, *above, *scales))

    @property
    def _kernels(self):
        return kernels(self.inputs)

    def _sent(self):
        # The backward signals hold θ once more and are as large as the activations; they are made
        # again where they are asked for, and so is a twin at another scale.
        return super()._sent() | {"_passes": self._passes._replace(deltas=None), "_balanced": {}}

    def __setstate__(self, state):
        super().__setstate__(state)
        activations, _, w, v = self._passes
        layers = Layers(self.network.unpack(self.parameters), w, v)
        self._passes = Passes(activations, self._kernels.backward(layers, activations), w, v)

    def _matvec(self, v):
        vector = real_vector(v, self.dtype)
        if self._far:
            even, e = self.balanced(self.dtype)
            size = largest_exponent(vector)
            return bounded(shift(even._matvec(shift(vector, -size)), e + size), "J v")
        return self._kernels.jacobian_vector(self._passes, self.network.unpack(vector))

    def _rmatvec(self, r):
        r = real_vector(r, self.dtype)
        if self._far:
            even, e = self.balanced(self.dtype)
            size = largest_exponent(r)
            return bounded(shift(even._rmatvec(shift(r, -size)), e + size), "J^T r")
        result = namespace(self.inputs).empty(self.shape[1], self.dtype)
        self._kernels.vector_jacobian(self._passes, r, self.network.unpack(result))
        return result

    def _matmat(self, V):
        out = namespace(self.inputs).empty((self.shape[0], V.shape[1]), self.dtype)
        for k, v in enumerate(V.T):
            out[:, k] = self._matvec(v)
        return out

    def _rmatmat(self, R):
        out = namespace(self.inputs).empty((self.shape[1], R.shape[1]), self.dtype)
        for k, r in enumerate(R.T):
            out[:, k] = self._rmatvec(r)
        return out

    def toarray(self, out=None):
        """The dense J, shape (N, P).

        Parameters
        ----------
        out : ndarray, shape (N, P), optional
            C-contiguous, of this operator's dtype; overwritten and returned.

        Raises
        ------
        MemoryLimitError
            If ``out`` is not given and J does not fit.
        """
        if out is None:
            require_jacobian_memory(*self.shape, self.dtype.itemsize, self.inputs)
            out = namespace(self.inputs).empty(self.shape, self.dtype)
        else:
            require_out(out, self)
        if self._far:
            even, e = self.balanced(self.dtype)
            even.toarray(out)
            out[...] = in_range(out, self.dtype, "the Jacobian", REMEDY, scale=e)
            return out
        self._kernels.jacobian(self._passes, self.network.has_bias, out)
        return out

    def gram(self, other=None, weights=None):
        """The Gram matrix K(X, X') = φ(X) D φ(X')^T.

        K = Σ_l (w_l² ⟨a^{l-1}, a'^{l-1}⟩ + v_l²) ⟨δ^l, δ'^l⟩; with a diagonal D see
        ``ntklin.kernels.cpu.weighted``. J is not built.

        Parameters
        ----------
        other : FeatureMap, optional
            φ(X'); this one when not given, and then the symmetric work is done once.
        weights : ndarray, shape (P,), optional
            The diagonal of D ≥ 0; 1 when not given.

        Returns
        -------
        ndarray, shape (N, N')
        """
        if other is self:
            other = None
        if other is not None and getattr(other, "network", None) != self.network:
            raise ValueError("other must be a FeatureMap of the same network")
        dtype = self.dtype if other is None else np.result_type(self.dtype, other.dtype)
        shape = (len(self.inputs), len(self.inputs if other is None else other.inputs))
        if weights is None:
            copies, beside_it, product = self._kernels.gram_copies(shape, dtype.itemsize), 0, ""
        else:
            copies = self._kernels.weighted_gram_copies(shape, dtype.itemsize)
            # Activations and backward signals of a layer in another order, transposed and padded.
            layers = zip(self.network.widths[:-1], self.network.widths[1:], strict=True)
            beside_it = 2 * (shape[0] + (other is not None) * shape[1]) * max(map(sum, layers))
            product = "weights * "
        inner = f"({product}(phi.T @ r))" if product else "(phi.T @ r)"
        require_memory(
            (copies * shape[0] * shape[1] + beside_it) * dtype.itemsize,
            f"a kernel of shape {shape}",
            "take fewer rows at a time, net.features(theta, X[i:j]).gram(phi, weights), or apply "
            f"phi @ {inner} to vectors r, which forms no kernel",
            beside=self.inputs,
        )
        size = 0
        if weights is not None:
            weights = as_weights(weights, self.shape[1])
            size = largest_exponent(weights)
            if abs(size) <= COMFORT[dtype]:
                size = 0
            weights = shift(weights, -size).astype(dtype, copy=False)
        far = self._far or getattr(other, "_far", False)
        if not far:
            K = self._gram(other, weights, dtype)
            size_of_K = K.diagonal().max() if other is None else max(K.max(), -K.min())
            far = self.exponents is None and is_far(float(size_of_K), dtype)
        even, second, scale = self, other, size
        if far:
            even, e = self.balanced(dtype)
            scale += 2 * e
            if other is not None:
                second, other_e = _in_units_of(even, other, dtype)
                scale += other_e - e
            K = even._gram(second, weights, dtype)
        elif size == 0:
            return K
        what = "the kernel" if weights is None else "the kernel of these weights"
        return in_range(K, dtype, what, REMEDY, scale=scale)

    def _gram(self, other, weights, dtype):
        """φ D φ'^T of features in the same units, D in their dtype."""
        first = self._passes_in(dtype)
        second = None if other is None else other._passes_in(dtype)
        if weights is None:
            return self._kernels.gram(first, second)
        return self._kernels.weighted_gram(first, self.network.unpack(weights), second)

    def _passes_in(self, dtype):
        """The passes in ``dtype``."""
        if dtype == self.dtype:
            return self._passes
        activations, deltas = (
            [a.astype(dtype, copy=False) for a in arrays] for arrays in self._passes[:2]
        )
        return self._passes._replace(activations=activations, deltas=deltas)

    def linearized(self, rule):
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
        return self._kernels.LinearizedNetwork(self._passes, self.network.has_bias, rule)

    def project(self, v):
        """P_F v with P_F = φ^T (φ φ^T)^{-1} φ, the projector onto the data's feature space (Thm 1).

        Parameters
        ----------
        v : ndarray, shape (P,) or (P, k)

        Returns
        -------
        ndarray, of the shape of ``v``

        Raises
        ------
        DegenerateKernelError
            If K(X, X) is singular to working precision; the message names the rows.
        """
        return project(self, v)


def project(phi, v):
    """P_F v for any feature operator ``phi`` with ``gram``; the factorization is kept there."""
    # P_F is the same for all multiples of φ.
    even, _ = phi.balanced(phi.dtype)
    if even is not phi:
        return project(even, v)
    if getattr(phi, "_spectrum", None) is None:
        n = phi.shape[0]
        advice = (
            "without a kernel, P_F v is phi.T @ r for r = scipy.sparse.linalg.lsmr(phi.T, v)[0]"
        )
        require_memory(5 * 8 * n * n, f"factorizing the kernel of {n} inputs", advice)
        with advising(advice):
            K = phi.gram()
        spectrum = factorize(K, rank_bound=phi.shape[1])
        if spectrum.is_degenerate:
            raise degenerate_error(K, spectrum, "Remove the cause: P_F needs independent rows")
        phi._spectrum = spectrum
    v = as_array(v, "v")
    V, inverse = phi._spectrum.vectors, phi._spectrum.inverse()
    products = host(phi @ v).astype(np.float64, copy=False)
    r = V @ ((V.T @ products).T * inverse).T
    return phi.T @ beside(r.astype(phi.dtype), v)


REMEDY = (
    "outputs scale like σ^L |x|, kernels like their squares, and both grow with θ: change sigma, X "
    "or theta, or use float64 for all of them"
)


def output_rounding(phi):
    """The rounding errors of f_0(X) to expect, (N,); 0 for features that do not tell."""
    tells = hasattr(phi, "output_rounding")
    return phi.output_rounding() if tells else np.zeros(phi.shape[0])


def bounded(a, what):
    """``a``, or an error where it has overflowed."""
    if not bool(np.isfinite(a).all()):
        raise FloatRangeError(f"{what} overflows {a.dtype}; {REMEDY}")
    return a


def rescaled(w, v, exponents):
    """w'_l and v'_l of the balanced passes with these Γ_0, …, Γ_L."""
    steps = zip(w, exponents[:-1], exponents[1:], strict=True)
    return (
        tuple(shift(scale, below - here) for scale, below, here in steps),
        tuple(shift(scale, -here) for scale, here in zip(v, exponents[1:], strict=True)),
    )


def _in_units_of(phi, other, dtype):
    """Features ψ that a Gram matrix with ``phi`` can take, and e with φ(X') = 2^e ψ.

    Without biases h^l is homogeneous in x, so that each X can have a unit of its own.
    """
    exponents = phi.exponents or (0,) * (phi.network.depth + 1)
    if not phi.network.has_bias:
        own = largest_exponent(other.inputs) - exponents[0]
        exponents = tuple(e + own for e in exponents)
    passes = (a.astype(dtype, copy=False) for a in (other.parameters, other.inputs))
    return FeatureMap(other.network, *passes, exponents=exponents), exponents[-1]


def require_out(out, phi):
    """Refuse an array that the Jacobian of ``phi`` cannot be written to."""
    xp = namespace(phi.inputs)
    if not isinstance(out, xp.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be an array of {xp.__name__}, got {type(out).__name__}")
    usable = out.flags.carray if xp is np else out.flags.c_contiguous
    if out.shape != phi.shape or out.dtype != phi.dtype or not usable:
        raise ValueError(
            f"out must be a C-contiguous, aligned and writable {phi.dtype} array of shape "
            f"{phi.shape}, got {out.dtype} of shape {out.shape}"
        )


def real_vector(v, dtype):
    """``v`` as a contiguous vector of ``dtype``; complex ones are refused, not truncated."""
    v = as_array(v, "the operand")
    return contiguous(v.reshape(-1), dtype)
