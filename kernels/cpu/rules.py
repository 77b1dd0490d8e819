"""The optimizers' rules, element by element; each has one body, whoever calls it.

Loops are written so that they become vector instructions: zeros have the arrays'
type (a literal 0 would turn float32 into float64 and back), and a coordinate that stays is stored
like the others (a store under a condition takes several times as long on some processors).
"""

from typing import NamedTuple

import numpy as np

from ntklin.kernels.cpu.compiler import kernel, parallel_kernel
from ntklin.kernels.cpu.intrinsics import fma, wide_vectors

DESCENT, MOMENTUM, ADAGRAD, RMSPROP, ADAM = range(5)
RULES = {
    "descent": DESCENT,
    "momentum": MOMENTUM,
    "adagrad": ADAGRAD,
    "rmsprop": RMSPROP,
    "adam": ADAM,
}
SLOTS = {"descent": 0, "momentum": 1, "adagrad": 1, "rmsprop": 1, "adam": 2}


class Step(NamedTuple):
    """A step of a rule, whatever it moves.

    Attributes
    ----------
    rule : int
        A value of ``RULES``.
    c : ndarray
        The step's coefficients, as an optimizer lists them for its rule.
    """

    rule: int
    c: np.ndarray


class WithSlots(NamedTuple):
    """Parameters and the rule's slots, all of one shape: what a step moves.

    A rule with fewer than two slots never touches what stands in their place.
    """

    theta: np.ndarray
    first: np.ndarray
    second: np.ndarray


def step_of(rule, coefficients, dtype):
    """The ``Step`` of a rule by its name."""
    return Step(RULES[rule], np.array(coefficients, dtype))


def with_slots(theta, slots):
    """``WithSlots`` for as many slots as there are."""
    return WithSlots(theta, *slots, *(theta[:0],) * (2 - len(slots)))


# The least number above 0: a sum of squares that has come to nothing, where there were gradients.
LEAST, LEAST_SINGLE = 5e-324, 1e-45
# Elements that a thread takes at a time: four arrays of them stay in a second-level cache.
BLOCK = 1 << 14


@kernel
def _descend(c, theta, place, g, source, count):
    """θ ← θ − η g."""
    wide_vectors()
    rate = c[0]
    here, there = np.uint64(place), np.uint64(source)
    for k in range(np.uint64(count)):
        j = here + k
        theta[j] -= rate * g[there + k]


@kernel
def _momentum(c, theta, velocity, place, g, source, count):
    """v ← μ v + g, θ ← θ − η (α g + β v): (α, β) is (0, 1), with Nesterov's variant (1, μ)."""
    wide_vectors()
    rate, mu, alpha, beta = c[0], c[1], c[2], c[3]
    here, there = np.uint64(place), np.uint64(source)
    for k in range(np.uint64(count)):
        j = here + k
        v = mu * velocity[j] + g[there + k]
        velocity[j] = v
        theta[j] -= rate * fma(beta, v, alpha * g[there + k])


@kernel
def _kept(s, before, g, least):
    """What is kept of s: the least number instead of 0 where there is or was a gradient.

    So that s = 0 is a coordinate that never had one, where ``preconditioner`` says D = 0; where
    squares only faded or underflow, D = 1/ε, as √ of the least number is nothing beside ε.

    Returns
    -------
    float
    """
    size = abs(g)
    size = before if before > size else size
    floor = size if size < least else least
    return floor if floor > s else s


@kernel
def _nothing(eps, least):
    """The s up to which a step leaves its coordinate: where the denominator would be 0, or none."""
    return least if eps == 0 else -least


@kernel(error_model="numpy")
def _normalized(c, theta, squares, place, g, source, count):
    """s ← α s + β g², θ ← θ − η g/(√s + ε): AdaGrad with α = β = 1, and RMSprop.

    Where the denominator is 0, θ stays. See ``_kept`` for an s of 0.
    """
    wide_vectors()
    rate, alpha, beta, eps = c[0], c[1], c[2], c[3]
    zero = theta.dtype.type(0)
    least = theta.dtype.type(LEAST_SINGLE if theta.itemsize == 4 else LEAST)
    nothing = _nothing(eps, least)
    here, there = np.uint64(place), np.uint64(source)
    for k in range(np.uint64(count)):
        j = here + k
        s = fma(alpha, squares[j], beta * (g[there + k] * g[there + k]))
        s = _kept(s, squares[j], g[there + k], least)
        squares[j] = s
        theta[j] -= rate * (zero if s <= nothing else g[there + k] / (np.sqrt(s) + eps))


@kernel(error_model="numpy")
def _adam(c, theta, means, squares, place, g, source, count):
    """m ← m + (1−β_1)(g − m), s ← β_2 s + (1−β_2) g², θ ← θ − η' m/(κ √s + ε).

    Bias correction is in the coefficients: η' = η/(1 − β_1^t), κ = 1/√(1 − β_2^t). Where the
    denominator is 0, θ stays. See ``_kept`` for an s of 0.
    """
    wide_vectors()
    rate, fresh, alpha, beta, correction, eps = c[0], c[1], c[2], c[3], c[4], c[5]
    zero = theta.dtype.type(0)
    least = theta.dtype.type(LEAST_SINGLE if theta.itemsize == 4 else LEAST)
    nothing = _nothing(eps, least)
    here, there = np.uint64(place), np.uint64(source)
    for k in range(np.uint64(count)):
        j = here + k
        m = means[j] + fresh * (g[there + k] - means[j])
        s = fma(alpha, squares[j], beta * (g[there + k] * g[there + k]))
        means[j] = m
        s = _kept(s, squares[j], g[there + k], least)
        squares[j] = s
        theta[j] -= rate * (zero if s <= nothing else m / (correction * np.sqrt(s) + eps))


@kernel
def apply_step(step: Step, parameters: WithSlots, place, g, source, count):
    """A step in place on ``count`` elements, from ``place`` on in θ and the slots.

    The gradient's elements start at ``source``.
    """
    rule, c = step
    theta, first, second = parameters
    if rule == DESCENT:
        _descend(c, theta, place, g, source, count)
    elif rule == MOMENTUM:
        _momentum(c, theta, first, place, g, source, count)
    elif rule == ADAM:
        _adam(c, theta, first, second, place, g, source, count)
    else:
        _normalized(c, theta, first, place, g, source, count)


@parallel_kernel
def _update(block, step: Step, parameters: WithSlots, g):
    size = parameters.theta.shape[0]
    start = block * BLOCK
    apply_step(step, parameters, start, g, start, min(BLOCK, size - start))


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
    step, parameters = step_of(rule, coefficients, theta.dtype), with_slots(theta, slots)
    if len(theta) <= BLOCK:  # to start and stop the threads takes longer than this
        apply_step(step, parameters, 0, gradient, 0, len(theta))
    else:
        _update[-(-len(theta) // BLOCK)](step, parameters, gradient)
