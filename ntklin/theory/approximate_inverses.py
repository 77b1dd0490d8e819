"""M^{-1} ≈ (K_D + ridge·1)^{-1}: factors of the kernel, its limit, one output's, a few columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse.linalg import LinearOperator

from ntklin.algebra.device_matrix import DeviceMatrix
from ntklin.algebra.operators import Product
from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import BLOCK, NotPositiveDefiniteError, PanelMatrix, Tile
from ntklin.algebra.pivoted_cholesky import LowRankInverse, pivoted_cholesky
from ntklin.algebra.square import SquareMatrix
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, free_device_memory, host, namespace
from ntklin.edge.checks import require_memory
from ntklin.edge.errors import DegenerateKernelError, FloatRangeError
from ntklin.edge.ranges import largest_exponent, norm, shift
from ntklin.networks.features import FeatureMap
from ntklin.networks.infinite import infinite_ntk
from ntklin.networks.mean_output import mean_output
from ntklin.networks.mlp import MLP
from ntklin.networks.network import named
from ntklin.networks.streamed import StreamedFeatures
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.solver_costs import (
    has_room_on_device,
    memory_of,
    nystrom_rank,
    tile_inputs,
)
from ntklin.theory.solver_options import SolverOptions
from ntklin.theory.source import Source, runs

if TYPE_CHECKING:
    from ntklin.theory.kernel_equation import KernelEquation

# What is added to the diagonal before float32 factorizes, in units of what its rounding is expected
# to do, and by how much more where that does not suffice.
_MARGIN = 4.0
_MORE = 16.0
_TRIALS = 6
# By how much, relative to its size, an M^{-1} of the user's may fail to be symmetric.
_ASYMMETRY = 1e-3


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


def approximate_inverse(equation: KernelEquation, options: SolverOptions) -> ApproximateInverse:
    """The one of these options.

    Parameters
    ----------
    equation : KernelEquation
    options : SolverOptions

    Returns
    -------
    ApproximateInverse

    Raises
    ------
    DegenerateKernelError
        If Cholesky breaks down.
    MemoryLimitError
        If it does not fit.
    """
    source, name = equation.source, options.solver
    given = options.preconditioner
    if name == "pcg" and given is not None and not isinstance(given, str):
        return _of_the_user(given, source)
    if name == "pcg":
        name = given or default_preconditioner(equation)
    sizes, anchor = (source.n_samples, source.columns.rows), None
    # Who keeps panels in files has them on the host.
    if options.course is None and has_room_on_device(
        name, *sizes, free_device_memory(source.anchor)
    ):
        anchor = source.anchor
    require_memory(
        memory_of(name if anchor is None else "none", *sizes),
        f"solver={options.solver!r} with {equation.units.linearization.described_kernel}",
        source.without_kernel,
    )
    if name == "none":
        return ApproximateInverse(solve=None, size=source.n_rows)
    if name == "ntk":
        return _limit(equation, options, anchor)
    if name == "mean_output":
        return _mean_output(equation, options, anchor)
    if name == "nystrom":
        return _nystrom(equation, options)
    return _factor(equation, options, anchor)


def default_preconditioner(equation: KernelEquation) -> str:
    """``"ntk"`` where the limit is known and D = 1, otherwise ``"nystrom"``."""
    source = equation.source
    if source.rank_bound is None or (
        equation.weights is not None and not isinstance(equation.weights, float | int)
    ):
        return "nystrom"
    try:
        phi = source.features
        infinite_ntk(phi.network, phi.inputs[:1])  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, ArithmeticError, RuntimeError):
        return "nystrom"
    return "ntk"


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


def _blocks(equation: KernelEquation, anchor: Any = None) -> Callable[[slice, slice], Array]:
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


def _factor(equation: KernelEquation, options: SolverOptions, anchor: Any) -> ApproximateInverse:
    """Cholesky of the kernel itself, in float64 or in float32; beside ``anchor`` if not None."""
    source, block = equation.source, _blocks(equation, anchor)
    n, C = source.n_rows, source.columns.rows
    if options.solver == "mixed":
        return _in_single(block, (n, C), equation.ridge, options, anchor)
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


def _in_single(
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


def _limit(equation: KernelEquation, options: SolverOptions, anchor: Any) -> ApproximateInverse:
    """Θ + ridge·1 of infinite width, one N × N factor in float32 for all outputs: Θ ⊗ 1_C."""
    source = equation.source
    net: Any = source.features.network
    X = source.features.inputs

    def tile(rows: slice, columns: slice) -> Array:
        return infinite_ntk(net, X[rows], None if rows == columns else X[columns])

    # Θ is that of φ itself, K' that of φ' = 2^(−e) φ.
    return _one_for_all(tile, 2 * equation.units.exponent, equation, options, anchor)


def _mean_output(
    equation: KernelEquation, options: SolverOptions, anchor: Any
) -> ApproximateInverse:
    """The kernel of one output in the place of all, + ridge·1: one factor as of Θ."""
    phi: Any = equation.source.features
    if type(phi.network) is not MLP or not isinstance(phi, FeatureMap | StreamedFeatures):
        raise ValueError(
            f"preconditioner='mean_output' needs the features of an ntklin.MLP, not these of "
            f"{named(phi.network)}; take 'ntk' or 'nystrom'"
        )
    net, theta, factor = mean_output(phi.network, phi.parameters)
    streamed = phi.chunk_rows if isinstance(phi, StreamedFeatures) else None
    ours = net.features(theta, phi.inputs, rows=streamed)
    # Its own units, and those of φ'.
    even, e = ours.balanced(np.float64)
    one, unit = FeatureSource(even), 2 * (equation.units.exponent - e)

    def tile(rows: slice, columns: slice) -> Array:
        return factor * one.tile(rows, columns)

    return _one_for_all(tile, unit, equation, options, anchor)


def _one_for_all(
    tile: Callable[[slice, slice], Array],
    unit: int,
    equation: KernelEquation,
    options: SolverOptions,
    anchor: Any,
) -> ApproximateInverse:
    """(D K_1 + ridge·1) ⊗ 1_C, 2^unit K_1 having these tiles, of a number D, 1 for any other."""
    n, weights = equation.source.n_samples, equation.weights
    number = weights if isinstance(weights, float | int) else 1.0

    def block(rows: slice, columns: slice) -> Array:
        found = tile(rows, columns)
        return number * shift(host(found) if anchor is None else found, -unit)

    one = _in_single(block, (n, 1), equation.ridge, options, anchor)
    assert one.solve is not None
    single = one.solve

    def solve(right: Array) -> Array:
        return single(right.reshape(n, -1)).reshape(right.shape)

    return ApproximateInverse(solve=solve, size=equation.source.n_rows, shift=one.shift)


def _nystrom(equation: KernelEquation, options: SolverOptions) -> ApproximateInverse:
    """F F^T + δ1 from randomly chosen columns; δ is the mean of what they leave, and the ridge."""
    source, block = equation.source, _blocks(equation)
    n, C = source.n_rows, source.columns.rows
    diagonal = np.concatenate([block(i, i).diagonal().astype(np.float64) for i in runs(n // C, 64)])
    rank, report, taken = nystrom_rank(n), options.report("kernel"), 0

    def columns(inputs: Array) -> Array:
        nonlocal taken
        taken += len(inputs) * C
        if report is not None:
            report(min(taken, rank), rank)
        return source.columns_of(inputs, equation.weights)

    F = pivoted_cholesky(diagonal, columns, rank, group=C, rng=np.random.default_rng(0))
    left = float(diagonal.sum() - np.einsum("ij,ij->", F, F)) / max(1, n - F.shape[1])
    least = np.finfo(np.float64).eps * n * float(diagonal.max())
    low = LowRankInverse(F, max(left, least) + equation.ridge)
    return ApproximateInverse(solve=low.solve, size=n)


def _of_the_user(given: LinearOperator | Product, source: Source) -> ApproximateInverse:
    """M^{-1} as an operator or a function, whose results are checked.

    A function is given arrays where the user's are; SciPy's operators take NumPy's alone.

    Returns
    -------
    ApproximateInverse
    """

    def solve(right: Array) -> Array:
        if isinstance(given, LinearOperator):
            found = given @ right
        else:
            found = given(beside(right.copy(), source.anchor))
        found = as_array(host(found), "what preconditioner returns").astype(np.float64, copy=False)
        if found.shape != right.shape:
            raise ValueError(
                f"preconditioner must return an array of the shape {right.shape} that it was "
                f"given, got shape {found.shape}"
            )
        if not np.isfinite(found).all():
            raise ValueError("preconditioner returned NaN or infinite values")
        return found

    _require_symmetric(solve, source.n_rows)
    return ApproximateInverse(solve=solve, size=source.n_rows)


def _require_symmetric(solve: Product, n: int) -> None:
    """Refuse an M^{-1} with which conjugate gradients would only go on: of two vectors it is seen.

    What is approximate, such as a few inner iterations, may be off by a little.

    Raises
    ------
    ValueError
    """
    both = np.random.default_rng(0).standard_normal((n, 2))
    with np.errstate(over="ignore", invalid="ignore"):
        found = solve(both)
        (_, one), (other, _) = both.T @ found
        size = norm(both.reshape(-1)) * norm(found.reshape(-1))
    if abs(one - other) > _ASYMMETRY * size:
        raise ValueError(
            "preconditioner must be symmetric, but ⟨u, M^-1 v⟩ and ⟨M^-1 u, v⟩ are "
            f"{one:.6g} and {other:.6g} for some u and v"
        )
