"""Every public function takes arrays of any layout, with the results of plain copies of them.

Strides of 0 on an axis of length 1, as ``x[None]`` has them, negative and huge ones, broadcast,
Fortran-ordered, unaligned, byte-swapped, mapped and read-only arrays: what kernels and BLAS get is
decided at the edge, and nothing that is passed is written to.
"""

import sys
import warnings

import numpy as np
import pytest
import stand_in_cupy
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, PHASES, plain, relaid
from tolerances import assert_close

import ntklin
from ntklin.edge import backends
from ntklin.kernels.cpu.plain import JIT_DISABLED
from ntklin.kernels.gpu import loader

NETS = {
    "shallow": ntklin.MLP((3, 5, 1), bias="normal"),
    "deep": ntklin.MLP((3, 4, 5, 1)),
    "narrow": ntklin.MLP((1, 3, 1), bias="none"),
    "linear": ntklin.MLP((1, 1), bias="none"),  # θ of length 1
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((3, 4, 1))),
    "doubled": ntklin.DoubledNetwork(ntklin.MLP((3, 4, 1))),
}


def arrays_of(net, dtype, n):
    """What a user has of each kind, with ``n`` inputs."""
    rng, P, d = np.random.default_rng(n), net.n_parameters, net.n_inputs

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    X, X2, M = draw(n, d), draw(n % 2 + 1, d), draw(P, P)
    return {
        "theta": (1 + abs(draw(P))) * np.where(rng.random(P) < 0.4, -1, 1).astype(dtype),
        "X": X / (2 * np.linalg.norm(X, axis=1, keepdims=True)).astype(dtype),
        "X2": X2 / (2 * np.linalg.norm(X2, axis=1, keepdims=True)).astype(dtype),
        "Y": draw(n),
        "Y2": draw(len(X2)),
        "r": draw(n),
        "R": draw(n, 2),
        "v": draw(P),
        "V": draw(P, 1),
        "D": abs(draw(P)) + dtype(0.5),
        "M": (M @ M.T / P + np.eye(P)).astype(dtype),
        "W": draw(P, n + 1),
        "K": (np.eye(n) * 4 + np.ones((n, n))).astype(dtype),
        "E": np.full((n, n), 2.0**-20, dtype),
        "batch": np.arange(n, dtype=np.int32)[::-1].copy(),
    }


def outputs(net, a):
    return [net.apply(a["theta"], a["X"])]


def products(net, a):
    phi = net.features(a["theta"], a["X"])
    return [phi.outputs, phi @ a["v"], phi @ a["V"], phi.T @ a["r"], phi.T @ a["R"]]


def matrices(net, a):
    phi, other = net.features(a["theta"], a["X"]), net.features(a["theta"], a["X2"])
    found = [phi.toarray(), net.jacobian(a["theta"], a["X2"]), phi.gram(), phi.gram(other)]
    return [*found, phi.gram(weights=a["D"]), phi.gram(other, weights=a["D"])]


def kernels(net, a):
    theta, X, X2 = a["theta"], a["X"], a["X2"]
    weights = None, a["D"], a["M"], ntklin.LowRank(a["W"])
    return [ntklin.ntk(net, theta, X, X2, weights=D) for D in weights] + [
        ntklin.ntk(net, theta, X, weights=D) for D in weights
    ]


def limits(net, a):
    if type(net) is not ntklin.MLP:
        net = net.network
    both = ntklin.infinite_ntk, ntklin.infinite_nngp
    return [f(net, a["X"]) for f in both] + [f(net, a["X"], a["X2"]) for f in both]


def linearized(net, a):
    lin = ntklin.linearize(net, a["theta"], a["X"])
    gd = lin.gradient_descent(a["Y"], ridge=0.1)
    found = [lin.kernel, gd.predict(a["X2"], t=[0, 3]), gd.predict(a["X2"]), gd.loss(t=2)]
    for D in (a["D"], a["M"], ntklin.LowRank(a["W"])):
        m = lin.minimizer(a["Y"], weights=D, ridge=0.1)
        found += [m.predict(a["X2"]), m.parameters, lin.at(a["X2"], D).kernel]
    form = lin.theorem3(a["Y"], [a["D"], a["M"]], 0.01) if len(a["X"]) == 1 else None
    return found if form is None else [*found, form.predict(a["X2"])]


def linear_runs(net, a):
    lin = ntklin.linearize(net, a["theta"], a["X"])
    found, rules = (
        [],
        (None, ntklin.AdaGrad(0.01), ntklin.Preconditioned(0.01, lambda t, g: a["D"])),
    )
    for rule in rules:
        run = lin.train(a["Y"], rule, steps=3, record=1)
        found += [run.losses, run.parameters, run.predict(a["X2"], t=2)]
        found.append(run.concentration(a["D"]).distances)
    return found


