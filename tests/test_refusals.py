"""What hostile input once led to errors from the depths, and is refused by name."""

import numpy as np
import pytest

import ntklin

NET = ntklin.MLP((2, 3, 1))
THETA, P = NET.init(1), NET.n_parameters
X = np.array([[0.5, 0.25], [-0.75, 0.5], [0.125, -0.5], [0.25, 0.625]])
Y = np.array([0.0, 1.0, 0.5, 1.0])
RATE = ntklin.GradientDescent(0.1)
PHI = NET.features(THETA, X)


def lin():
    return ntklin.linearize(NET, THETA, X)


def data():
    return ntklin.load_data(n_train=4, n_test=2)


def dataset(**changes):
    parts = {"X_train": X, "Y_train": Y, "X_test": X[:2], "Y_test": Y[:2]}
    return ntklin.Dataset(name="d", provenance="here", **parts | changes)


NO_NETWORK = r"net must be a network, with n_inputs, .*got "
REFUSED = {
    # Networks
    "train a text": (lambda: ntklin.train("x", THETA, X, Y, RATE, 1), NO_NETWORK + "str"),
    "train a class": (lambda: ntklin.train(ntklin.MLP, THETA, X, Y, RATE, 1), NO_NETWORK + "MLP"),
    "an ensemble of nothing": (
        lambda: ntklin.train_ensemble(None, [THETA], X, Y, RATE, 1),
        NO_NETWORK + "NoneType",
    ),
    "linearize a number": (lambda: ntklin.linearize(3, THETA, X), NO_NETWORK + "int"),
    "the kernel of a text": (lambda: ntklin.ntk("x", THETA, X), NO_NETWORK + "str"),
    "a text, scaled": (lambda: ntklin.ScaledNetwork("x", 2.0, THETA), "network must be a network"),
    "streamed rows of a text": (
        lambda: ntklin.StreamedFeatures.of("x", THETA, X, 2),
        "network must be a network",
    ),
    # What is called as work goes on
    **{
        f"progress of {name}": (call, f"{what} must be callable, got 3")
        for name, what, call in (
            ("train", "progress", lambda: ntklin.train(NET, THETA, X, Y, RATE, 1, progress=3)),
            ("lin.train", "progress", lambda: lin().train(Y, RATE, 1, progress=3)),
            (
                "an ensemble",
                "progress",
                lambda: ntklin.train_ensemble(NET, [THETA], X, Y, RATE, 1, progress=3),
            ),
            (
                "a search",
                "progress",
                lambda: ntklin.search_learning_rate(lambda o: [1, 0], RATE, progress=3),
            ),
            ("load_data", "progress", lambda: ntklin.load_data(progress=3)),
            (
                "moments",
                "progress",
                lambda: lin().moments(Y, 0.1, 2).loss(3, progress=3),
            ),
            (
                "products",
                "progress",
                lambda: lin().gradient_descent(Y, 0.1).by_products(3, progress=3),
            ),
            (
                "decay",
                "progress",
                lambda: ntklin.decay_initialization(NET, THETA, X, Y, progress=3),
            ),
            (
                "a mitigation",
                "on_trial",
                lambda: ntklin.mitigate_initialization(NET, X, Y, X, Y, on_trial=3),
            ),
        )
    },
    # Types
    "a type that is none": (lambda: NET.init(dtype="x"), "dtype must be float32 or float64, got"),
    "data of no type": (lambda: ntklin.load_data(dtype="x"), "dtype must be float32 or float64"),
    "features of another type": (lambda: PHI.balanced("i4"), "dtype must be float32 or float64"),
    "targets of a list": (lambda: ntklin.load_data(targets=[]), "targets must be .*, got \\[\\]"),
    "a solver of an array": (
        lambda: ntklin.plan(NET, 9, np.ones(2)),
        "solver must be one of .*, got array",
    ),
    # Steps
    "a schedule at a text": (lambda: ntklin.CosineSchedule(0.1, 3)("x"), "t must be an integer"),
    "a schedule before its start": (lambda: ntklin.WarmupSchedule()(-1), "t must be at least 0"),
    "a schedule without end": (lambda: ntklin.StepSchedule(0.1, 10**400), "must be below 2\\^63"),
    "a rate at no step": (lambda: RATE.rate(0.5), "t must be an integer"),
    "rates that end before": (lambda: RATE.rates(3, 2), "stop = 2 is below start = 3"),
    "the rate of no default": (lambda: ntklin.GradientDescent().rate(0), "learning_rate is not"),
    "coefficients of step 0": (lambda: ntklin.Adam(0.1).coefficients(0), "count must be at least"),
    "a batch of step x": (lambda: ntklin.Batches(0.5).at("x", 4), "step must be an integer"),
    "a batch of no samples": (lambda: ntklin.Batches(0.5).at(1, 0), "n_samples must be at least"),
    "a snapshot at a list": (
        lambda: ntklin.train(NET, THETA, X, Y, RATE, 1).snapshot([]),
        "step must be an integer",
    ),
    "a state of nothing": (lambda: ntklin.AdaGrad(0.1).preconditioner(None), "state must be what"),
    "sharpness of a text": (lambda: ntklin.sharpness_bound("x", 0), "optimizer must be an ntklin"),
    "a bound of a text": (lambda: lin().rate_bound("x"), "number must be a number"),
    # Operators
    "a short operand": (lambda: PHI @ np.ones(3), r"the operand has shape \(3,\), and an operator"),
    "a text as operand": (lambda: PHI.dot("x"), "the operand must be a number, got 'x'"),
    "products of few rows": (lambda: PHI.gram_product(np.ones(3)), r"R must have shape \(4,\) or"),
    "an index of text": (lambda: PHI.rows("x"), "index must be a slice of integers"),
    "rows of text": (lambda: PHI.rows(slice("a", 2)), "index must be a slice of integers"),
    "streamed rows into text": (
        lambda: NET.features(THETA, X, rows=2).toarray(out="x"),
        "out must be an array of numpy, got str",
    ),
    # Data
    "outputs of other classes": (lambda: data().labels_of(np.ones((2, 3))), "outputs must have"),
    "outputs of no class": (lambda: data().labels_of([np.nan]), "outputs contains NaN"),
    "inputs without rows": (lambda: dataset(X_train=Y), r"X_train must have shape \(n, d\)"),
    "targets of others": (lambda: dataset(Y_train=Y[:2]), r"Y_train must have shape \(4,\) or"),
    "rows of two kinds": (lambda: dataset(X_test=np.ones((2, 3))), "X_train and X_test must have"),
    "a name with a null": (lambda: ntklin.load_data("a\0b"), "name_or_path has a null character"),
    "a path with a null": (lambda: ntklin.load_run("a\0b"), "path must be a path without null"),
    # Exchange
    "names of a number": (lambda: ntklin.to_flax(NET, THETA, 3), "names must be strings"),
    "a tree of mixed keys": (
        lambda: ntklin.from_flax({"params": {}, None: 1, "x": 2}),
        "the variables have None, 'x' beside",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name):
    call, match = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=match):
        call()


def test_conditions_compose_with_conditions_alone():
    with pytest.raises(TypeError, match="unsupported operand"):
        ntklin.FirstRise() | 3


def test_the_last_step_of_all_has_a_rate():
    assert ntklin.StepSchedule(0.1, 2**62)(2**63 - 1) == 0.1 * 0.1
    assert ntklin.AdaGrad(0.1).rate(np.int64(2)) == 0.1
