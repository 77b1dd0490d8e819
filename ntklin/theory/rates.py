"""How fast this machine does each part of a minimizer's work, measured when it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from ntklin.algebra.device_matrix import DeviceMatrix
from ntklin.algebra.packed import PackedMatrix
from ntklin.algebra.panels import PanelMatrix
from ntklin.algebra.square import SquareMatrix
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, free_device_memory, namespace
from ntklin.networks.features import FeatureMap
from ntklin.networks.infinite import infinite_ntk
from ntklin.networks.mean_output import mean_output
from ntklin.networks.memory import passes
from ntklin.networks.mlp import MLP
from ntklin.theory.solver_costs import (
    ON_DEVICE,
    ONE_FOR_ALL,
    has_room_on_device,
    nystrom_rank,
    tile_inputs,
)

# Right-hand sides, Y and f_0(X).
COLUMNS = 2
# Inputs, and rows of a matrix, by which rates are measured; and how often each.
_INPUTS = 2048
_ROWS = 2560
_SPECTRUM = 1024
_TIMES = 2


@dataclass(eq=False)
class Rates:
    """Seconds per unit of each kind of work, measured when they are first asked for.

    Parameters
    ----------
    net : MLP
    n_samples : int
        N; no more inputs than that are used.
    like : ndarray, optional
        Of the kind that X will be.
    """

    net: MLP
    n_samples: int
    like: Any = None
    _known: dict[str, float] = field(default_factory=dict)

    @property
    def device_free(self) -> int | None:
        """Bytes that are free on the GPU of ``like``; None where it is on none."""
        return free_device_memory(self.like)

    @property
    def device_left(self) -> int | None:
        """The same beside φ(X)."""
        free = self.device_free
        return None if free is None else free - 8 * passes(self.net, self.n_samples)

    def is_on_device(self, name: str) -> bool:
        """Whether the factor of this solver or preconditioner is made on the GPU."""
        return has_room_on_device(name, self.n_samples, self.net.n_outputs, self.device_left)

    def _measured(self, name: str, units: float, work: Callable[[], object]) -> float:
        if name not in self._known:
            self._known[name] = _seconds(self._waited_for(work)) / units
        return self._known[name]

    def _waited_for(self, work: Callable[[], object]) -> Callable[[], object]:
        """The work and its end: a GPU returns before it is done."""
        xp = namespace(self.like)
        if xp is np:
            return work

        def to_its_end() -> None:
            work()
            xp.cuda.get_current_stream().synchronize()

        return to_its_end

    def _inputs(self, most: int) -> Array:
        n = max(1, min(most, self.n_samples))
        X = np.random.default_rng(0).standard_normal((n, self.net.n_inputs))
        return beside(X / np.sqrt((X * X).sum(axis=1, keepdims=True)), self.like)

    def _theta(self) -> Array:
        return beside(self.net.init(rng=0), self.like)

    def _phi(self) -> FeatureMap:
        return self.net.features(self._theta(), self._inputs(_INPUTS // self.net.n_outputs))

    @property
    def features(self) -> float:
        """A forward and a backward pass of one input."""
        theta, X = self._theta(), self._inputs(_INPUTS // self.net.n_outputs)

        def both() -> object:
            return self.net.features(theta, X).passes.deltas[0]

        return self._measured("features", len(X), both)

    @property
    def pair(self) -> float:
        """The block of the kernel of two inputs, in a tile below the diagonal."""
        return self._tile("pair", self._phi)

    def _tile(self, name: str, features: Callable[[], FeatureMap]) -> float:
        """Two inputs of a tile of all rows and a panel's columns."""
        if name not in self._known:
            phi = features()
            n, t = len(phi.inputs), tile_inputs(phi.n_outputs)
            rows, columns = slice(0, n), slice(0, min(t, n))
            units = rows.stop * columns.stop
            self._measured(name, units, lambda: phi.rows(rows).gram(phi.rows(columns)))
        return self._known[name]

    @property
    def own_pair(self) -> float:
        """The same in a kernel that is computed as a whole."""
        if "own_pair" not in self._known:
            phi = self._phi()
            n = len(phi.inputs)
            self._measured("own_pair", n * (n + 1) / 2, lambda: phi.rows(slice(0, n)).gram())
        return self._known["own_pair"]

    @property
    def limit_pair(self) -> float:
        """Θ of two inputs."""
        X = self._inputs(512)
        return self._measured("limit_pair", len(X) ** 2, lambda: infinite_ntk(self.net, X, X[::-1]))

    @property
    def mean_pair(self) -> float:
        """The kernel of one output in the place of all, of two inputs."""

        def features() -> FeatureMap:
            net, theta, _ = mean_output(self.net, self._theta())
            return net.features(theta, self._inputs(_INPUTS))

        return self._tile("mean_pair", features)

    @property
    def product(self) -> float:
        """φ φ^T V of one input, for Y and f_0(X)."""
        if "product" not in self._known:
            phi = self._phi()
            V = beside(np.ones((phi.shape[0], COLUMNS)), self.like)
            self._measured("product", len(phi.inputs), lambda: phi @ (phi.T @ V))
        return self._known["product"]

    def factor(self, kind: str) -> float:
        """One flop of a Cholesky factorization."""
        self._factorize(kind)
        return self._known[f"{kind} factor"]

    def solve(self, work: str, rows: int) -> float:
        """One solution by the factor, of one column."""
        if work == "none":
            return 0.0
        if work == "nystrom":
            return 4.0 * rows * nystrom_rank(rows) * self.factor("nystrom")
        self._factorize(work)
        columns = rows // self.n_samples if work in ONE_FOR_ALL else 1
        n = self.n_samples if work in ONE_FOR_ALL else rows
        return self._known[f"{work} solve"] * n * n * columns**0.5

    @property
    def spectrum(self) -> float:
        """One flop, of 9 n³, of the eigendecomposition."""
        n = min(_SPECTRUM, self.n_samples * self.net.n_outputs)
        A = _definite(n)
        return self._measured("spectrum", 9.0 * n**3, lambda: np.linalg.eigh(A))

    def _factorize(self, kind: str) -> None:
        if f"{kind} factor" in self._known:
            return
        n = min(_ROWS, max(2, self.n_samples * self.net.n_outputs))
        A = _definite(n)
        dtype = np.float32 if kind in ("mixed", *ONE_FOR_ALL) else np.float64
        if kind in ON_DEVICE and self.is_on_device(kind):
            A = beside(A, self.like)
            M: PanelMatrix = DeviceMatrix(n, dtype, anchor=self.like)
        else:
            M = (SquareMatrix if kind == "cholesky" else PackedMatrix)(n, dtype)
        best = np.inf
        for _ in range(_TIMES):
            M.fill(lambda i, j: A[i, j])
            start = perf_counter()
            M.factorize()
            best = min(best, perf_counter() - start)
        self._known[f"{kind} factor"] = 3 * best / n**3
        b = np.ones((n, 1))
        self._known[f"{kind} solve"] = _seconds(lambda: M.solve(b)) / n**2


def _definite(n: int) -> Array:
    """A kernel like those of networks: near a constant, and well conditioned."""
    x = np.random.default_rng(0).standard_normal((n, 8))
    x /= np.sqrt((x * x).sum(axis=1, keepdims=True))
    A = 0.5 + 0.5 * (x @ x.T) ** 2
    A.flat[:: n + 1] += 0.1
    return A


def _seconds(work: Callable[[], Any]) -> float:
    """The least time of some calls, after one that compiles what there is to compile."""
    work()
    best = np.inf
    for _ in range(_TIMES):
        start = perf_counter()
        work()
        best = min(best, perf_counter() - start)
    return best
