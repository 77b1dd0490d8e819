"""D layer by layer: its entries, the networks that have it, and keys that name nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ntklin

NET = ntklin.MLP((3, 5, 4, 1))
NO_BIAS = ntklin.MLP((3, 5, 1), bias="none")
KEYS = [
    *(1, 2, 3),
    "weight",
    "bias",
    *((l, kind) for l in (1, 2, 3) for kind in ("weight", "bias")),
]


def naive_weights(net, factors):
    """D entry by entry, by the words of the docstring."""
    D = []
    for l, (n_in, n_out) in enumerate(zip(net.widths, net.widths[1:], strict=False), 1):
        for kind, count in (("weight", n_in * n_out), ("bias", n_out if net.has_bias else 0)):
            c = 1.0
            if l in factors:
                c *= factors[l]
            if kind in factors:
                c *= factors[kind]
            if (l, kind) in factors:
                c = factors[l, kind]
            D += [c] * count
    return np.array(D)


@given(st.dictionaries(st.sampled_from(KEYS), st.floats(0, 10)))
def test_entries(factors):
    D = NET.layer_weights(factors)
    assert D.dtype == np.float64
    np.testing.assert_array_equal(D, naive_weights(NET, factors))
    pair = ntklin.AntisymmetricPair(NET)
    np.testing.assert_array_equal(pair.layer_weights(factors), np.tile(D, 2))
    doubled = ntklin.DoubledNetwork(NET)
    np.testing.assert_array_equal(doubled.layer_weights(factors), naive_weights(doubled, factors))


def test_without_biases():
    np.testing.assert_array_equal(NO_BIAS.layer_weights({2: 0.5}), np.r_[np.ones(15), [0.5] * 5])
    for key in ("bias", (1, "bias")):
        with pytest.raises(ValueError, match=r"key .*bias.*, but the network has bias='none'"):
            NO_BIAS.layer_weights({key: 1.0})


@pytest.mark.parametrize(
    "key", [0, 4, -1, 1.5, True, None, "layer", (4, "bias"), (1, "b"), (1,), "1", ("bias", 1)]
)
def test_keys_that_name_nothing(key):
    with pytest.raises(ValueError, match=r"has the key .*; keys are the layers 1 … 3, 'weight'"):
        NET.layer_weights({key: 1.0})


def test_values_and_types():
    with pytest.raises(ValueError, match=r"factors\[1\] must be finite and at least 0, got -1"):
        NET.layer_weights({1: -1})
    with pytest.raises(TypeError, match=r"factors\[\(2, 'bias'\)\] must be a number, got 'x'"):
        NET.layer_weights({(2, "bias"): "x"})
    with pytest.raises(TypeError, match=r"factors must be a mapping such as \{1: 0.0\}"):
        NET.layer_weights([0.0, 1.0])  # pyright: ignore
    assert NET.layer_weights({np.int64(1): 0})[:20].sum() == 0  # a loop's own integers


def test_a_frozen_layer_stays():
    net, X, Y = ntklin.MLP((3, 50, 40, 1)), np.eye(3), [0.0, 1.0, 2.0]
    theta = net.init(0)
    m = ntklin.linearize(net, theta, X).minimizer(
        Y, weights=net.layer_weights({1: 0.0, (3, "bias"): 0.0})
    )
    moved = [part.any() for layer in net.unpack(m.parameters - theta) for part in layer]
    assert moved == [False, False, True, True, True, False]
    np.testing.assert_allclose(m.predict(X), Y, atol=1e-9)
