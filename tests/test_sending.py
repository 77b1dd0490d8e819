"""Everything public that is returned or raised can be copied, pickled and sent to a worker.

``EXAMPLES`` has an example of every public name, and ``ARGUMENTS`` arguments for every method of
whatever is reached from them, so that neither a new name nor a new method escapes.
"""

import copy
import functools
import multiprocessing
import pickle
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from flint import arb, ctx

import ntklin
from ntklin.algebra.certificate import Enclosure


def pickled(protocol):
    return lambda thing: pickle.loads(pickle.dumps(thing, protocol))


WAYS = {
    **{f"pickle {p}": pickled(p) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
X = np.array([[0.6, 0.0, -0.3], [0.0, 0.5, 0.5], [-0.4, 0.2, 0.1], [0.3, 0.3, 0.0]])
Y = np.array([0.0, 1.0, 1.0, 0.5])
X_NEW = np.array([[0.1, 0.2, 0.3], [0.0, -0.4, 0.2]])
NETWORK = ntklin.MLP((3, 16, 8, 1), bias="normal")
THETA = NETWORK.init(rng=0)
P = NETWORK.n_parameters


def diagonal(t, gradient):
    """An example of what ``Preconditioned`` takes."""
    return 1 / (1 + np.abs(gradient))


def bump(X1, X2):
    """An example of what ``linearize_kernel`` takes."""
    return np.exp(-((X1[:, None] - X2) ** 2).sum(axis=2))


@functools.cache
def linearization():
    """With all that it keeps."""
    lin = ntklin.linearize(NETWORK, THETA, X)
    W = np.random.default_rng(0).standard_normal((P, 5))
    lin.minimizer(Y, weights=ntklin.LowRank(W)).predict(X_NEW)
    lin.gradient_descent(Y, 0.1).predict(X_NEW, 3)
    return lin


@functools.cache
def training():
    return ntklin.train(NETWORK, THETA, X, Y, ntklin.Adam(0.01), steps=3, record=2)


@functools.cache
def linearized_run():
    batches = (np.array(batch) for batch in ([0, 1], [2, 3], [1]))
    return linearization().train(Y, ntklin.AdaGrad(0.01), steps=3, record=1, batches=batches)


@functools.cache
def mitigated():
    return ntklin.mitigate_initialization(
        *(ntklin.MLP((3, 6, 1)), X, Y, X_NEW, Y[:2]), until=1e-2, factor=0.5, min_sigma=0.4
    )


@functools.cache
def certified():
    f0 = [0.1, 0.2]
    return ntklin.certify([[2.0, 1.0], [1.0, 3.0]], [1.0, 0.0], [[1.0, 0.3]], f0, [0.3])


@functools.cache
def a_cluster_plan():
    return ntklin.plan_cluster(NETWORK, 20, 2, iterations=3)


@functools.cache
def a_plan():
    return ntklin.plan(NETWORK, 20, solver="packed")


def rate_search():
    return ntklin.search_learning_rate(
        lambda o: linearization().train(Y, o, steps=5), ntklin.AdaGrad(0.1), precision=1
    )


def memory_limit():
    error = ntklin.MemoryLimitError("too large")
    error.run = linearized_run()
    return error


def cube(h):
    """An example of what ``Activation`` takes."""
    return h * h * h


def thrice_square(h):
    """Its derivative."""
    return 3 * h * h


EXAMPLES = {
    "AccuracyError": lambda: ntklin.AccuracyError("not found"),
    "Activation": lambda: ntklin.Activation(cube, thrice_square),
    "AdaGrad": lambda: ntklin.AdaGrad(0.1),
    "Adam": lambda: ntklin.Adam(0.1),
    "AdamW": lambda: ntklin.AdamW(0.1),
    "AntisymmetricPair": lambda: ntklin.AntisymmetricPair(NETWORK),
    "Batches": lambda: ntklin.Batches(0.5, rng=3),
    "CheckpointError": lambda: ntklin.CheckpointError("damaged"),
    "ClusterError": lambda: ntklin.ClusterError("no workers"),
    "ClusterNetwork": lambda: None,  # tests/test_cluster.py, which has a cluster
    "ClusterPlan": a_cluster_plan,
    "ConstantSchedule": lambda: ntklin.ConstantSchedule(0.1),
    "ConvergenceError": lambda: ntklin.ConvergenceError(
        "not reached", solution=np.ones((3, 2)), residual=0.1, iterations=7
    ),
    "CosineSchedule": lambda: ntklin.CosineSchedule(0.1, 50),
    "DataUnavailableError": lambda: ntklin.DataUnavailableError("not there"),
    "Dataset": lambda: ntklin.Dataset("d", X, Y, X_NEW, Y[:2], "made up"),
    "DegenerateKernelError": lambda: ntklin.DegenerateKernelError("singular"),
    "DeviceError": lambda: ntklin.DeviceError("no GPU"),
    "DivergenceError": lambda: ntklin.DivergenceError("diverges", learning_rate=2.0, step=3),
    "DoubledNetwork": lambda: ntklin.DoubledNetwork(NETWORK),
    "Engine": lambda: None,  # stays in the process of its run
    "FeatureMap": lambda: NETWORK.features(THETA, X),
    "FeatureOperator": lambda: ntklin.AntisymmetricPair(NETWORK).features(np.tile(THETA, 2), X),
    "FirstRise": ntklin.FirstRise,
    "FloatRangeError": lambda: ntklin.FloatRangeError("overflows"),
    "GradientDescent": lambda: ntklin.GradientDescent(0.1),
    "InfiniteMLP": lambda: ntklin.InfiniteMLP(NETWORK),
    "InterpolationError": lambda: ntklin.InterpolationError("no D"),
    "LearningRateError": lambda: ntklin.LearningRateError("rises", trials=rate_search().trials),
    "LearningRateSearch": rate_search,
    "LinearizedRun": linearized_run,
    "LowRank": lambda: ntklin.LowRank(np.ones((P, 2))),
    "MLP": lambda: NETWORK,
    "MemoryLimitError": memory_limit,
    "Mitigation": mitigated,
    "MitigationInterrupted": lambda: ntklin.MitigationInterrupted(mitigated()),
    "Momentum": lambda: ntklin.Momentum(0.1),
    "Network": lambda: ntklin.AntisymmetricPair(NETWORK),
    "NTKClassifier": lambda: ntklin.NTKClassifier(steps=3).fit(X, Y > 0.2),
    "NTKKernel": lambda: ntklin.NTKKernel(0.5, depth=3),
    "NTKRegressor": lambda: ntklin.NTKRegressor().fit(X, Y),
    "NoParametersError": lambda: ntklin.NoParametersError("a kernel"),
    "NonMonotoneLossWarning": lambda: ntklin.NonMonotoneLossWarning(
        "rose", step=3, before=1.0, after=2.0
    ),
    "NtklinError": lambda: ntklin.NtklinError("any"),
    "Plan": a_plan,
    "Preconditioned": lambda: ntklin.Preconditioned(0.1, diagonal),
    "RMSprop": lambda: ntklin.RMSprop(0.1),
    "SGDMoments": lambda: linearization().moments(Y, 0.1, 2),
    "ScaledNetwork": lambda: ntklin.ScaledNetwork(NETWORK, 8.0, THETA),
    "Schedule": lambda: 0.1 * ntklin.WarmupSchedule(3) * ntklin.StepSchedule(1.0, 5),
    "SolverProgress": lambda: ntklin.SolverProgress("iterations", 3, None, 1e-4),
    "StepSchedule": lambda: ntklin.StepSchedule(0.1, 10),
    "Stop": lambda: ntklin.FirstRise() | ntklin.TimeLimit(1.0),
    "StreamedFeatures": lambda: NETWORK.features(THETA, X, rows=3),
    "TimeLimit": lambda: ntklin.TimeLimit(3),
    "TrainingInterrupted": lambda: ntklin.TrainingInterrupted(linearized_run(), [training(), None]),
    "TrainingRecords": lambda: training().records,
    "TrainingRun": training,
    "UncachedWarning": lambda: ntklin.UncachedWarning("no cache"),
    "UnitBallWarning": lambda: ntklin.UnitBallWarning("outside"),
    "WarmupSchedule": lambda: ntklin.WarmupSchedule(3),
    "__version__": lambda: ntklin.__version__,
    "certify": certified,
    "decay_initialization": lambda: ntklin.decay_initialization(
        *(NETWORK, THETA, X, Y), weight_decay=0.1, depth=3
    ),
    "device_namespace": lambda: None,  # a module, which is not sent
    "from_flax": lambda: ntklin.from_flax(ntklin.to_flax(NETWORK, THETA)),
    "from_state_dict": lambda: ntklin.from_state_dict(ntklin.to_state_dict(NETWORK, THETA)),
    "infinite_nngp": lambda: ntklin.infinite_nngp(NETWORK, X),
    "infinite_ntk": lambda: ntklin.infinite_ntk(NETWORK, X),
    "largest_learning_rate": lambda: ntklin.largest_learning_rate(
        *(NETWORK, THETA, X, Y, ntklin.AdaGrad(0.1)), steps=5, precision=1
    ),
    "linearize": linearization,
    "linearize_kernel": lambda: ntklin.linearize_kernel(bump, X, covariance=bump),
    "load_data": lambda: ntklin.load_data("mnist01", n_train=4, n_test=2),
    "load_run": training,
    "mitigate_initialization": mitigated,
    "ntk": lambda: ntklin.ntk(NETWORK, THETA, X),
    "plan": a_plan,
    "plan_cluster": a_cluster_plan,
    "reproducible": lambda: None,  # a context, which stays in its process
    "search_learning_rate": rate_search,
    "sharpness_bound": lambda: ntklin.sharpness_bound(ntklin.Adam(0.1), 3),
    "to_flax": lambda: ntklin.to_flax(NETWORK, THETA),
    "to_state_dict": lambda: ntklin.to_state_dict(NETWORK, THETA),
    "train": training,
    "train_ensemble": lambda: ntklin.train_ensemble(
        NETWORK, [THETA, NETWORK.init(rng=1)], X, Y, ntklin.GradientDescent(0.1), steps=2
    ),
}

# The positional arguments of public methods that need some.
ARGUMENTS = {
    "Activation.slope": lambda activation: ([0.5, -1.0],),
    "Activation.value": lambda activation: ([0.5, -1.0],),
    "ScaledFeatures.at": lambda phi: (X_NEW,),
    "ScaledNetwork.apply": lambda net: (THETA, X),
    "ScaledNetwork.features": lambda net: (THETA, X),
    "AntisymmetricPair.halves": lambda pair: (pair.init(),),
    "Batches.at": lambda batches: (3, 4),
    "Batches.batch_size": lambda batches: (4,),
    "Dataset.labels_of": lambda data: (data.Y_test,),
    "Enclosure.distance": lambda enclosure: (np.zeros(len(enclosure)),),
    "Columns.of": lambda columns: (np.ones((4, columns.rows)),),
    "Columns.shown": lambda columns: (np.ones((4 * columns.rows, 1)), Y),
    "Columns.targets": lambda columns: (Y, 4, np.float64),
    "EpochMoments.covariance": lambda epochs: (X_NEW, 5),
    "EpochMoments.difference": lambda epochs: (X_NEW, 5),
    "EpochMoments.loss": lambda epochs: ([0, 5],),
    "EpochMoments.predict": lambda epochs: (X_NEW, 5),
    "FeatureMap.at": lambda phi: (X_NEW,),
    "FeatureOperator.step": lambda phi: (np.ones(phi.shape[1]),),
    "InfiniteMLP.linearize": lambda inf: (X,),
    "InfiniteMLP.nngp": lambda inf: (X, X_NEW),
    "InfiniteMLP.ntk": lambda inf: (X, X_NEW),
    "Linearization.at": lambda lin: (X_NEW,),
    "Linearization.gradient_descent": lambda lin: (Y,),
    "Linearization.minimizer": lambda lin: (Y, np.linspace(1, 2, P)),
    "Linearization.modes_at": lambda lin: (X_NEW,),
    "Linearization.moments": lambda lin: (Y, 0.1, 2),
    "Linearization.preconditioner_for": lambda lin: (interpolating(lin), Y),
    "Linearization.rate_bound": lambda lin: (2.0,),
    "Linearization.theorem3": lambda lin: (Y, [1.0, np.linspace(1, 2, P)], 0.1),
    "Linearization.theorem6": lambda lin: (Y, ntklin.AdaGrad(0.01), None, 2),
    "Linearization.train": lambda lin: (Y, ntklin.Adam(0.01), 2),
    "LinearizedGradientDescent.by_products": lambda gd: (5,),
    "LinearizedGradientDescent.predict": lambda gd: (X_NEW, [0, 7]),
    "LinearizedGradientDescent.shrinkage": lambda gd: ([0, 7],),
    "LinearizedGradientDescent.steps_to": lambda gd: (0.9 * gd.loss(0),),
    "LinearizedGradientDescent.steps_to_by_products": lambda gd: (0.9 * gd.loss(0),),
    "LinearizedRun.at": lambda run: (1,),
    "NTKClassifier.decision_function": lambda model: (X_NEW,),
    "NTKClassifier.fit": lambda model: (X, Y > 0.2),
    "NTKClassifier.predict": lambda model: (X_NEW,),
    "NTKKernel.diag": lambda kernel: (X,),
    "NTKRegressor.fit": lambda model: (X, Y),
    "NTKRegressor.predict": lambda model: (X_NEW, True),
    "Optimizer.coefficients": lambda optimizer: (2,),
    "Optimizer.init": lambda optimizer: (THETA,),
    "OptimizerState.from_arrays": lambda state: (state.arrays(), THETA),
    "Optimizer.preconditioner": lambda optimizer: (stepped(optimizer),),
    "Optimizer.rate": lambda optimizer: (3,),
    "Optimizer.rates": lambda optimizer: (1, 4),
    "Optimizer.update": lambda optimizer: (stepped(optimizer), THETA, np.ones(P)),
    "Optimizer.with_learning_rate": lambda optimizer: (0.2,),
    "StreamedFeatures.at": lambda phi: (X_NEW,),
    "StreamedFeatures.of": lambda phi: (NETWORK, THETA, X, 2),
    "SGDMoments.covariance": lambda moments: (X_NEW, 5),
    "SGDMoments.loss": lambda moments: ([0, 5],),
    "SGDMoments.predict": lambda moments: (X_NEW, 5),
    "Source.balanced": lambda source: (np.float64,),
    "Source.block": lambda source: (slice(0, 2), slice(1, 3)),
    "Source.tile": lambda source: (slice(0, 2), slice(1, 3)),
    "Source.columns_of": lambda source: (np.array([0, 2]),),
    "Source.product": lambda source: (np.ones((source.n_rows, 1)),),
    "Source.between": lambda source: (X_NEW, 2.0),
    "Source.constant": lambda source: (2.0,),
    "Source.factor": lambda source: (None,),
    "Source.new_inputs": lambda source: (X_NEW,),
    "Source.preconditioner": lambda source: (2.0,),
    "Source.residual": lambda source: (Y,),
    "Source.targets": lambda source: (Y, np.float32),
    "PairFeatures.at": lambda phi: (X_NEW,),
    "Spectrum.scaled": lambda spectrum: (2,),
    "Stop.room": lambda stop: (3,),
    "TrainingRun.snapshot": lambda run: (run.steps,),
    "Yardstick.ceiling": lambda yardstick: (ntklin.AdaGrad(0.1),),
    "Yardstick.first_rise": lambda yardstick: ([1.0, 0.5, 2.0],),
    "balanced": lambda phi: (np.float64,),
    "apply": lambda net: (net.init(), X),
    "dot": lambda phi: (np.ones(phi.shape[1]),),
    "features": lambda net: (net.init(), X),
    "gram_product": lambda phi: (np.ones(phi.shape[0]),),
    "decayed": lambda minimizer: (X_NEW,),
    "initialization": lambda minimizer: (X_NEW,),
    "expected_initialization_loss": lambda minimizer: (X_NEW,),
    "initialization_size": lambda minimizer: (X_NEW,),
    "interpolating": lambda run: (X_NEW,),
    "interpolator": lambda minimizer: (X_NEW,),
    "jacobian": lambda net: (net.init(), X),
    "layer_weights": lambda net: ({1: 0.5},),
    "label_sensitivity": lambda run: (X_NEW,),
    "noise_amplification": lambda found: (X_NEW,),
    "pack": lambda net: (net.unpack(net.init()),),
    "path_dependent": lambda run: (X_NEW,),
    "predict": lambda run: (X_NEW,),
    "rows": lambda phi: (slice(1, 3),),
    "project": lambda phi: (np.ones(phi.shape[1]),),
    "symmetrize": lambda net: (THETA,),
    "unpack": lambda net: (net.init(),),
}
# Methods that are left out.
OTHERS = {
    "Batches.from_step": "an iterator without end, of what ``at`` gives",
    "linearized": "working memory, with a test of its own",
    "plot": "a picture, which stays where it was drawn",
    "Optimizer.step": "``update``, in its arguments",
    "Source.expansion": "a function, of what ``between`` gives",
    "Run.save": "writes a file",
    "Run.write": "writes into one",
    "StreamedFeatures.blocks": "an iterator, of what ``at`` gives",
    **{
        f"set_{method}_request": "scikit-learn's, and refused unless metadata are routed"
        for method in ("fit", "predict", "score", "decision_function")
    },
    "Stop.first": "of a block of steps, which the loop makes",
}
# An attribute or a method that raises counts as what it raises.
RAISED = (ntklin.NtklinError, ValueError, NotImplementedError)


def stepped(optimizer):
    return optimizer.update(optimizer.init(THETA), THETA, np.ones(P))[1]


def interpolating(lin):
    """A w for a network's linearization; a kernel takes none."""
    phi = outcome(lambda: lin.features)
    return THETA if isinstance(phi, ntklin.NoParametersError) else phi.T @ Y


def outcome(call):
    try:
        return call()
    except RAISED as e:
        return e


def surface(thing, calls=False):
    """All that is public of an object, by name; with ``calls`` also what its methods give."""
    kind = type(thing)
    found = {}
    for name in sorted({*getattr(thing, "__dict__", ()), *dir(kind)}):
        owner = next((c for c in kind.__mro__ if name in vars(c)), kind)
        if name.startswith("_") or not owner.__module__.startswith("ntklin"):
            continue
        if not callable(getattr(kind, name, None)):
            found[name] = outcome(lambda name=name: getattr(thing, name))
            continue
        names = [*(f"{c.__name__}.{name}" for c in kind.__mro__), name]
        if calls and OTHERS.keys().isdisjoint(names):
            given = next((ARGUMENTS[n] for n in names if n in ARGUMENTS), lambda thing: ())
            call = functools.partial(getattr(thing, name), *given(thing))
            found[name] = outcome(call)
    return found


def assert_same(a, b, known=None, calls=False):
    """Equal to the last bit in all that is public, and read-only where the other is."""
    known = {} if known is None else known
    if a is b or (id(a), id(b)) in known:
        return
    known[id(a), id(b)] = a, b  # kept, so that no other object gets their ids
    if isinstance(a, Iterator):  # what is left of a run's batches
        assert b == ()
        return
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape, a.flags.writeable) == (b.dtype, b.shape, b.flags.writeable)
        np.testing.assert_array_equal(a, b, strict=True)
    elif isinstance(a, arb):
        assert a.mid() == b.mid()
        assert a.rad().man_exp() == b.rad().man_exp()
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name], known)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other, known)
    elif type(a).__module__.startswith("ntklin"):
        assert_same(surface(a, calls), surface(b, calls), known)
        if isinstance(a, BaseException):
            assert_same(a.args, b.args, known)
    elif isinstance(a, BaseException):
        assert str(a) == str(b)
    else:
        assert a == b or a != a


