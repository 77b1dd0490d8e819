"""Training of the real network, the thing that the closed forms predict."""

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.edge.arrays import Array
from ntklin.edge.backends import is_mapped, refuse_mixed
from ntklin.edge.checks import as_flag, as_inputs, as_path, as_progress, as_vector, narrowed
from ntklin.edge.errors import DivergenceError
from ntklin.edge.faces.bars import LossMeter, followed
from ntklin.networks.network import Network, n_outputs_of, require_network
from ntklin.runs import checkpoint, stability
from ntklin.runs.batches import BatchSource, SampleWeights
from ntklin.runs.engine import MethodName
from ntklin.runs.loop import Track, carry_out
from ntklin.runs.losses import Loss, LossName
from ntklin.runs.monotone import RiseWarning
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.recording import RecordedSteps
from ntklin.runs.stops import Horizon, Stop
from ntklin.training.recording import Sharpness, TrainingRecorder
from ntklin.training.task import TrainingTask
from ntklin.training.training_run import TrainingRun, read_run


def train(
    net: Network,
    theta: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    optimizer: Optimizer | None = None,
    steps: int | None = None,
    until: float | None = None,
    batches: BatchSource | None = None,
    loss: LossName = "squared",
    *,
    method: MethodName = "auto",
    record: int | Iterable[int] | None = None,
    X_record: ArrayLike | None = None,
    snapshots: bool = True,
    sharpness: bool = False,
    stop: Stop | None = None,
    resume: str | PathLike[str] | TrainingRun | None = None,
    progress: Callable[[int, float], object] | bool | None = None,
) -> TrainingRun:
    """Train the real network on L(θ) = (1/N) Σ_n ℓ(f_θ(x_n), y_n), from θ_0.

    With ``loss="squared"`` L = ‖f_θ(X) − Y‖²/(2N); ``"logistic"`` is the binary cross-entropy, and
    ``"softmax"`` the cross-entropy of classes that have an output each. Losses are sums over a
    sample's outputs and means over the samples. With mini-batches each step goes by the gradient of
    its batch's mean (Eq. 10), but ``losses``, ``until`` and all that is reported are of all
    samples; and of L alone where weight decay adds (λ/2)‖θ‖² to it.

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
        Or any network with ``n_inputs``, ``n_parameters``, ``apply`` and ``features``, and with
        ``n_outputs`` where there are several.
    theta : ndarray, shape (P,)
        θ_0; not changed.
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,), or (N, C) of more than one output
        Between 0 and 1 for the logistic loss; for ``"softmax"`` the classes' numbers 0 … C − 1,
        (N,), or rows of their probabilities.
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
    loss : {"squared", "logistic", "softmax"}
    method : {"auto", "reduced", "fused", "direct"}
        The engine. ``"reduced"``, for gradient descent on an MLP with or without mini-batches,
        evolves the first layer's preactivations with G = w_1² X X^T + v_1² and is exact;
        ``"fused"``, for optimizers with a rule of their own and an MLP with one hidden layer, or of
        ReLU with one output, takes gradient and rule in one pass over the weights; ``"direct"``
        evolves θ. ``"auto"`` takes the fastest one that serves.
    record : int or iterable of int, optional
        Record at every so many steps, or at these: the distance to θ_0, f_θ(X_record), and θ_t.
    X_record : ndarray, shape (N', d), optional
        Inputs whose outputs are recorded, the test set for one.
    snapshots : bool
        Whether θ_t is kept at the steps to record, P numbers each. ``linearize(net,
        run.snapshot(t), X)`` goes on from there (Sect. 6).
    sharpness : bool
        Whether λ_max(K_{D_{t−1}}(X, X))/N is recorded as well, by some ten products with φ(X) at
        each step to record. ``run.sharpness_bounds`` has the edge of stability beside it.
    stop : Stop, optional
        What else ends the run: ``ntklin.TimeLimit(60)``, ``ntklin.FirstRise()``, a condition of
        your own, or several by ``|``. ``run.ended_by`` tells which one did.
    resume : TrainingRun or path, optional
        A run, or a file by ``run.save``, to continue; the result is the same to the last bit as
        that of one run, on any number of threads. All other arguments must be those of that run,
        with θ_0 as ``theta``; ``steps``, ``until`` and ``record`` may change. An iterable of
        batches has to start anew: what was taken is passed over.
    progress : callable or bool, optional
        Called as ``progress(step, loss)`` about ten times a second. True shows a bar.

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
    kind, progress = Loss(loss), as_progress(progress)
    theta, X, Y = as_problem(net, theta, X, Y, kind)
    horizon = Horizon.of(steps, until, stop)
    SampleWeights(batches, len(X))  # refuses what are no batches
    past, engine = None, method
    if resume is not None:
        past = _as_past(resume, net)
        optimizer = checkpoint.as_before(optimizer, past)
        engine = past.method if method == "auto" else method
    optimizer = with_learning_rate(optimizer, net, theta, X)
    task = TrainingTask(net, theta, X, Y, optimizer, kind, batches, engine)
    if past is not None:
        task.require_continues(past)
    when, X_record = _as_record(record, X_record, net, theta.dtype)
    snapshots = as_flag(snapshots, name="snapshots")
    sharp = _as_sharpness(sharpness, when, task)
    recorder = TrainingRecorder(when, net, theta, X_record, snapshots, sharp, past and past.records)
    with followed(progress, lambda: LossMeter("training", horizon.steps, horizon.until)) as told:
        outcome = run_task(task, horizon, recorder=recorder, past=past, progress=told)
    if isinstance(outcome, DivergenceError):
        raise outcome
    return outcome


def run_task(
    task: TrainingTask,
    horizon: Horizon,
    *,
    recorder: TrainingRecorder | None = None,
    past: TrainingRun | None = None,
    progress: Callable[[int, float], object] | None = None,
    warn: bool = True,
    index: int | None = None,
) -> TrainingRun | DivergenceError:
    """Train one network.

    Parameters
    ----------
    task : TrainingTask
    horizon : Horizon
    recorder : TrainingRecorder, optional
    past : TrainingRun, optional
        To go on from.
    progress : callable, optional
    warn : bool
        Whether the first rise of the loss is warned of, on the full batch.
    index : int, optional
        The network's place among those of ``train_ensemble``, for the warning.

    Returns
    -------
    TrainingRun or DivergenceError
    """
    warning = rise_warning(task, horizon, index) if warn else None
    track = Track(task, horizon, recorder=recorder, warning=warning, past=past)
    (outcome,) = carry_out([track], progress=progress)
    return outcome


def rise_warning(
    task: TrainingTask, horizon: Horizon, index: int | None = None
) -> RiseWarning | None:
    """What warns the caller of ``train`` of the first rise; None where that is no news."""
    if task.batches is not None or horizon.ends_at_rise:
        return None
    return RiseWarning(task.optimizer, stacklevel=6, index=index)


def as_problem(
    net: Network, theta: ArrayLike, X: ArrayLike, Y: ArrayLike, loss: Loss, name: str = "theta"
) -> tuple[Array, Array, Array]:
    """θ, X and Y checked and in their common dtype; copies of Y and of an X that is no file's."""
    require_network(net)
    X = as_inputs(X, net.n_inputs)
    Y = loss.as_targets(Y, len(X), n_outputs_of(net))
    theta = as_vector(theta, net.n_parameters, name=name)
    refuse_mixed(theta, X, Y)
    dtype = np.result_type(theta.dtype, X.dtype)
    X = X.astype(dtype, copy=not is_mapped(X))
    return theta.astype(dtype, copy=False), X, narrowed(Y, dtype, "Y").astype(dtype)


