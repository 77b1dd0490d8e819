"""A trained network, and how it is saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_count, as_path
from ntklin.edge.errors import CheckpointError
from ntklin.edge.files.names import shown
from ntklin.networks.descriptions import describe_network, network_from
from ntklin.networks.network import Network, named
from ntklin.runs import checkpoint
from ntklin.runs.descriptions import describe_optimizer, optimizer_from
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.outcome import Run
from ntklin.runs.stability import sharpness_bound
from ntklin.training.recording import TrainingRecords

SNAPSHOT = "records.snapshot."


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class TrainingRun(Run):
    """A trained network.

    Attributes
    ----------
    network : MLP, AntisymmetricPair or DoubledNetwork
    parameters : ndarray, shape (P,)
        θ_t at the end.
    losses : ndarray, shape (steps + 1,)
        L(θ_0), …, L(θ_t), each on all samples.
    steps : int
        The number of steps taken, t, counted from θ_0 also where the run was continued.
    converged : bool
        Whether the loss fell below ``until``.
    ended_by : str or None
        What ended it: "until", "steps", the ``name`` of a stop condition, "batches" where an
        iterable of them ended, or "interrupt". None of a file by an older version.
    optimizer : Optimizer
        With the learning rate that was used.
    method : str
        The engine that took the steps.
    loss : {"squared", "logistic", "softmax"}
    rates : ndarray, shape (steps,), or None
        η_0, …, η_{t−1} where the learning rate depends on the step.
    records : TrainingRecords
        At the steps that ``record`` chose.
    identity : dict
        What the run is of: by it a saved run knows the network and data that it belongs to.
    arrays : dict of str to ndarray
        Where the engine was.
    """

    network: Network
    parameters: Array
    records: TrainingRecords

    def predict(self, X: ArrayLike) -> Array:
        """The trained network's outputs f_θ(X), shape (N,) or (N, C)."""
        return self.network.apply(self.parameters, cast(Array, X))

    @property
    def sharpness_bounds(self) -> NDArray[np.float64]:
        """At which sharpness each recorded step is at the edge of stability, shape (K,).

        See :func:`ntklin.sharpness_bound`; beside it, ``records.sharpness``.
        """
        bounds = [sharpness_bound(self.optimizer, t) for t in self.records.steps.tolist()]
        return np.array(bounds, np.float64)

    def snapshot(self, step: int) -> Array:
        """θ_t at a recorded step, or the last: what ``linearize`` goes on from (Sect. 6, Eq. 11).

        Parameters
        ----------
        step : int
            t.

        Returns
        -------
        ndarray, shape (P,)
            A copy.

        Raises
        ------
        ValueError
            If there is no snapshot of this step.
        """
        step = as_count(step, name="step", minimum=0)
        kept = dict(zip(self.records.steps.tolist(), self.records.snapshots or (), strict=False))
        kept[self.steps] = self.parameters
        if step not in kept:
            raise ValueError(
                f"there is no snapshot of step {step}, only of {', '.join(map(str, kept))}: they "
                "are taken at the steps that train(record=...) chooses, unless snapshots=False"
            )
        return kept[step].copy()

    def _distances(self) -> tuple[Array, Array]:
        return self.records.steps, self.records.distances

    def _subject(self) -> dict[str, Any]:
        recorded = len(self.records.steps) or None
        return {
            "network": named(self.network),
            "parameters": self.parameters,
            "recorded_steps": recorded,
        }

    def _parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        meta, arrays = super()._parts()
        r = self.records
        if not self._holds("theta", self.parameters):
            arrays["parameters"] = self.parameters
        arrays |= {"records.steps": r.steps, "records.distances": r.distances}
        if r.outputs is not None:
            arrays["records.outputs"] = r.outputs
        if r.sharpness is not None:
            arrays["records.sharpness"] = r.sharpness
        arrays |= {f"{SNAPSHOT}{k}": theta for k, theta in enumerate(r.snapshots or ())}
        records = {"initial_norm": r.initial_norm, "inputs": r.inputs}
        return meta | records | {"snapshots": r.snapshots is not None}, arrays