def runs(net, a):
    found = []
    for rule in (ntklin.GradientDescent(0.01), ntklin.Adam(0.01)):
        run = ntklin.train(
            *(net, a["theta"], a["X"], a["Y"], rule), steps=3, record=1, X_record=a["X2"]
        )
        found += [run.losses, run.parameters, run.predict(a["X2"]), run.records.outputs]
    return found


def ensembles(net, a):
    thetas = [a["theta"], a["v"]]
    found = ntklin.train_ensemble(net, thetas, a["X"], a["Y"], ntklin.Momentum(0.001), steps=2)
    return [run.parameters for run in found]


def rules(net, a):
    rule = ntklin.RMSprop(0.01)
    theta, state = rule.update(rule.init(a["theta"]), a["theta"], a["v"])
    theta, state = rule.update(state, theta, a["D"])
    full = ntklin.Preconditioned(0.01, lambda t, g: a["M"])
    moved, _ = full.update(full.init(a["theta"]), a["theta"], a["v"])
    return [theta, rule.preconditioner(state), moved]


def layers(net, a):
    inner = net.network if hasattr(net, "network") else net
    views = [part for layer in net.unpack(a["theta"]) for part in layer if part is not None]
    found = [plain(view) for view in views]
    if isinstance(net, ntklin.AntisymmetricPair | ntklin.DoubledNetwork):
        found.append(net.symmetrize(a["theta"][: inner.n_parameters]))
    return [*found, net.pack(net.unpack(a["theta"]))]


def certificates(net, a):
    """Of a kernel that is far from singular."""
    n = len(a["X"])
    K, Y, rows = a["K"], a["Y"], a["X2"]
    found = ntklin.certify(
        K, Y, np.ones((len(rows), n)), f0=a["r"], f0_new=a["Y2"], radii={"K": a["E"]}
    )
    return [found.minimizer.lower, found.interpolator.upper]


def searches(net, a):
    rule = ntklin.GradientDescent(0.001)
    batches = [a["batch"]] * 4
    found = ntklin.largest_learning_rate(
        *(net, a["theta"], a["X"], a["Y"], rule), steps=2, until=1e-12, precision=0.5, reach=10
    )
    run = ntklin.train(net, a["theta"], a["X"], a["Y"], rule, 4, batches=batches)
    lin = ntklin.linearize(net, a["theta"], a["X"]).train(a["Y"], rule, 4, batches=batches)
    return [found.learning_rate, run.parameters, lin.parameters]


def mitigations(net, a):
    if type(net) is not ntklin.MLP or net.depth < 2 or not net.activation.is_homogeneous:
        return []
    found = ntklin.mitigate_initialization(
        *(net, a["X"], a["Y"], a["X2"], a["Y2"]),
        **{"theta": a["theta"], "X_test": a["X2"], "Y_test": a["Y2"], "max_steps": 3},
        **{"factor": 0.5, "min_sigma": net.sigma / 3, "optimizer": ntklin.AdaGrad(0.001)},
    )
    return [found.parameters]


