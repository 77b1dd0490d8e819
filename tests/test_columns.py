"""Products of φ with many columns at once, against a dense J, one by one, and at their edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import cases, make_case
from tolerances import assert_close

import ntklin
from ntklin.algebra import operators
from ntklin.kernels.cpu import gated, products
from ntklin.networks.weighted import WeightedFeatures

DTYPES = [np.float32, np.float64]


@pytest.fixture(params=["as it pays", "always by subset sums", "in small tiles"])
def tiles(request, monkeypatch):
    """Tests are small: every way there is, and tiles with every remainder."""
    if request.param == "always by subset sums":
        monkeypatch.setattr(gated, "pays", lambda n_rows, n_columns: True)
        monkeypatch.setattr(gated, "FEWEST_ROWS", 3)
    elif request.param == "in small tiles":
        monkeypatch.setattr(products, "FEWEST", 2)
        monkeypatch.setattr(operators, "COLUMNS_BYTES", 1000)


def columns(seed, phi, k):
    """V (P, k) and R (N C, k)."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, k)).astype(phi.dtype) for n in phi.shape[::-1]]


def assert_products(phi, J, bound, V, R, n):
    """φ V, φ^T R and φ φ^T R against the dense J, within the rounding of their sums."""
    for actual, expected, kind, scale in (
        (phi @ V, J @ V, "jacobian", bound @ abs(V)),
        (phi.T @ R, J.T @ R, "jacobian", bound.T @ abs(R)),
        (phi.gram_product(R), J @ (J.T @ R), "gram", bound @ (bound.T @ abs(R))),
    ):
        assert actual.dtype == phi.dtype
        assert actual.shape == expected.shape
        if actual.size:
            assert_close(actual, expected, kind=kind, n=n, scale=scale)


@pytest.mark.usefixtures("tiles")
@given(cases(general=True, max_rows=7), st.integers(0, 99), st.sampled_from([0, 1, 2, 9]))
def test_products_with_any_number_of_columns(case, seed, k):
    phi = case.net.features(case.theta, case.X)
    J, bound = case.jacobian(), case.jacobian_bound()
    assert_products(phi, J, bound, *columns(seed, phi, k), case.n + sum(J.shape))


@pytest.mark.usefixtures("tiles")
@given(cases(general=True), st.integers(0, 99))
def test_adjoint_of_many_columns(case, seed):
    """⟨R, φ V⟩ = ⟨φ^T R, V⟩, and a column alone is what it is among others, to rounding."""
    phi = case.net.features(case.theta, case.X)
    V, R = columns(seed, phi, 3)
    bound = case.jacobian_bound()
    n = case.n + sum(phi.shape)
    there, back = (abs(a) for a in (R, V))
    scale = (there * (bound @ back)).sum()
    forward, backward = ((a * b).sum(dtype=float) for a, b in ((R, phi @ V), (phi.T @ R, V)))
    assert_close(forward, backward, kind="jacobian", n=n, scale=scale, dtype=case.dtype)
    options = {"kind": "jacobian", "n": n}
    assert_close((phi @ V)[:, 1], phi @ V[:, 1], scale=bound @ back[:, 1], **options)
    assert_close((phi.T @ R)[:, 1], phi.T @ R[:, 1], scale=bound.T @ there[:, 1], **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("widths", "n", "options"),
    [
        ((9, 40, 1), 300, {}),  # subset sums: columns, words of neurons and of samples are cut
        ((32, 64, 1), 192, {"bias": "none"}),  # and nothing is
        ((63, 33, 1), 225, {"bias": "normal"}),
        ((16, 20, 70, 1), 200, {"bias": "normal"}),  # below another hidden layer
        ((16, 20, 1, 1), 200, {"bias": "normal"}),  # of one neuron
        ((3, 530, 2), 5, {}),  # several shares of neurons, more than a block
        ((20, 70, 3), 270, {"bias": "normal"}),  # several blocks of rows and outputs
        ((4, 30, 1), 270, {"activation": "tanh", "bias": "normal"}),
        ((700, 5, 1), 3, {"activation": "abs"}),  # several tiles of columns
        ((300, 4), 6, {}),  # no hidden layer
    ],
)
def test_beyond_one_tile(widths, n, options, dtype):
    case = make_case(widths, n=n, dtype=dtype, **options)
    phi = case.net.features(case.theta, case.X)
    J = phi.toarray().astype(float)
    V, R = columns(1, phi, 3)
    # The sums behind an entry of J are of the forward pass, which is the same one here.
    assert_products(phi, J, abs(J) + abs(J).mean(), V, R, case.n + sum(J.shape))


