"""A run on the linearized network and its split into interpolating and path-dependent part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.preconditioners import as_preconditioner, precondition, rank_bound
from ntklin.algebra.solving import KernelSolution, solve_kernel
from ntklin.algebra.spectrum import degenerate_error, factorize, require_kernel_in_range
from ntklin.edge.arrays import Array, as_array
from ntklin.edge.backends import beside, freeze, host, refuse_mixed
from ntklin.edge.checks import (
    as_count,
    as_new_inputs,
    as_positive,
    as_vector,
    require_memory,
)
from ntklin.edge.errors import CheckpointError, DegenerateKernelError
from ntklin.edge.faces import pictures
from ntklin.edge.files.names import shown
from ntklin.edge.ranges import in_range, length
from ntklin.networks.features import REMEDY
from ntklin.runs import checkpoint
from ntklin.runs.batches import BatchSource
from ntklin.runs.descriptions import batches_from, optimizer_from
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.outcome import Run
from ntklin.theory.concentration import Concentration, KernelDrift, concentration, kernel_drift
from ntklin.theory.label_noise import label_sensitivity
from ntklin.theory.snapshots import Snapshot

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization

# What a file holds of each snapshot, and under which name.
KEPT, SNAPSHOT = ("displacement", "outputs", "weights"), "snapshot."


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LinearizedRun(Run):
    r"""The linearized network after t steps of training, split as in Thms 3 and 6, Eqs. (7), (17).

    .. math::

        f_t(x) &= \underbrace{f_0(x) + \varphi(x) A_t (f_t(X) - f_0(X))}_{\text{interpolating}}
            + \underbrace{\varphi(x) B_t}_{\text{path-dependent}} \\
        A_t &= D_{t-1} \varphi(X)^T K_{D_{t-1}}^{-1}, \qquad
        B_t = \theta_t - \theta_0 - A_t (f_t(X) - f_0(X)), \qquad K_D = \varphi(X) D \varphi(X)^T

    φ(X) A_t = 1, so that the interpolating part fits the training data as f_t does, and
    φ(X) B_t = 0; a constant D has B_t = 0. For optimizers with θ_{t+1} = θ_t − η D_t ∇L (Eq. 6)
    and the squared loss, A_t and B_t are those of the theorems, whose product formulas
    ``Linearization.theorem3`` and ``theorem6`` evaluate to the letter. Momentum and Adam carry a
    velocity, and other losses are not quadratic: the formulas do not hold then, but the split
    above, defined by the end state alone, does. Momentum has D = 1, so that its A_t is that of
    gradient descent.

    Where D_{t−1} trains fewer directions than there are samples, as with P < N (App. A), A_t has
    the pseudo-inverse of K_D. Made by ``Linearization.train``.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,) or (N, C)
    optimizer : Optimizer
        With the learning rate that was used.
    loss : str
    rates : ndarray, shape (steps,), or None
        η_0, …, η_{t−1} where the learning rate depends on the step.
    batches : Batches, iterable of index arrays, or None
        In a copy, () stands for an iterator.
    method : str
        The engine that took the steps.
    losses : ndarray, shape (steps + 1,)
        L(f_0), …, L(f_t), on all training samples whatever the batches.
    converged : bool
        Whether the loss fell below ``until``.
    ended_by : str or None
        What ended it; see :class:`ntklin.TrainingRun`.
    displacement : ndarray, shape (P,)
        θ_t − θ_0, read-only.
    outputs : ndarray, shape (N,) or (N, C)
        f_t(X), read-only.
    weights : float, or ndarray, shape (P,) or (P, P)
        D_{t−1}, the preconditioner of the latest step, 0 where no gradient came so far; 1 for
        t = 0.
    snapshots : tuple of Snapshot
        What was recorded.
    first_weights : float, ndarray, shape (P,) or (P, P), or None
        D_0 of a run that was recorded.
    identity : dict
        What the run is of: by it a saved run knows the linearization that it belongs to.
    arrays : dict of str to ndarray, or None
        Where the engine was; None of a run by ``at(t)``, which cannot be continued.
    """

    linearization: Linearization
    targets: Array
    batches: BatchSource | None
    displacement: Array
    outputs: Array
    weights: float | Array
    snapshots: tuple[Snapshot, ...] = ()
    first_weights: float | Array | None = None

    kind = "linearized run"
    _line_style = pictures.LINEARIZED

    def _sent(self) -> dict[str, Any]:
        used_up = isinstance(self.batches, Iterator)
        return super()._sent() | ({"batches": ()} if used_up else {})

    @cached_property
    def parameters(self) -> Array:
        """θ_t, (P,), read-only."""
        phi = self.linearization.features
        return freeze((phi.parameters + self.displacement).astype(phi.dtype, copy=False))

    def predict(self, X_new: ArrayLike, t: int | None = None) -> Array:
        """The outputs f_t(X_new) = f_0(X_new) + φ(X_new)(θ_t − θ_0).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int, optional
            0 or a recorded step; the end when not given.

        Returns
        -------
        ndarray, shape (N_new,) or (N_new, C)
        """
        phi = self.linearization.features
        X_new = as_new_inputs(X_new, phi)
        refuse_mixed(phi.inputs, X_new)
        new = phi.network.features(phi.parameters, X_new)
        displacement = self.displacement if t is None else self.at(t).displacement
        with np.errstate(over="ignore", under="ignore"):
            outputs = new.outputs + (new @ displacement).reshape(new.outputs.shape)
        return in_range(outputs, phi.dtype, "f_t(X_new)", REMEDY)

    def at(self, t: int) -> LinearizedRun:
        """The same run as it was at step t: a LinearizedRun of its own, with its split.

        Parameters
        ----------
        t : int
            0, a recorded step, or the last one.

        Returns
        -------
        LinearizedRun

        Raises
        ------
        ValueError
            If the step was not recorded.
        """
        t = as_count(t, name="t", minimum=0)
        if t == self.steps:
            return self
        known = {s.step: s for s in (self._start(), *self.snapshots)}
        if t not in known:
            steps = ", ".join(str(s) for s in sorted({*known, self.steps}))
            raise ValueError(
                f"step {t} was not recorded; known are {steps}: pass record= to train()"
            )
        return replace(
            self,
            displacement=known[t].displacement,
            outputs=known[t].outputs,
            weights=known[t].weights,
            losses=self.losses[: t + 1],
            rates=None if self.rates is None else self.rates[:t],
            converged=False,
            ended_by=None,
            arrays=None,
            snapshots=tuple(s for s in self.snapshots if s.step <= t),
            first_weights=self.first_weights if t else None,
        )

    def _start(self) -> Snapshot:
        return Snapshot(
            step=0,
            displacement=freeze(np.zeros_like(self.displacement)),
            outputs=freeze(self.linearization.initial_outputs.copy()),
            weights=1.0,
        )

    @cached_property
    def split(self) -> KernelSolution:
        """K_{D_{t−1}}^{-1} (f_t(X) − f_0(X)), (N·C,), and what its digits are worth.

        One weighted Gram matrix and one Cholesky factorization.

        Returns
        -------
        KernelSolution

        Raises
        ------
        DegenerateKernelError
            If K_{D_{t−1}} is singular to working precision although D_{t−1} trains N directions.
        ValueError
            If D_{t−1} is a matrix that is not symmetric and positive semidefinite;
            ``Linearization.theorem3`` and ``theorem6`` take those.
        MemoryLimitError
            If the kernel, or for a matrix D_{t−1} the dense J, does not fit.
        """  # noqa: DOC501
        lin, D = self.linearization, self._direction
        m, P = lin.features.shape
        require_memory(
            3 * 8 * m * m,
            f"solving with {lin.described_kernel}",
            "take fewer inputs; predict() and parameters need no kernel",
        )
        if D is not None and D.ndim == 2:
            D = as_preconditioner(D, P, name=f"D_{self.steps - 1}")
        K, bound = lin.weighted_kernel(D), rank_bound(D, P)
        require_kernel_in_range(K)
        moved = host(self.outputs).astype(np.float64) - host(lin.initial_outputs)
        spectrum = None if D is not None else lambda: lin.spectrum
        try:
            return solve_kernel(K, moved.reshape(-1), rank_bound=bound, spectrum=spectrum)
        except DegenerateKernelError:
            remedy = "A_t needs its inverse: remove the cause; predict() and parameters do not"
            unweighted = None if D is None else lin.spectrum
            raise degenerate_error(K, factorize(K, bound), remedy, unweighted=unweighted) from None

    @property
    def _direction(self) -> Array | None:
        """D_{t−1}; None for a multiple of 1, whatever the multiple: A_t does not depend on it."""
        D: Any = self.weights
        if np.ndim(D):
            return D
        if not D:
            raise DegenerateKernelError(
                f"D_{self.steps - 1} = 0: K_D = 0 has no inverse, so there is no A_t. The step had "
                "no effect; ask for the split at another one"
            )
        return None

    def interpolating(self, X_new: ArrayLike) -> Array:
        """The interpolating part, f_0(X_new) + φ(X_new) A_t (f_t(X) − f_0(X)); f_t(X) on X itself.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,) or (N_new, C)

        Raises
        ------
        DegenerateKernelError, ValueError, MemoryLimitError
            As ``split``.
        """
        solution = self.split
        at = self.linearization.at(X_new, self._direction)
        moved = at.kernel @ beside(solution.coefficients, at.kernel)
        outputs = at.outputs + moved.reshape(at.outputs.shape)
        return in_range(outputs, self.outputs.dtype, "the interpolating part", REMEDY)

    def path_dependent(self, X_new: ArrayLike) -> Array:
        """The path-dependent part φ(X_new) B_t = f_t − interpolating part; 0 on X itself.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,) or (N_new, C)

        Raises
        ------
        DegenerateKernelError, ValueError, MemoryLimitError
            As ``split``.
        """
        X_new = as_new_inputs(X_new, self.linearization.features)
        return self.predict(X_new) - self.interpolating(X_new)

    @cached_property
    def interpolating_displacement(self) -> Array:
        """A_t (f_t(X) − f_0(X)), (P,), read-only; raises what ``split`` raises."""
        phi = self.linearization.features
        moves = beside(self.split.coefficients.astype(phi.dtype), phi.inputs)
        return freeze(precondition(self._direction, phi.T @ moves))

    @property
    def path_dependent_displacement(self) -> Array:
        """B_t = θ_t − θ_0 − A_t (f_t(X) − f_0(X)), (P,); raises what ``split`` raises."""
        return self.displacement - self.interpolating_displacement

    def noise_amplification(self, X_new: ArrayLike) -> Array:
        """‖K_D(x, X) K_D^{-1}‖² for the last D_{t−1}: what A_t makes of noise in f_t(X).

        The linear map of the interpolating part at a fixed D_t, which for a constant D and t → ∞ is
        Var f_t(x)/s² for label noise of variance s² (``Minimizer.noise_amplification``). What the
        whole path makes of it, D_t and B_t included, is in ``label_sensitivity``.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,) or (N_new, C)

        Raises
        ------
        DegenerateKernelError, MemoryLimitError
            As ``Linearization.minimizer``.
        """
        minimizer = self.linearization.minimizer(self.targets, weights=self._direction)
        return minimizer.noise_amplification(X_new)

    def label_sensitivity(self, X_new: ArrayLike, relative_step: float | None = None) -> Array:
        """∂f_t(x)/∂Y along the whole path, by central differences: two runs a label.

        D_t, B_t and f_t(X) move with the labels, so that for label noise of a small variance s²
        Var f_t(x) = s² Σ_n (∂f_t(x)/∂Y_n)², for any optimizer and batches.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        relative_step : float, optional
            By how much a label is moved, in units of the root mean square of Y − f_0(X); the cube
            root of eps when not given.

        Returns
        -------
        ndarray, shape (N_new, N) or (N_new, C, N, C)

        Raises
        ------
        ValueError
            If the run's batches were an iterator, which cannot be taken again.
        """
        if relative_step is None:
            relative_step = float(np.cbrt(np.finfo(self.outputs.dtype).eps))
        X_new = as_new_inputs(X_new, self.linearization.features)
        return label_sensitivity(self, X_new, as_positive(relative_step, name="relative_step"))

    def concentration(self, D: ArrayLike | None = None) -> Concentration:
        """How closely D_t stays around D at the recorded steps: the assumption under Eq. (6).

        Parameters
        ----------
        D : float, or array_like, shape (P,) or (P, P), optional
            The last D_t when not given.

        Returns
        -------
        Concentration

        Raises
        ------
        ValueError
            If nothing was recorded.
        """
        center = self.weights if D is None else self._as_center(D)
        lin = self.linearization
        return concentration(self._preconditioners(), center, self.optimizer, lin.features.network)

    def kernel_drift(self) -> KernelDrift:
        """How far K_{D_t}(X, X) moved away from K_{D_0} at the recorded steps.

        Returns
        -------
        KernelDrift

        Raises
        ------
        ValueError
            If nothing was recorded.
        """
        return kernel_drift(self._preconditioners(), self.linearization)

    def _preconditioners(self) -> dict[int, Any]:
        """D_{t−1} by t: at the first step, at the recorded ones and at the last."""
        if self.first_weights is None:
            raise ValueError("D_t was not recorded: pass record= to train(), and take a step")
        recorded = {s.step: s.weights for s in self.snapshots if s.step > 0}
        return {1: self.first_weights, **recorded, self.steps: self.weights}

    def _as_center(self, D: ArrayLike) -> Array:
        P, D = len(self.displacement), as_array(D, "D")
        shape = D.shape
        if shape not in ((), (P,), (P, P)):
            raise ValueError(
                f"D must be a number or an array of shape ({P},) or ({P}, {P}), got shape {shape}"
            )
        return as_vector(D.reshape(-1), math.prod(shape), name="D").reshape(shape)

    def _distances(self) -> tuple[Array, Array]:
        moved = [length(host(s.displacement).astype(np.float64)) for s in self.snapshots]
        return np.array([s.step for s in self.snapshots], int), np.array(moved)

    def _subject(self) -> dict[str, Any]:
        subject = self.linearization.source.in_words.rows
        return dict(subject) | {"recorded_steps": len(self.snapshots) or None}

    def _parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        meta, arrays = super()._parts()
        if not self._holds("displacement", self.displacement):
            arrays["displacement"] = self.displacement
        arrays |= {"outputs": self.outputs, "weights": _as_array(self.weights)}
        if self.first_weights is not None:
            arrays["first_weights"] = _as_array(self.first_weights)
        for k, snapshot in enumerate(self.snapshots):
            kept = {f"{SNAPSHOT}{k}.{name}": getattr(snapshot, name) for name in KEPT}
            arrays |= {name: _as_array(value) for name, value in kept.items()}
        return meta | {"snapshots": [s.step for s in self.snapshots]}, arrays


def read_linearized_run(
    path: str | PathLike[str],
    linearization: Linearization,
    Y: Array,
    optimizer: Optimizer | None = None,
) -> LinearizedRun:
    """The run of a linearization that was saved in a file.

    Parameters
    ----------
    path : path
    linearization : Linearization
    Y : ndarray, shape (N,) or (N, C)
        Its targets, in the dtype of the features.
    optimizer : Optimizer, optional
        Needed where a file cannot hold all of it; else None stays in its place.

    Returns
    -------
    LinearizedRun

    Raises
    ------
    CheckpointError
        If the file is damaged, something else, or of another version.
    """
    meta, arrays = checkpoint.read(path, LinearizedRun.kind)
    try:
        identity, engine = meta["identity"], checkpoint.engine_arrays(arrays)
        if "displacement" not in arrays:
            arrays["displacement"] = engine["displacement"].copy()
        first = arrays.get("first_weights")
        snapshots = tuple(
            Snapshot(step=step, **{k: _number_or_array(arrays[f"{SNAPSHOT}{i}.{k}"]) for k in KEPT})
            for i, step in enumerate(meta["snapshots"])
        )
        run = LinearizedRun(
            linearization=linearization,
            targets=Y,
            optimizer=optimizer or optimizer_from(identity["optimizer"]),
            loss=identity["loss"],
            rates=arrays.get("rates"),
            batches=batches_from(identity["batches"]),
            method=identity["method"],
            losses=arrays["losses"],
            converged=meta["converged"],
            ended_by=meta["ended_by"],
            displacement=freeze(arrays["displacement"]),
            outputs=freeze(arrays["outputs"]),
            weights=_number_or_array(arrays["weights"]),
            snapshots=snapshots,
            first_weights=None if first is None else _number_or_array(first),
            identity=identity,
            arrays=engine,
        )
        _require_consistent(run)
    except KeyError as e:
        raise CheckpointError(f"{shown(path)} is incomplete: it lacks {e}") from e
    except (IndexError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise CheckpointError(f"{shown(path)} holds no linearized run of ntklin: {e}") from e
    return run


def _as_array(value: Any) -> Any:
    """What a file can hold of a number or an array, wherever it is."""
    return np.asarray(value) if np.ndim(value) == 0 else value


def _number_or_array(a: Array) -> Any:
    """What a file holds: a number, or an array, read-only."""
    return freeze(a) if a.ndim else float(a)


def _require_consistent(run: LinearizedRun) -> None:
    """Refuse parts that do not belong to each other."""
    checkpoint.require_consistent(run)
    known = run.linearization.fingerprints
    if any(run.identity[part] != known[part] for part in known):
        return  # of another linearization, which is the caller's to refuse
    P, n = run.linearization.features.shape[1], run.linearization.initial_outputs.shape
    for moment in (run, *run.snapshots):
        shapes = moment.displacement.shape, moment.outputs.shape, np.shape(moment.weights)
        if shapes[:2] != ((P,), n) or shapes[2] not in ((), (P,), (P, P)):
            raise ValueError(f"θ_t − θ_0, f_t(X) and D_t have shapes {shapes}")
    steps = [s.step for s in run.snapshots]
    if (np.diff([-1, *steps, run.steps + 1]) <= 0).any():
        raise ValueError("the recorded steps are not steps of the run, in order")
