"""All losses and their derivatives, in the library and in the kernels, against 900 digits."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tolerances import assert_close, assert_each_close

from ntklin.kernels.cpu import losses as kernels
from ntklin.runs.losses import LOSSES, Loss

DTYPES = (np.float64, np.float32)
# From where the sigmoid is a line to where e^−f is no number: 104 in float32, 745 in float64.
SIZES = (0.0, 1e-30, 1e-8, 0.5, 1.0, 8.0, 17.0, 30.0, 37.0, 60.0, 86.0, 110.0, 700.0, 750.0, 800.0)
OUTPUTS = [sign * size for size in SIZES for sign in (1, -1)]
TARGETS = (0.0, 1.0, 0.3, 1e-3)

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_loss = pytest.mark.parametrize("name", ["squared", "logistic"])
every_loss = pytest.mark.parametrize("name", LOSSES)


def exact(name, f, y):
    """ℓ(f, y) as it is written down; e^800 + 1 needs the digits."""
    if name == "squared":
        return (f - y) ** 2 / 2
    return mpmath.log(1 + mpmath.exp(f)) - y * f


def pairs(dtype):
    """Every output with every target."""
    f, y = (a.ravel().astype(dtype) for a in np.meshgrid(OUTPUTS, TARGETS))
    return f, y


def exact_values(name, f, y):
    with mpmath.workdps(900):
        return np.array(
            [
                float(exact(name, mpmath.mpf(float(a)), mpmath.mpf(float(b))))
                for a, b in zip(f, y, strict=True)
            ]
        )


def exact_derivatives(name, f, y):
    """By a difference quotient whose error is beyond all digits that are kept."""
    slopes = []
    with mpmath.workdps(900):
        h = mpmath.mpf(10) ** -420
        for a, b in zip(f, y, strict=True):
            a, b = mpmath.mpf(float(a)), mpmath.mpf(float(b))
            slopes.append(float((exact(name, a + h, b) - exact(name, a - h, b)) / (2 * h)))
    return np.array(slopes)


def by_kernel(name, f, y, weights=None):
    """L and the derivatives of the compiled function."""
    s = np.empty_like(f)
    weights = np.ones_like(f) if weights is None else weights
    return kernels.loss_and_derivatives(kernels.LOSSES[name], f, y, weights, s), s


@each_loss
@each_dtype
def test_each_value_keeps_its_digits(name, dtype):
    f, y = pairs(dtype)
    expected = exact_values(name, f, y)
    scale = np.maximum(expected, np.finfo(float).tiny)  # smaller losses may underflow
    one_by_one = range(len(f))
    for values in (
        [Loss(name).value(f[n : n + 1], y[n : n + 1]) for n in one_by_one],
        [by_kernel(name, f[n : n + 1], y[n : n + 1])[0] for n in one_by_one],
    ):
        assert all(isinstance(v, float) for v in values)
        assert_each_close(values, expected, scale=scale, kind="loss")


@each_loss
@each_dtype
def test_each_derivative_keeps_its_digits(name, dtype):
    f, y = pairs(dtype)
    expected = exact_derivatives(name, f, y)
    # ℓ' is a difference of probabilities: where both are there, it has the digits of the larger.
    size = np.abs(expected) + np.where((y == 0) | (y == 1), 0, y)
    if name == "squared":
        size = np.abs(f) + np.abs(y)
    scale = np.maximum(size, np.finfo(dtype).tiny)
    derivative = Loss(name).derivative(f, y)
    for found in (derivative, by_kernel(name, f, y)[1]):
        assert found.dtype == dtype
        assert_each_close(found, expected, scale=scale, kind="loss")


def test_what_fits_at_the_extremes_has_no_loss_left():
    f, y = np.array([800.0, -800.0]), np.array([1.0, 0.0])
    assert Loss("logistic").value(f, y) == by_kernel("logistic", f, y)[0] == 0
    assert not Loss("logistic").derivative(f, y).any()
    assert Loss("logistic").value(f, 1 - y) == by_kernel("logistic", f, 1 - y)[0] == 800
    np.testing.assert_array_equal(Loss("logistic").derivative(f, 1 - y), [1, -1])


def test_a_fitted_sample_still_pulls_in_single_precision():
    """1/(1 + e^{−20}) − 1 is 0 there, and training would stop."""
    f, y = np.array([20.0], np.float32), np.array([1.0], np.float32)
    for found in (Loss("logistic").derivative(f, y), by_kernel("logistic", f, y)[1]):
        assert found[0] == pytest.approx(-np.exp(-20.0), rel=1e-6)


@each_loss
@each_dtype
@given(data=st.data())
def test_the_kernel_is_the_librarys_loss_with_weights(name, dtype, data):
    n = data.draw(st.integers(1, 30))
    width = np.dtype(dtype).itemsize * 8
    f = data.draw(arrays(dtype, n, elements=st.floats(-100, 100, width=width)))
    y = data.draw(arrays(dtype, n, elements=st.floats(0, 1, width=width)))
    weights = data.draw(arrays(dtype, n, elements=st.sampled_from([0.0, 0.25, 1.0])))
    inputs = [a.copy() for a in (f, y, weights)]
    value, signal = by_kernel(name, f, y, weights)
    assert_close(value, Loss(name).value(f, y), kind="loss", n=n)
    expected = weights * Loss(name).derivative(f, y)
    size = weights * (np.abs(f) + y if name == "squared" else 1)
    assert_each_close(signal, expected, scale=size, kind="loss")
    for a, b in zip((f, y, weights), inputs, strict=True):
        np.testing.assert_array_equal(a, b)


@each_loss
def test_the_loss_is_a_mean_in_double_precision(name):
    rng = np.random.default_rng(0)
    f = rng.standard_normal(1000).astype(np.float32)
    y = rng.integers(0, 2, 1000).astype(np.float32)
    expected = Loss(name).value(f.astype(float), y.astype(float))
    assert_close(Loss(name).value(f, y), expected, kind="loss", n=1000)
    assert_close(by_kernel(name, f, y)[0], expected, kind="loss", n=1000)


@each_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_no_numbers_are_not_hidden(name, bad):
    f, y = np.array([0.0, bad]), np.array([0.5, 0.5])
    with np.errstate(invalid="ignore"):
        for value in (Loss(name).value(f, y), by_kernel(name, f, y)[0]):
            assert not value < 1e300


def test_library_and_kernels_know_the_same_losses():
    assert tuple(kernels.LOSSES) == LOSSES
    assert Loss() == Loss("squared") != Loss("logistic")


@pytest.mark.parametrize("name", ["hinge", "", None, 2, ["squared"]])
def test_unknown_losses(name):
    with pytest.raises(ValueError, match="must be one of 'squared', 'logistic', 'softmax', got"):
        Loss(name)


@pytest.mark.parametrize(
    ("Y", "match"),
    [
        ([0.0, 1.0, -1.0], r"targets between 0 and 1 .* but Y\[2\] = -1"),
        ([1.0 + 1e-9], r"targets between 0 and 1 .* but Y\[0\] = 1"),
        ([0.0, np.nan], r"targets between 0 and 1 .* but Y\[1\] = nan"),
    ],
)
def test_targets_that_are_no_probabilities(Y, match):
    with pytest.raises(ValueError, match=match):
        Loss("logistic").check_targets(np.array(Y))
    Loss("squared").check_targets(np.array(Y))


def test_targets_that_are_probabilities():
    Loss("logistic").check_targets(np.array([0.0, 0.25, 1.0]))


# Several outputs


def of_several(name, f, y, weights=None):
    """L and the derivatives (N, C) of the compiled function, which has outputs first."""
    s = np.empty_like(f.T, order="C")
    weights = np.ones(len(f), f.dtype) if weights is None else weights
    f, y = (np.ascontiguousarray(a.T) for a in (f, y))
    return kernels.losses_and_derivatives(kernels.LOSSES[name], f, y, weights, s), s.T


def exact_softmax(f, y):
    """−Σ_c y_c log p_c with p = softmax(f), and p − y, to 900 digits."""
    with mpmath.workdps(900):
        powers = [mpmath.exp(mpmath.mpf(float(a))) for a in f]
        p = [power / sum(powers) for power in powers]
        y = [mpmath.mpf(float(b)) for b in y]
        value = -sum(b * mpmath.log(a) for a, b in zip(p, y, strict=True))
        return float(value), np.array([float(a - b) for a, b in zip(p, y, strict=True)])


@each_dtype
@pytest.mark.parametrize("y", [(1, 0, 0), (0, 1, 0), (0.5, 0.25, 0.25), (0, 0.75, 0.25)])
@pytest.mark.parametrize("at", [0, 3000.0, -3000.0])
def test_softmax_keeps_its_digits(dtype, y, at):
    """Where the fit is good p − y is the small probabilities of the others, not 1 − 1."""
    y = np.array([y], dtype)
    for f in [(0, 0, 0), (20, 0, -1), (90, 2, 1), (-3, 60, 59.5), (1e-8, 0, 0), (700, 0, -700)]:
        f = np.array([f], dtype) + dtype(at)
        value, slopes = exact_softmax(f[0], y[0])
        gap = 1 + np.abs(f - f.max()).max()  # e^gap has the rounding of the gap
        both = np.where((y[0] > 0) & (y[0] < 1), y[0], 0)
        for found in (
            (Loss("softmax").value(f, y), Loss("softmax").derivative(f, y)),
            of_several("softmax", f, y),
        ):
            assert isinstance(found[0], float)
            assert found[1].dtype == dtype
            tiny = np.finfo(dtype).tiny
            assert_close(found[0], value, scale=value + 1e-300, kind="loss", kappa=gap)
            scale = np.maximum(np.abs(slopes) + both, tiny)
            assert_each_close(found[1][0], slopes, scale=scale, kind="loss", kappa=gap)


def test_softmax_of_two_is_logistic():
    rng = np.random.default_rng(0)
    f, y = 5 * rng.standard_normal((50, 2)), rng.random(50)
    pairs = np.stack([1 - y, y], axis=1)
    difference = f[:, 1] - f[:, 0]
    expected = Loss("logistic").value(difference, y)
    assert_close(Loss("softmax").value(f, pairs), expected, kind="loss", n=50)
    slopes = Loss("logistic").derivative(difference, y)
    found = Loss("softmax").derivative(f, pairs)
    assert_close(found, np.stack([-slopes, slopes], axis=1), kind="loss")


@every_loss
@each_dtype
@given(data=st.data())
def test_losses_of_several_outputs(name, dtype, data):
    """Sums over the outputs; kernel and library are one function, for one network or several."""
    n, C = data.draw(st.integers(1, 12)), data.draw(st.integers(2, 5))
    width = np.dtype(dtype).itemsize * 8
    f = data.draw(arrays(dtype, (n, C), elements=st.floats(-50, 50, width=width)))
    y = data.draw(arrays(dtype, (n, C), elements=st.sampled_from([0.0, 0.5, 1.0])))
    if name == "softmax":
        y = np.eye(C, dtype=dtype)[data.draw(arrays(int, n, elements=st.integers(0, C - 1)))]
    weights = data.draw(arrays(dtype, n, elements=st.sampled_from([0.0, 0.25, 1.0])))
    loss = Loss(name)
    value, slopes = loss.value(f, y), loss.derivative(f, y)
    assert_close(of_several(name, f, y)[0], value, kind="loss", n=n * C, scale=value + 1e-300)
    found = of_several(name, f, y, weights)[1]
    size = weights[:, None] * (np.abs(f) + y if name == "squared" else 1)
    assert_each_close(found, weights[:, None] * slopes, scale=size, kind="loss")
    if name != "softmax":
        columns = [loss.value(f[:, c], y[:, c]) for c in range(C)]
        assert_close(value, sum(columns), kind="loss", n=n * C, scale=value + 1e-300)
        for c in range(C):
            np.testing.assert_array_equal(slopes[:, c], loss.derivative(f[:, c], y[:, c]))
    both = np.stack([f, f[::-1]])
    np.testing.assert_array_equal(
        loss.value(both, y), [loss.value(f, y), loss.value(np.ascontiguousarray(f[::-1]), y)]
    )
    np.testing.assert_array_equal(loss.derivative(both, y)[0], slopes)


@every_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_several_outputs_that_are_no_numbers_are_not_hidden(name, bad, place):
    f, y = np.zeros((2, 3)), np.eye(3)[:2]
    f[1, place] = bad
    with np.errstate(invalid="ignore"):
        found = Loss(name).value(f, y), of_several(name, f, y)[0]
    for value in found:
        assert not value < 1e300


# Targets


@pytest.mark.parametrize("labels", [[0, 2, 1, 2], np.array([0, 2, 1, 2], np.uint8), [0.0, 2, 1, 2]])
def test_labels_become_one_hot_rows(labels):
    rows = [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]
    for Y in (labels, np.reshape(labels, (4, 1)), rows):
        found = Loss("softmax").as_targets(Y, 4, 3, np.float32)
        np.testing.assert_array_equal(found, rows)
        assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "Y", "n_outputs", "match"),
    [
        ("softmax", [0, 1, 3], 3, r"whole numbers from 0 to 2, .* but Y\[2\] = 3"),
        ("softmax", [0, -1, 1], 3, r"whole numbers from 0 to 2, .* but Y\[1\] = -1"),
        ("softmax", [0, 0.5, 1], 3, r"whole numbers .* but Y\[1\] = 0.5"),
        ("softmax", [0, np.nan, 1], 3, r"whole numbers .* but Y\[1\] = nan"),
        ("softmax", [0, 1, 1], 1, "an output for each class, at least two, .* loss='logistic'"),
        ("softmax", [0, 1], 3, "Y has 2 entries for 3 training inputs"),
        ("softmax", np.eye(3)[:, :2], 3, r"must have shape \(3, 3\), a column for each of the 3"),
        ("softmax", np.eye(3) / [[1], [2], [1]], 3, "sum to 1, but row 1 of Y sums to 0.5"),
        ("softmax", [[1, 0], [2, -1], [0, 1]], 2, r"none negative, but Y\[1, 1\] = -1"),
        ("softmax", [[1, 0], [np.nan, 1], [0, 1]], 2, "Y contains NaN"),
        ("logistic", [[1, 0], [0, 2], [0, 1]], 2, r"between 0 and 1 .* but Y\[1, 1\] = 2"),
        ("logistic", [0, 1, 2], 3, r"shape \(3, 3\), .* got shape \(3,\); class labels .*eye\(3\)"),
        ("squared", [0, 1, 2], 3, r"shape \(3, 3\), .* got shape \(3,\); class labels .*eye\(3\)"),
        ("squared", np.ones((3, 2)), 1, r"Y must have shape \(3,\), got shape \(3, 2\)"),
    ],
)
def test_targets_that_do_not_fit(name, Y, n_outputs, match):
    with pytest.raises(ValueError, match=match):
        Loss(name).as_targets(Y, 3, n_outputs)


@every_loss
def test_targets_that_fit(name):
    rows = np.array([[1, 0], [0.5, 0.5], [1 / 3, 2 / 3]], np.float32)
    np.testing.assert_array_equal(Loss(name).as_targets(rows, 3, 2), rows)
    if name != "softmax":
        np.testing.assert_array_equal(Loss(name).as_targets([[0], [1], [1]], 3, 1), [0, 1, 1])
