"""The limits of infinite width: the kernel Θ and the covariance of f_0 (NNGP)."""

import math

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import kernels
from ntklin.edge.checks import as_inputs, free_memory, require_memory
from ntklin.edge.errors import AccuracyError, DeviceError, FloatRangeError
from ntklin.kernels.activations import Body
from ntklin.kernels.infinite_scales import TwoSlopes, Unresolved
from ntklin.networks.activations import Activation
from ntklin.networks.mlp import MLP

# The most terms of a Hermite series, and bytes that one takes for each row and layer: two numbers,
# and twice that again while it is made.
LONGEST = 8192
BYTES_PER_TERM = 48
# Where α is looked at on either side of 0.
NEAR_0 = 2.0**-500


def infinite_ntk(net: MLP, X1: ArrayLike, X2: ArrayLike | None = None) -> Array:
    r"""The NTK Θ(X1, X2) that the empirical kernel K converges to as all hidden widths grow.

    .. math::

        C^1 = \sigma^2 \langle x, x' \rangle + \beta\sigma_b^2, \quad
        C^{l+1} = \sigma^2\, \mathrm{E}\, \alpha(u) \alpha(v) + \beta\sigma_b^2, \quad
        \kappa_l = \sigma^2\, \mathrm{E}\, \alpha'(u) \alpha'(v)

        \Theta = \sum_{l=1}^{L} \bigl(C^l + (\tau - \beta)\sigma_b^2\bigr)
            \prod_{k=l}^{L-1} \kappa_k

    for normal (u, v) with the covariances C^l(x, x), C^l(x, x') and C^l(x', x'); β = 1 for
    ``bias="normal"`` and else 0, and τ = 0 for ``bias="none"`` and else 1. For ``fan_out``,
    σ_b = σ; ``fan_in`` divides ⟨x, x'⟩ by d (Jacot et al. 2018, Lee et al. 2019). With ReLU,

    .. math::

        C^{l+1} = \frac{\sigma^2}{2\pi} \sqrt{C^l(x,x)\, C^l(x',x')}
            \bigl(\sin\theta_l + (\pi - \theta_l)\cos\theta_l\bigr) + \beta\sigma_b^2, \quad
        \kappa_l = \frac{\sigma^2}{2\pi} (\pi - \theta_l), \quad
        \cos\theta_l = \frac{C^l(x,x')}{\sqrt{C^l(x,x)\, C^l(x',x')}}

    and a zero row has inactive neurons, as in the network itself: ReLU'(0) = 0.

    Parameters
    ----------
    net : MLP
        Its depth, σ, scaling, bias, activation and number of outputs C count; its hidden widths do
        not. The limit of K for C outputs is Θ ⊗ 1_C, and Θ is what is returned; ``fan_out`` divides
        the last layer by √C, and so this Θ by C.
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
        For ``scaling="standard"``, for ``eq1`` with biases, and for ``fan_out`` and ``eq1`` with
        α(0) ≠ 0: kernels that grow like the width.
    FloatRangeError
        If entries overflow, or rows other than 0 are so short that entries underflow.
    AccuracyError
        If the expectations are not found to the accuracy below.
    DeviceError
        For CuPy arrays with an activation other than ReLU.

    Notes
    -----
    ``fan_out`` and ``eq1`` put 1/√m_l into the argument of α, which only a homogeneous α lets out
    again. All others see preactivations that shrink like 1/√m_l, and there they are two straight
    lines: the limit is that of slopes α'(0+) and α'(0−), a linear network for tanh. With
    ``scaling="fan_in"`` preactivations keep their size.

    relu, leaky_relu, abs, erf, sin and gelu have closed forms. The other activations, and a pair
    of functions of one's own, are expanded in Hermite polynomials of u and v until both
    expectations of every pair of rows and layer are within 10⁻¹² (float32: 10⁻⁶) of
    √(E α(u)² E α(v)²) and √(E α'(u)² E α'(v)²). That is a bound, by Parseval's identity, given
    integrals over one variable that are refined until they stay what they are to 10⁻¹³. The
    series' length grows like C^l(x, x), and like a power of the accuracy if α has a kink; the
    longest has 8192 terms, which serve a kink at 0 for angles above some 0.1, and for equal rows.
    A kink elsewhere is resolved by the integrals to some 10⁻⁷ only: AccuracyError then in float64.
    """
    return _limit(net, X1, X2, ntk=True)


def infinite_nngp(net: MLP, X1: ArrayLike, X2: ArrayLike | None = None) -> Array:
    """The covariance E f_0(X1) f_0(X2)^T of the infinitely wide network at initialization.

    This is C^L in the notation of :func:`infinite_ntk`, of one output; outputs are independent. f_0
    is a Gaussian process with this covariance and zero mean (Lee et al. 2018). For ReLU and one
    output the diagonal, E f_0(x)², holds at every finite width too: 2 (σ²/2)^L |x|² for ``fan_out``
    with biases that start at 0 (Lemma 5), and 2 (σ²/2)^L |x|² + 2 Σ_{i=1..L} (σ²/2)^i for normal
    ones (Lemma 6's bound drops the first term).

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
    ValueError, FloatRangeError, AccuracyError, DeviceError
        As :func:`infinite_ntk`.
    """
    return _limit(net, X1, X2, ntk=False)


