"""What takes the steps of a run, and the choice among several that take the same ones."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numba import get_num_threads

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, namespace
from ntklin.edge.checks import NEGLIGIBLE, as_word, fits, require_memory
from ntklin.kernels.ends import End, goes_on
from ntklin.runs.losses import Loss
from ntklin.runs.optimizer import OptimizerState

_log = logging.getLogger("ntklin.runs")

# Tables of subset sums, gradients and the like, for each thread, in numbers of the arrays' dtype.
EACH_THREAD = 1 << 17
# Bytes of a row of a tile, on machines with the widest vectors.
TILE_BYTES = 256
# Neurons whose signals a thread holds at a time, where these are no constants.
SLAB = 256


# What users may choose by; each of the two networks has an engine of each name.
MethodName = Literal["auto", "reduced", "fused", "direct"]


class Engine(ABC):
    """Takes the steps of one run, in whatever layout of θ is fastest.

    Made from a task (see :class:`ntklin.runs.task.Task`), at its θ_0. Three functions of its class
    tell where it serves: ``requires``, ``pays`` and ``needs``.

    An engine may also train S networks at once: its losses are then (S,) vectors, ``until`` and
    ``ceiling`` too, and a row of sample weights is (S, N).
    """

    #: The name it is chosen by.
    method: ClassVar[str]
    #: Whether steps that are taken again from the same ``arrays`` are the same to the last bit.
    repeats: bool = True
    #: Whether it takes all steps that it is given, whatever their losses: on a GPU, which would
    #: have to stop for each of them.
    is_blind: bool = False
    dtype: np.dtype[Any]

    @abstractmethod
    def __init__(self, task: Any) -> None:
        """At the θ_0 of a task."""

    @staticmethod
    @abstractmethod
    def requires(task: Any) -> str | None:
        """What the task lacks for this engine; None where it serves."""

    @staticmethod
    @abstractmethod
    def pays(task: Any) -> bool:
        """Whether it is the one to take where it serves and none before it does."""

    @staticmethod
    @abstractmethod
    def needs(task: Any) -> int:
        """About how many bytes it holds on a CPU at its peak."""

    @abstractmethod
    def loss(self) -> float | Array:
        """L(f_t) on all samples."""

    @abstractmethod
    def advance(self, weights: Array, until: float | Array, ceiling: float | Array) -> Array:
        """Take a step for each row of sample weights.

        Parameters
        ----------
        weights : ndarray, shape (k, N)
            See :class:`ntklin.runs.batches.SampleWeights`.
        until, ceiling : float
            It stops after a step whose loss is below ``until``, above ``ceiling`` or NaN, unless
            it ``is_blind``.

        Returns
        -------
        ndarray, shape (j,)
            The losses after each step that was taken, 1 ≤ j ≤ k.
        """

    @abstractmethod
    def arrays(self) -> Mapping[str, Any]:
        """All that a run needs to go on with the same bits; no copies."""

    def keep(self) -> Mapping[str, Any]:
        """``arrays()`` that stay as they are when the engine goes on."""
        return {name: a.copy() for name, a in self.arrays().items()}

    @abstractmethod
    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Go on where an engine of the same task was when its ``arrays()`` were taken."""

    @abstractmethod
    def optimizer_state(self) -> OptimizerState:
        """The optimizer's state after t steps."""


class Stepwise(Engine):
    """An engine that takes its steps one by one.

    Subclasses hold ``_targets``, ``_optimizer``, ``_loss``, the outputs f_t(X) in ``_outputs``, of
    the shape of the targets, after an axis S for several networks; and have ``_step(slopes,
    weights)``, which takes a step along φ(X)^T slopes and renews the outputs.
    """

    _targets: Array
    _optimizer: Any
    _loss: Loss
    _outputs: Array

    @property
    def repeats(self) -> bool:
        """A rule of the caller's own may remember, so that no step of it is taken twice."""
        return self._optimizer.rule is not None

    @property
    def is_blind(self) -> bool:
        """On a GPU, where steps can be repeated."""
        return self.repeats and namespace(self._targets) is not np

    def loss(self) -> float | Array:
        """L(f_t) on all samples."""
        return self._loss.value(self._outputs, self._targets)

    def advance(self, weights: Array, until: float | Array, ceiling: float | Array) -> Array:
        """Take a step for each row of sample weights; see :class:`Engine`."""
        if self.is_blind:
            return self._take_all(weights)
        losses, end = [], End(until, ceiling)
        # A diverging run is told by its loss, and what fades is rounding.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for w in weights:
                slopes = self._loss.derivative(self._outputs, self._targets)
                self._step(self._each_output(beside(w, slopes)) * slopes, w)
                losses.append(self.loss())
                if not goes_on(losses[-1], end):
                    break
        return np.array(losses)

    def _take_all(self, weights: Array) -> Array:
        """Without waiting for any loss before the last step is under way."""
        xp = namespace(self._targets)
        losses = xp.empty(weights.shape[:-1])
        for t, (w, row) in enumerate(zip(weights, xp.asarray(weights), strict=True)):
            slopes = self._loss.derivative(self._outputs, self._targets)
            self._step(self._each_output(row) * slopes, w)
            losses[t] = self._loss.mean(self._outputs, self._targets)
        return host(losses)

    def _each_output(self, weights: Array) -> Array:
        """Sample weights (N,) or (S, N) such that they multiply what each output has."""
        return weights if self._targets.ndim == 1 else weights[..., None]

    @abstractmethod
    def _step(self, slopes: Array, weights: Array) -> None:
        """One step along φ(X)^T slopes, with the sample weights that are in them already.

        Parameters
        ----------
        slopes : ndarray, shape (N,) or (N, C)
            Or (S, N) or (S, N, C).
        weights : ndarray, shape (N,) or (S, N)
        """


