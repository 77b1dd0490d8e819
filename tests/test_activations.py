"""Activations: against mpmath, in C, as users pass and send them, and refused."""

import contextlib
import ctypes
import functools
import importlib
import math
import pickle
import shutil
import subprocess
from ctypes.util import find_library

import mpmath
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import EPS

import ntklin
from ntklin.kernels import activations
from ntklin.kernels.activations import BODIES, Body, NoCError, c_functions, in_c
from ntklin.kernels.cpu.activations import activated
from ntklin.kernels.structures import Layer
from ntklin.networks.activations import HOMOGENEOUS, NAMES, as_activation

COMPILER = shutil.which("cc")
# α with 60 digits; α' is its derivative.
EXACT = {
    "relu": lambda h: max(h, 0),
    "leaky_relu(0.2)": lambda h: h if h > 0 else h * mpmath.mpf(0.2),
    "abs": abs,
    "erf": mpmath.erf,
    "tanh": mpmath.tanh,
    "gelu": lambda h: h * mpmath.erfc(-h / mpmath.sqrt(2)) / 2,
    "softplus": lambda h: mpmath.log1p(mpmath.exp(h)),
    "softplus(2.0)": lambda h: mpmath.log1p(mpmath.exp(2 * h)) / 2,
    "sigmoid": lambda h: 1 / (1 + mpmath.exp(-h)),
    "sin": mpmath.sin,
}
SLOPES = {
    "relu": lambda h: int(h > 0),
    "leaky_relu(0.2)": lambda h: 1 if h > 0 else mpmath.mpf(0.2),
    "abs": mpmath.sign,
    "erf": lambda h: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-(h**2)),
    "tanh": lambda h: mpmath.sech(h) ** 2,
    "gelu": lambda h: mpmath.erfc(-h / mpmath.sqrt(2)) / 2 + h * mpmath.npdf(h),
    "softplus": lambda h: 1 / (1 + mpmath.exp(-h)),
    "softplus(2.0)": lambda h: 1 / (1 + mpmath.exp(-2 * h)),
    "sigmoid": lambda h: mpmath.exp(-h) / (1 + mpmath.exp(-h)) ** 2,
    "sin": mpmath.cos,
}
SPREAD = [0.0, 1e-300, 1e-8, 0.1, 0.5, 1.0, 2.5, 6.0, 20.0, 37.0, 300.0]
POINTS = np.array([*SPREAD, *(-h for h in SPREAD)])


def compiled(name, h):
    """α and α' as kernels have them."""
    one = h.dtype.type(1)
    unit = Layer(np.ones((1, 1), h.dtype), np.zeros(1, h.dtype), one, one)
    a, slopes, _ = activated(as_activation(name).body, unit, h[:, None])
    return a[:, 0], slopes[:, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_values_and_slopes_to_the_last_digits(name, dtype):
    h = POINTS.astype(dtype)
    smallest = float(np.finfo(dtype).tiny)
    with mpmath.workdps(60):
        for found, exact in zip(compiled(name, h), (EXACT[name], SLOPES[name]), strict=True):
            for x, y in zip(h.tolist(), found.tolist(), strict=True):
                true = exact(mpmath.mpf(x))
                # A value may lose what e^{−h²/2} amplifies of the rounding of h²/2.
                bound = 8 * EPS[np.dtype(dtype)] * (1 + x * x) * abs(true) + smallest
                assert abs(mpmath.mpf(y) - true) <= bound, (x, y, float(true))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "softplus(2.0)"])
def test_exponentials_to_four_units_everywhere(name, dtype):
    """Near 0, in between, and out to where the slopes are no normal numbers and then nothing."""
    eps, smallest = EPS[np.dtype(dtype)], float(np.finfo(dtype).tiny)
    rng, end = np.random.default_rng(0), -1.1 * math.log(smallest * eps)
    parts = [np.exp(rng.uniform(-80, 1, 200)), rng.uniform(0, 5, 200), rng.uniform(0, end, 200)]
    h = (np.concatenate(parts) * rng.choice([-1, 1], 600)).astype(dtype)
    with mpmath.workdps(50):
        for found, exact in zip(compiled(name, h), (EXACT[name], SLOPES[name]), strict=True):
            for x, y in zip(h.tolist(), found.tolist(), strict=True):
                true = exact(mpmath.mpf(x))
                error = abs(mpmath.mpf(y) - true)
                assert error <= 4 * eps * max(abs(true), smallest), (x, y, float(true))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "ends", "slopes"),
    [
        ("tanh", (-1, 1), (0, 0)),
        ("sigmoid", (0, 1), (0, 0)),
        ("softplus", (0, math.inf), (0, 1)),
        ("erf", (-1, 1), (0, 0)),
    ],
)
def test_infinities_and_nan(name, ends, slopes, dtype):
    h = np.array([-math.inf, math.inf, math.nan], dtype)
    np.testing.assert_array_equal(compiled(name, h), [(*ends, math.nan), (*slopes, math.nan)])


