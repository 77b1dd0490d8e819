"""scikit-learn's estimators and kernel: against naive formulas, and against scikit-learn itself."""

import pickle
import re
from pathlib import Path

import mpmath
import naive
import numpy as np
import pytest
from tolerances import assert_close

import ntklin

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from ntklin.recipes.estimators.weighted_samples import WeightedNetwork

DOCS = Path(__file__).resolve().parents[1] / "docs" / "sklearn.md"
RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (7, 3))
Y = RNG.standard_normal(7)
X_NEW = RNG.uniform(-2, 2, (4, 3))
LENGTH = np.linalg.norm(X, axis=1).max()
S = np.array([1.0, 0.5, 2.0, 1.5, 0.0, 1.0, 3.0])
SMALL = {"kernel": "empirical", "random_state": 3}
with_jit = pytest.mark.compiled


def small(hidden=(12,), outputs=1, **options):
    return naive.Network((3, *hidden, outputs), bias="normal", **options)


@pytest.mark.parametrize("outputs", [1, 2])
def test_weighted_features_have_weighted_kernels(outputs):
    net = WeightedNetwork(ntklin.MLP((3, 4, outputs)))
    theta, D = net.network.init(0), np.linspace(0.5, 2, net.n_parameters)
    one, other = (net.features(theta, np.column_stack([A, S[: len(A)]])) for A in (X, X_NEW))
    J, J_new = one.toarray(), other.toarray()
    options = {"kind": "weighted_gram", "n": 50}
    for phi, A in ((None, J), (other, J_new)):
        scale = abs(J) @ abs(A).T * D.max()
        assert_close(one.gram(phi, weights=D), J * D @ A.T, scale=scale, **options)
        assert_close(one.gram(phi), J @ A.T, scale=scale, **options)


def infinite(net, *inputs):
    """Θ and Σ; in 30 digits, of which arccos loses half near 1."""
    with mpmath.workdps(30):
        return naive.infinite(net, *inputs, m=mpmath.mp)


def limits(net):
    """Θ and Σ of X, of X_NEW beside X, and of X_NEW, in the unit ball."""
    x, new = X / LENGTH, X_NEW / LENGTH
    return infinite(net, x), infinite(net, new, x), infinite(net, new)


def jacobians(model, outputs=1, hidden=(12,), **options):
    """J and f_0 of X and of X_NEW, at the estimator's θ_0."""
    net, found = small(hidden, outputs, **options), []
    for inputs in (X / LENGTH, X_NEW / LENGTH):
        found += [naive.jacobian(net, model.theta_, inputs)]
        found += [naive.apply(net, model.theta_, inputs)]
    return found


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_infinite_width_is_kernel_regression(ridge):
    model = ntklin.NTKRegressor(hidden_widths=(5, 5), sigma=1.5, ridge=ridge).fit(X, Y)
    (K, Sigma), (K_new, Sigma_new), (_, Sigma_there) = limits(small((5, 5), sigma=1.5))
    A = np.linalg.solve(K + ridge * np.eye(7), K_new.T).T
    mean, std = model.predict(X_NEW, return_std=True)
    cross = A @ Sigma_new.T
    variance = (Sigma_there - cross - cross.T + A @ Sigma @ A.T).diagonal()
    kappa = np.linalg.cond(K)
    assert_close(mean, A @ Y, kind="solve", n=7, kappa=kappa, scale=abs(A) @ abs(Y))
    terms = abs(Sigma_there).max() + (abs(A) @ abs(Sigma) @ abs(A).T).max()
    assert_close(std**2, variance, kind="solve", n=7, kappa=kappa, scale=terms)
    assert model.input_scale_ == pytest.approx(LENGTH, rel=1e-15)
    if not ridge:
        assert model.score(X, Y) == pytest.approx(1)
        # What remains on X itself is rounding, of the variance.
        assert model.predict(X, return_std=True)[1].max() < 1e-5


