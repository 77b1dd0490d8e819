"""The network's linearization at θ_0, Eq. (2), factorized once and asked often."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import cached_property
from os import PathLike
from typing import Any, cast

from numpy.typing import ArrayLike

from ntklin.algebra.preconditioners import (
    LowRank,
    Weights,
    adagrad_weights,
    interpolating_preconditioner,
)
from ntklin.algebra.spectrum import as_rank_cut, as_ridge
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import host, is_mapped
from ntklin.edge.checks import as_inputs, as_progress, as_vector, warn_outside_unit_ball
from ntklin.edge.faces.bars import SolverMeter, followed
from ntklin.networks.descriptions import describe_network
from ntklin.networks.memory import rows_that_fit
from ntklin.networks.mlp import MLP
from ntklin.networks.network import Network, require_network
from ntklin.networks.streamed import StreamedFeatures
from ntklin.runs.batches import BatchSource
from ntklin.runs.checkpoint import digest
from ntklin.runs.engine import MethodName
from ntklin.runs.losses import LossName
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.schedules import LearningRate
from ntklin.runs.stops import Horizon, Stop
from ntklin.theory.descend import descend
from ntklin.theory.factorized import FactorizedKernel
from ntklin.theory.feature_source import FeatureSource
from ntklin.theory.gradient_descent import LinearizedGradientDescent
from ntklin.theory.linearized_run import LinearizedRun
from ntklin.theory.minimize import solve_minimizer
from ntklin.theory.minimizer import Minimizer
from ntklin.theory.moments import SGDMoments, as_batch_size
from ntklin.theory.solver_options import (
    TOLERANCE,
    Preconditioner,
    SolverName,
    SolverProgress,
    as_solver_options,
)
from ntklin.theory.theorems import ProductForm, product_formula
from ntklin.theory.train_linearized import train_linearized

_log = logging.getLogger("ntklin.theory")


def linearize(
    net: Network, theta: ArrayLike, X: ArrayLike, *, rows: int | None = None
) -> Linearization:
    """Linearize a network at θ on training inputs X: f_lin(x; θ') = f_θ(x) + φ(x)(θ' − θ), Eq. (2).

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
    theta : ndarray, shape (P,)
        θ_0, or any later θ_T (Sect. 6). Copied.
    X : ndarray, shape (N, d)
        Training inputs; rows outside the unit ball are allowed with a warning. Copied, but for a
        ``numpy.memmap``, which is read where it is.
    rows : int, optional
        How many inputs have passes at a time, which are made anew for every product; see
        :class:`ntklin.StreamedFeatures`. X is then not copied, and may be of any real dtype.
        Without it all passes are kept, but by an MLP only where they fit into the memory.

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
    require_network(net)
    inputs = as_inputs(X, net.n_inputs) if rows is None else as_array(X, "X")
    if rows is None and not is_mapped(inputs):
        inputs = inputs.copy()
    theta = as_vector(theta, net.n_parameters, name="theta").copy()
    if rows is None and isinstance(net, MLP):
        rows = rows_that_fit(net, len(inputs), max(inputs.itemsize, theta.itemsize), inputs)
    if rows is None:
        features = net.features(theta, inputs)
    else:
        _log.info("passes are made anew for every product, %s inputs at a time", rows)
        features = StreamedFeatures.of(net, theta, inputs, rows)
    warn_outside_unit_ball(inputs)
    return Linearization(FeatureSource(features))


