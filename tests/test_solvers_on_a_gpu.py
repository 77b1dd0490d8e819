"""Minimizers of CuPy arrays by every solver, against those of NumPy arrays."""

import tracemalloc

import numpy as np
import pytest
from tolerances import EPS

import ntklin
from ntklin.theory import approximate_inverses, kernel_factors, rates, solver_choice
from ntklin.theory import plan as planning

SOLVERS = ["auto", "eigh", "cholesky", "packed", "mixed", "pcg"]
NETWORKS = [
    ((3, 40, 1), "relu"),
    ((3, 30, 2), "relu"),
    ((3, 25, 1), "tanh"),
    ((3, 15, 12, 3), "tanh"),
]


def problem(widths=(3, 40, 1), activation="relu", dtype=np.float64, n=9):
    """A network, θ_0, X, new inputs and Y."""
    rng, net = np.random.default_rng(1), ntklin.MLP(widths, activation=activation)
    arrays = rng.uniform(-0.57, 0.57, (n, 3)), rng.uniform(-0.57, 0.57, (4, 3))
    Y = rng.standard_normal((n, widths[-1]) if widths[-1] > 1 else n)
    return net, *(a.astype(dtype) for a in (net.init(1), *arrays)), Y


@pytest.fixture
def placed(monkeypatch):
    """Which factors have been made on the device, by their dtype."""
    made, own = [], kernel_factors.DeviceMatrix

    def noted(n, dtype, *args, **options):
        made.append(np.dtype(dtype))
        return own(n, dtype, *args, **options)

    monkeypatch.setattr(kernel_factors, "DeviceMatrix", noted)
    return made


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("widths", "activation"), NETWORKS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_arrays_come_back_where_they_were(solver, widths, activation, dtype, device, placed):
    net, theta, X, X_new, Y = problem(widths, activation, dtype)
    options = {"solver": solver, "ridge": 1e-3}
    here = ntklin.linearize(net, theta, X).minimizer(Y, **options)
    lin = ntklin.linearize(net, *device.put((theta, X)))
    m = lin.minimizer(device.put(Y), **options)
    assert m.solver == here.solver
    precision = dtype if solver in ("auto", "eigh") else np.float64
    assert m.residual < 1e-10 + 100 * here.condition * EPS[np.dtype(precision)]
    # Θ of tanh is the CPU's, and columns of the kernel are factorized there.
    factors = {"cholesky": [np.float64], "packed": [np.float64], "mixed": [np.float32]}
    factors["pcg"] = [np.float32] if activation == "relu" else []
    assert placed == factors.get(solver, [])
    kappa = here.condition * EPS[np.dtype(dtype)]
    new = device.put(X_new)
    calls = {name: getattr(m, name)(new) for name in ("predict", "interpolator", "initialization")}
    calls |= {"parameters": m.parameters, "coefficients": m.coefficients}
    for name, found in calls.items():
        expected = getattr(here, name)
        expected = expected(X_new) if callable(expected) else expected
        found = device.get(found)
        assert found.dtype == expected.dtype
        allowed = (1e-8 + 100 * kappa) * (1 + abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed, err_msg=name)
    assert m.residual_bound() < 1e-2


@pytest.mark.parametrize("solver", ["cholesky", "packed", "mixed", "pcg"])
def test_a_factor_that_does_not_fit_there_is_the_hosts(solver, device, placed, monkeypatch):
    """Tiles are computed on the device all the same, and copied."""
    monkeypatch.setattr(approximate_inverses, "has_room_on_device", lambda *a: False)
    monkeypatch.setattr("ntklin.theory.solver_costs.BLOCK", 4)
    net, theta, X, X_new, Y = problem()
    m = ntklin.linearize(net, *device.put((theta, X))).minimizer(device.put(Y), solver=solver)
    expected = ntklin.linearize(net, theta, X).minimizer(Y).predict(X_new)
    np.testing.assert_allclose(device.get(m.predict(device.put(X_new))), expected, atol=1e-7)
    assert not placed


