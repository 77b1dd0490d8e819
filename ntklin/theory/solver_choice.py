"""Which solver ``"auto"`` stands for, and which ones a problem refuses."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ntklin.algebra.preconditioners import Constant, rank_bound
from ntklin.edge.backends import free_device_memory
from ntklin.edge.checks import fits
from ntklin.theory.solver_costs import has_room_on_device, memory_of
from ntklin.theory.solver_options import SolverOptions

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization

_log = logging.getLogger("ntklin.theory")

# Up to this many rows a kernel is small, and ``"auto"`` does not look for other ways than today's.
SMALL = 8192


def chosen(
    options: SolverOptions,
    lin: Linearization,
    *,
    weights: Constant,
    rcond: float | None,
    ridge: float,
) -> SolverOptions:
    """The options with a solver in the place of ``"auto"``, which stays that of small problems.

    Parameters
    ----------
    options : SolverOptions
    lin : Linearization
    weights : float, ndarray, LowRank or None
        D.
    rcond, ridge : float

    Returns
    -------
    SolverOptions

    Raises
    ------
    ValueError
        For a solver that cannot take this D.
    """
    source = lin.source
    trained = None if source.rank_bound is None else rank_bound(weights, source.rank_bound)
    is_cut = rcond is not None or (trained is not None and trained < source.n_rows and not ridge)
    if options.solver == "auto":
        if is_cut or source.n_rows <= SMALL:
            why = "null directions are cut" if is_cut else f"there are no more than {SMALL} rows"
            _log.info("solver='auto' keeps the kernel of %d rows: %s", source.n_rows, why)
            return options
        on_device = free_device_memory(source.anchor)
        name = large(source.n_samples, source.columns.rows, device_free=on_device)
        _log.info("solver='auto' takes %r, the first that fits for %d rows", name, source.n_rows)
        return replace(options, solver=name)
    if is_cut and options.solver != "eigh":
        raise ValueError(
            f"solver={options.solver!r} needs a kernel of full rank, but {source.n_rows} rows have "
            f"{trained} trained parameters: take solver='eigh', which cuts null directions, or a "
            "ridge"
        )
    return options


def large(
    n_samples: int,
    per_input: int,
    free: float | None = None,
    device_free: float | None = None,
) -> Any:
    """The fastest solver that fits, for kernels that are not small.

    On a GPU a factor of half a kernel; where no factor fits there, on the host.

    Parameters
    ----------
    n_samples : int
        N.
    per_input : int
        M/N.
    free : float, optional
        Bytes; what is free when not given.
    device_free : float, optional
        Bytes that are free on the GPU that the arrays are on; None for arrays of NumPy.

    Returns
    -------
    str
        ``"auto"``, Cholesky of a kernel that is kept, ``"packed"``, ``"mixed"`` or ``"pcg"``.
    """
    names = "auto", "packed", "mixed"
    if device_free is not None:
        names = names[1:]  # a kernel that is kept would be there whole, with its products
        for name in names:
            if has_room_on_device(name, n_samples, per_input, device_free):
                return name
    for name in names:
        need = memory_of(name, n_samples, per_input)
        if fits(need) if free is None else need <= free:
            return name
    return "pcg"
