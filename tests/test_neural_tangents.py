"""Stored values of neural-tangents: docs/from_neural_tangents.md says which call is which.

Their t is a time, learning rate times steps; here it is a number of steps. Both agree as steps
become small: at a time τ with s steps of τ/s the factors (1 − τλ/(sN))^s and exp(−τλ/N) differ by
(τλ/N)²/(2s), which STEPS makes less than rounding.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from tolerances import assert_close

import ntklin

STORED = json.loads(Path(__file__).with_name("data").joinpath("neural_tangents.json").read_text())
X, X_NEW, Y = (np.array(STORED[name]) for name in ("X", "X_new", "Y"))
STEPS = 10**14
SCALINGS = {"ntk": "fan_in", "standard": "standard"}


def network(widths, parameterization="ntk", b_std=STORED["b_std"], **options):
    """Ours of Dense(m, W_std, b_std, parameterization), activation, Dense, …"""
    biases = {"bias": "none"} if b_std is None else {"bias": "normal", "sigma_b": b_std}
    scaling = SCALINGS[parameterization]
    return ntklin.MLP(widths, sigma=STORED["W_std"], scaling=scaling, **biases, **options)


def pytest_id(stored):
    return " ".join(str(stored[name]) for name in stored if isinstance(stored[name], str | int))


RELU = [stored for stored in STORED["infinite"] if stored["activation"] == "relu"]


@pytest.mark.parametrize("stored", RELU, ids=pytest_id)
def test_limits(stored):
    net = network((3, *[2] * (stored["depth"] - 1), 1), b_std=stored["b_std"])
    for name, limit in (("ntk", ntklin.infinite_ntk), ("nngp", ntklin.infinite_nngp)):
        # Theirs regularizes square roots by 1e-12 or so, of entries of size one.
        np.testing.assert_allclose(limit(net, X_NEW, X), stored[name], rtol=1e-10)


@pytest.mark.parametrize("stored", STORED["one output"], ids=pytest_id)
def test_finite_networks(stored):
    net = network((3, 5, 4, 1), stored["parameterization"])
    theta = net.pack(stored["layers"])
    bound = net.apply(np.abs(theta), np.abs(X))
    assert_close(net.apply(theta, X), stored["outputs"], kind="output", n=40, scale=bound)
    K = ntklin.ntk(net, theta, X_NEW, X)
    bound = ntklin.ntk(net, np.abs(theta), np.abs(X))
    assert_close(K, stored["ntk"], kind="gram", n=40, scale=bound)


def test_standard_kernels_come_from_a_state_dict():
    stored = STORED["one output"][1]
    sd = {}
    for l, (W, b) in enumerate(stored["layers"]):
        sd |= {f"{2 * l}.weight": np.array(W), f"{2 * l}.bias": np.array(b)}
    net, theta = ntklin.from_state_dict(sd)
    np.testing.assert_allclose(ntklin.ntk(net, theta, X_NEW, X), stored["ntk"], rtol=1e-12)


def test_gradient_descent():
    stored = STORED["descent"]
    net = network((3, 5, 1))
    lin = ntklin.linearize(net, net.pack(stored["layers"]), X)
    kappa = float(np.linalg.cond(lin.kernel))
    for t, train, new in zip(stored["times"], stored["train"], stored["new"], strict=True):
        steps = STEPS if t else 0
        gd = lin.gradient_descent(stored["targets"], learning_rate=(t or 1) / STEPS)
        allowed = {"kind": "trajectory", "n": 4, "kappa": kappa, "scale": 10}
        assert_close(gd.predict(X, steps), np.array(train)[:, 0], **allowed)
        assert_close(gd.predict(X_NEW, steps), np.array(new)[:, 0], **allowed)
