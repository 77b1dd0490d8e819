"""Activations on the CPU: a = α(h) and the slopes α'(h), while a block of h is in cache.

The library's own are compiled once, with the choice among them inside, and kept between processes.
A user's own pair of functions takes the same loops, compiled for it in each process. All of them
call ``row``, which does a row at a time: what is made of exponentials has vector lanes there.
"""

from functools import lru_cache, partial
from types import FunctionType

import numpy as np
from numba import njit, types
from numba.core.errors import NumbaError

from ntklin.kernels import activations as bodies
from ntklin.kernels.activations import BODIES
from ntklin.kernels.cpu.compiler import CONTRACTED, kernel, parallel_kernel
from ntklin.kernels.cpu.exponentials import (
    erf_row,
    gelu_row,
    sigmoid_row,
    softplus_row,
    tanh_row,
)
from ntklin.kernels.cpu.intrinsics import next_task, wide_vectors
from ntklin.kernels.cpu.launching import turns
from ntklin.kernels.cpu.layer_products import (
    Work,
    blas_beside,
    multiply,
    packed_inputs,
    product_work,
    task_rows,
)
from ntklin.kernels.cpu.plain import JIT_DISABLED

KINDS = {name: kind for kind, name in enumerate(BODIES)}
RELU, LEAKY_RELU, ABS, ERF, TANH, GELU, SOFTPLUS, SIGMOID, SIN = KINDS.values()
# The kind of a pair of somebody else.
FOREIGN = -1

_leaky_relu, _leaky_relu_slope = kernel(bodies.leaky_relu), kernel(bodies.leaky_relu_slope)
_absolute, _absolute_slope = kernel(bodies.absolute), kernel(bodies.absolute_slope)
_sine, _sine_slope = kernel(bodies.sine), kernel(bodies.sine_slope)


@kernel
def value(kind, p, h):
    """α(h) of one of those that have no row of their own."""
    if kind == LEAKY_RELU:
        return _leaky_relu(h, p)
    if kind == ABS:
        return _absolute(h, p)
    return _sine(h, p)


@kernel
def slope(kind, p, h):
    """α'(h) of one of those."""
    if kind == LEAKY_RELU:
        return _leaky_relu_slope(h, p)
    if kind == ABS:
        return _absolute_slope(h, p)
    return _sine_slope(h, p)


def _row_by_numbers(kind, p, A, slopes, i, start, stop):
    """A row of what takes one number at a time."""
    for n in range(start, stop):
        h = A[i, n]
        A[i, n] = value(kind, p, h)
        slopes[i, n] = slope(kind, p, h)


_other_row = kernel(_row_by_numbers)


@kernel
def _relu_row(A, slopes, i, start, stop):
    wide_vectors()
    zero, one = A.dtype.type(0), A.dtype.type(1)
    for n in range(start, stop):
        h = A[i, n]
        slopes[i, n] = one if h > zero else zero
        A[i, n] = max(h, zero)


@kernel
def row(kind, p, A, slopes, i, start, stop):
    """A_i ← α(A_i), slopes_i ← α'(A_i) in columns start … stop: one choice for the whole row."""
    # Nothing to check for a negative index; and one type, so that a row is compiled once.
    i, start, stop = np.uint64(i), np.uint64(start), np.uint64(stop)
    if kind == RELU:
        _relu_row(A, slopes, i, start, stop)
    elif kind == TANH:
        tanh_row(A, slopes, i, start, stop)
    elif kind == SIGMOID:
        sigmoid_row(A, slopes, i, start, stop)
    elif kind == SOFTPLUS:
        softplus_row(p, A, slopes, i, start, stop)
    elif kind == ERF:
        erf_row(A, slopes, i, start, stop)
    elif kind == GELU:
        gelu_row(A, slopes, i, start, stop)
    else:
        _other_row(kind, p, A, slopes, i, start, stop)


class ActivationLoop:
    """A parallel kernel for every activation: ``loop[n](body, *arguments)``.

    Parameters
    ----------
    function : callable
        The source of a turn, ``f(k, kind, p, *arguments)`` with the activation's kind and its
        number p, which takes ``row(kind, p, A, slopes, i, start, stop)`` from its globals.
    """

    def __init__(self, function):
        self._function = function
        self._own = parallel_kernel(function)

    def __getitem__(self, n_turns):
        return partial(self._take, n_turns)

    def _take(self, n_turns, body, *arguments):
        if body.name in KINDS:
            return self._own[n_turns](KINDS[body.name], body.p, *arguments)
        loop = _compiled_for(self._function, body)
        return loop[n_turns](FOREIGN, body.p, *arguments)


def _of_one(function):
    """A user's function of h, with the arguments that ours have."""
    if JIT_DISABLED:
        return lambda kind, p, h: float(function(float(h)))
    # Not kept on disk: it may come from anywhere.
    compiler = njit(nogil=True, fastmath={"contract"})
    own = compiler(function) if type(function) is FunctionType else function

    @njit(nogil=True)
    def called(kind, p, h):
        return own(h)

    try:
        called.compile((types.int64, types.float64, types.float64))
    except NumbaError as e:
        first = str(e).strip().splitlines()[0]
        raise TypeError(
            f"the activation's function {function!r} cannot be compiled ({first}); it may use "
            "numbers, the module math, and other functions compiled by numba.njit"
        ) from e
    return called


@lru_cache(maxsize=64)
def _compiled_for(loop, body):
    """A loop with the functions of a body that is not one of ours."""
    own_row = _with(_row_by_numbers, value=_of_one(body.value), slope=_of_one(body.slope))
    options = {"nogil": True, **CONTRACTED}
    turn = _with(loop, row=own_row if JIT_DISABLED else njit(**options)(own_row))
    return turns(turn, njit(**options))


def _with(function, **names):
    """The same function with others in the place of those that it calls by these names."""
    known = {**function.__globals__, **names}
    return FunctionType(function.__code__, known, f"{function.__name__}_of_a_user")


@ActivationLoop
def _layer(worker, kind, p, layer, below, packed, a, slopes, block, work: Work):
    """a = α(w a' W^T + v b) and α' there."""
    W, b, w, v = layer
    sums, counter, doubtful = work
    start = next_task(counter) * block
    while start < W.shape[0]:
        stop = min(start + block, W.shape[0])
        doubtful[worker] += multiply(w, below, packed, W, start, stop, a, sums[worker])
        for n in range(a.shape[0]):
            for i in range(start, stop):
                a[n, i] += v * b[i]
            row(kind, p, a, slopes, n, start, stop)
        start = next_task(counter) * block


def activated(body, layer, below):
    """a = α(w a' W^T + v b) and the slopes α' there.

    Parameters
    ----------
    body : Body
    layer : Layer
    below : ndarray, shape (N, m')

    Returns
    -------
    a, slopes : ndarray, shape (N, m)
    doubtful : int
        How many rows of W may have an element that is not finite.
    """
    a = np.empty((len(below), len(layer.W)), below.dtype)
    slopes, packed = np.empty_like(a), packed_inputs(below, layer.W)
    work, block = product_work(packed), task_rows(packed, layer.W)
    with blas_beside(packed):
        _layer[len(work.sums)](body, layer, below, packed, a, slopes, block, work)
    return a, slopes, int(work.doubtful.sum())