def kinds(things):
    """One object of each of ntklin's types that the public surface of ``things`` leads to."""
    found, left, seen = {}, deque(things), {}
    while left:
        thing = left.popleft()  # examples first
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, dict):
            left += thing.values()
        elif isinstance(thing, list | tuple):
            left += thing
        elif type(thing).__module__.startswith("ntklin") and type(thing) not in found:
            found[type(thing)] = thing
            left += surface(thing, calls=True).values()
    return found


def test_every_public_name_has_an_example():
    assert EXAMPLES.keys() == set(ntklin.__all__)


@pytest.mark.parametrize("name", EXAMPLES)
def test_public_things_come_back_as_they_were(name):
    thing = EXAMPLES[name]()
    for way in WAYS.values():
        assert_same(thing, way(thing), calls=True)


def test_all_that_they_lead_to_comes_back():
    found = kinds([make() for make in EXAMPLES.values()])
    names = {kind.__name__ for kind in found}
    assert names >= {"Certificate", "Concentration", "Enclosure", "Evaluation", "KernelDrift"}
    assert names >= {"KernelSolution", "Linearization", "LinearizedGradientDescent", "Minimizer"}
    assert names >= {"OptimizerState", "PairFeatures", "ProductForm", "Snapshot", "Spectrum"}
    for thing in found.values():
        for way in WAYS.values():
            assert_same(thing, way(thing), calls=True)


