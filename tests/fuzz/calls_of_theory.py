"""Linearizations, and what is asked of them, with hostile arguments."""

import numpy as np

import ntklin
from fuzz.arguments import (
    ADAGRAD,
    AXES,
    BATCHES,
    BEYOND,
    DTYPE,
    FEW,
    FOR_LINEARIZED,
    INPUTS,
    KERNEL,
    METHOD,
    NET,
    NET_THETA_X,
    NEW,
    OPTIMIZERS,
    PROGRESS,
    RESUME,
    RNG,
    ROWS,
    SCHEDULE,
    STEPS,
    STEPWISE,
    STOP,
    TARGET,
    TARGETS,
    THETA,
    TIMES,
    TOL,
    WEIGHTS,
    X_NEW,
    Call,
    D,
    X,
    Y,
    array,
    bump,
    count,
    decayed_descent,
    descent,
    epochs,
    flag,
    function,
    lin,
    linearized_run,
    minimizer,
    moments,
    none,
    number,
    product_form,
    quiet,
    random_descent,
    random_minimizer,
    text,
    thing,
)
from fuzz.hostile import Argument


def predicting(name, make, *methods, **more):
    """Methods that take new inputs, and more."""
    return {
        f"{name}.{method}": Call(
            lambda method=method: getattr(make(), method), {"X_new": NEW, **more}
        )
        for method in methods
    }


def times(name, make, *methods, **more):
    """The same for methods that take steps."""
    return {
        f"{name}.{method}": Call(
            lambda method=method: getattr(make(), method), {"t": TIMES, **more}
        )
        for method in methods
    }


