"""Gradient descent on the linearized network as far as it needs no spectrum of the kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_positive, as_progress, fits
from ntklin.edge.faces.bars import IterationMeter, followed
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.sendable import Sendable
from ntklin.runs.schedules import LearningRate
from ntklin.theory.decayed_modes import DecayedModes
from ntklin.theory.descent_by_products import DescentByProducts, descend_by_products
from ntklin.theory.descent_guards import Guards
from ntklin.theory.descent_modes import DescentModes
from ntklin.theory.first_passage import Course
from ntklin.theory.solver_choice import SMALL
from ntklin.theory.solver_costs import memory_of
from ntklin.theory.solver_options import TOLERANCE, as_tolerance
from ntklin.theory.source import Source
from ntklin.theory.steps_by_products import CLOSE, LossByProducts, StepsByProducts

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization

_log = logging.getLogger("ntklin.theory")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class DescentWithoutSpectrum(Shown, Sendable):
    """What it is of, and f_t, θ_t and numbers of steps by products with φ and φ^T alone.

    For the attributes see ``LinearizedGradientDescent``, which has the closed forms.
    """

    linearization: Linearization
    targets: Array
    learning_rate: LearningRate
    ridge: float = 0.0
    rcond: float | None = None
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def _facts(self) -> Facts:
        own = facts(
            "",
            learning_rate=self.learning_rate,
            ridge=self.ridge or None,
            rcond=self.rcond,
            momentum=self.momentum or None,
            nesterov=self.nesterov or None,
            weight_decay=self.weight_decay or None,
        )
        return Facts(type(self).__name__, (*self._source.in_words.rows, *own.rows))

    @property
    def _source(self) -> Source:
        return self.linearization.source

    @cached_property
    def _modes(self) -> DescentModes:
        options: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in fields(DescentModes)
        }
        if self.weight_decay:
            return DecayedModes(decay=self.weight_decay, **options)
        return DescentModes(**options)

    @cached_property
    def _guards(self) -> Guards:
        return Guards(modes=self._modes)

    def by_products(
        self,
        t: ArrayLike,
        tol: float = TOLERANCE,
        *,
        progress: Callable[[int, float], object] | bool | None = None,
    ) -> DescentByProducts:
        """f_t and θ_t without the spectrum, to a stated error, by products with φ and φ^T alone.

        What ``predict``, ``parameters`` and ``loss`` take by themselves where there are more than
        8192 rows and the spectrum does not fit into memory; t = None is then the minimizer.

        Parameters
        ----------
        t : int or array_like of int
        tol : float
            Of the estimated relative error of c_t in f_t = f_0 + K(x, X) c_t.
        progress : callable or bool, optional
            Called as ``progress(iteration, error)``; what it raises ends the work. True shows
            a bar.

        Returns
        -------
        DescentByProducts

        Raises
        ------
        ConvergenceError
            If 1,000 products are not enough, as for t ≫ 10⁵ on an ill-conditioned kernel.
        ValueError
            With weight decay, and for a tol that float64 cannot reach.
        """
        self._refuse_decay()
        progress = as_progress(progress)
        tol = as_tolerance(tol)
        with followed(progress, lambda: IterationMeter("products", tol)) as told:
            return descend_by_products(self, self._modes, t, tol, told)

    def steps_to_by_products(
        self,
        loss: float,
        tol: float = CLOSE,
        *,
        progress: Callable[[int, float], object] | bool | None = None,
    ) -> StepsByProducts:
        """The first t with L(f_t) < ``loss``, with bounds of it, by products with φ and φ^T alone.

        The t that is returned has L(f_s) ≥ ``loss`` for all s < t, and L(f_t) < (1 + tol) ``loss``:
        it is exact where both bounds are below ``loss``, as ``is_exact`` tells, or no L(f_s) lies
        between ``loss`` and (1 + tol) ``loss``.

        Parameters
        ----------
        loss : float
            The target, > 0.
        tol : float
        progress : callable or bool, optional
            Called as ``progress(iteration, excess)``, which is what ``tol`` is for; what it raises
            ends the work. True shows a bar.

        Returns
        -------
        StepsByProducts

        Raises
        ------
        ValueError
            If the loss never gets there, and with weight decay.
        DivergenceError
            If the learning rate is too large.
        ConvergenceError
            If 1,000 products do not tell, as of very small losses on an ill-conditioned kernel.
        """
        self._refuse_decay()
        target, tol = as_positive(loss, name="loss"), as_positive(tol, name="tol")
        progress = as_progress(progress)
        self._guards.require_convergence("the loss has no limit", by_products=True)

        def unreachable(course: Course) -> str:
            return self._guards.unreachable(target, course)

        with followed(progress, lambda: IterationMeter("products", tol)) as told:
            return LossByProducts(modes=self._modes).first_below(target, tol, unreachable, told)

    def _refuse_decay(self) -> None:
        if self.weight_decay:
            raise ValueError("weight_decay needs the spectrum; lin.train takes its steps")

    @property
    def _is_without_spectrum(self) -> bool:
        """Whether the kernel is not small, and its spectrum is not there and does not fit."""
        m, lin = self._source.n_rows, self.linearization
        if m <= SMALL or self.weight_decay or self.rcond is not None:
            return False
        return not lin.has_spectrum and not fits(memory_of("eigh", m, 1))

    def _without_spectrum(self, t: ArrayLike | None) -> Any:
        """What predicts f_t and has θ_t, without it."""
        _log.info("the spectrum of %d rows does not fit: going by products", self._source.n_rows)
        if t is not None:
            return self.by_products(t)
        self._guards.require_limit(by_products=True)
        return self.linearization.minimizer(self.targets, ridge=self.ridge)
