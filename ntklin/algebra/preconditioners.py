"""Constant preconditioners D of Eqs. (6), (9): K_D = φ D φ^T, D v, and D's made for a purpose."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.operators import GramOperator
from ntklin.algebra.semidefinite import as_semidefinite
from ntklin.algebra.spectrum import Spectrum, degenerate_error
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, freeze, host, namespace, refuse_mixed
from ntklin.edge.checks import (
    as_number,
    as_positive,
    as_targets,
    as_vector,
    as_weights,
    require_finite,
    require_memory,
)
from ntklin.edge.errors import InterpolationError
from ntklin.edge.ranges import COMFORT, exponent, in_range, largest_exponent, shift
from ntklin.edge.sendable import Sendable
from ntklin.edge.values import said


@dataclass(frozen=True, eq=False)
class LowRank(Sendable):
    """D = W W^T, the form in which a D with off-diagonal entries fits into memory at any P.

    Training with this D moves θ in the column space of W only: θ_∞ = θ_0 + W z, and of all z that
    fit the targets the shortest is taken. K_D = (φW)(φW)^T.

    Parameters
    ----------
    W : array_like, shape (P, k)
        Copied.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> net = ntklin.MLP((2, 8, 1))
    >>> lin = ntklin.linearize(net, net.init(rng=0), np.eye(2))
    >>> W = np.random.default_rng(0).standard_normal((net.n_parameters, 5))
    >>> lin.minimizer([0.0, 1.0], weights=ntklin.LowRank(W)).predict(np.eye(2)).round(6) + 0
    array([0., 1.])
    """

    W: Array

    def __post_init__(self) -> None:
        W = self.W
        if not _is_settled(W):
            W = as_array(W, "W")
            if W.ndim != 2 or 0 in W.shape:
                raise ValueError(f"W must have shape (P, k) with k ≥ 1, got shape {W.shape}")
            dtype = W.dtype.newbyteorder("=")
            dtype = dtype if dtype in (np.float32, np.float64) else np.float64
            P, k = W.shape
            _require_room(P, k, np.dtype(dtype).itemsize, W)
            W = freeze(namespace(W).array(W, dtype, order="F"))
        if not bool(np.isfinite(W).all()):
            raise ValueError("W contains NaN or infinite values")
        object.__setattr__(self, "W", W)

    def __repr__(self) -> str:
        return f"LowRank(W of shape {self.W.shape}, {self.W.dtype})"


# A constant D as it is passed, and as it is after the checks.
Weights = ArrayLike | LowRank | None
Constant = float | Array | LowRank | None


def _is_settled(W: Any) -> bool:
    """Whether nobody can change ``W`` and its columns are contiguous: then no copy is needed."""
    return (
        type(W) is np.ndarray
        and W.ndim == 2
        and W.dtype in (np.float32, np.float64)
        and W.flags.f_contiguous
        and W.flags.owndata
        and not W.flags.writeable
    )


def _require_room(
    n_parameters: int,
    n_columns: int,
    itemsize: int,
    beside: Any,
    advice: str = "use fewer columns, or a diagonal D, shape (P,)",
) -> None:
    require_memory(
        n_parameters * n_columns * itemsize,
        f"a matrix W of shape ({n_parameters}, {n_columns})",
        advice,
        beside=beside,
    )


def as_constant(weights: Weights, n_parameters: int, *, name: str = "weights") -> Constant:
    """What stands for a constant D, with arrays for what can be one, whatever their numbers.

    Arrays are not copied: a D is the same D, by identity, if it is given again.

    Returns
    -------
    None, float, ndarray or LowRank

    Raises
    ------
    ValueError
        For a LowRank of another number of parameters.
    """
    if weights is None:
        return None
    if np.isscalar(weights):
        return as_number(weights, name)
    if not isinstance(weights, LowRank):
        weights = as_array(weights, name)
        return weights if weights.ndim else as_number(weights, name)
    if len(weights.W) != n_parameters:
        raise ValueError(
            f"{name} = W W^T with W of shape {weights.W.shape}, but the network has "
            f"{n_parameters} parameters"
        )
    return weights


def as_finite_constant(weights: Weights, n_parameters: int, *, name: str = "weights") -> Constant:
    """What stands for a constant D, of the right shape and finite, but not copied nor D ≥ 0.

    Returns
    -------
    None, float, ndarray of shape (P,) or (P, P), or LowRank

    Raises
    ------
    ValueError
        For another shape, NaN or infinity.
    """
    P, D = n_parameters, as_constant(weights, n_parameters, name=name)
    if D is None or isinstance(D, LowRank):
        return D
    if isinstance(D, float | int):
        if not math.isfinite(D):
            raise ValueError(f"{name} must be finite, got {said(D)}")
        return D
    if D.shape == (P, 1):
        D = D[:, 0]
    if D.shape not in ((P,), (P, P)):
        raise ValueError(
            f"{name} must be a number or have shape ({P},) or ({P}, {P}), got {D.shape}"
        )
    require_finite(D, name)
    return D


def as_preconditioner(weights: Weights, n_parameters: int, *, name: str = "weights") -> Constant:
    """A constant D as float, diagonal (P,), full matrix (P, P), or LowRank; None stays None.

    Arrays are copied. A matrix must be symmetric and positive semidefinite up to rounding.

    Parameters
    ----------
    weights : None, float, array_like or LowRank
    n_parameters : int
        P.
    name : str
        The argument's name in messages.

    Returns
    -------
    None, float, ndarray of shape (P,) or (P, P), or LowRank

    Raises
    ------
    ValueError
        For what is no D ≥ 0 of this size, or 0.
    """
    P, D = n_parameters, as_constant(weights, n_parameters, name=name)
    if D is None or isinstance(D, LowRank):
        return D
    if isinstance(D, float | int):
        return as_positive(D, name=name)
    if D.ndim == 2 and D.shape != (P, 1):
        return _as_matrix(D, P, name)
    D = as_weights(D, P, name=name).copy()
    if not D.any():
        raise ValueError(f"{name} are 0 everywhere: no parameter would be trained")
    return D


def _as_matrix(D: Array, P: int, name: str) -> Array:
    if D.shape != (P, P):
        raise ValueError(
            f"{name} must be a number, the diagonal of D, shape ({P},), a matrix of shape "
            f"({P}, {P}) or an ntklin.LowRank(W), got shape {D.shape}"
        )
    require_memory(
        3 * 8 * P * P,
        f"a matrix D of shape ({P}, {P})",
        "pass its diagonal, or a factor W of few columns: ntklin.LowRank(W) is D = W W^T",
    )
    given, D = D, host(as_vector(D.reshape(-1), P * P, name=name)).reshape(P, P)
    if not D.any():
        raise ValueError(f"{name} are 0 everywhere: no parameter would be trained")
    return beside(as_semidefinite(D, name), given)


def as_comfortable(weights: Constant, dtype: DTypeLike) -> tuple[Constant, int]:
    """D' and an even d with D = 2^d D', d = 0 unless kernels of D may leave the range of ``dtype``.

    Parameters
    ----------
    weights : None, float, ndarray of shape (P,) or (P, P), or LowRank
    dtype : dtype

    Returns
    -------
    weights : as ``weights``
    exponent : int
    """
    if weights is None:
        return None, 0
    D = weights.W if isinstance(weights, LowRank) else weights
    e = exponent(D) if isinstance(D, float | int) else largest_exponent(D)
    if abs(e) <= COMFORT[np.dtype(dtype)] // 2:
        return weights, 0
    if isinstance(weights, LowRank):
        return LowRank(freeze(shift(weights.W, -e))), 2 * e
    e -= e % 2
    return shift(D, -e), e


def rank_bound(weights: Constant, n_parameters: int) -> int:
    """An upper bound on the rank of K_D: how many directions of θ the preconditioner D trains."""
    if isinstance(weights, LowRank):
        return min(weights.W.shape)
    if weights is None or isinstance(weights, float | int) or weights.ndim != 1:
        return n_parameters
    return int(np.count_nonzero(weights))


def weighted_kernel(
    phi: GramOperator,
    weights: Constant = None,
    other: GramOperator | None = None,
    *,
    factors: tuple[Array | None, Array | None] = (None, None),
) -> Array:
    """K_D(X, X') = φ(X) D φ(X')^T for any constant D.

    Parameters
    ----------
    phi : FeatureMap
        φ(X).
    weights : None, float, ndarray of shape (P,) or (P, P), or LowRank
        D. A matrix need not be symmetric here.
    other : FeatureMap, optional
        φ(X'); ``phi`` when not given.
    factors : pair of ndarray, optional
        φ(X)W and φ(X')W of a LowRank, where the caller keeps them.

    Returns
    -------
    ndarray, shape (N, N')
    """
    if isinstance(weights, LowRank):
        first, second = factors
        first = phi @ weights.W if first is None else first
        if other is None:
            return first @ first.T
        return first @ (other @ weights.W if second is None else second).T
    if weights is None:
        return phi.gram(other)
    if isinstance(weights, float | int):
        return times(phi.gram(other), weights)
    if weights.ndim == 1:
        return phi.gram(other, weights=weights)
    J = phi.toarray()
    other_J = J if other is None else other.toarray()
    # By rows, however it is stored: BLAS rounds a product otherwise with what is stored by columns.
    return (J @ namespace(J).ascontiguousarray(weights, J.dtype)) @ other_J.T


def times(K: Array, weights: Any) -> Array:
    """A number times K; K itself for None."""
    if weights is None:
        return K
    with np.errstate(over="ignore"):
        product = K.dtype.type(weights) * K
    return in_range(product, K.dtype, "the weighted kernel", "scale the weights")


def precondition(weights: Constant, v: Array) -> Array:
    """D v for any constant D; ``v`` of shape (P,) or (P, k)."""
    if weights is None:
        return v
    if isinstance(weights, LowRank):
        return weights.W @ (weights.W.T @ v)
    if isinstance(weights, float | int):
        return weights * v
    if weights.ndim == 1:
        return (weights * v.T).T
    return weights @ v


def adagrad_weights(phi: GramOperator) -> Array:
    """Example 1's D = diag |φ(x_1)|^{-1} for one training input; 0 where φ_j(x_1) = 0.

    Parameters
    ----------
    phi : FeatureMap, shape (1, P)
        Of one input and one output.

    Returns
    -------
    ndarray, shape (P,)

    Raises
    ------
    ValueError
        For more than one input or output, or an input without features.
    """
    if phi.shape[0] != 1:
        n = len(phi.inputs)
        what = f"one training input, but there are {n}"
        if n == 1:
            what = f"one output, but there are {phi.shape[0]}"
        raise ValueError(
            f"Example 1 needs {what}: with more of them AdaGrad's D_t depends on the path of "
            "training (Thm 3), not on φ(X) alone"
        )
    xp = namespace(phi.inputs)
    size = abs(phi.T @ xp.ones(1, phi.dtype))
    reached = size > 0
    if not bool(reached.any()):
        raise ValueError("φ(x_1) = 0: no parameter moves f(x_1), so AdaGrad has no limit there")
    # D may be multiplied by any number: by one that keeps 1/|φ_j| finite.
    number = phi.dtype.type
    smallest = number(float(size[reached].min()))
    with np.errstate(over="ignore", under="ignore"):
        unit = number(1 if np.isfinite(1 / smallest) else smallest)
    return xp.where(reached, unit / xp.where(reached, size, number(1)), number(0))


def interpolating_preconditioner(
    phi: GramOperator, K: Array, spectrum: Spectrum, w: ArrayLike, targets: ArrayLike
) -> LowRank:
    """D = W W^T with D φ(X)^T K_D^{-1} Y = w for a given interpolating w (Example 1).

    W = φ^+ + (w − φ^+ Y) Y^T/|Y|², so that φW = 1, K_D = 1 and A Y = W Y = w.

    Parameters
    ----------
    phi : FeatureMap, shape (N, P)
    K : ndarray, shape (N, N)
        φφ^T.
    spectrum : Spectrum
        Its factorization.
    w : array_like, shape (P,)
    targets : array_like, shape (N,)
        Y.

    Returns
    -------
    LowRank
        With N columns.

    Raises
    ------
    InterpolationError
        If w does not interpolate, or Y = 0.
    DegenerateKernelError
        If K(X, X) is singular to working precision.
    """  # noqa: DOC501
    n, P = phi.shape
    refuse_mixed(phi.inputs, targets, w)
    Y = host(as_targets(targets, n, dtype=np.float64))
    w = as_vector(w, P, name="w", dtype=phi.dtype)
    unit = float(np.abs(Y).max())
    if unit == 0:
        raise InterpolationError(
            "Y = 0: the step A Y = D φ^T K_D^{-1} Y is 0 whatever D, since A is linear, so that no "
            "D leads to another w; give targets that are not all 0"
        )
    with np.errstate(over="ignore"):
        Y, w = Y / unit, w / unit  # whose squares stay in range
    w = in_range(w, phi.dtype, "w in units of the targets", "scale Y, and w with it")
    if spectrum.is_degenerate:
        raise degenerate_error(K, spectrum, "Remove the cause: φ^+ needs independent rows")
    V, inverse = spectrum.vectors, spectrum.inverse()
    alpha = V @ (inverse * (V.T @ Y))
    _require_interpolation(phi, w, Y, alpha, spectrum.largest, unit)
    advice = "what such a D is for needs none: its interpolator at X_new is φ(X_new) @ w"
    _require_room(P, n, phi.dtype.itemsize, phi.inputs, advice)
    W = namespace(phi.inputs).empty((P, n), phi.dtype, order="F")
    rows = beside(((V * inverse) @ V.T).astype(phi.dtype), phi.inputs)
    for column, r in zip(W.T, rows, strict=True):
        column[:] = phi.T @ r
    direction = (Y / (Y @ Y)).astype(phi.dtype)
    gap = w - phi.T @ beside(alpha.astype(phi.dtype), phi.inputs)
    for column, y in zip(W.T, direction, strict=True):
        column += gap * y
    return LowRank(freeze(W))


def _require_interpolation(
    phi: GramOperator, w: Array, Y: Array, alpha: Array, largest: float, unit: float
) -> None:
    """Refuse a w with φ(X)w ≠ Y beyond what rounding explains.

    A stable solver leaves φφ^+Y − Y of the size √N eps λ_max ‖K^{-1}Y‖, and the product φ(X)w has
    an error of √P eps ‖φ(X)‖‖w‖; eight times that is allowed. All in multiples of ``unit``.

    Raises
    ------
    InterpolationError
    """
    n, P = phi.shape
    error = host(phi @ w).astype(np.float64) - Y
    eps = float(np.finfo(phi.dtype).eps)
    size = float(np.linalg.norm(w.astype(np.float64, copy=False)))
    solving = math.sqrt(n) * largest * float(np.linalg.norm(alpha))
    allowed = 8 * eps * (solving + math.sqrt(P * largest) * size)
    distance = float(np.linalg.norm(error))
    if not distance <= allowed:
        row = int(np.abs(error).argmax())
        raise InterpolationError(
            f"w does not interpolate: ‖φ(X)w − Y‖ = {unit * distance:.3g}, where rounding "
            f"explains {unit * allowed:.3g}; the largest difference is {unit * error[row]:.3g} at "
            f"row {row}. Add "
            "φ^+(Y − φ(X)w) to w, or pass the targets φ(X)w"
        )
