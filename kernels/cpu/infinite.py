"""The infinite-width recursion over all layers, in one pass over the matrix.

Per pair of inputs the recursion carries the covariance C of the preactivations and the kernel Θ
from layer to layer, both relative to the norms n² = C(x, x), n'² = C(x', x'), and the angle as
t = 1 − cos θ = 1 − C/(n n'). With r = √g n/n⁺ and q = √b/n, which are the rows' own
(``ntklin.kernels.infinite_scales``), and C, Θ below for C/(n n'), Θ/(n n'),

    first layer    C = u·u' + q q',                             Θ = C
    ReLU           t̃ = 1 − (sin θ + (π − θ) cos θ)/π,           κ = r r' (1 − θ/π)
    next layer     C⁺ = r r' (1 − t̃) + q⁺ q'⁺,                  Θ⁺ = κ Θ + C⁺
                   t⁺ = r r' t̃ + (r q'⁺ − q⁺ r')²/(1 + r r' + q⁺ q'⁺)

for u = √w x/n. What a trained bias that starts at 0 adds, τ⁺ = g κ τ + 1, does not depend on the
norms. No square of an input is formed, so that whatever Θ can be represented comes out right.

How the angles keep their digits is told in ``infinite_angles``.
"""

import math
from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.blas import PLAIN, TRANSPOSED, gemm, sequential_blas
from ntklin.kernels.cpu.compiler import parallel_kernel
from ntklin.kernels.cpu.infinite_angles import (
    Angle,
    FirstLayer,
    angle_of,
    first_angles,
    next_angles,
    relu,
    row_kernel,
    shifted_relu,
)
from ntklin.kernels.cpu.infinite_rows import Inputs, inputs_of
from ntklin.kernels.cpu.infinite_tasks import STRETCH, mirror, shares
from ntklin.kernels.cpu.intrinsics import fma, wide_vectors
from ntklin.kernels.infinite_scales import products, shift_of


class TrainedBiases(NamedTuple):
    """What they add to Θ, see ``infinite_scales.Shift``; ``added`` is s G^(L−1)."""

    ratio: float
    terms: np.ndarray
    added: float


class Kind(NamedTuple):
    """Which of the recursions: of X with itself, with random or with trained biases, of Θ or C."""

    symmetric: bool
    biased: bool
    shifted: bool
    ntk: bool


@row_kernel
def _stretch(
    S,
    i,
    own: Inputs,
    start,
    other: Inputs,
    meets,
    biases: TrainedBiases,
    angle: Angle,
    kind: Kind,
    work,
):
    """Row i of S from column ``start`` on becomes Θ, or C where not ``kind.ntk``.

    ``meets`` is where along the stretch x meets itself, if it does.
    """
    # The vectorizer gives up on a loop with too many arrays that might overlap: no loop here or in
    # what it calls writes or reads more than it has to.
    wide_vectors()
    X, units, es, r, q, norms = own
    other_X, other_units, other_es, other_r, other_q, other_norms = other
    ratio, terms, added = biases
    _, biased, shifted, ntk = kind
    n = S.shape[0]
    stop = start + n
    one = S.dtype.type(1)
    z = work[0, :n]
    kernel = work[1, :n]
    tau = work[2, :n]
    unit = units[i]
    other_unit = other_units[start:stop]
    first = q[0, i]
    other_first = other_q[0, start:stop]
    for j in range(n):
        S[j] *= unit * other_unit[j]
        kernel[j] = S[j] + first * other_first[j]
    if r.shape[0] > 0:
        row = FirstLayer(X[i], unit, es[i], first)
        others = FirstLayer(other_X[start:stop], other_unit, other_es[start:stop], other_first)
        first_angles(z, kernel, S, work[3, :n], row, others, biased, meets)
    if shifted:
        tau[:] = one
    kept = one if ntk else one - one
    for l in range(r.shape[0]):
        rs = other_r[l, start:stop]
        qs = other_q[l + 1, start:stop]
        if shifted:
            shifted_relu(z, kernel, tau, r[l, i], rs, ratio, terms[l], angle)
        else:
            relu(z, kernel, kept, r[l, i], rs, q[l + 1, i], qs, angle)
        if biased:
            next_angles(z, r[l, i], rs, q[l + 1, i], qs)
    norm = norms[i]
    other_norm = other_norms[start:stop]
    if shifted:
        for j in range(n):
            S[j] = fma(tau[j], added, kernel[j] * norm * other_norm[j])
    else:
        for j in range(n):
            S[j] = kernel[j] * norm * other_norm[j]


