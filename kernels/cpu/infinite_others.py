"""The infinite-width recursion for activations other than ReLU, in one pass over the matrix.

As ``infinite``, which has the symbols: C and Θ are relative to the rows' norms, and angles are
z = 1 − cos θ, or −1 − cos θ where they are obtuse. With r = √g √E α(n z)²/n⁺, q = √b/n,
k = √g n/n⁺, and z̃ and M = E α'(u) α'(v) from a law (``infinite_laws``),

    C⁺ = r r' cos θ̃ + q⁺ q'⁺,   Θ⁺ = k k' M Θ + C⁺,   τ⁺ = g M τ + 1

All of it is in float64; float32 is rounded at the end.
"""

import math
from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu import infinite_laws as laws
from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.infinite_angles import (
    Angle,
    FirstLayer,
    angle_of,
    first_angles,
    row_kernel,
)
from ntklin.kernels.cpu.infinite_sides import ERF, GELU, SIN, TWO_SLOPES, Side, kind_of, sides
from ntklin.kernels.cpu.infinite_tasks import STRETCH, mirror, shares
from ntklin.kernels.cpu.intrinsics import fma
from ntklin.kernels.infinite_scales import TwoSlopes, Unresolved, products, shift_of

# Of the bounds on what a series leaves out: more is refused.
TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}
# What a series is asked to leave out is less than that by so much.
MARGIN = 1 / 64


class Recursion(NamedTuple):
    """Which law, with c and d of ``TwoSlopes``; what random and what trained biases there are.

    ``ratio``, ``terms`` and ``added`` are those of ``infinite_scales.Shift``.
    """

    law: int
    c: float
    d: float
    symmetric: bool
    biased: bool
    shifted: bool
    ntk: bool
    ratio: float
    terms: np.ndarray
    added: float


@row_kernel
def _next_angles(z, r, other_r, q, other_q):
    """From the angle of what comes out of a layer to that of the next preactivations."""
    for j in range(z.shape[0]):
        both = r * other_r[j]
        shift = q * other_q[j]
        near = abs(z[j])
        acute = z[j] >= 0
        if fma(both, 1.0 - near if acute else near - 1.0, shift) >= 0:
            cross = fma(-q, other_r[j], r * other_q[j])
            t = near if acute else 2.0 - near
            t = both * t + cross * cross / fma(q, other_q[j], fma(r, other_r[j], 1.0))
            z[j] = t if t <= 1.0 else t - 2.0
        else:
            cross = fma(q, other_r[j], r * other_q[j])
            t = near  # obtuse: what is added is never negative
            t = both * t + cross * cross / fma(-q, other_q[j], fma(r, other_r[j], 1.0))
            z[j] = -max(t, 1e-300) if t <= 1.0 else 2.0 - t


@row_kernel
def _stretch(S, i, own: Side, start, other: Side, meets, how: Recursion, angle: Angle, work):
    """Row i of S from column ``start`` on becomes Θ, or C where not ``ntk``.

    ``meets`` is where along the stretch x meets itself, if it does.

    Returns
    -------
    float
        The largest bound on what a series left out.
    """
    n = S.shape[0]
    stop = start + n
    z = work[0, :n]
    theta = work[1, :n]
    tau = work[2, :n]
    M = work[3, :n]
    unit = own.unit[i]
    other_unit = other.unit[start:stop]
    first = own.q[0, i]
    other_first = other.q[0, start:stop]
    for j in range(n):
        S[j] *= unit * other_unit[j]
        theta[j] = S[j] + first * other_first[j]
        tau[j] = 1.0
    if own.r.shape[0] > 0:
        row = FirstLayer(own.X[i], unit, own.share[i], first)
        others = FirstLayer(other.X[start:stop], other_unit, other.share[start:stop], other_first)
        first_angles(z, theta, S, M, row, others, how.biased, meets)
    worst = 0.0
    for l in range(own.r.shape[0]):
        if how.law == TWO_SLOPES:
            laws.two_slopes(z, M, l, i, own, start, other, how.c, how.d, angle)
        elif how.law == ERF:
            laws.erf(z, M, l, i, own, start, other)
        elif how.law == SIN:
            laws.sine(z, M, l, i, own, start, other)
        elif how.law == GELU:
            laws.gelu(z, M, l, i, own, start, other)
        else:
            left = laws.series(z, M, l, i, own, start, other, meets, work[4:])
            worst = max(worst, left)
        r = own.r[l, i]
        q = own.q[l + 1, i]
        k = own.k[l, i] if how.ntk else 0.0
        other_r = other.r[l, start:stop]
        other_q = other.q[l + 1, start:stop]
        other_k = other.k[l, start:stop]
        for j in range(n):
            cosine = 1.0 - z[j] if z[j] >= 0 else -1.0 - z[j]
            covariance = fma(r * other_r[j], cosine, q * other_q[j])
            theta[j] = k * other_k[j] * M[j] * theta[j] + covariance
        if how.shifted:
            for j in range(n):
                tau[j] = how.ratio * M[j] * tau[j] + how.terms[l]
        _next_angles(z, r, other_r, q, other_q)
    norm = own.norms[i]
    other_norm = other.norms[start:stop]
    added = how.added if how.shifted else 0.0
    for j in range(n):
        S[j] = fma(tau[j], added, theta[j] * norm * other_norm[j])
    return worst


