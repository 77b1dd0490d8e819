"""The same call gives the same bits on 1, 2 and 4 threads, whichever of them takes what.

``ALWAYS`` has what repeats as it is, ``WITHIN`` what does so inside ``ntklin.reproducible()``: both
are computed on each number of threads, Numba's and BLAS's alike, in a process that has four. Every
public name has an entry there or in ``NOTHING``, which says why not.
"""

import ast
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits
from tolerances import assert_close

import ntklin
from ntklin.kernels import cpu

THREADS = (4, 1, 2)

# Shapes of several tiles, blocks, shares and bands in each kernel.
SHALLOW = ntklin.MLP((784, 600, 1), bias="normal")
DEEP = ntklin.MLP((64, 400, 330, 1), bias="normal")
CLASSES = ntklin.MLP((64, 300, 10))
SMOOTH = ntklin.MLP((64, 300, 270, 10), activation="tanh")
PAIR = ntklin.AntisymmetricPair(ntklin.MLP((64, 150, 1)))


@functools.cache
def inputs(net, n, dtype=np.float64, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, net.n_inputs))
    X[np.random.default_rng(1).random(X.shape) < 0.3] = 0  # zeros are passed over
    return (X / (1.01 * np.linalg.norm(X, axis=1, keepdims=True))).astype(dtype)


def targets(net, n, dtype=np.float64):
    Y = np.random.default_rng(2).random((n, net.widths[-1])).astype(dtype)
    return Y if net.widths[-1] > 1 else Y[:, 0]


def problem(net, n, dtype=np.float64):
    return net, net.init(3, dtype=dtype), inputs(net, n, dtype), targets(net, n, dtype)


