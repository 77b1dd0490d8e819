"""Networks and features that others made, with the least that the library asks of them."""

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator
from tolerances import assert_close

import ntklin
from ntklin.algebra.course import Course
from ntklin.networks.network import FeatureOperator, Network, as_feature_operator
from ntklin.theory.minimize import solve_minimizer
from ntklin.theory.solver_options import SolverOptions

X = np.array([[0.6, 0.1, -0.3], [0.2, 0.5, 0.5], [-0.4, 0.2, 0.1]])
X_NEW = np.array([[0.1, 0.2, 0.3], [0.3, -0.4, 0.2]])
NET = ntklin.MLP((3, 7, 1), bias="normal")
THETA = NET.init(0)
V = np.linspace(-1, 1, NET.n_parameters)
D = np.linspace(0, 2, NET.n_parameters)


class Model:
    """f(x) = Σ_k θ_k² x_k: not linear in θ, and of no library."""

    n_inputs = n_parameters = 3

    def apply(self, theta, X):
        return np.asarray(X) @ theta**2

    def features(self, theta, X):
        return Features(self, theta, X)


class Features:
    """Its features, as bare as documented: no SciPy operator, nothing inherited."""

    def __init__(self, network, theta, X):
        self.network, self.parameters, self.inputs = network, theta, X
        self.outputs = network.apply(theta, X)
        self.J = 2 * theta * X
        self.shape, self.dtype = self.J.shape, self.J.dtype

    def __matmul__(self, v):
        return self.J @ v

    @property
    def T(self):
        return self.J.T

    def gram(self, other=None, weights=None):
        other_J = self.J if other is None else other.J
        return (self.J if weights is None else self.J * weights) @ other_J.T


class Inherited(FeatureOperator):
    """The features of an MLP with what is abstract and nothing else."""

    def __init__(self, theta, X):
        phi = NET.features(theta, X)
        self.mlp_features, self.network = phi, InheritedNetwork()
        self.parameters, self.inputs, self.outputs = theta, phi.inputs, phi.outputs
        super().__init__(phi.dtype, phi.shape)

    def _matvec(self, x):
        return self.mlp_features @ x

    def _rmatvec(self, x):
        return self.mlp_features.T @ x

    def gram(self, other=None, weights=None):
        return self.mlp_features.gram(None if other is None else other.mlp_features, weights)


class InheritedNetwork(Network):
    n_inputs, n_parameters = NET.n_inputs, NET.n_parameters

    def apply(self, theta, X, /):
        return NET.apply(theta, X)

    def features(self, theta, X, /):
        return Inherited(theta, X)


def test_who_is_a_network():
    assert isinstance(NET, Network)
    assert isinstance(ntklin.AntisymmetricPair(NET), Network)
    assert isinstance(Model(), Network)
    assert not isinstance(NET.features(THETA, X), Network)


def test_what_is_abstract_is_asked_for():
    class Half(Network):
        n_inputs = 3

    with pytest.raises(
        TypeError, match=r"abstract methods '?apply'?, '?features'?, '?n_parameters'?"
    ):
        Half()

    class NoKernel(FeatureOperator):
        def _matvec(self, x):
            return x

    with pytest.raises(TypeError, match=r"abstract method '?gram"):
        NoKernel()


