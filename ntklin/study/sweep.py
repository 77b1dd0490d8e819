"""The sweep itself: for every seed and σ the closed forms, then the real network."""

import numpy as np

from ntklin.errors import DegenerateKernelError, DivergenceError
from ntklin.linearization import linearize
from ntklin.optimizers import GradientDescent
from ntklin.study.record import CONVERGED, DIVERGED, NOT_TRAINED, STEP_LIMIT, Record
from ntklin.training import train


class Observer:
    """Is told how a sweep goes on; this one does nothing."""

    def started(self, sigma, seed):
        """Work on one record begins."""

    def predicted(self, initial_loss, steps):
        """The closed forms are done: training starts at this loss and should take these steps."""

    def trained(self, step, loss):
        """The real network is at ``step``; called about ten times a second."""

    def finished(self, record):
        """The record is complete, and whoever runs the sweep has it."""


def records(config, observer=None):
    """Run a study; yield each record when it is complete, seed by seed.

    Parameters
    ----------
    config : StudyConfig
    observer : Observer, optional

    Yields
    ------
    Record

    Raises
    ------
    DegenerateKernelError
        If K(X, X) is singular to working precision.
    ValueError
        If even the linearized network's loss never drops below ``config.until``.
    TrainingInterrupted
        On Ctrl-C; the records before it are complete.
    """
    observer = Observer() if observer is None else observer
    for seed in config.seeds:
        # The draw does not depend on σ, which enters through the scales w_l alone.
        theta = config.network(config.sigmas[0]).init(rng=seed, dtype=config.dtype)
        for sigma in config.sigmas:
            observer.started(sigma, seed)
            try:
                record = measure(config, sigma, seed, theta, observer)
            except DegenerateKernelError as e:
                raise DegenerateKernelError(
                    f"at σ = {sigma:g}, seed {seed}: {e}. A study takes rcond (--rcond)"
                ) from None
            yield record  # first, so that what is announced is safe from Ctrl-C
            observer.finished(record)


def measure(config, sigma, seed, theta, observer):
    """One record: θ_0's linearization at scale σ, and the real network trained from θ_0."""
    net = config.network(sigma)
    X, Y, X_test, Y_test = config.arrays
    lin = linearize(net, theta, X)
    gd = lin.gradient_descent(Y)
    minimizer = lin.minimizer(Y, rcond=config.rcond)
    predicted = gd.steps_to(config.until)
    initial_loss = gd.loss(0)
    observer.predicted(initial_loss, predicted)
    outcome, steps, final_loss, outputs = NOT_TRAINED, None, None, None
    if config.train:
        outcome, steps, final_loss, outputs = _trained(
            config, net, gd, theta, config.step_limit(predicted), observer
        )
    linearized = gd.predict(X_test, predicted if outputs is None else steps)
    return Record(
        sigma=sigma,
        seed=seed,
        lambda_min=float(lin.eigenvalues[0]),
        lambda_max=float(lin.eigenvalues[-1]),
        learning_rate=gd.learning_rate,
        initial_loss=initial_loss,
        steps_predicted=predicted,
        outcome=outcome,
        steps_taken=steps,
        final_loss=final_loss,
        test_loss_interpolator=_loss(minimizer.interpolator(X_test), Y_test),
        test_loss_minimizer=_loss(minimizer.predict(X_test), Y_test),
        test_loss_linearized=_loss(linearized, Y_test),
        test_loss_network=None if outputs is None else _loss(outputs, Y_test),
        distance=None if outputs is None else _distance(outputs, linearized),
        initialization_size=minimizer.initialization_size(X_test),
    )


def _trained(config, net, gd, theta, limit, observer):
    """Outcome, steps, final loss and test outputs of the real network at the same η."""
    X, Y, X_test, _ = config.arrays
    try:
        run = train(
            net,
            theta,
            X,
            Y,
            GradientDescent(gd.learning_rate),
            steps=limit,
            until=config.until,
            progress=observer.trained,
        )
    except DivergenceError as e:  # the linearization is stable: a narrow network leaves it
        return DIVERGED, e.step, None, None
    outcome = CONVERGED if run.converged else STEP_LIMIT
    return outcome, run.steps, float(run.losses[-1]), run.predict(X_test)


def _loss(outputs, Y):
    """L(f) = ‖f(X) − Y‖²/(2N), summed in float64."""
    return float(((outputs.astype(np.float64) - Y) ** 2).mean() / 2)


def _distance(f, g):
    """‖f(X) − g(X)‖/√N, summed in float64."""
    return float(np.sqrt(((f.astype(np.float64) - g) ** 2).mean()))
