"""What is asked of a run, checked."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ntklin.validation.arrays import namespace
from ntklin.validation.benchmarks.cases import DTYPES, FULL, INPUTS, QUICK, SIZES, Case, Scale
from ntklin.validation.benchmarks.machine import usable_threads
from ntklin.validation.benchmarks.targets import Target
from ntklin.validation.benchmarks.works import CPU_WORKS, GPU_WORKS, WORKS


@dataclass(frozen=True, kw_only=True)
class Options:
    """A checked selection; see ``ntklin.apps.cli.bench.Options``.

    Attributes
    ----------
    scale : Scale
    works, cases, dtypes, sizes, inputs : tuple
    rounds, peer_rounds, threads : int
    xp : module
        NumPy, or CuPy for a GPU.
    peers, peer_scripts : Path or None
    out : Path
    """

    scale: Scale
    works: tuple[str, ...]
    cases: tuple[Case, ...]
    dtypes: tuple[str, ...]
    sizes: tuple[int, ...]
    inputs: tuple[str, ...]
    rounds: int
    peer_rounds: int
    threads: int
    xp: ModuleType
    peers: Path | None
    peer_scripts: Path | None
    out: Path

    @property
    def groups(self) -> list[tuple[Case, str, str, int, list[str]]]:
        """(case, dtype, inputs, N, works) of every problem."""
        return [
            (case, dtype, inputs, n, works)
            for case in self.cases
            for dtype in self.dtypes
            for inputs in self.inputs
            for n in self.sizes
            if (works := [work for work in self.works if WORKS[work].has(case, n)])
        ]

    def wants(self, target: Target) -> bool:
        """Whether a target is within the selection."""
        return (
            target.work in self.works
            and target.case in {case.name for case in self.cases}
            and target.dtype in self.dtypes
            and target.n in self.sizes
            and target.inputs in self.inputs
        )


def as_options(typed: Any) -> Options:
    """What was typed, checked, with None replaced by everything.

    Parameters
    ----------
    typed : ntklin.apps.cli.bench.Options

    Returns
    -------
    Options

    Raises
    ------
    ValueError
        Naming the option, what is allowed and what came.
    """
    scale = QUICK if typed.quick else FULL
    names = chosen(typed.cases, [case.name for case in scale.cases], "cases")
    peers, peer_scripts = typed.peers, typed.peer_scripts
    if (peers is None) != (peer_scripts is None):
        raise ValueError("peers and peer_scripts belong together: environments and their scripts")
    for name, folder in (("peers", peers), ("peer_scripts", peer_scripts)):
        if folder is not None and not (str(folder) and Path(folder).is_dir()):
            shown = str(folder) or "''"
            raise ValueError(f"{name} must be a folder, got {shown}")
    if typed.quick and peers is not None:
        raise ValueError("quick has no peers: its cases are not theirs")
    xp = namespace(typed.device)
    if xp is not np and peers is not None:
        raise ValueError("peers run on the CPU; on a GPU torch and jax are used where they are")
    most = usable_threads()
    return Options(
        scale=scale,
        works=chosen(typed.works, CPU_WORKS if xp is np else GPU_WORKS, "works"),
        cases=tuple(case for case in scale.cases if case.name in names),
        dtypes=chosen(typed.dtypes, DTYPES, "dtypes"),
        sizes=chosen(typed.sizes, SIZES, "sizes"),
        inputs=chosen(typed.inputs, INPUTS, "inputs"),
        rounds=scale.rounds if typed.rounds is None else counted(typed.rounds, "rounds"),
        peer_rounds=scale.peer_rounds if typed.rounds is None else counted(typed.rounds, "rounds"),
        threads=most if typed.threads is None else counted(typed.threads, "threads", most),
        peers=None if peers is None else Path(peers),
        peer_scripts=None if peer_scripts is None else Path(peer_scripts),
        out=Path(typed.out),
        xp=xp,
    )


def chosen(values: Any, allowed: Iterable[Any], name: str) -> tuple[Any, ...]:
    """The allowed values that were asked for, in their own order; all of them for None."""
    allowed = tuple(allowed)
    if values is None:
        return allowed
    values = [values] if isinstance(values, str | int) else list(values)
    unknown = [value for value in values if value not in allowed]
    if unknown or not values:
        # In one line, whatever somebody typed.
        got = ", ".join(" ".join(str(value).split()) for value in unknown) or "nothing"
        raise ValueError(f"{name} must be from {', '.join(map(str, allowed))}, got {got}")
    return tuple(value for value in allowed if value in values)


def counted(value: Any, name: str, most: int | None = None) -> int:
    """An integer from 1 to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most} here, got {value}")
    return value