@pytest.mark.parametrize("form", ["array", "function"])
@pytest.mark.parametrize("solver", ["packed", "mixed", "pcg"])
def test_kernels_without_a_network(solver, form, device, monkeypatch):
    monkeypatch.setattr("ntklin.theory.kernel_source.LARGE", 0)
    inf = ntklin.InfiniteMLP(ntklin.MLP((3, 10, 1)))
    _, _, X, X_new, Y = problem()
    there, new = device.put((X, X_new))
    if form == "array":
        lin, new = ntklin.linearize_kernel(inf.ntk(there)), inf.ntk(new, there)
    else:
        lin = ntklin.linearize_kernel(inf.ntk, there)
    m = lin.minimizer(device.put(Y), solver=solver)
    expected = inf.ntk(X_new, X) @ np.linalg.solve(inf.ntk(X), Y)
    np.testing.assert_allclose(device.get(m.predict(new)), expected, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_streamed_features(weighted, device, placed):
    """Passes that are made anew for each tile, on the device as well, and a diagonal D."""
    net, theta, X, X_new, Y = problem((3, 20, 2), "tanh")
    D = np.random.default_rng(2).random(net.n_parameters) + 0.1 if weighted else None
    weights = device.put(D) if weighted else None
    lin = ntklin.linearize(net, *device.put((theta, X)), rows=4)
    m = lin.minimizer(device.put(Y), weights=weights, solver="packed")
    expected = ntklin.linearize(net, theta, X).minimizer(Y, weights=D).predict(X_new)
    np.testing.assert_allclose(device.get(m.predict(device.put(X_new))), expected, atol=1e-7)
    assert placed == [np.float64]


def test_a_singular_kernel_names_its_row(device):
    net, theta, X, _, Y = problem()
    X[5] = X[2]
    lin = ntklin.linearize(net, *device.put((theta, X)))
    with pytest.raises(
        ntklin.DegenerateKernelError, match=r"breaks down at row 5|condition number"
    ):
        lin.minimizer(device.put(Y), solver="packed")


def test_a_preconditioner_of_ones_own_and_a_start(device):
    """A function meets arrays of the device, an operator SciPy's."""
    net, theta, X, _, Y = problem()
    lin = ntklin.linearize(net, *device.put((theta, X)))
    inverse = np.linalg.inv(ntklin.ntk(net, theta, X))
    there = device.put(inverse)
    plain = lin.minimizer(device.put(Y), solver="pcg", preconditioner="none")
    for own in (there, inverse, lambda R: there @ R):
        m = lin.minimizer(device.put(Y), solver="pcg", preconditioner=own)
        assert m.iterations <= 3 < plain.iterations
    again = lin.minimizer(device.put(Y), solver="pcg", start=m.coefficients, tol=1e-9)
    assert again.iterations == 0


# Choice


def test_auto_knows_what_the_device_has_room_for(device, monkeypatch):
    large, both = solver_choice.large, {"free": 24e9}
    assert large(60_000, 1, **both, device_free=24e9) == "packed"
    assert large(60_000, 1, **both, device_free=10e9) == "mixed"
    assert large(60_000, 1, **both, device_free=1e9) == "packed"  # of the host
    assert large(60_000, 10, **both, device_free=24e9) == "pcg"
    assert large(10_000, 1, **both, device_free=24e9) == "packed"  # no kernel is kept
    monkeypatch.setattr(solver_choice, "SMALL", 4)
    net, theta, X, _, Y = problem()
    lin, targets = ntklin.linearize(net, *device.put((theta, X))), device.put(Y)
    assert lin.minimizer(targets).solver == "packed"
    monkeypatch.setattr(solver_choice, "has_room_on_device", lambda name, *a: name == "mixed")
    assert lin.minimizer(targets).solver == "mixed"


class Fixed(rates.Rates):
    """A nanosecond for each unit of work."""

    features = pair = own_pair = limit_pair = product = spectrum = 1e-9

    def factor(self, kind):
        return 1e-9

    def solve(self, work, rows):
        return 1e-9 * rows**2


def test_a_plan_of_work_on_a_device(device, monkeypatch):
    net, like = ntklin.MLP((5, 40, 1)), device.put(np.zeros(1))
    monkeypatch.setattr(planning, "Rates", Fixed)
    monkeypatch.setattr(rates, "free_device_memory", lambda a: None if a is None else 24 * 10**9)
    monkeypatch.setattr("ntklin.edge.checks.available_memory", lambda: 10**9)
    there, here = ntklin.plan(net, 60_000, like=like), ntklin.plan(net, 60_000)
    assert (there.solver, here.solver) == ("packed", "pcg")
    assert there.device_memory > 8 * 60_000**2 / 2 > 10 * there.memory
    assert there.fits
    assert "of 24 GB free on the GPU and" in str(there)
    assert here.device_memory == 0
    assert "GPU" not in str(here)
    assert ntklin.plan(net, 60_000, "cholesky", like=like).fits
    assert not ntklin.plan(net, 60_000, "eigh", like=like).fits
    assert ntklin.plan(net, 1000, like=like).solver == "cholesky"
    for wrong in ("gpu", [0.0]):
        with pytest.raises(TypeError, match="like must be an array of NumPy or CuPy, got"):
            ntklin.plan(net, 100, like=wrong)


@pytest.mark.compiled
@pytest.mark.parametrize("solver", ["packed", "mixed"])
def test_memory_is_what_is_then_taken(solver, device, monkeypatch):
    """Within a factor of 1.5; the stand-in's device is the host, whose arrays NumPy tells of."""
    if device.real:
        pytest.skip("tracemalloc knows nothing of a GPU's memory")
    monkeypatch.setattr(planning, "Rates", Fixed)
    net, n, rng = ntklin.MLP((5, 30, 1)), 1500, np.random.default_rng(0)
    X = rng.standard_normal((n, 5))
    X /= np.linalg.norm(X, axis=1)[:, None] + 1e-9
    theta, X, targets = device.put((net.init(rng=0), X, rng.standard_normal(n)))
    plan = ntklin.plan(net, n, solver, like=X)
    options = {"solver": solver, "tol": None if solver == "packed" else 1e-3}

    def solve():
        ntklin.linearize(net, theta, X).minimizer(targets, ridge=0.1, **options)

    solve()  # compiles what there is to compile
    tracemalloc.start()
    try:
        solve()
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    expected = plan.memory + plan.device_memory
    assert expected / 1.5 < taken < 1.5 * expected


def test_rates_are_those_of_the_device(device, monkeypatch):
    for name in ("_INPUTS", "_ROWS", "_SPECTRUM"):
        monkeypatch.setattr(rates, name, 32)
    made, own = [], rates.DeviceMatrix
    monkeypatch.setattr(rates, "DeviceMatrix", lambda *a, **b: made.append(a) or own(*a, **b))
    for solver in ("packed", "pcg"):
        plan = ntklin.plan(ntklin.MLP((5, 40, 2)), 200, solver, like=device.put(np.zeros(1)))
        assert all(0 < phase.seconds < 100 for phase in plan.phases)
    assert [dtype for _, dtype in made] == [np.float64, np.float32]