def test_early_stopping_has_mean_and_deviation_of_its_step():
    model = ntklin.NTKRegressor(hidden_widths=(5,), steps=20, learning_rate=0.5).fit(X, Y)
    (K, Sigma), (K_new, Sigma_new), (_, Sigma_there) = limits(small((5,)))
    columns = [naive.closed_form(K, K_new, np.zeros(7), np.zeros(4), e, 0.5, 20) for e in np.eye(7)]
    A = np.stack(columns, axis=1)
    mean, std = model.predict(X_NEW, return_std=True)
    cross = A @ Sigma_new.T
    variance = (Sigma_there - cross - cross.T + A @ Sigma @ A.T).diagonal()
    assert_close(mean, A @ Y, kind="trajectory", n=20 * 7)
    assert_close(std**2, variance, kind="trajectory", n=20 * 7, scale=Sigma_there)


def test_a_network_ends_at_its_minimizer():
    model = ntklin.NTKRegressor((12,), **SMALL).fit(X, Y)
    net = ntklin.MLP((3, 12, 1), bias="normal")
    np.testing.assert_array_equal(model.theta_, net.init(rng=3))
    J, f0, J_new, f0_new = jacobians(model)
    expected = naive.minimizer(J @ J.T, J_new @ J.T, f0, f0_new, Y)
    kappa = np.linalg.cond(J @ J.T)
    assert_close(model.predict(X_NEW), expected, kind="solve", n=60, kappa=kappa)
    with pytest.raises(ValueError, match="fit networks of several random_state"):
        model.predict(X_NEW, return_std=True)


def test_layers_have_learning_rates_of_their_own():
    weights = {1: 0.25, "bias": 0.0}
    model = ntklin.NTKRegressor((12,), weights=weights, **SMALL).fit(X, Y)
    J, f0, J_new, f0_new = jacobians(model)
    D = np.concatenate([np.full(36, 0.25), np.zeros(12), np.ones(12), [0.0]])
    K, K_new = naive.weighted_gram(J, D), naive.weighted_gram(J_new, D, J)
    expected = naive.minimizer(K, K_new, f0, f0_new, Y)
    kappa = np.linalg.cond(K)
    assert_close(model.predict(X_NEW), expected, kind="solve", n=60, kappa=kappa)


def test_optimizers_take_their_own_steps():
    model = ntklin.NTKRegressor((12,), optimizer=ntklin.AdaGrad(0.1), steps=5, **SMALL).fit(X, Y)
    J, f0, J_new, f0_new = jacobians(model)
    step = naive.optimizer("adagrad", 0.1, eps=1e-10)
    moved = naive.linearized_training(J, f0, Y, step, np.full((5, 7), 1 / 7))[-1][0]
    assert_close(model.predict(X_NEW), f0_new + J_new @ moved, kind="rule", n=5 * 7 * 60)
    assert isinstance(model.solution_, ntklin.LinearizedRun)


def test_momentum_has_its_closed_form():
    options = {"learning_rate": 0.5, "momentum": 0.8}
    model = ntklin.NTKRegressor((12,), optimizer=ntklin.Momentum(**options), steps=9, **SMALL)
    J, f0, J_new, f0_new = jacobians(model.fit(X, Y))
    step = naive.optimizer("momentum", 0.5, momentum=0.8, nesterov=False)
    moved = naive.linearized_training(J, f0, Y, step, np.full((9, 7), 1 / 7))[-1][0]
    assert_close(model.predict(X_NEW), f0_new + J_new @ moved, kind="trajectory", n=9 * 7 * 60)
    limit = clone(model).set_params(steps=None, kernel="infinite").fit(X, Y)
    plain = ntklin.NTKRegressor((12,)).fit(X, Y)
    kappa = np.linalg.cond(limits(small())[0][0])
    assert_close(limit.predict(X_NEW), plain.predict(X_NEW), kind="solve", n=7, kappa=kappa)


# Weights of samples: gradient descent on Σ s_n r_n²/(2 Σ s_n), the sums explicit


