"""Gradient descent on the linearized network in closed form, at any number of steps."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ntklin._validate import as_positive, require_memory
from ntklin.backends import beside, host, namespace
from ntklin.dynamics.discrete_time import as_steps, decay, decay_time, gradient_filter
from ntklin.dynamics.first_passage import first_below
from ntklin.errors import DivergenceError
from ntklin.sendable import Sendable
from ntklin.spectral import refuse_degenerate

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
    the reciprocal of the smallest eigenvalue that can.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,)
    learning_rate, ridge : float
    rcond : float or None
    """

    linearization: object
    targets: np.ndarray
    learning_rate: float
    ridge: float = 0.0
    rcond: float | None = None

    @property
    def max_learning_rate(self):
        """2N/(λ_max + ridge): gradient descent converges for learning rates below it."""
        curvature = self._spectrum.largest + self.ridge
        return 2 * len(self.targets) / curvature if curvature > 0 else math.inf

    @property
    def converges(self):
        """Whether the learning rate is below ``max_learning_rate``."""
        fastest = self._rate * (self._spectrum.largest + self.ridge)
        return self.learning_rate < self.max_learning_rate and fastest < 2

    def predict(self, X_new, t=None):
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
        lin = self.linearization
        modes, dtype, inputs = lin.modes_at(X_new), lin.features.dtype, lin.features.inputs
        start = host(lin.at(X_new).outputs)
        if t is None:
            return beside((start + modes @ self._limiting_coefficients()).astype(dtype), inputs)
        steps = as_steps(t)
        require_memory(
            len(steps) * len(start) * dtype.itemsize,
            f"outputs at {len(steps)} steps for {len(start)} inputs",
            "ask for fewer t or fewer inputs at a time",
        )
        outputs = np.empty((len(steps), len(start)), dtype)
        for block in self._blocks(steps):
            with np.errstate(over="ignore", invalid="ignore"):
                outputs[block] = start + self._coefficients(steps[block]) @ modes.T
        self._refuse_overflow(outputs, steps)
        return beside(outputs.reshape(*steps.shape, len(start)), inputs)

    def parameters(self, t=None):
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
        phi, V = self.linearization.features, self._spectrum.vectors
        if t is None:
            moves = (V @ self._limiting_coefficients()).astype(phi.dtype)
            return phi.parameters + phi.T @ beside(moves, phi.inputs)
        steps = as_steps(t)
        P = phi.shape[1]
        require_memory(
            len(steps) * P * phi.dtype.itemsize,
            f"{len(steps)} parameter vectors of length {P}",
            "ask for fewer t at a time, or for predict(X_new, t)",
            beside=phi.inputs,
        )
        start = phi.parameters.astype(phi.dtype, copy=False)
        parameters = namespace(start).tile(start, (len(steps), 1))
        for block in self._blocks(steps):
            with np.errstate(over="ignore", invalid="ignore"):
                coefficients = self._coefficients(steps[block])
                coefficients[:, self._null] = 0.0
                moves = beside((coefficients @ V.T).astype(phi.dtype), phi.inputs)
                for theta, c in zip(parameters[block], moves, strict=True):
                    theta += phi.T @ c
            if self._null_gradient is not None:
                growths = self._null_growth(steps[block]).tolist()
                for theta, growth in zip(parameters[block], growths, strict=True):
                    theta += growth * self._null_gradient
        self._refuse_overflow(parameters, steps)
        return parameters.reshape(*steps.shape, P)

    def loss(self, t=None):
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
            return float(np.where(kept, self._floors, 1.0) ** 2 @ self._initial_losses)
        steps = as_steps(t)
        losses = np.empty(len(steps))
        for block in self._blocks(steps):
            with np.errstate(over="ignore", invalid="ignore"):
                losses[block] = self._residuals(steps[block]) ** 2 @ self._initial_losses
        self._refuse_overflow(losses, steps)
        return losses.reshape(steps.shape) if steps.shape else float(losses[0])

    def steps_to(self, loss):
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
        horizon = decay_time(self._values[self._values > 0] + self.ridge, self._rate)
        t = first_below(
            lambda t: self._residuals(as_steps(t))[0], self._initial_losses, target, horizon
        )
        if t is None:
            raise ValueError(self._unreachable(target))
        return t

    def _unreachable(self, target):
        floor = float(self._floors**2 @ self._initial_losses)
        reasons = [f"ridge={self.ridge:g} holds θ near θ_0"] if self.ridge else []
        n_null = int((self._values == 0).sum())
        if n_null:
            reasons.append(f"no step moves the {n_null}-dimensional null space of K(X, X)")
        because = f", since {' and '.join(reasons)}" if reasons else ""
        return (
            f"the training loss never drops below {target:.6g}: it approaches {floor:.6g}{because}"
        )

    # Guards

    def _require_convergence(self, consequence):
        if not self.converges:
            raise DivergenceError(
                f"gradient descent diverges: learning_rate={self.learning_rate:.6g} is not below "
                f"2N/(λ_max + ridge) = {self.max_learning_rate:.6g}, so {consequence}; "
                "lower it, or ask for a finite t",
                learning_rate=self.learning_rate,
                bound=self.max_learning_rate,
            )

    def _require_limit(self):
        self._require_convergence("there is no limit t = None")
        refuse_degenerate(
            self.linearization.kernel, self._spectrum, rcond=self.rcond, ridge=self.ridge
        )

    def _refuse_overflow(self, values, steps):
        """Only a diverging run can outgrow floating point; then no digit of it is left."""
        finite = host(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
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

    def _blocks(self, steps):
        size = max(1, _BLOCK // len(self.targets))
        return [slice(i, i + size) for i in range(0, len(steps), size)]

    # The eigenbasis, i = 1 … N

    @property
    def _spectrum(self):
        return self.linearization.spectrum

    @property
    def _rate(self):
        return self.learning_rate / len(self.targets)

    @cached_property
    def _initial_residual(self):
        """V^T (Y − f_0(X))."""
        start = host(self.linearization.initial_outputs)
        return self._spectrum.vectors.T @ (self.targets - start)

    @cached_property
    def _initial_losses(self):
        """(v_i^T (Y − f_0(X)))²/(2N), of which L(f_0) is the sum."""
        return self._initial_residual**2 / (2 * len(self.targets))

    @cached_property
    def _values(self):
        """λ_i, 0 where it is rounding; with a ridge that only matters below 0."""
        spectrum = self._spectrum
        return spectrum.nonnegative if self.ridge else spectrum.significant

    @cached_property
    def _floors(self):
        """λ/(λ_i + λ), what is left of a residual for t → ∞."""
        total = self._values + self.ridge
        return np.divide(self.ridge, total, where=total > 0, out=np.ones_like(total))

    def _residuals(self, steps):
        """(λ + λ_i (1 − η(λ_i + λ)/N)^t)/(λ_i + λ), what is left of a residual, (T, N)."""
        total = self._values + self.ridge
        share = np.divide(self._values, total, where=total > 0, out=np.zeros_like(total))
        return self._floors + share * decay(total, self._rate, steps)

    def _coefficients(self, steps):
        """g_i(t) v_i^T (Y − f_0(X)), (T, N)."""
        spectrum = self._spectrum
        g = gradient_filter(self._values + self.ridge, self._rate, steps)
        g[:, self._null] = self._null_growth(steps)[:, None]
        g[:, : spectrum.n_excess] = 0.0
        g *= self._initial_residual
        return g

    @cached_property
    def _null(self):
        """Which λ_i cannot be told from 0; with a ridge that decides nothing."""
        return np.zeros(len(self._values), bool) if self.ridge else self._values == 0

    def _null_growth(self, steps):
        """g_i(t) there: ηt/N, up to the reciprocal of the smallest λ that is told from 0, (T,)."""
        noise = self._spectrum.noise
        return np.minimum(self._rate * steps.count, 1 / noise if noise else 0.0)

    @cached_property
    def _null_gradient(self):
        """φ(X)^T times the residual's part in null directions, (P,), or None where it is rounding.

        As in ``spectral.modes``: an exact null space has no gradient, and many steps must not
        amplify what rounding leaves of it; that of two nearly equal rows has one, and they do.
        """
        spectrum, phi, null = self._spectrum, self.linearization.features, self._null
        if not null.any():
            return None
        residual = spectrum.vectors[:, null] @ self._initial_residual[null]
        gradient = phi.T @ beside(residual.astype(phi.dtype), phi.inputs)
        lengths = np.sqrt(self._values)  # ‖φ(X)^T v_j‖
        rounding = np.linalg.norm(lengths * spectrum.tilts) * np.linalg.norm(residual)
        return gradient if float(np.linalg.norm(gradient)) > rounding else None

    def _limiting_coefficients(self):
        """v_i^T (Y − f_0(X))/(λ_i + λ) on the kept spectrum, (N,)."""
        self._require_limit()
        return self._initial_residual * self._spectrum.inverse(self.rcond, self.ridge)
