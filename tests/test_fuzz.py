"""Hostile input: some of the cases of which ``python -m fuzz`` runs any number."""

import contextlib
import itertools
import os
from pathlib import Path

import numba
import numpy as np
import pytest
from fuzz import oddities as odd
from fuzz import record, workers
from fuzz.arguments import Call, array, number
from fuzz.calls import CALLS, LEFT_OUT, NOT_CALLED, cases, folder, grid, is_raised, parameters
from fuzz.damage import CUT, KINDS, TURNS, damages, whole
from fuzz.enclosures import judged as judged_problem
from fuzz.hostile import Hostile
from fuzz.outcomes import CHANGED, DEPTHS, ENDED, NAMED, NAN, OWN, RESULT, UNNAMED, WRONG, judged
from fuzz.words import SMALL, lines, no_work
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_array_arguments import public_parameters

import ntklin

WITHOUT_JIT = bool(numba.config.DISABLE_JIT)
# Of the values that an argument can have, one in so many has its turn here.
STRIDE = 1000 if WITHOUT_JIT else 50
few = settings(
    max_examples=1 if WITHOUT_JIT else 10, suppress_health_check=list(HealthCheck), deadline=None
)


def assert_no_finding(case, verdict):
    __tracebackhide__ = True
    assert not verdict.is_finding, f"{case.label}: {verdict.kind}: {verdict.text}"


# The tables


def test_every_public_name_is_called():
    called = {part for where in CALLS for part in where.split(" ")[0].split(".")}
    left = {name for name in ntklin.__all__ if name not in called | NOT_CALLED}
    assert {name for name in left if not is_raised(getattr(ntklin, name))} == set()


def test_every_public_parameter_is_fuzzed():
    public = set(public_parameters()) - LEFT_OUT.keys()
    fuzzed = {
        (where.split(" ")[0], name) for where, call in CALLS.items() for name in call.arguments
    }

    def names(where):
        """What a method may be listed under: of a class, or of those that it inherits from."""
        owner, _, method = where.partition(".")
        kinds = getattr(getattr(ntklin, owner, None), "__mro__", ()) if method else ()
        return {where, *(f"{kind.__name__}.{method}" for kind in kinds)}

    left = {(w, p) for w, p in public if not any((n, p) in fuzzed for n in names(w))}
    # The features' constructor is the networks' ``features``; ``step`` trusts what it gets.
    assert {row for row in left if row[0] != "FeatureMap" and not row[0].endswith(".step")} == set()


def test_every_command_has_a_small_run():
    from ntklin.apps.cli.app import COMMANDS

    assert SMALL.keys() == COMMANDS.keys()


# The cases


@pytest.mark.parametrize("where", CALLS)
@few
@given(data=st.data())
def test_calls_have_a_result_or_a_named_error(where, data):
    case = data.draw(cases(where))
    assert_no_finding(case, case.judged())


@pytest.mark.parametrize("number", range(len(parameters())))
@pytest.mark.filterwarnings("ignore")  # while they are made
def test_listed_values_have_a_result_or_a_named_error(number):
    for case in itertools.islice(grid(number), number % STRIDE, None, STRIDE):
        assert_no_finding(case, case.judged())


@pytest.mark.parametrize("command", SMALL)
@settings(few, max_examples=10 if WITHOUT_JIT else 30)
@given(data=st.data())
def test_command_lines_are_run_or_refused(command, data):
    line = data.draw(lines(command))
    with no_work():
        verdict = line.judged()
    assert_no_finding(line, verdict)


