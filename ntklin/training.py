"""Training of the real network, the thing that the closed forms predict."""

from collections.abc import Iterator

import numpy as np

from ntklin import checkpoint, stability, stepping
from ntklin._validate import (
    as_count,
    as_flag,
    as_inputs,
    as_path,
    as_positive,
    as_targets,
    as_vector,
    narrowed,
)
from ntklin.backends import refuse_mixed
from ntklin.batches import Schedule
from ntklin.course import Course
from ntklin.descent import engine_for
from ntklin.errors import MemoryLimitError, TrainingInterrupted
from ntklin.learning_rate import search_learning_rate
from ntklin.losses import Loss
from ntklin.recording import Recorder
from ntklin.training_run import TrainingRun, read_run


def train(
    net,
    theta,
    X,
    Y,
    optimizer=None,
    steps=None,
    until=None,
    batches=None,
    loss="squared",
    *,
    method="auto",
    record=None,
    X_record=None,
    snapshots=True,
    resume=None,
    progress=None,
):
    """Train the real network on L(θ) = (1/N) Σ_n ℓ(f_θ(x_n), y_n), from θ_0.

    With ``loss="squared"`` L = ‖f_θ(X) − Y‖²/(2N); ``"logistic"`` is the binary cross-entropy. With
    mini-batches each step goes by the gradient of its batch's mean (Eq. 10), but ``losses``,
    ``until`` and all that is reported are of all samples.

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
        Or any network with ``n_inputs``, ``n_parameters``, ``apply`` and ``features``.
    theta : ndarray, shape (P,)
        θ_0; not changed.
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,)
        Between 0 and 1 for the logistic loss.
    optimizer : Optimizer, optional
        ``GradientDescent()`` when not given, or that of ``resume``. The default η of gradient
        descent is 0.5 N/λ_max(K(X, X)) at θ_0, whatever the loss.
    steps : int, optional
        The number of the last step, counted from θ_0, also where a run is continued.
    until : float, optional
        Stop when the loss first drops below this; 1e-5 when neither is given, as in App. D. Losses
        are those of θ_t up to the rounding of the outputs, some eps times the size of outputs and
        targets: below the square of that, about 1e-13 in float32, they tell of rounding alone, and
        a run may never get there, so that ``steps`` should be given as well.
    batches : Batches or iterable of index arrays, optional
        The samples that each step sees; an iterable ends the run when it ends.
    loss : {"squared", "logistic"}
    method : {"auto", "reduced", "fused", "direct"}
        The engine. ``"reduced"``, for gradient descent on an MLP with or without mini-batches,
        evolves the first layer's preactivations with G = w_1² X X^T + v_1² and is exact;
        ``"fused"``, for an MLP with one hidden layer, takes gradient, rule and forward pass in one
        pass over the weights; ``"direct"`` evolves θ. ``"auto"`` takes the fastest one that serves.
    record : int or iterable of int, optional
        Record at every so many steps, or at these: the distance to θ_0, f_θ(X_record), and θ_t.
    X_record : ndarray, shape (N', d), optional
        Inputs whose outputs are recorded, the test set for one.
    snapshots : bool
        Whether θ_t is kept at the steps to record, P numbers each. ``linearize(net,
        run.snapshot(t), X)`` goes on from there (Sect. 6).
    resume : TrainingRun or path, optional
        A run, or a file by ``run.save``, to continue; the result is the same to the last bit as
        that of one run, if the number of threads is. All other arguments must be those of that
        run, with θ_0 as ``theta``; ``steps``, ``until`` and ``record`` may change. An iterable of
        batches has to start anew: what was taken is passed over.
    progress : callable, optional
        Called as ``progress(step, loss)`` about ten times a second.

    Returns
    -------
    TrainingRun

    Warns
    -----
    NonMonotoneLossWarning
        When the loss first rises; not with mini-batches.

    Raises
    ------
    DegenerateKernelError
        If K(X, X) = 0 at θ_0 and the default learning rate is asked for.
    DivergenceError
        As soon as the loss is not finite or 1,000 times its start, beyond rounding. With adaptive
        rules and ``Preconditioned``, whose first steps do not shrink with the loss, 1,000 times the
        larger of its start and the loss of f = 0.
    TrainingInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``run`` holds what was finished.
    MemoryLimitError
        If the snapshots will not fit. Where their number is not known, since ``steps`` is not
        given, this may come later, and ``run`` holds what was finished.
    CheckpointError
        If the file to resume from is damaged, something else, or of another version.
    ValueError
        If the run to resume is not one of this network, these data and options.
    """
    return train_one(
        *(net, theta, X, Y, optimizer),
        steps=steps,
        until=until,
        batches=batches,
        loss=loss,
        method=method,
        record=record,
        X_record=X_record,
        snapshots=snapshots,
        resume=resume,
        progress=progress,
        watched=batches is None,
    )


