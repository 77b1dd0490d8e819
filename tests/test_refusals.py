"""What hostile input once led to errors from the depths, and is refused by name."""

import itertools
import os
from decimal import Decimal

import numpy as np
import pytest
import scipy.sparse
from foreign_arrays import NAType

import ntklin

NET = ntklin.MLP((2, 3, 1))
THETA, P = NET.init(1), NET.n_parameters
X = np.array([[0.5, 0.25], [-0.75, 0.5], [0.125, -0.5], [0.25, 0.625]])
Y = np.array([0.0, 1.0, 0.5, 1.0])
RATE = ntklin.GradientDescent(0.1)
PHI = NET.features(THETA, X)


class Odd:
    """A network whose features are none."""

    n_inputs, n_parameters = 2, P

    def apply(self, theta, X):
        return X @ theta[:2]

    def features(self, theta, X):
        return np.ones((len(X), P))


def lin():
    return ntklin.linearize(NET, THETA, X)


def data():
    return ntklin.load_data(n_train=4, n_test=2)


def dataset(**changes):
    parts = {"X_train": X, "Y_train": Y, "X_test": X[:2], "Y_test": Y[:2]}
    return ntklin.Dataset(name="d", provenance="here", **parts | changes)


def tree_of_itself():
    """A dict that has itself under a name."""
    found = {}
    found["Dense_0"] = found
    return found


def list_of_itself():
    found = []
    found.append(found)
    return found


def params_of_themselves():
    found = {}
    found["params"] = found
    return found


