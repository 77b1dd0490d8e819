"""Runs of checks: each with its control, one result file each, so that a run can be resumed."""

import json
import time
import warnings
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ntklin.edge.files.names import shown
from ntklin.edge.files.reading import DamagedFileError
from ntklin.edge.files.seal import read_kept, sealed
from ntklin.edge.files.writing import write_whole
from ntklin.validation.theorems.check import Check, Curve, Measurement, Setting, Statement

# Of the checks' code: raised where a change makes stored verdicts obsolete.
VERSION = 1
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
    def passed(self):
        """The claim holds, and the check can tell it from a wrong one."""
        return self.measurement.holds and not self.control.holds


def judge(statement, check, setting):
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


def random_numbers(statement, check, setting):
    """A generator of the seed and the check's name."""
    name = zlib.crc32(f"{statement.key}/{check.name}".encode())
    return np.random.default_rng([setting.seed, name])


def run(statements, setting=None, *, strengths=None, folder=None, progress=None):
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
            verdict = None if folder is None else _stored(folder, statement, check, setting)
            if verdict is None:
                verdict = judge(statement, check, setting)
                if folder is not None:
                    _store(folder, verdict, setting)
            if progress is not None:
                progress(statement, check, verdict)
            yield verdict


def _path(folder, statement_key, check_name, setting):
    kind = "quick" if setting.quick else "full"
    return Path(folder) / f"{statement_key}-{check_name}-{kind}-seed{setting.seed}.json"


def _stored(folder, statement: Statement, check: Check, setting: Setting):
    """The verdict of an earlier run; None without one, or if it is of other code or damaged."""
    path = _path(folder, statement.key, check.name, setting)
    try:
        record = read_kept(path)
        return None if record is None else _verdict(record, statement, check, setting)
    except DamagedFileError as e:
        warnings.warn(f"{shown(path)} {e}; it is measured anew", UserWarning, stacklevel=3)
        return None


def _head(setting):
    """By which code and with which setting a verdict came about."""
    return {"schema": SCHEMA, "version": VERSION, "setting": asdict(setting)}


def _verdict(record, statement, check, setting):
    of = {"statement": statement.key, "check": check.name, "strength": str(check.strength)}
    for name, expected in (_head(setting) | of).items():
        if record.get(name) != expected:
            raise DamagedFileError(f"is of another check: its {name} is not that of this one")
    values = {name: value for name, value in record.items() if name not in _head(setting)}
    try:
        parts = {part: _measurement(values[part]) for part in ("measurement", "control")}
        return Verdict(**values | parts)
    except (KeyError, TypeError, AttributeError) as e:
        raise DamagedFileError(f"holds no verdict: {e}") from e


def _measurement(record):
    """A measurement from its JSON, which knows no tuples."""
    curve = record["curve"]
    if curve is not None:
        curve = Curve(**{k: tuple(v) if isinstance(v, list) else v for k, v in curve.items()})
    return Measurement(**record | {"curve": curve})


def _store(folder, verdict, setting):
    """Write it whole or not at all, with a digest."""
    path = _path(folder, verdict.statement, verdict.check, setting)
    values = sealed(_head(setting) | asdict(verdict))
    write_whole(path, json.dumps(values, indent=1), follow=False)