def test_columns_of_any_layout():
    case = make_case((16, 20, 1), n=200)
    phi = case.net.features(case.theta, case.X)
    V, R = columns(0, phi, 4)
    for product, M in ((phi, V), (phi.T, R)):
        expected = product @ M
        frozen = M.copy()
        frozen.flags.writeable = False
        for same in (np.asfortranarray(M), np.repeat(M, 2, axis=0)[::2], frozen):
            np.testing.assert_array_equal(product @ same, expected)
        np.testing.assert_array_equal(product @ M.astype(np.longdouble), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_of_features_beyond_the_range(dtype):
    """Each column has a unit of its own, and comes back in it."""
    k = {np.float32: 100, np.float64: 900}[dtype]
    net, far = (ntklin.MLP((3, 6, 1), sigma=s, bias="none") for s in (1.0, 2.0 ** (-k // 2)))
    theta, X = net.init(0, dtype), np.eye(3, dtype=dtype)
    phi, tiny = net.features(theta, X), far.features(theta, X)
    assert tiny.is_extreme
    V, R = columns(0, phi, 2)
    sizes = np.array([1, 2.0 ** (k // 2)], dtype)
    shift = dtype(2.0 ** (-k // 2)) ** 2
    options = {"kind": "jacobian", "n": 100}
    assert_close((tiny @ (V * sizes)) / sizes / shift, phi @ V, **options)
    assert_close((tiny.T @ (R * sizes)) / sizes / shift, phi.T @ R, **options)


def test_the_last_hidden_layers_signals_are_not_made():
    """N C × m numbers, which products of features do without."""
    for widths, n in (((16, 20, 1), 200), ((4, 20, 3), 5)):
        case = make_case(widths, n=n)
        phi = case.net.features(case.theta, case.X)
        V, R = columns(0, phi, 2)
        phi.gram_product(R + phi @ V)
        assert not phi.passes.deltas._known


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "some"), [(4, True), (1000, True), (10**9, False)])
def test_columns_at_a_time_fill_what_is_meant_for_them(n, some, dtype):
    size, found = n * np.dtype(dtype).itemsize, operators.columns_at_a_time(n, dtype)
    if some:
        assert found * size <= operators.COLUMNS_BYTES < (found + 1) * size
    else:
        assert found == 1


@pytest.mark.parametrize("exponent", [0, 3])
def test_rounding_errors_of_weighted_features_are_in_the_units_of_their_outputs(exponent):
    case = make_case((3, 6, 2), n=4)
    phi = case.net.features(case.theta, case.X)
    weighted = WeightedFeatures(phi, np.ones(phi.shape[1]), exponent)
    np.testing.assert_array_equal(weighted.outputs, phi.outputs / 2**exponent)
    np.testing.assert_array_equal(weighted.output_rounding(), phi.output_rounding() / 2**exponent)


@pytest.mark.parametrize("kind", ["scaled", "low rank", "diagonal"])
def test_features_made_of_others(kind):
    case = make_case((3, 6, 2), n=4)
    phi = case.net.features(case.theta, case.X)
    rng = np.random.default_rng(0)
    if kind == "scaled":
        phi = ntklin.ScaledNetwork(case.net, 3.0, case.theta).features(case.theta, case.X)
    elif kind == "low rank":
        phi = WeightedFeatures(phi, ntklin.LowRank(rng.standard_normal((phi.shape[1], 5))))
    else:
        phi = WeightedFeatures(phi, rng.random(phi.shape[1]) * (rng.random(phi.shape[1]) < 0.7))
    V, R = columns(1, phi, 3)
    for product, M in ((phi, V), (phi.T, R)):
        one_by_one = np.stack([product @ v for v in M.T], axis=1)
        np.testing.assert_allclose(product @ M, one_by_one, rtol=1e-12, atol=1e-12)
