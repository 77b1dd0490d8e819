"""Gradient descent on the linearized network in closed form, at any number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntklin.algebra.spectrum import Spectrum, fade, refuse_degenerate, ridge_in_units
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, namespace
from ntklin.edge.checks import as_positive, require_memory
from ntklin.edge.errors import DivergenceError, FloatRangeError
from ntklin.edge.ranges import exponent, in_range, is_far, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.networks.features import REMEDY
from ntklin.theory.discrete_time import Steps, as_steps, decay, decay_time, gradient_filter
from ntklin.theory.first_passage import first_below

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization, Rescaled

_BLOCK = 1 << 21  # entries of one (T, N) block of filters: 16 MB


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearizedGradientDescent(Sendable):
    r"""f_t and θ_t of gradient descent on the linearized network, Eqs. (18), (19).

    .. math::

        f_t(x) &= f_0(x) + K(x, X) V \operatorname{diag}(g_i(t)) V^T (Y - f_0(X)) \\
        \theta_t &= \theta_0 + \varphi(X)^T V \operatorname{diag}(g_i(t)) V^T (Y - f_0(X)) \\
        g_i(t) &= \frac{1 - (1 - \eta(\lambda_i + \lambda)/N)^t}{\lambda_i + \lambda},
        \qquad K(X, X) = V \operatorname{diag}(\lambda_i) V^T

    with λ the ridge. These are the steps of discrete gradient descent on

    .. math:: \frac{1}{2N} \|f(X) - Y\|^2 + \frac{\lambda}{2N} \|\theta - \theta_0\|^2,

    whose limit is f_0(x) + φ(x) (φ(X)^T φ(X) + λ1)^{-1} φ(X)^T (Y − f_0(X)), App. A's regularized
    minimizer of what f_0 leaves of Y. Made by ``Linearization.gradient_descent``.

    Throughout, t is an integer ≥ 0 of any size, an array of them (whose shape leads the result's),
    or None for t → ∞, where g_i = 1/(λ_i + λ) on the kept spectrum and 0 below the rank cut.
    Finite t needs no rank cut: a direction whose λ_i cannot be told from 0 has g_i = ηt/N, held at
    the reciprocal of the smallest eigenvalue that can, and fading where all of it may be rounding.
    Everything is computed in double precision and in units in which no kernel leaves the range,
    whatever the dtype of the features and of the results.

    With a constant D, ``gradient_descent(Y, weights=D)``, K_D = φ D φ^T takes the place of K and
    D φ(X)^T that of φ(X)^T.

    Attributes
    ----------
    linearization : Linearization
        With a D that of the features φ R, D = R R^T, whose kernel is K_D.
    targets : ndarray, shape (N,)
    learning_rate, ridge : float
    rcond : float or None
    """

    linearization: Linearization
    targets: Array
    learning_rate: float
    ridge: float = 0.0
    rcond: float | None = None

    @property
    def max_learning_rate(self) -> float:
        """2N/(λ_max + ridge): gradient descent converges for learning rates below it."""
        return self.linearization.rate_bound(2.0, self.ridge)

    @property
    def converges(self) -> bool:
        """Whether the learning rate is below ``max_learning_rate``."""
        curvature = self._spectrum.largest + self._ridge
        below = curvature == 0 or self._scaled_rate < 2 * len(self.targets) / curvature
        return below and self._rate * curvature < 2

    def predict(self, X_new: ArrayLike, t: ArrayLike | None = None) -> Array:
        """The outputs f_t(X_new).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int, array_like of int or None

        Returns
        -------
        ndarray, shape (N_new,) or t.shape + (N_new,)

        Raises
        ------
        DivergenceError
            For t = None when the learning rate is too large, and for a finite t at which the
            diverging outputs have outgrown floating point.
        DegenerateKernelError
            For t = None when K(X, X) is singular to working precision, P ≥ N, and neither ridge nor
            rcond was given.
        MemoryLimitError
            If so many outputs do not fit.
        """
        units, given = self._units, self.linearization.features
        lin, dtype, inputs = units.linearization, given.dtype, given.inputs
        certain, doubtful = lin.modes_at(X_new)
        start = shift(host(lin.at(X_new).outputs), units.exponent)
        insignificant = self._insignificant
        if t is None:
            growth = self._limiting_growth()
            outputs = start + certain @ (growth * self._initial_residual)
            if self.ridge:
                growth = fade(growth[insignificant], self._spectrum)
                outputs += doubtful @ (growth * self._initial_residual[insignificant])
            return beside(in_range(outputs, dtype, "f_∞(X_new)", REMEDY), inputs)
        steps = as_steps(t)
        require_memory(
            len(steps) * len(start) * dtype.itemsize,
            f"outputs at {len(steps)} steps for {len(start)} inputs",
            "ask for fewer t or fewer inputs at a time",
        )
        outputs = np.empty((len(steps), len(start)), dtype)
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                growth = self._growth(steps[block])
                exact = start + (growth * self._initial_residual) @ certain.T
                if insignificant.any():
                    faded = fade(growth[:, insignificant], self._spectrum)
                    exact += (faded * self._initial_residual[insignificant]) @ doubtful.T
                outputs[block] = exact
            self._refuse_underflow(exact, outputs[block])
        self._refuse_overflow(outputs, steps)
        return beside(outputs.reshape(*steps.shape, len(start)), inputs)

    def parameters(self, t: ArrayLike | None = None) -> Array:
        """The parameters θ_t.

        Parameters
        ----------
        t : int, array_like of int or None

        Returns
        -------
        ndarray, shape (P,) or t.shape + (P,)

        Raises
        ------
        DivergenceError, DegenerateKernelError
            As ``predict``.
        MemoryLimitError
            If so many θ_t do not fit.
        """
        given, V = self.linearization.features, self._spectrum.vectors
        if t is None:
            coefficients = V @ (self._limiting_growth() * self._initial_residual)
            return in_range(given.parameters + self._move(coefficients), given.dtype, "θ_∞", REMEDY)
        steps = as_steps(t)
        P = len(given.parameters)
        require_memory(
            len(steps) * P * given.dtype.itemsize,
            f"{len(steps)} parameter vectors of length {P}",
            "ask for fewer t at a time, or for predict(X_new, t)",
            beside=given.inputs,
        )
        start = given.parameters.astype(given.dtype, copy=False)
        parameters = namespace(start).tile(start, (len(steps), 1))
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                coefficients = self._growth(steps[block]) * self._initial_residual
                coefficients[:, self._null] = 0.0
                for theta, c in zip(parameters[block], coefficients @ V.T, strict=True):
                    theta += self._move(c)
            if self._null.any():
                direction, certain = self._null_direction
                growths = self._null_growth(steps[block])
                growths = growths if certain else fade(growths, self._spectrum)
                for theta, growth in zip(parameters[block], growths.tolist(), strict=True):
                    theta += growth * direction
        self._refuse_overflow(parameters, steps)
        return parameters.reshape(*steps.shape, P)

    @overload
    def loss(self, t: int | None = None) -> float: ...
    @overload
    def loss(self, t: ArrayLike) -> Array: ...
    def loss(self, t: ArrayLike | None = None) -> float | Array:
        """The training loss ‖f_t(X) − Y‖²/(2N), without the ridge's own term.

        Parameters
        ----------
        t : int, array_like of int or None

        Returns
        -------
        float or ndarray, shape t.shape

        Raises
        ------
        DivergenceError, DegenerateKernelError
            As ``predict``.
        """
        if t is None:
            self._require_limit()
            kept = self._spectrum.kept(self.rcond, self.ridge)
            shares = np.where(kept, self._floors, 1.0)
            return shift(float(shares**2 @ self._initial_losses), self._loss_exponent)
        steps = as_steps(t)
        losses = np.empty(len(steps))
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                losses[block] = self._residuals(steps[block]) ** 2 @ self._initial_losses
        losses = shift(losses, self._loss_exponent)
        self._refuse_overflow(losses, steps)
        return losses.reshape(steps.shape) if steps.shape else float(losses[0])

    def steps_to(self, loss: float) -> int:
        """The number of steps after which the training loss first drops below ``loss``.

        The smallest t with L(f_t) < ``loss``, exact up to the rounding of L.

        Parameters
        ----------
        loss : float
            The target, > 0.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If the loss never gets there; the message names the floor that it approaches.
        DivergenceError
            If the learning rate is too large.
        """
        target = as_positive(loss, name="loss")
        self._require_convergence("the loss has no limit")
        horizon = decay_time(self._values[self._values > 0] + self._ridge, self._rate)
        t = first_below(
            lambda t: self._residuals(as_steps(t))[0],
            self._initial_losses,
            shift(target, -self._loss_exponent),
            horizon,
        )
        if t is None:
            raise ValueError(self._unreachable(target))
        return t

    def _unreachable(self, target: float) -> str:
        floor = shift(float(self._floors**2 @ self._initial_losses), self._loss_exponent)
        reasons = [f"ridge={self.ridge:g} holds θ near θ_0"] if self.ridge else []
        n_null = int((self._values == 0).sum())
        if n_null:
            reasons.append(f"no step moves the {n_null}-dimensional null space of K(X, X)")
        because = f", since {' and '.join(reasons)}" if reasons else ""
        return (
            f"the training loss never drops below {target:.6g}: it approaches {floor:.6g}{because}"
        )

    # Guards

    def _require_convergence(self, consequence: str) -> None:
        if not self.converges:
            raise DivergenceError(
                f"gradient descent diverges: learning_rate={self.learning_rate:.6g} is not below "
                f"2N/(λ_max + ridge) = {self.max_learning_rate:.6g}, so {consequence}; "
                "lower it, or ask for a finite t",
                learning_rate=self.learning_rate,
                bound=self.max_learning_rate,
            )

    def _require_limit(self) -> None:
        self._require_convergence("there is no limit t = None")
        kernel = self._units.linearization.kernel
        refuse_degenerate(kernel, self._spectrum, rcond=self.rcond, ridge=self.ridge)

    def _refuse_underflow(self, exact: Array, outputs: Array) -> None:
        """Outputs in a narrower dtype than they were computed in, all of which it takes for 0."""
        if exact.size and exact.any() and not outputs.any():
            raise FloatRangeError(f"f_t(X_new) underflows {outputs.dtype}; {REMEDY}")

    def _refuse_overflow(self, values: Array, steps: Steps) -> None:
        """A diverging run outgrows floating point; then no digit of it is left."""
        finite = host(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if not finite.all() and self.converges:
            raise FloatRangeError(f"f_t, θ_t or its loss overflows {values.dtype}; {REMEDY}")
        if not finite.all():
            first = int(steps.count[~finite].min())
            raise DivergenceError(
                f"gradient descent at learning_rate={self.learning_rate:.6g}, not below "
                f"2N/(λ_max + ridge) = {self.max_learning_rate:.6g}, has outgrown "
                f"{values.dtype} at t = {first:.6g}",
                learning_rate=self.learning_rate,
                bound=self.max_learning_rate,
                step=first,
            )

    def _blocks(self, steps: Steps) -> list[slice]:
        size = max(1, _BLOCK // len(self.targets))
        return [slice(i, i + size) for i in range(0, len(steps), size)]

    # The eigenbasis, i = 1 … N

    @cached_property
    def _units(self) -> Rescaled:
        """Where everything is computed: in double precision, f = 2^e f', K = 4^e K'."""
        return self.linearization.in_units(np.float64)

    @property
    def _spectrum(self) -> Spectrum:
        """Of K'."""
        return self._units.linearization.spectrum

    @cached_property
    def _scaled_rate(self) -> float:
        """η' = 4^e η."""
        rate = shift(float(self.learning_rate), 2 * self._units.exponent)
        remedy = "take learning_rate and ridge nearer to N/λ_max and λ_max"
        return in_range(rate, np.float64, "learning_rate times the kernel", remedy)

    @property
    def _rate(self) -> float:
        """η'/N."""
        return self._scaled_rate / len(self.targets)

    @cached_property
    def _ridge(self) -> float:
        """λ' = 4^(−e) λ."""
        return ridge_in_units(self.ridge, 2 * self._units.exponent)

    @cached_property
    def _initial_residual(self) -> Array:
        """V^T (Y − f_0(X))."""
        units = self._units
        start = shift(host(units.linearization.initial_outputs), units.exponent)
        return self._spectrum.vectors.T @ (self.targets - start)

    @cached_property
    def _loss_exponent(self) -> int:
        """2y, where the losses are held as multiples of 4^y, to keep squares in range."""
        size = norm(self._initial_residual)
        return 2 * exponent(size) if size > 0 and is_far(size, np.float64) else 0

    @cached_property
    def _initial_losses(self) -> Array:
        """4^(−y) (v_i^T (Y − f_0(X)))²/(2N), of which 4^(−y) L(f_0) is the sum."""
        residual = shift(self._initial_residual, -self._loss_exponent // 2)
        losses = residual**2 / (2 * len(self.targets))
        in_range(float(losses.sum()), np.float64, "the loss", "scale Y", scale=self._loss_exponent)
        return losses

    @cached_property
    def _insignificant(self) -> NDArray[np.bool_]:
        """Which λ_i cannot be told from 0, (N,)."""
        return self._spectrum.significant == 0

    @cached_property
    def _values(self) -> Array:
        """λ_i, 0 where it is rounding; with a ridge that only matters below 0."""
        spectrum = self._spectrum
        return spectrum.nonnegative if self.ridge else spectrum.significant

    @cached_property
    def _floors(self) -> Array:
        """λ/(λ_i + λ), what is left of a residual for t → ∞."""
        total = self._values + self._ridge
        return np.divide(self._ridge, total, where=total > 0, out=np.ones_like(total))

    def _residuals(self, steps: Steps) -> Array:
        """(λ + λ_i (1 − η(λ_i + λ)/N)^t)/(λ_i + λ), what is left of a residual, (T, N)."""
        total = self._values + self._ridge
        share = np.divide(self._values, total, where=total > 0, out=np.zeros_like(total))
        with np.errstate(under="ignore"):
            return self._floors + share * decay(total, self._rate, steps)

    def _growth(self, steps: Steps) -> Array:
        """g_i(t), (T, N)."""
        g = gradient_filter(self._values + self._ridge, self._rate, steps)
        g[:, self._null] = self._null_growth(steps)[:, None]
        g[:, : self._spectrum.n_excess] = 0.0
        return g

    @cached_property
    def _null(self) -> NDArray[np.bool_]:
        """Which λ_i count as 0; with a ridge that decides nothing."""
        return self._insignificant & (not self.ridge)

    def _null_growth(self, steps: Steps) -> Array:
        """g_i(t) there: ηt/N, up to the reciprocal of the smallest λ that is told from 0, (T,)."""
        noise = self._spectrum.noise
        return np.minimum(self._rate * steps.count, 1 / noise if noise else 0.0)

    @cached_property
    def _null_direction(self) -> tuple[Array, bool]:
        """φ^T times the residual's part in null directions, (P,), and whether it is no rounding.

        As in ``spectral.modes``: an exact null space has no gradient, and many steps must not
        amplify what rounding leaves of it; that of two nearly equal rows has one, and they do.
        """
        spectrum, null = self._spectrum, self._null.copy()
        null[: spectrum.n_excess] = False
        residual = spectrum.vectors[:, null] @ self._initial_residual[null]
        size = norm(residual)
        unit = exponent(size)
        phi = self._units.linearization.features
        direction = phi.T @ beside(shift(residual, -unit), phi.inputs)
        lengths = np.sqrt(self._values)  # ‖φ(X)^T v_j‖
        rounding = np.linalg.norm(lengths * spectrum.tilts) * shift(size, -unit)
        certain = bool(float(np.linalg.norm(direction)) > rounding)
        return shift(phi.step(direction), unit - self._units.exponent), certain

    def _move(self, coefficients: Array) -> Array:
        """φ^T α for α = 4^(−e) times these coefficients, (P,), float64."""
        phi, e = self._units.linearization.features, self._units.exponent
        size = norm(coefficients)
        unit = exponent(size) if is_far(size, np.float64) else 0
        direction = phi.T @ beside(shift(coefficients, -unit), phi.inputs)
        return shift(phi.step(direction), unit - e)

    def _limiting_growth(self) -> Array:
        """1/(λ_i + λ) on the kept spectrum, (N,)."""
        self._require_limit()
        return self._spectrum.inverse(self.rcond, self._ridge)