@parallel_kernel
def _blocks(
    task,
    S,
    blocks,
    own: Inputs,
    other: Inputs,
    biases: TrainedBiases,
    angle: Angle,
    kind: Kind,
):
    """``blocks`` is (tasks, blocks of a task, 4): the bounds top, bottom, left, right of each."""
    X, other_X, symmetric = own.X, other.X, kind.symmetric
    one = S.dtype.type(1)
    work = np.empty((4, STRETCH), S.dtype)
    for k in range(blocks.shape[1]):
        top = blocks[task, k, 0]
        bottom = blocks[task, k, 1]
        left = blocks[task, k, 2]
        right = blocks[task, k, 3]
        x, y = X[top:bottom, :], other_X[left:right, :]
        gemm(PLAIN, TRANSPOSED, one, x, y, one * 0, S[top:bottom, left:right])
        for i in range(top, bottom):
            end = min(right, i + 1) if symmetric else right
            for start in range(left, end, STRETCH):
                stop = min(start + STRETCH, end)
                meets = i - start if symmetric else -1
                part = S[i, start:stop]
                _stretch(part, i, own, start, other, meets, biases, angle, kind, work)
        if symmetric:
            mirror(S, top, bottom, right)


def infinite_width(X, other_X, n_layers, weight, gain, bias, shift, ntk):
    """The infinite-width NTK Θ or the NNGP covariance C of the outputs; docs/theory.md.

    C^1 = weight² x·x' + bias², C^{l+1} = gain² E[a^l a'^l] + bias²,
    Θ^1 = C^1 + shift², Θ^{l+1} = gain² E[1[h^l > 0] 1[h'^l > 0]] Θ^l + C^{l+1} + shift²
    for normal preactivations h^l of covariance C^l.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    other_X : ndarray, shape (N', d), or None
        None for X itself; half the work is then done, and the result is exactly symmetric.
    n_layers : int
        L.
    weight, gain, bias, shift : float
        The standard deviation of the first layer per unit of x, that of the other layers, that of
        the random biases, and the root of what trained biases add to Θ beside it; one of the last
        two is 0.
    ntk : bool
        Θ if true, C if not.

    Returns
    -------
    ndarray, shape (N, N')

    Raises
    ------
    OverflowError
        ``overflows`` or ``underflows``.
    """
    scalar, gain = X.dtype.type, gain / math.sqrt(2)
    kind = Kind(other_X is None, bool(bias), bool(shift) and ntk, ntk)
    own, norm = inputs_of(X, n_layers, weight, gain, bias)
    other, other_norm = own, norm
    if not kind.symmetric:
        other, other_norm = inputs_of(other_X, n_layers, weight, gain, bias)
    ratio, terms, added = shift_of(n_layers, gain, shift)
    factors = products(norm, other_norm, X.dtype, added if kind.shifted else None)
    own, other = own._replace(norms=factors[0]), other._replace(norms=factors[1])
    biases = TrainedBiases(scalar(ratio), terms.astype(X.dtype), factors[2])
    result = np.empty((len(own.X), len(other.X)), X.dtype)
    with sequential_blas:
        blocks = shares(*result.shape, kind.symmetric)
        _blocks[len(blocks)](result, blocks, own, other, biases, angle_of(X.dtype), kind)
    if factors[3] and not np.isfinite(result).all():
        raise OverflowError("overflows")
    return result
