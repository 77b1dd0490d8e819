"""Faults of gradient descent in closed form, and of moments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import ntklin
from library_faults.making import (
    after,
    before,
    declare,
    instead,
    times,
    without,
)
from ntklin.recipes.mitigation import algorithm, half_life
from ntklin.runs import schedules
from ntklin.theory import (
    descent_by_products,
    epoch_moments,
    gradient_descent,
    linearization,
    linearized_run,
    minimizer,
    moments,
)

Descent = gradient_descent.LinearizedGradientDescent
Lin, Run, Minimizer = linearization.Linearization, linearized_run.LinearizedRun, minimizer.Minimizer

# Closed forms


def next_step(gd: Any, X: Any, t: Any = None) -> Any:
    """One step more."""
    return (gd, X, None if t is None else np.asarray(t) + 1), {}


declare(
    "equation18/descent",
    {
        "parameters(t) returns θ_0": after(
            Descent,
            "parameters",
            lambda theta, gd, t=None: np.broadcast_to(
                gd.linearization.features.parameters, theta.shape
            ),
        ),
        "f_t is f_{t+1}": before(Descent, "predict", next_step),
        "L without its half": after(Descent, "loss", times(2.0)),
        "L a sum over samples": after(
            Descent, "loss", lambda L, gd, *rest: L * gd.linearization.n_samples
        ),
        "steps_to one late": after(Descent, "steps_to", lambda t, *rest: t + 1),
        "steps_to one early": after(Descent, "steps_to", lambda t, *rest: t - 1),
        "steps_to_by_products one late": after(
            Descent,
            "steps_to_by_products",
            lambda found, *rest: replace(found, steps=found.steps + 1),
        ),
        "the best rate is the largest": after(
            Descent, "best_learning_rate", lambda rate, gd: gd.max_learning_rate
        ),
        "by products to four digits": after(
            descent_by_products.DescentByProducts, "predict", times(1.0001)
        ),
    },
)
declare(
    "equation19/limits-of-descent",
    {
        "the limit is that at t = 100": before(
            Descent, "predict", lambda gd, X, t=None: ((gd, X, 100 if t is None else t), {})
        ),
        "θ_∞ after a thousand steps": before(
            Descent, "parameters", lambda gd, t=None: ((gd, 1000 if t is None else t), {})
        ),
    },
)
declare(
    "momentum/heavy-ball-closed-form",
    {"momentum is forgotten": before(Lin, "gradient_descent", without("momentum", "nesterov"))},
)
declare(
    "momentum/nesterov-closed-form",
    {"Nesterov's is heavy ball": before(Lin, "gradient_descent", without("nesterov"))},
)
declare(
    "decay/decay-closed-form",
    {
        "decay is forgotten": before(Lin, "gradient_descent", without("weight_decay")),
        "decay is a ridge": before(
            Lin,
            "gradient_descent",
            lambda lin, Y, rate=None, weight_decay=0.0, **options: (
                (lin, Y, rate, lin.n_samples * weight_decay),
                options,
            ),
        ),
    },
)
declare("decay/decay-end", {"c_t squared": after(Descent, "shrinkage", lambda c, *rest: c * c)})
declare(
    "theorem5/weighted-closed-form",
    {"a descent ignores D": before(Lin, "gradient_descent", without("weights"))},
)
declare(
    "appendix-a/ridge-closed-form",
    {"a descent ignores its ridge": before(Lin, "gradient_descent", without("ridge"))},
)
declare(
    "schedule/schedules",
    {
        "a schedule stays at its first rate": before(
            Lin,
            "gradient_descent",
            lambda lin, Y, rate=None, **options: (
                (lin, Y, rate(0) if callable(rate) else rate),
                options,
            ),
        ),
        "a cosine over T + 1 steps": before(
            schedules.CosineSchedule,
            "__call__",
            lambda schedule, t: ((replace(schedule, steps=schedule.steps + 1), t), {}),
        ),
        "stairs one step late": before(
            schedules.StepSchedule, "__call__", lambda schedule, t: ((schedule, max(t - 1, 0)), {})
        ),
        "warmup starts at its end": before(
            schedules.WarmupSchedule, "__call__", lambda schedule, t: ((schedule, t + 100), {})
        ),
    },
)

# Moments, recipes

declare(
    "sgd-moments/moments",
    {
        "E L is the loss of the mean": instead(
            moments.SGDMoments, "loss", lambda self, t, **options: self.mean.loss(t)
        ),
        "covariance of twice the batch": after(moments.SGDMoments, "covariance", times(0.5)),
        "η(b) is that of all samples": after(
            moments.SGDMoments, "max_learning_rate", lambda rate, self: self.mean.max_learning_rate
        ),
        "moments ignore D": before(Lin, "moments", without("weights")),
        "epochs are independent batches": after(
            epoch_moments.EpochMoments,
            "loss",
            lambda found, self, t: (
                found._replace(value=self.moments.loss(t))
                if hasattr(found, "_replace")
                else replace(found, value=self.moments.loss(t))
            ),
        ),
    },
)
declare(
    "theorem2/mitigation",
    {
        "the worst network is the best": instead(
            algorithm, "rank", lambda trial: -trial.validation_loss
        ),
        "σ falls by another factor": before(
            ntklin,
            "mitigate_initialization",
            lambda *data, factor=0.7, **options: (data, options | {"factor": factor * 1.1}),
        ),
        "the half-life is a step late": before(
            half_life.DecayCourse,
            "run",
            lambda course, *rest, **options: (
                (replace(course, steps=course.steps + 1), *rest),
                options,
            ),
        ),
        "decay_initialization forgets its rate": before(
            ntklin, "decay_initialization", without("learning_rate")
        ),
    },
)
