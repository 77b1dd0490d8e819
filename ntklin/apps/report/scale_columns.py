"""Which numbers of a minimizer are shown, under which heading."""

from collections.abc import Sequence
from typing import Any

from ntklin.apps.report.columns import MISSING, Column
from ntklin.apps.scale.result import SizeResult
from ntklin.edge.amounts import duration, format_bytes


def _share(number: float) -> str:
    return f"{number:.2%}"


QUALITY = (
    Column("test_loss", "test loss\nf_∞", "of the minimizer, f_∞ = f_int + f_init", ".3e"),
    Column("test_accuracy", "accuracy\nf_∞", "the share of test points it classifies", show=_share),
    Column(
        "interpolator_test_loss",
        "test loss\nf_int",
        "of the interpolator of the targets, without what the initialization leaves",
        ".3e",
    ),
    Column("interpolator_accuracy", "accuracy\nf_int", "the share that it does", show=_share),
    Column(
        "initialization_size",
        "size of\nf_init",
        "‖f_init(X_T)‖/√(2 N_T), in units of the root of a test loss",
        ".2e",
    ),
)
SOLUTION = (
    Column("solver", "solver", "how the equations were solved", ""),
    Column(
        "residual",
        "residual",
        "the larger one of ‖Kα − R‖/‖R‖ for R = Y and R = f_0(X), of the solution as it is",
        ".1e",
    ),
    Column("iterations", "iterations", "of conjugate gradients", ",d"),
    Column(
        "error_bound",
        "error of α",
        "what the relative errors of K^{-1}Y and K^{-1}f_0(X) are expected to stay below",
        ".1e",
    ),
    Column(
        "seconds",
        "time",
        "of all phases, of earlier runs that this went on with, too",
        show=duration,
    ),
    Column("peak_memory", "memory", "the most that the process had so far", show=format_bytes),
)
COLUMNS = (*QUALITY, *SOLUTION)


def cell(result: SizeResult, column: Column) -> str:
    """The number as text."""
    value: Any = getattr(result, column.name)
    return MISSING if value is None else column.text(value)


def known(columns: Sequence[Column], results: Sequence[SizeResult]) -> list[Column]:
    """Those columns in which there is something."""
    return [c for c in columns if any(getattr(one, c.name) is not None for one in results)]
