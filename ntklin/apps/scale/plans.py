"""What a run is about to take of memory, disk and time, and whether it fits."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ntklin.algebra.packed import PackedMatrix
from ntklin.apps.scale.checkpoint import Checkpoint
from ntklin.apps.scale.problem import Problem
from ntklin.edge.amounts import format_bytes
from ntklin.edge.checks import fits, require_memory
from ntklin.edge.files.names import shown
from ntklin.networks.memory import passes
from ntklin.networks.mlp import MLP
from ntklin.theory.plan import Plan, planned
from ntklin.theory.rates import Rates
from ntklin.theory.solver_costs import memory_of, tile_inputs

# What is chosen from, in this order, where the user leaves it open: all that can be gone on with.
# Behind a plus, the preconditioner.
AUTO = ("packed", "mixed", "pcg+ntk", "pcg+nystrom")
# Bytes of a number, and whether it is the limit's factor, of those that leave panels.
PANELS = {"packed": (8, False), "mixed": (4, False), "pcg+ntk": (4, True)}


@dataclass(frozen=True, kw_only=True)
class SizePlan:
    """What one number of training points takes.

    Attributes
    ----------
    n : int
    solver : str
        With its preconditioner behind a plus.
    plan : Plan
    disk : int
        Bytes of the checkpoints, at most.
    """

    n: int
    solver: str
    plan: Plan
    disk: int


def plans(problem: Problem, earlier: Mapping[int, str]) -> list[SizePlan]:
    """The plan of each size, with the solver that is taken.

    Parameters
    ----------
    problem : Problem
    earlier : dict of int to str
        The solvers of an earlier run, with which this one goes on.

    Returns
    -------
    list of SizePlan
    """
    net, found, wanted = problem.network, [], problem.settings.whole_solver()
    # Of the largest size, in a few seconds, for all of them.
    rates = Rates(net, problem.sizes[-1])
    for n in reversed(problem.sizes):
        solver = earlier.get(n) or chosen(wanted, net, n)
        name, _, preconditioner = solver.partition("+")
        plan = planned(replace(rates, n_samples=n), name, preconditioner or "ntk", None)
        found.append(SizePlan(n=n, solver=solver, plan=plan, disk=disk_of(solver, net, n)))
    return found[::-1]


def chosen(wanted: str, net: MLP, n: int) -> str:
    """The first of ``AUTO`` that fits and is what the user wants, otherwise the last.

    Parameters
    ----------
    wanted : str
        ``"auto"``, or the name of a solver, with that of its preconditioner behind a plus.
    net : MLP
    n : int

    Returns
    -------
    str
    """
    candidates = [one for one in AUTO if wanted in ("auto", one, one.partition("+")[0])]
    if not candidates:
        return wanted
    return next((one for one in candidates if fits(_memory(one, net, n))), candidates[-1])


def _memory(solver: str, net: MLP, n: int) -> int:
    return 8 * passes(net, n) + memory_of(solver.rpartition("+")[2], n, net.n_outputs)


def disk_of(solver: str, net: MLP, n: int) -> int:
    """Bytes of the panels that a solver leaves until it is done."""
    if solver not in PANELS:
        return 0
    itemsize, is_limit = PANELS[solver]
    C = 1 if is_limit else net.n_outputs
    return itemsize * PackedMatrix.size(n * C, min(tile_inputs(C) * C, n * C))


def require(found: Sequence[SizePlan], checkpoint: Checkpoint) -> None:
    """Refuse what does not fit.

    Parameters
    ----------
    found : sequence of SizePlan
    checkpoint : Checkpoint
        What an earlier run has on the disk already is not needed again.

    Raises
    ------
    OSError
        If the disk has no room for the checkpoints.
    """
    most = max(found, key=lambda one: one.plan.memory)
    require_memory(
        most.plan.memory,
        f"the minimizer of {most.n:,} samples by --solver {most.plan.solver}",
        "take --solver auto or pcg, a smaller --n, or a smaller --width",
    )
    if checkpoint.folder is None:
        return
    place = checkpoint.folder.absolute()
    while not place.exists():
        place = place.parent
    need = max(one.disk for one in found) - checkpoint.size()
    free = shutil.disk_usage(place).free
    if need > free:
        raise OSError(
            f"checkpoints of {format_bytes(need)} do not fit into {shown(checkpoint.folder)}: "
            f"{format_bytes(free)} are free; choose an --out on another disk, or --no-checkpoint"
        )