def _limit(net: MLP, X1: ArrayLike, X2: ArrayLike | None, *, ntk: bool) -> Array:
    if type(net) is not MLP:
        raise TypeError(
            f"net must be an ntklin.MLP, got {type(net).__name__}; the limit is known for "
            "independently drawn weights only (for an AntisymmetricPair, Θ is that of pair.network)"
        )
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
    law = _law(net)
    X1 = as_inputs(X1, net.n_inputs, name="X1")
    if X2 is not None:
        X2 = as_inputs(X2, net.n_inputs, name="X2")
        dtype = np.result_type(X1.dtype, X2.dtype)
        X1, X2 = X1.astype(dtype, copy=False), X2.astype(dtype, copy=False)
    shape = (len(X1), len(X1 if X2 is None else X2))
    # All but ReLU's are made in float64.
    itemsize = X1.dtype.itemsize + (0 if law is None or X1.dtype == np.float64 else 8)
    require_memory(
        shape[0] * shape[1] * itemsize,
        f"a kernel of shape {shape}",
        "pass fewer rows of X1, or of X2, at a time",
        beside=X1,
    )
    # fan_out's last layer has σ/√C for weights and biases alike; of σ is made the limit of one
    # output, which is C times that of C.
    C = 1 if net.scaling == "fan_in" else net.n_outputs
    biases = net.sigma if net.scaling != "fan_in" else net.bias_scales[-1]
    weight = net.sigma / math.sqrt(net.n_inputs) if net.scaling == "fan_in" else net.sigma
    bias, shift = biases * (net.bias == "normal"), biases * (net.bias == "zero")
    scales = (weight, net.sigma, bias)
    try:
        if law is None:
            result = kernels(X1, X2).infinite_width(X1, X2, net.depth, *scales, shift, ntk)
        else:
            result = _of_others(law, net, X1, X2, scales, shift, ntk)
    except OverflowError as e:
        growth = "it scales like σ^(2L) |x| |x'|; " if net.activation.is_homogeneous else ""
        raise FloatRangeError(
            f"the {'NTK' if ntk else 'NNGP'} {e} {X1.dtype} for some of the inputs: {growth}"
            "change sigma or the lengths of the inputs, or use float64"
        ) from None
    return result if C == 1 else result / result.dtype.type(C)


def _law(net: MLP) -> TwoSlopes | Body | None:
    """What the limit knows of α; None for ReLU."""
    activation = net.activation
    if activation.is_relu:
        return None
    if activation.is_homogeneous:
        return _two_slopes(activation, 1.0)
    if net.scaling == "fan_in":
        return activation.body
    if net.depth > 1 and float(activation.f(0.0)) != 0:
        raise ValueError(
            f"scaling={net.scaling!r} with {activation.name!r} has no infinite-width limit, "
            "because α(0) ≠ 0 makes its kernel grow like the width; use scaling='fan_in'"
        )
    return _two_slopes(activation, NEAR_0)


def _two_slopes(activation: Activation, h: float) -> TwoSlopes:
    """α'(h) and α'(−h) of what is two straight lines there, and α'(0)."""
    slopes = (float(activation.df(h)), float(activation.df(-h)), float(activation.df(0.0)))
    if not all(map(math.isfinite, slopes)):
        raise ValueError(
            f"the slopes of {activation.name!r} around 0 must be finite, got {slopes}; "
            "with scaling='fan_out' and infinitely many neurons they are all that counts"
        )
    return TwoSlopes(*slopes)


def _of_others(
    law: TwoSlopes | Body,
    net: MLP,
    X1: Array,
    X2: Array | None,
    scales: tuple[float, float, float],
    shift: float,
    ntk: bool,
) -> Array:
    """The limit of an activation other than ReLU."""
    name = net.activation.name
    n_rows = len(X1) + (0 if X2 is None else len(X2))
    free, _ = free_memory()
    longest = LONGEST
    if free is not None:
        fits = free // 2 // (BYTES_PER_TERM * max(net.depth - 1, 1) * n_rows)
        longest = max(1, min(LONGEST, fits))
    try:
        return kernels(X1, X2).infinite_width_of(
            law, X1, X2, net.depth, scales, shift, ntk, longest
        )
    except NotImplementedError:
        raise DeviceError(
            f"the limit of {name!r} is computed on the CPU only; pass NumPy arrays, as "
            "cupy.asnumpy(X)"
        ) from None
    except Unresolved as e:
        short = " that fit into memory" if longest < LONGEST else ""
        raise AccuracyError(
            f"the expectations of {name!r} are known to a fraction of {e.error:.2g} only, after "
            f"{longest} terms{short}: rows are too long for it, or α has a kink and rows are "
            "nearly parallel; take smaller sigma or inputs, or float32, which asks for less"
        ) from None