@given(st.floats(-30, 30))
def test_the_reference_has_the_same_functions(h):
    for name in EXACT:
        if name not in naive.ACTIVATIONS:
            continue
        for f, exact in zip(naive.ACTIVATIONS[name], (EXACT, SLOPES), strict=True):
            assert f(h) == pytest.approx(float(exact[name](mpmath.mpf(h))), rel=1e-9, abs=1e-12)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize("real", ["float", "double"])
def test_c_says_the_same(tmp_path, real):
    """Compiled by the host's compiler, each function has the values that Python has."""
    dtype = np.dtype(np.float32 if real == "float" else np.float64)
    for k, name in enumerate(NAMES):
        body = Body(name, *BODIES[name], 2.0)
        text = "#include <math.h>\n#define __device__\n" + c_functions(body)
        text += "void both(const REAL *h, REAL *out, int n) { for (int i = 0; i < n; i++) "
        text += "{ out[2 * i] = alpha(h[i], 2); out[2 * i + 1] = alpha_slope(h[i], 2); } }\n"
        source, built = tmp_path / f"{k}.c", tmp_path / f"{k}.so"
        source.write_text(text)
        command = [COMPILER, f"-DREAL={real}", "-shared", "-fPIC", "-o", built, source, "-lm"]
        subprocess.run(command, check=True)
        h = POINTS.astype(dtype)
        out = np.empty((len(h), 2), dtype)
        pointers = (ctypes.c_void_p(a.ctypes.data) for a in (h, out))
        ctypes.CDLL(str(built)).both(*pointers, len(h))
        expected = [[f(x, 2.0) for f in BODIES[name]] for x in h.tolist()]
        np.testing.assert_allclose(out, expected, rtol=64 * EPS[dtype], atol=1e-37)


def cube(h):
    """A user's own."""
    return h * h * h / 3


def square(h):
    return math.pow(h, 2.0)


def test_a_pair_of_ones_own():
    net = ntklin.MLP((3, 20, 2), activation=ntklin.Activation(cube, square), bias="normal")
    theta, X = net.init(0), np.random.default_rng(0).standard_normal((5, 3))
    (W, b), (V, c) = net.unpack(theta)
    h = net.weight_scales[0] * X @ W.T + net.bias_scales[0] * b
    expected = net.weight_scales[1] * (h**3 / 3) @ V.T + net.bias_scales[1] * c
    np.testing.assert_allclose(net.apply(theta, X), expected, rtol=1e-12)
    J = net.jacobian(theta, X)
    d_output = net.weight_scales[1] * (V[None] * (h**2)[:, None]).reshape(10, -1)
    biases = J[:, 60:80]
    np.testing.assert_allclose(biases, net.bias_scales[0] * d_output, rtol=1e-12, atol=1e-14)
    assert pickle.loads(pickle.dumps(net)) == net


def test_a_users_tanh_is_ours():
    own = ntklin.Activation(math.tanh, lambda h: 1 - math.tanh(h) ** 2)
    nets = [ntklin.MLP((3, 30, 1), activation=a) for a in ("tanh", own)]
    theta, X = nets[0].init(0), np.random.default_rng(0).standard_normal((4, 3))
    K = [ntklin.ntk(net, theta, X) for net in nets]
    np.testing.assert_allclose(*K, rtol=1e-12)


def test_functions_without_python_code_are_told_apart():
    """As files have to."""
    one, other, same = (
        ntklin.Activation(f, df, name="mine").described()
        for f, df in ((math.sin, math.cos), (math.tanh, math.cos), (math.sin, math.cos))
    )
    assert one["f"] != other["f"]
    assert one["df"] == other["df"]
    assert one == same


