"""What the workers of a cluster run: products with the features of their rows of X."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ntklin.edge.arrays import Array
from ntklin.edge.threads import limited
from ntklin.networks.network import Network, as_feature_operator

# Inputs whose own block of the kernel is made at once where its diagonal is wanted.
_INPUTS = 32


class Chunk:
    """The features of some inputs, on a worker.

    Parameters
    ----------
    features : FeatureOperator
    threads : int
    """

    def __init__(self, features: Any, threads: int) -> None:
        self.features, self.threads = features, threads

    def __sizeof__(self) -> int:
        # By this the scheduler knows that tasks should go to the chunk, and not it to them.
        return _bytes(self.features, set())


def _bytes(value: Any, seen: set[int]) -> int:
    """Those of all arrays within."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return sum(_bytes(v, seen) for v in value)
    return _bytes(getattr(value, "__dict__", {}), seen)


def make(network: Network, theta: Array, X: Array, threads: int) -> Chunk:
    """φ(X_i), by one forward and one backward pass."""
    with limited(threads):
        return Chunk(as_feature_operator(network.features(theta, X)), threads)


def outputs(chunk: Chunk) -> tuple[Array, Array]:
    """f(X_i) and what its rounding errors are expected to stay below."""
    with limited(chunk.threads):
        return chunk.features.outputs, chunk.features.output_rounding()


def pull(chunk: Chunk, R: Array) -> Array:
    """φ_i^T R_i."""
    with limited(chunk.threads):
        return chunk.features.T @ R


def push(chunk: Chunk, V: Array) -> Array:
    """φ_i V."""
    with limited(chunk.threads):
        return chunk.features @ V


def add(first: Array, *others: Array) -> Array:
    """Their sum, from left to right."""
    total = first + others[0]
    for other in others[1:]:
        total += other
    return total


def relay(V: Array) -> Array:
    """V itself, from a worker that is nearer."""
    return V


def gram(chunk: Chunk, other: Chunk | Array | None, weights: Array | None) -> Array:
    """φ_i D φ_j^T: of two chunks, of a chunk and new inputs, of one chunk."""
    phi = chunk.features
    with limited(chunk.threads):
        if isinstance(other, Chunk):
            second = other.features
        else:
            second = None if other is None else phi.at(other)
        return phi.gram(second) if weights is None else phi.gram(second, weights)


def diagonal(chunk: Chunk) -> Array:
    """‖φ(x)‖² of each row, float64."""
    phi = chunk.features
    with limited(chunk.threads):
        runs = range(0, len(phi.inputs), _INPUTS)
        blocks = (phi.rows(slice(i, i + _INPUTS)).gram().diagonal() for i in runs)
        return np.concatenate([block.astype(np.float64) for block in blocks])


class Pivots(NamedTuple):
    """What eliminates some columns: F gets (K(X_i, X_p) − F_i F_p^T) V beside what it has.

    Attributes
    ----------
    inputs : ndarray, shape (b, d)
        X_p.
    rows : ndarray, shape (b C, r)
        F_p, the rows of F so far that belong to them.
    scaled : ndarray, shape (b C, b')
        V.
    """

    inputs: Array
    rows: Array
    scaled: Array


def eliminate(chunk: Chunk, factor: Array | None, *steps: Pivots) -> Array:
    """F_i after these steps, from F_i before them; anew from nothing."""
    n = chunk.features.shape[0]
    F = np.empty((n, 0)) if factor is None else factor
    for step in steps:
        G = gram(chunk, step.inputs, None).astype(np.float64)
        with limited(chunk.threads):
            G -= F @ step.rows.T
            F = np.hstack([F, G @ step.scaled])
    return F


def last_squares(F: Array, new: int) -> Array:
    """By how much the latest columns lower the diagonal that is left."""
    return np.einsum("ij,ij->i", F[:, -new:], F[:, -new:])


def rows_of(F: Array, rows: Array) -> Array:
    """Some rows."""
    return F[rows]


def inner(chunk: Chunk, F: Array, R: Array | None) -> Array:
    """F_i^T R_i; F_i^T F_i without R."""
    with limited(chunk.threads):
        return F.T @ (F if R is None else R)


def outer(chunk: Chunk, F: Array, R: Array, z: Array, shift: float) -> Array:
    """(R_i − F_i z)/δ."""
    with limited(chunk.threads):
        return (R - F @ z) / shift
