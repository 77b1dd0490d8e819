"""Whatever goes on after an end ends as if there had been none, bit for bit.

Runs of shapes with several tiles, slabs and blocks, with every engine, kind of optimizer, schedule,
decay and batches, are ended at several steps, by their number or by Ctrl-C, and go on from a file,
on another number of threads, with blocks of steps cut otherwise, here and in another process.
"""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from commands import invoke, results
from test_bits import digest
from test_checkpoint import assert_same
from test_linearized_resume import assert_same as assert_same_linearized

import ntklin
from ntklin.runs import loop
from ntklin.theory import noise_course
from ntklin.validation import theorems

pytestmark = [
    pytest.mark.filterwarnings("ignore::ntklin.NonMonotoneLossWarning"),
    pytest.mark.filterwarnings("ignore::ntklin.UnitBallWarning"),
    pytest.mark.compiled("shapes of several tiles take minutes without the JIT"),
]

WHOLE = 24
CUTS = ((1, 13), (5, 6, 23), (0, 20))
SHALLOW = ntklin.MLP((50, 300, 1), bias="normal")
DEEP = ntklin.MLP((20, 150, 90, 1), bias="normal")
CLASSES = ntklin.MLP((20, 300, 3), activation="tanh")
SMOOTH = ntklin.MLP((20, 80, 70, 3), activation="gelu")
SMALL = ntklin.MLP((20, 6, 1))
PAIR = ntklin.AntisymmetricPair(ntklin.MLP((20, 90, 1)))
SCHEDULE = ntklin.WarmupSchedule(4) * ntklin.CosineSchedule(0.2, 40)
STEPS = ntklin.StepSchedule(0.02, 5, 0.5)
BATCHES = ntklin.Batches(0.4, rng=6)
LISTED = [[t % 30, (7 * t) % 30, 3] for t in range(WHOLE)]
SINGLE = np.float32


def matrix(t, gradient):
    """A D_t that is full, and stored by columns."""
    a = np.abs(gradient)
    return np.asfortranarray(np.eye(len(a)) / (1 + t) + 0.1 * np.outer(a, a))


TRAINED = {
    "reduced": (SHALLOW, ntklin.GradientDescent(SCHEDULE), {"batches": BATCHES}, SINGLE),
    "reduced, default rate": (DEEP, None, {"loss": "logistic"}),
    "reduced, classes": (SMOOTH, ntklin.GradientDescent(STEPS), {"loss": "softmax"}),
    "fused, adam": (SHALLOW, ntklin.Adam(0.1 * SCHEDULE), {"batches": LISTED}, SINGLE),
    "fused, nesterov": (CLASSES, ntklin.Momentum(0.02, 0.8, nesterov=True), {}),
    "fused, adagrad": (SHALLOW, ntklin.AdaGrad(0.01), {"loss": "logistic", "sharpness": True}),
    "direct, adamw": (DEEP, ntklin.AdamW(STEPS, weight_decay=0.1), {"batches": BATCHES}),
    "direct, decayed momentum": (DEEP, ntklin.GradientDescent(0.05, 0.8, True, 0.1), {}, SINGLE),
    "direct, decoupled": (CLASSES, ntklin.RMSprop(1e-3, weight_decay=0.1, decoupled=True), {}),
    "direct, adam": (SMOOTH, ntklin.Adam(1e-3), {"batches": LISTED, "loss": "softmax"}),
    "direct, pair": (PAIR, ntklin.Momentum(0.05), {"batches": BATCHES}),
    "direct, matrix": (SMALL, ntklin.Preconditioned(0.05, matrix), {}),
}
LINEARIZED = {
    "reduced": (DEEP, ntklin.GradientDescent(SCHEDULE, 0.5), {"batches": BATCHES}),
    "reduced, decay": (SMOOTH, ntklin.GradientDescent(STEPS, 0.5, False, 0.1), {}, SINGLE),
    "fused, adam": (SHALLOW, ntklin.Adam(0.1 * SCHEDULE), {"batches": LISTED}, SINGLE),
    "fused, deep": (DEEP, ntklin.AdaGrad(0.01), {"loss": "logistic"}),
    "fused, classes": (SMOOTH, ntklin.RMSprop(1e-3), {"loss": "softmax", "batches": BATCHES}),
    "direct, adamw": (DEEP, ntklin.AdamW(STEPS, weight_decay=0.1), {}),
    "direct, pair": (PAIR, ntklin.Adam(1e-3), {"batches": BATCHES}),
    "direct, matrix": (SMALL, ntklin.Preconditioned(0.05, matrix), {}),
}
KINDS = {"train": TRAINED, "linearized": LINEARIZED}
ALL = [(kind, name) for kind, table in KINDS.items() for name in table]


