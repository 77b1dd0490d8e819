"""Enclosures against exact rational arithmetic, and against networks with many digits."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import rational
from flint import arb, arb_mat, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

import ntklin
from ntklin.validation.theorems import balls


def problem(n=5, n_new=3, seed=0):
    """A kernel regression, all of whose numbers are multiples of 1/64: K, Y, K_new, f0, f0_new."""
    rng = np.random.default_rng(seed)
    phi, phi_new = (rng.integers(-8, 9, (k, n + 4)) / 8 for k in (n, n_new))
    Y, f0 = rng.integers(-8, 9, (2, n)) / 8
    return phi @ phi.T, Y, phi_new @ phi.T, f0, rng.integers(-8, 9, n_new) / 8


def truth(K, Y, K_new, f0, f0_new):
    """f_int, f_init and f_∞ as fractions."""
    K, Y, K_new, f0, f0_new = map(rational.exact, (K, Y, K_new, f0, f0_new))
    f_int = K_new @ rational.solve(K, Y)
    f_init = f0_new - K_new @ rational.solve(K, f0)
    return f_int, f_init, f_int + f_init


def contains(ball, fraction):
    """Without rounding the fraction to fewer bits than the ball has."""
    with ctx.workprec(2000):
        return ball.contains(arb(fmpq(fraction.numerator, fraction.denominator)))


def assert_encloses(enclosure, fractions):
    __tracebackhide__ = True
    for ball, lower, upper, true in zip(
        enclosure.balls, enclosure.lower, enclosure.upper, fractions, strict=True
    ):
        assert contains(ball, true)
        assert Fraction(lower) <= true <= Fraction(upper)
        assert upper - lower <= max(1e-15 * abs(true), 2.0**-1022) + 2 * float(ball.rad())


@given(
    n=st.integers(1, 7),
    n_new=st.integers(1, 4),
    seed=st.integers(0, 999),
    precision=st.sampled_from([64, 128, 300]),
)
def test_enclosures_contain_the_exact_results(n, n_new, seed, precision):
    given = problem(n, n_new, seed)
    found = ntklin.certify(*given, precision=precision)
    f_int, f_init, f_inf = truth(*given)
    assert_encloses(found.interpolator, f_int)
    assert_encloses(found.initialization, f_init)
    assert_encloses(found.minimizer, f_inf)
    assert_encloses(found.coefficients, rational.solve(*map(rational.exact, given[:2])))
    [size] = found.initialization_size.balls
    with ctx.workprec(2 * precision):
        square = sum((x * x for x in f_init), Fraction(0)) / (2 * n_new)
        assert size.overlaps(arb(fmpq(square.numerator, square.denominator)).sqrt())


def test_radii_shrink_with_precision():
    given = problem()
    digits = [ntklin.certify(*given, precision=p).minimizer.digits for p in (64, 128, 256)]
    # A bit is log10(2) digits; the loss to conditioning is the same.
    gains = np.diff(digits)
    assert abs(gains[0] - 64 * np.log10(2)) <= 1.5
    assert abs(gains[1] - 128 * np.log10(2)) <= 1.5


@pytest.mark.parametrize("seed", range(3))
def test_radii_cover_every_kernel_within_them(seed):
    """At random corners, and close: nothing near would do that is much smaller."""
    rng = np.random.default_rng(seed)
    given = problem(seed=seed)
    radii = {name: 2.0**-20 for name in ("Y", "K_new", "f0", "f0_new")}
    radii["K"] = np.full((5, 5), 2.0**-20)
    found = ntklin.certify(*given, radii=radii)
    reached = np.zeros(3)
    for _ in range(20):
        moved = [a + 2.0**-20 * rng.choice([-1, 1], a.shape) for a in given]
        moved[0] = np.tril(moved[0]) + np.tril(moved[0], -1).T
        f_int, f_init, f_inf = truth(*moved)
        for enclosure, true in (
            (found.interpolator, f_int),
            (found.initialization, f_init),
            (found.minimizer, f_inf),
        ):
            for ball, x in zip(enclosure.balls, true, strict=True):
                assert contains(ball, x)
        assert np.linalg.eigvalsh(moved[0])[0] >= found.smallest_eigenvalue
        away = np.abs(rational.floats(f_inf) - found.minimizer.midpoint)
        reached = np.maximum(reached, away / [float(x.rad()) for x in found.minimizer.balls])
    assert (reached > 0.05).all()


def test_a_kernel_may_be_asymmetric_within_its_radii():
    """The symmetric ones have 1 ≤ K_12 ≤ 1 + 2^-20, and λ_min = 2 − K_12."""
    K, r = np.array([[2.0, 1.0], [1 + 2.0**-20, 2.0]]), 2.0**-20
    found = ntklin.certify(K, [1, 0], K, radii={"K": np.array([[0, r], [r, 0]])})
    assert 1 - 4 * r < found.smallest_eigenvalue <= 1 - r
    for off_diagonal in (1.0, 1 + r):
        matrix = np.array([[2, off_diagonal], [off_diagonal, 2]])
        [first, _] = rational.solve(*map(rational.exact, (matrix, np.array([1, 0]))))
        assert contains(found.coefficients.balls[0], first)


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_the_bound_of_the_smallest_eigenvalue_is_true_and_tight(n):
    """The Hilbert matrix rounded to float64: κ = 1e10 at n = 8."""
    K = 1 / (1 + np.add.outer(np.arange(n), np.arange(n)))
    found = ntklin.certify(K, np.ones(n)).smallest_eigenvalue
    with mpmath.workdps(60):
        smallest = min(mpmath.eigsy(mpmath.matrix(K.tolist()), eigvals_only=True))
        assert 0 <= (smallest - found) / smallest < 1e-11


def test_precision_reaches_kernels_beyond_float64():
    """λ_min = 2^-100 relative to λ_max: entries that float64 cannot hold come as balls."""
    with ctx.workprec(200):
        K = arb_mat([[1, 1], [1, 1 + arb(2) ** -100]])
    found = ntklin.certify(K, [1, 0], K, precision=256)
    assert found.smallest_eigenvalue == pytest.approx(2.0**-101, rel=1e-9)
    assert found.interpolator.distance([1, 0]).upper.max() < 1e-40
    with pytest.raises(ntklin.DegenerateKernelError, match=r"with 64 bits.*precision="):
        ntklin.certify(K, [1, 0], precision=64)


def test_true_errors():
    given = problem()
    found = ntklin.certify(*given)
    true = truth(*given)[2]
    for dtype in (np.float32, np.float64):
        approximation = (rational.floats(true) * (1 + 1e-3)).astype(dtype)
        error = found.minimizer.distance(approximation)
        assert_encloses(error, abs(rational.exact(approximation) - true))
        assert error.digits > 20
        column = found.minimizer.distance(approximation[:, None])
        np.testing.assert_array_equal(column.upper, error.upper)


def test_no_digits_and_all_digits():
    exact = ntklin.certify([[1.0]], [3.0], [[2.0]])
    assert exact.interpolator.digits == np.inf
    assert exact.interpolator.lower == exact.interpolator.upper == [6]
    assert len(exact.interpolator) == 1
    assert repr(exact.interpolator) == "<Enclosure: holds 1 number, all digits certain>"
    rough = ntklin.certify([[1.0]], [3.0], [[2.0]], radii={"Y": 1e-7}).interpolator
    assert repr(rough) == "<Enclosure: holds 1 number, 7 digits certain>"
    wide = ntklin.certify([[1.0]], [0.0], [[2.0]], radii={"Y": 1.0})
    assert wide.interpolator.digits == 0


def test_on_the_training_inputs_nothing_is_left_of_the_initialization():
    K, Y, _, f0, _ = problem()
    found = ntklin.certify(K, Y, K, f0, f0)
    assert_encloses(found.minimizer, rational.exact(Y))
    [size] = found.initialization_size.balls
    assert size.contains(0)
    assert found.initialization_size.upper[0] < 1e-30
    wide = ntklin.certify(K, Y, K, f0, f0, radii={"f0_new": 0.5}).initialization_size
    assert wide.lower == pytest.approx([0], abs=1e-8)  # radii have 30 bits
    assert wide.upper == pytest.approx([0.5 / np.sqrt(2)])


@pytest.mark.parametrize("y", [-2, -1, 1, 2])
@pytest.mark.parametrize("bits", [53, 200])
def test_bounds_are_rounded_outward_whatever_the_precision_they_are_read_at(y, bits):
    found = ntklin.certify([[3.0]], [y]).coefficients
    with ctx.workprec(bits):
        assert Fraction(found.lower[0]) < Fraction(y, 3) < Fraction(found.upper[0])


def test_without_new_inputs_and_without_initial_outputs():
    K, Y, K_new, _, _ = problem()
    bare = ntklin.certify(K, Y)
    parts = (bare.interpolator, bare.initialization, bare.minimizer, bare.initialization_size)
    assert parts == (None,) * 4
    centered = ntklin.certify(K, Y, K_new)
    assert [x == arb(0) for x in centered.initialization.balls] == [True] * 3
    zeros = ntklin.certify(K, Y, K_new, np.zeros(5), np.zeros(3))
    for other in (zeros.minimizer, zeros.interpolator, centered.interpolator):
        np.testing.assert_array_equal(centered.minimizer.midpoint, other.midpoint)


def test_inputs_are_left_alone_and_so_is_the_precision():
    given = problem()
    kept = [a.copy() for a in given]
    radii = {"K": 1e-10}
    before = ctx.prec
    ntklin.certify(*given, radii=radii)
    assert ctx.prec == before
    assert radii == {"K": 1e-10}
    for a, b in zip(given, kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_integers_are_exact():
    big = 2**60 + 1
    found = ntklin.certify(np.array([[big]]), [1], [[big]])
    assert found.interpolator.balls[0].contains(1)
    assert contains(found.coefficients.balls[0], Fraction(1, big))
    assert not contains(found.coefficients.balls[0], Fraction(1, 2**60))


K2 = [[2.0, 1.0], [1.0, 2.0]]
BAD = [
    ({"K": [[1.0, 2.0]]}, ValueError, r"K must have shape \(1, 1\), got shape \(1, 2\)"),
    ({"K": [1.0, 2.0]}, ValueError, r"K must be a matrix, got shape \(2,\)"),
    ({"K": np.zeros((0, 0))}, ValueError, r"K must be a matrix, got shape \(0, 0\)"),
    ({"K": [[1.0], [1.0, 2.0]]}, TypeError, "K must be a rectangular array"),
    ({"K": [["a"]]}, TypeError, "K must be an array of real numbers, got dtype <U1"),
    ({"K": np.eye(2, dtype=np.longdouble)}, TypeError, "got dtype"),
    ({"K": [[2.0, np.nan], [1.0, 2.0]]}, ValueError, "K contains NaN or infinite values"),
    ({"Y": [1.0, np.inf]}, ValueError, "Y contains NaN or infinite values"),
    ({"Y": [Fraction(1, 3), 0]}, TypeError, r"Y must hold .* exactly, got Fraction\(1, 3\)"),
    ({"Y": [1.0]}, ValueError, r"Y must have shape \(2,\), got shape \(1,\)"),
    ({"K": [[2.0, 1.0], [1.5, 2.0]]}, ValueError, r"K must be symmetric.*up to 0\.5"),
    ({"K_new": [[1.0]]}, ValueError, r"K_new must have shape \(1, 2\)"),
    ({"f0": [1.0, 1.0]}, ValueError, "f0, f0_new and K_new belong together"),
    ({"f0": [1.0, 1.0], "f0_new": [1.0]}, ValueError, "belong together"),
    ({"radii": 0.1}, TypeError, "radii must be a dict"),
    ({"radii": {"k": 0.1}}, ValueError, "radii has 'k'"),
    ({"radii": {"K": -0.1}}, ValueError, r"radii\['K'\] must be finite and at least 0"),
    ({"radii": {"K": np.nan}}, ValueError, r"radii\['K'\] must be finite"),
    ({"radii": {"K": [0.1, 0.1]}}, ValueError, r"radii\['K'\] must be a number or have shape"),
    ({"precision": 31}, ValueError, "precision must be at least 32"),
    ({"precision": 64.5}, TypeError, "precision must be an integer"),
    ({"K": [[1.0, 1.0], [1.0, 1.0]]}, ntklin.DegenerateKernelError, "Remove inputs"),
    ({"K": [[1.0, 2.0], [2.0, 1.0]]}, ntklin.DegenerateKernelError, "λ_min is -1"),
    ({"K": [[0.0, 0.0], [0.0, 0.0]]}, ntklin.DegenerateKernelError, "positive definite"),
    ({"radii": {"K": 0.6}}, ntklin.DegenerateKernelError, r"take up to 1\.2"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD)
def test_bad_input_is_named(changes, error, message):
    with pytest.raises(error, match=message):
        ntklin.certify(**{"K": K2, "Y": [1.0, 0.0]} | changes)


def test_a_bound_that_radii_make_negative_is_none():
    """Arb can solve with this K, but the norm that bounds its radii, 1.4, is more than λ_min."""
    radii = {"K": [[0, 0.7, 0.7], [0.7, 0, 0], [0.7, 0, 0]]}
    with pytest.raises(ntklin.DegenerateKernelError, match=r"take up to 1\.4"):
        ntklin.certify(np.eye(3), np.ones(3), radii=radii)


def test_distances_need_one_number_each():
    found = ntklin.certify(K2, [1.0, 0.0]).coefficients
    with pytest.raises(ValueError, match=r"approximation must have shape \(2,\)"):
        found.distance([1.0])


# Networks


def many_digits(net, theta, X, X_new):
    """K, K_new, f0, f0_new and φθ_0 sample by sample, by mpmath."""
    n, width = len(X), mpmath.mpf

    def scale(l):
        below, m = net.widths[l : l + 2]
        w = width(net.sigma) / mpmath.sqrt(below if net.scaling == "fan_in" else m)
        if net.bias == "none":
            return w, width(0)
        return w, w if net.scaling == "fan_out" else width(net.sigma_b or net.sigma)

    def gradient(x):
        layers, a, h = net.unpack(theta), [[width(float(v)) for v in x]], []
        for l, (W, b) in enumerate(layers):
            w, v = scale(l)
            h.append(
                [
                    w * mpmath.fdot(zip(map(width, map(float, row)), a[-1], strict=True))
                    + (0 if b is None else v * width(float(b[i])))
                    for i, row in enumerate(W)
                ]
            )
            a.append([max(z, width(0)) for z in h[-1]])
        delta, found = [width(1)], []
        for l in reversed(range(len(layers))):
            W, b = layers[l]
            w, v = scale(l)
            found += [w * d * z for d in delta for z in a[l]]
            found += [] if b is None else [v * d for d in delta]
            delta = [
                w * sum(delta[i] * width(float(W[i, j])) for i in range(len(W)))
                if l and h[l - 1][j] > 0
                else width(0)
                for j in range(len(a[l]))
            ]
        return h[-1][0], found

    outputs, phi = zip(*(gradient(x) for x in (*X, *X_new)), strict=True)
    K = [[mpmath.fdot(p, q) for q in phi[:n]] for p in phi]
    return K[:n], K[n:], outputs[:n], outputs[n:]


@pytest.mark.parametrize("bias", ["none", "zero", "normal"])
@pytest.mark.parametrize("scaling", ["fan_out", "fan_in", "eq1"])
@pytest.mark.parametrize("widths", [(3, 1), (3, 7, 1), (3, 5, 4, 1)])
def test_networks_are_enclosed(widths, scaling, bias):
    rng = np.random.default_rng(0)
    net = ntklin.MLP(widths, sigma=1.3, scaling=scaling, bias=bias)
    theta = net.init(rng=1)
    X, X_new = (rng.uniform(-0.5, 0.5, (k, 3)) for k in (3, 2))
    X[:, 1] = X_new[:, 1] = 0  # a pixel that no image has
    with mpmath.workdps(60):
        found = balls.enclose(net, theta, X, X_new)
        for enclosed, true in zip(
            (found.K, found.K_new, found.f0, found.f0_new),
            many_digits(net, theta, X, X_new),
            strict=True,
        ):
            flat = [v for row in true for v in (row if isinstance(row, list) else [row])]
            for ball, x in zip(enclosed.entries(), flat, strict=True):
                with ctx.workprec(190):
                    assert abs(ball - arb(mpmath.nstr(x, 58))) < arb(2) ** -110
                    assert ball.overlaps(arb(mpmath.nstr(x, 58)) + arb(0, "1e-50"))
        if bias != "normal":
            for phi_theta, f0 in ((found.g, found.f0), (found.g_new, found.f0_new)):
                if scaling == "fan_out":
                    assert phi_theta.overlaps(f0 * arb(net.depth))


def test_a_relu_at_its_kink_is_refused():
    """h = (1e200 − 1e200 + 1e-200)σ, which is positive."""
    net = ntklin.MLP((3, 1, 1), bias="none")
    theta, X = np.array([1e200, -1e200, 1e-200, 1.0]), np.ones((1, 3))
    assert balls.enclose(net, theta, X, X, 2000).f0[0, 0] > 0
    with pytest.raises(ArithmeticError, match="no certain sign"):
        balls.enclose(net, theta, X, X, 128)


@pytest.mark.parametrize("size", [2.0**-1060, 2.0**-500, 1e300])
def test_a_kernel_of_any_size_is_certified(size, capfd):
    """Also where its inverse, or its squares, leave the range of float64."""
    K, Y = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, -1.0])
    plain, scaled = ntklin.certify(K, Y), ntklin.certify(K * size, Y)
    ratio = scaled.smallest_eigenvalue / size / plain.smallest_eigenvalue
    assert ratio == pytest.approx(1, rel=1e-9 + 4 * 5e-324 / size)
    with pytest.raises(ntklin.DegenerateKernelError, match="could not be proved to be positive"):
        ntklin.certify(np.ones((2, 2)) * size, Y)
    assert capfd.readouterr() == ("", "")


def test_a_smallest_eigenvalue_below_all_floats_is_named():
    with pytest.raises(ntklin.FloatRangeError, match="λ_min of K underflows float64; scale K"):
        ntklin.certify([[5e-324]], [1.0])


def test_a_precision_beyond_all_use_is_refused():
    with pytest.raises(ValueError, match="precision must be at most 16777216 bits, got 1000"):
        ntklin.certify(np.eye(2), [1.0, 2.0], precision=10**30)
