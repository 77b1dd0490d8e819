"""Mean and covariance of SGD on the linearized network, over its random batches, at any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host
from ntklin.edge.checks import as_count, as_progress, require_memory
from ntklin.edge.errors import DivergenceError
from ntklin.edge.faces import pictures
from ntklin.edge.faces.bars import CountMeter, followed
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.ranges import exponent, in_range, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.batch_noise import BatchNoise
from ntklin.theory.descent_modes import DescentModes
from ntklin.theory.discrete_time import Steps, as_steps
from ntklin.theory.epoch_laws import Problem
from ntklin.theory.epoch_moments import EpochMoments, is_enumerable
from ntklin.theory.gradient_descent import LinearizedGradientDescent
from ntklin.theory.noise_course import SHORT, NoiseCourse

if TYPE_CHECKING:
    from ntklin.edge.faces.pictures import Axes
    from ntklin.theory.linearization import Linearization

# M×M matrices beside the eigenvectors: of a block of steps, of the search for the bound.
_MATRICES = 10
_MATRICES_OF_BOUND = 20

# Runs that moments are estimated from.
_DRAWS = 200

# Beyond it no number of products that grows like √t is within reach.
_MOST_STEPS = 10**12


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SGDMoments(Shown, Sendable):
    r"""Mean and covariance of f_t under stochastic gradient descent on the linearized network.

    Batches of b samples are drawn uniformly without replacement, independently for each step:

    .. math:: \theta_{t+1} = \theta_t - \frac{\eta}{b} \varphi(X_{B_t})^T (f_t(X_{B_t}) - Y_{B_t})

    With r_t = f_t(X) − Y, ρ = (b − 1)/(N − 1) and R_t = E r_t r_t^T, the first two moments follow
    exactly:

    .. math::

        E r_{t+1} &= (1 - \eta K/N)\, E r_t \\
        R_{t+1} &= R_t - \frac{\eta}{N}(K R_t + R_t K)
            + \frac{\eta^2}{bN} K\, [\rho R_t + (1 - \rho) \operatorname{diag} R_t]\, K \\
        E L_t &= \operatorname{tr} R_t / (2N), \qquad
        \operatorname{Cov} f_t(x) = K(x, X) \operatorname{Cov}(c_t) K(X, x)

    for θ_t = θ_0 + φ(X)^T c_t, where R_t = E r_t E r_t^T + K Cov(c_t) K; no inverse is taken, and
    singular kernels pass. Of a sample with several outputs diag keeps the block of all of them,
    since they share its batches. What is computed is Cov(c_t), about √t steps of the recursion for
    t of them, each two products of M×M matrices; what the latest call came to is kept, so that a
    later t goes on from there. Made by ``Linearization.moments``.

    Batches that go through shuffled epochs have another law: see ``epochs``.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,), or (N, C) for several outputs
    learning_rate : float
    batch_size : int
    """

    linearization: Linearization
    targets: Array
    learning_rate: float
    batch_size: int
    _courses: dict[Any, NoiseCourse] = field(default_factory=dict, init=False, repr=False)

    def _sent(self) -> dict[str, Any]:
        return super()._sent() | {"_courses": {}}

    def _facts(self) -> Facts:
        own = facts("", learning_rate=self.learning_rate, batch_size=self.batch_size)
        return Facts("SGDMoments", (*self.linearization.source.in_words.rows, *own.rows))

    @cached_property
    def mean(self) -> LinearizedGradientDescent:
        """The mean over batches, which is gradient descent on all samples."""
        return LinearizedGradientDescent(
            linearization=self.linearization,
            targets=self.targets,
            learning_rate=self.learning_rate,
        )

    @property
    def max_learning_rate(self) -> float:
        """η(b): below it E L_t contracts on the range of K, above it E L_t grows without bound.

        N/μ, with μ the largest eigenvalue of a symmetric operator on symmetric matrices
        (``BatchNoise.curvature``), by Lanczos' recursion, whose residual is an error bound: μ is
        enlarged by it, so that the rate errs on the safe side, by a relative 1e-9 where the
        eigenvalue has a gap. 2N/λ_max for b = N.
        """
        self._require_room(_MATRICES_OF_BOUND)
        modes, curvature = self._modes, self._noise.curvature
        if curvature == 0:
            return np.inf
        remedy = self.linearization.source.remedy
        scale = -2 * modes.units.exponent
        rate = modes.scaled_rate / curvature
        return in_range(rate, np.float64, "the largest learning rate", remedy, scale=scale)

    @property
    def converges(self) -> bool:
        """Whether the learning rate is below ``max_learning_rate``."""
        return self.learning_rate < self.max_learning_rate

    @overload
    def loss(self, t: int, *, progress: Callable[[int], object] | bool | None = None) -> float: ...
    @overload
    def loss(
        self, t: ArrayLike, *, progress: Callable[[int], object] | bool | None = None
    ) -> Array: ...
    def loss(
        self, t: ArrayLike, *, progress: Callable[[int], object] | bool | None = None
    ) -> float | Array:
        """E L_t = tr R_t/(2N), summed over outputs; for many t in one pass.

        Parameters
        ----------
        t : int or array_like of int
        progress : callable or bool, optional
            Called as ``progress(step)`` about ten times a second. True shows a bar.

        Returns
        -------
        float or ndarray, shape t.shape

        Raises
        ------
        DivergenceError
            For a t at which the loss has outgrown floating point.
        MemoryLimitError
            If ten matrices of the kernel's size do not fit, or of more than some hundred steps
            twenty, where ``max_learning_rate`` is not known yet.
        """
        steps, modes, progress = as_steps(t), self._modes, as_progress(progress)
        counts, places = _ascending(steps)
        course = self._course(slice(None), counts)
        noise = np.zeros(0)
        if len(counts):
            last = int(counts[-1])
            with followed(progress, lambda: CountMeter("steps", last)) as told:
                noise = course.advance(last, counts, told)[places]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            losses = modes.losses(steps)
            losses = shift(losses, modes.loss_exponent)
            losses = losses + shift(noise / (2 * len(self.targets)), 2 * self._size)
        self._refuse_overflow(losses, steps)
        return losses.reshape(steps.shape) if steps.shape else float(losses[0])

    def predict(self, X_new: ArrayLike, t: ArrayLike) -> Array:
        """E f_t(X_new), what gradient descent on all samples has at t.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int or array_like of int

        Returns
        -------
        ndarray, shape (N_new,) or t.shape + (N_new,)
            For targets (N, C): (N_new, C) or t.shape + (N_new, C).

        Raises
        ------
        DivergenceError, MemoryLimitError
            As ``LinearizedGradientDescent.predict``.
        TypeError
            For what are no integers, as None is.
        """
        if t is None:  # which the mean would take for t → ∞
            raise TypeError("t must hold integers, got None")
        return self.mean.predict(X_new, t)

    def covariance(
        self,
        X_new: ArrayLike | None,
        t: ArrayLike,
        *,
        progress: Callable[[int], object] | bool | None = None,
    ) -> Array:
        """Cov f_t(X_new) over batches; of several outputs each one's own.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d), or None
            None for the training inputs X.
        t : int or array_like of int
            Many t cost more than one: the recursion halts at each.
        progress : callable or bool, optional
            Called as ``progress(step)`` about ten times a second. True shows a bar.

        Returns
        -------
        ndarray, shape (N_new, N_new) or t.shape + (N_new, N_new)
            For targets (N, C): (N_new, N_new, C) or t.shape + (N_new, N_new, C).

        Raises
        ------
        DivergenceError
            For a t at which it has outgrown floating point.
        MemoryLimitError
            If ten or twenty matrices of the kernel's size, as for ``loss``, or so many covariances
            do not fit.
        """
        source, modes = self.linearization.source, self._modes
        steps, progress = as_steps(t), as_progress(progress)
        counts, places = _ascending(steps)
        maps = modes.units.linearization.modes_at(X_new)[0]
        rows, k = source.columns.rows, modes.initial_residual.shape[1]
        n_new = len(maps) // rows
        require_memory(
            8 * len(steps) * n_new * n_new * rows * k,
            f"covariances of {n_new} outputs at {len(steps)} steps",
            "ask for fewer t or fewer inputs at a time",
        )
        found = np.empty((len(counts), n_new, n_new, rows * k))
        last = int(counts.max(initial=0))
        with followed(progress, lambda: CountMeter("steps", last)) as told:
            for column in range(k):
                course = self._course(slice(column, column + 1), counts)
                for i, count in enumerate(counts):
                    course.advance(int(count), told=told)
                    H = np.triu(course.H) + np.triu(course.H, 1).T
                    for row in range(rows):
                        S = maps[row::rows]
                        with np.errstate(over="ignore", invalid="ignore"):
                            covariance = S @ (modes.rate**2 * H) @ S.T
                            covariance = (covariance + covariance.T) / 2
                            found[i, :, :, column + row] = shift(covariance, 2 * self._size)
        with np.errstate(over="ignore", under="ignore"):
            found = found[places].astype(source.dtype, copy=False)
        self._refuse_overflow(found, steps)
        found = found.reshape(*steps.shape, n_new, n_new, rows * k)
        return beside(found[..., 0] if self.targets.ndim == 1 else found, source.anchor)

    def plot(self, X_new: ArrayLike | None, t: ArrayLike, ax: Axes | None = None) -> Axes:
        """Draw E f_t(x) at steps t, and bands of one standard deviation over batches.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d), or None
            A line for each input and output; None for the training inputs X.
        t : array_like of int
            Each costs a covariance of all these inputs.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure of pyplot's when not given.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        DivergenceError, MemoryLimitError
            As ``covariance``.
        TypeError
            For what is no axes.
        ValueError
            For None, where the kernel is an array, whose X is not known.
        """
        pictures.require_axes(ax)
        steps = np.sort(as_steps(t).count)
        if X_new is not None:
            X_new = self._modes.units.linearization.source.new_inputs(X_new)
        inputs = self.linearization.source.known_inputs if X_new is None else X_new
        if inputs is None:
            raise ValueError("X_new must be given: of a kernel that is an array X is not known")
        spread = host(self.covariance(X_new, steps))
        n_outputs = 1 if spread.ndim == 3 else spread.shape[3]
        shape = len(steps), spread.shape[1], n_outputs
        mean = host(self.predict(inputs, steps)).reshape(shape)
        spread = np.einsum("tii...->ti...", spread).reshape(shape)
        ax, few = pictures.axes_or_new(ax), shape[1] * n_outputs <= pictures.MOST_LABELS
        for n, c in np.ndindex(shape[1:]):
            label = f"input {n}, output {c}" if n_outputs > 1 else f"input {n}"
            deviation = np.sqrt(np.maximum(spread[:, n, c], 0.0))
            pictures.band(ax, steps, mean[:, n, c], deviation, label if few else "_")
        ax.set_xlabel("step $t$")
        ax.set_ylabel(r"output $f_t(x)$, mean $\pm$ standard deviation")
        pictures.steps_axis(ax, float(steps.max(initial=0)))
        pictures.tidy(ax)
        return ax

    def epochs(self, draws: int | None = None, *, rng: int = 0) -> EpochMoments:
        """The same with batches of shuffled epochs, each sample once an epoch.

        Parameters
        ----------
        draws : int, optional
            Estimate from so many runs, at least 2. When not given, moments are exact where an epoch
            is small enough, as for N ≤ 12, and else of 200 runs.
        rng : int
            The first run's seed; run i has the batches ``Batches(size=b, rng=rng + i)``.

        Returns
        -------
        EpochMoments
        """
        if draws is not None:
            draws = as_count(draws, name="draws", minimum=2)
        elif not is_enumerable(self):
            draws = _DRAWS
        rng = as_count(rng, name="rng", minimum=0)
        problem = Problem.of(self._modes, self.targets, self.batch_size)
        return EpochMoments(moments=self, draws=draws, rng=rng, _problem=problem)

    @cached_property
    def _modes(self) -> DescentModes:
        return DescentModes(
            linearization=self.linearization,
            targets=self.targets,
            learning_rate=self.learning_rate,
            ridge=0.0,
            rcond=None,
        )

    @cached_property
    def _noise(self) -> BatchNoise:
        modes = self._modes
        with np.errstate(over="ignore"):
            steps = modes.rate * modes.values
        return BatchNoise(
            vectors=modes.spectrum.vectors,
            steps=in_range(steps, np.float64, "learning_rate times the kernel", "lower it"),
            n_samples=len(self.targets),
            batch_size=self.batch_size,
        )

    @cached_property
    def _size(self) -> int:
        """z with ‖r_0‖ about 2^z."""
        return exponent(norm(self._modes.initial_residual))

    def _course(self, columns: slice, counts: NDArray[np.int64]) -> NoiseCourse:
        """A course of these columns that has not passed the first of ascending steps."""
        whole = self._modes.initial_residual
        residual = shift(whole[:, columns], -self._size)
        key = columns.start if residual.shape != whole.shape else None
        kept = self._courses.get(key)
        if kept is None or (len(counts) and kept.t > counts[0]):
            is_long = len(counts) > 0 and counts[-1] > SHORT
            finds_bound = is_long and "curvature" not in vars(self._noise)
            # The course has two of its own when it comes to look for the bound.
            self._require_room(_MATRICES_OF_BOUND + 2 if finds_bound else _MATRICES)
            kept = NoiseCourse(self._noise, residual)
            self._courses.clear()
            self._courses[key] = kept
        return kept

    def _require_room(self, matrices: int) -> None:
        lin = self.linearization
        lin.require_room()
        require_memory(
            8 * matrices * lin.source.n_rows**2,
            f"second moments over {lin.described_kernel}",
            "take fewer inputs, or runs with ntklin.Batches, whose scatter estimates them",
        )

    def _refuse_overflow(self, values: Array, steps: Steps) -> None:
        finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if not finite.all():
            first = int(steps.count[~finite].min())
            raise DivergenceError(
                f"SGD with batches of {self.batch_size} at learning_rate="
                f"{self.learning_rate:.6g}, which is stable below {self.max_learning_rate:.6g}, "
                f"has outgrown {values.dtype} in mean square at t = {first:.6g}",
                learning_rate=self.learning_rate,
                bound=self.max_learning_rate,
                step=first,
            )


def as_batch_size(value: Any, n_samples: int) -> int:
    """An integer 1 ≤ b ≤ N."""
    size = as_count(value, name="batch_size")
    if size > n_samples:
        raise ValueError(f"batch_size = {size} exceeds the number of samples, {n_samples}")
    return size


def _ascending(steps: Steps) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The distinct steps, and which of them each step is."""
    largest = float(steps.count.max(initial=0.0))
    if largest > _MOST_STEPS:
        raise ValueError(
            f"t goes up to {largest:.3g}: second moments are followed up to t = {_MOST_STEPS:.0e}"
        )
    counts, places = np.unique(steps.count.astype(np.int64), return_inverse=True)
    return counts, places.reshape(-1)
