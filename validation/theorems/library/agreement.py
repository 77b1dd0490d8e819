"""What a result may be off by: the check that a public function returns the truth, up to rounding.

A problem is a small network, a few inputs, targets and numbers, all random multiples of powers of
two that float32 holds, so that the library is asked about the very numbers that the truth is of.
The truth F(z) is evaluated by definition in balls of 256 bits, of which some 70 digits are certain;
of expectations that have no closed form, 17 (``integrals``).

The algorithms of the library are backward stable: what they return is the truth of data that are
off by a few eps, each parameter, input and target relative to itself, features and outputs (and so
the kernel, as Cholesky's and eigenvalue methods have it) relative to the largest of them. Hence, to
first order,

    |result − F(z)| ≤ C eps (κ + |F(z)|),     κ = max_s |F(z + δ s) − F(z)|/δ

in the largest entries of all three, over three random directions s of ±1. δ = 2^−80 makes κ
a derivative, the condition number of what is asked; the last term is the rounding of the result.
Results of an iteration have its tolerance in the place of eps, where that is larger. Whole numbers
(of steps, say) are right or wrong: κ = 0, and C eps |F| is below 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.random import Generator
from numpy.typing import DTypeLike

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Check, Measurement, Setting, Strength
from ntklin.validation.theorems.library.models import DELTA, Model, Problem, UndecidedError
from ntklin.validation.theorems.library.numbers import PRECISION

# C of the docstring, and how many directions s are tried.
ROUNDINGS, DIRECTIONS = 16, 3
DTYPES = (np.float64, np.float32)

Named = Mapping[str, Any]  # by the public function that returns it
Truth = Callable[[Model], Named]
Call = Callable[[Problem], Named]
Tolerance = float | Callable[[float], float]  # a number, or one that eps decides


@dataclass(frozen=True, eq=False)
class Answer:
    """What the library said of one problem in one precision.

    Attributes
    ----------
    problem : Problem
    seed : int
        Of the directions.
    dtype : dtype
    results : mapping, or the exception that was raised
    """

    problem: Problem
    seed: int
    dtype: DTypeLike
    results: Named | Exception


@dataclass(frozen=True)
class Error:
    """How far a result is off.

    Attributes
    ----------
    name : str
    found, allowed : float
    """

    name: str
    found: float
    allowed: float

    @property
    def share(self) -> float:
        """Of what is allowed."""
        if not self.found:
            return 0.0
        return self.found / self.allowed if self.allowed else float("inf")

    def __str__(self) -> str:
        return f"{self.name}: {self.found:.2g} / {self.allowed:.2g}"


def agreement(
    name: str,
    hypothesis: str,
    draws: Sequence[Callable[[Generator], Problem]],
    call: Call,
    truth: Truth,
    wrong: Truth,
    control: str,
    *,
    repeats: int = 5,
    tolerances: Mapping[str, Tolerance] | None = None,
    dtypes: Sequence[DTypeLike] = DTYPES,
) -> Check:
    """A check that public functions return what is true, in float64 and in float32.

    Parameters
    ----------
    name, hypothesis, control : str
    draws : sequence of callable
        ``draw(rng)``, a problem; each kind once in a quick run, else ``repeats`` times.
    call : callable
        ``call(problem)``, what the library says of it, by the functions that say it.
    truth, wrong : callable
        ``truth(model)``, the same in exact numbers; or that of a formula that is not right.
    repeats : int
    tolerances : mapping of str to float or callable, optional
        Of what is found by an iteration or by differences; ``tolerance(eps)`` where eps decides.
    dtypes : sequence of dtype
        A quick run takes the first one: it would spend half of its time on compiling for the other.

    Returns
    -------
    Check
    """
    latest: list[Any] = []

    def measure(formula: Truth, rng: Generator, setting: Setting) -> Measurement:
        # The control, which comes second, is about the same answers.
        key = repr(rng.bit_generator.state), setting
        answers = latest[1] if latest and latest[0] == key else None
        latest.clear()
        if answers is None:
            extent = (1, dtypes[:1]) if setting.quick else (repeats, dtypes)
            answers = _asked(draws, call, truth, rng, *extent)
            latest[:] = key, answers
        return _judged(answers, formula, tolerances or {})

    return Check(
        name=name,
        strength=Strength.LIBRARY,
        hypothesis=hypothesis,
        measure=measure,
        formula=truth,
        wrong=wrong,
        control=control,
    )


def _asked(
    draws: Sequence[Callable[[Generator], Problem]],
    call: Call,
    truth: Truth,
    rng: Generator,
    repeats: int,
    dtypes: Sequence[DTypeLike],
) -> list[Answer]:
    """The library's answers to random problems."""
    answers = []
    for draw in draws:
        for r in rng.spawn(repeats):
            problem = _decided(draw, truth, r)
            seed = int(r.integers(2**32))
            for dtype in dtypes:
                try:
                    with warnings.catch_warnings():
                        # A loss that rises is no news here.
                        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
                        results = call(problem.cast(dtype))
                except Exception as e:  # of which the verdict tells
                    results = e
                answers.append(Answer(problem, seed, dtype, results))
    return answers


