"""What a bench.json says of others: their times over ntklin's, work by work."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError
from ntklin.edge.files.seal import read_sealed
from ntklin.edge.files.unfinished import COMPLETE
from ntklin.validation.benchmarks.benchmark import RESULT, SCHEMA
from ntklin.validation.benchmarks.cases import DTYPES, FULL, INPUTS, SIZES
from ntklin.validation.benchmarks.options import chosen
from ntklin.validation.benchmarks.works import WORKS

OWN = "ntklin"
TOO_SHORT = "too short for this clock"
# Of a row, what ntklin's flops and bytes are of what the machine can do.
FRACTIONS = ("of_gemm", "of_bandwidth")
# What tells that two files are of the same machine.
MACHINE = ("cpu", "threads", "gpu")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """An implementation's time over that of ntklin.

    Attributes
    ----------
    library, form : str
        "numpy" and an empty text by hand in the same process; of a peer its two names, such as
        "JAX" and "jit_sgd".
    rounds : tuple of float
        Of each round, or each of a peer's processes, beside ntklin's own turns; positive.
    reason : str
        Why there is none; empty where there is.
    foreign_cores : float or None
        Cores that others kept busy meanwhile, the larger of both sides.
    """

    library: str
    form: str = ""
    rounds: tuple[float, ...] = ()
    reason: str = ""
    foreign_cores: float | None = None

    @property
    def name(self) -> str:
        """Both names."""
        return " ".join(filter(None, (self.library, self.form)))

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile over the rounds."""
        low, middle, high = np.quantile(self.rounds, (0.25, 0.5, 0.75)).tolist()
        return low, middle, high


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where ntklin stands in one variant of a work, on one problem, in one dtype.

    Attributes
    ----------
    work, variant, case, inputs, dtype : str
    n, frozen_n : int
        N, and the one that it stands for in a quick run.
    own_ms : float or None
        ntklin's median.
    limit : float or None
        The time that its flops or its bytes take at the machine's limit, whichever is longer, over
        its own; None where they are not counted.
    ratios : tuple of Ratio
    """

    work: str
    variant: str
    case: str
    inputs: str
    dtype: str
    n: int
    frozen_n: int
    own_ms: float | None
    limit: float | None = None
    ratios: tuple[Ratio, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """What no other standing of a picture has."""
        names = ("work", "variant", "case", "inputs", "frozen_n", "dtype")
        return tuple(getattr(self, name) for name in names)


@dataclass(frozen=True, kw_only=True)
class Standings:
    """All that a picture shows.

    Attributes
    ----------
    standings : tuple of Standing
        Those of which there is more than ntklin's own time.
    networks : dict
        From a case to its network in words.
    machine : dict
        See ``ntklin.validation.benchmarks.machine.describe``.
    versions : dict
        Of ntklin, NumPy and whatever the peers tell.
    quick, complete : bool
        Whether the sizes are tiny, and whether all runs came to their ends.
    runs : int
        From so many files.
    """

    standings: tuple[Standing, ...]
    networks: Mapping[str, str]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    quick: bool
    complete: bool
    runs: int = 1

    def select(self, wanted: Mapping[str, Collection[Any]]) -> Standings:
        """Those whose attributes are among the wanted ones."""
        kept = (
            standing
            for standing in self.standings
            if all(getattr(standing, name) in values for name, values in wanted.items())
        )
        return replace(self, standings=tuple(kept))


def selection(typed: Any) -> dict[str, tuple[Any, ...]]:
    """What ``Standings.select`` takes, of the options that say what a run measures.

    Parameters
    ----------
    typed : ntklin.apps.cli.bench.Options

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        Naming the option, what is allowed and what came.
    """
    return {
        "work": chosen(typed.works, WORKS, "works"),
        "case": chosen(typed.cases, [case.name for case in FULL.cases], "cases"),
        "dtype": chosen(typed.dtypes, DTYPES, "dtypes"),
        "frozen_n": chosen(typed.sizes, SIZES, "sizes"),
        "inputs": chosen(typed.inputs, INPUTS, "inputs"),
    }


def read(paths: Sequence[str | PathLike[str]]) -> Standings:
    """The standings in one or several files of the same machine.

    Where two files have the same work on the same problem in the same dtype, the last one counts.

    Parameters
    ----------
    paths : sequence of path
        Files that ``ntklin bench`` has written, or the folders that it has written them to.

    Returns
    -------
    Standings

    Raises
    ------
    ValueError
        Naming the file that is none, is damaged, or is of another machine than the first.
    OSError
        If there is none, or it cannot be read.
    """
    files = [Path(path) / RESULT if Path(path).is_dir() else Path(path) for path in paths]
    first, *others = parts = [_one(file) for file in files]
    for file, part in zip(files[1:], others, strict=True):
        for name in MACHINE:
            there, here = (p.machine.get(name) for p in (first, part))
            if there != here:
                raise ValueError(
                    f"{shown(file)} is of another machine than {shown(files[0])}: its {name} is "
                    f"{here}, not {there}; draw a picture of each"
                )
    merged = {one.key: one for part in parts for one in part.standings}
    return replace(
        first,
        standings=tuple(merged.values()),
        networks={case: text for part in parts for case, text in part.networks.items()},
        versions={name: version for part in parts for name, version in part.versions.items()},
        quick=any(part.quick for part in parts),
        complete=all(part.complete for part in parts),
        runs=len(parts),
    )


def _one(file: Path) -> Standings:
    try:
        document = read_sealed(file)
        if document.get("schema") != SCHEMA:
            raise DamagedFileError(
                f"is no result of ntklin bench: its schema is {document.get('schema')!r}, "
                f"not {SCHEMA}"
            )
        return _of_document(document)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no {shown(file)} to draw; ntklin bench measures and writes one"
        ) from None
    except DamagedFileError as e:
        raise ValueError(f"{shown(file)} {e}") from e
    except (KeyError, IndexError, TypeError, AttributeError, ArithmeticError) as e:
        what = f"{type(e).__name__}: {e}"
        raise ValueError(f"{shown(file)} is no result of ntklin bench ({what})") from e


def _of_document(document: dict[str, Any]) -> Standings:
    machine, rows, comparisons = (document[k] for k in ("machine", "rows", "comparisons"))
    if machine is None:
        raise DamagedFileError("has no measurements: the run ended before the first")
    found: dict[tuple[Any, ...], Standing] = {}
    for standing in (*_of_rows(rows), *_of_comparisons(comparisons, document["targets"])):
        before = found.get(standing.key)
        if before is not None:  # of a row, which knows the limits, and then of its peers
            own_ms = standing.own_ms if before.own_ms is None else before.own_ms
            standing = replace(before, own_ms=own_ms, ratios=before.ratios + standing.ratios)
        found[standing.key] = standing
    versions = {name: machine["versions"][name] for name in (OWN, "numpy")}
    for comparison in comparisons:
        for run in comparison["peers"]:
            told = (run.get("versions") or {}).items()  # and threads, and kernels of a BLAS
            versions |= {k: v for k, v in told if isinstance(v, str) and k not in versions}
    return Standings(
        standings=tuple(one for one in found.values() if one.ratios),
        networks={case["name"]: _in_words(case) for case in document["options"]["cases"]},
        machine=machine,
        versions=versions,
        quick=document["quick"],
        complete=document[COMPLETE],
    )


def _in_words(case: Mapping[str, Any]) -> str:
    """A case's network: its widths, and its activation if that is not ReLU."""
    widths = "–".join(map(str, case["widths"]))
    return widths if case["activation"] == "relu" else f"{widths} {case['activation']}"


