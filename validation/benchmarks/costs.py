"""What each work costs: the flops that are done, those of the dense form, and the bytes that move.

A multiplication with its addition counts as two. The flops done are those of the algorithm, by the
layer structure, the symmetry and, where it uses them, the ReLU zeros, whatever an implementation
then does with registers, padding and small sizes. The dense form is the textbook one, J stored and
multiplied: 2N²P for a Gram matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ntklin.validation.benchmarks.cases import Problem
from ntklin.validation.benchmarks.plain import Passes

# How many neurons an entry of the Gram matrix's tables of subset sums stands for.
SUBSET = 4
# How many samples an entry of a training step's tables stands for.
SAMPLES = 5
# Inputs from which on a forward pass skips zeros.
MANY = 100


@dataclass(frozen=True)
class Cost:
    """The cost of one call, or of one step.

    Attributes
    ----------
    flops : float or None
        Done.
    dense_flops : float or None
        Of the dense form of the same work.
    unskipped_flops : float or None
        Of the same matrix products if no use were made of zeros.
    n_bytes : float or None
        That must move to or from memory at least.
    bound : {"copy", "fill"}
        Which bandwidth ``n_bytes`` are measured against.
    """

    flops: float | None = None
    dense_flops: float | None = None
    unskipped_flops: float | None = None
    n_bytes: float | None = None
    bound: str = "copy"


# Also of several outputs and of other activations than ReLU.
UNCOUNTED = Cost()


def forward(widths: Sequence[int], n: int) -> int:
    """The matrix products of a forward pass."""
    return 2 * n * sum(k * m for k, m in pairwise(widths))


def skipping_forward(passes: Passes, widths: Sequence[int], n: int) -> float:
    """Those of a forward pass that skips the zeros among its layers' inputs, if these are many."""
    if n < MANY:
        return forward(widths, n)
    return 2.0 * sum(np.count_nonzero(a) * m for a, m in zip(passes.a, widths[1:], strict=True))


def backward(widths: Sequence[int], n: int) -> int:
    """The matrix products of the backward signals; the input's signal is not needed."""
    return 2 * n * sum(k * m for k, m in pairwise(widths[1:]))


def jacobian(problem: Problem) -> Cost:
    """Each of the N P entries is one product and is written once."""
    widths, n, P = problem.case.widths, problem.n, len(problem.theta)
    flops = forward(widths, n) + backward(widths, n) + n * P
    return Cost(flops=flops, n_bytes=n * P * problem.dtype.itemsize, bound="fill")


def gram(problem: Problem, passes: Passes, *, skips_zeros: bool) -> Cost:
    """Both passes, and half of each layer's two N × N products by symmetry.

    Skipping the zeros of one factor, row n takes 2(n + 1) flops per non-zero entry. The last hidden
    layer's signals are a constant or zero: subset sums take one addition for SUBSET multiplications
    in the product with the weights below and in their own Gram matrix.

    Returns
    -------
    Cost
    """
    if not problem.case.is_plain:
        return UNCOUNTED
    widths, n, P = problem.case.widths, problem.n, len(problem.theta)
    hidden = (*passes.a[1:], *passes.delta[:-1])
    inputs = n * (n + 1) * widths[0]
    unskipped = forward(widths, n) + backward(widths, n) + inputs
    unskipped += sum(n * (n + 1) * factor.shape[1] for factor in hidden)
    flops = unskipped
    if skips_zeros:
        *below, last = widths[1:-1]
        sums = n * sum(below[-1:]) + n * (n + 1) / 2
        flops = skipping_forward(passes, widths, n) + backward(widths[:-2], n) + inputs
        flops += sums * last / SUBSET
        rows = np.arange(2, 2 * n + 1, 2)
        for factor in hidden[:-1]:
            flops += float(rows @ np.count_nonzero(factor, axis=1))
    return Cost(
        flops=flops,
        dense_flops=2 * n * n * P,
        unskipped_flops=unskipped,
        n_bytes=(P + n * n) * problem.dtype.itemsize,
    )


def weighted_gram(problem: Problem, passes: Passes, *, skips_zeros: bool) -> Cost:
    """Both passes, and half of J D J^T by symmetry.

    Skipping zeros, a neuron takes half of the pairs of its active inputs, times the columns that
    are not zero; else every entry of J is made, scaled by √D and multiplied.

    Returns
    -------
    Cost
    """
    if not problem.case.is_plain:
        return UNCOUNTED
    widths, n, P = problem.case.widths, problem.n, len(problem.theta)
    flops = forward(widths, n) + backward(widths, n)
    if skips_zeros:
        for a, delta in zip(passes.a, passes.delta, strict=True):
            active = np.count_nonzero(delta, axis=0).astype(float)
            live = np.count_nonzero((a != 0).any(axis=0))
            flops += float((active * (active + 1)).sum()) * live
    else:
        flops += n * (n + 1) * P + 2 * n * P
    return Cost(
        flops=flops,
        dense_flops=2 * n * n * P,
        n_bytes=(2 * P + n * n) * problem.dtype.itemsize,
    )


def gradient_step(problem: Problem, passes: Passes, *, reduced: bool) -> Cost:
    """Forward, backward and update.

    Reduced, the first layer goes through its Gram matrix: with one hidden layer by subset sums, one
    addition for SAMPLES samples, else active inputs only. Further hidden layers skip the zeros of
    their inputs; the weights of the last of them meet its signal and its gradient in subset sums.

    Returns
    -------
    Cost
    """
    if not problem.case.is_plain:
        return UNCOUNTED
    widths, n = problem.case.widths, problem.n
    dense = 2 * forward(widths, n) + backward(widths, n)
    if not reduced:
        return Cost(flops=dense, dense_flops=dense)
    flops, groups = 6.0 * n * widths[-2], -(-n // SAMPLES)
    if len(widths) == 3:
        return Cost(flops=flops + n * widths[1] * groups, dense_flops=dense)
    flops += 2 * n * float(np.count_nonzero(passes.delta[0]))
    *dense_pairs, (below, last) = pairwise(widths[1:-1])
    flops += 4 * n * sum(k * m for k, m in dense_pairs) + below * last * (n / SUBSET + groups)
    for a, m in zip(passes.a[1:-1], widths[2:-1], strict=True):
        flops += 2 * m * float(np.count_nonzero(a))
    return Cost(flops=flops, dense_flops=dense)


def adaptive_step(problem: Problem, n_slots: int) -> Cost:
    """Forward, backward and update: at least each live parameter and slot in and out of memory.

    The columns in which no input has a non-zero have no gradient and need not be touched.

    Returns
    -------
    Cost
    """
    widths, n = problem.case.widths, problem.n
    dead = int((~problem.X.any(axis=0)).sum())
    live = len(problem.theta) - dead * widths[1]
    return Cost(
        dense_flops=2 * forward(widths, n) + backward(widths, n),
        n_bytes=2 * (1 + n_slots) * live * problem.dtype.itemsize,
    )


def infinite(problem: Problem) -> Cost:
    """The inputs' Gram matrix, by symmetry; what follows is arithmetic per entry."""
    n, d = problem.X.shape
    return Cost(flops=n * (n + 1) * d, n_bytes=n * n * problem.dtype.itemsize)
