"""Where other optimizers end, from the same θ_0 at one scale σ: Thms 3 to 6."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from ntklin.apps.study.config import StudyConfig
from ntklin.apps.study.ends import closed_ends, tuned_ends
from ntklin.apps.study.linearized import LinearizedEnd
from ntklin.apps.study.measures import accuracy, distance, loss
from ntklin.apps.study.methods import METHODS, Method
from ntklin.apps.study.observer import StudyObserver, Unobserved
from ntklin.apps.study.optimizer_result import OptimizerResult
from ntklin.apps.study.real import RealEnd
from ntklin.apps.study.scale_result import ScaleResult
from ntklin.apps.study.start import Start, draw, refused
from ntklin.edge.errors import DegenerateKernelError


def require_comparable(config: StudyConfig) -> None:
    """Refuse a scale σ at which nothing can be compared, before long work.

    Raises
    ------
    DegenerateKernelError, ValueError
        As ``optimizer_results``.
    """
    if config.optimizers:
        _start(config, config.seeds[0])


def optimizer_results(
    config: StudyConfig, sweep: Iterable[ScaleResult] = (), observer: StudyObserver | None = None
) -> Iterator[OptimizerResult]:
    """Compare a study's optimizers; yield each result when it is complete, seed by seed.

    Parameters
    ----------
    config : StudyConfig
    sweep : iterable of ScaleResult
        Of the same study: what gradient descent trained at this σ is not trained again.
    observer : StudyObserver, optional

    Yields
    ------
    OptimizerResult

    Raises
    ------
    DegenerateKernelError
        If a kernel K_D(X, X) is singular to working precision.
    LearningRateError
        If the loss of an adaptive method rises at every learning rate that is tried.
    ValueError
        If even the linearized network's loss never drops below ``config.until``.
    TrainingInterrupted
        On Ctrl-C; the results before it are complete.
    """  # noqa: DOC501
    observer = Unobserved() if observer is None else observer
    swept = {
        r.seed: RealEnd(r.outcome, r.steps_taken, r.final_loss, r.test_outputs)
        for r in sweep
        if r.sigma == config.optimizer_sigma
    }
    for seed in config.seeds:
        start = _start(config, seed)
        by_gd, tuned = swept.get(seed), {}
        for name in config.optimizers:
            observer.started(name, seed)
            method = METHODS[name]
            try:
                if method.closed:
                    end, by_gd = closed_ends(config, start, by_gd, observer)
                    real = by_gd
                else:
                    end, real = tuned_ends(config, start, method, seed, tuned, observer)
            except DegenerateKernelError as e:
                where = f"{method.label} at σ = {config.optimizer_sigma:g}, seed {seed}"
                raise refused(e, where) from None
            result = _result(config, start, method, seed, end, real, by_gd)
            yield result  # first, so that what is announced is safe from Ctrl-C
            observer.finished(result)


def _start(config: StudyConfig, seed: int) -> Start:
    sigma = config.optimizer_sigma
    try:
        return Start.make(config, sigma, draw(config, seed))
    except DegenerateKernelError as e:
        raise refused(e, f"at σ = {sigma:g}, seed {seed}") from None


def _result(
    config: StudyConfig,
    start: Start,
    method: Method,
    seed: int,
    end: LinearizedEnd,
    real: RealEnd,
    by_gd: RealEnd | None,
) -> OptimizerResult:
    X_test, Y_test = config.arrays[2:]
    limit = start.minimizer.predict(X_test)
    same_step = None
    if real.outputs is not None:
        same_step = (
            end.outputs if real.steps == end.steps else end.outputs_at(cast(int, real.steps))
        )

    def measured(measure: Callable[[Any, Any], float | None], f: Any, g: Any) -> float | None:
        return None if f is None or g is None else measure(f, g)

    trained_by_gd = None if by_gd is None else by_gd.outputs
    return OptimizerResult(
        optimizer=method.name,
        seed=seed,
        sigma=config.optimizer_sigma,
        split=config.split if method.stochastic else None,
        learning_rate=end.optimizer.learning_rate if start.predicted else None,
        outcome_linearized=end.outcome,
        outcome=real.outcome,
        steps_linearized=end.steps,
        steps_taken=real.steps,
        final_loss_linearized=end.loss,
        final_loss=real.loss,
        test_loss_minimizer=loss(limit, Y_test),
        test_loss_linearized=measured(loss, end.outputs, Y_test),
        test_loss_network=measured(loss, real.outputs, Y_test),
        test_loss_interpolating=measured(loss, end.interpolating, Y_test),
        accuracy_linearized=measured(accuracy, end.outputs, config.data),
        accuracy_network=measured(accuracy, real.outputs, config.data),
        accuracy_interpolating=measured(accuracy, end.interpolating, config.data),
        path_dependent_size=measured(distance, end.outputs, end.interpolating),
        minimizer_distance_linearized=measured(distance, end.outputs, limit),
        minimizer_distance=measured(distance, real.outputs, limit),
        gd_distance=measured(distance, real.outputs, trained_by_gd),
        distance=measured(distance, real.outputs, same_step),
    )