def test_the_defaults_are_those_of_the_library():
    phi, known = Inherited(THETA, X), NET.features(THETA, X)
    assert isinstance(phi, LinearOperator)
    np.testing.assert_allclose(phi.toarray(), known.toarray(), rtol=1e-14)
    P, columns = len(V), np.stack([V, D], 1)
    # Products with many columns have sums of their own.
    assert_close(phi @ columns, known @ columns, kind="jacobian", n=P)
    assert_close(phi.T @ np.eye(3), known.T @ np.eye(3), kind="jacobian", n=3)
    np.testing.assert_array_equal(phi.project(V), known.project(V))
    np.testing.assert_array_equal(phi.at(X_NEW).outputs, NET.apply(THETA, X_NEW))
    np.testing.assert_array_equal(phi.at(X_NEW).gram(phi, D), known.at(X_NEW).gram(known, D))
    np.testing.assert_array_equal(phi.output_rounding(), np.zeros(3))
    assert phi.linearized("descent") is None
    assert phi.balanced() == (phi, 0)
    single, exponent = phi.balanced(np.float32)
    assert (single.dtype, exponent) == (np.float32, 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bare_features_are_adopted(dtype):
    net, theta, rows = Model(), np.array([1, 2, -1], dtype), X.astype(dtype)
    J = net.features(theta, rows).J
    phi = as_feature_operator(net.features(theta, rows))
    assert as_feature_operator(phi) is phi
    assert phi.dtype == dtype
    np.testing.assert_array_equal(phi.toarray(), J)
    np.testing.assert_array_equal(phi @ theta, J @ theta)
    np.testing.assert_array_equal(phi.T @ rows[:, 0], J.T @ rows[:, 0])
    new = phi.at(X_NEW.astype(dtype))
    np.testing.assert_array_equal(new.gram(phi, theta**2), (new.toarray() * theta**2) @ J.T)
    double, exponent = phi.balanced(np.float64)
    assert (double.dtype, exponent) == (np.float64, 0)
    np.testing.assert_allclose(phi.project(theta), theta, rtol=1e-5)


def test_their_kernel():
    theta, weights = np.array([1.0, 2.0, -1.0]), np.diag([1.0, 2.0, 3.0])
    J = 2 * theta * X
    np.testing.assert_allclose(ntklin.ntk(Model(), theta, X), J @ J.T, rtol=1e-14)
    K = ntklin.ntk(Model(), theta, X_NEW, X, weights=weights)
    np.testing.assert_allclose(K, 2 * theta * X_NEW @ weights @ J.T, rtol=1e-14)


@pytest.mark.parametrize("net", [Model(), InheritedNetwork()], ids=["bare", "inherited"])
def test_they_are_trained_and_linearized(net):
    theta = np.array([0.5, 0.4, -0.3]) if isinstance(net, Model) else THETA
    Y = np.array([0.1, 0.2, 0.0])
    run = ntklin.train(net, theta, X, Y, ntklin.GradientDescent(1e-3), steps=3)
    lin = ntklin.linearize(net, theta, X)
    gd = lin.gradient_descent(Y, learning_rate=1e-3)
    np.testing.assert_allclose(net.apply(run.parameters, X_NEW), gd.predict(X_NEW, 3), atol=1e-5)
    minimizer = lin.minimizer(Y)
    np.testing.assert_allclose(minimizer.predict(X), Y, atol=1e-10)
    steps = lin.train(Y, ntklin.GradientDescent(1e-3), steps=3)
    np.testing.assert_allclose(steps.predict(X_NEW), gd.predict(X_NEW, 3), atol=1e-12)
    adaptive = lin.train(Y, ntklin.AdaGrad(1e-3), steps=3, record=1).concentration()
    assert adaptive.width is None
    assert adaptive.relative_distance > 0


def test_inputs_of_another_size_are_refused_before_they_are_asked():
    with pytest.raises(ValueError, match=r"X has 2 columns, but .* dimension 3"):
        ntklin.linearize(Model(), np.ones(3), X[:, :2])


class Linear(Model):
    """f(x) = ⟨θ, x⟩."""

    def __init__(self, n_inputs):
        self.n_inputs = self.n_parameters = n_inputs

    def apply(self, theta, X):
        return np.asarray(X) @ theta

    def features(self, theta, X):
        phi = Features(self, theta, np.asarray(X))
        phi.J = phi.inputs
        return phi


@pytest.mark.parametrize(
    "optimizer",
    [
        ntklin.AdaGrad(0.01, eps=1e-300),
        ntklin.RMSprop(0.001, eps=1e-300),
        ntklin.Adam(0.001, eps=1e-300),
        ntklin.GradientDescent(),
    ],
)
@pytest.mark.parametrize(
    ("n_signals", "constants", "own", "adaptive", "descent"),
    [
        (1, [1, 1], {1.0: [1], -1.0: [1] * 5}, [3 / 4, 1 / 4], [1, -1]),
        (3, [2], {1.0: [1] * 13, -1.0: [17]}, [5 / 18, -1 / 18], [1, 1]),
    ],
    ids=["wilson", "shah"],
)
def test_adaptive_methods_see_only_signs(n_signals, constants, own, adaptive, descent, optimizer):
    """Wilson et al. (2017) and Shah et al. (2018): w_t is a multiple of sgn(X^T y)."""
    labels, start = np.array([1.0, -1.0, 1.0, 1.0]), n_signals + len(constants)
    shared = [[y] * n_signals + constants for y in (1.0, -1.0)]
    X = np.zeros((4, start + sum(len(own[y]) for y in labels)))
    for x, y in zip(X, labels, strict=True):
        x[: len(shared[0])] = shared[0 if y == 1 else 1]
        x[start : start + len(own[y])] = own[y]
        start += len(own[y])
    w_0 = np.zeros(X.shape[1])
    lin = ntklin.linearize(Linear(len(w_0)), w_0, X)
    run = lin.train(labels, optimizer, steps=40_000, until=1e-6)
    assert run.converged
    outputs = run.predict(np.pad(shared, ((0, 0), (0, len(w_0) - len(shared[0])))))
    if isinstance(optimizer, ntklin.GradientDescent):
        np.testing.assert_array_equal(np.sign(outputs), descent)
    else:
        signs = np.sign(X.T @ labels)
        np.testing.assert_allclose(run.displacement, signs * run.displacement[0], rtol=1e-10)
        np.testing.assert_allclose(outputs, adaptive, rtol=0.01)


class Huge(Model):
    """The same so large that K overflows, though neither f nor φ does."""

    n_parameters = 5
    scale = 1e160

    def apply(self, theta, X):
        return np.asarray(X) @ theta[:3]

    def features(self, theta, X):
        phi = Features(Model(), theta[:3], X)
        phi.J = self.scale * np.hstack([X, X[:, :2] ** 2])
        phi.network, phi.parameters, phi.shape = self, theta, phi.J.shape
        return phi


@pytest.mark.parametrize(
    "options",
    [
        *({"solver": name} for name in ("eigh", "cholesky", "packed", "mixed")),
        *({"solver": "pcg", "preconditioner": name} for name in ("none", "nystrom")),
    ],
    ids=lambda options: "+".join(options.values()),
)
def test_a_kernel_out_of_range_is_not_called_singular(options, monkeypatch):
    theta = np.ones(5)
    for scale, match in ((1e160, "kernel overflows float64"), (1e-160, "underflows float64")):
        monkeypatch.setattr(Huge, "scale", scale)
        lin = ntklin.linearize(Huge(), theta, X)
        if match.startswith("under") and options.get("preconditioner") == "none":
            continue  # which sees products alone
        with np.errstate(all="ignore"), pytest.raises(ntklin.FloatRangeError, match=match):
            lin.minimizer(np.ones(3), **options).predict(X_NEW)
        if options["solver"] in ("packed", "mixed"):
            kept = SolverOptions(**options, course=Course())
            with np.errstate(all="ignore"), pytest.raises(ntklin.FloatRangeError, match=match):
                solve_minimizer(lin, np.ones(3), options=kept).predict(X_NEW)
