"""What a minimizer of N inputs would take, before anything of it is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal, get_args

import numpy as np

from ntklin.algebra.device_matrix import DeviceMatrix
from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import PanelMatrix
from ntklin.algebra.square import SquareMatrix
from ntklin.edge.amounts import duration, format_bytes
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, free_device_memory, namespace
from ntklin.edge.checks import as_count, as_step, as_word, free_memory
from ntklin.networks.features import FeatureMap
from ntklin.networks.infinite import infinite_ntk
from ntklin.networks.memory import passes
from ntklin.networks.mlp import MLP
from ntklin.theory.solver_choice import SMALL, large
from ntklin.theory.solver_costs import (
    ON_DEVICE,
    device_memory_of,
    has_room_on_device,
    memory_of,
    nystrom_rank,
    tile_inputs,
)
from ntklin.theory.solver_options import SolverName

# Inputs, and rows of a matrix, by which rates are measured; and how often each.
_INPUTS = 2048
_ROWS = 2560
_SPECTRUM = 1024
_TIMES = 2
# Right-hand sides, Y and f_0(X), and how many solutions a condition number takes.
_COLUMNS = 2
_CONDITION = 12
# Iterations to a residual of 1e-10, where nobody says: seen on MNIST at a few thousand inputs.
_ITERATIONS = {"mixed": 6, "ntk": 60, "nystrom": 60, "none": 500}


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


@dataclass(frozen=True, kw_only=True)
class Plan:
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
    preconditioner: Literal["ntk", "nystrom", "none"] = "ntk",
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
    preconditioner : {"ntk", "nystrom", "none"}
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
    N = as_count(n_samples, name="n_samples")
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
        taken = _ITERATIONS[work] if iterations is None else iterations
    memory, device_memory = memory_of("auto" if kept else work, N, C), 0
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


def _phases(work: str, rates: Rates, N: int, iterations: int) -> Iterator[Phase]:
    """The phases of a solver, or of a preconditioner, in their order."""
    net, C, P = rates.net, rates.net.n_outputs, rates.net.n_parameters
    M = N * C
    pairs = N * (N + 1) / 2
    widths = net.widths
    per_pair = 2 * (widths[0] + sum(m * (1 + C * C) for m in widths[1:-1]))
    yield Phase(name="features", flops=4 * N * P, seconds=N * rates.features)
    square, factor = work in ("kept", "eigh"), M**3 / 3
    if square:
        yield Phase(name="kernel", flops=per_pair * pairs, seconds=pairs * rates.own_pair)
    elif work in ("cholesky", "packed", "mixed"):
        yield Phase(name="kernel", flops=per_pair * pairs, seconds=pairs * rates.pair)
    elif work == "ntk":
        yield Phase(name="kernel", flops=0.0, seconds=pairs * rates.limit_pair)
        factor = N**3 / 3
    elif work == "nystrom":
        r = nystrom_rank(M)
        entries = r / C * N
        yield Phase(name="kernel", flops=per_pair * entries, seconds=entries * rates.pair)
        flops = 8.0 * M * r * r
        yield Phase(name="factor", flops=flops, seconds=flops * rates.factor("nystrom"))
    if work == "eigh":
        yield Phase(name="spectrum", flops=9.0 * M**3, seconds=9.0 * M**3 * rates.spectrum)
    elif work in ("kept", "cholesky", "packed", "mixed", "ntk"):
        kind = "cholesky" if work in ("kept", "cholesky") else work
        yield Phase(name="factor", flops=factor, seconds=factor * rates.factor(kind))
    if square:
        return
    product = Phase(name="residual", flops=4.0 * N * P * C * _COLUMNS, seconds=N * rates.product)
    solve = rates.solve(work, M)
    if iterations:
        flops = iterations * product.flops
        seconds = iterations * (product.seconds + _COLUMNS * solve / 2)
        yield Phase(name="iterations", flops=flops, seconds=seconds)
        yield Phase(name="condition", flops=0.0, seconds=_CONDITION * (solve + product.seconds / 2))
    else:
        yield Phase(name="condition", flops=0.0, seconds=_CONDITION * solve)
    yield product


@dataclass(eq=False)
class Rates:
    """Seconds per unit of each kind of work, measured when they are first asked for.

    Parameters
    ----------
    net : MLP
    n_samples : int
        N; no more inputs than that are used.
    like : ndarray, optional
        Of the kind that X will be.
    """

    net: MLP
    n_samples: int
    like: Any = None
    _known: dict[str, float] = field(default_factory=dict)

    @property
    def device_free(self) -> int | None:
        """Bytes that are free on the GPU of ``like``; None where it is on none."""
        return free_device_memory(self.like)

    @property
    def device_left(self) -> int | None:
        """The same beside φ(X)."""
        free = self.device_free
        return None if free is None else free - 8 * passes(self.net, self.n_samples)

    def is_on_device(self, name: str) -> bool:
        """Whether the factor of this solver or preconditioner is made on the GPU."""
        return has_room_on_device(name, self.n_samples, self.net.n_outputs, self.device_left)

    def _measured(self, name: str, units: float, work: Callable[[], object]) -> float:
        if name not in self._known:
            self._known[name] = _seconds(self._waited_for(work)) / units
        return self._known[name]

    def _waited_for(self, work: Callable[[], object]) -> Callable[[], object]:
        """The work and its end: a GPU returns before it is done."""
        xp = namespace(self.like)
        if xp is np:
            return work

        def to_its_end() -> None:
            work()
            xp.cuda.get_current_stream().synchronize()

        return to_its_end

    def _inputs(self, most: int) -> Array:
        n = max(1, min(most, self.n_samples))
        X = np.random.default_rng(0).standard_normal((n, self.net.n_inputs))
        return beside(X / np.sqrt((X * X).sum(axis=1, keepdims=True)), self.like)

    def _theta(self) -> Array:
        return beside(self.net.init(rng=0), self.like)

    def _phi(self) -> FeatureMap:
        return self.net.features(self._theta(), self._inputs(_INPUTS // self.net.n_outputs))

    @property
    def features(self) -> float:
        """A forward and a backward pass of one input."""
        theta, X = self._theta(), self._inputs(_INPUTS // self.net.n_outputs)

        def both() -> object:
            return self.net.features(theta, X).passes.deltas[0]

        return self._measured("features", len(X), both)

    @property
    def pair(self) -> float:
        """The block of the kernel of two inputs, in a tile below the diagonal."""
        if "pair" not in self._known:
            phi, t = self._phi(), tile_inputs(self.net.n_outputs)
            rows, columns = slice(0, len(phi.inputs)), slice(0, min(t, len(phi.inputs)))
            units = rows.stop * columns.stop
            self._measured("pair", units, lambda: phi.rows(rows).gram(phi.rows(columns)))
        return self._known["pair"]

    @property
    def own_pair(self) -> float:
        """The same in a kernel that is computed as a whole."""
        if "own_pair" not in self._known:
            phi = self._phi()
            n = len(phi.inputs)
            self._measured("own_pair", n * (n + 1) / 2, lambda: phi.rows(slice(0, n)).gram())
        return self._known["own_pair"]

    @property
    def limit_pair(self) -> float:
        """Θ of two inputs."""
        X = self._inputs(512)
        return self._measured("limit_pair", len(X) ** 2, lambda: infinite_ntk(self.net, X, X[::-1]))

    @property
    def product(self) -> float:
        """φ φ^T V of one input, for Y and f_0(X)."""
        if "product" not in self._known:
            phi = self._phi()
            V = beside(np.ones((phi.shape[0], _COLUMNS)), self.like)
            self._measured("product", len(phi.inputs), lambda: phi @ (phi.T @ V))
        return self._known["product"]

    def factor(self, kind: str) -> float:
        """One flop of a Cholesky factorization."""
        self._factorize(kind)
        return self._known[f"{kind} factor"]

    def solve(self, work: str, rows: int) -> float:
        """One solution by the factor, of one column."""
        if work == "none":
            return 0.0
        if work == "nystrom":
            return 4.0 * rows * nystrom_rank(rows) * self.factor("nystrom")
        self._factorize(work)
        columns = rows // self.n_samples if work == "ntk" else 1
        n = self.n_samples if work == "ntk" else rows
        return self._known[f"{work} solve"] * n * n * columns**0.5

    @property
    def spectrum(self) -> float:
        """One flop, of 9 n³, of the eigendecomposition."""
        n = min(_SPECTRUM, self.n_samples * self.net.n_outputs)
        A = _definite(n)
        return self._measured("spectrum", 9.0 * n**3, lambda: np.linalg.eigh(A))

    def _factorize(self, kind: str) -> None:
        if f"{kind} factor" in self._known:
            return
        n = min(_ROWS, max(2, self.n_samples * self.net.n_outputs))
        A = _definite(n)
        dtype = np.float32 if kind in ("mixed", "ntk") else np.float64
        if kind in ON_DEVICE and self.is_on_device(kind):
            A = beside(A, self.like)
            M: PanelMatrix = DeviceMatrix(n, dtype, anchor=self.like)
        else:
            M = (SquareMatrix if kind == "cholesky" else PackedMatrix)(n, dtype)
        best = np.inf
        for _ in range(_TIMES):
            M.fill(lambda i, j: A[i, j])
            start = perf_counter()
            M.factorize()
            best = min(best, perf_counter() - start)
        self._known[f"{kind} factor"] = 3 * best / n**3
        b = np.ones((n, 1))
        self._known[f"{kind} solve"] = _seconds(lambda: M.solve(b)) / n**2


def _definite(n: int) -> Array:
    """A kernel like those of networks: near a constant, and well conditioned."""
    x = np.random.default_rng(0).standard_normal((n, 8))
    x /= np.sqrt((x * x).sum(axis=1, keepdims=True))
    A = 0.5 + 0.5 * (x @ x.T) ** 2
    A.flat[:: n + 1] += 0.1
    return A


def _seconds(work: Callable[[], Any]) -> float:
    """The least time of some calls, after one that compiles what there is to compile."""
    work()
    best = np.inf
    for _ in range(_TIMES):
        start = perf_counter()
        work()
        best = min(best, perf_counter() - start)
    return best
