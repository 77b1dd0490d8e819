"""A trained network, and how it is saved and loaded."""

from dataclasses import dataclass, field

import numpy as np

from ntklin import checkpoint
from ntklin._validate import as_path
from ntklin.errors import CheckpointError
from ntklin.files.names import shown
from ntklin.files.writing import whole
from ntklin.monotone import Measured, Yardstick
from ntklin.recording import TrainingRecords
from ntklin.sendable import Sendable

ENGINE, SNAPSHOT = "engine.", "records.snapshot."


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRun(Sendable, Measured):
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
    optimizer : Optimizer
        With the learning rate that was used.
    method : str
        The engine that took the steps.
    loss : {"squared", "logistic"}
    records : TrainingRecords
        At the steps that ``record`` chose.
    identity : dict
        What the run is of: by it a saved run knows the network and data that it belongs to.
    arrays : dict of str to ndarray
        Where the engine was.
    """

    network: object
    parameters: np.ndarray
    losses: np.ndarray
    steps: int
    converged: bool
    optimizer: object
    method: str
    loss: str
    records: TrainingRecords
    identity: dict = field(repr=False)
    arrays: dict = field(repr=False)

    @property
    def yardstick(self):
        """What ``losses`` are measured by."""
        zero = self.identity["loss_of_zero"]
        return Yardstick(float(self.losses[0]), zero, np.dtype(self.identity["dtype"]))

    def predict(self, X):
        """The trained network's outputs f_θ(X), shape (N,)."""
        return self.network.apply(self.parameters, X)

    def snapshot(self, step):
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
        kept = dict(zip(self.records.steps.tolist(), self.records.snapshots or (), strict=False))
        kept[self.steps] = self.parameters
        if step not in kept:
            raise ValueError(
                f"there is no snapshot of step {step}, only of {', '.join(map(str, kept))}: they "
                "are taken at the steps that train(record=...) chooses, unless snapshots=False"
            )
        return kept[step].copy()

    def save(self, path):
        """Save all that it takes to continue the run by ``train(..., resume=path)``.

        One ``.npz`` file, written whole or not at all. It holds the parameters, the losses, the
        records and the optimizer's sums, but of θ_0, X and Y only fingerprints; and a digest of
        all that, by which a damaged file is known.

        Parameters
        ----------
        path : path
            Taken as it is, whatever its ending; an existing file is replaced, where a link leads
            if it is one. What killed processes left unfinished beside it is removed.

        Raises
        ------
        OSError
            If it cannot be written; an existing file is then unchanged.
        """
        with whole(as_path(path, name="path")) as f:
            write_run(self, f)


def write_run(run, f):
    """Write what ``run.save`` saves into a file that is open for writing bytes."""
    r = run.records
    arrays = {ENGINE + name: a for name, a in run.arrays.items()}
    theta = run.arrays.get("theta")
    if theta is None or not bool(np.array_equal(theta, run.parameters)):
        arrays["parameters"] = run.parameters
    arrays |= {
        "losses": run.losses,
        "records.steps": r.steps,
        "records.distances": r.distances,
    }
    if r.outputs is not None:
        arrays["records.outputs"] = r.outputs
    arrays |= {f"{SNAPSHOT}{k}": theta for k, theta in enumerate(r.snapshots or ())}
    meta = {
        "identity": run.identity,
        "converged": run.converged,
        "initial_norm": r.initial_norm,
        "inputs": r.inputs,
        "snapshots": r.snapshots is not None,
    }
    checkpoint.write(f, meta, arrays)


def load_run(path, *, network=None, optimizer=None):
    """A training run that was saved by :meth:`TrainingRun.save`.

    Parameters
    ----------
    path : path
    network : object, optional
        Needed only for a network that is not of this library's classes.
    optimizer : Optimizer, optional
        Needed only for ``Preconditioned``, whose function cannot be saved, and for other classes.

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
        "network": checkpoint.describe_network(run.network),
        "optimizer": checkpoint.describe_optimizer(run.optimizer),
    }
    checkpoint.require_same(run.identity, run.identity | described, shown(path))
    return run


def read_run(path, network=None, optimizer=None):
    """As ``load_run``, but what is given is not compared, and None stays where it is needed."""
    meta, arrays = checkpoint.read(path)
    try:
        identity = meta["identity"]
        saved = checkpoint.network_from(identity["network"])
        optimizer = optimizer or checkpoint.optimizer_from(identity["optimizer"])
        run = _assemble(meta, arrays, network or saved, optimizer)
        _require_consistent(run, saved)
    except KeyError as e:
        raise CheckpointError(f"{shown(path)} is incomplete: it lacks {e}") from e
    except (IndexError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise CheckpointError(f"{shown(path)} holds no training run of ntklin: {e}") from e
    return run


def _require_consistent(run, network):
    """Refuse parts that do not belong to each other; ``network`` is the saved one, or None."""
    losses, records, identity = run.losses, run.records, run.identity
    if missing := [part for part in checkpoint.PARTS if part not in identity]:
        raise KeyError(missing[0])
    if losses.ndim != 1 or losses.dtype.kind != "f" or not np.isfinite(losses).all():
        raise ValueError("the losses are no vector of finite numbers")
    parameters = run.parameters
    wrong = parameters.ndim != 1 or parameters.dtype != np.dtype(identity["dtype"])
    if wrong or (network is not None and len(parameters) != network.n_parameters):
        raise ValueError(f"the parameters have shape {parameters.shape} of {parameters.dtype}")
    steps, n = records.steps, len(records.steps)
    if steps.dtype.kind != "i" or (np.diff(steps, prepend=-1, append=len(losses)) <= 0).any():
        raise ValueError("the recorded steps are not steps of the run, in order")
    if not np.isfinite(records.initial_norm) or records.distances.shape != (n,):
        raise ValueError("there must be one distance for each recorded step")
    if records.outputs is not None and (records.outputs.ndim != 2 or len(records.outputs) != n):
        raise ValueError(f"the recorded outputs have shape {records.outputs.shape}")
    for theta in records.snapshots or ():
        if (theta.shape, theta.dtype) != (parameters.shape, parameters.dtype):
            raise ValueError(f"a snapshot has shape {theta.shape} of {theta.dtype}")


def _assemble(meta, arrays, network, optimizer):
    identity = meta["identity"]
    engine = {k.removeprefix(ENGINE): a for k, a in arrays.items() if k.startswith(ENGINE)}
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
        steps=len(losses) - 1,
        converged=meta["converged"],
        optimizer=optimizer,
        method=identity["method"],
        loss=identity["loss"],
        records=TrainingRecords(
            steps=steps,
            losses=losses[steps],
            distances=arrays["records.distances"],
            initial_norm=meta["initial_norm"],
            outputs=arrays.get("records.outputs"),
            snapshots=snapshots,
            inputs=meta["inputs"],
        ),
        identity=identity,
        arrays=engine,
    )
