"""Where a method takes the linearized and the real network, with one learning rate for both."""

from typing import Any

from ntklin.apps.study.config import StudyConfig
from ntklin.apps.study.linearized import LinearizedEnd, closed_form_end, stepwise_end
from ntklin.apps.study.methods import Method
from ntklin.apps.study.observer import StudyObserver
from ntklin.apps.study.outcomes import DIVERGED, STEP_LIMIT
from ntklin.apps.study.rates import search_monotone
from ntklin.apps.study.real import RealEnd, train_real
from ntklin.apps.study.start import Start
from ntklin.runs.batches import Batches
from ntklin.runs.optimizer import Optimizer
from ntklin.theory.linearized_run import LinearizedRun

# How often a learning rate is halved with which one of the two networks fails.
HALVINGS = 5
# A method that needs fewer steps than this is given as much patience as if it needed so many.
FEW_STEPS = 200


def closed_ends(
    config: StudyConfig, start: Start, real: RealEnd | None, observer: StudyObserver
) -> tuple[LinearizedEnd, RealEnd]:
    """The ends of both networks under gradient descent on all samples.

    Parameters
    ----------
    config : StudyConfig
    start : Start
    real : RealEnd or None
        Where it is known.
    observer : StudyObserver

    Returns
    -------
    LinearizedEnd, RealEnd
    """
    end = closed_form_end(config, start)
    return end, real or _train(config, start, end, end.optimizer, start.predicted, observer)


def tuned_ends(
    config: StudyConfig,
    start: Start,
    method: Method,
    seed: int,
    tuned: dict[Any, tuple[Optimizer, int]],
    observer: StudyObserver,
) -> tuple[LinearizedEnd, RealEnd]:
    """The ends of both networks under another method, with the largest learning rate found for it.

    A rate with which the loss only falls on the linearized network can still be too large with
    mini-batches, or for the real network: RMSprop at a large rate may reach the target just before
    its loss would rise. It is then halved. The rate of a method with momentum is gradient
    descent's, and a schedule multiplies whatever rate it is.

    Parameters
    ----------
    config : StudyConfig
    start : Start
    method : Method
    seed : int
        Of the mini-batches.
    tuned : dict
        Keeps what was searched for from this start: optimizers and steps by kind of optimizer.
    observer : StudyObserver

    Returns
    -------
    LinearizedEnd, RealEnd

    Raises
    ------
    DegenerateKernelError
        If K_D(X, X) is singular to working precision.
    LearningRateError
        If the loss of an adaptive method rises at every learning rate that is tried.
    TrainingInterrupted
        On Ctrl-C.
    """
    batches = Batches(config.split, rng=seed) if method.stochastic else None
    optimizer, expected, run = _tune(config, start, method, tuned, observer)
    if batches is not None or (run is not None and not run.converged):
        run = None
    # Steps that the user limits are no failure, nor is it one of a real network under gradient
    # descent to need more than its linearization, or to stay above the target where the weights
    # decay or the rate comes down: a smaller rate would not help.
    limited = config.max_steps is not None or config.weight_decay or config.schedule is not None
    stuck = {DIVERGED} if limited else {DIVERGED, STEP_LIMIT}
    stuck_real = stuck if method.adaptive else {DIVERGED}
    halvings = 0
    while True:
        last = halvings == HALVINGS
        end = stepwise_end(
            config,
            start,
            optimizer,
            batches,
            steps=config.step_limit(max(expected, FEW_STEPS)),
            run=run,
            progress=observer.linearized,
        )
        if last or end.outcome not in stuck:
            due = expected if end.loss is None else end.steps
            real = _train(config, start, end, config.scheduled(optimizer), due, observer)
            if last or real.outcome not in stuck_real:
                return end, real
        optimizer, run = optimizer.with_learning_rate(optimizer.learning_rate / 2), None
        expected, halvings = 2 * expected, halvings + 1


def _tune(
    config: StudyConfig,
    start: Start,
    method: Method,
    tuned: dict[Any, tuple[Optimizer, int]],
    observer: StudyObserver,
) -> tuple[Optimizer, int, LinearizedRun | None]:
    """The optimizer with its first learning rate, the steps to expect, and its run if known."""
    kind, make = method.optimizer, config.maker(method)
    if not method.adaptive:
        return make(start.gradient_descent.learning_rate), start.predicted, None
    if start.predicted == 0:  # θ_0 is at the target: no step will be taken
        return make(learning_rate=1.0), 0, None
    if kind in tuned:
        return *tuned[kind], None
    optimizer, run = search_monotone(
        start.linearization,
        config.arrays[1],
        make(learning_rate=1.0),
        shaped=config.scheduled,
        until=config.until,
        steps=config.horizon(start.predicted),
        progress=observer.searched,
    )
    tuned[kind] = optimizer, run.steps
    return optimizer, run.steps, run


def _train(
    config: StudyConfig,
    start: Start,
    end: LinearizedEnd,
    optimizer: Optimizer,
    expected: int,
    observer: StudyObserver,
) -> RealEnd:
    """The real network by the linearized one's optimizer and batches."""
    if not config.train:
        return RealEnd()
    observer.predicted(start.gradient_descent.loss(0), expected)
    return train_real(
        config,
        start.network,
        start.theta,
        optimizer,
        steps=config.step_limit(max(expected, FEW_STEPS)),
        batches=end.batches,
        progress=observer.trained,
        warn=False,  # the rate is the linearized network's; that the real loss rises is no news
    )
