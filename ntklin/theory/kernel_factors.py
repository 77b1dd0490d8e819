"""Cholesky factors of kernels that come block by block, in float64 and in float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ntklin.algebra.device_matrix import DeviceMatrix
from ntklin.algebra.operators import Product
from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import BLOCK, NotPositiveDefiniteError, PanelMatrix, Tile
from ntklin.algebra.square import SquareMatrix
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, namespace
from ntklin.edge.errors import DegenerateKernelError, FloatRangeError
from ntklin.edge.ranges import largest_exponent, shift
from ntklin.theory.solver_costs import tile_inputs
from ntklin.theory.solver_options import SolverOptions
from ntklin.theory.source import runs

if TYPE_CHECKING:
    from ntklin.theory.kernel_equation import KernelEquation

# What is added to the diagonal before float32 factorizes, in units of what its rounding is expected
# to do, and by how much more where that does not suffice.
_MARGIN = 4.0
_MORE = 16.0
_TRIALS = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class ApproximateInverse:
    """M^{-1} and what is known of it.

    Attributes
    ----------
    solve : callable or None
        R ↦ M^{-1} R, (M, k); None for M = 1.
    size : int
        The rows of M.
    norm : float or None
        An upper bound of ‖M‖_2 where M is the matrix that is to be inverted.
    shift : float
        What was added to its diagonal, in units of the kernel.
    """

    solve: Product | None
    size: int
    norm: float | None = None
    shift: float = 0.0


def blocks(equation: KernelEquation, anchor: Any = None) -> Callable[[slice, slice], Array]:
    """Blocks of the kernel on the host, or beside ``anchor`` if not None.

    What has left the range is told here, and is not a singular kernel.

    Returns
    -------
    callable
    """
    source, D = equation.source, equation.weights

    def block(rows: slice, columns: slice) -> Array:
        K, fault = source.tile(rows, columns, D), ""
        if not bool(namespace(K).isfinite(K).all()):
            fault = "overflows"
        elif rows == columns and 0 < float(K.diagonal().max()) < np.finfo(K.dtype).tiny:
            fault = "underflows"
        if fault:
            raise FloatRangeError(f"the kernel {fault} {K.dtype}; {source.remedy}")
        return host(K) if anchor is None else beside(K, anchor)

    return block


def factor(equation: KernelEquation, options: SolverOptions, anchor: Any) -> ApproximateInverse:
    """Cholesky of the kernel itself, in float64 or in float32; beside ``anchor`` if not None."""
    source, block = equation.source, blocks(equation, anchor)
    n, C = source.n_rows, source.columns.rows
    if options.solver == "mixed":
        return in_single(block, (n, C), equation.ridge, options, anchor)
    if options.solver == "packed" and options.course is not None:
        packed = PackedMatrix(n, np.float64, tile_inputs(C) * C)
        try:
            _built(packed, block, C, equation.ridge, options)
        except NotPositiveDefiniteError as e:
            raise _broken_down(e) from None
        return ApproximateInverse(solve=packed.solve, size=n)
    kind = SquareMatrix if options.solver == "cholesky" else PackedMatrix
    matrix = _empty(kind, n, np.float64, tile_inputs(C) * C, anchor)
    _filled(matrix, block, C, options)
    matrix.shift_diagonal(equation.ridge)
    size = matrix.norm()
    if not math.isfinite(size):
        raise FloatRangeError(f"the kernel overflows {matrix.dtype}; {source.remedy}")
    try:
        matrix.factorize(options.report("factor"))
    except NotPositiveDefiniteError as e:
        raise _broken_down(e) from None
    return ApproximateInverse(solve=matrix.solve, size=n, norm=size)


def in_single(
    block: Callable[[slice, slice], Array],
    sizes: tuple[int, int],
    ridge: float,
    options: SolverOptions,
    anchor: Any,
) -> ApproximateInverse:
    """A packed Cholesky factor in float32 of a kernel + (ridge + shift)·1, whatever its scale.

    The shift begins with what rounding in float32 is expected to move eigenvalues by, √n errors of
    √(panels) sums, and grows where that does not suffice. ``sizes`` are the kernel's rows and how
    many of them an input has.

    Returns
    -------
    ApproximateInverse

    Raises
    ------
    DegenerateKernelError
        If no shift suffices.
    """  # noqa: DOC501
    n, per_input = sizes
    small = runs(n // per_input, max(1, 64 // per_input))
    diagonal = np.concatenate([host(block(i, i).diagonal()) for i in small]).astype(np.float64)
    e = largest_exponent(diagonal)
    matrix = _empty(PackedMatrix, n, np.float32, tile_inputs(per_input) * per_input, anchor)
    eps, mean = float(np.finfo(np.float32).eps), shift(float(diagonal.mean()), -e)
    added = _MARGIN * eps * math.sqrt(n * max(1.0, n / BLOCK)) * mean

    def scaled(rows: slice, columns: slice) -> Array:
        return shift(block(rows, columns), -e)

    course = options.course
    reached = 0.0 if course is None else course.least_shift()
    for trial in range(_TRIALS):
        total = shift(ridge, -e) + added
        if total < reached and trial < _TRIALS - 1:  # an earlier run broke down with it
            added *= _MORE
            continue
        try:
            if course is not None:
                assert isinstance(matrix, PackedMatrix)
                _built(matrix, scaled, per_input, total, options)
            else:
                _filled(matrix, scaled, per_input, options)
                matrix.shift_diagonal(total)
                matrix.factorize(options.report("factor"))
        except NotPositiveDefiniteError as error:
            added *= _MORE
            if trial == _TRIALS - 1:
                raise _broken_down(error) from None
            if course is not None:
                course.raised(shift(ridge, -e) + added)
        else:
            break

    def solve(right: Array) -> Array:
        columns = right.reshape(n, -1)
        # Each column's own: targets and f_0(X) may be further apart than float32 reaches.
        units = np.frexp(abs(columns).max(axis=0))[1]
        with np.errstate(over="ignore", under="ignore"):
            found = matrix.solve(np.ldexp(columns, -units)).astype(np.float64)
            return np.ldexp(found, units - e).reshape(right.shape)

    return ApproximateInverse(solve=solve, size=n, shift=shift(added, e))


def _empty(
    kind: type[SquareMatrix | PackedMatrix], n: int, dtype: DTypeLike, block: int, anchor: Any
) -> PanelMatrix:
    """A matrix of this kind, or on the GPU that ``anchor`` is on."""
    if anchor is None:
        return kind(n, dtype, block)
    return DeviceMatrix(n, dtype, block, anchor=anchor)


def _filled(
    matrix: PanelMatrix,
    block: Callable[[slice, slice], Array],
    per_input: int,
    options: SolverOptions,
) -> None:
    """Let the blocks of inputs write the matrix."""
    rows = 4 * tile_inputs(per_input) * per_input
    matrix.fill(_tile(block, per_input), rows, options.report("kernel"))


def _tile(block: Callable[[slice, slice], Array], per_input: int) -> Tile:
    """Blocks of inputs as tiles of rows and columns."""

    def tile(rows: slice, columns: slice) -> Array:
        first, second = (slice(s.start // per_input, s.stop // per_input) for s in (rows, columns))
        return block(first, second)

    return tile


def _built(
    matrix: PackedMatrix,
    block: Callable[[slice, slice], Array],
    per_input: int,
    shift: float,
    options: SolverOptions,
) -> None:
    """Factorize a matrix + shift·1 as it is filled, where there is somebody who keeps panels."""
    course, rows = options.course, 4 * tile_inputs(per_input) * per_input
    assert course is not None
    matrix.build(_tile(block, per_input), shift, course, rows, options.report("factor"))


def _broken_down(e: NotPositiveDefiniteError) -> DegenerateKernelError:
    return DegenerateKernelError(
        "the kernel K(X, X) is singular to working precision: Cholesky breaks down at row "
        f"{e.row}, counting from 0. Remove the cause, such as equal or parallel inputs up to that "
        "one, or pass ridge= > 0; solver='eigh' names the rows and cuts null directions by rcond="
    )