def largest_learning_rate(
    net,
    theta,
    X,
    Y,
    optimizer=None,
    steps=1000,
    until=1e-5,
    batches=None,
    loss="squared",
    *,
    method="auto",
    precision=0.05,
    reach=1e6,
    progress=None,
):
    """The largest learning rate that keeps the training loss of the real network monotone (App. D).

    Every trial trains from θ_0 for at most ``steps`` steps, until the loss is below ``until`` or
    rises for the first time. See :func:`ntklin.search_learning_rate`, which this is for the real
    network, for how the rates are chosen and what monotone means.

    Parameters
    ----------
    net, theta, X, Y, batches, loss, method
        As for :func:`ntklin.train`. ``batches`` must be Batches or a list, so that every trial
        has the same.
    optimizer : Optimizer, optional
        With the learning rate to start from; ``GradientDescent()`` when not given.
    steps : int
    until : float
    precision, reach, progress
        As for :func:`ntklin.search_learning_rate`.

    Returns
    -------
    LearningRateSearch

    Raises
    ------
    LearningRateError
        If the loss rises at every rate down to the reach.
    ValueError
        If the loss starts below ``until``.
    """
    steps = as_count(steps, name="steps")
    until = as_positive(until, name="until")
    if isinstance(batches, Iterator):
        raise TypeError(
            "batches must be ntklin.Batches or a list for a search, which trains several times; "
            f"got {type(batches).__name__}, which can be read only once"
        )
    theta, X, Y = as_problem(net, theta, X, Y)
    options = {"steps": steps, "until": until, "batches": batches, "loss": loss, "method": method}
    return search_learning_rate(
        lambda optimizer: train_one(net, theta, X, Y, optimizer, **options, watched=True),
        with_learning_rate(optimizer, net, theta, X),
        precision=precision,
        reach=reach,
        progress=progress,
    )


def train_one(
    net,
    theta,
    X,
    Y,
    optimizer,
    *,
    steps,
    until,
    batches,
    loss,
    method,
    record=None,
    X_record=None,
    snapshots=True,
    resume=None,
    progress=None,
    watched,
    index=None,
):
    """See ``train``; ``watched`` tells whether a rise of the loss is warned of.

    ``index`` is the network's place among those of ``train_ensemble``, for the warning.
    """
    theta, X, Y = as_problem(net, theta, X, Y)
    loss = Loss(loss)
    loss.check_targets(Y)
    steps, until = stepping.as_horizon(steps, until)
    past = None
    if resume is not None:
        past = _as_past(resume, net)
        optimizer = _as_before(optimizer, past)
        method = past.method if method == "auto" else method
    optimizer = with_learning_rate(optimizer, net, theta, X)
    engine_type = engine_for(method, net, X, optimizer)
    course = Course(net, theta, X, Y, optimizer, loss, batches, engine_type, until)
    if past is not None:
        checkpoint.require_same(past.identity, course.identity, "resume")
    record, X_record = _as_record(record, X_record, net, theta.dtype)
    snapshots = as_flag(snapshots, name="snapshots")
    recorder = Recorder(record, net, theta, X_record, snapshots, past and past.records)

    engine = course.engine()
    losses = [engine.loss()]
    if past is not None:
        checkpoint.require_fitting(engine.arrays(), past.arrays, past.steps)
        engine.restore(past.arrays)
        losses = past.losses.tolist()
    schedule = Schedule(batches, len(X), start=len(losses) - 1)
    course.start(losses)
    try:
        recorder.begin(len(losses) - 1, steps, engine)
        stepping.run(
            engine,
            schedule,
            losses,
            steps=steps,
            until=until,
            ceiling=course.ceiling,
            record=record,
            on_record=lambda t: recorder.take(t, engine.parameters()),
            on_block=course.watch(stacklevel=5, index=index) if watched else None,
            progress=progress,
        )
    except stepping.Interrupted:
        raise TrainingInterrupted(course.run(engine, recorder)) from None
    except MemoryLimitError as e:
        e.run = course.run(engine, recorder)
        raise
    if course.diverged:
        raise course.error()
    return course.run(engine, recorder)


def as_problem(net, theta, X, Y, name="theta"):
    """θ, X and Y checked and in their common dtype; X and Y are copies."""
    X = as_inputs(X, net.n_inputs)
    Y = as_targets(Y, len(X))
    theta = as_vector(theta, net.n_parameters, name=name)
    refuse_mixed(theta, X, Y)
    dtype = np.result_type(theta.dtype, X.dtype)
    return theta.astype(dtype, copy=False), X.astype(dtype), narrowed(Y, dtype, "Y").astype(dtype)


def _as_record(record, X_record, net, dtype):
    if record is not None:
        record = stepping.Record(record)
    if X_record is not None:
        if record is None:
            raise ValueError("X_record is recorded at the steps that record= chooses; it is None")
        X_record = as_inputs(X_record, net.n_inputs, name="X_record")
        X_record = narrowed(X_record, dtype, "X_record", rows=True).astype(dtype)
    return record, X_record


def _as_past(resume, net):
    """The run to resume, from itself or its file."""
    if isinstance(resume, TrainingRun):
        return resume
    what = "a TrainingRun or the path of a saved one"
    return read_run(as_path(resume, name="resume", what=what), net)


def _as_before(optimizer, past):
    """The optimizer of the run to continue, where the caller leaves it open."""
    if optimizer is None and past.optimizer is None:
        kind = past.identity["optimizer"]["class"]
        raise ValueError(f"optimizer must be passed again: a file cannot hold all of a {kind}")
    open_rate = getattr(optimizer, "learning_rate", 0) is None
    if optimizer is None or (open_rate and type(optimizer) is type(past.optimizer)):
        return past.optimizer
    return optimizer


def with_learning_rate(optimizer, net, theta, X, name="theta"):
    """The optimizer, ``GradientDescent()`` for None; with its default η if it has none."""

    def default():
        largest = stability.largest_eigenvalue(net.features(theta, X))
        remedy = "pass GradientDescent(learning_rate=...)"
        return stability.default_learning_rate(len(X), largest, name=name, remedy=remedy)

    return stability.with_learning_rate(optimizer, default)
