"""How far the preconditioners D_t of a run move: their concentration, and the kernels K_{D_t}."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.backends import host
from ntklin.edge.faces.shown import Shown
from ntklin.runs.optimizer import Optimizer
from ntklin.runs.optimizers import Preconditioned

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Concentration(Shown):
    """How closely D_t stays around D, the assumption under Eq. (6).

    D_t concentrates around D if ‖D_t − D‖_op/D_max ≤ Z/√m for all t, with D_max = sup_t ‖D_t‖_op.
    Here the suprema are over the steps below.

    Attributes
    ----------
    steps : ndarray of int, shape (T,)
        t: the first step, the recorded ones and the last, each after its step was taken.
    distances, norms : ndarray, shape (T,)
        ‖D_{t−1} − D‖_op and ‖D_{t−1}‖_op, over the coordinates that had a gradient by then.
    width : int or None
        m, the smallest width of a hidden layer; None for a network without any, or that tells none.
    """

    steps: Array
    distances: Array
    norms: Array
    width: int | None

    @property
    def largest_norm(self) -> float:
        """D_max."""
        return float(self.norms.max())

    @property
    def relative_distance(self) -> float:
        """sup_t ‖D_t − D‖_op/D_max; 0 where all D_t = 0."""
        return float(self.distances.max()) / self.largest_norm if self.largest_norm else 0.0

    @property
    def constant(self) -> float:
        """Z = √m sup_t ‖D_t − D‖_op/D_max, the smallest that serves; NaN without hidden layers."""
        return math.nan if self.width is None else math.sqrt(self.width) * self.relative_distance


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class KernelDrift(Shown):
    """How far the kernel K_{D_t} = φ D_t φ^T on the training inputs moves away from K_{D_0}.

    Attributes
    ----------
    steps : ndarray of int, shape (T,)
        t, as in :class:`Concentration`.
    distances : ndarray, shape (T,)
        ‖K_{D_{t−1}} − K_{D_0}‖_F.
    initial_norm : float
        ‖K_{D_0}‖_F.
    """

    steps: Array
    distances: Array
    initial_norm: float

    @property
    def relative(self) -> Array:
        """‖K_{D_{t−1}} − K_{D_0}‖_F/‖K_{D_0}‖_F, (T,)."""
        with np.errstate(divide="ignore", invalid="ignore"):  # K_{D_0} = 0 has no scale
            return self.distances / self.initial_norm


def concentration(
    preconditioners: Mapping[int, Any], center: Any, optimizer: Optimizer, network: Any
) -> Concentration:
    """Measure how D_t concentrates.

    Parameters
    ----------
    preconditioners : dict of int to float or ndarray
        D_{t−1} by t.
    center : float, or ndarray, shape (P,) or (P, P)
        D.
    optimizer : Optimizer
        Whose D_t they are: only ``Preconditioned`` can mean a 0 in a diagonal, for the others it
        marks a coordinate without gradient so far.
    network : Network
        With ``widths``, where it has layers.

    Returns
    -------
    Concentration
    """
    distances, norms = [], []
    center = _on_host(center)
    for D in map(_on_host, preconditioners.values()):
        marks_untouched = np.ndim(D) == 1 and not isinstance(optimizer, Preconditioned)
        touched = D != 0 if marks_untouched else slice(None)
        difference = _difference(D, center, touched)
        distances.append(_operator_norm(difference))
        norms.append(_operator_norm(D))
    hidden = getattr(network, "widths", ())[1:-1]  # others' networks need not have layers
    return Concentration(
        steps=np.array(list(preconditioners)),
        distances=np.array(distances),
        norms=np.array(norms),
        width=min(hidden) if hidden else None,
    )


def kernel_drift(preconditioners: Mapping[int, Any], linearization: Linearization) -> KernelDrift:
    """Measure how K_{D_t} moves, by one weighted Gram matrix for each D_t.

    Parameters
    ----------
    preconditioners : dict of int to float or ndarray
        D_{t−1} by t, D_0 first.
    linearization : Linearization

    Returns
    -------
    KernelDrift
    """
    kernels = (linearization.weighted_kernel(D) for D in preconditioners.values())
    kernels = (host(K).astype(np.float64) for K in kernels)
    initial = next(kernels)
    distances = [0.0, *(float(np.linalg.norm(K - initial)) for K in kernels)]
    return KernelDrift(
        steps=np.array(list(preconditioners)),
        distances=np.array(distances),
        initial_norm=float(np.linalg.norm(initial)),
    )


def _on_host(D: Any) -> Any:
    """D as a float or a NumPy array."""
    return host(D) if np.ndim(D) else D


def _difference(D: Any, E: Any, touched: Any) -> Array:
    """D − E on the ``touched`` coordinates, of the larger of their two forms."""
    if max(np.ndim(D), np.ndim(E)) < 2:
        return np.atleast_1d(D - E)[touched]
    n = max(len(np.atleast_1d(A)) for A in (D, E))
    D, E = (A if np.ndim(A) == 2 else np.diag(np.broadcast_to(A, n)) for A in (D, E))
    return (D - E)[touched][:, touched]


def _operator_norm(D: Any) -> float:
    return float(np.linalg.norm(D, 2)) if np.ndim(D) == 2 else float(np.max(np.abs(D), initial=0))
