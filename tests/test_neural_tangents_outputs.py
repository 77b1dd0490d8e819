"""Stored values of neural-tangents for several outputs, other activations, and ensembles.

Needs MLP(activation=...) and its limits, several outputs, gram(blocks=True), InfiniteMLP and
covariance of gradient descent.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from test_neural_tangents import STEPS, STORED, X_NEW, X, Y, network, pytest_id
from tolerances import assert_close

import ntklin

OTHERS = [stored for stored in STORED["infinite"] if stored["activation"] != "relu"]


@pytest.mark.parametrize("stored", OTHERS, ids=pytest_id)
def test_limits_of_other_activations(stored):
    net = network(
        (3, *[2] * (stored["depth"] - 1), 1), b_std=stored["b_std"], activation=stored["activation"]
    )
    inf = ntklin.InfiniteMLP(net)
    np.testing.assert_allclose(inf.ntk(X_NEW, X), stored["ntk"], rtol=1e-10)
    np.testing.assert_allclose(inf.nngp(X_NEW, X), stored["nngp"], rtol=1e-10)


@pytest.mark.parametrize("stored", STORED["empirical"], ids=pytest_id)
def test_finite_networks_of_three_outputs(stored):
    options = {"activation": stored["activation"]}
    net = network(STORED["widths"], stored["parameterization"], **options)
    theta = net.pack(stored["layers"])
    outputs = net.apply(theta, X)
    scale = float(np.abs(theta).max()) ** 3 * 10
    assert_close(outputs, stored["outputs"], kind="output", n=40, scale=scale)
    phi, new = net.features(theta, X), net.features(theta, X_NEW)
    blocks = new.gram(phi, blocks=True)
    assert_close(blocks, stored["ntk, trace_axes=()"], kind="gram", n=40, scale=scale**2)
    # Their trace is a mean over outputs.
    mean = np.trace(blocks, axis1=2, axis2=3) / 3
    assert_close(mean, stored["ntk, trace_axes=(-1,)"], kind="gram", n=40, scale=scale**2)
    # Rows of the flat kernel: n C + c.
    flat = np.swapaxes(stored["ntk, trace_axes=()"], 1, 2).reshape(6, 12)
    assert_close(new.gram(phi), flat, kind="gram", n=40, scale=scale**2)
    # nt.linearize, all parameters moved by 1/8.
    moved = outputs + (phi @ np.full(len(theta), 0.125)).reshape(outputs.shape)
    assert_close(moved, stored["linearized, θ + 1/8"], kind="jacobian", n=80, scale=scale**2)


def test_gradient_descent_of_three_outputs():
    # Their loss is a mean over outputs, too: a third of the learning rate, at the same time.
    stored = STORED["descent, three outputs"]
    widths = (3, len(stored["layers"][0][1]), 3)
    net = network(widths)
    lin = ntklin.linearize(net, net.pack(stored["layers"]), X)
    kappa = float(np.linalg.cond(lin.kernel))
    for t, train, new in zip(stored["times"], stored["train"], stored["new"], strict=True):
        steps = STEPS if t else 0
        gd = lin.gradient_descent(stored["targets"], learning_rate=(t or 1) / 3 / STEPS)
        allowed = {"kind": "trajectory", "n": 12, "kappa": kappa, "scale": 10}
        assert_close(gd.predict(X, steps), train, **allowed)
        assert_close(gd.predict(X_NEW, steps), new, **allowed)


@pytest.mark.parametrize("stored", STORED["ensemble"], ids=pytest_id)
def test_ensembles_of_initializations(stored):
    inf = ntklin.InfiniteMLP(network((3, 8, 8, 1), activation=stored["activation"]))
    lin = inf.linearize(X)
    for t, mean, covariance in zip(
        stored["times"], stored["mean"], stored["covariance"], strict=True
    ):
        gd = lin.gradient_descent(Y, learning_rate=None if t is None else t / STEPS)
        steps = None if t is None else STEPS
        np.testing.assert_allclose(gd.predict(X_NEW, steps), mean, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(gd.covariance(X_NEW, steps), covariance, rtol=1e-8, atol=1e-8)


def test_the_page_runs():
    page = Path(__file__).resolve().parents[1] / "docs" / "from_neural_tangents.md"
    variables = {}
    for source in re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        exec(compile(source, page.name, "exec"), variables)
    assert variables["cov"].shape == (5, 5)
    assert variables["early"].shape == (3, 5)
    assert list(variables["sd_500"]) == list(variables["sd"])
    for part in ("0.weight", "0.bias"):  # the frozen layer
        np.testing.assert_array_equal(variables["sd_500"][part], variables["sd"][part])
    X, X_new, Y, kernel = (variables[name] for name in ("X", "X_new", "Y", "kernel"))
    expected = kernel(X_new, X) @ np.linalg.solve(kernel(X, X) + 0.01 * np.eye(len(X)), Y)
    np.testing.assert_allclose(variables["ridge"], expected, rtol=1e-8)
