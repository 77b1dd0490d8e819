"""What all optimizers share, and what they remember between steps.

An optimizer is a rule on flat arrays and knows no network. It is ``init`` and ``update``, both
pure, and is the same for the real and for the linearized network. ``step`` is ``update`` in place,
for training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, contiguous, kernels, namespace
from ntklin.edge.checks import as_step, as_vector
from ntklin.edge.errors import FloatRangeError
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.values import said
from ntklin.runs.schedules import LearningRate, rate_at, rates

# Before the names of slots among a run's arrays.
SLOT = "slot."


@dataclass(frozen=True, eq=False, repr=False)
class OptimizerState(Shown):
    """What an optimizer remembers between steps; equal to another of the same count and arrays.

    Attributes
    ----------
    count : int
        The number of steps taken.
    slots : dict of str to ndarray
        By name: running sums and means of shape (P,), nothing for gradient descent, and for
        ``Preconditioned`` the latest D_t.
    """

    count: int = 0
    slots: dict[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OptimizerState):
            return NotImplemented
        return (
            self.count == other.count
            and self.slots.keys() == other.slots.keys()
            and all(
                a.dtype == other.slots[name].dtype and np.array_equal(a, other.slots[name])
                for name, a in self.slots.items()
            )
        )

    def _facts(self) -> Facts:
        return facts("OptimizerState", steps=self.count, slots=", ".join(self.slots) or None)

    def copy(self) -> OptimizerState:
        """The same with arrays of its own."""
        return OptimizerState(self.count, {name: a.copy() for name, a in self.slots.items()})

    def arrays(self) -> dict[str, Any]:
        """What a saved run keeps of it, by name; no copies."""
        slots = {SLOT + name: a for name, a in self.slots.items()}
        return {"count": np.array(self.count)} | slots

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], like: Array) -> OptimizerState:
        """The state of such arrays, among others, in copies where the array ``like`` is."""
        slots = {
            name.removeprefix(SLOT): beside(a, like).copy()
            for name, a in arrays.items()
            if name.startswith(SLOT)
        }
        return cls(int(arrays["count"]), slots)


class Optimizer:
    """What all optimizers share. Subclasses are frozen dataclasses with a ``learning_rate``."""

    #: η, a number or a callable t → η_t; None where a run is to take its default.
    learning_rate: Any
    #: λ of the decay: L + (λ/2)‖θ‖² is what is minimized, while L is what is reported.
    weight_decay: Any = 0.0
    #: Whether θ ← (1 − η_t λ) θ comes before the rule's step, in the place of g_t ← g_t + λ θ_t.
    decoupled: Any = False
    #: Fields that a saved run does not name where they have their defaults: it may be older.
    later: ClassVar[tuple[str, ...]] = ("weight_decay", "decoupled")
    #: The name of its compiled rule; None where only ``step`` knows what to do.
    rule: Any = None
    _slots: Any = ()

    @property
    def is_preconditioner(self) -> bool:
        """Whether a step is −η D_t ∇L (Eq. 6); with a velocity or decay only D_t is shared."""
        return not self.weight_decay

    @property
    def has_schedule(self) -> bool:
        """Whether the learning rate depends on the step."""
        return callable(self.learning_rate)

    def rate(self, t: int) -> Any:
        """The learning rate η_t of the step t = 0, 1, ….

        Parameters
        ----------
        t : int

        Returns
        -------
        float
        """
        self._require_learning_rate()
        return rate_at(self.learning_rate, as_step(t))

    def rates(self, start: int, stop: int) -> NDArray[np.float64]:
        """η_t of the steps ``start`` … ``stop`` − 1; see :func:`ntklin.runs.schedules.rates`."""
        start, stop = as_step(start, name="start"), as_step(stop, name="stop")
        if stop < start:
            raise ValueError(f"stop = {stop} is below start = {start}")
        return rates(self.learning_rate, start, stop)

    def _rate_before(self, count: int) -> Any:
        """η of the step that is the ``count``-th, from 1 on."""
        return self.rate(as_step(count, name="count", minimum=1) - 1)

    def coefficients(self, count: int) -> tuple[float, ...]:
        """The numbers of step ``count`` = 1, 2, … as the compiled rule takes them."""
        raise NotImplementedError

    def init(self, theta: ArrayLike) -> OptimizerState:
        """The state before the first step.

        Parameters
        ----------
        theta : ndarray, shape (P,)

        Returns
        -------
        OptimizerState
        """
        theta = as_array(theta, "theta")
        theta = as_vector(theta, theta.size, name="theta")
        return OptimizerState(0, {name: np.zeros_like(theta) for name in self._slots})

    def update(
        self, state: OptimizerState, theta: ArrayLike, gradient: ArrayLike
    ) -> tuple[Array, OptimizerState]:
        """One step.

        Parameters
        ----------
        state : OptimizerState
        theta, gradient : ndarray, shape (P,)
            The step is taken in the precision of ``theta``. Nothing that is passed is changed.

        Returns
        -------
        theta : ndarray, shape (P,)
        state : OptimizerState

        Raises
        ------
        TypeError
            For a ``state`` that is none.
        ValueError
            If ``state`` is of another optimizer or of other parameters, or a number is not finite.
        FloatRangeError
            If the step overflows.

        Examples
        --------
        >>> import numpy as np, ntklin
        >>> rule, theta = ntklin.AdaGrad(0.1), np.array([1.0, 2.0])
        >>> theta, state = rule.update(rule.init(theta), theta, gradient=np.array([3.0, 0.0]))
        >>> theta
        array([0.9, 2. ])
        >>> rule.preconditioner(state).round(4)
        array([0.3333, 0.    ])
        """
        _require_state(state)
        theta = as_array(theta, "theta")
        theta = as_vector(theta, theta.size, name="theta").copy()
        gradient = as_vector(gradient, len(theta), name="gradient", dtype=theta.dtype)
        after = self.step(state.copy(), theta, gradient)
        if not bool(namespace(theta).isfinite(theta).all()):
            raise FloatRangeError(
                f"a step by this gradient leaves the range of {theta.dtype}; scale it"
            )
        return theta, after

    def step(
        self,
        state: OptimizerState,
        theta: Array,
        gradient: Array,
        origin: Array | None = None,
    ) -> OptimizerState:
        """``update`` in place: changes ``theta`` and the state's arrays, returns the new state.

        Parameters
        ----------
        state : OptimizerState
        theta, gradient : ndarray, shape (P,)
            Contiguous, of one dtype.
        origin : ndarray, shape (P,), optional
            What weight decay adds to ``theta``, where that is θ_t − θ_0: θ_0.

        Returns
        -------
        OptimizerState
            With the arrays of ``state``.
        """
        self._require_learning_rate()
        slots, count = self._ordered(state, theta), state.count + 1
        if self.weight_decay:
            gradient = self._decay(state.count, theta, gradient, origin)
        gradient = contiguous(gradient)
        kernels(theta).update(self.rule, self.coefficients(count), theta, slots, gradient)
        return OptimizerState(count, state.slots)

    def preconditioner(self, state: OptimizerState) -> float | Array:
        """D_{t−1} of Eq. (6), the one that the latest step used.

        Parameters
        ----------
        state : OptimizerState
            After at least one step, unless D is the same for all of them.

        Returns
        -------
        float, or ndarray, shape (P,) or (P, P)
            A multiple of 1, the diagonal, or a full matrix where the caller gave one. A coordinate
            that never had a gradient has D = 0: every step so far left it where it is whatever D
            is there, so that it does not enter K_D, and it is left out of every norm of D. One
            that had a gradient has D = 1/ε where its squares have come to 0 again; D = 0 if ε = 0,
            where the steps leave it.
        """
        return 1.0

    def with_learning_rate(self, learning_rate: LearningRate) -> Self:
        """The same optimizer with another learning rate."""
        again: Any = self
        return replace(again, learning_rate=learning_rate)

    def _decay(self, t: int, theta: Array, gradient: Array, origin: Array | None) -> Array:
        """The gradient with decay in it; decoupled decay moves θ instead."""
        whole = theta if origin is None else origin + theta
        with np.errstate(over="ignore", under="ignore"):
            if not self.decoupled:
                return gradient + self.weight_decay * whole
            theta -= (self.rate(t) * self.weight_decay) * whole
        return gradient

    def _require_learning_rate(self) -> None:
        if self.learning_rate is None:
            raise ValueError(
                "learning_rate is not set: train() and linearize(...).train() take 0.5 N/λ_max "
                "then, but a single step has no kernel to take it from"
            )

    def _require_a_step(self, state: OptimizerState) -> None:
        _require_state(state)
        if state.count == 0:
            raise ValueError(
                f"state has taken no step: {type(self).__name__} knows its D_0 after the first one"
            )

    def _ordered(self, state: OptimizerState, theta: Array) -> tuple[Array, ...]:
        """The state's arrays in the rule's order; the kernel would overrun any of another size."""
        slots = state.slots
        fits = slots.keys() == set(self._slots) and all(
            a.shape == theta.shape and a.dtype == theta.dtype for a in slots.values()
        )
        if not fits:
            held = ", ".join(f"{name} {a.shape} {a.dtype}" for name, a in slots.items())
            raise ValueError(
                f"state does not fit {type(self).__name__} on theta {theta.shape} {theta.dtype}: "
                f"it holds {held or 'nothing'}; make it with init(theta)"
            )
        return tuple(slots[name] for name in self._slots)

    def _check(self, **checks: Callable[..., Any]) -> None:
        for name, check in checks.items():
            object.__setattr__(self, name, check(getattr(self, name), name=name))


def _require_state(state: Any) -> None:
    if not isinstance(state, OptimizerState):
        raise TypeError(f"state must be what init(theta) or a step returned, got {said(state)}")
