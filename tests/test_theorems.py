"""The checks of the paper's statements, and that each can tell right from wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from flint import arb, ctx, fmpq

from ntklin.edge.files.seal import sealed
from ntklin.validation import theorems
from ntklin.validation.theorems import STATEMENTS, Setting, Strength, rationals, run
from ntklin.validation.theorems.check import joined
from ntklin.validation.theorems.library import integrals, limits

QUICK = Setting(quick=True)
CHECKS = [(statement, check) for statement in STATEMENTS for check in statement.checks]
KEYS = {statement.key: statement for statement in STATEMENTS}
NAMES = [f"{statement.key}/{check.name}" for statement, check in CHECKS]


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)
    assert len({statement.key for statement in STATEMENTS}) == len(STATEMENTS)


@pytest.fixture
def one_thread():
    """Threads cost such small networks more than they save, most of all beside other tests."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def runs():
    """Every check with two seeds; the library's second one is slow."""
    for (statement, check), name in zip(CHECKS, NAMES, strict=True):
        for seed in (0, 1):
            slow = seed and check.strength == Strength.LIBRARY
            marks = pytest.mark.slow if slow else ()
            yield pytest.param(statement, check, seed, id=f"{name}-{seed}", marks=marks)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("statement", "check", "seed"), runs())
def test_a_statement_holds_and_its_control_fails(statement, check, seed):
    if check.strength == Strength.STATISTICAL and numba.config.DISABLE_JIT:
        pytest.skip("trains hundreds of networks: minutes a check without compiled kernels")
    [verdict] = run([replace(statement, checks=(check,))], Setting(quick=True, seed=seed))
    assert verdict.measurement.holds, verdict.measurement
    assert not verdict.control.holds, verdict.control
    assert verdict.passed


def test_statements_say_what_they_claim():
    for statement, check in CHECKS:
        assert statement.text.strip()
        assert check.hypothesis
        assert check.control
        assert check.strength in set(Strength)


def test_a_wrong_formula_fails_and_a_blind_check_does_not_pass():
    statement = KEYS["theorem1"]
    check = statement.checks[0]
    wrong = replace(check, formula=check.wrong)
    blind = replace(check, wrong=check.formula)
    verdicts = list(run([replace(statement, checks=(wrong, blind))], QUICK))
    assert [verdict.passed for verdict in verdicts] == [False, False]


def test_runs_are_the_same_for_the_same_seed():
    statement = KEYS["example1"]
    first, again, other = (
        [replace(v, seconds=0) for v in run([statement], Setting(quick=True, seed=seed))]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_strengths_choose_checks():
    assert not list(run(STATEMENTS, QUICK, strengths=()))
    found = list(run([KEYS["kernel-limit"], KEYS["theorem1"]], QUICK, strengths={Strength.EXACT}))
    assert {verdict.strength for verdict in found} == {"exact"}


def test_a_run_resumes(tmp_path):
    statement = KEYS["equation19"]
    statement = replace(statement, checks=statement.checks[:2])
    first = list(run([statement], QUICK, folder=tmp_path))
    asked = []
    resumed = list(
        run([statement], QUICK, folder=tmp_path, progress=lambda s, c, v: asked.append(v))
    )
    assert resumed == first  # with the seconds of the first run
    assert asked == [None, first[0], None, first[1]]
    assert len(list(run([statement], Setting(quick=True, seed=1), folder=tmp_path))) == 2
    assert len(list(tmp_path.iterdir())) == 4


def test_a_verdict_that_is_damaged_or_anothers_is_measured_anew(tmp_path):
    statement, other = KEYS["equation19"], Setting(quick=True, seed=1)
    (check, *_) = statement.checks
    statement = replace(statement, checks=(check,))
    assert all(verdict.passed for verdict in run([statement], QUICK, folder=tmp_path))
    (path,) = tmp_path.iterdir()
    content = path.read_text()
    values = {k: v for k, v in json.loads(content).items() if k != "digest"}
    elsewhere = tmp_path / path.name.replace("seed0", "seed1")
    for text, at, setting, reason in (
        ("{", path, QUICK, "holds no JSON"),
        (content.replace("true", "false", 1), path, QUICK, "another digest"),
        (json.dumps(sealed(values | {"version": 0})), path, QUICK, "its version is not"),
        (json.dumps(sealed(values | {"control": None})), path, QUICK, "holds no result"),
        (content, elsewhere, other, "its setting is not that of this one"),
    ):
        at.write_text(text)
        with pytest.warns(UserWarning, match=f"{at.name} .*{reason}.*; it is measured anew"):
            (verdict,) = run([statement], setting, folder=tmp_path)
        assert verdict.passed
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=f"{path.name} is a directory, not a file; move it away"):
        list(run([statement], QUICK, folder=tmp_path))


