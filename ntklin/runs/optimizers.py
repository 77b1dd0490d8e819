"""The optimizers, with PyTorch's definitions and defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array, as_array, rows_of
from ntklin.edge.backends import freeze, kernels, namespace
from ntklin.edge.checks import as_flag, as_fraction, as_nonnegative
from ntklin.edge.errors import FloatRangeError
from ntklin.edge.values import said
from ntklin.runs.optimizer import Optimizer, OptimizerState
from ntklin.runs.schedules import LearningRate, as_rate

# The checks of what most of them have.
DECAY: dict[str, Callable[..., Any]] = {"weight_decay": as_nonnegative, "decoupled": as_flag}


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Gradient descent, as ``torch.optim.SGD``.

    Plain, θ_{t+1} = θ_t − η ∇L(θ_t). With momentum μ, v_{t+1} = μ v_t + g_t and
    θ_{t+1} = θ_t − η v_{t+1} (heavy ball), or θ_t − η (g_t + μ v_{t+1}) with ``nesterov``; v_0 = 0.

    Parameters
    ----------
    learning_rate : float or callable, optional
        η, or t → η_t for the step t = 0, 1, …, such as a :class:`ntklin.Schedule`, for the loss
        L = ‖f(X) − Y‖²/(2N). When not given, 0.5 N/λ_max(K(X, X)) at θ_0, a quarter of the
        stability bound 2N/λ_max of the linearized network (App. D, whose 0.5/λ_max absorbs the 1/N
        of the loss).
    momentum : float
        0 ≤ μ < 1.
    nesterov : bool
        Needs momentum.
    weight_decay : float
        λ ≥ 0: g_t = ∇L(θ_t) + λ θ_t. All parameters decay, biases too.
    decoupled : bool
        Whether θ ← (1 − η_t λ) θ, before the step along g_t = ∇L(θ_t), in the place of that.
    """

    learning_rate: LearningRate | None = None
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False

    later = ("momentum", "nesterov", *Optimizer.later)

    def __post_init__(self) -> None:
        if self.learning_rate is not None:
            self._check(learning_rate=as_rate)
        self._check(momentum=as_fraction, nesterov=as_flag, **DECAY)
        if self.nesterov and self.rule == "descent":
            raise ValueError("nesterov=True needs a momentum above 0")

    @property
    def rule(self) -> str:
        """With a velocity where there is momentum."""
        return "momentum" if self.momentum else "descent"

    @property
    def _slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.rule == "momentum" else ()

    @property
    def is_preconditioner(self) -> bool:
        """Whether a step is −η ∇L, without velocity or decay."""
        return self.rule == "descent" and not self.weight_decay

    def coefficients(self, count: int) -> tuple[Any, ...]:
        """η; with a velocity also μ, and what g_t and v_{t+1} contribute to the step."""
        rate, mu = self._rate_before(count), self.momentum
        if self.rule == "descent":
            return (rate,)
        return (rate, mu, *((1.0, mu) if self.nesterov else (0.0, 1.0)))


@dataclass(frozen=True)
class Momentum(GradientDescent):
    """``GradientDescent`` with a velocity: momentum 0.9 unless told otherwise.

    Parameters
    ----------
    learning_rate : float or callable, optional
        η or t → η_t, and its default, as of :class:`ntklin.GradientDescent`.
    momentum : float
        0 ≤ μ < 1.
    nesterov, weight_decay, decoupled
        As of :class:`ntklin.GradientDescent`.
    """

    momentum: float = 0.9

    later = Optimizer.later

    @property
    def rule(self) -> str:
        """With a velocity, be it that of μ = 0."""
        return "momentum"


