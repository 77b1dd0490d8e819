"""The sharpness that a run records, and the edge of stability beside it."""

import numpy as np
import pytest

import ntklin

NET = ntklin.MLP((3, 16, 1))
X = np.random.default_rng(0).standard_normal((7, 3)) / 2
Y = np.sign(X[:, 0])
THETA = NET.init(1)
D = 1 + np.arange(NET.n_parameters) / 8
OPTIMIZERS = {
    "gd": ntklin.GradientDescent(0.05),
    "momentum": ntklin.Momentum(0.05, weight_decay=0.1),
    "adagrad": ntklin.AdaGrad(0.01),
    "rmsprop": ntklin.RMSprop(0.01),
    "adam": ntklin.Adam(0.01),
    "adamw": ntklin.AdamW(0.01),
    "diagonal": ntklin.Preconditioned(0.01, lambda t, gradient: D),
    "number": ntklin.Preconditioned(0.01, lambda t, gradient: 2.0),
    "matrix": ntklin.Preconditioned(0.01, lambda t, gradient: np.diag(D)),
}


def train(optimizer, steps=6, **options):
    return ntklin.train(NET, THETA, X, Y, optimizer, steps, sharpness=True, **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_the_largest_eigenvalue_of_the_weighted_kernel(name):
    optimizer = OPTIMIZERS[name]
    run = train(optimizer, record=3)
    knows_d = name in ("gd", "momentum")
    assert np.isnan(run.records.sharpness[0]) != knows_d
    for t, found in zip(run.records.steps, run.records.sharpness, strict=True):
        if t == 0 and not knows_d:
            continue
        theta, state = THETA, optimizer.init(THETA)
        for _ in range(t):
            phi = NET.features(theta, X)
            gradient = phi.T @ (phi.outputs - Y) / len(Y)
            theta, state = optimizer.update(state, theta, gradient)
        weights = np.diag(np.ones_like(THETA) * optimizer.preconditioner(state))
        if name == "matrix":
            weights = np.diag(D)
        J = NET.jacobian(theta, X)
        expected = np.linalg.eigvalsh(J @ weights @ J.T)[-1] / len(Y)
        assert found == pytest.approx(expected, rel=1e-5)


def companion(optimizer, h):
    """The steps on (θ, velocity) for L = hθ²/2 with D = 1, late in the run."""
    eta, decay = optimizer.learning_rate, optimizer.weight_decay
    coupled = 0.0 if optimizer.decoupled else decay
    shrunk = 1 - eta * (decay - coupled)
    if isinstance(optimizer, ntklin.Adam):
        beta = optimizer.betas[0]
        velocity = np.array([(1 - beta) * h, beta])
        return np.array([np.array([shrunk, 0]) - eta * velocity, velocity])
    mu = optimizer.momentum
    velocity = np.array([h + coupled, mu])
    step = np.array([h + coupled, 0]) + mu * velocity if optimizer.nesterov else velocity
    return np.array([np.array([shrunk, 0]) - eta * step, velocity])


@pytest.mark.parametrize(
    "optimizer",
    [
        ntklin.GradientDescent(0.1),
        ntklin.GradientDescent(0.1, weight_decay=0.5),
        ntklin.GradientDescent(0.1, weight_decay=0.5, decoupled=True),
        *(
            ntklin.Momentum(0.3, 0.8, nesterov, weight_decay=decay, decoupled=decoupled)
            for nesterov in (False, True)
            for decay in (0.0, 0.7)
            for decoupled in (False, True)
        ),
        ntklin.Adam(0.2, betas=(0.7, 0.99)),
        ntklin.AdamW(0.2, betas=(0.7, 0.99), weight_decay=0.9),
    ],
    ids=repr,
)
def test_the_bound_is_where_the_recursion_stops_contracting(optimizer):
    bound = ntklin.sharpness_bound(optimizer, 5)
    radii = [abs(np.linalg.eigvals(companion(optimizer, c * bound))).max() for c in (0.999, 1.001)]
    assert radii[0] < 1 < radii[1]


def test_bounds_follow_the_schedule_and_what_is_unknown_is_nan():
    schedule = ntklin.StepSchedule(2.0**-7, 2, 0.5)
    run = train(ntklin.RMSprop(schedule), 4, record=1)
    np.testing.assert_array_equal(run.sharpness_bounds, [256, 256, 512, 512, 1024])
    assert ntklin.sharpness_bound(ntklin.AdaGrad(lambda t: 0.0), 0) == np.inf
    assert np.isnan(ntklin.sharpness_bound(ntklin.Adam(0.1, weight_decay=0.1), 0))
    with pytest.raises(ValueError, match="optimizer has no learning rate yet"):
        ntklin.sharpness_bound(ntklin.GradientDescent(), 0)


def test_it_is_saved_and_goes_on(tmp_path):
    optimizer = ntklin.AdaGrad(0.01)
    whole = train(optimizer, record=2)
    train(optimizer, 3, record=2).save(tmp_path / "run.npz")
    again = train(optimizer, record=2, resume=tmp_path / "run.npz")
    np.testing.assert_array_equal(again.records.sharpness, whole.records.sharpness)
    with pytest.raises(ValueError, match="records with sharpness=True, not False"):
        ntklin.train(NET, THETA, X, Y, optimizer, 6, record=2, resume=tmp_path / "run.npz")
    with pytest.raises(ValueError, match="sharpness is recorded at the steps that record= chooses"):
        train(optimizer)