def load_run(
    path: str | PathLike[str], *, network: Network | None = None, optimizer: Optimizer | None = None
) -> TrainingRun:
    """A training run that was saved by :meth:`TrainingRun.save`.

    Parameters
    ----------
    path : path
    network : object, optional
        Needed only for a network that is not of this library's classes.
    optimizer : Optimizer, optional
        Needed only where it has a function, which cannot be saved: ``Preconditioned``, or one with
        a learning rate of your own; and for other classes.

    Returns
    -------
    TrainingRun

    Raises
    ------
    CheckpointError
        If the file is damaged, something else, or of another version of the format.
    MemoryLimitError
        If it holds more than there is memory for.
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If the network or the optimizer is needed, or is not the saved one.
    """
    run = read_run(as_path(path, name="path"), network, optimizer)
    for name in ("network", "optimizer"):
        if getattr(run, name) is None:
            kind = run.identity[name]["class"]
            raise ValueError(f"{name} must be passed: a file cannot hold all of a {kind}")
    described = {
        "network": describe_network(run.network),
        "optimizer": describe_optimizer(run.optimizer),
    }
    checkpoint.require_same(run.identity, {**run.identity, **described}, shown(path))
    checkpoint.require_same_rates(run, run.optimizer, shown(path))
    return run


def read_run(
    path: str | PathLike[str], network: Network | None = None, optimizer: Optimizer | None = None
) -> TrainingRun:
    """As ``load_run``, but what is given is not compared, and None stays where it is needed."""
    meta, arrays = checkpoint.read(path, TrainingRun.kind)
    try:
        identity = meta["identity"]
        saved = network_from(identity["network"])
        optimizer = optimizer or optimizer_from(identity["optimizer"])
        run = _assemble(meta, arrays, network or saved, optimizer)
        _require_consistent(run, saved)
    except KeyError as e:
        raise CheckpointError(f"{shown(path)} is incomplete: it lacks {e}") from e
    except (IndexError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise CheckpointError(f"{shown(path)} holds no training run of ntklin: {e}") from e
    return run


def _require_consistent(run: TrainingRun, network: Network | None) -> None:
    """Refuse parts that do not belong to each other; ``network`` is the saved one, or None."""
    losses, records, identity = run.losses, run.records, run.identity
    checkpoint.require_consistent(run)
    parameters = run.parameters
    wrong = parameters.ndim != 1 or parameters.dtype != np.dtype(identity["dtype"])
    if wrong or (network is not None and len(parameters) != network.n_parameters):
        raise ValueError(f"the parameters have shape {parameters.shape} of {parameters.dtype}")
    steps, n = records.steps, len(records.steps)
    if steps.dtype.kind != "i" or (np.diff(steps, prepend=-1, append=len(losses)) <= 0).any():
        raise ValueError("the recorded steps are not steps of the run, in order")
    if not np.isfinite(records.initial_norm) or records.distances.shape != (n,):
        raise ValueError("there must be one distance for each recorded step")
    if records.sharpness is not None and records.sharpness.shape != (n,):
        raise ValueError("there must be one sharpness for each recorded step")
    if records.outputs is not None and (
        records.outputs.ndim not in (2, 3) or len(records.outputs) != n
    ):
        raise ValueError(f"the recorded outputs have shape {records.outputs.shape}")
    for theta in records.snapshots or ():
        if (theta.shape, theta.dtype) != (parameters.shape, parameters.dtype):
            raise ValueError(f"a snapshot has shape {theta.shape} of {theta.dtype}")


def _assemble(
    meta: Mapping[str, Any], arrays: dict[str, Any], network: Any, optimizer: Any
) -> TrainingRun:
    identity = meta["identity"]
    engine = checkpoint.engine_arrays(arrays)
    losses, steps = arrays["losses"], arrays["records.steps"]
    if losses.ndim != 1 or not len(losses) or steps.ndim != 1:
        raise ValueError("the losses and the recorded steps must be vectors")
    snapshots = None
    if meta["snapshots"]:
        snapshots = tuple(arrays[f"{SNAPSHOT}{k}"] for k in range(len(steps)))
    return TrainingRun(
        network=network,
        parameters=arrays["parameters"] if "parameters" in arrays else engine["theta"].copy(),
        losses=losses,
        converged=meta["converged"],
        ended_by=meta.get("ended_by"),
        optimizer=optimizer,
        method=identity["method"],
        loss=identity["loss"],
        rates=arrays.get("rates"),
        records=TrainingRecords(
            steps=steps,
            losses=losses[steps],
            distances=arrays["records.distances"],
            initial_norm=meta["initial_norm"],
            outputs=arrays.get("records.outputs"),
            sharpness=arrays.get("records.sharpness"),
            snapshots=snapshots,
            inputs=meta["inputs"],
        ),
        identity=identity,
        arrays=engine,
    )