def of_features(net, n, dtype=np.float64):
    net, theta, X, _ = problem(net, n, dtype)
    phi, other = net.features(theta, X), net.features(theta, inputs(net, n // 2, dtype, 4))
    rng = np.random.default_rng(5)
    D = rng.random(phi.shape[1]).astype(dtype)
    V = rng.standard_normal((phi.shape[1], 3)).astype(dtype)
    R = rng.standard_normal((phi.shape[0], 3)).astype(dtype)
    yield from (phi.outputs, phi.gram(), phi.gram(other), phi.gram(weights=D))
    yield from (phi.gram(other, weights=D), other.gram(phi, weights=D))
    yield from (phi @ V, phi @ V[:, 0], phi.T @ R, phi.T @ R[:, 0], phi.gram_product(R))
    yield phi.output_rounding()


def of_network(net, n, dtype=np.float64):
    net, theta, X, _ = problem(net, n, dtype)
    yield from (net.apply(theta, X), net.jacobian(theta, X[:7]))


def of_run(run):
    return run.losses, run.parameters, run.records and (run.records.distances, run.records.outputs)


def trained(net, n, optimizer, dtype=np.float64, **options):
    net, theta, X, Y = problem(net, n, dtype)
    options = {"steps": 9, "record": 4, "X_record": X[:5], "snapshots": False} | options
    return of_run(ntklin.train(net, theta, X, Y, optimizer, **options))


BATCHES = ntklin.Batches(0.3, rng=6)


def every_training():
    descent, adam = ntklin.GradientDescent(0.3), ntklin.Adam(1e-3)
    yield trained(SHALLOW, 130, None, np.float32)
    yield trained(SHALLOW, 130, descent, np.float32, batches=BATCHES)
    yield trained(SHALLOW, 130, adam, np.float32)
    yield trained(DEEP, 100, None)
    yield trained(DEEP, 300, adam, batches=BATCHES)
    yield trained(DEEP, 100, adam, np.float32)
    yield trained(DEEP, 100, adam, method="direct")
    yield trained(CLASSES, 150, adam)
    yield trained(SMOOTH, 100, descent, loss="logistic")
    yield trained(SMOOTH, 100, adam)
    yield trained(PAIR, 100, descent)


def several_networks():
    _, theta, X, Y = problem(DEEP, 100)
    thetas = [theta, DEEP.init(7)]
    return [of_run(run) for run in ntklin.train_ensemble(DEEP, thetas, X, Y, steps=5)]


CONTINUED = {
    "shallow": (SHALLOW, 130, ntklin.GradientDescent(0.3), np.float32),
    "deep": (DEEP, 100, ntklin.GradientDescent(0.3), np.float64),
    "adam": (CLASSES, 150, ntklin.Adam(1e-3), np.float64),
    "deep adam": (DEEP, 100, ntklin.Adam(1e-3), np.float32),
}


def continued(name, steps=(7, 20)):
    """A run that is saved on one thread, and goes on from its file on the threads at hand."""
    net, n, optimizer, dtype = CONTINUED[name]
    arguments, threads = problem(net, n, dtype), numba.get_num_threads()
    past = None
    with tempfile.TemporaryDirectory() as folder:
        for last in steps[:-1]:
            numba.set_num_threads(1)
            run = ntklin.train(*arguments, optimizer, steps=last, resume=past)
            numba.set_num_threads(threads)
            run.save(Path(folder) / "run.npz")
            past = ntklin.load_run(Path(folder) / "run.npz")
        return of_run(ntklin.train(*arguments, optimizer, steps=steps[-1], resume=past))


def linearized_steps(net, n, optimizer, dtype=np.float64, **options):
    *arguments, Y = problem(net, n, dtype)
    options = {"method": "fused", "steps": 9} | options
    run = ntklin.linearize(*arguments).train(Y, optimizer, **options)
    return run.losses, run.displacement, run.outputs


def every_linearized_step():
    yield linearized_steps(SHALLOW, 130, ntklin.Adam(1e-3), np.float32)
    yield linearized_steps(DEEP, 140, ntklin.AdaGrad(1e-2), batches=BATCHES)
    yield linearized_steps(SMOOTH, 60, ntklin.Adam(1e-3))
    yield linearized_steps(DEEP, 60, ntklin.GradientDescent(0.3), method="reduced")
    yield linearized_steps(SMOOTH, 60, ntklin.Momentum(0.1), np.float32, method="reduced")
    yield linearized_steps(DEEP, 60, ntklin.AdaGrad(1e-2), method="direct")


def infinite(of, *options):
    X, other = inputs(DEEP, 300), inputs(DEEP, 150, seed=8)
    for activation in options:
        net = ntklin.MLP(DEEP.widths, bias="normal", activation=activation)
        yield from (of(net, X), of(net, X, other))


def minimizers():
    for net, n in ((DEEP, 300), (SMOOTH, 40)):
        *arguments, Y = problem(net, n)
        X_new = inputs(net, 50, seed=9)
        lin = ntklin.linearize(*arguments)
        D = np.random.default_rng(10).random(net.n_parameters)
        yield lin.kernel
        for options in (
            {"solver": "eigh"},
            {"solver": "cholesky"},
            {"solver": "packed"},
            {"solver": "pcg"},
            {"ridge": 1e-3},
            {"weights": D},
        ):
            m = lin.minimizer(Y, **options)
            yield from (m.coefficients, m.interpolator(X_new), m.initialization(X_new))
        yield from (m.parameters, m.noise_amplification(X_new))


def closed_forms():
    *arguments, Y = problem(DEEP, 300)
    X_new, lin = inputs(DEEP, 50, seed=9), ntklin.linearize(*arguments)
    for options in ({}, {"momentum": 0.5}, {"ridge": 1e-3}):
        gd = lin.gradient_descent(Y, **options)
        yield from (gd.predict(X_new, [0, 10, 1000]), gd.loss([0, 10, 1000]), gd.learning_rate)
    gd = lin.gradient_descent(Y)
    yield from (gd.parameters(100), gd.by_products(5).predict(X_new))


def moments():
    *arguments, Y = problem(DEEP, 130)
    found = ntklin.linearize(*arguments).moments(Y, 0.05, 10)
    X_new = inputs(DEEP, 20, seed=9)
    yield from (found.max_learning_rate, found.loss([0, 5]), found.covariance(X_new, 5))


def split_runs():
    *arguments, Y = problem(DEEP, 130)
    lin, X_new = ntklin.linearize(*arguments), inputs(DEEP, 20, seed=9)
    run = lin.train(Y, ntklin.AdaGrad(0.01), 5)
    yield from (run.predict(X_new), run.interpolating(X_new), run.path_dependent(X_new))
    yield lin.theorem6(Y, ntklin.AdaGrad(0.01), None, 3).parameters


def of_low_rank():
    *arguments, Y = problem(DEEP, 130)
    W = np.random.default_rng(11).standard_normal((DEEP.n_parameters, 200))
    m = ntklin.linearize(*arguments).minimizer(Y, weights=ntklin.LowRank(W / len(W) ** 0.5))
    yield m.interpolator(inputs(DEEP, 20, seed=9))


def diagonal(t, gradient):
    """A D_t of one's own."""
    return 1 / (1 + np.abs(gradient))


def matrix(t, gradient):
    """A D_t of one's own that is no diagonal, stored by columns."""
    return np.asfortranarray(np.diag(diagonal(t, gradient)) + np.outer(gradient, gradient))


def of_infinite_width():
    X, X_new = inputs(DEEP, 300), inputs(DEEP, 50, seed=9)
    lin = ntklin.InfiniteMLP(DEEP).linearize(X)
    m = lin.minimizer(targets(DEEP, 300))
    yield from (m.predict(X_new), m.covariance(X_new))


def of_a_kernel():
    X, X_new = inputs(DEEP, 300), inputs(DEEP, 50, seed=9)
    lin = ntklin.linearize_kernel(bump, X)
    yield lin.gradient_descent(targets(DEEP, 300)).predict(X_new, [3, 300])


def bump(X, other):
    """A kernel of one's own."""
    return np.exp(X @ other.T)


def mitigation():
    net, _, X, Y = problem(ntklin.MLP((64, 200, 1)), 100)
    X_new, Y_new = inputs(net, 20, seed=9), targets(net, 20)
    found = ntklin.mitigate_initialization(
        *(net, X, Y, X_new, Y_new), until=0.05, factor=0.5, min_sigma=0.4
    )
    yield from (found.sigma, found.parameters, found.predict(X_new))


def search():
    net, theta, X, Y = problem(ntklin.MLP((64, 200, 1)), 100)
    options = {"steps": 5, "precision": 1}
    found = ntklin.largest_learning_rate(net, theta, X, Y, ntklin.AdaGrad(0.1), **options)
    return found.learning_rate


def certificate():
    *arguments, Y = problem(DEEP, 40)
    lin = ntklin.linearize(*arguments)
    found = ntklin.certify(lin.kernel, Y, lin.kernel[:3])
    return [str(found.interpolator)]


def at_a_depth():
    net, theta, X, Y = problem(ntklin.MLP((64, 200, 1)), 100)
    found = ntklin.decay_initialization(net, theta, X, Y, weight_decay=0.1, depth=3)
    return found.parameters


ALWAYS = {
    "FeatureMap": lambda: [
        *of_features(SHALLOW, 300, np.float32),
        *of_features(DEEP, 300),
        *of_features(CLASSES, 60, np.float32),
        *of_features(SMOOTH, 40),
    ],
    "MLP": lambda: [
        *of_network(SHALLOW, 700, np.float32),
        *of_network(DEEP, 700),
        *of_network(SMOOTH, 300),
    ],
    "FeatureOperator": lambda: PAIR.features(PAIR.init(3), inputs(PAIR, 150)).gram(),
    "AntisymmetricPair": lambda: PAIR.apply(PAIR.init(3), inputs(PAIR, 700)),
    "DoubledNetwork": lambda: of_features(ntklin.DoubledNetwork(ntklin.MLP((64, 150, 1))), 150),
    "ScaledNetwork": lambda: (
        ntklin.ScaledNetwork(CLASSES, 8.0, CLASSES.init(1))
        .features(CLASSES.init(3), inputs(CLASSES, 60))
        .gram()
    ),
    "StreamedFeatures": lambda: [
        phi.T @ (phi @ phi.parameters)
        for phi in [DEEP.features(DEEP.init(3), inputs(DEEP, 300), rows=70)]
    ],
    "ntk": lambda: ntklin.ntk(*problem(DEEP, 300)[:3], inputs(DEEP, 90, seed=4)),
    "infinite_ntk": lambda: infinite(ntklin.infinite_ntk, "relu", "erf", "tanh"),
    "infinite_nngp": lambda: infinite(ntklin.infinite_nngp, "relu", "gelu"),
    "train": every_training,
    "train_ensemble": several_networks,
    "load_run": lambda: [continued(name) for name in CONTINUED],
    "LinearizedRun": every_linearized_step,
    "Preconditioned": lambda: [
        trained(CLASSES, 60, ntklin.Preconditioned(0.1, diagonal)),
        trained(ntklin.MLP((64, 30, 1)), 60, ntklin.Preconditioned(0.1, matrix), steps=2),
    ],
    "largest_learning_rate": search,
    "load_data": lambda: [
        getattr(ntklin.load_data("mnist01", n_train=20, n_test=5), name)
        for name in ("X_train", "Y_train", "X_test")
    ],
}
WITHIN = {
    "linearize": lambda: [*minimizers(), *closed_forms(), *split_runs()],
    "linearize_kernel": of_a_kernel,
    "InfiniteMLP": of_infinite_width,
    "SGDMoments": moments,
    "LowRank": of_low_rank,
    "mitigate_initialization": mitigation,
    "decay_initialization": at_a_depth,
    "certify": certificate,
}
COMPUTED = ALWAYS | WITHIN
NOTHING = {
    "what others make and compute": (
        *("Dataset", "LearningRateSearch", "Mitigation", "Plan", "ClusterPlan"),
        *("TrainingRecords", "TrainingRun", "NTKClassifier", "NTKKernel", "NTKRegressor"),
    ),
    "on a cluster, whose workers have a thread each": ("ClusterNetwork",),
    "times of this machine": ("plan", "plan_cluster", "SolverProgress"),
    "a rule for each element, or for each step": (
        *("AdaGrad", "Adam", "AdamW", "Batches", "ConstantSchedule", "CosineSchedule"),
        *("Activation", "GradientDescent", "Momentum", "RMSprop", "Schedule", "StepSchedule"),
        *("WarmupSchedule", "sharpness_bound"),
    ),
    "the calls of a trainer": ("search_learning_rate",),
    "protocols": ("Engine", "FirstRise", "Network", "Stop", "TimeLimit"),
    "arrays in another order": ("from_flax", "from_state_dict", "to_flax", "to_state_dict"),
    "no numbers": ("__version__", "device_namespace", "reproducible"),
}


def kinds_of_trouble():
    """Errors and warnings."""
    found = {name: getattr(ntklin, name) for name in ntklin.__all__}
    return {k for k, v in found.items() if isinstance(v, type) and issubclass(v, BaseException)}


def digest(found):
    """Of every bit of arrays and numbers, in whatever sequences."""
    code = hashlib.sha256()

    def take(thing):
        if thing is None or isinstance(thing, str):
            code.update(str(thing).encode())
        elif isinstance(thing, np.ndarray | float | int):
            a = np.asarray(thing)
            code.update(f"{a.dtype} {a.shape}".encode() + a.tobytes())
        else:
            for one in thing:
                take(one)

    take(found)
    return code.hexdigest()


def on(threads):
    """The digests of all that is computed, on so many threads."""
    numba.set_num_threads(threads)
    # Turns of loops are dealt out in equal shares, and once one by one.
    numba.set_parallel_chunksize(int(threads == 2))
    found = {}
    for name, make in COMPUTED.items():
        with threadpool_limits(threads, user_api="blas"):
            if name in ALWAYS:
                found[name] = digest(make())
                continue
            with ntklin.reproducible():
                found[name] = digest(make())
    return found


@pytest.fixture(scope="module")
def digests():
    """By threads, of a process that may have as many."""
    code = "import json, test_bits as t; print(json.dumps([t.on(n) for n in t.THREADS]))"
    environment = os.environ | {"NUMBA_NUM_THREADS": str(max(THREADS))}
    options = {"env": environment, "cwd": Path(__file__).parent, "check": True, "text": True}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, **options)
    return json.loads(done.stdout.splitlines()[-1])


compiled = pytest.mark.compiled("without the JIT there are no threads")


@compiled
@pytest.mark.parametrize("name", COMPUTED)
def test_the_number_of_threads_decides_no_bit(name, digests):
    assert len({found[name] for found in digests}) == 1


def test_every_public_name_has_an_entry():
    entries = [*COMPUTED, *kinds_of_trouble(), *(n for names in NOTHING.values() for n in names)]
    assert sorted(entries) == sorted(ntklin.__all__)


@compiled
@pytest.mark.parametrize("name", CONTINUED)
def test_runs_that_were_saved_are_one_run(name):
    assert digest(continued(name, (3, 11, 20))) == digest(continued(name, (20,)))


def test_a_digest_tells_bits():
    a = np.ones(3)
    assert digest([a]) == digest((np.ones(3),))
    assert digest([a]) != digest([np.nextafter(a, 2)])
    assert digest(0.0) != digest(-0.0)


# What an index is made of: sums of whole numbers have no roundings.
WHOLE = {"start", "stop", "row", "line", "width", "itemsize"}


def is_product(node):
    negated = isinstance(node, ast.UnaryOp) and is_product(node.operand)
    return negated or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult))