def _of_rows(rows: Iterable[dict[str, Any]]) -> Iterator[Standing]:
    """Of what was timed in one process: pairs of turns of the same round."""
    names = ("work", "variant", "case", "inputs", "dtype", "n", "frozen_n")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    for key, group in groups.items():
        mine = [row for row in group if row["implementation"] == OWN]
        own = next((row for row in mine if "turns_ms" in row), None)
        ratios = [_beside(own, row) for row in group if row["implementation"] != OWN]
        if own is None:
            ratios += [_missing(OWN, "", _reason(row)) for row in mine[:1]]
        yield Standing(
            **dict(zip(names, key, strict=True)),
            own_ms=None if own is None else own["median_ms"],
            limit=None if own is None else _limit(own),
            ratios=tuple(ratio for ratio in ratios if ratio is not None),
        )


def _beside(own: dict[str, Any] | None, row: dict[str, Any]) -> Ratio | None:
    """Another implementation's row beside ntklin's; None where it was not its turn."""
    by = row["implementation"]
    if own is None or "turns_ms" not in row:
        return _missing(by, "", _reason(row))
    turns = zip(row["turns_ms"], own["turns_ms"], strict=False)  # one may have a round more
    pairs = [(statistics.median(theirs), statistics.median(mine)) for theirs, mine in turns]
    return _ratio(by, "", pairs, (row["foreign_cores"], own["foreign_cores"]))