class Place(os.PathLike):
    """A path that is anything."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


HUGE = 10**5000  # more digits than Python writes
ENDLESS = "must have an end"
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
    "features that are an array": (
        lambda: ntklin.linearize(Odd(), THETA, X),
        r"what net\.features\(theta, X\) returns must be features, but the ndarray has no network",
    ),
    "targets of another shape than f_0": (
        lambda: ntklin.linearize_kernel(
            lambda A, B: A @ B.T + 1, X=X, f0=lambda A: np.ones((len(A), 2))
        ).minimizer(Y),
        r"Y must have the shape \(4, 2\) of f0\(X\), got shape \(4,\)",
    ),
    "more samples than are counted": (
        lambda: ntklin.plan(NET, 10**127, preconditioner="nystrom"),
        r"n_samples must be below 2\^63",
    ),
    "a class in the place of an optimizer": (
        lambda: ntklin.mitigate_initialization(NET, X, Y, X, Y, theta=THETA, optimizer=object),
        "optimizer must be an ntklin optimizer .*, got the class object",
    ),
    "no provenance": (
        lambda: ntklin.Dataset("d", X, Y, X, Y, provenance=np.ma.masked),
        "provenance must be text, got MaskedConstant",
    ),
    "a sparse matrix of batches": (
        lambda: ntklin.train(NET, THETA, X, Y, RATE, 1, batches=scipy.sparse.eye_array(4)),
        "batches must be an ntklin.Batches or an iterable",
    ),
    "one huge long double": (
        lambda: NET.apply(THETA, np.longdouble("1e4000")),
        "X (overflows float64 at entry 0|contains|must have shape)",
    ),
    "a huge long double among objects": (
        lambda: NET.apply(THETA, np.array([[1.0, np.longdouble("1e4000")]], object)),
        "X (has a number beyond the range of float64 at row 0, column 1|contains)",
    ),
    "huge entries that differ": (
        lambda: ntklin.linearize_kernel(np.array([[1.0, 1.7e308], [-1.7e308, 1.0]])),
        "K must be a symmetric matrix",
    ),
    "a seed that is a matrix": (
        lambda: NET.init(np.full((1, 1), 0.5).view(np.matrix)),
        "rng must be an integer of at least 0",
    ),
    "a seed that is a list of itself": (
        lambda: NET.init(list_of_itself()),
        "rng must be an integer of at least 0",
    ),
    "a seed without end": (lambda: NET.init(itertools.repeat(1)), "rng must be an integer"),
    "a rate beyond the range": (
        lambda: lin().moments(Y, 1.7e308, 2).loss(1),
        "learning_rate times the kernel overflows float64",
    ),
    "steps before the first": (
        lambda: lin().gradient_descent(Y, 0.1).loss(-HUGE),
        "t must be at least 0 steps, got an integer of 16610 bits",
    ),
    "steps beyond all counts": (
        lambda: lin().theorem3(Y, RATE, steps=10**39),
        r"steps must be below 2\^63",
    ),
    "a cluster beyond all counts": (
        lambda: ntklin.plan_cluster(NET, 10**39, workers=2),
        r"n_samples must be below 2\^63",
    ),
    "workers beyond all counts": (
        lambda: ntklin.plan_cluster(NET, 10**6, workers=10**39),
        r"workers must be below 2\^63",
    ),
    "records without end": (
        lambda: ntklin.train(NET, THETA, X, Y, RATE, 1, record=itertools.repeat(1)),
        f"record {ENDLESS}",
    ),
    "classes of a data set": (
        lambda: dataset(classes=np.ma.masked),
        "classes is a masked array",
    ),
    "the shape of an image that is a number": (
        lambda: dataset(image_shape=2),
        "image_shape must be a tuple of integers or None, got 2",
    ),
    "the shape of another image": (
        lambda: dataset(image_shape=(2, 2)),
        r"image_shape = \(2, 2\) must be that of an image of 2 pixels",
    ),
    **{
        f"names of a {kind}": (
            lambda names=names: ntklin.to_state_dict(NET, THETA, names),
            "names must be (a sequence|strings)",
        )
        for kind, names in (("number", np.array(2)), ("matrix", scipy.sparse.eye_array(4)))
    },
    "a width beyond all counts": (
        lambda: ntklin.MLP((2, 10**400, 1), scaling="fan_in"),
        r"widths\[1\] must be below 2\^63",
    ),
    "a mapping of batches": (
        lambda: ntklin.train(NET, THETA, X, Y, RATE, 1, batches={0: [1]}),
        "batches must be an ntklin.Batches or an iterable",
    ),
    "a layer without inputs": (
        lambda: ntklin.from_flax({"params": {"Dense_0": {"kernel": np.ones((2, 0))}}}, sigma=1.0),
        r"params\['Dense_0'\]\['kernel'\] is empty: shape \(2, 0\)",
    ),
    "a key of a huge number": (
        lambda: ntklin.from_flax({10**5000: 1.0}),
        "an integer of 16610 bits",
    ),
    "a class in the place of a preconditioner": (
        lambda: lin().minimizer(Y, solver="pcg", preconditioner=float),
        "preconditioner must be M.-1, and not a class",
    ),
    **{
        f"a preconditioner that gives {kind}": (
            lambda given=given: lin().minimizer(Y, solver="pcg", preconditioner=lambda r: given),
            "what preconditioner returns",
        )
        for kind, given in (("text", "x"), ("complex numbers", np.ones((4, 2), complex)))
    },
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
                "covariances",
                "progress",
                lambda: lin().moments(Y, 0.1, 2).covariance(X, 3, progress=3),
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
    "batches of no axis": (
        lambda: ntklin.train(NET, THETA, X, Y, RATE, 1, batches=np.array(0)),
        "batches must be an ntklin.Batches or an iterable of index arrays",
    ),
    "a snapshot at a list": (
        lambda: ntklin.train(NET, THETA, X, Y, RATE, 1).snapshot([]),
        "step must be an integer",
    ),
    "a state of nothing": (lambda: ntklin.AdaGrad(0.1).preconditioner(None), "state must be what"),
    "sharpness of a text": (lambda: ntklin.sharpness_bound("x", 0), "optimizer must be an ntklin"),
    "a bound of a text": (lambda: lin().rate_bound("x"), "number must be a number"),
    "a schedule times a negative number": (
        lambda: -1.0 * ntklin.ConstantSchedule(0.1),
        "the factor must be finite and at least 0, got -1",
    ),
    "epochs beyond all integers": (
        lambda: lin().moments(Y, 0.1, 2).epochs().loss(1e300),
        r"t must be below 2\^63",
    ),
    "epochs at a list": (
        lambda: lin().moments(Y, 0.1, 2).epochs().difference(X, [1, 2]),
        "t must be an integer",
    ),
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
    "a projection of too few": (lambda: PHI.project(np.ones(3)), r"v must have shape \(13,\) or"),
    "a projection of infinity": (lambda: PHI.project(np.full(P, np.inf)), "v contains NaN or inf"),
    "streamed rows at a number": (
        lambda: NET.features(THETA, X, rows=2).at(7),
        r"X_new must have shape \(N, d\), got shape \(\)",
    ),
    "a streamed kernel with a number": (
        lambda: NET.features(THETA, X, rows=2).gram(1),
        "other must be features, got int",
    ),
    "no streamed rows": (
        lambda: NET.features(THETA, X, rows=2).rows(slice(9, 3)).outputs,
        "X_new is empty",
    ),
    "D of another shape": (
        lambda: lin().at(X, np.ones((P, 3))),
        r"weights must be a number or have shape \(13,\) or \(13, 13\), got \(13, 3\)",
    ),
    "D of NaN": (lambda: lin().at(X, np.nan), "weights must be finite, got nan"),
    "D with a NaN": (lambda: lin().at(X, np.full(P, np.nan)), "weights contains NaN or infinite"),
    "units of another type": (lambda: lin().in_units(1), "dtype must be float32 or float64, got 1"),
    # Layers
    "layers of a text": (lambda: NET.pack("ab"), "layers must be a sequence of .*, got str"),
    "layers of no dimension": (lambda: NET.pack(np.array(2)), "layers must be a sequence of"),
    "a layer of three": (
        lambda: NET.pack([(np.ones((3, 2)), np.ones(3), 1)] * 2),
        r"layer 1 must be W\^1 or \(W\^1, b\^1\), got 3 parts",
    ),
    "threads beyond all machines": (
        lambda: ntklin.plan_cluster(NET, 9, 2, threads=10**59),
        "threads must be at most 65536",
    ),
    "iterations without end": (
        lambda: ntklin.plan_cluster(NET, 9, 2, iterations=10**59),
        r"iterations must be below 2\^63",
    ),
    "a start far from tiny targets": (
        lambda: lin().minimizer(1e-320 * Y, solver="pcg", start=np.ones((4, 2))),
        "start is beyond the range",
    ),
    # Labels
    "labels that do not move": (
        lambda: lin().train(Y, RATE, 2).label_sensitivity(X, 1e-70),
        "relative_step = 1e-70 is too small",
    ),
    "a ridge of text": (lambda: lin().default_learning_rate("x"), "ridge must be a number"),
    "a name of no text": (
        lambda: ntklin.Activation(abs, abs, name=np.nan),
        "name must be text, got nan",
    ),
    # Choices
    "a loss of a list": (
        lambda: ntklin.train(NET, THETA, X, Y, RATE, 1, loss=[]),
        r"loss must be one of 'squared', .*, got \[\]",
    ),
    "a method of a list": (
        lambda: lin().train(Y, RATE, 1, method=[]),
        r"method must be one of 'auto', .*, got \[\]",
    ),
    "a scaling that is missing": (
        lambda: ntklin.from_state_dict({"w.weight": np.ones((1, 2))}, scaling=NAType()),
        "scaling must be one of",
    ),
    "a device of a list": (lambda: ntklin.device_namespace(["cpu"]), "device must be 'cpu' or"),
    # Data
    "outputs of other classes": (lambda: data().labels_of(np.ones((2, 3))), "outputs must have"),
    "outputs of no class": (lambda: data().labels_of([np.nan]), "outputs contains NaN"),
    "inputs without rows": (lambda: dataset(X_train=Y), r"X_train must have shape \(n, d\)"),
    "targets of others": (lambda: dataset(Y_train=Y[:2]), r"Y_train must have shape \(4,\) or"),
    "rows of two kinds": (lambda: dataset(X_test=np.ones((2, 3))), "X_train and X_test must have"),
    "a name with a null": (lambda: ntklin.load_data("a\0b"), "name_or_path must .* without null"),
    "a path with a null": (lambda: ntklin.load_run("a\0b"), "path must be a path without null"),
    # Exchange
    "names of a number": (lambda: ntklin.to_flax(NET, THETA, 3), "names must be strings"),
    "a tree of mixed keys": (
        lambda: ntklin.from_flax({"params": {}, None: 1, "x": 2}),
        "the variables have None, 'x' beside",
    ),
    "a tree of itself": (lambda: ntklin.from_flax(tree_of_itself()), "params has more than 100"),
    "parameters of themselves": (
        lambda: ntklin.from_flax(params_of_themselves()),
        "params has more than 100 modules within each other, or contains itself",
    ),
    "names of a tree of itself": (
        lambda: ntklin.to_flax(NET, THETA, tree_of_itself()),
        "names has more than 100",
    ),
    # Paths
    "a path that is a number": (lambda: ntklin.load_run(Place(3)), "path must be a path, and"),
    "a name that is a number": (lambda: ntklin.load_data(Place(3)), "name_or_path must be a name"),
    "a path that no file has": (lambda: ntklin.load_run("\ud800"), "path must be .* characters"),
    "a name that no file has": (lambda: ntklin.load_data("\ud800"), "name_or_path must be .* char"),
    # Numbers beyond what Python writes
    "a rate without end": (lambda: ntklin.Adam(HUGE), "learning_rate must be .* of 16610 bits"),
    "a count without end": (
        lambda: ntklin.plan(NET, HUGE),
        "n_samples must have at most 10000 bits, got an integer of 16610 bits",
    ),
    "a negative count": (lambda: ntklin.plan(NET, -HUGE), "n_samples must have at most 10000"),
    "a count of so many digits": (
        lambda: ntklin.plan(NET, Decimal("1e999999999")),
        r"n_samples must be an integer, got Decimal\('1E\+999999999'\)",
    ),
    "a class without end": (lambda: ntklin.load_data(classes=(0, HUGE)), "at most 10000 bits"),
    "a word of a number": (
        lambda: ntklin.MLP((2, 1), scaling=HUGE),
        "scaling must be one of .*, got an integer of 16610 bits",
    ),
    # Axes
    "inputs of many axes": (
        lambda: NET.apply(THETA, np.ones((4, 2) + (1,) * 62)),
        "X must have at most 30 axes, got 64",
    ),
    "objects of many axes": (
        lambda: ntklin.linearize(NET, THETA, np.full((1,) * 64, None)),
        "X must have at most 30 axes",
    ),
    "steps of many axes": (
        lambda: lin().gradient_descent(Y, 0.1).loss(np.ones((1,) * 64, int)),
        "t must have at most 30 axes",
    ),
    # Without end
    "widths without end": (lambda: ntklin.MLP(itertools.repeat(2)), f"widths {ENDLESS}"),
    "layers without end": (lambda: NET.pack(itertools.repeat(2)), f"layers {ENDLESS}"),
    "classes without end": (
        lambda: ntklin.load_data(classes=itertools.count()),
        f"classes {ENDLESS}",
    ),
    "names without end": (
        lambda: ntklin.to_state_dict(NET, THETA, itertools.repeat("a")),
        f"names {ENDLESS}",
    ),
    "networks without end": (
        lambda: ntklin.train_ensemble(NET, itertools.repeat(THETA), X, Y, RATE, 1),
        f"thetas {ENDLESS}",
    ),
    "products without end": (
        lambda: lin().theorem3(Y, itertools.repeat(1.0), 0.1),
        f"preconditioners {ENDLESS}",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name):
    call, match = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=match):
        call()


def test_projections_of_any_size():
    v = np.linspace(1, 2, P)
    expected = PHI.project(v)
    for e in (1000, -1000):
        np.testing.assert_allclose(PHI.project(np.ldexp(v, e)), np.ldexp(expected, e), rtol=1e-12)


def test_conditions_compose_with_conditions_alone():
    with pytest.raises(TypeError, match="unsupported operand"):
        ntklin.FirstRise() | 3


def test_the_last_step_of_all_has_a_rate():
    assert ntklin.StepSchedule(0.1, 2**62)(2**63 - 1) == 0.1 * 0.1
    assert ntklin.AdaGrad(0.1).rate(np.int64(2)) == 0.1


@pytest.mark.parametrize("kind", [str, os.fsencode, Place])
def test_paths_of_any_kind(tmp_path, kind):
    path = str(tmp_path / "run")
    ntklin.train(NET, THETA, X, Y, RATE, 1).save(kind(path))
    for found in (path, Place(os.fsencode(path))):
        assert ntklin.load_run(found).steps == 1


def test_data_at_a_path_in_bytes(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.ones((4, 2, 2)), labels=[0, 1, 0, 1])
    place = Place(os.fsencode(tmp_path / "a.npz"))
    assert ntklin.load_data(place, n_train=2, n_test=2).X_train.shape == (2, 4)


def test_the_norm_of_a_huge_theta_is_known_as_far_as_there_are_numbers():
    theta = THETA.copy()
    theta[0] = 1.5e300
    run = ntklin.train(ntklin.MLP((2, 3, 1), sigma=1e-300), theta, X, Y, RATE, 1, record=1)
    assert run.records.initial_norm == 1.5e300


def test_what_is_another_array_each_time_is_read_once():
    class Changing:
        times = 0

        def __array__(self, dtype=None, copy=None):
            self.times += 1
            return np.full(self.times, 2)

    epochs = lin().moments(Y, 0.1, 2).epochs()
    assert epochs.loss(Changing()).value.shape == (1,)
    assert epochs.predict(X, Changing()).value.shape == (1, 4)
    assert epochs.covariance(X, Changing()).value.shape == (1, 4, 4)


def test_no_steps_at_all():
    found = lin().gradient_descent(Y, 0.1).by_products(np.empty((0, 3), int))
    assert found.parameters.shape == (0, 3, P)
    assert found.predict(X).shape == (0, 3, 4)


def test_steps_beyond_double_precision_are_the_limit():
    gd = lin().gradient_descent(Y, 0.1)
    largest = np.finfo(np.longdouble).max if np.finfo(np.longdouble).maxexp > 2000 else 2.0**1000
    np.testing.assert_array_equal(
        gd.predict(X, np.array([largest, 2])), gd.predict(X, [10**400, 2])
    )


def test_a_doubled_network_of_truth_values():
    net = ntklin.DoubledNetwork(NET)
    np.testing.assert_array_equal(net.symmetrize(THETA > 0), net.symmetrize(1.0 * (THETA > 0)))


def test_networks_in_the_rows_of_a_buffer():
    (run,) = ntklin.train_ensemble(NET, memoryview(THETA[None]), X, Y, RATE, 1)
    np.testing.assert_array_equal(
        run.parameters, ntklin.train(NET, THETA, X, Y, RATE, 1).parameters
    )


def test_a_preconditioner_whose_first_step_is_below_the_range():
    inverse = np.eye(4)
    inverse[0, 0] = 1e160
    with pytest.raises(ntklin.ConvergenceError, match="another preconditioner"):
        lin().minimizer(Y, solver="pcg", preconditioner=lambda r: inverse @ r)


def test_batches_of_more_samples_than_there_is_memory_for():
    with pytest.raises(ntklin.MemoryLimitError, match=r"the order of 10{15} samples"):
        ntklin.Batches(0.5).at(3, 10**15)
    with pytest.raises(ValueError, match=r"n_samples must be below 2\^63"):
        ntklin.Batches(0.5).batch_size(10**400)
