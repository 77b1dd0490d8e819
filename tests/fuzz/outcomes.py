"""What comes of a hostile call: a result, an error that names what is wrong, or a finding."""

import functools
import inspect
import os
import re
import signal
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

import ntklin
from fuzz import oddities as odd
from fuzz.oddities import ASKED
from ntklin.edge.files.reading import DamagedFileError

# Where errors may come from: the library's own code, as it is found in a checkout and installed.
HOMES = tuple(
    str(Path(folder).resolve())
    for folder in (
        Path(ntklin.__file__).parent,
        *(Path(__file__).parents[2] / part for part in ("ntklin", "validation")),
    )
)
# As they are when they are loaded: who edits one while cases run shall not mislead them.
SOURCES = {
    str(path): path.read_text("utf-8").splitlines()
    for home in HOMES
    for path in Path(home).rglob("*.py")
}
RESULT, NAMED, OWN, UNMADE = "result", "named error", "the value's own error", "not made"
DEPTHS, UNNAMED, NAN, CHANGED = "error from the depths", "no argument named", "NaN", "input changed"
WRONG, ENDED = "wrong", "crash or hang"
FINDINGS = (DEPTHS, UNNAMED, NAN, CHANGED, WRONG, ENDED)
# What errors call arguments beside their names.
OTHER_WORDS = {
    "__mul__": ("factor",),
    "load_data": ("class", "label", "name", "data set", "archive.npz"),
    "activation": ("slope", "beta"),
    "preconditioned": ("fn",),
    "optimizer": ("learning_rate",),
    "at": ("X", "step"),
    "dot": ("operand",),
    "step": ("operand",),
    "T.dot": ("operand",),
    "pack": ("W^", "b^", "layer"),
    "train": ("batch",),
    "theorem3": ("batch", "learning_rate"),
    "theorem6": ("batch",),
    "linearize_kernel": ("Y",),  # of the minimizer that is asked for then
}
# Fields in which a NaN says that there is no number, that only balanced features have in range,
# that are rounded from a wider one, and whose infinity makes a parameter stand still.
NO_NUMBER = {"final_loss", "passes", "midpoint", "lower", "upper", "slots"}
DEPTH = 3
ODDITIES = str(Path(odd.__file__).resolve())
# Whose functions stand for those of users.
USERS = {str(Path(__file__).resolve().parent / name) for name in ("tables.py", "arguments.py")}
OWN_ERRORS = (ntklin.NtklinError, ntklin.TrainingInterrupted, ntklin.MitigationInterrupted)


class Verdict(NamedTuple):
    """What came of a case, and how it is told."""

    kind: str
    text: str = ""

    @property
    def is_finding(self):
        """Whether something has to be mended."""
        return self.kind in FINDINGS


def judged(call, hostile):
    """What comes of a call.

    Parameters
    ----------
    call : fuzz.arguments.Call
    hostile : dict of str to Hostile
        In the place of what is as it should be.

    Returns
    -------
    Verdict
    """
    try:
        given = {name: argument.make() for name, argument in call.arguments.items()}
        given |= {name: value.make() for name, value in hostile.items()}
    except Exception as e:
        return Verdict(UNMADE, f"{type(e).__name__}: {e}")
    before = around()
    verdict = _verdict(call, given, hostile)
    if verdict.is_finding:
        return verdict
    if name := next((name for name, value in around().items() if value != before[name]), None):
        return Verdict(CHANGED, f"left behind by {verdict.kind}: {name}")
    if name := changed_input(call, given, hostile):
        return Verdict(CHANGED, name)
    return verdict