def _of_comparisons(
    comparisons: Iterable[dict[str, Any]], targets: Sequence[dict[str, Any]]
) -> Iterator[Standing]:
    """Of the peers, each a process between two turns of ntklin."""
    for comparison in comparisons:
        group = {name: comparison[name] for name in ("work", "case", "dtype", "n")}
        runs: dict[str, list[dict[str, Any]]] = {}
        for run in comparison["peers"]:
            runs.setdefault(run["peer"], []).append(run)
        for key, own in comparison["own"].items():
            variant, _, inputs = key.rpartition("|")
            facts = group | {"variant": variant, "inputs": inputs}
            wanted = {
                peer
                for target in targets
                if facts.items() <= target.items()
                for peer in target["peers"]
            }
            # Each variant has peers of its own; without targets, all that ran.
            ratios = [
                _between(peer, theirs, comparison["own_ms"], key, own["foreign_cores"])
                for peer, theirs in runs.items()
                if peer in wanted or not wanted
            ]
            yield Standing(
                **facts,
                frozen_n=group["n"],
                own_ms=own["median_ms"],
                ratios=tuple(ratio for ratio in ratios if ratio is not None),
            )


def _between(
    peer: str,
    runs: Sequence[dict[str, Any]],
    own_ms: Sequence[dict[str, float]],
    key: str,
    foreign_cores: float | None,
) -> Ratio | None:
    """A peer's medians over the means of ntklin's turns on both sides."""
    library, _, form = peer.rpartition(" ")
    pairs, foreign = [], [foreign_cores]
    for run in runs:
        around = [turn[key] for turn in own_ms[run["before"] :][:2] if key in turn]
        if not run.get("failed") and len(around) == 2:
            pairs.append((1e3 * run["median_s"], statistics.mean(around)))
            foreign.append(run.get("foreign_cores"))
    if not pairs:
        return _missing(library, form, next((r["failed"] for r in runs if r.get("failed")), ""))
    return _ratio(library, form, pairs, foreign)


def _ratio(
    library: str,
    form: str,
    pairs: Iterable[tuple[float, float]],
    foreign_cores: Iterable[float | None],
) -> Ratio:
    """The ratio of pairs of their time and ntklin's.

    A step is what a run takes beyond its set-up, and in a quick run may come out as nothing.

    Returns
    -------
    Ratio
    """
    pairs = list(pairs)
    if not all(isfinite(time) and time > 0 for pair in pairs for time in pair):
        return Ratio(library=library, form=form, reason=TOO_SHORT)
    foreign = max((cores for cores in foreign_cores if cores is not None), default=None)
    rounds = tuple(theirs / mine for theirs, mine in pairs)
    return Ratio(library=library, form=form, rounds=rounds, foreign_cores=foreign)


def _missing(library: str, form: str, reason: str) -> Ratio | None:
    """What there is no time of, for a reason; None where it was not its turn yet."""
    return Ratio(library=library, form=form, reason=reason) if reason else None


def _reason(row: dict[str, Any]) -> str:
    """Why a row was not timed; empty where its work was stopped by another's gate."""
    return row["failed"] or row["skipped"] or ""


def _limit(own: dict[str, Any]) -> float | None:
    """The larger of ntklin's fractions of the limits: of flops or of bytes, whichever binds."""
    return max((own[name] for name in FRACTIONS if own.get(name)), default=None)