class Linearization(FactorizedKernel):
    """f_lin(x; θ) = f_0(x) + φ(x)(θ − θ_0), Eq. (2), on training inputs X with K = φ(X)φ(X)^T.

    Of a network, by :func:`linearize`, or of a kernel K and f_0 alone, which is all that closed
    forms and minimizers ask for, by :func:`ntklin.linearize_kernel`. What needs θ then raises a
    NoParametersError. A network of C outputs has targets and outputs (N, C) in the place of (N,),
    the loss Σ_c (f_c − y_c)²/2, averaged over the N samples, and a kernel of N·C rows, n major.

    Attributes
    ----------
    source : Source
        What supplies K and f_0.
    precision : dtype, optional
        The one that decides the rank cut, where it is not that of the source.
    """

    @cached_property
    def fingerprints(self) -> dict[str, Any]:
        """By which a saved run of it is known: of the network, θ_0 and X."""
        phi = self.features
        return {
            "network": describe_network(phi.network),
            "theta": digest(phi.parameters),
            "X": digest(phi.inputs),
        }

    def gradient_descent(
        self,
        Y: ArrayLike,
        learning_rate: LearningRate | None = None,
        ridge: float = 0.0,
        rcond: float | None = None,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        weights: Weights = None,
    ) -> LinearizedGradientDescent:
        """Gradient descent from θ_0 on the linearized network, at any step, Eqs. (18), (19).

        Discrete gradient descent on L = ‖f(X) − Y‖²/(2N) + ridge ‖θ − θ_0‖²/(2N):

            θ_{t+1} = θ_t − (η/N) [D φ(X)^T (f_t(X) − Y) + ridge (θ_t − θ_0)],   D = 1

        With ``weights`` another constant D, K_D = φ D φ^T takes the place of K throughout, in the
        default learning rate, too, and the ridge is one on ‖θ − θ_0‖² in the norm of D^{-1}.

        Momentum, decay and schedules are PyTorch's. With g_t the gradient of L and v_0 = 0,

            v_{t+1} = β v_t + g_t + weight_decay θ_t,   θ_{t+1} = θ_t − η_t v_{t+1}

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, C)
        learning_rate : float or callable, optional
            η, or t ↦ η_t ≥ 0 for the step from θ_t to θ_{t+1}, as ``CosineSchedule``; a quarter of
            the stability bound when not given, 0.5 N/(λ_max + ridge) without momentum and decay.
        ridge : float
            λ ≥ 0 of App. A, in units of the kernel: it turns K^{-1} into (K + λ1)^{-1}.
        rcond : float, optional
            For t = None only: eigenvalues ≤ rcond · λ_max are cut, 1/λ becoming 0. Without it and
            without ridge a kernel that is singular to working precision is refused where P ≥ N; the
            underparametrized P < N (App. A) cuts at N·eps.
        momentum : float
            0 ≤ β < 1.
        nesterov : bool
            θ_{t+1} = θ_t − η_t (g_t + β v_{t+1}) instead, with the decay in g_t.
        weight_decay : float
            w ≥ 0, that of (w/2) ‖θ‖² beside the loss. It needs features of a network.
        decoupled : bool
            θ_{t+1} = (1 − η_t w) θ_t − η_t g_t, with D g_t in the place of g_t for weights D:
            without momentum the same as the coupled decay if D = 1, and for other D the one that
            has a closed form. With momentum there is none.
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
        NoParametersError
            If a kernel without θ is to have weight decay.
        ValueError
            For Nesterov's rule without momentum, and for a decay that has no closed form: with
            weights and coupled, or with momentum and decoupled or with weights.
        """
        return descend(
            self,
            Y,
            learning_rate,
            ridge=ridge,
            rcond=rcond,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            decoupled=decoupled,
            weights=weights,
        )

    def moments(
        self,
        Y: ArrayLike,
        learning_rate: float | None,
        batch_size: int,
        *,
        weights: Weights = None,
    ) -> SGDMoments:
        """Mean and covariance of f_t under SGD, over batches that are drawn for each step.

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, C)
        learning_rate : float or None
            η; None for ``default_learning_rate()``, which is not stable for every batch size.
        batch_size : int
            b, 1 … N: each step has its own batch, uniform without replacement.
        weights : float, array_like, shape (P,) or (P, P), or LowRank, optional
            A constant D ≥ 0, as for ``gradient_descent``.

        Returns
        -------
        SGDMoments

        Raises
        ------
        DegenerateKernelError
            If K(X, X) = 0 and no learning rate is given.
        ValueError
            For a batch size above N, and for a schedule: the recursion is that of one η.
        """
        batch_size = as_batch_size(batch_size, self.n_samples)
        if callable(learning_rate):
            raise ValueError(
                "moments are those of one learning_rate, not of a schedule; pass a number, and for "
                "a schedule take the scatter of runs with ntklin.Batches"
            )
        mean = self.gradient_descent(Y, learning_rate, weights=weights)
        return SGDMoments(
            linearization=mean.linearization,
            targets=mean.targets,
            learning_rate=cast(float, mean.learning_rate),
            batch_size=batch_size,
        )

    def minimizer(
        self,
        Y: ArrayLike,
        weights: Weights = None,
        rcond: float | None = None,
        ridge: float = 0.0,
        *,
        solver: SolverName = "auto",
        preconditioner: Preconditioner | None = None,
        tol: float | None = None,
        progress: Callable[[SolverProgress], object] | bool | None = None,
        start: ArrayLike | None = None,
    ) -> Minimizer:
        """The minimizer that training converges to, split by Thm 1; with weights, Eq. (9).

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, C)
        weights : float, array_like, shape (P,) or (P, P), or LowRank, optional
            A constant D ≥ 0, K_D = φ D φ^T taking the place of K: a multiple of 1, the diagonal,
            a symmetric positive semidefinite matrix (small problems), or ``LowRank(W)`` for
            D = W W^T. Where D trains fewer directions than there are inputs, by its zeros or the
            columns of W, the minimizer fits as in the underparametrized case (App. A).
        rcond : float, optional
            Eigenvalues ≤ rcond · λ_max are cut; see ``gradient_descent``.
        ridge : float
            λ ≥ 0: (K_D + λ1)^{-1} takes the place of K_D^{-1} (App. A).
        solver : {"auto", "eigh", "cholesky", "packed", "mixed", "pcg"}
            How the equation is solved; what it takes is in :func:`ntklin.plan`. ``"eigh"`` has the
            spectrum, 5 N × N arrays; ``"cholesky"`` one, in place; ``"packed"`` half of one;
            ``"mixed"`` a quarter, a float32 factor by which conjugate gradients in float64 with
            φ(φ^T v) come to their end in a few iterations; ``"pcg"`` none. ``"auto"``: Cholesky,
            or the spectrum where it is in doubt, of a kernel that is kept; above 8192 rows what
            fits into memory, in this order. ``m.solver`` says what it was. Of CuPy arrays the
            factors of ``"cholesky"``, ``"packed"``, ``"mixed"``, ``"ntk"`` and ``"mean_output"``
            are on the GPU where they fit there, half of an array at most, and ``"auto"`` then
            begins with ``"packed"``.
        preconditioner : str, array_like or callable, optional
            For ``"pcg"``: ``"ntk"``, the kernel Θ of infinite width, one N × N float32 factor for
            all outputs; ``"mean_output"``, the same of an MLP's kernel with one output whose last
            weights are root mean squares over all; ``"nystrom"``, a randomly pivoted Cholesky
            factorization of 10√N columns; ``"none"``; or M^{-1} of your own, as a matrix, a
            LinearOperator or a function R ↦ M^{-1} R of (N, k) arrays. When not given, ``"ntk"``
            where the limit is known and D is a number, otherwise ``"nystrom"``.
        tol : float, optional
            ‖R − K_D α‖/‖R‖ to reach, computed in float64, for Y and f_0(X) each. 1e-10 for
            ``"mixed"`` and ``"pcg"`` when not given; others are as exact as they are, and with
            ``tol`` a factor in place refines its solution until that is reached.
        progress : callable or bool, optional
            Called with a ``SolverProgress`` (phase, done, total, residual) after every panel and
            every iteration; what it raises ends the work. True shows a bar.
        start : array_like, shape (N, 2) or (N, C, 2), optional
            For ``"mixed"`` and ``"pcg"``: coefficients to start from, those of another minimizer.

        Returns
        -------
        Minimizer

        Raises
        ------
        DegenerateKernelError
            If K_D(X, X) is singular to working precision, D trains at least N directions, and
            neither ridge nor rcond is given; the message tells whether D is the cause.
        ConvergenceError
            If the residual does not come below ``tol``; with what was reached.
        MemoryLimitError
            If the solver needs more than is free.
        ValueError
            For options that do not go together, as rcond and a solver without the spectrum.
        """
        Y = host(self.source.targets(Y))
        ridge, rcond = as_ridge(ridge), as_rank_cut(rcond)
        weights = self.source.preconditioner(weights)
        rows, shape = self.source.n_rows, Y.shape
        progress, reached = as_progress(progress), TOLERANCE if tol is None else tol
        with followed(progress, lambda: SolverMeter(reached)) as told:
            given = solver, preconditioner, tol, told, start
            options = as_solver_options(*given, rows=rows, shape=shape, rcond=rcond)
            return solve_minimizer(
                self, Y, weights=weights, rcond=rcond, ridge=ridge, options=options
            )

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
        Y : array_like, shape (N,) or (N, C)
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
        phi, Y = self.features, self.source.targets(Y).reshape(-1)
        return interpolating_preconditioner(phi, self.kernel, self.spectrum, w, Y)

    def adagrad_weights(self) -> Array:
        """Example 1: the D that AdaGrad (ε = 0) has for one input and one output, up to a number.

        D = diag |φ(x_1)|^{-1}, 0 where φ_j(x_1) = 0. ``minimizer(Y, weights=D)`` then is AdaGrad's
        limit, whatever its learning rate,

            f(x) = f_0(x) + Σ_j φ_j(x) sgn φ_j(x_1) / ‖φ(x_1)‖_1 · (y − f_0(x_1))

        Returns
        -------
        ndarray, shape (P,)

        Raises
        ------
        ValueError
            If there is more than one training input or output, or φ(x_1) = 0.
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
        progress: Callable[[int, float], object] | bool | None = None,
    ) -> LinearizedRun:
        """Train the linearized network step by step with any optimizer and batches, exactly.

        The recursion θ_{t+1} = θ_t − η D_t ∇L(θ_t) (Eq. 6), or what Momentum and Adam have in its
        place, on f_t = f_0 + φ(θ_t − θ_0), for the mean loss over all samples or over the batch of
        the step (Eq. 10). The result is split as in Thms 3 and 6.

        Parameters
        ----------
        Y : array_like, shape (N,) or (N, C)
            For the softmax loss also class labels 0, …, C − 1, (N,).
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
        loss : {"squared", "logistic", "softmax"}
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
        progress : callable or bool, optional
            Called as ``progress(step, loss)`` about ten times a second. True shows a bar.

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
        Y : array_like, shape (N,) or (N, C)
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
        DivergenceError
            If the products leave the range of float64.
        MemoryLimitError
            If the dense matrices do not fit.
        """
        return product_formula(
            self, Y, preconditioners, learning_rate=learning_rate, steps=steps, batches=batches
        )
