"""What a minimizer of N inputs would take on the workers of a cluster, by a model and rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ntklin.edge.amounts import duration, format_bytes
from ntklin.edge.checks import as_count, as_nonnegative, as_positive, as_step
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.threads import limited
from ntklin.edge.values import said
from ntklin.networks.memory import passes
from ntklin.networks.mlp import MLP
from ntklin.theory.plan import Phase
from ntklin.theory.rates import Rates
from ntklin.theory.solver_costs import nystrom_rank

# Y and f_0(X); what conjugate gradients keep for each of them; columns whose P numbers fit at once.
_COLUMNS = 2
_VECTORS = 10
# Arity of the trees by which P-vectors are summed and handed out, and the tasks of one product for
# each worker: φ_i^T R_i, its part of the sum, φ_i V.
_ARITY = 4
_TASKS = 3
# Products with φ or φ^T, and as many solutions, that a condition number takes.
_CONDITION = 12
# Iterations to a residual of 1e-10, where nobody says.
_ITERATIONS = {"nystrom": 60, "none": 500}
# More than any machine has.
MOST_THREADS = 1 << 16

ClusterPreconditioner = Literal["nystrom", "none"]


@dataclass(frozen=True, kw_only=True)
class ClusterPhase(Phase):
    """A part of the work.

    Attributes
    ----------
    flops : float
        Of each worker.
    bytes : float
        Through the busiest connection: a worker's, or the client's.
    """

    bytes: float


@dataclass(frozen=True, kw_only=True, repr=False)
class ClusterPlan(Shown):
    """What ``solver="pcg"`` of a ``ClusterNetwork`` will take, by :func:`plan_cluster`.

    Attributes
    ----------
    workers, n_samples, n_rows, iterations : int
        w, N, N·C, and the iterations that the time is for: given, or a guess.
    phases : tuple of ClusterPhase
    worker_memory : int
        Bytes on each worker: passes of its inputs, P-vectors, its rows of F.
    client_memory : int
        Bytes where the minimizer is asked for: X, and the vectors of conjugate gradients.
    """

    workers: int
    n_samples: int
    n_rows: int
    iterations: int
    phases: tuple[ClusterPhase, ...]
    worker_memory: int
    client_memory: int

    @property
    def seconds(self) -> float:
        """Of all phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def iteration(self) -> float:
        """Seconds of one iteration."""
        (all_of_them,) = (phase for phase in self.phases if phase.name == "iterations")
        return all_of_them.seconds / self.iterations

    def _facts(self) -> Facts:
        return facts(
            "ClusterPlan",
            workers=self.workers,
            samples=self.n_samples,
            kernel_rows=self.n_rows,
            memory_of_a_worker=format_bytes(self.worker_memory),
            memory_here=format_bytes(self.client_memory),
            time=duration(self.seconds),
            iterations=self.iterations,
        )

    def __str__(self) -> str:
        lines = [
            f"{self.n_rows} rows on {self.workers} workers: {format_bytes(self.worker_memory)} on "
            f"each, {format_bytes(self.client_memory)} here, {duration(self.seconds)}"
        ]
        for phase in self.phases:
            lines.append(
                f"  {phase.name:<12}{duration(phase.seconds):>12}  {phase.flops:9.2e} flops, "
                f"{format_bytes(phase.bytes)}"
            )
        return "\n".join([*lines, f"  for {self.iterations} iterations"])