def _decided(draw: Callable[[Generator], Problem], truth: Truth, rng: Generator) -> Problem:
    """A problem whose kinks are none for float32, on the whole way."""
    while True:
        problem = draw(rng)
        try:
            with ctx.workprec(PRECISION):
                truth(Model(problem))
        except UndecidedError:
            continue
        return problem


def _judged(answers: Sequence[Answer], formula: Truth, tolerances: Named) -> Measurement:
    """The worst result in each precision."""
    known: dict[int, Any] = {}
    worst: dict[str, Error] = {}
    count = 0
    for answer in answers:
        if isinstance(answer.results, Exception):
            raised = f"{type(answer.results).__name__}: {answer.results}"
            return Measurement(measured=raised, predicted="a result", margin="none", holds=False)
        if id(answer.problem) not in known:
            known[id(answer.problem)] = condition(formula, answer.problem, answer.seed)
        errors = _errors(answer, known[id(answer.problem)], tolerances)
        count = max(count, len(errors))
        dtype = np.dtype(answer.dtype).name
        worst[dtype] = max([*errors, *filter(None, [worst.get(dtype)])], key=lambda e: e.share)
    share = max(error.share for error in worst.values())
    return Measurement(
        measured="; ".join(f"{dtype} {error}" for dtype, error in worst.items()),
        predicted="error ≤ allowed",
        margin=f"at most {share:.2g} of what is allowed, in {count} results",
        holds=share <= 1,
    )


def condition(formula: Truth, problem: Problem, seed: int) -> dict[str, tuple[Array, float, float]]:
    """What is true, κ and the largest entry, of each result."""
    with ctx.workprec(PRECISION):
        true = _entries(formula(Model(problem)))
        kappas = dict.fromkeys(true, 0.0)
        for k in range(DIRECTIONS):
            moved = _entries(formula(Model(problem, np.random.default_rng([seed, k]))))
            for name, values in moved.items():
                kappas[name] = max(kappas[name], _largest((values - true[name]) / DELTA))
        return {name: (values, kappas[name], _largest(values)) for name, values in true.items()}


def _errors(answer: Answer, known: dict[str, Any], tolerances: Named) -> list[Error]:
    eps, found = float(np.finfo(answer.dtype).eps), []
    results = answer.results
    assert not isinstance(results, Exception)
    for name, (true, kappa, size) in known.items():
        unit = max(eps, _tolerance(tolerances.get(name, 0.0), eps))
        allowed = ROUNDINGS * (unit * kappa + eps * size)
        found.append(Error(name, _distance(results[name], true), allowed))
    return found


def _tolerance(given: Tolerance, eps: float) -> float:
    return given(eps) if callable(given) else given


def _distance(values: Any, true: Array) -> float:
    values = np.asarray(values, np.float64).ravel()
    if values.shape != true.shape or not np.isfinite(values).all():
        return float("inf")
    with ctx.workprec(PRECISION):
        return _largest(np.array([arb(float(x)) for x in values], object) - true)


def _largest(values: Array) -> float:
    return max((float(abs(x).upper()) for x in values), default=0.0)


def _entries(named: Named) -> dict[str, Array]:
    """Every value as a flat array of balls."""
    return {
        name: np.array([arb(x) for x in np.ravel(np.asarray(values, object))], object)
        for name, values in named.items()
    }
