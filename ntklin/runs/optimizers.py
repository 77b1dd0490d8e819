"""Optimizers as rules on flat arrays; they know no network.

Definitions and defaults are PyTorch's. Each rule is ``init`` and ``update``, both pure, and is the
same for the real and for the linearized network. ``step`` is ``update`` in place, for training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, as_array, rows_of
from ntklin.edge.backends import beside, contiguous, freeze, kernels, namespace
from ntklin.edge.checks import as_flag, as_fraction, as_learning_rate, as_nonnegative, as_vector
from ntklin.edge.errors import FloatRangeError

# Before the names of slots among a run's arrays.
SLOT = "slot."


@dataclass(frozen=True, eq=False)
class OptimizerState:
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

    #: η; None where a run is to take its default.
    learning_rate: Any
    #: The name of its compiled rule; None where only ``step`` knows what to do.
    rule: ClassVar[str | None] = None
    _slots: ClassVar[tuple[str, ...]] = ()
    #: Whether a step is −η D_t g_t (Eq. 6); with a velocity it is not, and only D_t is shared.
    is_preconditioner: ClassVar[bool] = True

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
        if not isinstance(state, OptimizerState):
            raise TypeError(f"state must be what init(theta) or a step returned, got {state!r}")
        theta = as_array(theta, "theta")
        theta = as_vector(theta, theta.size, name="theta").copy()
        gradient = as_vector(gradient, len(theta), name="gradient", dtype=theta.dtype)
        return theta, self.step(state.copy(), theta, gradient)

    def step(self, state: OptimizerState, theta: Array, gradient: Array) -> OptimizerState:
        """``update`` in place: changes ``theta`` and the state's arrays, returns the new state.

        The arrays are contiguous and of one dtype.

        Returns
        -------
        OptimizerState
            With the arrays of ``state``.
        """
        self._require_learning_rate()
        slots, gradient = self._ordered(state, theta), contiguous(gradient)
        count = state.count + 1
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

    def with_learning_rate(self, learning_rate: float) -> Self:
        """The same optimizer with another learning rate."""
        again: Any = self
        return replace(again, learning_rate=learning_rate)

    def _require_learning_rate(self) -> None:
        if self.learning_rate is None:
            raise ValueError(
                "learning_rate is not set: train() and linearize(...).train() take 0.5 N/λ_max "
                "then, but a single step has no kernel to take it from"
            )

    def _require_a_step(self, state: OptimizerState) -> None:
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


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Gradient descent, θ_{t+1} = θ_t − η ∇L(θ_t).

    Parameters
    ----------
    learning_rate : float, optional
        η for the loss L = ‖f(X) − Y‖²/(2N). When not given, 0.5 N/λ_max(K(X, X)) at θ_0, a quarter
        of the stability bound 2N/λ_max of the linearized network (App. D, whose 0.5/λ_max absorbs
        the 1/N of the loss).
    """

    learning_rate: float | None = None

    rule = "descent"

    def __post_init__(self) -> None:
        if self.learning_rate is not None:
            self._check(learning_rate=as_learning_rate)

    def coefficients(self, count: int) -> tuple[Any, ...]:
        """η."""
        return (self.learning_rate,)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with a velocity, as ``torch.optim.SGD(momentum=...)``.

    v_{t+1} = μ v_t + g_t and θ_{t+1} = θ_t − η v_{t+1} (heavy ball), or θ_t − η (g_t + μ v_{t+1})
    with ``nesterov``; v_0 = 0.

    Parameters
    ----------
    learning_rate : float
        η.
    momentum : float
        0 ≤ μ < 1.
    nesterov : bool
    """

    learning_rate: float
    momentum: float = 0.9
    nesterov: bool = False

    rule = "momentum"
    _slots = ("velocity",)
    is_preconditioner = False

    def __post_init__(self) -> None:
        self._check(learning_rate=as_learning_rate, momentum=as_fraction, nesterov=as_flag)

    def coefficients(self, count: int) -> tuple[float, ...]:
        """η, μ, and what g_t and v_{t+1} contribute to the step."""
        mu = self.momentum
        return (self.learning_rate, mu, *((1.0, mu) if self.nesterov else (0.0, 1.0)))


def _inverse_root(squares: Array, eps: float, scale: float = 1.0) -> Array:
    """1/(scale √squares + ε) as the compiled rules have it, and 0 where no gradient ever came.

    There squares are 0. The least number above 0 marks squares that came to nothing again.

    Returns
    -------
    ndarray, of the shape and dtype of ``squares``
    """
    number, least = squares.dtype.type, np.finfo(squares.dtype).smallest_subnormal
    root = number(scale) * np.sqrt(squares) + number(eps)
    known = squares > (0 if eps else least)
    return np.where(known, 1 / np.where(known, root, number(1)), number(0))


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad, Eq. (6) with D_t = 1/(√(Σ_{u≤t} g_u²) + ε): the sum includes step t.

    Parameters
    ----------
    learning_rate : float
        η.
    eps : float
        ε ≥ 0; with ε = 0, too, a coordinate without gradient stays where it is.
    """

    learning_rate: float
    eps: float = 1e-10

    rule = "adagrad"
    _slots = ("squares",)

    def __post_init__(self) -> None:
        self._check(learning_rate=as_learning_rate, eps=as_nonnegative)

    def coefficients(self, count: int) -> tuple[float, ...]:
        """η, what squares and their sum are multiplied by, and ε."""
        return self.learning_rate, 1.0, 1.0, self.eps

    def preconditioner(self, state: OptimizerState) -> float | Array:
        """D_{t−1} = 1/(√(Σ g²) + ε), (P,)."""
        self._require_a_step(state)
        return _inverse_root(state.slots["squares"], self.eps)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop, Eq. (6) with D_t = 1/(√s_t + ε), s_t = α s_{t−1} + (1 − α) g_t², s_{−1} = 0.

    Parameters
    ----------
    learning_rate : float
        η.
    alpha : float
        0 ≤ α < 1.
    eps : float
        ε ≥ 0.
    """

    learning_rate: float
    alpha: float = 0.99
    eps: float = 1e-8

    rule = "rmsprop"
    _slots = ("squares",)

    def __post_init__(self) -> None:
        self._check(learning_rate=as_learning_rate, alpha=as_fraction, eps=as_nonnegative)

    def coefficients(self, count: int) -> tuple[float, ...]:
        """η, α, 1 − α, ε."""
        return self.learning_rate, self.alpha, 1 - self.alpha, self.eps

    def preconditioner(self, state: OptimizerState) -> float | Array:
        """D_{t−1} = 1/(√s + ε), (P,)."""
        self._require_a_step(state)
        return _inverse_root(state.slots["squares"], self.eps)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with bias correction.

    m_t = β_1 m_{t−1} + (1 − β_1) g_t and s_t = β_2 s_{t−1} + (1 − β_2) g_t², both 0 at first, then
    θ_{t+1} = θ_t − η D_t m_t/(1 − β_1^{t+1}) with D_t = 1/(√(s_t/(1 − β_2^{t+1})) + ε). The mean m
    makes it more than Eq. (6).

    Parameters
    ----------
    learning_rate : float
        η.
    betas : pair of float
        0 ≤ β_1, β_2 < 1.
    eps : float
        ε ≥ 0.
    """

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    rule = "adam"
    _slots = ("means", "squares")
    is_preconditioner = False

    def __post_init__(self) -> None:
        self._check(learning_rate=as_learning_rate, eps=as_nonnegative)
        betas = rows_of(self.betas, "betas")
        try:
            first, second = betas
        except (TypeError, ValueError):
            raise TypeError(f"betas must be a pair (β_1, β_2), got {self.betas!r}") from None
        betas = as_fraction(first, name="betas[0]"), as_fraction(second, name="betas[1]")
        object.__setattr__(self, "betas", betas)

    def coefficients(self, count: int) -> tuple[float, ...]:
        """η with the bias correction of step ``count``, the weights of means and squares, and ε."""
        first, second = self.betas
        return (
            *(self.learning_rate / (1 - first**count), 1 - first, second, 1 - second),
            *(1 / np.sqrt(1 - second**count), self.eps),
        )

    def preconditioner(self, state: OptimizerState) -> float | Array:
        """D_{t−1} = 1/(√(s/(1 − β_2^t)) + ε), (P,)."""
        self._require_a_step(state)
        correction = 1 / np.sqrt(1 - self.betas[1] ** state.count)
        return _inverse_root(state.slots["squares"], self.eps, correction)