FUNCTIONS = (
    *(outputs, products, matrices, kernels, limits, linearized, linear_runs, runs, ensembles),
    *(rules, layers, certificates, searches, mitigations),
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@settings(max_examples=6 if JIT_DISABLED else 25)
@given(data=st.data())
def test_layouts_do_not_matter(function, data):
    name = data.draw(st.sampled_from(sorted(NETS)))
    dtype, n = (
        data.draw(st.sampled_from([np.float32, float])),
        data.draw(st.sampled_from([1, 1, 3])),
    )
    net = NETS[name]
    passed = {key: data.draw(relaid(a), label=key) for key, a in arrays_of(net, dtype, n).items()}
    before = {key: plain(a) for key, a in passed.items()}
    for key in ("M", "K"):
        if not np.all(np.linalg.eigvalsh(before[key]) > 0.1):  # a broadcast one
            passed[key] = before[key] = np.eye(len(before[key]), dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.UnitBallWarning)
        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
        found, expected = (
            function(net, passed),
            function(net, {k: plain(a) for k, a in before.items()}),
        )
    for result, value in zip(found, expected, strict=True):
        assert np.all(np.isfinite(value))
        assert np.asarray(result).dtype == np.asarray(value).dtype
        assert_close(result, value, kind="trajectory", n=net.n_parameters, kappa=100)
    for key, a in before.items():
        np.testing.assert_array_equal(passed[key], a, err_msg=key)


# Of several vectors, lines and tiles, where another layout could mean another order of sums.
WIDE = {
    "shallow": ntklin.MLP((11, 37, 1), bias="normal"),
    "deep": ntklin.MLP((7, 19, 13, 1), bias="normal"),
    "smooth": ntklin.MLP((7, 13, 1), activation="tanh", scaling="fan_in"),
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((11, 17, 1))),
}
# Values change under "broadcast".
SAME_VALUES = [name for name in LAYOUTS if name not in ("as it is", "broadcast")] + [*PHASES]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [1, pytest.param(17, marks=pytest.mark.compiled)])
def test_layouts_change_no_bit(function, n):
    layouts = LAYOUTS | PHASES
    with warnings.catch_warnings(), ntklin.reproducible():
        warnings.simplefilter("ignore", ntklin.UnitBallWarning)
        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
        for turn, layout in enumerate(SAME_VALUES):
            name, dtype = sorted(WIDE)[turn % 4], (np.float32, float)[turn // 4 % 2]
            net = WIDE[name]
            a = arrays_of(net, dtype, n)
            expected = function(net, a)
            found = function(net, {key: layouts[layout](value) for key, value in a.items()})
            for result, value in zip(found, expected, strict=True):
                result, value = np.asarray(result), np.asarray(value)
                assert (result.dtype, result.shape) == (value.dtype, value.shape)
                assert result.tobytes() == value.tobytes(), (layout, name)


@pytest.mark.parametrize("dtype", [np.float32, float])
@pytest.mark.parametrize(
    "layout", ["as it is", "no step", "negative step", "huge step", "odd step"]
)
@pytest.mark.parametrize("name", ["shallow", "linear", "pair"])
def test_a_jacobian_goes_to_rows_of_any_step(name, layout, dtype):
    net = NETS[name]
    a = arrays_of(net, dtype, 1)
    room = np.full((3, net.n_parameters), 7, dtype)
    out = LAYOUTS[layout](room[1:2])
    assert net.jacobian(a["theta"], a["X"], out=out) is out
    np.testing.assert_array_equal(room[1], net.jacobian(a["theta"], a["X"])[0])
    assert np.all(room[::2] == 7)


@pytest.mark.parametrize(
    "layout",
    ["Fortran", "every other", "backwards", "unaligned", "field", "read-only", "broadcast"],
)
def test_a_jacobian_goes_nowhere_else(layout):
    net = NETS["deep"]
    a = arrays_of(net, float, 3)
    out = LAYOUTS[layout](np.zeros((3, net.n_parameters)))
    with pytest.raises(ValueError, match="out must be a C-contiguous, aligned and writable"):
        net.jacobian(a["theta"], a["X"], out=out)
    assert not out.any()


def test_layouts_on_a_card(device):
    """Views that CuPy has, too."""
    net = ntklin.MLP((3, 5, 4, 1), bias="normal")
    a = arrays_of(net, float, 3)
    theta, X, Y = device.put((a["theta"], a["X"], a["Y"]))
    room = device.put(np.repeat(np.repeat(a["X"], 2, axis=0), 2, axis=1))
    twice = device.put(np.repeat(a["theta"], 2))
    views = {
        "Fortran": device.put(np.ascontiguousarray(a["X"].T)).T,
        "every other": room[::2, ::2],
        "backwards": device.put(a["X"][::-1, ::-1].copy())[::-1, ::-1],
    }
    for view in views.values():
        for function in (outputs, runs, limits):
            passed = {"theta": twice[::2], "X": view, "X2": view[1:2], "Y": Y}
            same = {"theta": theta, "X": X, "X2": X[1:2], "Y": Y}
            for found, expected in zip(function(net, passed), function(net, same), strict=True):
                found, expected = (np.asarray(backends.host(r)) for r in (found, expected))
                assert_close(found, expected, kind="trajectory", n=net.n_parameters, kappa=100)
    for one in (X[1][None], X[1:2], X[1:2].T.T):
        assert_close(
            *(device.get(net.apply(theta, one)), device.get(net.apply(theta, X))[1:2]),
            **{"kind": "output", "n": net.n_parameters},
        )


def test_raw_kernels_refuse_what_they_cannot_count_in(monkeypatch):
    cupy = stand_in_cupy.module()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    launched = []
    monkeypatch.setattr(loader, "_kernel", lambda *key: lambda *call: launched.append(call))
    a = cupy.zeros((4, 6))
    for good in (a, a[1][None], a[:, :1].T.T[:1], a[2]):
        loader.launch("update.cu", "update", float, ((1,), (1,)), (np.int32(1), good))
    assert len(launched) == 4
    for bad in (a[:, 1:], a.T, a[::2]):
        with pytest.raises(ValueError, match="update takes C-contiguous arrays, got one of shape"):
            loader.launch("update.cu", "update", float, ((1,), (1,)), (np.int32(1), bad))
    assert len(launched) == 4
