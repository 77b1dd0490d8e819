"""Training of the real network from several initializations, on a GPU in one batch."""

import math
from collections.abc import Iterable

import numpy as np

from ntklin.edge.arrays import rows_of
from ntklin.edge.backends import free_device_memory, namespace
from ntklin.edge.errors import DivergenceError, TrainingInterrupted
from ntklin.networks.mlp import MLP
from ntklin.runs import stepping
from ntklin.runs.batches import Batches, Schedule
from ntklin.runs.losses import Loss
from ntklin.runs.optimizers import Optimizer
from ntklin.training.course import Course
from ntklin.training.engines import Several, engine_for
from ntklin.training.train import as_problem, train_one, with_learning_rate

# The most networks in a batch; a card is busy with far fewer.
MOST = 4096


def train_ensemble(
    net,
    thetas,
    X,
    Y,
    optimizer=None,
    steps=None,
    until=None,
    batches=None,
    loss="squared",
    *,
    progress=None,
):
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
    Y : ndarray, shape (N,)
        Between 0 and 1 for the logistic loss.
    optimizer : Optimizer, or list with one for each θ_0, optional
        ``GradientDescent()`` when not given; its default η is each network's own,
        0.5 N/λ_max(K(X, X)) at its θ_0.
    steps : int, optional
        The number of the last step.
    until : float, optional
        A network stops when its loss first drops below this; 1e-5 when neither is given.
    batches : Batches, or list with one or None for each θ_0, optional
        The samples that each step sees; ``Batches(0.1, rng=seed)`` for one.
    loss : {"squared", "logistic"}
    progress : callable, optional
        Called as ``progress(step, loss)`` about ten times a second, with the largest loss of those
        that are trained at the time.

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
    problems = _as_problems(net, thetas, X, Y)
    _, X, Y = problems[0]
    kind, count = Loss(loss), len(problems)
    kind.check_targets(Y)
    steps, until = stepping.as_horizon(steps, until)
    batches = _one_each(batches, count, Batches, "batches")
    for one in batches:
        Schedule(one, len(X))  # refuses a size above N
    optimizers = [
        with_learning_rate(one, net, theta, X, name=f"thetas[{s}]")
        for s, (one, (theta, X, _)) in enumerate(
            zip(_one_each(optimizer, count, Optimizer, "optimizer"), problems, strict=True)
        )
    ]
    results = [None] * count
    for group in _groups(net, problems, optimizers):
        while group:
            size = _how_many(net, X, optimizers[group[0]], len(group))
            now, group = group[:size], group[size:]
            if size > 1:
                courses = {
                    s: Course(
                        *(net, *problems[s], optimizers[s], kind, batches[s]),
                        engine_for("auto", net, X, optimizers[s]),
                        until,
                    )
                    for s in now
                }
                _train_together(courses, steps, progress, results)
                continue
            (s,) = now
            try:
                results[s] = train_one(
                    *(net, *problems[s], optimizers[s]),
                    steps=steps,
                    until=until,
                    batches=batches[s],
                    loss=loss,
                    method="auto",
                    progress=progress,
                    watched=batches[s] is None,
                    index=s,
                )
            except DivergenceError as e:
                results[s] = e.with_traceback(None)  # which would hold on to the engine
            except TrainingInterrupted as e:
                results[s] = e.run
                raise TrainingInterrupted(e.run, results) from None
    return results


def _as_problems(net, thetas, X, Y):
    """(θ_0, X, Y) of each network, checked, in their common dtype; X and Y are shared."""
    thetas = rows_of(thetas, "thetas")
    if getattr(thetas, "ndim", 2) != 2:
        raise ValueError(
            f"thetas must be a sequence of vectors or have shape (S, {net.n_parameters}), got "
            f"shape {thetas.shape}"
        )
    if not isinstance(thetas, Iterable):
        raise TypeError(f"thetas must be a sequence of vectors, got {thetas!r}")
    problems, shared = [], {}
    for s, theta in enumerate(thetas):
        theta, *data = as_problem(net, theta, X, Y, name=f"thetas[{s}]")
        problems.append((theta, *shared.setdefault(theta.dtype, data)))
    if not problems:
        raise ValueError("thetas is empty: there is nothing to train")
    return problems