def _verdict(call, given, hostile):
    """What comes of the call itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", category=RuntimeWarning, module=r"ntklin(?!\.kernels)")
        try:
            function = call.function()
            result = function(*given.values()) if call.positional else function(**given)
            fault = fault_of(result)
            if call.then is not None:
                fault = fault or fault_of(call.then(result))
        except BaseException as e:
            if isinstance(e, KeyboardInterrupt) and not (is_own(e) or is_named(e)):
                raise  # from the keyboard
            return of_error(e, given, {name: call.arguments[name].kind for name in hostile})
    return Verdict(NAN, fault) if fault and not call.is_linear else Verdict(RESULT)


def around():
    """What no call may change behind itself, by name."""
    return {
        "how NumPy treats errors": np.geterr(),
        "the handler of Ctrl-C": signal.getsignal(signal.SIGINT),
        "the number of threads": numba.get_num_threads(),
        "the current folder": os.getcwd(),
        "the environment": dict(os.environ),
        "how numbers are printed": np.get_printoptions(),
    }


def changed_input(call, given, hostile):
    """The name of an array that a call has changed; None for none."""
    for name, argument in call.arguments.items():
        value = given[name]
        if name == "out" or type(value) is not np.ndarray or value.dtype.kind not in "biuf":
            continue
        made = hostile.get(name, argument).make()
        if not np.array_equal(value, made, equal_nan=True):
            return name
    return None


def is_own(error):
    """Whether an error is one that a hostile value raises, or what Python makes of one."""
    if isinstance(error.__cause__, StopIteration):  # in a generator
        return is_own(error.__cause__)
    place = places_of(error)[-1][0]
    endless = isinstance(error, RecursionError) and place == ODDITIES
    return ASKED in str(error) or endless or place in USERS


def of_error(error, given, kinds):
    """The verdict on an error.

    Parameters
    ----------
    error : BaseException
    given : dict of str to object
        All arguments.
    kinds : dict of str to str
        Of the hostile ones.

    Returns
    -------
    Verdict
    """
    text = told(error)
    if is_own(error):
        return Verdict(OWN, text)
    called = [given[name] for name, kind in kinds.items() if is_foreign(given[name], kind)]
    if any(map(callable, called)) and isinstance(error, TypeError | ValueError):
        foreign = not all(map(inspect.isfunction, called)) or "argument" in str(error)
        if foreign and not is_named(error):
            return Verdict(OWN, text)
    if not is_named(error):
        return Verdict(DEPTHS, text)
    if isinstance(error, (*OWN_ERRORS, OSError)):
        return Verdict(NAMED, text)
    words = {*given, *(word for words in OTHER_WORDS.values() for word in words)}
    named = any(
        re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])|{re.escape(word)}\^", str(error))
        for word in words
    )
    return Verdict(NAMED if named else UNNAMED, text)


def is_foreign(value, kind):
    """Whether a value may be called as a function of a user's, be it only by mistake."""
    ours = isinstance(value, type) or type(value).__module__.startswith("ntklin")
    return kind == "function" or not ours


def is_named(error):
    """Whether an error is one that ntklin raises on its own account."""
    if isinstance(error, (*OWN_ERRORS, DamagedFileError)):
        return True
    if isinstance(error, OSError) and error.filename is not None:  # the file is named
        return True
    path, number = places_of(error)[-1]
    lines = SOURCES.get(path)
    ours = lines is not None
    if ours and isinstance(error, OSError):  # by the writer, which names the file
        return True
    raised = ours and lines[number - 1].strip().startswith("raise ")
    return ours and raised and isinstance(error, TypeError | ValueError | NotImplementedError)


def places_of(error):
    """Files and lines that an error went through, that where it was raised the last."""
    walked = traceback.walk_tb(error.__traceback__)
    return [(resolved(frame.f_code.co_filename), number) for frame, number in walked]


@functools.cache
def resolved(path):
    """A source's path without links."""
    return str(Path(path).resolve())


def told(error):
    """An error in one line, with its place and how the library came there."""
    places = places_of(error)
    ours = [place for place in places if place[0].startswith(HOMES)]
    way = " > ".join(
        dict.fromkeys(f"{Path(path).name}:{number}" for path, number in (*ours[-2:], *places[-1:]))
    )
    return f"{type(error).__name__}: {str(error)[:200]} [{way}]"


def fault_of(thing, depth=DEPTH, where="result"):
    """Where a result has a NaN or an infinite number in an array; "" for nothing.

    Parameters
    ----------
    thing : object
    depth : int
        How far to look into what it has.
    where : str

    Returns
    -------
    str

    Raises
    ------
    Exception
        That a property raises, and that is none of ntklin's own.
    """
    if isinstance(thing, np.ndarray):
        if thing.dtype.kind == "f" and not np.isfinite(thing).all():
            return f"{where} has {thing[~np.isfinite(thing)].flat[0]} in an array {thing.shape}"
        return ""
    if isinstance(thing, float):
        return f"{where} is nan" if thing != thing else ""
    if depth == 0:
        return ""
    if isinstance(thing, list | tuple | dict):
        items = thing.items() if isinstance(thing, dict) else enumerate(thing)
        parts = ((item, f"{where}[{key!r}]") for key, item in [*items][:8])
    elif type(thing).__module__.startswith("ntklin") and not isinstance(thing, type):
        parts = ((value, f"{where}.{name}") for name, value in public(thing))
    else:
        return ""
    return next(filter(None, (fault_of(part, depth - 1, place) for part, place in parts)), "")


def public(thing):
    """Names and values of an object's public attributes, properties evaluated."""
    known = attributes(type(thing))
    own = (name for name in getattr(thing, "__dict__", ()) if known.get(name, True))
    properties = (name for name, is_property in known.items() if is_property)
    for name in sorted({*own, *properties}):
        if name.startswith("_") or name in NO_NUMBER:
            continue
        try:
            yield name, getattr(thing, name)
        except Exception as e:
            if not is_named(e):
                raise


@functools.cache
def attributes(kind):
    """A class's public names: True for its properties, False for what it has from elsewhere."""
    found = {}
    for name in dir(kind):
        attribute = inspect.getattr_static(kind, name, None)
        owner = next((c for c in kind.__mro__ if name in vars(c)), kind)
        if not owner.__module__.startswith("ntklin"):
            found[name] = False
        elif isinstance(attribute, property | functools.cached_property):
            found[name] = True
    return found