@dataclass(frozen=True)
class Preconditioned(Optimizer):
    """Eq. (6) with any D_t: θ_{t+1} = θ_t − η D_t ∇L(θ_t).

    Parameters
    ----------
    learning_rate : float
        η.
    fn : callable
        ``fn(t, gradient)`` returns D_t for the step t = 0, 1, …: a number ≥ 0, the diagonal (P,)
        with entries ≥ 0, or a matrix (P, P), which small problems can hold. ``gradient`` is
        read-only. A run that is to be continued needs a ``fn`` without memory of its own; one that
        is to be pickled needs a ``fn`` that can be imported.
    """

    learning_rate: float
    fn: Callable[[int, Array], ArrayLike]

    def __post_init__(self) -> None:
        self._check(learning_rate=as_learning_rate)
        if not callable(self.fn):
            raise TypeError(f"fn must be callable as fn(t, gradient), got {self.fn!r}")

    def step(self, state: OptimizerState, theta: Array, gradient: Array) -> OptimizerState:
        """``update`` in place, with D_t from ``fn``."""
        D = self._matrix(state.count, gradient)
        with np.errstate(over="ignore", under="ignore"):
            rate = theta.dtype.type(self.learning_rate)
        if rate == 0 or not np.isfinite(rate):
            raise FloatRangeError(
                f"learning_rate = {self.learning_rate:.3g} is beyond the range of {theta.dtype}; "
                "move a factor from it to what fn returns, or use float64 for theta and X"
            )
        theta -= rate * (D @ gradient if D.ndim == 2 else D * gradient)
        return OptimizerState(state.count + 1, {"D": D})

    def preconditioner(self, state: OptimizerState) -> float | Array:
        """D_{t−1}, as ``fn`` returned it."""
        self._require_a_step(state)
        D = state.slots["D"]
        return D.copy() if D.ndim else float(D)

    def _matrix(self, t: int, gradient: Array) -> Array:
        xp = namespace(gradient)
        D = as_array(self.fn(t, freeze(gradient.view())), f"fn({t}, gradient)")
        n = len(gradient)
        if D.shape not in ((), (n,), (n, n)):
            raise ValueError(
                f"fn({t}, gradient) must return a number or an array of shape ({n},) or ({n}, {n}),"
                f" got shape {D.shape}"
            )
        with np.errstate(over="ignore", under="ignore"):
            D = xp.array(D, gradient.dtype)
        if not np.isfinite(D).all():
            raise ValueError(
                f"fn({t}, gradient) returned NaN, or numbers beyond the range of {D.dtype}"
            )
        if D.ndim < 2 and bool((D < 0).any()):
            raise ValueError(f"fn({t}, gradient) returned a negative D_t; D ≥ 0 is required")
        return D