def test_names_numbers_and_equality():
    assert ntklin.MLP((2, 3, 1)) == ntklin.MLP((2, 3, 1), activation="relu")
    assert ntklin.MLP((2, 3, 1)).activation.is_relu
    leaky = ntklin.MLP((2, 3, 1), activation="leaky_relu(0.2)")
    assert leaky != ntklin.MLP((2, 3, 1), activation="leaky_relu")
    assert leaky.activation.value([-1.0, 2.0]).tolist() == [-0.2, 2.0]
    assert as_activation(" softplus( 1.0 ) ") == as_activation("softplus")
    assert [name for name in NAMES if as_activation(name).is_homogeneous] == list(HOMOGENEOUS)
    for name in NAMES:
        again = pickle.loads(pickle.dumps(as_activation(name)))
        assert again == as_activation(name)
        assert hash(again) == hash(as_activation(name))


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        ("rellu", ValueError, "activation must be one of 'relu', .*got 'rellu'"),
        ("tanh(2)", ValueError, "'tanh' takes no number"),
        ("softplus(0)", ValueError, "beta of 'softplus' must be a positive number"),
        ("leaky_relu(nan)", ValueError, "slope of 'leaky_relu' must be a finite number"),
        ("leaky_relu(x)", ValueError, "slope of 'leaky_relu' must be a finite number"),
        (np.tanh, TypeError, "for functions of your own write ntklin.Activation"),
        (None, TypeError, "activation must be a name or an ntklin.Activation, got NoneType"),
    ],
)
def test_bad_activations(activation, error, message):
    with pytest.raises(error, match=message):
        ntklin.MLP((2, 3, 1), activation=activation)


@pytest.mark.parametrize(
    ("f", "df", "error", "message"),
    [
        ("tanh", math.cos, TypeError, "f must be a function of one float, got 'tanh'"),
        (math.tanh, None, TypeError, "df must be a function of one float, got None"),
        (math.log, math.cos, TypeError, r"f\(-2.0\) fails"),
        (math.tanh, lambda h: math.nan, ValueError, r"df\(-2.0\) is NaN"),
        (lambda h, p: h, math.cos, TypeError, r"f\(-2.0\) fails .*take one Python float"),
    ],
)
def test_bad_pairs(f, df, error, message):
    with pytest.raises(error, match=message):
        ntklin.Activation(f, df)


@pytest.mark.compiled("Python takes what no compiler does")
def test_what_cannot_be_compiled_says_so():
    def by_numpy(h):
        return float(np.polynomial.Polynomial([0, 1])(h))

    net = ntklin.MLP((2, 3, 1), activation=ntklin.Activation(by_numpy, math.cos))
    with pytest.raises(TypeError, match=r"cannot be compiled .* it may use numbers, the module"):
        net.apply(net.init(0), np.eye(2))


@pytest.mark.skipif(not find_library("m"), reason="needs C's library")
def test_functions_of_math_have_the_names_that_c_gives_them(tmp_path, monkeypatch):
    """All that take one number and that C has as well, but a few."""
    library = ctypes.CDLL(find_library("m"))

    def value(function):
        for h in (0.5, 1.25):
            with contextlib.suppress(TypeError, ValueError):
                return h, function(h)
        return None, None

    points = {name: value(getattr(math, name)) for name in dir(math) if hasattr(library, name)}
    points = {name: point for name, point in points.items() if type(point[1]) in (int, float)}
    for name in ("exp2", "hypot", "log10", "log2", "trunc"):
        points.pop(name, None)
    assert len(points) > 20
    text = [f"def {name}_of(h):\n    return math.{name}(h)\n" for name in points]
    (tmp_path / "functions_of_math.py").write_text("import math\n" + "\n".join(text))
    monkeypatch.syspath_prepend(tmp_path)
    functions = importlib.import_module("functions_of_math")
    for name, (h, expected) in points.items():
        called, _, rest = in_c(getattr(functions, f"{name}_of")).partition("(")
        in_library = getattr(library, called)
        in_library.restype, in_library.argtypes = ctypes.c_double, [ctypes.c_double]
        assert rest == "h)"
        assert in_library(h) == pytest.approx(expected, rel=1e-14), name


def test_what_has_no_c_says_why():
    def loop(h):
        total = 0.0
        for _ in range(3):
            total += h
        return total

    with pytest.raises(NoCError, match="a def with one return"):
        in_c(loop)
    with pytest.raises(NoCError, match="define it in a file with def"):
        in_c(functools.partial(activations.relu, p=0))

    def unknown(h):
        return np.tanh(h) if isinstance(h, float) else h

    with pytest.raises(NoCError, match="of which there is no C here"):
        in_c(unknown)