def choose(engines: Mapping[str, type[Engine]], method: str, task: Any) -> type[Engine]:
    """The engine that ``method`` names, or with ``"auto"`` the first that serves, pays and fits.

    Parameters
    ----------
    engines : dict of str to type
        By their ``method``; the last one always serves and pays.
    method : str
    task : Task

    Returns
    -------
    type
        Of the engine.

    Raises
    ------
    ValueError
        If the method is unknown, or lacks something.
    MemoryLimitError
        If the engine, or with ``"auto"`` every one that pays, holds more than is free.
    """
    serving = [engine for engine in engines.values() if engine.requires(task) is None]
    less = "take fewer inputs, a smaller network or float32 arrays"
    if isinstance(method, str) and method == "auto":
        paying = [engine for engine in serving if engine.pays(task)]
        fitting = paying if not task.on_cpu else (one for one in paying if _fits(one, task))
        found = next(iter(fitting), None)
        if found is None:
            found = min(paying, key=lambda engine: engine.needs(task))
            _require(found, task, less)
        if _log.isEnabledFor(logging.INFO):
            _log.info("method='auto' takes %r: %s", found.method, _reasons(engines, found, task))
        return found
    as_word(method, ("auto", *engines), name="method")
    missing = engines[method].requires(task)
    if missing is not None:
        raise ValueError(f"method={method!r} needs {missing}; use method='direct'")
    if task.on_cpu:
        others = [engine for engine in serving if _fits(engine, task)]
        if others:
            less = f"method={others[0].method!r} needs no more than is free"
        _require(engines[method], task, less)
    return engines[method]


def _reasons(engines: Mapping[str, type[Engine]], taken: type[Engine], task: Any) -> str:
    """Why those that are asked before it are not taken, in words."""
    found = []
    for engine in engines.values():
        if engine is taken:
            break
        missing = engine.requires(task)
        reason = "is not faster here" if not engine.pays(task) else "does not fit into memory"
        reason = reason if missing is None else f"needs {missing}"
        found.append(f"{engine.method!r} {reason}")
    return "; ".join(found) or "the first that there is"


def _is_small(size: int, task: Any) -> bool:
    """Whether a run takes little beside the threads' tables, and may go without asking."""
    return size <= NEGLIGIBLE + task.dtype.itemsize * workspace(0)


def _fits(engine: type[Engine], task: Any) -> bool:
    size = engine.needs(task)
    return _is_small(size, task) or fits(size)


def _require(engine: type[Engine], task: Any, advice: str) -> None:
    size = engine.needs(task)
    if not _is_small(size, task):
        what = f"training on {task.n_samples} inputs with method={engine.method!r}"
        require_memory(size, what, advice)


def workspace(n_samples: int) -> int:
    """Tables for each thread, and vectors of the length N: outputs, slopes, weights, places."""
    return EACH_THREAD * get_num_threads() + 12 * n_samples


def slabs(n_samples: int, n_neurons: int) -> int:
    """What the threads hold of the signals of slabs of neurons, a whole number of words of them."""
    return get_num_threads() * min(SLAB, -(-n_neurons // 32) * 32) * n_samples


def whole_tiles(n_columns: int, itemsize: int) -> int:
    """So many columns, rounded up to whole tiles."""
    width = TILE_BYTES // itemsize
    return -(-n_columns // width) * width
