"""``ntklin verify --quick`` sees every fault of the library in the catalogue."""

import pytest
from commands import invoke
from library_faults import FAULTS

import ntklin
from ntklin.validation.theorems import STATEMENTS, Setting
from ntklin.validation.theorems.library import agreement
from ntklin.validation.theorems.verdicts import random_numbers

CHECKS = {
    f"{statement.key}/{check.name}": (statement, check)
    for statement in STATEMENTS
    for check in statement.checks
}
# One of each kind in the fast tests.
SEEN, FIRST = set(), []
for fault in FAULTS:
    if fault.seen_by not in SEEN:
        FIRST.append(fault)
    SEEN.add(fault.seen_by)


@pytest.fixture(autouse=True)
def truths(monkeypatch):
    """What is true does not depend on the library: it is kept for all faults of a check."""
    found, compute = {}, agreement.condition

    def condition(formula, problem, seed):
        key = formula, seed
        if key not in found:
            found[key] = compute(formula, problem, seed)
        return found[key]

    monkeypatch.setattr(agreement, "condition", condition)


def measured(name, seed):
    """The check's measurement in a quick run."""
    statement, check = CHECKS[name]
    setting = Setting(quick=True, seed=seed)
    return check.measure(check.formula, random_numbers(statement, check, setting), setting)


def test_the_catalogue():
    assert len(FAULTS) >= 100
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert set(CHECKS) >= SEEN


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=() if fault in FIRST else pytest.mark.slow, id=fault.name)
        for fault in FAULTS
    ],
)
def test_a_fault_is_seen(fault, monkeypatch):
    # A seed of its own: what a check has drawn with another is none of this run's.
    fault.make(monkeypatch)
    seed = 100 + FAULTS.index(fault)
    found = measured(fault.seen_by, seed)
    assert not found.holds
    assert found.predicted != "a result", found.measured  # the fault itself is sound


def test_the_command_tells_of_a_fault(tmp_path, monkeypatch):
    fault = next(fault for fault in FAULTS if fault.name == "parameters(t) returns θ_0")
    fault.make(monkeypatch)
    arguments = "equation18", "--quick", "--library", "--out", tmp_path
    result = invoke("verify", *arguments)
    assert result.exit_code == 1, result.output
    assert "FAILS: Eq. (18), descent" in result.output
    assert "0 of 1 library" in result.output


def test_what_a_function_raises_is_a_failure(monkeypatch):
    def refuse(*arguments, **options):
        raise ValueError("not today")

    monkeypatch.setattr(ntklin, "linearize", refuse)
    found = measured("lemma2/norms", seed=99)
    assert not found.holds
    assert found.measured == "ValueError: not today"