def weighted_descent(J, f0, targets, learning_rate, steps):
    """θ_t − θ_0, for rows that have their sample's weight."""
    moved, s = np.zeros(J.shape[1]), np.repeat(S, len(J) // len(S))
    for _ in range(steps):
        residual = f0.ravel() + J @ moved - targets.ravel()
        moved = moved - learning_rate / S.sum() * (J.T @ (s * residual))
    return moved


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("optimizer", [None, "adagrad"])
def test_weights_of_samples_are_those_of_the_loss(outputs, optimizer):
    targets = Y if outputs == 1 else np.stack([Y, Y[::-1]], axis=1)
    options = {"learning_rate": 0.5}
    if optimizer:
        options = {"optimizer": ntklin.AdaGrad(0.1)}
    model = ntklin.NTKRegressor((12,), steps=6, **options, **SMALL)
    kept = S > 0
    assert clone(model).fit(X[kept], targets[kept]).input_scale_ == pytest.approx(LENGTH)
    model.fit(X, targets, sample_weight=S)
    J, f0, J_new, f0_new = jacobians(model, outputs)
    if optimizer:
        step = naive.optimizer("adagrad", 0.1, eps=1e-10)
        weights = np.tile(S / S.sum(), (6, 1))
        flat = f0 if outputs == 1 else f0.reshape(7, outputs)
        moved = naive.linearized_training(J, flat, targets, step, weights)[-1][0]
    else:
        moved = weighted_descent(J, f0, targets, 0.5, 6)
    expected = f0_new + (J_new @ moved).reshape(f0_new.shape)
    assert_close(model.predict(X_NEW), expected, kind="rule", n=6 * 7 * 60 * outputs, scale=10)


def test_a_weight_is_a_number_of_copies():
    counts = np.array([1, 2, 1, 3, 1, 1, 2])
    copies = np.repeat(np.arange(7), counts)
    for options in ({"ridge": 0.3}, {"steps": 15}, {"steps": 15, "ridge": 0.3}):
        model = ntklin.NTKRegressor((5,), **options)
        once = clone(model).fit(X, Y, sample_weight=counts)
        mean, std = once.predict(X_NEW, return_std=True)
        expected = model.fit(X[copies], Y[copies]).predict(X_NEW, return_std=True)
        np.testing.assert_allclose(mean, expected[0], rtol=1e-11)
        np.testing.assert_allclose(std, expected[1], rtol=1e-11)
        same = clone(model).fit(X, Y, sample_weight=np.full(7, 2.5))
        if "ridge" not in options:
            np.testing.assert_allclose(same.predict(X_NEW), model.fit(X, Y).predict(X_NEW))


def test_what_interpolates_does_not_depend_on_weights():
    counts = np.array([1, 2, 1, 3, 1, 1, 2])
    model = ntklin.NTKRegressor((5,)).fit(X, Y)
    other = clone(model).fit(X, Y, sample_weight=counts)
    np.testing.assert_allclose(other.predict(X_NEW), model.predict(X_NEW), rtol=1e-9)


@pytest.mark.parametrize(
    ("weight", "why"),
    [
        ([1.0] * 6, r"sample_weight must have shape \(7,\)"),
        ([-1.0] + [1.0] * 6, "must not be negative, got -1.0"),
        ([0.0] * 7, "is zero for every sample"),
        ([np.nan] + [1.0] * 6, "sample_weight contains NaN"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weight, why):
    with pytest.raises(ValueError, match=why):
        ntklin.NTKRegressor().fit(X, Y, sample_weight=weight)


# Shapes


@pytest.mark.parametrize("kernel", ["infinite", "empirical"])
def test_outputs_have_the_shape_of_targets(kernel):
    model = ntklin.NTKRegressor((12,), kernel=kernel, random_state=0)
    both = np.stack([Y, -2 * Y], axis=1)
    assert model.fit(X, Y).predict(X_NEW).shape == (4,)
    assert model.fit(X, Y[:, None]).predict(X_NEW).shape == (4, 1)
    assert model.fit(X, both).predict(X_NEW).shape == (4, 2)
    assert model.network_.n_outputs == 2
    if kernel == "infinite":
        mean, std = model.predict(X_NEW, return_std=True)
        assert mean.shape == std.shape == (4, 2)
        np.testing.assert_allclose(mean[:, 1], -2 * mean[:, 0])


def test_single_precision_stays():
    model = ntklin.NTKRegressor((5,), ridge=0.1).fit(X.astype(np.float32), Y)
    single, double = model.predict(X_NEW.astype(np.float32)), model.fit(X, Y).predict(X_NEW)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)


def test_the_same_input_twice_is_fitted_by_its_mean():
    twice, targets = np.vstack([X, X[:1]]), np.append(Y, Y[0] + 1)
    model = ntklin.NTKRegressor((5,)).fit(twice, targets)
    assert model.predict(X[:1]) == pytest.approx(Y[0] + 0.5)
    np.testing.assert_allclose(model.predict(X[1:]), Y[1:])
    assert model.solution_.rank == 7
    with pytest.raises(ntklin.DegenerateKernelError):
        model.set_params(solver="packed").fit(twice, targets)


# Classes


@pytest.mark.parametrize("kernel", ["infinite", "empirical"])
def test_classes_are_regressed_on(kernel):
    labels = np.array(["b", "a", "c", "a", "b", "c", "a"])
    model = ntklin.NTKClassifier((12,), kernel=kernel, random_state=0).fit(X, labels)
    targets = np.where(labels[:, None] == ["a", "b", "c"], 1.0, -1.0)
    regressor = ntklin.NTKRegressor((12,), kernel=kernel, random_state=0).fit(X, targets)
    outputs = regressor.predict(X_NEW)
    np.testing.assert_array_equal(model.decision_function(X_NEW), outputs)
    largest = np.array(["a", "b", "c"])[outputs.argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X_NEW), largest)
    assert model.score(X, labels) == 1
    two = model.fit(X, labels == "a")
    signs = regressor.fit(X, np.where(labels == "a", 1.0, -1.0)).predict(X_NEW)
    np.testing.assert_array_equal(two.decision_function(X_NEW), signs)
    np.testing.assert_array_equal(two.predict(X_NEW), signs > 0)
    assert not hasattr(model, "predict_proba")


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="y has one class: a"):
        ntklin.NTKClassifier().fit(X, ["a"] * 7)


