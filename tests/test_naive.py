"""The independent reference against exact fractions and finite differences."""

import math
from fractions import Fraction

import mpmath
import naive
import numpy as np
import pytest
from tolerances import assert_close

SCALINGS = ("fan_out", "fan_in", "eq1")
BIASES = ("none", "zero", "normal")


def draw(net, seed=0, n=3):
    """Inputs and non-zero parameters of every kind."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, net.widths[0])), rng.standard_normal(naive.n_parameters(net))


def test_scales_by_hand():
    widths = (9, 4, 16, 1)
    assert naive.scales(naive.Network(widths, 2.0, "fan_out")) == ([1.0, 0.5, 2.0], [1.0, 0.5, 2.0])
    assert naive.scales(naive.Network(widths, 2.0, "eq1")) == ([1.0, 0.5, 2.0], [2.0] * 3)
    w, v = naive.scales(naive.Network(widths, 6.0, "fan_in"))
    assert (w, v) == ([2.0, 3.0, 1.5], [6.0] * 3)
    assert naive.scales(naive.Network(widths, 6.0, "fan_in", sigma_b=0.25))[1] == [0.25] * 3


def test_parameter_count_and_layout():
    net = naive.Network((2, 3, 1))
    assert naive.n_parameters(net) == 3 * 2 + 3 + 3 + 1
    assert naive.n_parameters(net._replace(bias="none")) == 9
    layers = naive.unpack(net, range(13))
    assert layers == [([[0, 1], [2, 3], [4, 5]], [6, 7, 8]), ([[9, 10, 11]], [12])]
    np.testing.assert_array_equal(naive.pack(layers), np.arange(13.0))


def exact_network():
    """Widths (2, 4, 1), σ = 2: every scale is 1 but the last, 2; fractions all the way."""
    W = [[1, 2], [-1, Fraction(1, 2)], [3, -4], [0, 1]]
    b = [Fraction(1, 4), 0, -1, -2]
    u, c = [1, -2, 5, Fraction(3, 2)], Fraction(-1, 2)
    x = [Fraction(3, 2), 1]
    h = [W[i][0] * x[0] + W[i][1] * x[1] + b[i] for i in range(4)]
    assert h == [Fraction(15, 4), -1, Fraction(-1, 2), -1]
    theta = np.array([float(p) for p in (*W[0], *W[1], *W[2], *W[3], *b, *u, c)])
    return naive.Network((2, 4, 1), 2.0), theta, [float(p) for p in x], h, W, u, c


def test_forward_and_backward_in_fractions():
    net, theta, x, h, _, u, c = exact_network()
    activations, preactivations = naive.forward(net, theta, x)
    assert preactivations[0] == [float(v) for v in h]
    assert activations[1] == [3.75, 0, 0, 0]
    assert preactivations[1] == [float(2 * (u[0] * h[0] + c))] == [6.5]
    assert naive.backward(net, theta, x) == [[2.0, 0.0, 0.0, 0.0], [1.0]]


def test_gradient_and_kernels_in_fractions():
    net, theta, x, *_ = exact_network()
    gradient = [3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 7.5, 0, 0, 0, 2]
    np.testing.assert_array_equal(naive.gradient(net, theta, x), gradient)
    J = naive.jacobian(net, theta, [x, x])
    np.testing.assert_array_equal(naive.gram(J), np.full((2, 2), 9 + 4 + 4 + 56.25 + 4))
    D = np.arange(17.0)
    np.testing.assert_array_equal(
        naive.weighted_gram(J, D, J[:1]), np.full((2, 1), 4 + 32 + 12 * 56.25 + 16 * 4)
    )


def test_relu_derivative_at_zero_is_zero():
    net = naive.Network((1, 1, 1))
    assert naive.backward(net, [1.0, 0.0, 1.0, 0.0], [0.0]) == [[0.0], [1.0]]


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("widths", [(3, 1), (2, 4, 1), (3, 4, 5, 1)])
def test_jacobian_is_the_derivative_of_apply(widths, scaling, bias):
    net = naive.Network(widths, 1.3, scaling, bias)
    X, theta = draw(net)
    J = naive.jacobian(net, theta, X)
    # f is linear in every single parameter between kinks: a central difference has no truncation
    # error there, and rounding costs eps/step.
    step = min(naive.kink_distance(net, theta, X), 1.0) / 16
    for p in range(len(theta)):
        plus, minus = theta.copy(), theta.copy()
        plus[p] += step
        minus[p] -= step
        slope = (naive.apply(net, plus, X) - naive.apply(net, minus, X)) / (plus[p] - minus[p])
        scale = naive.apply(net, np.abs(theta) + step, np.abs(X)) / step
        assert_close(slope, J[:, p], kind="output", n=sum(widths), scale=scale)


def test_kink_distance_is_relative_and_skips_exact_zeros():
    net = naive.Network((2, 2, 1), bias="none", sigma=math.sqrt(2))
    theta = np.array([1.0, -0.75, 0.0, 0.0, 1.0, 1.0])
    assert naive.kink_distance(net, theta, [[1.0, 1.0]]) == 0.25 / 1.75


def test_projector_is_the_orthogonal_projector_onto_the_rows():
    J = np.array([[1.0, 0, 0, 0], [1.0, 2, 0, 0]])
    expected = np.diag([1.0, 1, 0, 0])
    assert_close(naive.projector(J), expected, kind="projector", kappa=np.linalg.cond(J) ** 2)


def test_closed_form_is_explicit_descent_on_the_linearized_network():
    net = naive.Network((2, 5, 1))
    X, theta = draw(net, n=3)
    X_new, _ = draw(net, seed=1, n=2)
    Y = np.array([1.0, -2.0, 0.5])
    J, J_new = naive.jacobian(net, theta, X), naive.jacobian(net, theta, X_new)
    f0, f0_new = naive.apply(net, theta, X), naive.apply(net, theta, X_new)
    K, K_new = naive.gram(J), naive.gram(J_new, J)
    rate = len(Y) / np.linalg.eigvalsh(K)[-1]
    for t in (0, 1, 2, 7):
        moved = naive.linearized_gradient_descent(J, f0, theta, Y, rate, t)
        expected = f0_new + J_new @ (moved - theta)
        actual = naive.closed_form(K, K_new, f0, f0_new, Y, rate, t)
        assert_close(actual, expected, kind="trajectory", n=len(theta) * (t + 1))
    limit = naive.minimizer(K, K_new, f0, f0_new, Y)
    for_long = naive.closed_form(K, K_new, f0, f0_new, Y, rate, 3000)
    assert_close(for_long, limit, kind="trajectory", n=3000, kappa=np.linalg.cond(K))
    assert_close(naive.minimizer(K, K, f0, f0, Y), Y, kind="solve", n=3, kappa=np.linalg.cond(K))


def test_one_descent_step_by_hand():
    # f = θ_1 x + θ_2 with x = 2, θ = (1, 1), Y = 1: residual 2, η/N · residual · (2, 1) = (2, 1).
    net = naive.Network((1, 1))
    theta = np.array([1.0, 1.0])
    moved = naive.gradient_descent(net, theta, [[2.0]], np.array([1.0]), 0.5, 1)
    np.testing.assert_array_equal(moved, [-1.0, 0.0])
    J = naive.jacobian(net, theta, [[2.0]])
    linear = naive.linearized_gradient_descent(J, np.array([3.0]), theta, np.array([1.0]), 0.5, 1)
    np.testing.assert_array_equal(linear, moved)


@pytest.mark.parametrize("bias", BIASES)
def test_symmetrized_networks_start_at_zero(bias):
    net = naive.Network((3, 4, 5, 1), 1.3, "fan_out", bias)
    X, theta = draw(net)
    doubled = naive.doubled(net)
    assert doubled.widths == (3, 4, 10, 1)
    for f0 in (
        naive.pair_apply(net, np.tile(theta, 2), X),
        naive.apply(doubled, naive.doubled_parameters(net, theta), X),
    ):
        assert_close(f0, np.zeros(3), kind="output", n=20, scale=1.0)
    pair_gram = naive.gram(naive.pair_jacobian(net, np.tile(theta, 2), X))
    assert_close(pair_gram, naive.gram(naive.jacobian(net, theta, X)), kind="gram", n=100)


def test_infinite_kernels_of_orthogonal_inputs_by_hand():
    # Angle π/2: E relu relu' = 1/2π per unit norms, κ = σ²/4.
    ntk, nngp = naive.infinite_kernels(naive.Network((2, 9, 1), 1.0, bias="none"), [1, 0], [0, 1])
    assert nngp == pytest.approx(1 / (2 * math.pi), rel=1e-15, abs=0)
    assert ntk == pytest.approx(1 / (2 * math.pi), rel=1e-15, abs=0)
    ntk, _ = naive.infinite_kernels(naive.Network((2, 9, 1), 1.0), [1, 0], [0, 1])
    assert ntk == pytest.approx(1 / 4 + 1 / (2 * math.pi) + 1, rel=1e-15, abs=0)


@pytest.mark.parametrize("bias", ["none", "normal"])
def test_two_forms_of_the_infinite_recursion_agree(bias):
    # With d = 1 and σ_b = σ the two scalings are the same process.
    rng = np.random.default_rng(3)
    for depth in (1, 2, 4):
        out = naive.Network((1, *[7] * (depth - 1), 1), 1.7, "fan_out", bias)
        for x, y in rng.standard_normal((5, 2, 1)):
            with mpmath.workdps(50):
                expected = naive.infinite_kernels(out, x, y, mpmath.mp)
                actual = naive.infinite_kernels(out._replace(scaling="fan_in"), x, y, mpmath.mp)
                assert actual == pytest.approx(expected, rel=1e-20, abs=0)
