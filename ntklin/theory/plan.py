"""What a minimizer of N inputs would take, before anything of it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from ntklin.edge.amounts import duration, format_bytes
from ntklin.edge.backends import namespace
from ntklin.edge.checks import as_step, as_word, free_memory
from ntklin.edge.faces.shown import Facts, Shown, facts, outline
from ntklin.networks.mean_output import with_one_output
from ntklin.networks.memory import passes
from ntklin.networks.mlp import MLP
from ntklin.theory.rates import COLUMNS, Rates
from ntklin.theory.solver_choice import SMALL, large
from ntklin.theory.solver_costs import (
    ONE_FOR_ALL,
    device_memory_of,
    memory_of,
    nystrom_rank,
    tile_inputs,
)
from ntklin.theory.solver_options import PreconditionerName, SolverName

# How many solutions a condition number takes.
_CONDITION = 12
# Iterations to a residual of 1e-10 where nobody says: those of one output with 2,000 inputs like
# MNIST's at m = 4000, and the power of N by which they grow; docs/scale.md has what was seen.
_ITERATIONS = {
    "mixed": (4, 0.4),
    "ntk": (40, 0.75),
    "mean_output": (40, 0.75),
    "nystrom": (54, 0.55),
    "none": (300, 0.5),
}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of the work.

    Attributes
    ----------
    name : str
    flops : float
        Of dense arithmetic, skipped zeros counted.
    seconds : float
        At the rates that were measured.
    """

    name: str
    flops: float
    seconds: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan(Shown):
    """What ``lin.minimizer(Y, solver=...)`` of a network will take, by :func:`plan`.

    Attributes
    ----------
    solver : str
        What ``"auto"`` takes, ``"cholesky"`` for that of a small kernel, which is kept.
    n_samples, n_rows : int
        N, and N·C, the size of the kernel.
    phases : tuple of Phase
    memory : int
        Bytes at the peak, φ(X) and the solver's together; the process itself is not counted.
    free : int or None
        Bytes that were free when it was made, where the system tells.
    device_memory : int
        Bytes on the GPU at the peak, φ(X) and the factor where that fits, which ``memory`` then
        does not have; 0 for arrays of NumPy.
    device_free : int or None
        Bytes that were free there.
    iterations : int
        Those of conjugate gradients that the time is for: given, or a guess.
    """

    solver: str
    n_samples: int
    n_rows: int
    phases: tuple[Phase, ...]
    memory: int
    free: int | None
    iterations: int
    device_memory: int = 0
    device_free: int | None = None

    @property
    def seconds(self) -> float:
        """Of all phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def flops(self) -> float:
        """Of all phases."""
        return sum(phase.flops for phase in self.phases)

    @property
    def fits(self) -> bool:
        """Whether the memory is free."""
        needs = (self.memory, self.free), (self.device_memory, self.device_free)
        return all(free is None or need <= free for need, free in needs)

    def _facts(self) -> Facts:
        on_device = None if self.device_free is None else format_bytes(self.device_memory)
        return facts(
            "Plan",
            solver=self.solver,
            samples=self.n_samples,
            kernel_rows=self.n_rows,
            memory=format_bytes(self.memory),
            free=None if self.free is None else format_bytes(self.free),
            on_the_GPU=on_device,
            time=duration(self.seconds),
            work=f"{outline(float(self.flops))} flops",
            iterations=self.iterations or None,
        )

    def __str__(self) -> str:
        free = "" if self.free is None else f" of {format_bytes(self.free)} free"
        taken = f"{format_bytes(self.memory)}{free}"
        if self.device_free is not None:
            there, free = map(format_bytes, (self.device_memory, self.device_free))
            taken = f"{there} of {free} free on the GPU and {taken}"
        lines = [f"solver={self.solver!r}, {self.n_rows} rows: {taken}, {duration(self.seconds)}"]
        for phase in self.phases:
            rate = f"{phase.flops:9.2e} flops" if phase.flops else ""
            lines.append(f"  {phase.name:<12}{duration(phase.seconds):>12}  {rate}".rstrip())
        if self.iterations:
            lines.append(f"  for {self.iterations} iterations")
        return "\n".join(lines)


def plan(
    net: MLP,
    n_samples: int,
    solver: SolverName = "auto",
    *,
    preconditioner: PreconditionerName = "ntk",
    iterations: int | None = None,
    like: Any = None,
) -> Plan:
    """Memory, flops and time of a minimizer of N inputs, by phase, before anything is computed.

    Rates are measured in the call, a few seconds long: blocks of the kernel, products with φ and
    factorizations of some 2,000 rows, on random inputs. So the estimate is one for this machine as
    it is now.

    Parameters
    ----------
    net : MLP
    n_samples : int
        N.
    solver : {"auto", "eigh", "cholesky", "packed", "mixed", "pcg"}
        As for ``Linearization.minimizer``.
    preconditioner : {"ntk", "mean_output", "nystrom", "none"}
        That of ``"pcg"``.
    iterations : int, optional
        Of conjugate gradients, which nobody knows beforehand; a guess when not given.
    like : ndarray, optional
        An array of the kind that X will be: one of CuPy for a plan of work on its GPU. Nothing else
        of it matters.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        For another solver or preconditioner.
    TypeError
        For a network that is no MLP, and a ``like`` that is no array.

    Examples
    --------
    >>> import ntklin
    >>> plan = ntklin.plan(ntklin.MLP((10, 50, 1)), 1000, solver="packed")
    >>> [phase.name for phase in plan.phases]
    ['features', 'kernel', 'factor', 'condition', 'residual']
    """
    if not isinstance(net, MLP):
        raise TypeError(f"net must be an ntklin.MLP, got {type(net).__name__}")
    for name, value, known in (
        ("solver", solver, get_args(SolverName)),
        ("preconditioner", preconditioner, tuple(_ITERATIONS)[1:]),
    ):
        as_word(value, known, name=name)
    N = as_step(n_samples, name="n_samples", minimum=1)
    if like is not None and namespace(like) is np and not isinstance(like, np.ndarray):
        raise TypeError(f"like must be an array of NumPy or CuPy, got {type(like).__name__}")
    if iterations is not None:
        iterations = as_step(iterations, name="iterations", minimum=1)
    return planned(Rates(net, N, like), solver, preconditioner, iterations)


def planned(rates: Rates, solver: str, preconditioner: str, iterations: int | None) -> Plan:
    """The plan at some rates, of the network and the inputs that these are of; see :func:`plan`."""
    net, N, C, name = rates.net, rates.n_samples, rates.net.n_outputs, solver
    free, device_free, held = free_memory()[0], rates.device_free, 8 * passes(net, N)
    if name == "auto" and N * C > SMALL:
        left = None if free is None else free - held * (device_free is None)
        name = large(N, C, left, rates.device_left)
    kept = name == "auto"
    work = preconditioner if name == "pcg" else "kept" if kept else name
    taken = 0
    if work in _ITERATIONS:
        taken = _guessed(work, N) if iterations is None else iterations
    memory, device_memory = memory_of("auto" if kept else work, N, C), 0
    if work == "mean_output":  # its features, while it is made
        held += 8 * passes(with_one_output(net), N)
    if device_free is None:
        memory += held
    else:
        # A tile with its products; a whole kernel with its own, where that is made at once.
        own = N * C if work in ("kept", "eigh") else 4 * tile_inputs(C) * C
        device_memory = held + 8 * 4 * own * min(own, N * C)
        if rates.is_on_device(work):
            memory = memory_of("none", N, C)
            device_memory = held + device_memory_of(work, N, C)
    return Plan(
        solver="cholesky" if kept else name,
        n_samples=N,
        n_rows=N * C,
        phases=tuple(_phases(work, rates, N, taken)),
        memory=memory,
        free=free,
        iterations=taken,
        device_memory=device_memory,
        device_free=device_free,
    )


def _guessed(work: str, n_samples: int) -> int:
    """The iterations of conjugate gradients that N inputs are expected to take."""
    at_2000, power = _ITERATIONS[work]
    return max(1, round(at_2000 * (n_samples / 2000) ** power))


def _phases(work: str, rates: Rates, N: int, iterations: int) -> Iterator[Phase]:
    """The phases of a solver, or of a preconditioner, in their order."""
    net, C, P = rates.net, rates.net.n_outputs, rates.net.n_parameters
    M = N * C
    pairs = N * (N + 1) / 2
    widths = net.widths
    columns = 1 if work in ONE_FOR_ALL else C  # of an input, in the matrix that is factorized
    per_pair = 2 * (widths[0] + sum(m * (1 + columns**2) for m in widths[1:-1]))
    yield Phase(name="features", flops=4 * N * P, seconds=N * rates.features)
    square, factor = work in ("kept", "eigh"), (N * columns) ** 3 / 3
    if square:
        yield Phase(name="kernel", flops=per_pair * pairs, seconds=pairs * rates.own_pair)
    elif work in ("cholesky", "packed", "mixed"):
        yield Phase(name="kernel", flops=per_pair * pairs, seconds=pairs * rates.pair)
    elif work == "ntk":
        yield Phase(name="kernel", flops=0.0, seconds=pairs * rates.limit_pair)
    elif work == "mean_output":
        yield Phase(name="kernel", flops=per_pair * pairs, seconds=pairs * rates.mean_pair)
    elif work == "nystrom":
        r = nystrom_rank(M)
        entries = r / C * N
        yield Phase(name="kernel", flops=per_pair * entries, seconds=entries * rates.pair)
        flops = 8.0 * M * r * r
        yield Phase(name="factor", flops=flops, seconds=flops * rates.factor("nystrom"))
    if work == "eigh":
        yield Phase(name="spectrum", flops=9.0 * M**3, seconds=9.0 * M**3 * rates.spectrum)
    elif work in ("kept", "cholesky", "packed", "mixed", *ONE_FOR_ALL):
        kind = "cholesky" if work in ("kept", "cholesky") else work
        yield Phase(name="factor", flops=factor, seconds=factor * rates.factor(kind))
    if square:
        return
    product = Phase(name="residual", flops=4.0 * N * P * C * COLUMNS, seconds=N * rates.product)
    solve = rates.solve(work, M)
    if iterations:
        flops = iterations * product.flops
        seconds = iterations * (product.seconds + COLUMNS * solve / 2)
        yield Phase(name="iterations", flops=flops, seconds=seconds)
        yield Phase(name="condition", flops=0.0, seconds=_CONDITION * (solve + product.seconds / 2))
    else:
        yield Phase(name="condition", flops=0.0, seconds=_CONDITION * solve)
    yield product