@kernel
def _block(S, bounds, own: Side, other: Side, how: Recursion, angle: Angle, work):
    """One block of S, between the bounds top, bottom, left, right; the largest bound in it."""
    top = bounds[0]
    bottom = bounds[1]
    left = bounds[2]
    right = bounds[3]
    one, x, y = S.dtype.type(1), own.X[top:bottom, :], other.X[left:right, :]
    gemm(PLAIN, TRANSPOSED, one, x, y, one * 0, S[top:bottom, left:right])
    worst = 0.0
    for i in range(top, bottom):
        end = min(right, i + 1) if how.symmetric else right
        for start in range(left, end, STRETCH):
            part = S[i, start : min(start + STRETCH, end)]
            meets = i - start if how.symmetric else -1
            found = _stretch(part, i, own, start, other, meets, how, angle, work)
            worst = max(worst, found)
    if how.symmetric:
        mirror(S, top, bottom, right)
    return worst


@parallel_kernel
def _blocks(task, S, blocks, own: Side, other: Side, how: Recursion, angle: Angle, worst):
    """``blocks`` is (tasks, blocks of a task, 4); ``worst`` gets the largest bound of each task."""
    work = np.empty((7, STRETCH), S.dtype)
    for k in range(blocks.shape[1]):
        found = _block(S, blocks[task, k], own, other, how, angle, work)
        worst[task] = max(worst[task], found)


def infinite_width_of(activation, X, other_X, n_layers, scales, shift, ntk, longest):
    """The infinite-width NTK Θ or the NNGP covariance C of the outputs for any activation.

    Parameters
    ----------
    activation : TwoSlopes or Body
    X : ndarray, shape (N, d)
    other_X : ndarray, shape (N', d), or None
    n_layers : int
        L.
    scales : (float, float, float)
        ``weight``, ``gain`` and ``bias`` of :func:`infinite_width`.
    shift : float
    ntk : bool
    longest : int
        The most terms of a series.

    Returns
    -------
    ndarray, shape (N, N')

    Raises
    ------
    OverflowError
        ``overflows`` or ``underflows``.
    Unresolved
        If a series of so many terms leaves out too much.
    """
    dtype = X.dtype
    allowed = TOLERANCE[dtype]
    c = d = 0.0
    size = 1.0
    if isinstance(activation, TwoSlopes):
        c = (activation.right - activation.left) / 2
        d = (activation.right + activation.left) / 2
        size = activation.square or 1.0
    inputs = [np.ascontiguousarray(x, np.float64) for x in (X, other_X) if x is not None]
    found = sides(activation, inputs, n_layers, scales, allowed * MARGIN, longest)
    (own, norm), (other, other_norm) = found[0], found[-1]
    _, gain, bias = scales
    shifted = bool(shift) and ntk
    ratio, terms, added = shift_of(n_layers, gain * math.sqrt(size), shift)
    first, second, added, _ = products(norm, other_norm, dtype, added if shifted else None)
    own, other = (
        side._replace(norms=np.asarray(factor, np.float64))
        for side, factor in ((own, first), (other, second))
    )
    how = Recursion(
        law=kind_of(activation),
        c=c,
        d=d,
        symmetric=other_X is None,
        biased=bool(bias),
        shifted=shifted,
        ntk=bool(ntk),
        ratio=float(ratio / size),
        terms=np.asarray(terms, np.float64),
        added=float(added),
    )
    result = np.empty((len(own.X), len(other.X)))
    with sequential_blas:
        blocks = shares(*result.shape, how.symmetric)
        worst = np.zeros(len(blocks))
        _blocks[len(blocks)](result, blocks, own, other, how, angle_of(result.dtype), worst)
    if worst.max() > allowed:
        raise Unresolved(float(worst.max()))
    with np.errstate(over="ignore"):
        result = result.astype(dtype, copy=False)
    if not np.isfinite(result).all():
        raise OverflowError("overflows")
    return result