def _inverse_root(squares: Array, eps: float, scale: float = 1.0) -> Array:
    """1/(scale √squares + ε) as the compiled rules have it, and 0 where no gradient ever came.

    There squares are 0. The least number above 0 marks squares that came to nothing again.

    Returns
    -------
    ndarray, of the shape and dtype of ``squares``
    """
    number, least = squares.dtype.type, np.finfo(squares.dtype).smallest_subnormal
    root = np.sqrt(squares)
    root *= number(scale)  # in place: there are as many of them as parameters
    root += number(eps)
    with np.errstate(divide="ignore", over="ignore"):  # of what is not taken
        return np.where(squares > (0 if eps else least), 1 / root, number(0))


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad, Eq. (6) with D_t = 1/(√(Σ_{u≤t} g_u²) + ε): the sum includes step t.

    Parameters
    ----------
    learning_rate : float or callable
        η, or t → η_t for the step t = 0, 1, …, such as a :class:`ntklin.Schedule`.
    eps : float
        ε ≥ 0; with ε = 0, too, a coordinate without gradient stays where it is.
    weight_decay, decoupled
        As of :class:`ntklin.GradientDescent`.
    """

    learning_rate: LearningRate
    eps: float = 1e-10

    weight_decay: float = 0.0
    decoupled: bool = False

    rule = "adagrad"
    _slots = ("squares",)

    def __post_init__(self) -> None:
        self._check(learning_rate=as_rate, eps=as_nonnegative, **DECAY)

    def coefficients(self, count: int) -> tuple[float, ...]:
        """η, what squares and their sum are multiplied by, and ε."""
        return self._rate_before(count), 1.0, 1.0, self.eps

    def preconditioner(self, state: OptimizerState) -> float | Array:
        """D_{t−1} = 1/(√(Σ g²) + ε), (P,)."""
        self._require_a_step(state)
        return _inverse_root(state.slots["squares"], self.eps)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop, Eq. (6) with D_t = 1/(√s_t + ε), s_t = α s_{t−1} + (1 − α) g_t², s_{−1} = 0.

    Parameters
    ----------
    learning_rate : float or callable
        η, or t → η_t for the step t = 0, 1, …, such as a :class:`ntklin.Schedule`.
    alpha : float
        0 ≤ α < 1.
    eps : float
        ε ≥ 0.
    weight_decay, decoupled
        As of :class:`ntklin.GradientDescent`.
    """

    learning_rate: LearningRate
    alpha: float = 0.99
    eps: float = 1e-8

    weight_decay: float = 0.0
    decoupled: bool = False

    rule = "rmsprop"
    _slots = ("squares",)

    def __post_init__(self) -> None:
        self._check(learning_rate=as_rate, alpha=as_fraction, eps=as_nonnegative, **DECAY)

    def coefficients(self, count: int) -> tuple[float, ...]:
        """η, α, 1 − α, ε."""
        return self._rate_before(count), self.alpha, 1 - self.alpha, self.eps

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
    learning_rate : float or callable
        η, or t → η_t for the step t = 0, 1, …, such as a :class:`ntklin.Schedule`.
    betas : pair of float
        0 ≤ β_1, β_2 < 1.
    eps : float
        ε ≥ 0.
    weight_decay, decoupled
        As of :class:`ntklin.GradientDescent`.
    """

    learning_rate: LearningRate
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    weight_decay: float = 0.0
    decoupled: bool = False

    rule = "adam"
    _slots = ("means", "squares")

    def __post_init__(self) -> None:
        self._check(learning_rate=as_rate, eps=as_nonnegative, **DECAY)
        betas = rows_of(self.betas, "betas")
        try:
            first, second = betas
        except (TypeError, ValueError):
            raise TypeError(f"betas must be a pair (β_1, β_2), got {said(self.betas)}") from None
        betas = as_fraction(first, name="betas[0]"), as_fraction(second, name="betas[1]")
        object.__setattr__(self, "betas", betas)

    @property
    def is_preconditioner(self) -> bool:
        """Never: its steps go along a mean of gradients."""
        return False

    def coefficients(self, count: int) -> tuple[float, ...]:
        """η with the bias correction of step ``count``, the weights of means and squares, and ε."""
        (first, second), rate = self.betas, self._rate_before(count)
        return (
            *(rate / (1 - first**count), 1 - first, second, 1 - second),
            *(1 / np.sqrt(1 - second**count), self.eps),
        )

    def preconditioner(self, state: OptimizerState) -> float | Array:
        """D_{t−1} = 1/(√(s/(1 − β_2^t)) + ε), (P,)."""
        self._require_a_step(state)
        correction = 1 / np.sqrt(1 - self.betas[1] ** state.count)
        return _inverse_root(state.slots["squares"], self.eps, correction)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled decay: θ ← (1 − η_t λ) θ before each step of Adam, whatever D_t.

    Parameters
    ----------
    learning_rate : float or callable
        η, or t → η_t for the step t = 0, 1, …, such as a :class:`ntklin.Schedule`.
    betas : pair of float
        0 ≤ β_1, β_2 < 1.
    eps : float
        ε ≥ 0.
    weight_decay : float
        λ ≥ 0.
    """

    weight_decay: float = 0.01
    decoupled: bool = field(default=True, init=False)

    later = ()


@dataclass(frozen=True)
class Preconditioned(Optimizer):
    """Eq. (6) with any D_t: θ_{t+1} = θ_t − η D_t ∇L(θ_t).

    Parameters
    ----------
    learning_rate : float or callable
        η, or t → η_t for the step t = 0, 1, …, such as a :class:`ntklin.Schedule`.
    fn : callable
        ``fn(t, gradient)`` returns D_t for the step t = 0, 1, …: a number ≥ 0, the diagonal (P,)
        with entries ≥ 0, or a matrix (P, P), which small problems can hold. ``gradient`` is
        read-only. A run that is to be continued needs a ``fn`` without memory of its own; one that
        is to be pickled needs a ``fn`` that can be imported.
    """

    learning_rate: LearningRate
    fn: Callable[[int, Array], ArrayLike]

    def __post_init__(self) -> None:
        self._check(learning_rate=as_rate)
        if not callable(self.fn):
            raise TypeError(f"fn must be callable as fn(t, gradient), got {said(self.fn)}")

    def step(
        self,
        state: OptimizerState,
        theta: Array,
        gradient: Array,
        origin: Array | None = None,
    ) -> OptimizerState:
        """``update`` in place, with D_t from ``fn``."""
        D = self._matrix(state.count, gradient)
        exact = self.rate(state.count)
        with np.errstate(over="ignore", under="ignore"):
            rate = theta.dtype.type(exact)
        if (rate == 0) != (exact == 0) or not np.isfinite(rate):
            raise FloatRangeError(
                f"learning_rate = {exact:.3g} is beyond the range of {theta.dtype}; "
                "move a factor from it to what fn returns, or use float64 for theta and X"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # ends a run: its loss has no number
            if D.ndim == 2:  # by sums in one order, whatever threads BLAS has
                moved = kernels(gradient).dense_product(D, gradient[None])[:, 0]
            else:
                moved = D * gradient
            theta -= rate * moved
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
            D = xp.array(D, gradient.dtype, order="C")
        if not np.isfinite(D).all():
            raise ValueError(
                f"fn({t}, gradient) returned NaN, or numbers beyond the range of {D.dtype}"
            )
        if D.ndim < 2 and bool((D < 0).any()):
            raise ValueError(f"fn({t}, gradient) returned a negative D_t; D ≥ 0 is required")
        return D