def test_arrays_are_not_sent_twice():
    net = ntklin.MLP((3, 100, 100, 1))
    lin = ntklin.linearize(net, net.init(), X)
    lin.features.gram()  # asks for all backward signals
    lin.at(np.tile(X_NEW, (2000, 1)))
    theta, activations = lin.features.parameters.nbytes, 2 * 100 * len(X) * 8
    assert len(pickle.dumps(lin)) < 1.1 * (theta + activations)


def test_features_are_sent_without_those_at_another_scale():
    phi = NETWORK.features(THETA, X)
    size = len(pickle.dumps(phi))
    assert phi.balanced(np.float32)[0] is not phi
    assert len(pickle.dumps(phi)) == size


def test_what_the_steps_work_in_keeps_its_alignment():
    for method in (pickled(5), copy.deepcopy):
        network = NETWORK.features(THETA, X).linearized("adam")
        coefficients, s = ntklin.Adam(0.1).coefficients(1), np.linspace(-1, 1, len(X))
        network.step(coefficients, s)
        copies = [method(network) for _ in range(20)]  # of which some lie elsewhere in a line
        want = network.step(coefficients, s)
        for other in copies:
            np.testing.assert_array_equal(other.step(coefficients, s), want)


def on_arrival(lin):
    """What a worker does with a linearization; it sends back that and more."""
    return lin, lin.gradient_descent(Y, 0.1), lin.gradient_descent(Y, 0.1).predict(X_NEW, 7)


def test_a_new_process_takes_and_returns_them():
    lin, things = linearization(), [make() for make in EXAMPLES.values()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as executor:
        there = executor.submit(on_arrival, lin)
        back = executor.submit(list, things)
        assert_same(on_arrival(lin), there.result())
        assert_same(things, back.result())


def test_functions_of_the_user_are_named_where_they_cannot_be_sent():
    run = linearization().train(Y, ntklin.Preconditioned(0.1, lambda t, g: 1.0), steps=1)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(run)
    assert copy.deepcopy(run).optimizer == run.optimizer


@pytest.mark.parametrize("ball", [arb(0), arb(1, 2.0**-70), arb(0, 1), arb("nan"), arb("inf")])
def test_balls_come_back(ball):
    with ctx.workprec(300):
        ball = ball + arb(1) / 3
    (found,) = pickle.loads(pickle.dumps(Enclosure((ball,)))).balls
    assert repr(found.mid()) == repr(ball.mid())
    assert repr(found.rad()) == repr(ball.rad())
    if ball.is_finite():
        assert found.mid().man_exp() == ball.mid().man_exp()
        assert found.rad().man_exp() == ball.rad().man_exp()
