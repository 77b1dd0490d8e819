"""Training of the real network from several initializations, on a GPU in one batch."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, rows_of
from ntklin.edge.backends import free_device_memory, namespace
from ntklin.edge.checks import as_inputs, as_list, as_progress
from ntklin.edge.errors import DivergenceError, TrainingInterrupted
from ntklin.edge.faces.bars import LossMeter, followed
from ntklin.edge.values import said
from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network, n_outputs_of, require_network
from ntklin.runs.batches import Batches, SampleWeights
from ntklin.runs.engine import Engine
from ntklin.runs.loop import EngineMaker, Track, carry_out
from ntklin.runs.losses import Loss, LossName
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.stops import Horizon, Stop
from ntklin.training.stacked_optimizers import StackedOptimizers
from ntklin.training.task import TrainingTask
from ntklin.training.train import as_problem, rise_warning, run_task, with_learning_rate
from ntklin.training.training_run import TrainingRun

_log = logging.getLogger("ntklin.training")

# Networks that are trained at once, at most; a card is busy with far fewer.
LARGEST_BATCH = 4096


def train_ensemble(
    net: Network,
    thetas: ArrayLike | Iterable[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    optimizer: Optimizer | Sequence[Optimizer | None] | None = None,
    steps: int | None = None,
    until: float | None = None,
    batches: Batches | Sequence[Batches | None] | None = None,
    loss: LossName = "squared",
    *,
    stop: Stop | None = None,
    progress: Callable[[int, float], object] | bool | None = None,
) -> list[TrainingRun | DivergenceError]:
    """Train the real network from several θ_0, each as :func:`ntklin.train` does.

    On NumPy arrays one after the other, with the very results of ``train``. On CuPy arrays an MLP
    is trained from all θ_0 at once: networks that differ in nothing but θ_0, their batches and the
    numbers of one kind of optimizer share every launch, each until its own end, and results are
    those of ``train`` up to rounding. Where memory is short, there are several batches of them.
    An ``AntisymmetricPair`` and ``Preconditioned`` go one after the other.

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
        Or any network that ``train`` takes.
    thetas : sequence of ndarray, shape (P,)
        The θ_0, or the rows of an array; not changed.
    X : ndarray, shape (N, d)
    Y : ndarray, shape (N,), or (N, C) of more than one output
        Between 0 and 1 for the logistic loss; labels or probabilities of classes for ``"softmax"``.
    optimizer : Optimizer, or list with one for each θ_0, optional
        ``GradientDescent()`` when not given; its default η is each network's own,
        0.5 N/λ_max(K(X, X)) at its θ_0.
    steps : int, optional
        The number of the last step.
    until : float, optional
        A network stops when its loss first drops below this; 1e-5 when neither is given.
    batches : Batches, or list with one or None for each θ_0, optional
        The samples that each step sees; ``Batches(0.1, rng=seed)`` for one.
    loss : {"squared", "logistic", "softmax"}
    stop : Stop, optional
        What else ends a network's run; see :func:`ntklin.train`.
    progress : callable or bool, optional
        Called as ``progress(step, loss)`` about ten times a second, with the largest loss of those
        that are trained at the time. True shows a bar.

    Returns
    -------
    list of TrainingRun or DivergenceError
        For each θ_0 its run. A network that diverges, as ``train`` has it, ends none of the others:
        in its place is the error that ``train`` would have raised.

    Warns
    -----
    NonMonotoneLossWarning
        When a network's loss first rises, with its place as ``index``; not with mini-batches.

    Raises
    ------
    DegenerateKernelError
        If K(X, X) = 0 at a θ_0 whose default learning rate is asked for.
    TrainingInterrupted
        On Ctrl-C; its ``runs`` hold what was finished, None for each network that had not begun.
        Every run can be continued by ``train(..., resume=run)``.
    """
    kind, progress = Loss(loss), as_progress(progress)
    require_network(net)
    problems = _as_problems(net, thetas, X, Y, kind)
    X, count = problems[0][1], len(problems)
    horizon = Horizon.of(steps, until, stop)
    batches = _one_each(batches, count, Batches, "batches")
    for one in batches:
        SampleWeights(one, len(X))  # refuses a size above N
    optimizers = [
        with_learning_rate(one, net, theta, X, name=f"thetas[{s}]")
        for s, (one, (theta, X, _)) in enumerate(
            zip(_one_each(optimizer, count, Optimizer, "optimizer"), problems, strict=True)
        )
    ]
    results: list[Any] = [None] * count
    meter = partial(LossMeter, f"training {count} networks", horizon.steps, horizon.until)
    with followed(progress, meter) as told:
        for group in _groups(net, problems, optimizers):
            while group:
                size = _how_many(net, X, optimizers[group[0]], len(group))
                now, group = group[:size], group[size:]
                tasks = {
                    s: TrainingTask(net, *problems[s], optimizers[s], kind, batches[s]) for s in now
                }
                try:
                    if size > 1:
                        _log.info("training %d networks at once", size)
                        ends = _train_together(tasks, horizon, told)
                    else:
                        s, task = tasks.popitem()
                        ends = [run_task(task, horizon, progress=told, index=s)]
                except TrainingInterrupted as e:
                    for s, end in zip(now, e.runs or [e.run], strict=True):
                        results[s] = end
                    raise TrainingInterrupted(e.run, results) from None
                for s, end in zip(now, ends, strict=True):
                    results[s] = end
    return results


def _as_problems(
    net: Network,
    thetas: ArrayLike | Iterable[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    loss: Loss,
) -> list[tuple[Array, Array, Array]]:
    """(θ_0, X, Y) of each network, checked, in their common dtype; X and Y are shared."""
    rows = rows_of(thetas, "thetas")
    if getattr(rows, "ndim", 2) != 2:
        raise ValueError(
            f"thetas must be a sequence of vectors or have shape (S, {net.n_parameters}), got "
            f"shape {rows.shape}"
        )
    if not isinstance(rows, Iterable):
        raise TypeError(f"thetas must be a sequence of vectors, got {said(thetas)}")
    X = as_inputs(X, net.n_inputs)
    Y = loss.as_targets(Y, len(X), n_outputs_of(net))
    problems, shared = [], {}
    for s, row in enumerate(as_list(rows, name="thetas")):
        theta, *data = as_problem(net, row, X, Y, loss, name=f"thetas[{s}]")
        problems.append((theta, *shared.setdefault(theta.dtype, data)))
    if not problems:
        raise ValueError("thetas is empty: there is nothing to train")
    return problems


def _one_each(value: Any, count: int, kind: type, name: str) -> list[Any]:
    """A list of ``value`` for every network, or of the one that it holds for each."""
    if value is None or isinstance(value, kind):
        return [value] * count
    listed = isinstance(value, list | tuple)
    if not listed or not all(one is None or isinstance(one, kind) for one in value):
        raise TypeError(
            f"{name} must be ntklin.{kind.__name__}, or a list with one for each θ_0, got "
            f"{said(value)}"
        )
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} entries for {count} θ_0")
    return list(value)


def _groups(net: Network, problems: Any, optimizers: Sequence[Optimizer]) -> Iterable[list[int]]:
    """Lists of the networks that can be trained together, in the order of their first ones."""
    groups = {}
    for s, ((theta, _, _), optimizer) in enumerate(zip(problems, optimizers, strict=True)):
        on_gpu = namespace(theta) is not np
        together = on_gpu and isinstance(net, MLP) and optimizer.rule is not None
        kind = type(optimizer), optimizer.rule, bool(optimizer.weight_decay)
        key = (kind, theta.dtype) if together else s
        groups.setdefault(key, []).append(s)
    return groups.values()


def _how_many(net: Network, X: Array, optimizer: Optimizer, count: int) -> int:
    """How many of ``count`` networks to train next: all, or a share that memory has room for.

    A network takes θ with its slots, the copies to go back to, the gradient, what CuPy's products
    copy, what is kept of its end, and passes over N inputs: about, and rather too much.

    Returns
    -------
    int
    """
    free = free_device_memory(X)
    if free is None or not isinstance(net, MLP):
        return min(count, 1)
    n_slots, n_samples = len(optimizer.init(np.zeros(1)).slots), len(X)
    size = (8 + 4 * n_slots) * net.n_parameters
    size += n_samples * (12 * sum(net.widths) + 2 * n_samples)
    room = max(1, min(LARGEST_BATCH, free // (size * X.itemsize)))
    return math.ceil(count / math.ceil(count / room))


class Together(EngineMaker):
    """Of several networks that differ in θ_0, batches and numbers of their optimizers."""

    def engine(self, tracks: Sequence[Track]) -> Engine:
        """One engine for all, with one optimizer where they have the same."""
        tasks: list[Any] = [track.task for track in tracks]
        first = tasks[0]
        optimizers = [task.optimizer for task in tasks]
        same = all(one == optimizers[0] for one in optimizers)
        thetas = namespace(first.theta).stack([task.theta for task in tasks])
        several = first.of_several(thetas, optimizers[0] if same else StackedOptimizers(optimizers))
        return first.engine_type(several)

    def part(self, engine: Engine, place: int, track: Track) -> Engine:
        """An engine of one network, with its part of the arrays."""
        return _restored(track.task.engine(), engine.arrays(), place)

    def rest(self, engine: Engine, places: Sequence[int], tracks: Sequence[Track]) -> Engine:
        """An engine of fewer networks, with their part of the arrays."""
        return _restored(self.engine(tracks), engine.arrays(), places)


def _restored(engine: Engine, arrays: Mapping[str, Any], places: int | Sequence[int]) -> Engine:
    """The engine, with the part of other ``arrays`` that is at these places."""
    engine.restore({name: a[places] if a.ndim else a for name, a in arrays.items()})
    return engine


def _train_together(
    tasks: dict[int, TrainingTask],
    horizon: Horizon,
    progress: Callable[[int, float], object] | None,
) -> list[TrainingRun | DivergenceError]:
    """Train networks at once.

    Parameters
    ----------
    tasks : dict of int to TrainingTask
        By the network's place; of one network, X, Y, dtype and kind of optimizer.
    horizon : Horizon
    progress : callable or None

    Returns
    -------
    list of TrainingRun or DivergenceError
    """
    tracks = [
        Track(task, horizon, warning=rise_warning(task, horizon, s)) for s, task in tasks.items()
    ]
    return carry_out(tracks, Together(), progress=progress)
