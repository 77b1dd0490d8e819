"""M^{-1} ≈ (K_D + ridge·1)^{-1}: factors of the kernel, its limit, one output's, a few columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntklin.algebra.operators import Product
from ntklin.algebra.pivoted_cholesky import LowRankInverse, pivoted_cholesky
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, free_device_memory, host
from ntklin.edge.checks import require_memory
from ntklin.edge.ranges import norm, shift
from ntklin.networks.features import FeatureMap
from ntklin.networks.infinite import infinite_ntk
from ntklin.networks.mean_output import mean_output
from ntklin.networks.mlp import MLP
from ntklin.networks.network import named
from ntklin.networks.streamed import StreamedFeatures
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.kernel_factors import ApproximateInverse, blocks, factor, in_single
from ntklin.theory.solver_costs import (
    has_room_on_device,
    memory_of,
    nystrom_rank,
)
from ntklin.theory.solver_options import SolverOptions
from ntklin.theory.source import Source, runs

if TYPE_CHECKING:
    from ntklin.theory.kernel_equation import KernelEquation

# By how much, relative to its size, an M^{-1} of the user's may fail to be symmetric, and on how
# many pairs of vectors that is looked at.
_ASYMMETRY, _PAIRS = 1e-3, 3


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
    return factor(equation, options, anchor)


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

    one = in_single(block, (n, 1), equation.ridge, options, anchor)
    assert one.solve is not None
    single = one.solve

    def solve(right: Array) -> Array:
        return single(right.reshape(n, -1)).reshape(right.shape)

    return ApproximateInverse(solve=solve, size=equation.source.n_rows, shift=one.shift)


def _nystrom(equation: KernelEquation, options: SolverOptions) -> ApproximateInverse:
    """F F^T + δ1 from randomly chosen columns; δ is the mean of what they leave, and the ridge."""
    source, block = equation.source, blocks(equation)
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
    """Refuse an M^{-1} with which conjugate gradients would only go on: a few vectors tell.

    What is approximate, such as a few inner iterations, may be off by a little.

    Raises
    ------
    ValueError
    """
    rng = np.random.default_rng(0)
    for _ in range(_PAIRS):
        pair = rng.standard_normal((n, 2))
        with np.errstate(over="ignore", invalid="ignore"):
            found = solve(pair)
            (_, one), (other, _) = pair.T @ found
            size = norm(pair.reshape(-1)) * norm(found.reshape(-1)) / 2
            excess = abs(one - other)
        if excess > _ASYMMETRY * size:
            raise ValueError(
                "preconditioner must be symmetric, but ⟨u, M^-1 v⟩ and ⟨M^-1 u, v⟩ are "
                f"{one:.6g} and {other:.6g} for some u and v"
            )
