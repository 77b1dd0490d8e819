"""The limits of infinite width: the kernel Θ and the covariance of f_0 (NNGP)."""

import math

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import kernels
from ntklin.edge.checks import as_inputs, require_memory
from ntklin.edge.errors import FloatRangeError
from ntklin.networks.mlp import MLP


def infinite_ntk(net: MLP, X1: ArrayLike, X2: ArrayLike | None = None) -> Array:
    r"""The NTK Θ(X1, X2) that the empirical kernel K converges to as all hidden widths grow.

    .. math::

        C^1 = \sigma^2 \langle x, x' \rangle + \beta\sigma_b^2, \quad
        C^{l+1} = \frac{\sigma^2}{2\pi} \sqrt{C^l(x,x)\, C^l(x',x')}
            \bigl(\sin\theta_l + (\pi - \theta_l)\cos\theta_l\bigr) + \beta\sigma_b^2

        \Theta = \sum_{l=1}^{L} \bigl(C^l + (\tau - \beta)\sigma_b^2\bigr)
            \prod_{k=l}^{L-1} \kappa_k, \quad
        \kappa_k = \frac{\sigma^2}{2\pi} (\pi - \theta_k), \quad
        \cos\theta_k = \frac{C^k(x,x')}{\sqrt{C^k(x,x)\, C^k(x',x')}}

    with β = 1 for ``bias="normal"`` and else 0, and τ = 0 for ``bias="none"`` and else 1. For
    ``fan_out``, σ_b = σ; ``fan_in`` divides ⟨x, x'⟩ by d (Jacot et al. 2018, Lee et al. 2019). A
    zero row has inactive neurons, as in the network itself: ReLU'(0) = 0.

    Parameters
    ----------
    net : MLP
        Its depth, σ, scaling and bias count; its hidden widths do not.
    X1 : ndarray, shape (N1, d)
    X2 : ndarray, shape (N2, d), optional
        X1 when not given; the symmetric work is then done once.

    Returns
    -------
    ndarray, shape (N1, N2)
        float32 if both inputs are float32, else float64.

    Raises
    ------
    ValueError
        For ``scaling="standard"``, and for ``scaling="eq1"`` with biases, whose kernels grow like
        the width.
    FloatRangeError
        If entries overflow, or rows other than 0 are so short that entries underflow.
    """
    return _limit(net, X1, X2, ntk=True)


def infinite_nngp(net: MLP, X1: ArrayLike, X2: ArrayLike | None = None) -> Array:
    """The covariance E f_0(X1) f_0(X2)^T of the infinitely wide network at initialization.

    This is C^L in the notation of :func:`infinite_ntk`; f_0 is a Gaussian process with this
    covariance and zero mean (Lee et al. 2018). The diagonal, E f_0(x)², holds at every finite width
    too: 2 (σ²/2)^L |x|² for ``fan_out`` with biases that start at 0 (Lemma 5), and
    2 (σ²/2)^L |x|² + 2 Σ_{i=1..L} (σ²/2)^i for normal ones (Lemma 6's bound drops the first term).

    Parameters
    ----------
    net : MLP
    X1 : ndarray, shape (N1, d)
    X2 : ndarray, shape (N2, d), optional
        X1 when not given.

    Returns
    -------
    ndarray, shape (N1, N2)

    Raises
    ------
    ValueError, FloatRangeError
        As :func:`infinite_ntk`.
    """
    return _limit(net, X1, X2, ntk=False)


def _limit(net: MLP, X1: ArrayLike, X2: ArrayLike | None, *, ntk: bool) -> Array:
    if type(net) is not MLP:
        raise TypeError(
            f"net must be an ntklin.MLP, got {type(net).__name__}; the limit is known for "
            "independently drawn weights only (for an AntisymmetricPair, Θ is that of pair.network)"
        )
    if not net.activation.is_relu:
        raise ValueError(f"the limit of {net.activation.name!r} is not known here; ReLU's is")
    if net.scaling == "eq1" and net.has_bias:
        raise ValueError(
            "scaling='eq1' with trained biases has no infinite-width limit, because its kernel "
            "grows like the width; use scaling='fan_out', or bias='none', where both are the same"
        )
    if net.scaling == "standard":
        raise ValueError(
            "scaling='standard' has no infinite-width limit, because its kernel grows like the "
            "width; scaling='fan_in' has the same f_0, and a limit"
        )
    X1 = as_inputs(X1, net.n_inputs, name="X1")
    if X2 is not None:
        X2 = as_inputs(X2, net.n_inputs, name="X2")
        dtype = np.result_type(X1.dtype, X2.dtype)
        X1, X2 = X1.astype(dtype, copy=False), X2.astype(dtype, copy=False)
    shape = (len(X1), len(X1 if X2 is None else X2))
    require_memory(
        shape[0] * shape[1] * X1.dtype.itemsize,
        f"a kernel of shape {shape}",
        "pass fewer rows of X1, or of X2, at a time",
        beside=X1,
    )
    # fan_out's biases have the scale of its weights, σ/√m_l; the kernel takes √m_l times it.
    biases = net.bias_scales[-1]
    try:
        return kernels(X1, X2).infinite_width(
            X1,
            X2,
            net.depth,
            net.sigma / math.sqrt(net.n_inputs) if net.scaling == "fan_in" else net.sigma,
            net.sigma,
            biases if net.bias == "normal" else 0.0,
            biases if net.bias == "zero" else 0.0,
            ntk,
        )
    except OverflowError as e:
        raise FloatRangeError(
            f"the {'NTK' if ntk else 'NNGP'} {e} {X1.dtype} for some of the inputs: it scales like "
            "σ^(2L) |x| |x'|; change sigma or the lengths of the inputs, or use float64"
        ) from None
