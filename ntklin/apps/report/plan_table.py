"""What a run is about to take, as a table on the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ntklin.apps.scale.plans import SizePlan
from ntklin.edge.amounts import duration, format_bytes
from ntklin.edge.files.names import shown


def plan_table(config: dict[str, Any], planned: Sequence[SizePlan]) -> Table:
    """A row for each N: solver, memory, disk, operations and time.

    Parameters
    ----------
    config : dict
        See ``ntklin.apps.scale.problem.Problem.describe``.
    planned : sequence of SizePlan

    Returns
    -------
    rich.table.Table
    """
    widths = "–".join(map(str, config["widths"]))
    title = f"Plan: {shown(config['data'])}, widths {widths}, {config['dtype']}"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("N", "solver", "memory", "disk", "operations", "time", "of it"):
        table.add_column(heading, justify="right", overflow="fold")
    for one in planned:
        plan = one.plan
        parts = (f"{phase.name} {duration(phase.seconds)}" for phase in plan.phases)
        table.add_row(
            f"{one.n:,}",
            one.solver,
            format_bytes(plan.memory),
            format_bytes(one.disk) if one.disk else "none",
            f"{plan.flops:.1e}",
            duration(plan.seconds),
            ", ".join(parts),
        )
    return table