# Rational arithmetic


def test_rational_networks_are_the_networks_of_eq_1():
    """Against plain floating-point arithmetic."""
    rng = np.random.default_rng(0)
    network = rationals.RationalNetwork.random(rng, (3, 4, 9, 1), sigma=2)
    x = rationals.random_matrix(rng, 3, 1)

    def floats(A):
        return np.array([[int(v.p) / int(v.q) for v in row] for row in A.tolist()])

    def output(layers):
        a = floats(x)
        for l, (W, b) in enumerate(layers):
            a = 2 / np.sqrt(len(W)) * (W @ a + b)
            if l < 2:
                a = np.maximum(a, 0)
        return a[0, 0]

    layers = [(floats(W), floats(b)) for W, b in network.layers]
    assert float(network.output(x).p) / float(network.output(x).q) == pytest.approx(output(layers))
    # Piecewise linear in each parameter: central differences are exact up to rounding.
    for l, parts in enumerate(network.gradient(x)):
        for k, found in enumerate(parts):
            expected = np.empty_like(layers[l][k])
            for place in np.ndindex(expected.shape):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = [[p.copy() for p in layer] for layer in layers]
                    moved[l][k][place] += step
                    ends.append(output(moved))
                expected[place] = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(floats(found), expected, rtol=1e-6, atol=1e-6)


def test_matrices():
    A = rationals.rows([1, 2], [3, 4])
    assert rationals.stacked((A, A), (A, A)).nrows() == 4
    assert rationals.selected(A, [1]) == rationals.rows([3, 4])
    assert rationals.power(A, 2) == A * A
    assert rationals.product([A, A.transpose()], 2) == A.transpose() * A
    assert rationals.trace(A) == 5
    assert rationals.norm_squared(A) == 30
    assert rationals.inner(A, A.transpose()) == 1 + 6 + 6 + 16
    assert rationals.size(A - 2 * A) == 4
    assert rationals.diagonal([fmpq(1, 2)]) == rationals.rows([fmpq(1, 2)])


# Infinite width


@pytest.mark.parametrize("name", ["erf", "sin", "gelu"])
@pytest.mark.parametrize("covariance", ["-0.4", "0.05", "0.6"])
def test_integrals_over_the_plane_are_the_closed_forms(name, covariance):
    """Which the laws of tanh, sigmoid and softplus do not have."""
    with ctx.workprec(256):
        q, p, s = arb("0.8"), arb("0.5"), arb(covariance)
        for given in ((q, p, s, False), (q, q, q, True)):
            found, closed = integrals.by_integrals(name)(*given), limits.LAWS[name](*given)
            assert max(abs(a - b) for a, b in zip(found, closed, strict=True)) < 1e-16


def test_every_statement_is_listed_once():
    folder = Path(theorems.__path__[0])
    with_checks = [p for p in folder.glob("*.py") if "\nSTATEMENT = " in p.read_text()]
    assert len(with_checks) == len(STATEMENTS)


def test_statements_do_without_docstrings():
    """``python -OO`` leaves them out."""
    assert joined("a", "b") == "ab"
    assert joined(None, None) is None
