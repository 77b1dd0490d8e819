"""Faults of training, of the linearization and of networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import ntklin
from library_faults.making import (
    after,
    before,
    coefficient,
    declare,
    instead,
    times,
    without,
)
from ntklin.runs import batches, losses, optimizers
from ntklin.runs.optimizer import Optimizer
from ntklin.theory import (
    gradient_descent,
    linearization,
    linearized_run,
    minimizer,
    theorems,
)
from ntklin.training import training_run

Descent = gradient_descent.LinearizedGradientDescent
Lin, Run, Minimizer = linearization.Linearization, linearized_run.LinearizedRun, minimizer.Minimizer

# The linearization, step by step


declare(
    "adamw-box/rules",
    {
        "Adam's rate halved": coefficient(optimizers.Adam, 0, 0.5),
        "Adam's β_1 off": coefficient(optimizers.Adam, 1, 1.01),
        "Adam's squares without correction": coefficient(optimizers.Adam, 4, 0.9),
        "Adam's ε doubled": coefficient(optimizers.Adam, 5, 2.0),
        "AdaGrad forgets half of its squares": coefficient(optimizers.AdaGrad, 1, 0.5),
        "AdaGrad's ε is 0": coefficient(optimizers.AdaGrad, 3, 0.0),
        "RMSprop's α off": coefficient(optimizers.RMSprop, 1, 0.99),
        "RMSprop's rate off": coefficient(optimizers.RMSprop, 0, 1.001),
        "momentum off": coefficient(optimizers.GradientDescent, -1, 0.99),
        "decay doubled": after(
            Optimizer, "_decay", lambda g, rule, t, theta, gradient, origin: 2 * g - gradient
        ),
        "D_t of a step before": after(
            optimizers.AdaGrad, "preconditioner", lambda D, *rest: D * 1.01
        ),
    },
)
declare(
    "theorem3/optimizers",
    {
        "the split is garbage": instead(Run, "interpolating", Run.predict),
        "nothing depends on the path": after(Run, "path_dependent", times(0)),
        "B_t has the other sign": after(Run, "path_dependent_displacement", times(-1)),
        "a run's θ_t is θ_0": after(
            Run, "parameters", lambda theta, run: run.linearization.features.parameters
        ),
        "a run's f_t without f_0": after(
            Run, "predict", lambda f, run, X, t=None: f - run.linearization.at(X).outputs
        ),
        "losses of sums": after(losses.Loss, "mean", lambda L, *rest: L * 1.001),
        "training forgets its optimizer": before(
            Lin,
            "train",
            lambda lin, Y, optimizer=None, *rest, **options: (
                (lin, Y, ntklin.GradientDescent(optimizer.rate(0)), *rest),
                options,
            ),
        ),
        "one step less": before(
            Lin,
            "train",
            lambda lin, Y, rule, steps, **options: ((lin, Y, rule, steps - 1), options),
        ),
    },
)
declare(
    "theorem3/given-matrices",
    {
        "theorem3 without B": after(
            theorems.ProductForm,
            "path_dependent_displacement",
            lambda B, form: 0 * B,
        ),
        "theorem3's θ_t without B": after(
            theorems.ProductForm, "parameters", lambda theta, form: theta - form.B
        ),
        "Preconditioned takes D's diagonal": after(
            optimizers.Preconditioned,
            "_matrix",
            lambda D, *rest: np.diag(np.diag(D)) if D.ndim == 2 else D,
        ),
    },
)
declare(
    "theorem5/batches",
    {
        "batches are forgotten": before(Lin, "train", without("batches")),
        "a batch's mean is over N": after(
            batches.SampleWeights,
            "take",
            lambda w, *rest: np.where(w > 0, w.dtype.type(1 / w.shape[1]), w),
        ),
        "batches come in another order": before(
            batches.Batches, "from_step", lambda self, step, n: ((self, step + 1, n), {})
        ),
    },
)
declare(
    "theorem6/product",
    {"theorem6 on all samples": before(Lin, "theorem6", without("batches"))},
)
declare(
    "theorem7/drift",
    {
        "D_t's distances halved": after(
            Run, "concentration", lambda found, *rest: replace(found, distances=found.distances / 2)
        ),
        "Z without √m": after(Run, "concentration", lambda found, *rest: replace(found, width=1)),
        "no drift": after(
            Run, "kernel_drift", lambda found, *rest: replace(found, distances=0 * found.distances)
        ),
        "a recorded step is the last": before(
            Run, "predict", lambda run, X, t=None: ((run, X), {})
        ),
        "at(t) is the end": instead(Run, "at", lambda run, t: run),
    },
)
declare(
    "sign-descent/signs",
    {"an Adam that never forgets": coefficient(optimizers.Adam, 1, 0.5)},
)

# Training


declare(
    "lemma1/gradient-descent",
    {
        "training at 1.001 times the rate": before(
            ntklin,
            "train",
            lambda net, theta, X, Y, rule, *rest, **options: (
                (
                    net,
                    theta,
                    X,
                    Y,
                    rule
                    if callable(rule.learning_rate)
                    else rule.with_learning_rate(rule.learning_rate * 1.001),
                    *rest,
                ),
                options,
            ),
        ),
        "a trained network predicts as θ_0's": after(
            training_run.TrainingRun, "predict", lambda f, run, X: 0.999 * f
        ),
        "training forgets momentum": before(
            ntklin,
            "train",
            lambda net, theta, X, Y, rule, *rest, **options: (
                (net, theta, X, Y, ntklin.GradientDescent(rule.learning_rate), *rest),
                options,
            ),
        ),
    },
)
declare(
    "theorem4/batches",
    {"training forgets its batches": before(ntklin, "train", without("batches"))},
)
declare(
    "theorem4/engines-trained",
    {
        "the second of two networks is lost": after(
            ntklin, "train_ensemble", lambda runs, *rest, **options: [runs[0], broken(runs[1])]
        ),
    },
)


def broken(run: Any) -> Any:
    """A run whose parameters are off."""
    return replace(run, parameters=run.parameters * run.parameters.dtype.type(1.001))


declare(
    "theorem8/losses",
    {
        "slopes of classes' losses off": after(losses.Loss, "derivative", times(1.001)),
        "classes' losses are squares": before(ntklin, "train", without("loss")),
    },
)
declare(
    "section6/snapshot",
    {
        "a snapshot is the end": after(
            training_run.TrainingRun, "snapshot", lambda theta, run, step: run.parameters
        ),
        "linearized beside θ_T": before(
            ntklin,
            "linearize",
            lambda net, theta, X: ((net, theta * theta.dtype.type(1.001), X), {}),
        ),
    },
)
declare(
    "theorem8/records",
    {
        "recorded distances squared": after(
            ntklin,
            "train",
            lambda run, *rest, **options: replace(
                run, records=replace(run.records, distances=run.records.distances**2)
            ),
        ),
        "sharpness without N": after(
            ntklin,
            "train",
            lambda run, net, theta, X, *rest, **options: replace(
                run, records=replace(run.records, sharpness=run.records.sharpness * len(X))
            ),
        ),
        "an edge at 1/η": after(training_run.TrainingRun, "sharpness_bounds", times(0.5)),
    },
)
declare(
    "theorem7/preconditioned-trained",
    {
        "D_t of the step before": before(
            optimizers.Preconditioned, "_matrix", lambda rule, t, g: ((rule, t + 1, g), {})
        )
    },
)
declare(
    "edge-of-stability/bounds-of-methods",
    {
        "every edge at 2/η": instead(ntklin, "sharpness_bound", lambda rule, t: 2 / rule.rate(t)),
        "all rates converge": after(Descent, "converges", lambda found, gd: True),
        "momentum has descent's bound": after(
            Descent, "max_learning_rate", lambda rate, gd: gd.linearization.max_learning_rate
        ),
    },
)
declare(
    "edge-of-stability/largest-rate",
    {
        "the largest rate halved": after(
            ntklin,
            "largest_learning_rate",
            lambda found, *rest, **options: replace(found, learning_rate=found.learning_rate / 2),
        )
    },
)
