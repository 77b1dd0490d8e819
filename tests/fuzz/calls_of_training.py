"""Optimizers, training, plans, data and proofs with hostile arguments."""

import numpy as np

import ntklin
from fuzz.arguments import (
    ADAGRAD,
    AXES,
    BATCHES,
    DECAY,
    INPUTS,
    LOSS,
    METHOD,
    NET,
    NET_THETA_X,
    NETS,
    NEW,
    OPTIMIZERS,
    PATH,
    PROGRESS,
    RATE,
    RESUME,
    RNG,
    SCHEDULE,
    SECOND,
    STEP_ARGUMENTS,
    STEPS,
    STOP,
    TARGET,
    TARGETS,
    THETA,
    THETAS,
    X_NEW,
    Call,
    D,
    X,
    Y,
    array,
    count,
    flag,
    function,
    is_much,
    mitigation,
    none,
    number,
    text,
    thing,
    training,
)
from fuzz.hostile import Argument


def optimizer(kind, **more):
    """Its constructor, and its coefficients."""
    return Call(
        lambda: kind,
        {"learning_rate": SCHEDULE, **more, **DECAY},
        lambda made: made.learning_rate is None or (made.coefficients(1), made.rate(2)),
    )


TRAINING = {
    "GradientDescent": optimizer(
        ntklin.GradientDescent, momentum=number(0.5), nesterov=flag(False)
    ),
    "Momentum": optimizer(ntklin.Momentum, momentum=number(0.5), nesterov=flag(False)),
    "AdaGrad": optimizer(ntklin.AdaGrad, eps=number(1e-8)),
    "RMSprop": optimizer(ntklin.RMSprop, alpha=number(0.9), eps=number(1e-8)),
    "Adam": optimizer(
        ntklin.Adam,
        betas=thing(lambda: (0.9, 0.99), *((1, 1), (0.5,), (0, 0, 0), ("a", "b"), (np.nan, 0.5))),
        eps=number(1e-8),
    ),
    "AdamW": Call(
        lambda: ntklin.AdamW,
        {
            "learning_rate": SCHEDULE,
            "betas": thing(lambda: (0.9, 0.99), *((1, 1), (0.5,), (-1, 0), (True, False))),
            "eps": number(1e-8),
            "weight_decay": number(0.0),
        },
        lambda made: made.coefficients(1),
    ),
    "Preconditioned": Call(
        lambda: ntklin.Preconditioned,
        {
            "learning_rate": SCHEDULE,
            "fn": function(lambda: lambda t, g: 1 / (1 + abs(g)), lambda t, g: g * np.nan, max),
        },
        lambda made: made.update(made.init(THETA), THETA, D),
    ),
    "Optimizer.init": Call(lambda: ADAGRAD.init, {"theta": THETAS}),
    "Optimizer.update": Call(
        lambda: ADAGRAD.update,
        {
            "state": thing(lambda: ADAGRAD.init(THETA), ntklin.Adam(0.1).init(THETA), RATE),
            "theta": THETAS,
            "gradient": array(D),
        },
    ),
    "Optimizer.rate": Call(lambda: ADAGRAD.rate, {"t": count(2, None)}),
    "Optimizer.rates": Call(
        lambda: ntklin.AdaGrad(ntklin.CosineSchedule(0.1, 3)).rates,
        {"start": count(0, 10**4, None), "stop": count(3, 10**4, None)},
    ),
    "Optimizer.coefficients": Call(
        lambda: ntklin.Adam(0.1).coefficients, {"count": count(2, None)}
    ),
    "Optimizer.preconditioner": Call(
        lambda: ADAGRAD.preconditioner,
        {"state": thing(lambda: ADAGRAD.init(THETA), ntklin.Adam(0.1).init(THETA), RATE)},
    ),
    "Optimizer.with_learning_rate": Call(
        lambda: ADAGRAD.with_learning_rate, {"learning_rate": SCHEDULE}
    ),
    "ConstantSchedule": Call(lambda: ntklin.ConstantSchedule, {"learning_rate": number(0.1)}),
    "CosineSchedule": Call(
        lambda: ntklin.CosineSchedule,
        {"learning_rate": number(0.1), "steps": count(5, None), "minimum": number(0.0)},
        lambda made: made(3),
    ),
    "StepSchedule": Call(
        lambda: ntklin.StepSchedule,
        {"learning_rate": number(0.1), "step_size": count(5, None), "gamma": number(0.5)},
        lambda made: made(3),
    ),
    "WarmupSchedule": Call(
        lambda: ntklin.WarmupSchedule,
        {"steps": count(5, None), "start_factor": number(0.1), "end_factor": number(1.0)},
        lambda made: made(3),
    ),
    **{
        f"{type(schedule).__name__}.__call__": Call(
            lambda schedule=schedule: schedule, {"t": count(2, None)}, positional=True
        )
        for schedule in (
            ntklin.ConstantSchedule(0.1),
            ntklin.CosineSchedule(0.1, 5),
            ntklin.StepSchedule(0.1, 5),
            ntklin.WarmupSchedule(),
        )
    },
    "Schedule.__mul__": Call(
        lambda: ntklin.ConstantSchedule(0.1).__mul__,
        {"other": number(2.0, words=(ntklin.WarmupSchedule(3), ntklin.Schedule))},
        lambda made: made is NotImplemented or made(2),
        positional=True,
    ),
    "Batches": Call(
        lambda: ntklin.Batches,
        {"split": number(0.5), "size": none(2), "shuffle": flag(True), "rng": RNG},
        lambda made: made.at(1, 4),
    ),
    "Batches.at": Call(
        lambda: ntklin.Batches(0.5).at, {"step": count(3, None), "n_samples": count(4, 10**5)}
    ),
    "Batches.from_step": Call(
        lambda: ntklin.Batches(0.5).from_step,
        {"step": count(3, None), "n_samples": count(4, 10**5)},
        next,
    ),
    "Batches.batch_size": Call(
        lambda: ntklin.Batches(0.5).batch_size, {"n_samples": count(4, None)}
    ),
    "TimeLimit": Call(lambda: ntklin.TimeLimit, {"seconds": number(1.0)}),
    "Stop.__or__": Call(
        lambda: ntklin.FirstRise().__or__,
        {"other": thing(ntklin.FirstRise, ntklin.TimeLimit)},
        positional=True,
    ),
    "Stop.room": Call(lambda: ntklin.TimeLimit(1.0).room, {"taken": count(3, None)}),
    "sharpness_bound": Call(
        lambda: ntklin.sharpness_bound, {"optimizer": OPTIMIZERS, "t": count(3, None)}
    ),
    "train": Call(
        lambda: ntklin.train,
        {
            **NET_THETA_X,
            "Y": TARGETS,
            **STEP_ARGUMENTS,
            "method": METHOD,
            "record": none(1, [0, 2], [-1], [0.5], "x", np.array([1])),
            "X_record": none(X_NEW, "x", X_NEW[0]),
            "snapshots": flag(True),
            "sharpness": flag(False),
            "stop": STOP,
            "resume": RESUME,
            "progress": PROGRESS,
        },
    ),
    "train with records": Call(
        lambda: (
            lambda record, X_record, snapshots, sharpness: ntklin.train(
                *(NET, THETA, X, Y, RATE, 3),
                record=record,
                X_record=X_record,
                snapshots=snapshots,
                sharpness=sharpness,
            )
        ),
        {
            "record": array(STEPS, unless=lambda value: np.size(value) > 10**4),
            "X_record": NEW,
            "snapshots": flag(True),
            "sharpness": flag(True),
        },
    ),
    "TrainingRun.plot": Call(lambda: training().plot, {"ax": AXES}),
    "TrainingRun.predict": Call(lambda: training().predict, {"X": NEW}),
    "TrainingRun.snapshot": Call(lambda: training().snapshot, {"step": count(2, None)}),
    "TrainingRun.save": Call(lambda: training().save, {"path": TARGET}),
    "load_run": Call(
        lambda: ntklin.load_run,
        {"path": PATH, "network": none(NET, "x"), "optimizer": none(RATE, "x")},
    ),
    "train_ensemble": Call(
        lambda: ntklin.train_ensemble,
        {
            "net": NETS,
            "thetas": Argument(
                lambda: np.array([THETA, D]),
                "array",
                ([THETA, D[:2]], [THETA, None], [], THETA),
                unless=is_much,
            ),
            "X": INPUTS,
            "Y": TARGETS,
            **STEP_ARGUMENTS,
            "stop": STOP,
            "progress": PROGRESS,
        },
    ),
    "largest_learning_rate": Call(
        lambda: ntklin.largest_learning_rate,
        {
            **NET_THETA_X,
            "Y": TARGETS,
            "optimizer": OPTIMIZERS,
            "steps": count(2),
            "until": number(1e-3),
            "batches": BATCHES,
            "loss": LOSS,
            "method": METHOD,
            "precision": number(3.0),
            "reach": number(10.0),
            "progress": PROGRESS,
        },
    ),
    "search_learning_rate": Call(
        lambda: ntklin.search_learning_rate,
        {
            "trainer": function(
                lambda: lambda o: [1.0, o.learning_rate],
                *(lambda o: None, lambda o: [], lambda o: [1.0], lambda o: [np.nan, 1.0]),
                *(lambda o: "x", lambda o: training(), lambda o: [2.0, 1.0], lambda o: [[1.0]]),
                *(lambda o: np.array([1 + 1j]), lambda o: [np.inf, 1.0], lambda o: [-1.0, -2.0]),
            ),
            "optimizer": OPTIMIZERS,
            "precision": number(3.0),
            "reach": number(10.0),
            "progress": PROGRESS,
        },
    ),
    "mitigate_initialization": Call(
        lambda: ntklin.mitigate_initialization,
        {
            "net": NETS,
            "X": INPUTS,
            "Y": TARGETS,
            "X_val": NEW,
            "Y_val": array(Y[:2]),
            "theta": THETAS,
            "rng": RNG,
            "factor": number(0.5, unless=lambda value: 0.9 < float(value) < 1),
            "margin": number(0.05),
            # Below, there may be a thousand networks.
            "min_sigma": number(1.0, unless=lambda value: 0 < float(value) < 1e-3),
            "optimizer": OPTIMIZERS,
            "until": number(1e-3),
            "max_steps": count(3),
            "time_limit": number(SECOND, unless=lambda value: float(value) > 2),
            "batches": BATCHES,
            "loss": LOSS,
            "X_test": NEW,
            "Y_test": array(Y[:2]),
            "compare_baselines": flag(False),
            "compare_decay": flag(False),
            "weight_decay": none(0.1, 0.0),
            "progress": PROGRESS,
            "on_trial": PROGRESS,
        },
    ),
    "decay_initialization": Call(
        lambda: ntklin.decay_initialization,
        {
            "net": NETS,
            "theta": THETAS,
            "X": INPUTS,
            "Y": TARGETS,
            "weight_decay": number(0.25),
            "learning_rate": number(0.5),
            "depth": none(2, 3),
            "max_steps": count(5),
            "stop": STOP,
            "progress": PROGRESS,
        },
    ),
    "Mitigation.predict": Call(lambda: mitigation().predict, {"X": NEW}),
    "plan": Call(
        lambda: ntklin.plan,
        {
            "net": NETS,
            "n_samples": count(20, 50, 10**30),
            "solver": text("packed", "auto", "eigh", "cholesky", "mixed", "pcg"),
            "preconditioner": text("ntk", "mean_output", "nystrom", "none"),
            "iterations": none(3, 10**400),
            "like": INPUTS,
        },
    ),
    "plan_cluster": Call(
        lambda: ntklin.plan_cluster,
        {
            "net": NETS,
            "n_samples": count(20, None),
            "workers": count(2, None),
            "preconditioner": text("none", "nystrom", "ntk"),
            "rank": none(3),
            "iterations": none(3, 10**400),
            "threads": none(1, 10**400),
            "bandwidth": number(1e9),
            "latency": number(0.01),
        },
    ),
}
