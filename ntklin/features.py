"""φ(X) = ∇_θ f_θ(X) as a linear operator: products, Gram matrices and P_F without storing J."""

import numpy as np

from ntklin._arrays import as_array
from ntklin._validate import advising, as_weights, require_memory
from ntklin.backends import beside, contiguous, host, kernels, namespace
from ntklin.network import require_jacobian_memory, require_passes_memory
from ntklin.operators import Operator
from ntklin.sendable import Sendable
from ntklin.spectral import degenerate_error, factorize


class FeatureMap(Sendable, Operator):
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

    def __init__(self, network, theta, X):
        theta = as_array(theta, "theta")
        layers, X = network._arguments(theta, X)
        require_passes_memory(network, len(X), X.itemsize, X)
        X = X.copy()
        self.network = network
        self.parameters = theta
        self.inputs = X
        self._w, self._v = network.weight_scales, network.bias_scales
        self._activations, self.outputs = self._kernels.forward(layers, self._w, self._v, X)
        self._deltas = self._kernels.backward(layers, self._w, self._activations)
        super().__init__(X.dtype, (len(X), network.n_parameters))

    @property
    def _kernels(self):
        return kernels(self.inputs)

    def _sent(self):
        # The backward signals hold θ once more and are as large as the activations; they are made
        # again where they are asked for.
        return super()._sent() | {"_deltas": None}

    def __setstate__(self, state):
        super().__setstate__(state)
        layers = self.network.unpack(self.parameters)
        self._deltas = self._kernels.backward(layers, self._w, self._activations)

    def _matvec(self, v):
        vector = self.network.unpack(real_vector(v, self.dtype))
        return self._kernels.jacobian_vector(
            self._activations, self._deltas, self._w, self._v, vector
        )

    def _rmatvec(self, r):
        result = namespace(self.inputs).empty(self.shape[1], self.dtype)
        self._kernels.vector_jacobian(
            self._activations,
            self._deltas,
            self._w,
            self._v,
            real_vector(r, self.dtype),
            self.network.unpack(result),
        )
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
        self._kernels.jacobian(
            self._activations, self._deltas, self._w, self._v, self.network.has_bias, out
        )
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
        first = self._passes(dtype)
        second = () if other is None else other._passes(dtype)
        if weights is None:
            return self._kernels.gram(*first, self._w, self._v, *second)
        weights = as_weights(weights, self.shape[1], dtype=dtype)
        D = self.network.unpack(weights)
        return self._kernels.weighted_gram(*first, self._w, self._v, D, *second)

    def _passes(self, dtype):
        """Activations and backward signals in ``dtype``."""
        if dtype == self.dtype:
            return self._activations, self._deltas
        return tuple(
            [a.astype(dtype, copy=False) for a in arrays]
            for arrays in (self._activations, self._deltas)
        )

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
        has_bias = self.network.has_bias
        passes = self._activations, self._deltas
        return self._kernels.LinearizedNetwork(*passes, self._w, self._v, has_bias, rule)

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
