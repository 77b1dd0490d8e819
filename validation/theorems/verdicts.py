"""Runs of checks: each with its control, one result file each, so that a run can be resumed."""

import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from ntklin.validation import kept
from ntklin.validation.theorems.check import Check, Curve, Measurement, Setting, Statement, Strength

# Of the checks' code: raised where a change makes stored verdicts obsolete.
VERSION = 3
SCHEMA = "ntklin-verdict/1"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A check's outcome.

    Attributes
    ----------
    statement, check : str
        Their keys.
    strength : str
    measurement, control : Measurement
        Of the formula, which must hold, and of the wrong one, which must not.
    seconds : float
    """

    statement: str
    check: str
    strength: str
    measurement: Measurement
    control: Measurement
    seconds: float

    @property
    def passed(self) -> bool:
        """The claim holds, and the check can tell it from a wrong one."""
        return self.measurement.holds and not self.control.holds


def judge(statement: Statement, check: Check, setting: Setting) -> Verdict:
    """Measure one check and its control, with the same random numbers.

    Parameters
    ----------
    statement : Statement
    check : Check
    setting : Setting

    Returns
    -------
    Verdict
    """
    start = time.perf_counter()
    measurement, control = (
        check.measure(formula, random_numbers(statement, check, setting), setting)
        for formula in (check.formula, check.wrong)
    )
    return Verdict(
        statement=statement.key,
        check=check.name,
        strength=str(check.strength),
        measurement=measurement,
        control=control,
        seconds=time.perf_counter() - start,
    )


def random_numbers(statement: Statement, check: Check, setting: Setting) -> Generator:
    """A generator of the seed and the check's name."""
    name = zlib.crc32(f"{statement.key}/{check.name}".encode())
    return np.random.default_rng([setting.seed, name])


def run(
    statements: Iterable[Statement],
    setting: Setting | None = None,
    *,
    strengths: Collection[Strength] | None = None,
    folder: str | PathLike[str] | None = None,
    progress: Callable[[Statement, Check, Verdict | None], object] | None = None,
) -> Iterator[Verdict]:
    """Judge the checks of some statements, one after the other.

    Parameters
    ----------
    statements : iterable of Statement
    setting : Setting, optional
    strengths : collection of Strength, optional
        Which checks; all when not given.
    folder : path, optional
        Where verdicts are kept: what is there is not measured again, unless it is damaged or of
        other code, of which a warning tells.
    progress : callable, optional
        Called as ``progress(statement, check, verdict)`` before each check, with None, and after
        it.

    Yields
    ------
    Verdict
    """
    setting = setting or Setting()
    for statement in statements:
        for check in statement.checks:
            if strengths is not None and check.strength not in strengths:
                continue
            if progress is not None:
                progress(statement, check, None)
            path = None if folder is None else _path(folder, statement, check, setting)
            head, verdict = _head(statement, check, setting), None
            if path is not None:
                verdict = kept.read(path, head, _verdict, "check", "it is measured anew")
            if verdict is None:
                verdict = judge(statement, check, setting)
                if path is not None:
                    kept.write(path, head, asdict(verdict))
            if progress is not None:
                progress(statement, check, verdict)
            yield verdict


def _path(
    folder: str | PathLike[str], statement: Statement, check: Check, setting: Setting
) -> Path:
    kind = "quick" if setting.quick else "full"
    return Path(folder) / f"{statement.key}-{check.name}-{kind}-seed{setting.seed}.json"


def _head(statement: Statement, check: Check, setting: Setting) -> dict[str, Any]:
    """By which code and with which setting a verdict came about, and of which check."""
    code = {"schema": SCHEMA, "version": VERSION, "setting": asdict(setting)}
    of = {"statement": statement.key, "check": check.name, "strength": str(check.strength)}
    return code | of


def _verdict(values: dict[str, Any]) -> Verdict:
    """A verdict from its JSON, which knows no tuples."""
    found = {field.name: values[field.name] for field in fields(Verdict)}
    for name in ("measurement", "control"):
        found[name] = _measurement(values[name])
    return Verdict(**found)


def _measurement(values: dict[str, Any]) -> Measurement:
    curve = values["curve"]
    if curve is None:
        return Measurement(**values)
    parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in curve.items()}
    found: dict[str, Any] = values | {"curve": Curve(**parts)}
    return Measurement(**found)