def problem(net, dtype=np.float64, n=30):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, net.n_inputs)) * (rng.random((n, net.n_inputs)) < 0.7)
    X /= 1.01 * np.linalg.norm(X, axis=1, keepdims=True)
    Y = rng.random((n, net.widths[-1]))
    Y = Y / Y.sum(axis=1, keepdims=True) if net.widths[-1] > 1 else Y[:, 0]
    return net.init(1, dtype=dtype), X.astype(dtype), Y.astype(dtype)


def trainer(kind, name):
    """A function of a last step and of the options of a piece."""
    net, optimizer, options, *dtype = KINDS[kind][name]
    theta, X, Y = problem(net, *dtype)
    options = {"method": name.partition(",")[0], "record": 5} | options
    if kind == "train":
        options |= {"X_record": X[:4]}
        return lambda steps, **piece: ntklin.train(
            *(net, theta, X, Y, optimizer, steps), **options | piece
        )
    lin = ntklin.linearize(net, theta, X)
    return lambda steps, **piece: lin.train(Y, optimizer, steps, **options | piece)


def contents(run):
    """All that a run leaves, in the order of names."""
    return [run.losses, *(np.asarray(run.arrays[name]) for name in sorted(run.arrays))]


def interrupted(train, cut, past):
    """What Ctrl-C leaves, at this step or soon after."""

    def progress(step, loss):
        if step >= cut:
            raise KeyboardInterrupt

    with pytest.raises(ntklin.TrainingInterrupted) as e:
        train(WHOLE, resume=past, progress=progress)
    assert cut <= e.value.run.steps < WHOLE
    return e.value.run


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_run_of_many_pieces_is_one_run(kind, name, cuts, tmp_path, monkeypatch):
    train, path, threads = trainer(kind, name), tmp_path / "run.npz", numba.get_num_threads()
    whole, past = train(WHOLE), None
    try:
        for k, cut in enumerate(cuts):
            numba.set_num_threads(threads if k % 2 else 1)
            monkeypatch.setattr(loop, "PULSE", (0.0, 1.0, 1e-4)[k])
            by_hand = loop.PULSE == 0 and cut > 0
            piece = interrupted(train, cut, past) if by_hand else train(cut, resume=past)
            piece.save(path)
            past = path
    finally:
        numba.set_num_threads(threads)
    run = train(WHOLE, resume=past)
    (assert_same if kind == "train" else assert_same_linearized)(run, whole)
    if kind == "train":
        np.testing.assert_array_equal(run.records.sharpness, whole.records.sharpness)


def go_on(folder):
    """The digests of all runs that go on from their files, in a process that has none of them."""
    found = {}
    for kind, name in ALL:
        run = trainer(kind, name)(WHOLE, resume=Path(folder) / f"{kind} {name}.npz")
        found[f"{kind} {name}"] = digest(contents(run))
    return found


def test_another_process_goes_on(tmp_path):
    for kind, name in ALL:
        trainer(kind, name)(11).save(tmp_path / f"{kind} {name}.npz")
    code = f"import json, test_interrupted_bits as t; print(json.dumps(t.go_on({str(tmp_path)!r})))"
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    options = {"env": environment, "cwd": Path(__file__).parent, "check": True, "text": True}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, **options)
    found = json.loads(done.stdout.splitlines()[-1])
    for kind, name in ALL:
        assert found[f"{kind} {name}"] == digest(contents(trainer(kind, name)(WHOLE))), (kind, name)


