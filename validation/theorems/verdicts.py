"""Runs of checks: each with its control, one result file each, so that a run can be resumed."""

import time
import zlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ntklin.validation import kept
from ntklin.validation.theorems.check import Curve, Measurement, Setting

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
            verdict = None
            if folder is not None:
                place = _path(folder, statement, check, setting), _head(statement, check, setting)
                verdict = kept.read(*place, _verdict, "check", "it is measured anew")
            if verdict is None:
                verdict = judge(statement, check, setting)
                if folder is not None:
                    kept.write(*place, asdict(verdict))
            if progress is not None:
                progress(statement, check, verdict)
            yield verdict


def _path(folder, statement, check, setting):
    kind = "quick" if setting.quick else "full"
    return Path(folder) / f"{statement.key}-{check.name}-{kind}-seed{setting.seed}.json"


def _head(statement, check, setting):
    """By which code and with which setting a verdict came about, and of which check."""
    code = {"schema": SCHEMA, "version": VERSION, "setting": asdict(setting)}
    of = {"statement": statement.key, "check": check.name, "strength": str(check.strength)}
    return code | of


def _verdict(values):
    """A verdict from its JSON, which knows no tuples."""
    parts = {name: _measurement(values[name]) for name in ("measurement", "control")}
    return Verdict(**{field.name: values[field.name] for field in fields(Verdict)} | parts)


def _measurement(values):
    curve = values["curve"]
    if curve is not None:
        curve = Curve(**{k: tuple(v) if isinstance(v, list) else v for k, v in curve.items()})
    return Measurement(**values | {"curve": curve})