def _one_each(value, count, kind, name):
    """A list of ``value`` for every network, or of the one that it holds for each."""
    if value is None or isinstance(value, kind):
        return [value] * count
    listed = isinstance(value, list | tuple)
    if not listed or not all(one is None or isinstance(one, kind) for one in value):
        raise TypeError(
            f"{name} must be ntklin.{kind.__name__}, or a list with one for each θ_0, got {value!r}"
        )
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} entries for {count} θ_0")
    return list(value)


def _groups(net, problems, optimizers):
    """Lists of the networks that can be trained together, in the order of their first ones."""
    groups = {}
    for s, ((theta, _, _), optimizer) in enumerate(zip(problems, optimizers, strict=True)):
        on_gpu = namespace(theta) is not np
        together = on_gpu and isinstance(net, MLP) and optimizer.rule is not None
        key = (type(optimizer), theta.dtype) if together else s
        groups.setdefault(key, []).append(s)
    return groups.values()


def _how_many(net, X, optimizer, count):
    """How many of ``count`` networks to train next: all, or a share that memory has room for.

    A network takes θ with its slots, the copies to go back to, the gradient, what CuPy's products
    copy, what is kept of its end, and passes over N inputs: about, and rather too much.
    """
    free = free_device_memory(X)
    if free is None:
        return min(count, 1)
    n_slots, n_samples = len(optimizer.init(np.zeros(1)).slots), len(X)
    size = (8 + 4 * n_slots) * net.n_parameters
    size += n_samples * (12 * sum(net.widths) + 2 * n_samples)
    room = max(1, min(MOST, free // (size * X.itemsize)))
    return math.ceil(count / math.ceil(count / room))


class _Schedules:
    """The weights of the samples in the steps of several networks."""

    def __init__(self, courses, start):
        n_samples = len(courses[0].X)
        self._schedules = [Schedule(one.batches, n_samples, start=start) for one in courses]
        self.n_samples = n_samples * len(courses)

    def take(self, steps, dtype):
        """The weights of the next steps, shape (steps, S, N)."""
        return np.stack([one.take(steps, dtype) for one in self._schedules], axis=1)


def _engine(courses):
    """An engine of several networks at their θ_0."""
    first = courses[0]
    optimizers = [one.optimizer for one in courses]
    same = all(one == optimizers[0] for one in optimizers)
    xp = namespace(first.theta)
    return first.engine_type(
        *(first.net, xp.stack([one.theta for one in courses]), first.X, first.Y),
        *(optimizers[0] if same else Several(optimizers), first.loss),
    )


def _restored(engine, arrays, places):
    """The engine, with the part of other ``arrays`` that is at these places."""
    engine.restore({name: a[places] if a.ndim else a for name, a in arrays.items()})
    return engine


def _train_together(courses, steps, progress, results):
    """Train networks at once and write what they end in to ``results``.

    The first that ends interrupts all; it leaves, and the others go on without it.

    Parameters
    ----------
    courses : dict of int to Course
        By the network's place in ``results``; of one network, X, Y, dtype and kind of optimizer.
    """
    places, going = list(courses), list(courses.values())
    engine = _engine(going)
    for course, value in zip(going, engine.loss().tolist(), strict=True):
        course.start([value])
    watches = {
        s: course.watch(stacklevel=6, index=s)
        for s, course in courses.items()
        if course.batches is None
    }

    def note(new):
        for s, column in zip(places, new.T, strict=True):
            courses[s].losses.extend(column.tolist())
            if s in watches:
                watches[s](column)

    def tell(step, losses):
        progress(step, float(np.max(losses)))

    history, interrupted = [None], False
    while going and not interrupted:
        history[-1] = [course.losses[-1] for course in going]
        try:
            stepping.run(
                engine,
                _Schedules(going, start=len(history) - 1),
                history,
                steps=steps,
                until=going[0].until,
                ceiling=np.array([course.ceiling for course in going]),
                on_block=note,
                progress=None if progress is None else tell,
            )
        except stepping.Interrupted:
            interrupted = True
        over = interrupted or len(history) - 1 == steps
        arrays, left = engine.arrays(), []
        for k, (s, course) in enumerate(zip(places, going, strict=True)):
            if course.diverged and not interrupted:
                results[s] = course.error()
            elif over or course.converged:
                results[s] = course.run(_restored(course.engine(), arrays, k))
            else:
                left.append(k)
        stopped = places
        places, going = [places[k] for k in left], [going[k] for k in left]
        if going:
            engine = _restored(_engine(going), arrays, left)
    if interrupted:
        raise TrainingInterrupted(results[stopped[0]], results)