@pytest.mark.skipif(os.name != "posix", reason="terminals and descriptors are POSIX's")
@pytest.mark.compiled
@settings(few, max_examples=3)
@given(data=st.data())
def test_commands_stand_their_surroundings(data):
    from fuzz.surroundings import surroundings

    case = data.draw(surroundings())
    assert_no_finding(case, case.judged())


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_known(kind, tmp_path):
    found = [*damages(kind)]
    for damage in found[:: max(1, len(found) // (6 if WITHOUT_JIT else 24))]:
        assert_no_finding(damage, damage.judged(tmp_path))


def test_all_bits_of_a_file_have_their_turn():
    kind = "download"
    files, name, _ = whole(kind)
    n = len(files[name])
    found = [one for turn in range(TURNS) for one in damages(kind, turn)]
    assert {one.place for one in found if one.how == CUT} == {*range(n)}
    flipped = {(one.place, one.bit) for one in found if one.how != CUT}
    assert flipped == {*itertools.product(range(n), range(8))}


@pytest.mark.parametrize("seed", range(100))
def test_the_truth_lies_in_the_balls(seed):
    verdict = judged_problem(seed)
    assert not verdict.is_finding, verdict


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, a):
        self.a, self.times = np.asarray(a), 0

    def __array__(self, dtype=None, copy=None):
        self.times += 1
        return self.a if dtype is None else self.a.astype(dtype)


ARRAYS = {
    where: names
    for where, call in CALLS.items()
    # An array to write into, or to be like, has to be one.
    if (
        names := [
            n for n, a in call.arguments.items() if a.kind == "array" and n not in ("out", "like")
        ]
    )
}


@pytest.mark.parametrize("where", ARRAYS)
@pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning")
def test_arrays_are_read_once(where):
    call = CALLS[where]
    for name in ARRAYS[where]:
        given = {other: argument.make() for other, argument in call.arguments.items()}
        counted = given[name] = Counted(given[name])
        with contextlib.chdir(folder().name):
            call.function()(*given.values()) if call.positional else call.function()(**given)
        assert counted.times == 1, f"{name} is read {counted.times} times"


# What must be found is found


def outcome(function, value=0.5, **arguments):
    call = Call(lambda: function, {"x": number(0.5), **arguments})
    return judged(call, {"x": Hostile("it", lambda: value)}).kind


def refuse(x):
    raise ValueError("something is wrong")


def test_findings_are_told_from_results_and_named_errors():
    assert outcome(lambda x: x) == RESULT
    assert outcome(lambda x: [][0]) == DEPTHS
    assert outcome(lambda x: [1.0, {"a": x - x / 0.5 * np.nan}]) == NAN
    assert outcome(lambda x: np.array([np.inf])) == NAN
    assert outcome(refuse) == DEPTHS  # not raised by the library
    assert outcome(lambda x: ntklin.TimeLimit(x), "y") == UNNAMED
    assert outcome(lambda x: ntklin.edge.checks.as_positive(x, name="x"), "x") == NAMED
    assert outcome(lambda x, a: a.fill(0), a=array([1.0])) == CHANGED
    assert outcome(lambda x: x(), odd.raising(KeyboardInterrupt(odd.ASKED))) == OWN
    assert outcome(lambda x: x(), odd.endless_calls) == OWN
    assert outcome(list, odd.Endless(1.0)) == DEPTHS
    with np.errstate():
        assert outcome(lambda x: np.seterr(under="raise") and None) == CHANGED


def test_hostile_arrays_stay_as_they_are():
    call = Call(lambda: lambda x: x.fill(0), {"x": array([1.0])})
    assert judged(call, {"x": Hostile("it", lambda: np.ones(2))}) == (CHANGED, "x")


def test_a_keyboard_is_no_finding():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome(interrupted)


# The record


def test_the_documentation_has_what_was_run():
    text = (Path(__file__).parents[1] / "docs" / "fuzzing.md").read_text("utf-8")
    assert record.table(record.rows()) in text


def test_runs_of_batches():
    assert workers.spans([]) == []
    assert workers.spans([3, 1, 2, 7, 2]) == [[1, 3], [7, 7]]


@pytest.mark.once
def test_crashes_and_hangs_are_findings_and_runs_go_on(tmp_path):
    workers.watch("mischief", tmp_path, 2, range(4), 1, 15.0)
    found = workers.summary(tmp_path)
    assert found["cases"] == 4
    assert found["counts"] == {RESULT: 1, WRONG: 1, ENDED: 2}
    texts = {one["case"]: one["text"] for one in found["findings"]}
    assert texts["mischief(hangs)"] == "no end in 15 s"
    assert texts["mischief(crashes)"] == "ended with status -11"
    workers.watch("mischief", tmp_path, 1, range(5), 1, 15.0)  # of which four are done
    assert workers.summary(tmp_path)["cases"] == 5
