"""The optimizers' rules, element by element; each has one body, whoever calls it.

c holds a step's coefficients as ``ntklin.optimizers`` lists them for its rule, first and second are
the rule's slots. A coordinate whose denominator is 0 never had a gradient and stays where it is.
"""

import numpy as np
from numba import prange

from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import wide_vectors

RULES = {"descent": 0, "momentum": 1, "adagrad": 2, "rmsprop": 3, "adam": 4}
SLOTS = {"descent": 0, "momentum": 1, "adagrad": 1, "rmsprop": 1, "adam": 2}
# Elements that a thread takes at a time.
BLOCK = 1 << 14


@kernel
def _descend(c, theta, g, start, stop):
    """θ ← θ − η g."""
    wide_vectors()
    rate = c[0]
    for j in range(np.uint64(start), np.uint64(stop)):
        theta[j] -= rate * g[j]


@kernel
def _momentum(c, theta, velocity, g, start, stop):
    """v ← μ v + g, θ ← θ − η (α g + β v): (α, β) is (0, 1), with Nesterov's variant (1, μ)."""
    wide_vectors()
    rate, mu, alpha, beta = c[0], c[1], c[2], c[3]
    for j in range(np.uint64(start), np.uint64(stop)):
        v = mu * velocity[j] + g[j]
        velocity[j] = v
        theta[j] -= rate * (alpha * g[j] + beta * v)


@kernel(error_model="numpy")
def _normalized(c, theta, squares, g, start, stop):
    """s ← α s + β g², θ ← θ − η g/(√s + ε): AdaGrad with α = β = 1, and RMSprop."""
    wide_vectors()
    rate, alpha, beta, eps = c[0], c[1], c[2], c[3]
    for j in range(np.uint64(start), np.uint64(stop)):
        s = alpha * squares[j] + beta * (g[j] * g[j])
        squares[j] = s
        root = np.sqrt(s) + eps
        theta[j] -= rate * g[j] / root if root > 0 else root * 0


@kernel(error_model="numpy")
def _adam(c, theta, means, squares, g, start, stop):
    """m ← m + (1−β_1)(g − m), s ← β_2 s + (1−β_2) g², θ ← θ − η' m/(κ √s + ε).

    Bias correction is in the coefficients: η' = η/(1 − β_1^t), κ = 1/√(1 − β_2^t).
    """
    wide_vectors()
    rate, fresh, alpha, beta, correction, eps = c[0], c[1], c[2], c[3], c[4], c[5]
    for j in range(np.uint64(start), np.uint64(stop)):
        m = means[j] + fresh * (g[j] - means[j])
        s = alpha * squares[j] + beta * (g[j] * g[j])
        means[j] = m
        squares[j] = s
        root = correction * np.sqrt(s) + eps
        theta[j] -= rate * m / root if root > 0 else root * 0


@kernel
def apply_rule(rule, c, theta, first, second, g, start, stop):
    """One step of ``rule`` on the elements start … stop − 1 of all arrays, in place."""
    if rule == 0:
        _descend(c, theta, g, start, stop)
    elif rule == 1:
        _momentum(c, theta, first, g, start, stop)
    elif rule == 4:
        _adam(c, theta, first, second, g, start, stop)
    else:
        _normalized(c, theta, first, g, start, stop)


@parallel_kernel
def _update(rule, c, theta, first, second, g):
    for block in prange((theta.shape[0] + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        stop = min(start + BLOCK, theta.shape[0])
        apply_rule(rule, c, theta, first, second, g, start, stop)


def update(rule, coefficients, theta, slots, gradient):
    """One step of an optimizer's rule on flat arrays, in place.

    Parameters
    ----------
    rule : str
        A key of ``RULES``.
    coefficients : sequence of float
    theta : ndarray, shape (P,)
        Updated.
    slots : sequence of ndarray, shape (P,)
        Updated; as many as ``SLOTS`` says.
    gradient : ndarray, shape (P,)
    """
    # A rule without slots never touches what stands in their place.
    first, second = (*slots, *(theta[:0],) * (2 - len(slots)))
    _update(RULES[rule], np.array(coefficients, theta.dtype), theta, first, second, gradient)
