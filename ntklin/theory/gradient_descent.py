"""Gradient descent on the linearized network in closed form, at any number of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.spectrum import fade
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, namespace
from ntklin.edge.checks import as_count, as_positive, require_memory
from ntklin.edge.faces import pictures
from ntklin.edge.ranges import in_range, shift
from ntklin.theory.covariance import Prior
from ntklin.theory.decayed_modes import DecayedModes
from ntklin.theory.descent_without_spectrum import DescentWithoutSpectrum
from ntklin.theory.discrete_time import Steps, as_steps
from ntklin.theory.homogeneity import degree_at
from ntklin.theory.scheduled import MOST_STEPS

if TYPE_CHECKING:
    from ntklin.edge.faces.pictures import Axes

# Losses that ``plot`` draws by itself, and the last step.
_DRAWN = 200, 10_000
_BLOCK = 1 << 21  # entries of one (T, N) block of filters: 16 MB


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LinearizedGradientDescent(DescentWithoutSpectrum):
    r"""f_t and θ_t of gradient descent on the linearized network, Eqs. (18), (19).

    .. math::

        f_t(x) &= f_0(x) + K(x, X) V \operatorname{diag}(g_i(t)) V^T (Y - f_0(X)) \\
        \theta_t &= \theta_0 + \varphi(X)^T V \operatorname{diag}(g_i(t)) V^T (Y - f_0(X)) \\
        g_i(t) &= \frac{1 - (1 - \eta(\lambda_i + \lambda)/N)^t}{\lambda_i + \lambda},
        \qquad K(X, X) = V \operatorname{diag}(\lambda_i) V^T

    with λ the ridge. These are the steps of discrete gradient descent on

    .. math:: \frac{1}{2N} \|f(X) - Y\|^2 + \frac{\lambda}{2N} \|\theta - \theta_0\|^2,

    whose limit is f_0(x) + φ(x) (φ(X)^T φ(X) + λ1)^{-1} φ(X)^T (Y − f_0(X)), App. A's regularized
    minimizer of what f_0 leaves of Y. With momentum or a schedule another polynomial p_t(μ) takes
    the place of (1 − ημ/N)^t, and with weight decay μ is λ_i + λ + N weight_decay, while θ_0 itself
    shrinks: see ``descent_rules`` and ``decayed_modes``. Made by
    ``Linearization.gradient_descent``.

    Throughout, t is an integer ≥ 0 of any size, an array of them (whose shape leads the result's),
    or None for t → ∞, where g_i = 1/(λ_i + λ) on the kept spectrum and 0 below the rank cut.
    Finite t needs no rank cut: a direction whose λ_i cannot be told from 0 has g_i = ηt/N, held at
    the reciprocal of the smallest eigenvalue that can, and fading where all of it may be rounding.
    Everything is computed in double precision and in units in which no kernel leaves the range,
    whatever the dtype of the features and of the results.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,), or (N, C) for several outputs
    learning_rate : float, or callable t ↦ η_t
    ridge : float
    rcond : float or None
    momentum : float
        β.
    nesterov : bool
    weight_decay : float
    """

    @property
    def max_learning_rate(self) -> float:
        """Below which it converges: 2N/(λ_max + ridge + N weight_decay).

        With momentum β (1 + β) times that, and (1 + β)/(1 + 2β) times for Nesterov's.
        """
        return self._modes.max_learning_rate

    @property
    def best_learning_rate(self) -> float:
        """At which the slowest direction that moves contracts fastest, for the same momentum.

        2(1 + β)N/(μ_min + μ_max) with μ = λ + ridge + N weight_decay, λ from the least one that is
        told from 0 to λ_max; found by bisection for Nesterov's.
        """
        return self._modes.best_learning_rate

    @property
    def converges(self) -> bool:
        """Whether the learning rate is below ``max_learning_rate``.

        Raises
        ------
        ValueError
            For a schedule, whose rates are not known for all t.
        """
        if callable(self.learning_rate):
            raise ValueError("a schedule's rates decide whether it converges, for all t together")
        return self._modes.converges

    def predict(self, X_new: ArrayLike, t: ArrayLike | None = None) -> Array:
        """The outputs f_t(X_new).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int, array_like of int or None

        Returns
        -------
        ndarray, shape (N_new,) or t.shape + (N_new,)
            For targets (N, C): (N_new, C) or t.shape + (N_new, C).

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
        if self._is_without_spectrum:
            return self._without_spectrum(t).predict(X_new)
        source, modes, columns = self._source, self._modes, self._source.columns
        lin, exponent = modes.units.linearization, modes.units.exponent
        X_new = lin.source.new_inputs(X_new)
        certain, doubtful = lin.modes_at(X_new)
        start = shift(host(columns.of(lin.at(X_new).outputs)), exponent)
        along = modes.along_parameters(X_new) if isinstance(modes, DecayedModes) else None
        n_columns = modes.initial_residual.shape[1]
        if t is None:
            self._guards.require_limit()
            motion = modes.limiting_motion()
            moves = [motion.coefficients(c)[0] for c in range(n_columns)]
            outputs = start + certain @ np.stack(moves, axis=1)
            if modes.penalty:
                moves = [motion.doubtful_coefficients(c)[0] for c in range(n_columns)]
                outputs += doubtful @ np.stack(moves, axis=1)
            if along is not None and motion.shrunk is not None:
                outputs -= motion.shrunk[0] * along[:, None]
            outputs = in_range(outputs, source.dtype, "f_∞(X_new)", source.remedy)
            return beside(columns.shown(outputs, self.targets), source.anchor)
        steps, shape = as_steps(t), (len(start), n_columns)
        start = np.broadcast_to(start, shape)
        require_memory(
            len(steps) * shape[0] * shape[1] * source.dtype.itemsize,
            f"outputs at {len(steps)} steps for {shape[0] // columns.rows} inputs",
            "ask for fewer t or fewer inputs at a time",
        )
        outputs = np.empty((len(steps), *shape), source.dtype)
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                motion = modes.motion(steps[block])
                exact = np.empty((len(motion.growth), *shape))
                for c in range(n_columns):
                    exact[..., c] = start[:, c] + motion.coefficients(c) @ certain.T
                    if modes.insignificant.any():
                        exact[..., c] += motion.doubtful_coefficients(c) @ doubtful.T
                if along is not None and motion.shrunk is not None:
                    exact -= np.multiply.outer(motion.shrunk, along)[..., None]
                outputs[block] = exact
            self._guards.refuse_underflow(exact, outputs[block])
        self._guards.refuse_overflow(outputs, steps)
        outputs = outputs.reshape(*steps.shape, *shape)
        return beside(columns.shown(outputs, self.targets), source.anchor)

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
        if self._is_without_spectrum:
            return self._without_spectrum(t).parameters
        given, modes = self.linearization.features, self._modes
        V = modes.spectrum.vectors
        if t is None:
            self._guards.require_limit()
            motion = modes.limiting_motion()
            theta = given.parameters + modes.move(V @ motion.coefficients()[0])
            if motion.shrunk is not None:
                theta -= motion.shrunk[0] * given.parameters
            return in_range(theta, given.dtype, "θ_∞", self._source.remedy)
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
                motion = modes.motion(steps[block])
                if motion.shrunk is not None:
                    parameters[block] *= beside(1 - motion.shrunk, start)[:, None]
                coefficients = motion.coefficients()
                coefficients[:, modes.null] = 0.0
                for theta, c in zip(parameters[block], coefficients @ V.T, strict=True):
                    theta += modes.move(c)
            if modes.null.any():
                direction, certain = modes.null_direction
                growths = modes.null_growth(steps[block])
                growths = growths if certain else fade(growths, modes.spectrum)
                for theta, growth in zip(parameters[block], growths.tolist(), strict=True):
                    theta += growth * direction
        self._guards.refuse_overflow(parameters, steps)
        return parameters.reshape(*steps.shape, P)

    def covariance(
        self,
        X_new: ArrayLike | None = None,
        t: ArrayLike | None = None,
        X2: ArrayLike | None = None,
    ) -> Array:
        r"""The covariance of the outputs f_t(X_new) over initializations.

        f_0 is a Gaussian process with covariance Σ, and f_t = f_0 + S_t (Y − f_0(X)) is linear in
        it, with S_t(x) = K(x, X) V diag(g_i(t)) V^T, so that for every Y

        .. math::

            \operatorname{cov}(f_t(x), f_t(x')) = \Sigma(x, x') - S_t(x) \Sigma(X, x')
                - \Sigma(x, X) S_t(x')^T + S_t(x) \Sigma(X, X) S_t(x')^T

        The mean is what ``predict`` returns with the mean of f_0 for f_0, such as 0. Of several
        outputs each has this covariance, and they are independent.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d), optional
            The training inputs X when not given.
        t : int, array_like of int or None
            None for t → ∞, where without ridge the diagonal is E f_init(x)².
        X2 : array_like, shape (N_2, d), optional
            x', where these are other inputs than x.

        Returns
        -------
        ndarray, shape (N_new, N_2) or t.shape + (N_new, N_2)

        Raises
        ------
        ValueError
            If Σ is not known, as of a network at one θ_0; see :class:`ntklin.InfiniteMLP` and
            :func:`ntklin.linearize_kernel`.
        DivergenceError, DegenerateKernelError, MemoryLimitError
            As ``predict``.
        """
        source, modes = self._source, self._modes
        lin, scale = modes.units.linearization, 2 * modes.units.exponent
        steps = as_steps(0 if t is None else t)
        prior = Prior(lin.source, X_new, X2)
        require_memory(
            8 * len(steps) * (math.prod(prior.shape) + 2 * source.n_rows),
            f"covariances of shape {prior.shape} at {len(steps)} steps",
            "ask for fewer t or fewer inputs at a time",
        )
        if t is None:
            self._guards.require_limit()
            growths = modes.limiting_growth()[None]
            faded = modes.faded(growths) * bool(modes.penalty)
        else:
            growths = modes.growth(steps)
            faded = modes.faded(growths)
        parts = [lin.modes_at(inputs) for inputs in prior.inputs]
        covariances = np.empty((len(steps), *prior.shape))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for step, (growth, fading) in enumerate(zip(growths, faded, strict=True)):
                maps = [modes.response(sure, rest, growth, fading) for sure, rest in parts]
                covariances[step] = prior.propagated(*maps)
            covariances = shift(covariances, scale).astype(source.dtype, copy=False)
        self._guards.refuse_overflow(covariances, steps)
        return beside(covariances.reshape(*steps.shape, *prior.shape), source.anchor)

    @overload
    def loss(self, t: int | None = None) -> float: ...
    @overload
    def loss(self, t: ArrayLike) -> Array: ...
    def loss(self, t: ArrayLike | None = None) -> float | Array:
        """The training loss ‖f_t(X) − Y‖²/(2N), summed over outputs, without the ridge's own term.

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
        if self._is_without_spectrum and t is not None:
            return self.by_products(t).loss
        modes = self._modes
        if t is None:
            self._guards.require_limit()
            return shift(modes.limiting_loss(), modes.loss_exponent)
        steps = as_steps(t)
        losses = np.empty(len(steps))
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                losses[block] = modes.losses(steps[block])
        losses = shift(losses, modes.loss_exponent)
        self._guards.refuse_overflow(losses, steps)
        return losses.reshape(steps.shape) if steps.shape else float(losses[0])

    def steps_to(self, loss: float) -> int:
        """The number of steps after which the training loss first drops below ``loss``.

        The smallest t with L(f_t) < ``loss``, exact up to the rounding of L, also where the loss
        does not only fall. With a schedule every step is looked at, up to 10⁷ of them. Where there
        are more than 8192 rows and the spectrum does not fit into memory it is that of
        ``steps_to_by_products``.

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
        if self._is_without_spectrum:
            return self.steps_to_by_products(loss).steps
        target, modes = as_positive(loss, name="loss"), self._modes
        self._guards.require_convergence("the loss has no limit")
        t = modes.rule.first_below(modes.course, shift(target, -modes.loss_exponent))
        if t is None:
            raise ValueError(self._guards.unreachable(target))
        return t

    def shrinkage(self, t: ArrayLike) -> float | Array:
        """c_t, what weight decay leaves of (1 − P_F) θ_0 after t steps: (1 − η weight_decay)^t.

        Parameters
        ----------
        t : int or array_like of int

        Returns
        -------
        float or ndarray, shape t.shape
            1 without decay.
        """
        modes, steps = self._modes, as_steps(t)
        left = np.ones(len(steps))
        if isinstance(modes, DecayedModes):
            left = modes.left_of_start(steps)
        return left.reshape(steps.shape) if steps.shape else float(left[0])

    def interpolation_step(self, depth: int | None = None) -> int:
        """The step at which weight decay has taken f_init away: c_t nearest to 1 − 1/L.

        For a network that is homogeneous of degree L in θ, and once gradient descent has fitted the
        data, f_t = f_int + (1 − L(1 − c_t)) f_init up to O(weight_decay): f_int itself at
        c_t = 1 − 1/L, for two layers after one half-life of the decay.

        Parameters
        ----------
        depth : int, optional
            L ≥ 2; the layers of an MLP when not given.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            Without weight decay, for a network that is not homogeneous at θ_0 if no ``depth`` is
            given, and where c_t does not get there.
        DivergenceError
            If the learning rate is too large.
        """
        modes = self._modes
        if not isinstance(modes, DecayedModes):
            raise ValueError("weight_decay is 0, so that f_init stays: give it a small value")
        if depth is None:
            phi = self.linearization.features
            depth = degree_at(phi.network, phi.parameters)
        depth = as_count(depth, name="depth", minimum=2)
        self._guards.require_convergence("c_t has no limit")
        step = modes.step_nearest(1 - 1 / depth)
        if step is None:
            within = f" within {MOST_STEPS:.0e} steps" if callable(self.learning_rate) else ""
            raise ValueError(
                f"c_t does not come down to 1 − 1/L = {1 - 1 / depth:.6g}{within}; take a larger "
                "weight_decay"
            )
        return step

    def plot(self, t: ArrayLike | None = None, ax: Axes | None = None) -> Axes:
        """Draw the training loss at steps t.

        Parameters
        ----------
        t : array_like of int, optional
            0 and 200 steps up to 10,000, in equal ratios, when not given.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure of pyplot's when not given.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        DivergenceError
            As ``loss``.
        TypeError
            For what is no axes.
        """
        pictures.require_axes(ax)
        if t is None:
            t = np.unique([0, *np.geomspace(1, _DRAWN[1], _DRAWN[0]).round().astype(int)])
        steps = np.sort(as_steps(t).count)
        losses, ax = self.loss(steps), pictures.axes_or_new(ax)
        label = "gradient descent, linearized"
        pictures.losses(ax, steps, losses, label, pictures.LINEARIZED)
        pictures.steps_axis(ax, float(steps.max(initial=0)))
        pictures.tidy(ax)
        return ax

    def _blocks(self, steps: Steps) -> list[slice]:
        size = max(1, _BLOCK // self._source.n_rows)
        return [slice(i, i + size) for i in range(0, len(steps), size)]