def _as_record(
    record: int | Iterable[int] | None, X_record: ArrayLike | None, net: Network, dtype: DTypeLike
) -> tuple[RecordedSteps | None, Array | None]:
    when = None if record is None else RecordedSteps(record)
    if X_record is not None:
        if when is None:
            raise ValueError("X_record is recorded at the steps that record= chooses; it is None")
        X_record = as_inputs(X_record, net.n_inputs, name="X_record")
        X_record = narrowed(X_record, dtype, "X_record", rows=True).astype(dtype)
    return when, X_record


def _as_sharpness(
    sharpness: bool, when: RecordedSteps | None, task: TrainingTask
) -> Sharpness | None:
    if not as_flag(sharpness, name="sharpness"):
        return None
    if when is None:
        raise ValueError("sharpness is recorded at the steps that record= chooses; it is None")
    return Sharpness(task.net, task.X, task.optimizer)


def _as_past(resume: Any, net: Network) -> TrainingRun:
    """The run to resume, from itself or its file."""
    if isinstance(resume, TrainingRun):
        return resume
    what = "a TrainingRun or the path of a saved one"
    return read_run(as_path(resume, name="resume", what=what), net)


def with_learning_rate(
    optimizer: Optimizer | None, net: Network, theta: Array, X: Array, name: str = "theta"
) -> Optimizer:
    """The optimizer, ``GradientDescent()`` for None; with its default η if it has none."""

    def default() -> float:
        largest = stability.largest_eigenvalue(net.features(theta, X))
        remedy = "pass GradientDescent(learning_rate=...)"
        return stability.default_learning_rate(len(X), largest, name=name, remedy=remedy)

    return stability.with_learning_rate(optimizer, default)
