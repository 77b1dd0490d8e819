"""One argument is wrong: the error names that one, in every public function."""

import contextlib
import inspect
import re
import sys
import typing

import numpy as np
import pytest
from fuzz.calls import CALLS, folder
from fuzz.hostile import Hostile
from fuzz.outcomes import NAMED, OTHER_WORDS, RESULT, judged


class Nothing:
    """What is nothing that anybody could want."""

    def __repr__(self):
        return "Nothing()"


# By the kind of an argument, what it cannot be.
WRONG = {
    "array": (Nothing(), np.full((2, 3, 4, 5), np.nan), np.zeros((0, 7, 7, 7))),
    "number": (Nothing(), float("nan"), -1.0),
    "count": (Nothing(), 0.5, -1),
    "function": (Nothing(),),
    "text": (Nothing(), "zz"),
    "thing": (Nothing(), -1),
}


# Names that errors have instead; those that a notebook shows, or that come into play later.
OTHER = {"X1": ("X",), "X2": ("X", "X_new")}
NOT_LOOKED_AT = {
    *((f"Dataset-{name}") for name in ("name", "provenance", "image_shape", "classes")),
    *("mitigate_initialization-rng", "mitigate_initialization-weight_decay", "plan_cluster-rank"),
    *("Schedule.__mul__-other", "Stop.__or__-other", "Stop.room-taken", "MLP-activation"),
    *("load_run-network", "load_run-optimizer"),
    # Of labels their samples are named; of a folder and a name, what they stand for.
    *(f"load_data of an archive of two parts-{name}" for name in ("y_train", "y_test")),
    *(f"load_data from NTKLIN_DATA_DIR-{name}" for name in ("name_or_path", "folder")),
}
CASES = [
    (where, name)
    for where, call in CALLS.items()
    for name, argument in call.arguments.items()
    if argument.kind in WRONG and name != "path" and f"{where}-{name}" not in NOT_LOOKED_AT
]


@pytest.mark.parametrize(("where", "name"), CASES)
def test_an_error_names_the_argument_that_is_wrong(where, name):
    call, kind = CALLS[where], CALLS[where].arguments[name].kind
    method = where.split(".")[-1]
    words = {name, *OTHER.get(name, ()), *OTHER_WORDS.get(name, ()), *OTHER_WORDS.get(method, ())}
    named = re.compile("|".join(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])" for word in words))
    for k, value in enumerate(WRONG[kind]):
        with contextlib.chdir(folder().name):
            verdict = judged(call, {name: Hostile(repr(value), lambda value=value: value)})
        assert k > 0 or verdict.kind != RESULT, f"{where} takes {value!r} as {name}"
        if verdict.kind == NAMED and not verdict.text.startswith("FloatRangeError"):
            assert named.search(verdict.text.partition(" [")[0]), (value, verdict.text)


def words_of(hint):
    """The texts of the literals in a type."""
    if typing.get_origin(hint) is typing.Literal:
        return {word for word in typing.get_args(hint) if isinstance(word, str)}
    return {word for part in typing.get_args(hint) for word in words_of(part)}


def typed_words(where):
    """The arguments of a public function that are one of some words, and these."""
    function = CALLS[where].function()
    owner = getattr(function, "__func__", function)
    for name, parameter in inspect.signature(function).parameters.items():
        hint = parameter.annotation
        if isinstance(hint, str):
            with contextlib.suppress(NameError):  # of arrays and the like, for type checkers alone
                hint = eval(hint, dict(vars(sys.modules[owner.__module__])))
        if name in CALLS[where].arguments and (words := words_of(hint)):
            yield name, words


WORDS = [(where, name, words) for where in CALLS for name, words in typed_words(where)]
# What else has to be given for an argument to be looked at.
BESIDE = {("Linearization.minimizer", "preconditioner"): {"solver": "pcg"}}


@pytest.mark.parametrize(("where", "name", "words"), WORDS)
def test_types_have_the_words_that_errors_tell(where, name, words):
    given = {name: "zz", **BESIDE.get((where, name), {})}
    hostile = {key: Hostile(repr(v), lambda v=v: v) for key, v in given.items()}
    with contextlib.chdir(folder().name):
        verdict = judged(CALLS[where], hostile)
    told = re.search(rf"{name} must be (.*), got 'zz'", verdict.text)
    assert told, verdict.text
    assert set(re.findall(r"""['"](\w+)['"]""", told[1])) == words