def sums_of_products(tree):
    """Where decorated functions add two products: whichever is fused with the sum."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or not function.decorator_list:
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add | ast.Sub):
                continue
            names = {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node)}
            if is_product(node.left) and is_product(node.right) and not names & WHOLE:
                yield ast.unparse(node)


def test_no_kernel_leaves_a_choice_of_fusing():
    """Else the bits depend on whether a function was compiled or read from its cache."""
    paths = (Path(__file__).parents[1] / "kernels" / "cpu").rglob("*.py")
    found = [s for p in paths for s in sums_of_products(ast.parse(p.read_text("utf-8")))]
    assert found == []


@pytest.mark.parametrize("text", ["a * b + c * d", "-a * b - c * d", "x + y * (a * b - c * d)"])
def test_a_choice_of_fusing_is_seen(text):
    assert len([*sums_of_products(ast.parse(f"@kernel\ndef f(): return {text}"))]) == 1


@pytest.mark.parametrize("text", ["fma(a, b, c * d)", "start * m + row * n", "a * b + c"])
def test_no_choice_of_fusing_is_seen_where_there_is_none(text):
    assert not [*sums_of_products(ast.parse(f"@kernel\ndef f(): return {text}"))]


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (130, 1, 700), (9, 1, 5), (300, 140, 200), (7, 600, 3)]
)
def test_dense_products(shape):
    n, n_other, k = shape
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, k)), rng.standard_normal((k, n_other)).T
    for other in (x, y):
        options = {"kind": "gram", "n": k, "scale": abs(x) @ abs(other).T}
        assert_close(cpu.dense_product(x, other), x @ other.T, **options)
    K = cpu.dense_product(x, x)
    np.testing.assert_array_equal(K, K.T)


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


def test_blas_has_one_thread_inside_and_its_own_again_behind():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with ntklin.reproducible():
            assert blas_threads() == {1}
            with ntklin.reproducible():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == before
        with pytest.raises(ZeroDivisionError), ntklin.reproducible():
            1 / 0  # noqa: B018
        assert blas_threads() == before
        assert ntklin.reproducible()(blas_threads)() == {1}