PRECONDITIONERS = ("ntk", "mean_output", "nystrom", "none")
THEORY = {
    "linearize": Call(
        lambda: ntklin.linearize, {**NET_THETA_X, "rows": ROWS}, lambda lin: lin.kernel
    ),
    "linearize_kernel": Call(
        lambda: ntklin.linearize_kernel,
        {
            "K": Argument(
                lambda: KERNEL.copy(),
                "array",
                (bump, lambda *a: None, lambda a, b: np.ones(3), lambda a, b: np.nan * bump(a, b)),
            ),
            "X": none(X, X[:2], "x"),
            "f0": none(Y, lambda X: np.ones(len(X)), lambda X: None, Y[:2], lambda X: "x"),
            "covariance": none(KERNEL, bump, KERNEL[:2], -KERNEL, lambda a, b: None),
        },
        lambda made: made.minimizer(Y).coefficients,
    ),
    "linearize_kernel of a function": Call(
        lambda: ntklin.linearize_kernel,
        {
            "K": function(
                lambda: bump, max, lambda a, b: np.ones((1, 1)), lambda a, b: 1j * bump(a, b)
            ),
            "X": INPUTS,
            "f0": function(lambda: lambda X: np.ones(len(X))),
            "covariance": function(lambda: bump),
        },
        lambda made: made.minimizer(Y).predict(X_NEW),
    ),
    "Linearization.at": Call(lambda: lin().at, {"X_new": NEW, "weights": WEIGHTS}),
    "Linearization.modes_at": Call(lambda: lin().modes_at, {"X_new": NEW}),
    "Linearization.weighted_kernel": Call(lambda: lin().weighted_kernel, {"weights": WEIGHTS}),
    "Linearization.rate_bound": Call(
        lambda: lin().rate_bound, {"number": number(2.0), "ridge": number(0.0)}
    ),
    "Linearization.default_learning_rate": Call(
        lambda: lin().default_learning_rate, {"ridge": number(0.0)}
    ),
    "Linearization.in_units": Call(lambda: lin().in_units, {"dtype": DTYPE}),
    "Linearization.preconditioner_for": Call(
        lambda: lin().preconditioner_for,
        {"w": array(D), "Y": array(NET.features(THETA, X) @ D)},
    ),
    "Linearization.gradient_descent": Call(
        lambda: lin().gradient_descent,
        {
            "Y": TARGETS,
            "learning_rate": SCHEDULE,
            "ridge": number(0.0),
            "rcond": none(1e-3, 0.5, 1.0),
            "momentum": number(0.0),
            "nesterov": flag(False),
            "weight_decay": number(0.0),
            "decoupled": flag(False),
            "weights": none(D, np.diag(D), 0.0, -1.0, ntklin.LowRank(np.outer(D, [1.0, 0.5]))),
        },
        lambda made: made.predict(X_NEW, 3),
    ),
    "Linearization.gradient_descent with weights": Call(
        lambda: lambda Y, weights: lin().gradient_descent(Y, 0.125, weights=weights),
        {"Y": TARGETS, "weights": WEIGHTS},
        lambda made: made.predict(X_NEW, 3),
    ),
    "Linearization.minimizer": Call(
        lambda: lin().minimizer,
        {
            "Y": TARGETS,
            "weights": WEIGHTS,
            "rcond": none(1e-3, 0.5, 1.0),
            "ridge": number(0.0),
            "solver": text("auto", "eigh", "cholesky", "packed", "mixed", "pcg"),
            "preconditioner": none(*PRECONDITIONERS, KERNEL, KERNEL[:2], lambda v: v),
            "tol": none(1e-6, 1e-30, 2.0),
            "progress": function(lambda: None, quiet),
            "start": none(np.ones((4, 2)), np.ones(4), "x"),
        },
        lambda made: made.predict(X_NEW),
    ),
    "Linearization.minimizer by iterations": Call(
        lambda: (
            lambda Y, preconditioner, tol, progress, start: lin().minimizer(
                Y,
                solver="pcg",
                preconditioner=preconditioner,
                tol=tol,
                progress=progress,
                start=start,
            )
        ),
        {
            "Y": TARGETS,
            "preconditioner": Argument(KERNEL.copy, "array", (*PRECONDITIONERS, max)),
            "tol": TOL,
            "progress": PROGRESS,
            "start": array(np.array([Y, 2 * Y]).T),
        },
        lambda made: made.predict(X_NEW),
    ),
    "Linearization.moments": Call(
        lambda: lin().moments,
        {
            "Y": TARGETS,
            "learning_rate": number(0.25),
            "batch_size": count(2, None),
            "weights": none(D, 1.0, np.diag(D)),
        },
        lambda made: made.loss(3),
    ),
    "Linearization.train": Call(
        lambda: lin().train,
        {
            **FOR_LINEARIZED,
            "record": none(1, [0, 2], [-1], [0.5], "x", np.array([1])),
            "method": METHOD,
            "stop": STOP,
            "resume": RESUME,
            "progress": PROGRESS,
        },
    ),
    **{
        f"Linearization.{name}": Call(
            lambda name=name: getattr(lin(), name),
            {
                "Y": TARGETS,
                "preconditioners": thing(
                    lambda: [1.0, D], *([], [D[:2]], [-D], ADAGRAD, [None], D)
                ),
                "learning_rate": number(0.125),
                "steps": none(1, 2, 0, most=FEW, again=BEYOND),
                **more,
            },
            lambda made: made.predict(X_NEW),
        )
        for name, more in (("theorem3", {}), ("theorem6", {"batches": BATCHES}))
    },
    "ntklin.theorem3 of an optimizer": Call(
        lambda: lambda preconditioners, steps: lin().theorem3(Y, preconditioners, None, steps),
        {"preconditioners": OPTIMIZERS, "steps": count(3)},
        lambda made: made.predict(X_NEW),
    ),
    **times("LinearizedGradientDescent", descent, "predict", X_new=NEW),
    **times("LinearizedGradientDescent", descent, "loss", "parameters"),
    **times("LinearizedGradientDescent", decayed_descent, "shrinkage"),
    "LinearizedGradientDescent.covariance": Call(
        lambda: random_descent().covariance, {"X_new": NEW, "t": TIMES, "X2": INPUTS}
    ),
    "LinearizedGradientDescent.by_products": Call(
        lambda: descent().by_products,
        {
            "t": array(STEPS, most=30, unless=lambda t: np.max(t) > 30),
            "tol": TOL,
            "progress": PROGRESS,
        },
        lambda made: made.predict(X_NEW),
    ),
    "LinearizedGradientDescent.steps_to": Call(lambda: descent().steps_to, {"loss": number(0.1)}),
    "LinearizedGradientDescent.steps_to_by_products": Call(
        lambda: descent().steps_to_by_products,
        {"loss": number(0.1), "tol": TOL, "progress": PROGRESS},
    ),
    "LinearizedGradientDescent.interpolation_step": Call(
        lambda: decayed_descent().interpolation_step, {"depth": none(1, 2, 3)}
    ),
    "DescentByProducts.predict": Call(lambda: descent().by_products(3).predict, {"X_new": NEW}),
    **predicting(
        *("Minimizer", minimizer, "interpolator", "initialization", "decayed", "predict"),
        *("initialization_size", "noise_amplification"),
    ),
    **predicting("Minimizer", random_minimizer, "expected_initialization_loss"),
    **predicting("Minimizer", random_minimizer, "covariance", X2=INPUTS),
    **predicting("ProductForm", product_form, "predict", "interpolating", "path_dependent"),
    **predicting(
        *("LinearizedRun", linearized_run, "interpolating", "path_dependent"),
        *("noise_amplification",),
    ),
    "LinearizedRun.predict": Call(
        lambda: linearized_run().predict, {"X_new": NEW, "t": count(1, None)}
    ),
    "LinearizedRun.label_sensitivity": Call(
        lambda: linearized_run().label_sensitivity, {"X_new": NEW, "relative_step": number(1e-6)}
    ),
    "LinearizedRun.at": Call(lambda: linearized_run().at, {"t": count(1, None)}),
    "LinearizedRun.concentration": Call(lambda: linearized_run().concentration, {"D": array(D)}),
    "LinearizedRun.save": Call(lambda: linearized_run().save, {"path": TARGET}),
    **times("SGDMoments", moments, "predict", X_new=NEW),
    "SGDMoments.loss": Call(lambda: moments().loss, {"t": TIMES, "progress": PROGRESS}),
    "SGDMoments.plot": Call(lambda: moments().plot, {"X_new": NEW, "t": STEPWISE, "ax": AXES}),
    "LinearizedGradientDescent.plot": Call(lambda: descent().plot, {"t": TIMES, "ax": AXES}),
    "Minimizer.plot": Call(lambda: minimizer().plot, {"X_new": array(X_NEW), "ax": AXES}),
    "LinearizedRun.plot": Call(lambda: linearized_run().plot, {"ax": AXES}),
    "SGDMoments.covariance": Call(
        lambda: moments().covariance, {"X_new": NEW, "t": TIMES, "progress": PROGRESS}
    ),
    "SGDMoments.epochs": Call(
        lambda: moments().epochs, {"draws": none(1, 2, 50, most=100, again=BEYOND), "rng": RNG}
    ),
    **times("EpochMoments", epochs, "loss", t=STEPWISE),
    **times("EpochMoments", epochs, "predict", "covariance", X_new=NEW, t=STEPWISE),
    "EpochMoments.difference": Call(
        lambda: epochs().difference, {"X_new": NEW, "t": count(2, 100)}, is_linear=True
    ),
}
