"""Every public function takes arrays of any layout, with the results of plain copies of them.

Strides of 0 on an axis of length 1, as ``x[None]`` has them, negative and huge ones, broadcast,
Fortran-ordered, unaligned, byte-swapped, mapped and read-only arrays: what kernels and BLAS get is
decided at the edge, and nothing that is passed is written to.
"""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import plain, relaid
from tolerances import assert_close

import ntklin

NETS = {
    "shallow": ntklin.MLP((3, 5, 1), bias="normal"),
    "deep": ntklin.MLP((3, 4, 5, 1)),
    "narrow": ntklin.MLP((1, 3, 1), bias="none"),
    "linear": ntklin.MLP((1, 1), bias="none"),  # θ of length 1
    "pair": ntklin.AntisymmetricPair(ntklin.MLP((3, 4, 1))),
    "doubled": ntklin.DoubledNetwork(ntklin.MLP((3, 4, 1))),
}
SEEN = {}


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
    return [theta, rule.preconditioner(state)]


def layers(net, a):
    inner = net.network if hasattr(net, "network") else net
    found = [part.copy() for layer in net.unpack(a["theta"]) for part in layer if part is not None]
    if isinstance(net, ntklin.AntisymmetricPair | ntklin.DoubledNetwork):
        found.append(net.symmetrize(a["theta"][: inner.n_parameters]))
    return [*found, net.pack(net.unpack(a["theta"]))]


FUNCTIONS = (
    *(outputs, products, matrices, kernels, limits, linearized, linear_runs, runs, ensembles),
    *(rules, layers),
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@settings(max_examples=12)
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
    if not np.array_equal(before["M"], before["M"].T):  # a broadcast one
        passed["M"] = before["M"] = np.eye(len(before["M"]), dtype=dtype)
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