def plan_cluster(
    net: MLP,
    n_samples: int,
    workers: int,
    *,
    preconditioner: ClusterPreconditioner = "none",
    rank: int | None = None,
    iterations: int | None = None,
    threads: int | None = None,
    bandwidth: float = 1.25e9,
    latency: float = 0.01,
) -> ClusterPlan:
    """Memory, flops, bytes and time of a minimizer of N inputs on w workers like this machine.

    With q = ⌈N/w⌉ inputs on a worker, k = 2 columns for each output, P parameters, bandwidth B and
    latency ℓ, one product K V takes

        4 q P k flops,   2 s · 8Pk/B + 2 · 8NCk/B seconds for what is sent,   3wℓ/10 + 4ℓ for tasks,

    where s counts what a worker receives of a sum in a tree of four at a time, 3⌈log_4 w⌉ or less.
    An iteration is a product and, with ``"nystrom"``, 4 q C r k flops and 2 · 8NCk bytes more.
    Rates are measured here in the call, as :func:`plan` does.

    Parameters
    ----------
    net : MLP
    n_samples : int
        N.
    workers : int
        w.
    preconditioner : {"nystrom", "none"}
    rank : int, optional
        r of ``"nystrom"``; 10 √(N C) when not given.
    iterations : int, optional
        Of conjugate gradients, which nobody knows beforehand; a guess when not given.
    threads : int, optional
        Of each worker; all cores of this machine when not given.
    bandwidth : float
        B of each connection, bytes a second; that of 10 Gbit/s when not given.
    latency : float
        ℓ, seconds from a task to those that wait for it; a tenth of it for each further task.

    Returns
    -------
    ClusterPlan

    Raises
    ------
    ValueError
        For another preconditioner.
    TypeError
        For a network that is no MLP.

    Examples
    --------
    >>> import ntklin
    >>> plan = ntklin.plan_cluster(ntklin.MLP((10, 50, 1)), 10_000, workers=2)
    >>> [phase.name for phase in plan.phases]
    ['features', 'iterations', 'condition', 'residual']
    """
    if not isinstance(net, MLP):
        raise TypeError(f"net must be an ntklin.MLP, got {type(net).__name__}")
    known = get_args(ClusterPreconditioner)
    if not isinstance(preconditioner, str) or preconditioner not in known:
        raise ValueError(
            f"preconditioner must be 'nystrom' or 'none' on a cluster, got {said(preconditioner)}"
        )
    N = as_step(n_samples, name="n_samples", minimum=1)
    w = as_step(workers, name="workers", minimum=1)
    count = _ITERATIONS[preconditioner] if iterations is None else iterations
    r = 0
    if preconditioner == "nystrom":
        r = nystrom_rank(N * net.n_outputs) if rank is None else as_count(rank, name="rank")
    model = _Model(
        net=net,
        inputs=-(-N // w),
        rows=N * net.n_outputs,
        workers=w,
        rank=r,
        bandwidth=as_positive(bandwidth, name="bandwidth"),
        latency=as_nonnegative(latency, name="latency"),
    )
    count, rates = as_step(count, name="iterations", minimum=1), Rates(net, N)
    if threads is None:
        phases = model.phases(rates, count)
    else:
        threads = as_count(threads, name="threads")
        if threads > MOST_THREADS:
            raise ValueError(f"threads must be at most {MOST_THREADS}, got {threads}")
        with limited(threads):
            phases = model.phases(rates, count)
    return ClusterPlan(
        workers=w,
        n_samples=N,
        n_rows=model.rows,
        iterations=count,
        phases=phases,
        worker_memory=model.worker_memory,
        client_memory=8 * (N * net.n_inputs + _VECTORS * _COLUMNS * model.rows),
    )


@dataclass(frozen=True, kw_only=True)
class _Model:
    """The formulas of ``plan_cluster``."""

    net: MLP
    inputs: int
    rows: int
    workers: int
    rank: int
    bandwidth: float
    latency: float

    @property
    def worker_memory(self) -> int:
        """Bytes of passes, θ and three P-vectors of each column, and F_i twice."""
        net, C = self.net, self.net.n_outputs
        vectors = (1 + 3 * _COLUMNS) * net.n_parameters
        return 8 * (passes(net, self.inputs) + vectors + 2 * self.inputs * C * self.rank)

    def phases(self, rates: Rates, iterations: int) -> tuple[ClusterPhase, ...]:
        """All of them, in their order."""
        net, C, q, k = self.net, self.net.n_outputs, self.inputs, _COLUMNS
        X = 8.0 * self.inputs * self.workers * net.n_inputs
        features = self._phase(
            "features", 4.0 * q * net.n_parameters, X, q * rates.features, hops=2
        )
        found = [features]
        # φ and φ^T take groups of columns through one pass, so that k are not k times as slow.
        product = self._phase(
            "residual",
            4.0 * q * net.n_parameters * C * k,
            2 * self.received * 8.0 * net.n_parameters * k + 2 * 8.0 * self.rows * k,
            q * rates.product,
            hops=4 + 2 * self.levels,
        )
        solve = self._phase("", 0.0, 0.0, 0.0, hops=0)
        if self.rank:
            r = self.rank
            widths = net.widths
            per_pair = 2 * (widths[0] + sum(m * (1 + C * C) for m in widths[1:-1]))
            gemm = rates.factor("packed")
            steps = -(-r // 64)
            found.append(
                self._phase(
                    "factor",
                    per_pair * q * r / C + 4.0 * q * C * r * r,
                    8.0 * self.received * r * r + steps * 8.0 * self.rows,
                    q * r / C * rates.pair + 4.0 * q * C * r * r * gemm,
                    hops=6 * steps,
                )
            )
            flops = 4.0 * q * C * r * k
            solve = self._phase("", flops, 2 * 8.0 * self.rows * k, flops * gemm, hops=5)
        iteration = _sum("iterations", (product, 1), (solve, 1))
        found.append(_sum("iterations", (iteration, iterations)))
        found.append(_sum("condition", (solve, _CONDITION), (product, _CONDITION / 2)))
        return (*found, product)

    @property
    def levels(self) -> int:
        """⌈log_4 w⌉."""
        levels, reach = 0, 1
        while reach < self.workers:
            levels, reach = levels + 1, reach * _ARITY
        return levels

    @property
    def received(self) -> int:
        """How many summands reach one worker, one after the other."""
        left, received = self.workers, 0
        while left > 1:
            received += min(left, _ARITY) - 1
            left = -(-left // _ARITY)
        return received

    def _phase(
        self, name: str, flops: float, sent: float, seconds: float, *, hops: int
    ) -> ClusterPhase:
        """Work, what is sent, and the tasks between."""
        tasks = hops * self.latency + 0.1 * self.latency * _TASKS * self.workers * (hops > 0)
        total = seconds + sent / self.bandwidth + tasks
        return ClusterPhase(name=name, flops=flops, bytes=sent, seconds=total)


def _sum(name: str, *parts: tuple[ClusterPhase, float]) -> ClusterPhase:
    """Each so many times."""
    return ClusterPhase(
        name=name,
        flops=sum(times * part.flops for part, times in parts),
        bytes=sum(times * part.bytes for part, times in parts),
        seconds=sum(times * part.seconds for part, times in parts),
    )