@pytest.mark.parametrize("cut", [99, 128, 129, 260])
def test_sums_of_steps_are_taken_over_at_the_same_steps(cut, tmp_path):
    net = ntklin.MLP((20, 70, 1))
    start = net, *problem(net, np.float32), ntklin.GradientDescent(SCHEDULE)
    ntklin.train(*start, cut).save(tmp_path / "run.npz")
    assert_same(ntklin.train(*start, 300, resume=tmp_path / "run.npz"), ntklin.train(*start, 300))


def test_an_interrupted_ensemble_goes_on_run_by_run(monkeypatch):
    theta, X, Y = problem(DEEP)
    arguments = DEEP, [theta, DEEP.init(7), DEEP.init(8)], X, Y, ntklin.Adam(1e-3)
    whole = ntklin.train_ensemble(*arguments, steps=WHOLE)
    told = []

    def progress(step, loss):
        told.append(step)
        if told.count(9) == 2:  # of the second network
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "PULSE", 0.0)
    with pytest.raises(ntklin.TrainingInterrupted) as e:
        ntklin.train_ensemble(*arguments, steps=WHOLE, progress=progress)
    done, cut, none = e.value.runs
    assert (done.steps, none) == (WHOLE, None)
    assert cut.steps < WHOLE
    for run, begun, one in zip(whole, (done, cut, None), arguments[1], strict=True):
        assert_same(ntklin.train(DEEP, one, *arguments[2:], steps=WHOLE, resume=begun), run)


# Minimizers


@pytest.mark.parametrize("solver", ["auto", "eigh", "cholesky", "packed", "mixed", "pcg"])
def test_a_sent_minimizer_is_the_same(solver):
    theta, X, Y = problem(DEEP)
    X_new = problem(DEEP, n=50)[1]
    with ntklin.reproducible():
        m = ntklin.linearize(DEEP, theta, X).minimizer(Y, solver=solver)

        def asked(m):
            yield from (m.coefficients, m.predict(X_new), m.interpolator(X_new), m.parameters)
            yield from (m.initialization_size(X_new), m.decayed(X_new[:7]))

        assert digest(asked(pickle.loads(pickle.dumps(m)))) == digest(asked(m))


@pytest.mark.parametrize("solver", ["mixed", "pcg"])
def test_iterations_that_go_on_have_the_residual_that_was_asked_for(solver):
    """And not the same bits: the recursion starts afresh."""
    theta, X, Y = problem(DEEP)
    lin = ntklin.linearize(DEEP, theta, X)
    past = None
    for tolerance in (1e-2, 1e-5, 1e-11):
        m = lin.minimizer(Y, solver=solver, tol=tolerance, start=past)
        assert m.residual <= tolerance
        past = m.coefficients


def test_moments_that_were_interrupted_are_those_of_one_call(monkeypatch):
    theta, X, Y = problem(DEEP)
    X_new = problem(DEEP, n=50)[1][:9]

    def interrupt(step):
        if step >= 70:
            raise KeyboardInterrupt

    with ntklin.reproducible():
        lin = ntklin.linearize(DEEP, theta, X)
        whole, parts = (lin.moments(Y, 0.05, 10) for _ in range(2))
        monkeypatch.setattr(noise_course, "_PULSE", 0.0)
        with pytest.raises(KeyboardInterrupt):
            parts.covariance(X_new, 200, progress=interrupt)
        np.testing.assert_array_equal(parts.covariance(X_new, 200), whole.covariance(X_new, 200))


def test_a_verification_that_goes_on_has_the_same_numbers(tmp_path, monkeypatch):
    statement = next(s for s in theorems.STATEMENTS if s.key == "theorem1")
    first, second, *_ = statement.checks
    words = ("verify", "--quick", "--exact", "--quiet", "--out")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    def judged(out, *checks, status=0):
        monkeypatch.setattr(theorems, "STATEMENTS", (replace(statement, checks=checks),))
        assert invoke(*words, tmp_path / out).exit_code == status
        return results(tmp_path / out)["checks"]

    whole = judged("whole", first, second)
    judged("parts", first, replace(second, measure=interrupted), status=130)
    found = judged("parts", replace(first, measure=interrupted), second)
    for check in (*found, *whole):
        check.pop("seconds")
    assert found == whole
