"""The network's linearization at θ_0, Eq. (2), factorized once and asked often."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.algebra.preconditioners import (
    Constant,
    LowRank,
    Weights,
    adagrad_weights,
    as_constant,
    as_preconditioner,
    interpolating_preconditioner,
    weighted_kernel,
)
from ntklin.algebra.spectrum import (
    Spectrum,
    as_rank_cut,
    as_ridge,
    factorize,
    modes,
    require_kernel_in_range,
    ridge_in_units,
)
from ntklin.edge.arrays import Array
from ntklin.edge.backends import freeze, host, refuse_mixed
from ntklin.edge.checks import (
    advising,
    as_inputs,
    as_learning_rate,
    as_new_inputs,
    as_targets,
    as_vector,
    require_memory,
    warn_outside_unit_ball,
)
from ntklin.edge.errors import MemoryLimitError
from ntklin.edge.ranges import in_range
from ntklin.edge.sendable import Sendable
from ntklin.networks.descriptions import describe_network
from ntklin.networks.features import REMEDY
from ntklin.networks.network import FeatureOperator, Network, as_feature_operator
from ntklin.networks.weighted import as_weighted
from ntklin.runs import stability
from ntklin.runs.batches import BatchSource
from ntklin.runs.checkpoint import digest
from ntklin.runs.engine import MethodName
from ntklin.runs.losses import LossName
from ntklin.runs.optimizers import Optimizer
from ntklin.runs.stops import Horizon, Stop
from ntklin.theory.gradient_descent import LinearizedGradientDescent
from ntklin.theory.linearized_run import LinearizedRun
from ntklin.theory.minimizer import Minimizer, solve_minimizer
from ntklin.theory.theorems import ProductForm, product_formula
from ntklin.theory.train_linearized import train_linearized


def linearize(net: Network, theta: ArrayLike, X: ArrayLike) -> Linearization:
    """Linearize a network at θ on training inputs X: f_lin(x; θ') = f_θ(x) + φ(x)(θ' − θ), Eq. (2).

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
    theta : ndarray, shape (P,)
        θ_0, or any later θ_T (Sect. 6). Copied.
    X : ndarray, shape (N, d)
        Training inputs. Copied; rows outside the unit ball are allowed with a warning.

    Returns
    -------
    Linearization
        Nothing N×N is computed before it is asked for.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> net = ntklin.MLP((3, 50, 1))
    >>> X = np.eye(3)
    >>> lin = ntklin.linearize(net, net.init(rng=0), X)
    >>> gd = lin.gradient_descent(Y=[0.0, 1.0, 1.0])
    >>> gd.predict(X, t=[0, 10, 10**9]).shape
    (3, 3)
    """
    X = as_inputs(X, net.n_inputs).copy()
    theta = as_vector(theta, net.n_parameters, name="theta").copy()
    warn_outside_unit_ball(X)
    return Linearization(net.features(theta, X))


@dataclass(frozen=True, eq=False)
class Linearization(Sendable):
    """f_lin(x; θ) = f_0(x) + φ(x)(θ − θ_0), Eq. (2), on training inputs X with K = φ(X)φ(X)^T.

    Attributes
    ----------
    features : FeatureOperator, shape (N, P)
        φ(X); others become a FeatureOperator by ``as_feature_operator``.
    precision : dtype, optional
        The one that decides the rank cut, where it is not that of the features.
    """

    features: FeatureOperator
    _: KW_ONLY
    precision: DTypeLike | None = None
    _latest: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _units: dict[np.dtype[Any], Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", as_feature_operator(self.features))

    def _sent(self) -> dict[str, Any]:
        return super()._sent() | {"_latest": {}}

    @property
    def n_samples(self) -> int:
        """N."""
        return self.features.shape[0]

    @property
    def initial_outputs(self) -> Array:
        """f_0(X), (N,)."""
        return self.features.outputs

    @cached_property
    def kernel(self) -> Array:
        """K(X, X) = φ(X)φ(X)^T, (N, N), read-only."""
        K = self.features.gram()
        require_kernel_in_range(K)
        return freeze(K)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The factorization of K(X, X), made at the first use and kept.

        In double precision for features in single, too, so that all eigenvalues have digits.
        """
        double = self.in_units(np.float64)
        if double.linearization is self:
            self._require_room()
            return factorize(self.kernel, self.features.shape[1], dtype=self.precision)
        return double.linearization.spectrum.scaled(2 * double.exponent)

    def in_units(self, dtype: DTypeLike | None = None) -> Rescaled:
        """The same linearization at a scale at which no kernel leaves the range, f = 2^e f'.

        Parameters
        ----------
        dtype : dtype, optional
            The precision of its features; that of these when not given.

        Returns
        -------
        Rescaled
        """
        dtype = np.dtype(self.features.dtype if dtype is None else dtype)
        if dtype not in self._units:
            phi, e = self.features.balanced(dtype)
            kept = None
            if phi is not self.features:
                kept = Linearization(phi, precision=self.precision or self.features.dtype)
            self._units[dtype] = kept, e
        kept, e = self._units[dtype]
        return Rescaled(linearization=kept or self, exponent=e)

    def _require_room(self) -> None:
        """Refuse what needs the spectrum where that is not there and does not fit."""
        n = self.n_samples
        if "spectrum" not in self.__dict__:
            require_memory(
                5 * 8 * n * n,
                f"factorizing the kernel of {n} training inputs",
                "take fewer inputs, or train step by step (ntklin.train), which needs no kernel",
            )

    @property
    def eigenvalues(self) -> Array:
        """λ of K(X, X), ascending, as computed: rounding can make the smallest negative, (N,)."""
        return self.spectrum.values.astype(self.kernel.dtype)

    @cached_property
    def largest_eigenvalue(self) -> float:
        """λ_max of K(X, X); without a kernel where there are more than a few thousand inputs."""
        if self.n_samples <= stability.LARGE:
            with suppress(MemoryLimitError):
                return self.spectrum.largest
        return stability.largest_eigenvalue(self.features)

    @property
    def max_learning_rate(self) -> float:
        """2N/λ_max: gradient descent without ridge converges for learning rates below it."""
        if self.in_units().exponent:
            return self.rate_bound(2.0)
        largest = self.largest_eigenvalue
        return 2 * self.n_samples / largest if largest > 0 else np.inf

    def default_learning_rate(self, ridge: float = 0.0) -> float:
        """0.5 N/(λ_max + ridge), a quarter of the stability bound (App. D).

        Parameters
        ----------
        ridge : float
            λ ≥ 0 of App. A, in units of the kernel.

        Returns
        -------
        float

        Raises
        ------
        DegenerateKernelError
            If K(X, X) = 0.
        """
        if self.in_units().exponent:
            bound = self.rate_bound(0.5, ridge)
            if bound < np.inf:
                return bound
        return stability.default_learning_rate(self.n_samples, self.largest_eigenvalue + ridge)

    def rate_bound(self, number: float, ridge: float = 0.0) -> float:
        """The learning rate number · N/(λ_max + ridge); infinite where that is N/0.

        Parameters
        ----------
        number : float
            2 for the bound below which gradient descent converges.
        ridge : float

        Returns
        -------
        float

        Raises
        ------
        FloatRangeError
            If it is out of range although the kernel is not 0.
        """
        units = self.in_units(np.float64)
        spectrum, e = units.linearization.spectrum, 2 * units.exponent
        curvature = spectrum.largest + ridge_in_units(ridge, e)
        if curvature == 0:
            return np.inf
        name = f"the learning rate {number:g} N/λ_max"
        return in_range(number * self.n_samples / curvature, np.float64, name, REMEDY, scale=-e)

    @cached_property
    def fingerprints(self) -> dict[str, Any]:
        """By which a saved run of it is known: of the network, θ_0 and X."""
        phi = self.features
        return {
            "network": describe_network(phi.network),
            "theta": digest(phi.parameters),
            "X": digest(phi.inputs),
        }

    def _targets(self, Y: ArrayLike) -> Array:
        """Y checked, a copy in float64 on the host."""
        refuse_mixed(self.features.inputs, Y)
        return host(as_targets(Y, self.n_samples, dtype=np.float64)).copy()

    def gradient_descent(
        self,
        Y: ArrayLike,
        learning_rate: float | None = None,
        ridge: float = 0.0,
        rcond: float | None = None,
        *,
        weights: Weights = None,
    ) -> LinearizedGradientDescent:
        """Gradient descent from θ_0 on the linearized network, at any step, Eqs. (18), (19).

        Discrete gradient descent on L = ‖f(X) − Y‖²/(2N) + ridge ‖θ − θ_0‖²/(2N):

            θ_{t+1} = θ_t − (η/N) [D φ(X)^T (f_t(X) − Y) + ridge (θ_t − θ_0)],   D = 1

        With ``weights`` another constant D, K_D = φ D φ^T takes the place of K throughout, in the
        default learning rate, too, and the ridge is one on ‖θ − θ_0‖² in the norm of D^{-1}.

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, 1)
        learning_rate : float, optional
            η; a quarter of the stability bound when not given, 0.5 N/(λ_max + ridge).
        ridge : float
            λ ≥ 0 of App. A, in units of the kernel: it turns K^{-1} into (K + λ1)^{-1}.
        rcond : float, optional
            For t = None only: eigenvalues ≤ rcond · λ_max are cut, 1/λ becoming 0. Without it and
            without ridge a kernel that is singular to working precision is refused where P ≥ N; the
            underparametrized P < N (App. A) cuts at N·eps.
        weights : float, array_like, shape (P,) or (P, P), or LowRank, optional
            D ≥ 0, as for ``minimizer``: ``net.layer_weights(...)`` freezes layers or gives them
            learning rates of their own.

        Returns
        -------
        LinearizedGradientDescent

        Raises
        ------
        DegenerateKernelError
            If K(X, X) = 0 and no learning rate is given.
        """
        if weights is not None:
            weights = as_preconditioner(weights, self.features.shape[1])
            weighted = Linearization(as_weighted(self.features, weights), precision=self.precision)
            return weighted.gradient_descent(Y, learning_rate, ridge, rcond)
        Y = self._targets(Y)
        ridge, rcond = as_ridge(ridge), as_rank_cut(rcond)
        if learning_rate is not None:
            learning_rate = as_learning_rate(learning_rate)
        else:
            self._require_room()
            learning_rate = self.default_learning_rate(ridge)
        return LinearizedGradientDescent(
            linearization=self, targets=Y, learning_rate=learning_rate, ridge=ridge, rcond=rcond
        )

    def minimizer(
        self, Y: ArrayLike, weights: Weights = None, rcond: float | None = None, ridge: float = 0.0
    ) -> Minimizer:
        """The minimizer that training converges to, split by Thm 1; with weights, Eq. (9).

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, 1)
        weights : float, array_like, shape (P,) or (P, P), or LowRank, optional
            A constant D ≥ 0, K_D = φ D φ^T taking the place of K: a multiple of 1, the diagonal,
            a symmetric positive semidefinite matrix (small problems), or ``LowRank(W)`` for
            D = W W^T. Where D trains fewer directions than there are inputs, by its zeros or the
            columns of W, the minimizer fits as in the underparametrized case (App. A).
        rcond : float, optional
            Eigenvalues ≤ rcond · λ_max are cut; see ``gradient_descent``.
        ridge : float
            λ ≥ 0: (K_D + λ1)^{-1} takes the place of K_D^{-1} (App. A).

        Returns
        -------
        Minimizer

        Raises
        ------
        DegenerateKernelError
            If K_D(X, X) is singular to working precision, D trains at least N directions, and
            neither ridge nor rcond is given; the message tells whether D is the cause.
        """
        Y = self._targets(Y)
        ridge, rcond = as_ridge(ridge), as_rank_cut(rcond)
        weights = as_preconditioner(weights, self.features.shape[1])
        return solve_minimizer(self, Y, weights=weights, rcond=rcond, ridge=ridge)

    def preconditioner_for(self, w: ArrayLike, Y: ArrayLike) -> LowRank:
        """A constant D whose interpolator is φ(x)w, for any w that interpolates: φ(X)w = Y.

        The remark to Example 1: D = W W^T, W = φ^+ + (w − φ^+ Y) Y^T/|Y|², for which K_D = 1 and
        D φ(X)^T K_D^{-1} Y = w. So for ``m = minimizer(Y, weights=D)``

            m.interpolator(x) = φ(x)w,    m.predict(x) = φ(x)w + f_init(x),  f_init = O(σ^L)

        To have training itself end at θ_0 + w, choose w with φ(X)w = Y − f_0(X) and pass that
        difference as ``Y`` here, but the targets themselves to ``minimizer``: then
        m.predict(x) = f_0(x) + φ(x)w exactly.

        Parameters
        ----------
        w : array_like, shape (P,)
        Y : array_like, shape (N,) or (N, 1)
            What w interpolates; not all 0.

        Returns
        -------
        LowRank
            P × N numbers.

        Raises
        ------
        InterpolationError
            If φ(X)w differs from Y by more than rounding explains, or Y = 0.
        DegenerateKernelError
            If K(X, X) is singular to working precision.
        """
        return interpolating_preconditioner(self.features, self.kernel, self.spectrum, w, Y)

    def adagrad_weights(self) -> Array:
        """Example 1: the D that AdaGrad (ε = 0) has for one training input, up to a number.

        D = diag |φ(x_1)|^{-1}, 0 where φ_j(x_1) = 0. ``minimizer(Y, weights=D)`` then is AdaGrad's
        limit, whatever its learning rate,

            f(x) = f_0(x) + Σ_j φ_j(x) sgn φ_j(x_1) / ‖φ(x_1)‖_1 · (y − f_0(x_1))

        Returns
        -------
        ndarray, shape (P,)

        Raises
        ------
        ValueError
            If there is more than one training input, or φ(x_1) = 0.
        """
        return adagrad_weights(self.features)

    def train(
        self,
        Y: ArrayLike,
        optimizer: Optimizer | None = None,
        steps: int | None = None,
        until: float | None = None,
        batches: BatchSource | None = None,
        *,
        record: int | Iterable[int] | None = None,
        loss: LossName = "squared",
        method: MethodName = "auto",
        stop: Stop | None = None,
        resume: str | PathLike[str] | LinearizedRun | None = None,
        progress: Callable[[int, float], object] | None = None,
    ) -> LinearizedRun:
        """Train the linearized network step by step with any optimizer and batches, exactly.

        The recursion θ_{t+1} = θ_t − η D_t ∇L(θ_t) (Eq. 6), or what Momentum and Adam have in its
        place, on f_t = f_0 + φ(θ_t − θ_0), for the mean loss over all samples or over the batch of
        the step (Eq. 10). The result is split as in Thms 3 and 6.

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, 1)
        optimizer : Optimizer, optional
            ``GradientDescent()`` when not given; its default η is ``default_learning_rate()``,
            whatever the loss.
        steps : int, optional
            Take at most this many steps.
        until : float, optional
            Stop when the loss on all samples first drops below this; 1e-5 when neither is given, as
            in App. D.
        batches : Batches, or iterable of index arrays, optional
            Mini-batches; an iterable ends the run when it ends. All samples when not given.
        record : int or iterable of int, optional
            Keep θ_t and D_{t−1} every so many steps, 0 included, or at these steps.
        loss : {"squared", "logistic"}
        method : {"auto", "reduced", "fused", "direct"}
            How steps are computed, not what they are: ``"reduced"``, for gradient descent and
            momentum, with mini-batches or without, takes them in the span of the N features, by
            the kernel alone; ``"fused"``, for the features of an MLP and optimizers with a rule of
            their own, takes each parameter through the cache once; ``"direct"`` multiplies by φ(X)
            and φ(X)^T. ``"auto"`` takes the fastest that serves.
        stop : Stop, optional
            What else ends the run; see :func:`ntklin.train`.
        resume : LinearizedRun or path, optional
            A run, or a file by ``run.save``, to continue; the result is the same to the last bit as
            that of one run. All other arguments must be those of that run; ``steps``, ``until`` and
            ``record`` may change. An iterable of batches has to start anew: what was taken is
            passed over.
        progress : callable, optional
            Called as ``progress(step, loss)`` about ten times a second.

        Returns
        -------
        LinearizedRun

        Raises
        ------
        DegenerateKernelError
            If K(X, X) = 0 and the default learning rate is asked for.
        DivergenceError
            As soon as the loss is not finite or 1,000 times its start, beyond rounding. With
            adaptive rules and ``Preconditioned``, whose first steps do not shrink with the loss,
            1,000 times the larger of its start and the loss of f = 0.
        MemoryLimitError
            If the records will not fit. Where their number is not known, since ``steps`` is not
            given, this may come later, and ``run`` holds what was finished.
        TrainingInterrupted
            On Ctrl-C; a KeyboardInterrupt whose ``run`` holds what was finished.
        CheckpointError
            If the file to resume from is damaged, something else, or of another version.
        ValueError
            If the run to resume is not one of this linearization and these options.
        """
        return train_linearized(
            self,
            Y,
            optimizer,
            Horizon.of(steps, until, stop),
            batches=batches,
            record=record,
            loss=loss,
            method=method,
            resume=resume,
            progress=progress,
        )

    def theorem3(
        self,
        Y: ArrayLike,
        preconditioners: Optimizer | Iterable[ArrayLike],
        learning_rate: float | None = None,
        steps: int | None = None,
    ) -> ProductForm:
        """Thm 3's product formula, Eq. (7), to the letter, for verification on small problems.

        Parameters
        ----------
        Y, preconditioners, learning_rate, steps
            See ``theorem6``, which has mini-batches.

        Returns
        -------
        ProductForm
        """
        return self.theorem6(Y, preconditioners, learning_rate, steps)

    def theorem6(
        self,
        Y: ArrayLike,
        preconditioners: Optimizer | Iterable[ArrayLike],
        learning_rate: float | None = None,
        steps: int | None = None,
        batches: BatchSource | None = None,
    ) -> ProductForm:
        """Thm 6's product formula, Eq. (17), to the letter, for verification on small problems.

        Holds the dense J and A_t, and for an optimizer all D_t. ``train`` gives the same θ_t and,
        by its end state, the same split.

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, 1)
            Targets of the squared loss, the only one that the theorem covers.
        preconditioners : Optimizer, or sequence of floats or array_like, shapes (P,) or (P, P)
            D_0, D_1, …, which need not be symmetric; or an optimizer with
            θ_{t+1} = θ_t − η D_t ∇L, whose D_t are taken along its path.
        learning_rate : float, optional
            η; an optimizer has its own.
        steps : int, optional
            t; the number of given D_t when not given.
        batches : Batches, or iterable of index arrays, optional
            All samples when not given, which is Thm 3.

        Returns
        -------
        ProductForm
            In float64 whatever the dtype of the features.

        Raises
        ------
        DegenerateKernelError
            If one of the K_{D_t}(X, X) is singular to working precision.
        MemoryLimitError
            If the dense matrices do not fit.
        """
        return product_formula(
            self, Y, preconditioners, learning_rate=learning_rate, steps=steps, batches=batches
        )

    def weighted_kernel(self, weights: Weights = None) -> Array:
        """K_D(X, X) = φ(X) D φ(X)^T for a constant D, computed anew; ``kernel`` without one.

        Parameters
        ----------
        weights : float, ndarray, shape (P,) or (P, P), or LowRank, optional
            D.

        Returns
        -------
        ndarray, shape (N, N)
        """
        if weights is None:
            return self.kernel
        weights = as_constant(weights, self.features.shape[1])
        if isinstance(weights, float | int):
            return self.kernel.dtype.type(weights) * self.kernel
        return weighted_kernel(self.features, weights, factors=(self._factor(weights), None))

    def _factor(self, weights: Constant) -> Array | None:
        """φ(X)W of a LowRank, kept for the latest one; None for any other D."""
        if not isinstance(weights, LowRank):
            return None
        kept, factor = self._latest.get("factor", (None, None))
        if kept is not weights:
            factor = self.features @ weights.W
            self._latest["factor"] = weights, factor
        return factor

    def at(self, X_new: ArrayLike, weights: Weights = None) -> Evaluation:
        """f_0 and the kernel at new inputs; the latest ones are kept, so asking again is free.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        weights : float, ndarray, shape (P,) or (P, P), or LowRank, optional
            D, compared by identity.

        Returns
        -------
        Evaluation
        """
        phi = self.features
        X_new = as_new_inputs(X_new, phi)
        refuse_mixed(phi.inputs, X_new)
        weights = as_constant(weights, phi.shape[1])
        slot = "plain" if weights is None else "weighted"
        latest = self._latest.get(slot)
        if latest is not None and latest.weights is weights and _same(latest.inputs, X_new):
            return latest
        with advising("pass fewer rows of X_new at a time"):
            new = phi.at(X_new)
            K = weighted_kernel(new, weights, phi, factors=(None, self._factor(weights)))
        self._latest[slot] = Evaluation(
            inputs=X_new.copy(),  # its owner may change X_new in place
            weights=weights,
            outputs=new.outputs,
            kernel=K,
        )
        return self._latest[slot]

    def modes_at(self, X_new: ArrayLike) -> tuple[Array, Array]:
        """K(X_new, X)V, in float64, what is certain of it and what is doubtful; kept like ``at``.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        certain : ndarray, shape (N_new, N)
        doubtful : ndarray, shape (N_new, n)
            See ``spectral.modes``.
        """
        at = self.at(X_new)
        kept, projected = self._latest.get("modes", (None, None))
        if kept is not at:
            projected = modes(at.kernel, self.spectrum)
            self._latest["modes"] = at, projected
        return projected


@dataclass(frozen=True, eq=False, kw_only=True)
class Rescaled:
    """A linearization in units of its own: f = 2^e f', φ = 2^e φ', K = 4^e K', exactly.

    Attributes
    ----------
    linearization : Linearization
        Of f' and φ'.
    exponent : int
        e.
    """

    linearization: Linearization
    exponent: int


def _same(kept: Array, X_new: Array) -> bool:
    return kept.shape == X_new.shape and bool((kept == X_new).all())


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What new inputs contribute to f_t, whatever t and Y.

    Attributes
    ----------
    inputs : ndarray, shape (N_new, d)
    weights : float, ndarray, LowRank or None
        D.
    outputs : ndarray, shape (N_new,)
        f_0(X_new).
    kernel : ndarray, shape (N_new, N)
        K_D(X_new, X).
    """

    inputs: Array
    weights: Constant
    outputs: Array
    kernel: Array
