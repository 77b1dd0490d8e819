"""What the statistical checks train on, and how far a network is from its linearization."""

import math
from dataclasses import dataclass

import numpy as np

import ntklin

N_TRAIN, N_TEST, N_INPUTS = 8, 40, 6


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs on the unit sphere and a target that they determine.

    Attributes
    ----------
    X, X_test : ndarray, shapes (N, d) and (N_T, d)
    Y, Y_test : ndarray, shapes (N,) and (N_T,)
    """

    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray
    Y_test: np.ndarray


def on_the_sphere(rng, n, d=N_INPUTS):
    """n points on the unit sphere."""
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def draw_data(rng, setting=None, n=N_TRAIN):
    """Well-separated inputs: no pair of them, nor one and the opposite of another, within 45°."""
    X = on_the_sphere(rng, 1)
    while len(X) < n:
        x = on_the_sphere(rng, 1)
        if np.abs(X @ x[0]).max() < math.sqrt(0.5):
            X = np.concatenate([X, x])
    X_test, w = on_the_sphere(rng, N_TEST), on_the_sphere(rng, 1)[0]
    return Data(X, np.sign(X @ w), X_test, np.sign(X_test @ w))


def network(m, depth=2, d=N_INPUTS, **options):
    """An MLP with hidden layers of width m."""
    return ntklin.MLP((d, *(m,) * (depth - 1), 1), **options)


def rms(values):
    """√(mean of squares)."""
    return float(np.sqrt(np.mean(np.square(values))))
