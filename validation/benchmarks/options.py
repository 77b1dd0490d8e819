"""What is asked of a run, checked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import ntklin
from ntklin.validation.benchmarks.cases import DTYPES, FULL, INPUTS, QUICK, SIZES, Scale
from ntklin.validation.benchmarks.machine import usable_threads
from ntklin.validation.benchmarks.works import CPU_WORKS, GPU_WORKS, WORKS


@dataclass(frozen=True, kw_only=True)
class Options:
    """A checked selection; see ``main`` for the fields.

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
    works: tuple
    cases: tuple
    dtypes: tuple
    sizes: tuple
    inputs: tuple
    rounds: int
    peer_rounds: int
    threads: int
    xp: object
    peers: Path | None
    peer_scripts: Path | None
    out: Path

    @property
    def groups(self):
        """(case, dtype, inputs, N, works) of every problem."""
        return [
            (case, dtype, inputs, n, works)
            for case in self.cases
            for dtype in self.dtypes
            for inputs in self.inputs
            for n in self.sizes
            if (works := [work for work in self.works if n in WORKS[work].sizes])
        ]

    def wants(self, target):
        """Whether a target is within the selection."""
        return (
            target.work in self.works
            and target.case in {case.name for case in self.cases}
            and target.dtype in self.dtypes
            and target.n in self.sizes
            and target.inputs in self.inputs
        )


def as_options(
    *,
    works,
    cases,
    dtypes,
    sizes,
    inputs,
    rounds,
    peers,
    peer_scripts,
    out,
    quick,
    threads,
    device,
):
    """The options of ``main``, with None replaced by everything.

    Raises
    ------
    ValueError
        Naming the argument, what is allowed and what came.
    """
    scale = QUICK if quick else FULL
    names = chosen(cases, [case.name for case in scale.cases], "cases")
    if (peers is None) != (peer_scripts is None):
        raise ValueError("peers and peer_scripts belong together: environments and their scripts")
    for name, folder in (("peers", peers), ("peer_scripts", peer_scripts)):
        if folder is not None and not (str(folder) and Path(folder).is_dir()):
            shown = str(folder) or "''"
            raise ValueError(f"{name} must be a folder, got {shown}")
    if quick and peers is not None:
        raise ValueError("quick has no peers: its cases are not theirs")
    xp = ntklin.device_namespace(device)
    if xp is not np and peers is not None:
        raise ValueError("peers run on the CPU; on a GPU torch and jax are used where they are")
    most = usable_threads()
    return Options(
        scale=scale,
        works=chosen(works, CPU_WORKS if xp is np else GPU_WORKS, "works"),
        cases=tuple(case for case in scale.cases if case.name in names),
        dtypes=chosen(dtypes, DTYPES, "dtypes"),
        sizes=chosen(sizes, SIZES, "sizes"),
        inputs=chosen(inputs, INPUTS, "inputs"),
        rounds=scale.rounds if rounds is None else counted(rounds, "rounds"),
        peer_rounds=scale.peer_rounds if rounds is None else counted(rounds, "rounds"),
        threads=most if threads is None else counted(threads, "threads", most),
        peers=None if peers is None else Path(peers),
        peer_scripts=None if peer_scripts is None else Path(peer_scripts),
        out=Path(out),
        xp=xp,
    )


def chosen(values, allowed, name):
    """The allowed values that were asked for, in their own order; all of them for None."""
    allowed = tuple(allowed)
    if values is None:
        return allowed
    values = [values] if isinstance(values, str | int) else list(values)
    unknown = [value for value in values if value not in allowed]
    if unknown or not values:
        got = ", ".join(map(str, unknown)) or "nothing"
        raise ValueError(f"{name} must be from {', '.join(map(str, allowed))}, got {got}")
    return tuple(value for value in allowed if value in values)


def counted(value, name, most=None):
    """An integer from 1 to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most} here, got {value}")
    return value