# What does not go together


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"kernel": "finite"}, ValueError, "kernel must be one of 'infinite', 'empirical'"),
        ({"hidden_widths": 100}, TypeError, "hidden_widths must be a sequence"),
        ({"steps": -1}, ValueError, "steps must be at least 0"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be one of ntklin's"),
        ({"optimizer": ntklin.Adam(0.1), "steps": 3}, ValueError, "needs the parameters of"),
        (
            {"optimizer": ntklin.Adam(0.1), "kernel": "empirical"},
            ValueError,
            "depends on its whole path: give steps",
        ),
        (
            {"optimizer": ntklin.Adam(0.1), "kernel": "empirical", "steps": 2, "ridge": 1.0},
            ValueError,
            "ridge belongs to gradient descent",
        ),
        (
            {"optimizer": ntklin.Momentum(0.1), "learning_rate": 0.1},
            ValueError,
            "learning_rate is that of the optimizer",
        ),
        ({"weights": {1: 0.0}}, ValueError, "weights of layers need the parameters"),
        ({"solver": "packed", "steps": 2}, ValueError, "solver is how a minimizer is found"),
        ({"scale_inputs": 1}, TypeError, "scale_inputs must be True or False"),
        ({"sigma": 0.0}, ValueError, "sigma"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(options, error, why):
    with pytest.raises(error, match=why):
        ntklin.NTKRegressor(**options).fit(X, Y)


def test_inputs_may_stay_as_they_are():
    with pytest.warns(ntklin.UnitBallWarning):
        model = ntklin.NTKRegressor((5,), scale_inputs=False).fit(X, Y)
    assert model.input_scale_ == 1
    lin = ntklin.InfiniteMLP(ntklin.MLP((3, 5, 1), bias="normal")).linearize(X / LENGTH)
    scaled = ntklin.NTKRegressor((5,)).fit(X, Y).predict(X_NEW)
    np.testing.assert_allclose(scaled, lin.minimizer(Y).predict(X_NEW / LENGTH), rtol=1e-9)


# Within scikit-learn


def test_it_works_in_pipelines_and_searches():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    pipeline = make_pipeline(StandardScaler(), ntklin.NTKRegressor((5,), steps=50))
    pipeline.set_output(transform="pandas").fit(frame, Y)
    assert list(pipeline[-1].feature_names_in_) == ["a", "b", "c"]
    assert pipeline[-1].n_features_in_ == 3
    grid = {"ntkregressor__sigma": [0.5, 1.0], "ntkregressor__steps": [10, None]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(frame, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(frame).shape == (7,)


@pytest.mark.parametrize("kind", [ntklin.NTKRegressor, ntklin.NTKClassifier])
@pytest.mark.parametrize("options", [{}, {"steps": 4}, SMALL])
def test_they_are_cloned_and_sent(kind, options):
    model = kind((12,), **options)
    targets = Y if kind is ntklin.NTKRegressor else Y > 0
    assert clone(model).get_params() == model.get_params()
    for s in (None, S):
        model.fit(X, targets, sample_weight=s)
        other = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(other.predict(X_NEW), model.predict(X_NEW))
        np.testing.assert_array_equal(
            clone(model).fit(X, targets, sample_weight=s).predict(X_NEW), model.predict(X_NEW)
        )


CHECKED = {"regressor": ntklin.NTKRegressor(), "classifier": ntklin.NTKClassifier()}
CHECKED_AT_LENGTH = {
    "a network": ntklin.NTKRegressor((20,), kernel="empirical"),
    "a network that classifies": ntklin.NTKClassifier((20,), kernel="empirical"),
    "early stopping": ntklin.NTKRegressor(steps=10**6),
}


def checks():
    for name, estimator in (CHECKED | CHECKED_AT_LENGTH).items():
        marks = [pytest.mark.slow] if name in CHECKED_AT_LENGTH else []
        for model, check in estimator_checks_generator(estimator):
            (called,) = set(re.findall(r"check_[a-z_0-9]+", str(check)))
            yield pytest.param(model, check, id=f"{name} {called}", marks=marks)


@with_jit
@pytest.mark.parametrize(("model", "check"), list(checks()))
def test_scikit_learns_checks_pass(model, check):
    check(model)


# The kernel


def kernel_network(kernel):
    widths = (3, *(1,) * kernel.depth)
    scales = {"sigma": kernel.sigma, "sigma_b": kernel.sigma_b}
    return naive.Network(widths, scaling="fan_in", bias=kernel.bias, **scales)


KERNELS = [
    ntklin.NTKKernel(0.7, 0.4, depth=depth, kind=kind, bias=bias)
    for depth in (1, 3)
    for kind in ("ntk", "nngp")
    for bias in ("normal", "zero", "none")
]


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_kernels_are_those_of_infinite_width(kernel):
    which = ["ntk", "nngp"].index(kernel.kind)
    net = kernel_network(kernel)
    assert_close(kernel(X), infinite(net, X)[which], kind="infinite", n=9)
    assert_close(kernel(X, X_NEW), infinite(net, X, X_NEW)[which], kind="infinite", n=9)
    np.testing.assert_allclose(kernel.diag(X), kernel(X).diagonal(), rtol=1e-15)
    assert not kernel.is_stationary()


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_derivatives_are_right_to_eleven_digits(kernel):
    """Against those of the recursion in 30 digits, by mpmath."""
    K, gradient = kernel(X[:4], eval_gradient=True)
    np.testing.assert_array_equal(K, kernel(X[:4]))
    free = [p.name for p in kernel.hyperparameters if not p.fixed]
    assert len(free) == kernel.n_dims == gradient.shape[2]
    no_bias = kernel.bias == "none" or (kernel.bias, kernel.kind) == ("zero", "nngp")
    assert free == (["sigma"] if no_bias else ["sigma", "sigma_b"])
    which = ["ntk", "nngp"].index(kernel.kind)
    with mpmath.workdps(30):
        for k, name in enumerate(free):
            for i, j in np.ndindex(4, 4):

                def at(u, name=name, i=i, j=j):
                    scale = getattr(kernel, name) * mpmath.exp(u)
                    net = kernel_network(kernel)._replace(**{name: scale})
                    return naive.infinite_kernels(net, X[i], X[j], mpmath.mp)[which]

                expected = float(mpmath.diff(at, 0))
                assert abs(gradient[i, j, k] - expected) < 1e-11 * abs(K).max()


def test_derivatives_belong_to_one_set_of_inputs():
    with pytest.raises(ValueError, match="Gradient can only be evaluated when Y is None"):
        ntklin.NTKKernel()(X, X_NEW, eval_gradient=True)


def test_hyperparameters_are_logarithms():
    kernel = ntklin.NTKKernel(0.7, 0.4, sigma_bounds=(0.1, 10.0))
    np.testing.assert_allclose(kernel.theta, np.log([0.7, 0.4]))
    np.testing.assert_allclose(np.exp(kernel.bounds), [[0.1, 10], [1e-3, 1e3]])
    moved = kernel.clone_with_theta(np.log([2.0, 3.0]))
    assert (moved.sigma, moved.sigma_b) == (pytest.approx(2), pytest.approx(3))
    assert kernel == clone(kernel) == pickle.loads(pickle.dumps(kernel)) != moved
    assert ntklin.NTKKernel(sigma_bounds="fixed", sigma_b_bounds="fixed").n_dims == 0


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_a_gaussian_process_is_the_formula(kind):
    kernel = ntklin.NTKKernel(0.7, 0.4, depth=3, kind=kind)
    gp = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(X, Y)
    which, net = ["ntk", "nngp"].index(kind), kernel_network(kernel)
    K, K_new = infinite(net, X)[which], infinite(net, X_NEW, X)[which]
    A = np.linalg.solve(K + 0.1 * np.eye(7), K_new.T).T
    mean, std = gp.predict(X_NEW, return_std=True)
    np.testing.assert_allclose(mean, A @ Y, rtol=1e-10)
    variance = infinite(net, X_NEW)[which].diagonal() - (A * K_new).sum(axis=1)
    np.testing.assert_allclose(std**2, variance, rtol=1e-9)


def test_evidence_is_maximized():
    kernel = ConstantKernel() * ntklin.NTKKernel(depth=2, kind="nngp") + WhiteKernel()
    gp = GaussianProcessRegressor(kernel).fit(X, Y)
    before = gp.log_marginal_likelihood(kernel.theta)
    assert gp.log_marginal_likelihood_value_ > before
    theta = kernel.theta + 0.1
    value, gradient = gp.log_marginal_likelihood(theta, eval_gradient=True)
    for i, e in enumerate(1e-5 * np.eye(len(theta))):
        up, down = (gp.log_marginal_likelihood(theta + s * e) for s in (1, -1))
        assert gradient[i] == pytest.approx((up - down) / 2e-5, abs=1e-6 * abs(value))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kind": "rbf"}, "kind must be one of 'ntk', 'nngp'"),
        ({"bias": "some"}, "bias must be one of"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"activation": "swish"}, "activation"),
    ],
)
def test_kernels_of_nothing_are_refused(options, why):
    with pytest.raises(ValueError, match=why):
        ntklin.NTKKernel(**options)(X)


# The page


@with_jit
def test_the_pages_examples_run():
    variables = {}
    found = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text("utf-8"), re.M | re.S)
    assert len(found) >= 4
    for source in found:
        exec(compile(source, str(DOCS), "exec"), variables)
