"""The sweep itself: for every seed and σ the closed forms, then the real network."""

from collections.abc import Iterator

from ntklin.apps.study.config import StudyConfig
from ntklin.apps.study.infinite_width import InfiniteWidth
from ntklin.apps.study.measures import accuracy, distance, loss
from ntklin.apps.study.observer import StudyObserver, Unobserved
from ntklin.apps.study.real import RealEnd, train_real
from ntklin.apps.study.scale_result import ScaleResult
from ntklin.apps.study.start import Start, draw, refused
from ntklin.edge.arrays import Array
from ntklin.edge.errors import DegenerateKernelError
from ntklin.runs.optimizers import GradientDescent


def scale_results(
    config: StudyConfig, observer: StudyObserver | None = None
) -> Iterator[ScaleResult]:
    """Run a study; yield each result when it is complete, seed by seed.

    Parameters
    ----------
    config : StudyConfig
    observer : StudyObserver, optional

    Yields
    ------
    ScaleResult

    Raises
    ------
    DegenerateKernelError
        If K(X, X) is singular to working precision.
    ValueError
        If even the linearized network's loss never drops below ``config.until``.
    TrainingInterrupted
        On Ctrl-C; the results before it are complete.
    """  # noqa: DOC501
    observer = Unobserved() if observer is None else observer
    infinite = InfiniteWidth.of(config)
    for seed in config.seeds:
        theta = draw(config, seed)
        for sigma in config.sigmas:
            observer.started(sigma, seed)
            try:
                result = measure(config, sigma, seed, theta, infinite, observer)
            except DegenerateKernelError as e:
                raise refused(e, f"at σ = {sigma:g}, seed {seed}") from None
            yield result  # first, so that what is announced is safe from Ctrl-C
            observer.finished(result)


def measure(
    config: StudyConfig,
    sigma: float,
    seed: int,
    theta: Array,
    infinite: InfiniteWidth,
    observer: StudyObserver,
) -> ScaleResult:
    """One result: θ_0's linearization at scale σ, and the real network trained from θ_0."""
    X_test, Y_test = config.arrays[2:]
    start = Start.make(config, sigma, theta)
    lin, gd, minimizer = start.linearization, start.gradient_descent, start.minimizer
    initial_loss = gd.loss(0)
    observer.predicted(initial_loss, start.predicted)
    real = RealEnd()
    if config.train:
        real = train_real(
            config,
            start.network,
            theta,
            GradientDescent(gd.learning_rate),
            steps=config.step_limit(start.predicted),
            progress=observer.trained,
        )
    trained = real.outputs is not None
    interpolator, limit = minimizer.interpolator(X_test), minimizer.predict(X_test)
    linearized = gd.predict(X_test, real.steps if trained else start.predicted)
    data = config.data
    return ScaleResult(
        sigma=sigma,
        seed=seed,
        lambda_min=float(lin.eigenvalues[0]),
        lambda_max=float(lin.eigenvalues[-1]),
        learning_rate=lin.default_learning_rate(),
        initial_loss=initial_loss,
        steps_predicted=start.predicted,
        outcome=real.outcome,
        steps_taken=real.steps,
        final_loss=real.loss,
        test_loss_interpolator=loss(interpolator, Y_test),
        test_loss_minimizer=loss(limit, Y_test),
        test_loss_linearized=loss(linearized, Y_test),
        test_loss_network=loss(real.outputs, Y_test) if trained else None,
        accuracy_interpolator=accuracy(interpolator, data),
        accuracy_minimizer=accuracy(limit, data),
        accuracy_linearized=accuracy(linearized, data),
        accuracy_network=accuracy(real.outputs, data) if trained else None,
        distance=distance(real.outputs, linearized) if trained else None,
        initialization_size=minimizer.initialization_size(X_test),
        initialization_size_infinite=infinite.sizes.get(sigma),
        test_outputs=real.outputs,
    )
