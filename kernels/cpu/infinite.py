"""The infinite-width recursion over all layers, in one pass over the matrix.

Per pair of inputs the recursion carries the covariance C of the preactivations and the kernel Θ
from layer to layer. With n² = C(x, x), n'² = C(x', x') and t = 1 − cos θ = 1 − C/(n n'):

    first layer    C = w x·x' + b,                              Θ = C + shift
    ReLU           t̃ = 1 − (sin θ + (π − θ) cos θ)/π,           p = (g/2) n n'
    next layer     C⁺ = p (1 − t̃) + b,                          Θ⁺ = (g/2) (1 − θ/π) Θ + C⁺ + shift
                   t⁺ = (p t̃ + b (g/2)(n − n')² / (n⁺n'⁺ + p + b)) / (n⁺n'⁺),   n⁺² = (g/2) n² + b

t is carried and not cos θ, because arccos loses half the digits near cos θ = 1 and nothing in t̃ and
t⁺, which equals 1 − C⁺/(n⁺n'⁺), cancels there. The first t does suffer in 1 − C/(n n'): where the
rows are nearly parallel or opposite, it comes from the rows themselves, as ‖u ∓ u'‖²/2 for
u = (√w x, √b)/n.
"""

import numpy as np
from numba import prange

from ntklin.kernels.cpu.compiler import kernel, parallel_kernel, wide_vectors

# The side of a tile: a row of it stays in the first-level cache; N = 1000 makes 36 tiles.
TILE = 128
# Below this, t or 2 − t comes from the rows: above, its rounding moves θ by at most some 30 eps.
NEAR = 2.0**-10

# arcsin(√y)/√y = 1 + y Σ_k c_k y^k on [0, 1/2]: minimax polynomials with relative errors of 2^-58
# and 2^-29, below the rounding of their dtype.
ARCSINE = {
    np.dtype(np.float64): (
        0.1666666666666691808,
        0.0749999999992059155,
        0.0446428572311699101,
        0.03038193943500302967,
        0.02237232984211947196,
        0.01734892740953637042,
        0.01402511373153062522,
        0.01086367952018639289,
        0.0156262283947416832,
        -0.02958735279124659978,
        0.1962048130188518403,
        -0.7185523589678417625,
        2.150230241108215344,
        -4.843621579033063605,
        8.243155300020184578,
        -10.1984515162373114,
        8.726186503759108861,
        -4.624439160636428725,
        1.165925150011378311,
    ),
    np.dtype(np.float32): (
        0.1666662311915487739,
        0.07502682870551217209,
        0.0440817797791261233,
        0.03599120844081428592,
        -0.008057738307201878801,
        0.1103300236921072679,
        -0.1399682664605172135,
        0.1261148382744277533,
    ),
}

# Nothing here divides by zero, and without the check for it the loops vectorize.
row_kernel = kernel(error_model="numpy")


@row_kernel
def _signed(t, one):
    """t where the angle is acute, else t − 2: the distance from the nearer end of [0, 2]."""
    return t if t <= one else t - (one + one)


@row_kernel
def _polynomial(c, y):
    total = c[len(c) - 1]
    for k in range(len(c) - 2, -1, -1):
        total = total * y + c[k]
    return total


@row_kernel
def _exact_t(x, other_x, root, inverse, other_inverse, offset, opposite):
    """‖u ∓ u'‖²/2 from the rows x and x', u = (√w x, √b)/n."""
    scale = root * inverse
    other_scale = root * other_inverse
    constant = offset * inverse
    other_constant = offset * other_inverse
    if opposite:
        other_scale = -other_scale
        other_constant = -other_constant
    total = (constant - other_constant) * (constant - other_constant)
    for k in range(x.shape[0]):
        difference = scale * x[k] - other_scale * other_x[k]
        total += difference * difference
    return total / (root.dtype.type(2))


@row_kernel
def _first_angles(C, x, other_x, weight, b, inverse, other_inverse, z, tiny):
    """z from the covariances C of the first layer, with its nearly parallel pairs redone."""
    wide_vectors()
    one = C.dtype.type(1)
    near = C.dtype.type(NEAR)
    count = 0
    for j in range(C.shape[0]):
        z[j] = _signed(one - C[j] * inverse * other_inverse[j], one)
        count += abs(z[j]) < near
    if count == 0:
        return
    root = np.sqrt(weight)
    offset = np.sqrt(b)
    for j in range(C.shape[0]):
        if abs(z[j]) < near:
            opposite = C[j] < 0
            t = _exact_t(x, other_x[j], root, inverse, other_inverse[j], offset, opposite)
            z[j] = -max(t, tiny) if opposite else t
